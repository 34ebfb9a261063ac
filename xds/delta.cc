#include "xds/delta.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "xds/resource_name.h"

namespace sluice::xds {
namespace {

absl::string_view key(std::string_view s) noexcept { return {s.data(), s.size()}; }

Rejected given_twice(std::string_view name, std::string_view where) {
  return {std::string(name),
          base::config_error("name: ", where, "; nothing of this response is applied")};
}

}  // namespace

// --- Requests.

// What left and came back is asked for again: the server forgets what was unsubscribed (rule 66).
// What came and left is unsubscribed, which is legal though the server may not know it (rule 68).
void DeltaState::interest_changed(std::string_view name, bool wanted) {
  if (!asked()) return;
  auto& in = wanted ? came_ : went_;
  auto& out = wanted ? went_ : came_;
  if (const auto it = out.find(name); it != out.end()) out.erase(it);
  in.emplace(name);
}

bool DeltaState::names_due() const noexcept { return !came_.empty() || !went_.empty(); }

void DeltaState::forget_stream() {
  came_.clear();
  went_.clear();
}

// The empty list is the wildcard; names beside it need "*" (rules 60, 62).
void DeltaState::add_first(WireDeltaRequest* request) const {
  if (wildcard() && !names().empty()) request->subscribe.push_back("*");
  for (const auto& [name, interest] : names()) request->subscribe.push_back(name);
  cache().for_each([&](const Accepted& entry) {
    const bool held = !entry.unchecked && !entry.gone && !entry.foreign && wanted(entry.name());
    if (held) request->initial_versions.emplace_back(entry.name(), entry.version());
  });
  std::sort(request->initial_versions.begin(), request->initial_versions.end());
}

std::string DeltaState::next_request(std::string_view node) {
  WireDeltaRequest request;
  request.node = node;
  request.type_url = type_url_of(type());
  if (asked()) {
    request.subscribe.assign(came_.begin(), came_.end());
    request.unsubscribe.assign(went_.begin(), went_.end());
  } else {
    add_first(&request);
  }
  if (answering()) request.nonce = nonce();  // rule 30
  const std::string error = take_answer();
  request.error = error;
  std::string bytes = encode_request(request);
  came_.clear();
  went_.clear();
  mark_asked();
  return bytes;
}

// --- Responses.

bool DeltaState::sort_out(InFlight& flight, base::MonoNs now) {
  const auto& resources = flight.response.resources;
  Names added;
  added.reserve(resources.size());
  std::vector<size_t> named;
  for (size_t i = 0; i < resources.size(); ++i) {
    if (!name_and_check(flight, i)) continue;
    named.push_back(i);
    if (added.insert(key(resources[i].name)).second) continue;
    flight.rejected = {given_twice(resources[i].name, "given twice in one response")};
    return false;
  }
  for (const std::string_view name : flight.response.removed) {
    if (!added.contains(key(name))) continue;
    flight.rejected = {given_twice(name, "given and removed in one response")};
    return false;
  }
  for (const size_t i : named) {
    if (!sort_names(flight, i, now)) skip_one(flight, i);
  }
  for (const std::string_view name : flight.response.removed) sort_removed(flight, name);
  if (resources.empty() && flight.response.removed.empty()) {
    for (const auto& [name, interest] : names()) {
      if (is_glob_name(name)) end_collection_wait(name);
    }
  }
  return true;
}

// A virtual host is kept under its own name only: an alias says for which host somebody asked. One
// without a body could not be resolved (rule 134): it ends waits.
bool DeltaState::sort_virtual_host(InFlight& flight, size_t index, base::MonoNs now) {
  const WireResource& resource = flight.response.resources[index];
  bool asked_for = false;
  const auto end_wait = [&](std::string_view name, std::vector<std::string>* list) {
    asked_for = asked_for || names().contains(name);
    if (stop_wait(name)) list->emplace_back(name);
  };
  auto* answers = resource.has_body ? &update().answered : &update().removed;
  for (const std::string_view alias : resource.aliases) {
    if (alias != resource.name) end_wait(alias, answers);
  }
  if (!resource.has_body) {
    end_wait(resource.name, answers);
  } else if (asked_for || wanted(resource.name)) {
    asked_for = true;
    sort_one(flight, index, resource.name, now);
  }
  return asked_for;
}

// Under its name and under each alias that somebody asked for (rule 67). False: nobody did.
bool DeltaState::sort_names(InFlight& flight, size_t index, base::MonoNs now) {
  if (type() == Type::kVirtualHost) return sort_virtual_host(flight, index, now);
  const WireResource& resource = flight.response.resources[index];
  const bool is_unresolved = !resource.has_body && !resource.aliases.empty();
  bool asked_for = false;
  const auto one = [&](std::string_view name) {
    if (!wanted(name)) return;
    asked_for = true;
    if (is_unresolved) {
      sort_removed(flight, name);
    } else {
      sort_one(flight, index, name, now);
    }
  };
  one(resource.name);
  for (const std::string_view alias : resource.aliases) {
    if (alias != resource.name) one(alias);
  }
  return asked_for;
}

// A collection that goes takes all with it that nobody else asked for.
void DeltaState::sort_removed_collection(InFlight& flight, std::string_view name) {
  std::vector<std::string> members;
  cache().for_each([&](const Accepted& entry) {
    const std::string_view member = entry.name();
    if (!names().contains(member) && collection_of(member) == name) members.emplace_back(member);
  });
  std::sort(members.begin(), members.end());
  for (const std::string& member : members) sort_removed(flight, member);
  end_collection_wait(name);
}

// The server does not have it: known or awaited, whoever waits for it need not wait on (rule 81).
void DeltaState::sort_removed(InFlight& flight, std::string_view name) {
  Accepted* const entry = cached(name);
  if (!wanted(name)) {
    if (entry != nullptr) lose(*entry);
    return;
  }
  if (is_glob_name(name)) return sort_removed_collection(flight, name);
  const bool awaited = stop_wait(name);
  const bool held = entry != nullptr && !entry->gone;
  if (!awaited && !held) return;  // rule 68
  if (held && !full_state()) count_empty();
  flight.removed.emplace_back(name);
  update().removed.emplace_back(name);
}

}  // namespace sluice::xds
