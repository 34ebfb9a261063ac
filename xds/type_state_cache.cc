// What TypeState holds: accepted resources, what is kept of those that nobody uses, how much that
// may be, and what comes from the last good configuration.

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/text.h"
#include "xds/type_state.h"

namespace sluice::xds {
namespace {

absl::string_view key(std::string_view s) noexcept { return {s.data(), s.size()}; }

}  // namespace

TypeState::Cache::iterator TypeState::cached(std::string_view name) {
  return cache_.find(key(name));
}

bool TypeState::holds(std::string_view name) const {
  const auto it = cache_.find(key(name));
  return it != cache_.end() && !it->second.unchecked && !it->second.gone;
}

void TypeState::accept(const WireResource& resource, std::string_view name,
                       std::string_view version, base::MonoNs now, base::WallNs wall) {
  const auto it = cache_.try_emplace(std::string(name)).first;
  Accepted& entry = it->second;
  entry.version = version;
  set_bytes(entry, resource.bytes, resource.hash);
  entry.accepted_at = wall;
  entry.unchecked = entry.gone = false;
  confirmed(entry);
  set_ttl(it->first, entry, resource.ttl_ns, now);
  if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
  if (!wanted(name) && entry.unused == 0) set_unused(it);
}

void TypeState::set_bytes(Accepted& entry, std::string_view bytes, uint64_t hash) {
  bytes_ += bytes.size();
  bytes_ -= entry.bytes.size();
  entry.bytes = bytes;
  entry.hash = hash;
}

void TypeState::set_ttl(const std::string& name, Accepted& entry, int64_t ttl_ns,
                        base::MonoNs now) {
  if (entry.expires_at != 0) expiries_.erase({entry.expires_at, name});
  entry.expires_at = ttl_ns > 0 ? now + ttl_ns : 0;
  if (entry.expires_at != 0) expiries_.emplace(entry.expires_at, name);
}

void TypeState::confirmed(Accepted& entry) noexcept {
  entry.foreign = false;
  if (std::exchange(entry.restored, false)) --num_restored_;
}

void TypeState::refresh_unused(Cache::iterator it, const WireResource& resource,
                               std::string_view version) {
  Accepted& entry = it->second;
  if (!resource.has_body || (entry.hash == resource.hash && entry.bytes == resource.bytes)) return;
  entry.version = version;
  set_bytes(entry, resource.bytes, resource.hash);
  entry.unchecked = true;
}

void TypeState::set_unused(Cache::iterator it) {
  if (it->second.gone) return forget(it);
  it->second.unused = ++last_unused_;
  unused_.emplace(last_unused_, it->first);
  if (unused_.size() <= options_.max_unused) return;
  const std::string oldest = unused_.begin()->second;
  forget(cached(oldest));
}

// The server has a resource of this name, though not a good one: the form that came from elsewhere
// serves on (rule 43).
void TypeState::keep_foreign(std::string_view name) {
  const auto it = cached(name);
  if (it != cache_.end() && it->second.foreign) set_ttl(it->first, it->second, 0, 0);
}

void TypeState::lose(Cache::iterator it) {
  if (full_state() || !wanted(it->first)) return forget(it);
  set_ttl(it->first, it->second, 0, 0);
  if (const auto r = replay_.find(it->first); r != replay_.end()) replay_.erase(r);
  it->second.gone = true;
}

void TypeState::forget(Cache::iterator it) {
  confirmed(it->second);
  bytes_ -= it->second.bytes.size();
  if (it->second.expires_at != 0) expiries_.erase({it->second.expires_at, it->first});
  unused_.erase(it->second.unused);
  if (const auto r = replay_.find(it->first); r != replay_.end()) replay_.erase(r);
  cache_.erase(it);
}

// --- How much may be held.

// A full state stands for itself; else what is held stays, but for what the response removes.
void TypeState::count_held(InFlight& flight) {
  if (lists_everything()) return;
  flight.num_held = cache_.size() - unused_.size();
  flight.bytes_held = bytes_;
  for (const std::string_view name : flight.response.removed) {
    const auto it = cached(name);
    if (it == cache_.end() || it->second.unused != 0) continue;
    --flight.num_held;
    flight.bytes_held -= it->second.bytes.size();
  }
}

// False: it is one too many, and is rejected.
bool TypeState::make_room(InFlight& flight, const WireResource& resource, std::string_view name) {
  const auto it = cached(name);
  const bool is_new = it == cache_.end() || it->second.unused != 0;
  const bool counted = !is_new && !lists_everything();
  const uint64_t bytes =
      flight.bytes_held + resource.bytes.size() - (counted ? it->second.bytes.size() : 0);
  const auto refuse = [&](std::string problem) {
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
    const auto it = cached(name);
    if (it == cache_.end()) continue;
    update.changed.push_back({name, it->second.version, it->second.bytes, it->second.hash});
  }
  replay_.clear();
  while (!expiries_.empty() && expiries_.begin()->first <= now) {
    const std::string name = expiries_.begin()->second;
    if (wanted(name)) update.removed.push_back(name);
    lose(cached(name));
    ++stats_.ttl_expired;
  }
  if (update.changed.empty() && update.removed.empty()) return std::nullopt;
  InFlight& flight = in_flight_.emplace();
  flight.answerable = false;
  flight.since = now;
  for (const Resource& resource : update.changed) flight.cached.push_back(resource.name);
  return update;
}

void TypeState::applied_cached(const InFlight& flight, std::vector<Rejected> rejected,
                               base::WallNs wall) {
  absl::flat_hash_set<absl::string_view> bad;
  for (const Rejected& r : rejected) bad.insert(r.name);
  for (const std::string& name : flight.cached) {
    const auto it = cached(name);
    if (it == cache_.end()) continue;
    if (!bad.contains(name)) {
      it->second.unchecked = false;
    } else {
      errors_[name] = {"", it->second.version, it->second.bytes, wall};
      forget(it);
    }
  }
  for (const Rejected& r : rejected) {
    if (const auto it = errors_.find(r.name); it != errors_.end()) {
      it->second.details = base::message_of(r.status);
    }
  }
}

// --- The last good configuration.

void TypeState::restore(std::string name, std::string version, std::string_view bytes) {
  const auto [it, fresh] = cache_.try_emplace(std::move(name));
  if (!fresh) return;
  Accepted& entry = it->second;
  entry.version = std::move(version);
  set_bytes(entry, bytes, hash_of(bytes));
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
  for (const auto& [name, entry] : cache_) {
    if (entry.restored && entry.unchecked && wanted(name)) replay_.emplace(name);
  }
}

// What nobody has used is of no use any more.
void TypeState::went_live() {
  live_ = true;
  restored_usable_ = false;
  if (num_restored_ == 0) return;
  std::vector<std::string> unused;
  for (const auto& [name, entry] : cache_) {
    if (entry.restored && entry.unchecked) unused.push_back(name);
  }
  for (const std::string& name : unused) forget(cached(name));
}

// A state of the world says by itself what goes. A server of deltas does not know of what came from
// elsewhere.
void TypeState::greeted(base::MonoNs now) {
  greeted_ = true;
  if (!delta_ || !full_state()) return;
  for (auto& [name, entry] : cache_) {
    if (entry.foreign) set_ttl(name, entry, options_.foreign_grace_ns, now);
  }
}

}  // namespace sluice::xds
