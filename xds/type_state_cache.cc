// What TypeState holds: accepted resources, what is kept of those that nobody uses, how much that
// may be, and what comes from the last good configuration.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/text.h"
#include "xds/type_state.h"

namespace sluice::xds {

bool TypeState::holds(std::string_view name) const {
  const Accepted* entry = cached(name);
  return entry != nullptr && !entry->unchecked && !entry->gone;
}

void TypeState::accept(const WireResource& resource, std::string_view name,
                       std::string_view version, base::MonoNs now, base::WallNs wall) {
  Accepted& entry = cache_.put(name, version, resource.bytes);
  entry.accepted_at = wall;
  entry.unchecked = entry.gone = false;
  confirmed(entry);
  set_ttl(entry, resource.ttl_ns, now);
  if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
  if (!wanted(name) && entry.unused == 0) set_unused(entry);
}

void TypeState::set_ttl(Accepted& entry, int64_t ttl_ns, base::MonoNs now) {
  if (entry.expires_at == 0 && ttl_ns <= 0) return;
  const std::string name(entry.name());
  if (entry.expires_at != 0) expiries_.erase({entry.expires_at, name});
  entry.expires_at = ttl_ns > 0 ? now + ttl_ns : 0;
  if (entry.expires_at != 0) expiries_.emplace(entry.expires_at, name);
}

void TypeState::confirmed(Accepted& entry) noexcept {
  entry.foreign = false;
  if (std::exchange(entry.restored, false)) --num_restored_;
}

void TypeState::refresh_unused(const Accepted& known, const WireResource& resource,
                               std::string_view version) {
  if (!resource.has_body || known.bytes() == resource.bytes) return;
  cache_.put(resource.name, version, resource.bytes).unchecked = true;
}

void TypeState::set_unused(Accepted& entry) {
  if (entry.gone) return forget(entry);
  entry.unused = ++last_unused_;
  unused_.emplace(last_unused_, entry.name());
  if (unused_.size() <= options_.max_unused) return;
  forget(*cached(unused_.begin()->second));
}

// The server has a resource of this name, though not a good one: the form that came from elsewhere
// serves on (rule 43).
void TypeState::keep_foreign(std::string_view name) {
  Accepted* const entry = cached(name);
  if (entry != nullptr && entry->foreign) set_ttl(*entry, 0, 0);
}

void TypeState::lose(Accepted& entry) {
  if (full_state() || !wanted(entry.name())) return forget(entry);
  set_ttl(entry, 0, 0);
  if (const auto r = replay_.find(entry.name()); r != replay_.end()) replay_.erase(r);
  entry.gone = true;
}

void TypeState::forget(Accepted& entry) {
  confirmed(entry);
  set_ttl(entry, 0, 0);
  unused_.erase(entry.unused);
  if (const auto r = replay_.find(entry.name()); r != replay_.end()) replay_.erase(r);
  cache_.erase(entry);
}

// --- How much may be held.

// A full state stands for itself; else what is held stays, but for what the response removes.
void TypeState::count_held(InFlight& flight) {
  if (lists_everything()) return;
  flight.num_held = cache_.size() - unused_.size();
  flight.bytes_held = cache_.bytes();
  for (const std::string_view name : flight.response.removed) {
    const Accepted* entry = cached(name);
    if (entry == nullptr || entry->unused != 0) continue;
    --flight.num_held;
    flight.bytes_held -= entry->bytes().size();
  }
}

// False: it is one too many, and is rejected.
bool TypeState::make_room(InFlight& flight, const WireResource& resource, std::string_view name) {
  const Accepted* entry = cached(name);
  const bool is_new = entry == nullptr || entry->unused != 0;
  const bool counted = !is_new && !lists_everything();
  const uint64_t bytes =
      flight.bytes_held + resource.bytes.size() - (counted ? entry->bytes().size() : 0);
  const auto refuse = [&](const std::string& problem) {
    flight.rejected.push_back({std::string(name), base::config_error(problem)});
    return false;
  };
  if (is_new && full_state() && flight.num_held >= options_.max_resources) {
    return refuse(base::cat("more than ", options_.max_resources, " ", short_name_of(type_),
                            " resources; the limit is --max-dynamic-resources"));
  }
  if (bytes > options_.max_bytes) {
    return refuse(base::cat("more than ", options_.max_bytes >> 20, " MiB of ",
                            short_name_of(type_),
                            " resources; the limit is --max-dynamic-config-mib"));
  }
  flight.num_held += counted ? 0 : 1;
  flight.bytes_held = bytes;
  return true;
}

// --- Given from here.

std::optional<Update> TypeState::take_cached(base::MonoNs now) {
  if (in_flight_) return std::nullopt;
  Update update;
  update.type = type_;
  update.version = version_;
  for (const std::string& name : replay_) {
    const Accepted* entry = cached(name);
    if (entry == nullptr) continue;
    update.changed.push_back({name, std::string(entry->version()), std::string(entry->bytes()),
                              hash_of(entry->bytes())});
  }
  replay_.clear();
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const std::string name = expiries_.begin()->second;
    if (wanted(name)) update.removed.push_back(name);
    lose(*cached(name));
    ++stats_.ttl_expired;
  }
  if (update.changed.empty() && update.removed.empty()) return std::nullopt;
  InFlight& flight = in_flight_.emplace(InFlight());
  flight.answerable = false;
  flight.since = now;
  for (const Resource& resource : update.changed) flight.cached.push_back(resource.name);
  return update;
}

void TypeState::applied_cached(const InFlight& flight, const std::vector<Rejected>& rejected,
                               base::WallNs wall) {
  absl::flat_hash_set<absl::string_view> bad;
  for (const Rejected& r : rejected) bad.insert(r.name);
  for (const std::string& name : flight.cached) {
    Accepted* const entry = cached(name);
    if (entry == nullptr) continue;
    if (!bad.contains(name)) {
      entry->unchecked = false;
    } else {
      errors_[name] = {"", std::string(entry->version()), std::string(entry->bytes()), wall};
      forget(*entry);
    }
  }
  for (const Rejected& r : rejected) {
    if (const auto it = errors_.find(r.name); it != errors_.end()) {
      it->second.details = base::message_of(r.status);
    }
  }
}

// --- The last good configuration.

void TypeState::restore(std::string_view name, std::string_view version, std::string_view bytes) {
  if (cached(name) != nullptr) return;
  Accepted& entry = cache_.put(name, version, bytes);
  entry.unchecked = entry.restored = entry.foreign = true;
  ++num_restored_;
}

void TypeState::use_restored() {
  if (live_ || num_restored_ == 0) return;
  restored_usable_ = true;
  replay_restored();
}

void TypeState::replay_restored() {
  if (!restored_usable_) return;
  cache_.for_each([&](const Accepted& entry) {
    if (entry.restored && entry.unchecked && wanted(entry.name())) replay_.emplace(entry.name());
  });
}

// What nobody has used is of no use any more.
void TypeState::went_live() {
  live_ = true;
  restored_usable_ = false;
  if (num_restored_ == 0) return;
  std::vector<std::string> unused;
  cache_.for_each([&](const Accepted& entry) {
    if (entry.restored && entry.unchecked) unused.emplace_back(entry.name());
  });
  for (const std::string& name : unused) forget(*cached(name));
}

// A state of the world says by itself what goes. A server of deltas does not know of what came from
// elsewhere.
void TypeState::greeted(base::MonoNs now) {
  greeted_ = true;
  if (!delta_ || !full_state()) return;
  cache_.for_each([&](Accepted& entry) {
    if (entry.foreign) set_ttl(entry, options_.foreign_grace_ns, now);
  });
}

}  // namespace sluice::xds
