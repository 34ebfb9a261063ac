#include "tools/mock-cp/sotw_stream.h"

#include <envoy/service/discovery/v3/discovery.pb.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "tools/mock-cp/types.h"
#include "xds/wire.h"

namespace sluice::mock_cp {
namespace {

bool is_cluster(std::string_view type_url) noexcept { return short_name(type_url) == "CDS"; }

}  // namespace

SotwStream::State& SotwStream::state_of(std::string_view type_url) {
  return states_.try_emplace(std::string(type_url)).first->second;
}

Heard SotwStream::hear(std::string_view bytes) {
  Heard heard;
  Request request;
  if (!begin(bytes, "DiscoveryRequest", request, heard)) return heard;
  State& state = state_of(heard.type_url);
  const bool first = !std::exchange(state.any_request, true);
  if (first) state.accepted = request.version_info();

  State after = State();  // names alone
  after.names = state.names;
  after.any_name = state.any_name;
  take_names(request, after, heard);
  heard.names_changed = first || after.names != state.names;
  if (!heard.nonce.empty() || state.nonces.waits_for("")) {
    judge_nonce(state.nonces, request.has_error_detail(), !heard.names_changed, heard);
  } else if (state.nonces.answered() && !first) {
    heard.problems.push_back(base::cat("lost_nonce: ", short_name(heard.type_url),
                                       " has been answered before, but the nonce is empty"));
  }
  if (heard.kind == Heard::Kind::kDropped) return heard;
  check_version(request, state, heard);
  for (const std::string& name : after.names.names) {
    if (!state.sent_names.contains(name)) state.new_names = true;
  }
  if (after.names.wildcard && !state.names.wildcard) state.new_names = true;
  state.names = std::move(after.names);
  state.any_name = after.any_name;
  if (heard.names_changed) heard.names = state.names;
  return heard;
}

void SotwStream::check_version(const Request& request, State& state, Heard& heard) {
  const bool ack = heard.kind == Heard::Kind::kAck;
  const std::string& expected = ack ? heard.version : state.accepted;
  if (request.version_info() != expected) {
    heard.problems.push_back(base::cat("wrong_version: ", short_name(heard.type_url), " ",
                                       text_of(heard.kind), " has version \"",
                                       request.version_info(), "\", not \"", expected, "\""));
  }
  if (ack) state.accepted = heard.version;
}

void SotwStream::take_names(const Request& request, State& state, Heard& heard) {
  state.names = {};
  for (const std::string& name : request.resource_names()) {
    if (name == "*") {
      state.names.wildcard = true;
    } else if (!state.names.names.insert(name).second) {
      heard.problems.push_back(
          base::cat("duplicate_name: ", short_name(heard.type_url), " names \"", name, "\" twice"));
    }
  }
  const bool empty = request.resource_names().empty();
  if (empty && !state.any_name) state.names.wildcard = true;
  state.any_name = state.any_name || !empty;
}

bool SotwStream::changed(const State& state, const Snapshot::TypeState& held) const {
  return !state.names.empty() && (state.new_names || state.seen != held.version);
}

bool SotwStream::fill(const Snapshot::TypeState& held, State& state, bool settled,
                      Push* out) const {
  uint64_t hash = held.touches;
  const auto mix = [&hash](std::string_view name, std::string_view bytes) {
    hash = (hash * 31 + xds::hash_of(name)) * 31 + xds::hash_of(bytes);
  };
  out->items.clear();
  for (const auto& [name, entry] : held.resources) {
    if (state.names.has(name)) {
      out->items.push_back({name, entry.version, out->type_url, entry.bytes, {}, true});
      mix(name, entry.bytes);
    } else if (superset_) {
      return false;
    }
  }
  const bool clusters = is_cluster(out->type_url);
  size_t kept = 0;
  for (const auto& [name, item] : state.items) {
    if (settled || held.resources.contains(name)) continue;
    ++kept;
    mix(name, item.bytes);
    out->items.push_back(item);
  }
  // Nothing of what was named exists: there is no way to say so but silence.
  if (out->items.empty() && !state.names.wildcard) return false;
  state.kept = kept > 0;
  if (state.sent && hash == state.sent_hash) return false;
  state.sent_hash = hash;
  if (clusters) {
    state.items.clear();
    for (const Push::Item& item : out->items) state.items.emplace(item.name, item);
  }
  return true;
}

bool SotwStream::next(const std::shared_ptr<const Snapshot>& snapshot, Push* out) {
  const bool settled = routes_settled(states_, [&](const auto& url, const State& state) {
    const Snapshot::TypeState* held = snapshot->find(url);
    return held && changed(state, *held);
  });
  bool chain_waits = false;
  for (auto* entry : in_order(states_)) {
    auto& [url, state] = *entry;
    const bool chained = stage_of(url) != Stage::kFree;
    if (state.nonces.waiting() || (chained && chain_waits)) {
      chain_waits = chain_waits || chained;
      continue;
    }
    const Snapshot::TypeState* held = snapshot->find(url);
    if (!held || !(changed(state, *held) || (state.kept && settled))) continue;
    const bool keep = is_cluster(url) && !settled;
    *out = Push();
    out->type_url = url;
    const bool due = fill(*held, state, !keep, out);
    if (due || !superset_) {
      state.seen = held->version;
      state.new_names = false;
      state.sent_names = state.names.names;
    }
    if (!due) continue;
    out->version = state.kept ? base::cat(held->version, "+") : held->version;
    out->nonce = new_nonce();
    state.sent = true;
    state.nonces.sent(out->nonce, out->version);
    return true;
  }
  return false;
}

void SotwStream::forget(std::string_view type_url) {
  State& state = state_of(type_url);
  state.sent = false;
  state.seen.clear();
}

}  // namespace sluice::mock_cp
