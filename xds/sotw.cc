#include "xds/sotw.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

absl::string_view key(std::string_view s) noexcept { return {s.data(), s.size()}; }

}  // namespace

void SotwState::interest_changed(std::string_view name, bool) {
  if (const auto it = moved_.find(name); it != moved_.end()) {
    moved_.erase(it);  // came and went: nothing to tell the server
  } else {
    moved_.emplace(name);
  }
}

// An empty list would mean "all" if no name was ever sent (rule 61).
bool SotwState::names_due() const noexcept { return !moved_.empty() && (interested() || named_); }

void SotwState::forget_stream() {
  named_ = false;
  moved_.clear();
}

bool SotwState::sort_out(InFlight& flight, base::MonoNs now) {
  Names present;
  present.reserve(flight.response.resources.size());
  bool complete = true;  // each resource has a name
  for (size_t i = 0; i < flight.response.resources.size(); ++i) {
    if (!name_and_check(flight, i)) {
      complete = false;
      continue;
    }
    const std::string_view name = flight.response.resources[i].name;
    if (!present.insert(key(name)).second) {
      flight.rejected.push_back(
          {std::string(name), base::config_error("name: given twice in one response, the first "
                                                 "one counts")});
    } else if (wanted(name)) {
      sort_one(flight, i, name, now);
    } else {
      skip_one(flight, i);
    }
  }
  // A resource that we cannot name may be any: then nothing is taken as removed.
  if (full_state() && complete) take_removed(flight, present);
  return true;
}

void SotwState::take_removed(InFlight& flight, const Names& present) {
  cache().for_each([&](const Accepted& entry) {
    if (present.contains(key(entry.name())) || !wanted(entry.name())) return;
    flight.removed.emplace_back(entry.name());
  });
  std::sort(flight.removed.begin(), flight.removed.end());
  update().removed = flight.removed;
}

std::string SotwState::next_request(std::string_view node) {
  WireRequest request;
  request.node = node;
  request.version = request_version();
  request.type_url = type_url_of(type());
  request.nonce = nonce();
  request.names = request_names();
  const std::string error = take_answer();
  request.error = error;
  moved_.clear();
  mark_asked();
  named_ = named_ || !request.names.empty();
  return encode_request(request);
}

std::vector<std::string_view> SotwState::request_names() const {
  std::vector<std::string_view> list;
  list.reserve(names().size() + 1);
  if (wildcard() && (named_ || !names().empty())) list.push_back("*");
  for (const auto& [name, interest] : names()) list.push_back(name);
  return list;
}

}  // namespace sluice::xds
