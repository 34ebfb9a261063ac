#include "tools/mock-cp/ads_stream.h"

#include <envoy/service/discovery/v3/discovery.pb.h>

#include <algorithm>

#include "base/text.h"
#include "xds/wire.h"

namespace sluice::mock_cp {

std::string AdsStream::on_request(const Request& request) {
  if (!request.node().id().empty()) node_ = request.node().id();
  const auto [it, first] = types_.try_emplace(request.type_url());
  TypeState& state = it->second;
  if (first) order_.push_back(request.type_url());
  const std::string type = short_name(request.type_url());

  if (!request.response_nonce().empty() && request.response_nonce() != state.nonce) {
    return base::cat("old nonce: ", type, " from node ", node_, " answers ",
                     request.response_nonce(), ", but the last was ", state.nonce, "; dropped");
  }
  std::string line;
  if (state.waiting && !request.response_nonce().empty()) {
    state.waiting = false;
    line = answer_line(request, state);
  }
  take_names(request, state);
  return line;
}

std::string AdsStream::answer_line(const Request& request, const TypeState& state) const {
  const std::string type = short_name(request.type_url());
  if (!request.has_error_detail()) {
    return base::cat("ACK ", type, " version ", state.sent_version, " from node ", node_);
  }
  return base::cat("NACK ", type, " version ", state.sent_version, " from node ", node_, ": ",
                   request.error_detail().message(), " (stays at version ",
                   request.version_info().empty() ? "none" : request.version_info(), ")");
}

void AdsStream::take_names(const Request& request, TypeState& state) {
  state.names.clear();
  bool star = false;
  for (const std::string& name : request.resource_names()) {
    if (name == "*") {
      star = true;
    } else {
      state.names.insert(name);
    }
  }
  const bool empty = request.resource_names().empty();
  const bool wildcard = star || (empty && !state.named);
  if (wildcard && !state.wildcard) state.new_names = true;
  state.wildcard = wildcard;
  state.named = state.named || !empty;
  for (const std::string& name : state.names) {
    if (!state.sent_names.contains(name)) state.new_names = true;
  }
}

bool AdsStream::due(const Snapshot::TypeState& held, TypeState& state,
                    std::vector<const ResourceSet::ByName::value_type*>& chosen) const {
  if (state.waiting || (!state.wildcard && state.names.empty())) return false;
  if (state.sent && !state.new_names && state.sent_version == held.version) return false;
  uint64_t hash = 0;
  for (const auto& entry : held.resources) {
    if (state.wildcard || state.names.contains(entry.first)) {
      chosen.push_back(&entry);
      hash = hash * 31 + xds::hash_of(entry.first);
      hash = hash * 31 + xds::hash_of(entry.second.bytes);
    } else if (superset_) {
      return false;
    }
  }
  // Nothing of what was named exists: there is no way to say so but silence.
  if (chosen.empty() && !state.wildcard) return false;
  if (state.sent && hash == state.sent_hash) return false;
  state.sent_hash = hash;
  return true;
}

bool AdsStream::next(const Snapshot& snapshot, Response& out) {
  for (const std::string& url : order_) {
    TypeState& state = types_.find(url)->second;
    const Snapshot::TypeState* held = snapshot.find(url);
    std::vector<const ResourceSet::ByName::value_type*> chosen;
    if (!held || !due(*held, state, chosen)) continue;
    out.set_version_info(held->version);
    out.set_type_url(url);
    out.set_nonce(base::cat(id_, "-", ++last_nonce_));
    out.mutable_control_plane()->set_identifier("mock-cp");
    for (const auto* entry : chosen) {
      auto& any = *out.add_resources();
      any.set_type_url(url);
      any.set_value(entry->second.bytes);
    }
    state.sent = state.waiting = true;
    state.new_names = false;
    state.sent_names = state.names;
    state.sent_version = held->version;
    state.nonce = out.nonce();
    return true;
  }
  return false;
}

}  // namespace sluice::mock_cp
