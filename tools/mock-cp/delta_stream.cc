#include "tools/mock-cp/delta_stream.h"

#include <envoy/config/route/v3/route_components.pb.h>
#include <envoy/service/discovery/v3/discovery.pb.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

constexpr std::string_view kAbsent;

// Of a type that has never had a resource.
const Snapshot::TypeState& state_in(const Snapshot& snapshot, std::string_view type_url) {
  static const Snapshot::TypeState kNone = {"0", 0, 0, {}};
  const Snapshot::TypeState* held = snapshot.find(type_url);
  return held ? *held : kNone;
}

// The virtual host that serves AUTHORITY in the route configuration ROUTES, for "ROUTES/AUTHORITY".
const ResourceSet::ByName::value_type* find_virtual_host(const Snapshot::TypeState& held,
                                                         std::string_view wanted) {
  const size_t slash = wanted.rfind('/');
  if (slash == wanted.npos) return nullptr;
  const std::string_view prefix = wanted.substr(0, slash + 1);
  const std::string_view authority = wanted.substr(slash + 1);
  for (const auto& entry : held.resources) {
    envoy::config::route::v3::VirtualHost host;
    if (!entry.first.starts_with(prefix) || !host.ParseFromString(entry.second.bytes)) continue;
    if (std::count(host.domains().begin(), host.domains().end(), authority) > 0) return &entry;
  }
  return nullptr;
}

Push::Item item_of(const ResourceSet::ByName::value_type& entry, const std::string& type_url) {
  return {entry.first, entry.second.version, type_url, entry.second.bytes, {}, true};
}

}  // namespace

DeltaStream::State& DeltaStream::state_of(std::string_view type_url) {
  return states_.try_emplace(std::string(type_url)).first->second;
}

Heard DeltaStream::hear(std::string_view bytes) {
  Heard heard;
  Request request;
  if (!begin(bytes, "DeltaDiscoveryRequest", request, heard)) return heard;
  State& state = state_of(heard.type_url);
  const std::string type = short_name(heard.type_url);
  if (!heard.nonce.empty() || state.nonces.waits_for("")) {
    // Names travel on requests without a nonce: an answer is given once, whatever else it says.
    judge_nonce(state.nonces, request.has_error_detail(), true, heard);
  } else if (request.has_error_detail()) {
    heard.problems.push_back(base::cat("lost_nonce: ", type, " NACK without a nonce"));
  }
  const bool first = !std::exchange(state.any_request, true);
  if (first) {
    take_first(request, state);
  } else if (!request.initial_resource_versions().empty()) {
    heard.problems.push_back(
        base::cat("late_versions: ", type, " gives initial_resource_versions in a later request"));
  }
  const Names before = state.names;
  take_names(request, state, heard);
  heard.names_changed = first || before != state.names;
  if (heard.names_changed) heard.names = state.names;
  return heard;
}

void DeltaStream::take_first(const Request& request, State& state) {
  state.names.wildcard = request.resource_names_subscribe().empty();
  state.new_names = state.names.wildcard;
  for (const auto& [name, version] : request.initial_resource_versions()) {
    state.known[name] = version;
  }
}

// The server's copy of a name's version goes with its subscription, and a name that is subscribed
// again is sent again.
void DeltaStream::take_names(const Request& request, State& state, Heard& heard) {
  const auto& wanted = request.resource_names_subscribe();
  for (const std::string& name : request.resource_names_unsubscribe()) {
    if (std::count(wanted.begin(), wanted.end(), name) > 0) {
      heard.problems.push_back(base::cat("subscribe_and_unsubscribe: ", short_name(heard.type_url),
                                         " \"", name, "\" in one request"));
    }
    if (name == "*") {
      state.names.wildcard = false;
    } else if (state.names.names.erase(name) == 0 && !state.names.wildcard) {
      continue;
    }
    state.known.erase(name);
    state.new_names = true;
  }
  for (const std::string& name : wanted) {
    state.new_names = true;
    if (name == "*") {
      state.names.wildcard = true;
    } else if (!state.names.names.insert(name).second) {
      state.known.erase(name);
    }
  }
}

bool DeltaStream::changed(const State& state, const Snapshot::TypeState& held) const {
  return !state.names.empty() && (state.new_names || state.seen != held.version);
}

void DeltaStream::add_changed(const Snapshot::TypeState& held, State& state, Push* out) {
  for (const auto& entry : held.resources) {
    const auto& [name, resource] = entry;
    if (!state.names.has(name)) continue;
    const auto known = state.known.find(name);
    if (known != state.known.end() && known->second == resource.version) continue;
    state.known[name] = resource.version;
    out->items.push_back(item_of(entry, out->type_url));
  }
}

// Names that were asked for and do not exist: said once.
void DeltaStream::add_missing(const Snapshot::TypeState& held, State& state, Push* out) {
  const bool hosts = short_name(out->type_url) == "VHDS";
  for (const std::string& name : state.names.names) {
    if (held.resources.contains(name)) continue;
    const auto* host = hosts ? find_virtual_host(held, name) : nullptr;
    const std::string_view version = host ? std::string_view(host->second.version) : kAbsent;
    const auto known = state.known.find(name);
    if (known != state.known.end() && known->second == version) continue;
    if (known != state.known.end() && version == kAbsent) continue;  // add_removed()'s
    state.known[name] = version;
    if (!hosts) {
      out->removed.push_back(name);
      continue;
    }
    Push::Item item =
        host ? item_of(*host, out->type_url) : Push::Item{name, "", out->type_url, "", {}, false};
    item.aliases.push_back(name);
    out->items.push_back(std::move(item));
  }
}

void DeltaStream::add_removed(const Snapshot::TypeState& held, State& state, Push* out) {
  for (auto it = state.known.begin(); it != state.known.end();) {
    const auto& [name, version] = *it;
    const bool wanted = state.names.names.contains(name);
    if (held.resources.contains(name) || version == kAbsent || !state.names.has(name) ||
        find_virtual_host(held, name)) {
      ++it;
      continue;
    }
    out->removed.push_back(name);
    if (wanted) {
      it->second = kAbsent;
      ++it;
    } else {
      it = state.known.erase(it);
    }
  }
}

bool DeltaStream::next(const std::shared_ptr<const Snapshot>& snapshot, Push* out) {
  const bool settled = routes_settled(states_, [&](const auto& url, const State& state) {
    return changed(state, state_in(*snapshot, url));
  });
  bool chain_waits = false;
  for (auto* entry : in_order(states_)) {
    auto& [url, state] = *entry;
    const Stage stage = stage_of(url);
    if (state.nonces.waiting() || (stage != Stage::kFree && chain_waits)) {
      chain_waits = chain_waits || stage != Stage::kFree;
      continue;
    }
    const Snapshot::TypeState& held = state_in(*snapshot, url);
    const bool may_remove = stage != Stage::kClusters || settled;
    if (!(changed(state, held) || (state.removals_wait && may_remove))) continue;
    *out = Push();
    out->delta = true;
    out->type_url = url;
    add_changed(held, state, out);
    add_missing(held, state, out);
    if (may_remove) add_removed(held, state, out);
    // A wildcard is answered also when there is nothing, so that the client need not wait.
    const bool due =
        !out->items.empty() || !out->removed.empty() || (!state.sent && state.names.wildcard);
    state.removals_wait = !may_remove;
    state.seen = held.version;
    state.new_names = false;
    if (!due) continue;
    state.sent = true;
    out->version = held.version;
    out->nonce = new_nonce();
    state.nonces.sent(out->nonce, out->version);
    return true;
  }
  return false;
}

void DeltaStream::forget(std::string_view type_url) {
  State& state = state_of(type_url);
  state.sent = false;
  state.seen.clear();
  state.known.clear();
}

}  // namespace sluice::mock_cp
