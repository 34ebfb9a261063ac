#include "xds/type_state.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <utility>

#include "base/text.h"
#include "xds/nack.h"

namespace sluice::xds {
namespace {

constexpr base::MonoNs kNever = std::numeric_limits<base::MonoNs>::max();

// What /config_dump shows of refused resources: of so many, and bytes of those that are no longer.
constexpr size_t kMaxErrors = 1024;
constexpr size_t kMaxErrorBytes = 64 * 1024;

absl::string_view key(std::string_view s) noexcept { return {s.data(), s.size()}; }

// A nameless listener needs a name that stays while its bytes stay (Envoy makes one up each time).
std::string made_up_name(uint64_t hash) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + sizeof(digits), hash, 16).ptr;
  return base::cat("unnamed-", std::string_view(digits, static_cast<size_t>(end - digits)));
}

int64_t repeated_delay(const TypeOptions& options, uint32_t repeats) noexcept {
  int64_t delay = options.repeated_nack_first_ns;
  for (uint32_t i = 1; i < repeats && delay < options.repeated_nack_max_ns; ++i) delay *= 2;
  return std::min(delay, options.repeated_nack_max_ns);
}

}  // namespace

TypeState::TypeState(Type type, TypeOptions options, bool delta)
    : type_(type), options_(options), delta_(delta) {}

// --- Interest.

bool TypeState::wanted(std::string_view name) const {
  return (wildcard_ && full_state()) || names_.contains(name);
}

TypeState::Cache::iterator TypeState::cached(std::string_view name) {
  return cache_.find(key(name));
}

bool TypeState::subscribe_all(base::MonoNs now) {
  if (wildcard_) return false;
  if (!interested()) ++stats_.update_attempt;
  wildcard_ = true;
  ++interest_;
  interest_changed("*", true);
  start_wait("", all_, now);
  replay_restored();
  return true;
}

bool TypeState::unsubscribe_all() {
  if (!wildcard_) return false;
  wildcard_ = false;
  ++interest_;
  interest_changed("*", false);
  all_ = Interest{};
  std::vector<std::string> gone;
  for (const auto& [name, entry] : cache_) {
    if (!wanted(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    if (const auto it = cached(name); it != cache_.end()) set_unused(it);
  }
  return true;
}

bool TypeState::subscribe(std::string_view name, base::MonoNs now) {
  if (!interested()) ++stats_.update_attempt;
  const bool had = wanted(name);
  Interest& interest = names_.try_emplace(std::string(name)).first->second;
  if (++interest.count > 1) return false;
  ++interest_;
  interest_changed(name, true);
  const auto it = cached(name);
  const bool usable = it != cache_.end() && !it->second.gone &&
                      (restored_usable_ || !it->second.restored || !it->second.unchecked);
  if (!usable) {
    start_wait(name, interest, now);
  } else if (!had) {
    unused_.erase(it->second.unused);
    it->second.unused = 0;
    replay_.emplace(name);
  }
  return true;
}

bool TypeState::unsubscribe(std::string_view name) {
  const auto it = names_.find(name);
  if (it == names_.end() || --it->second.count > 0) return false;
  names_.erase(it);
  ++interest_;
  interest_changed(name, false);
  if (wanted(name)) return true;
  if (const auto waiting = replay_.find(name); waiting != replay_.end()) replay_.erase(waiting);
  if (const auto error = errors_.find(name); error != errors_.end()) errors_.erase(error);
  if (const auto entry = cached(name); entry != cache_.end()) set_unused(entry);
  return true;
}

void TypeState::copy_interest(TypeState& other) const {
  if (wildcard_) other.subscribe_all(0);
  for (const auto& [name, interest] : names_) other.subscribe(name, 0);
}

void TypeState::start_wait(std::string_view name, Interest& interest, base::MonoNs now) {
  interest.waiting = true;
  interest.timeout_at = 0;
  if (options_.initial_fetch_timeout_ns <= 0) return;
  if (options_.fetch_timeout_needs_stream && !open_) return;
  interest.timeout_at = now + options_.initial_fetch_timeout_ns;
  waits_.emplace_back(interest.timeout_at, name);
}

bool TypeState::stop_wait(std::string_view name) {
  const auto it = names_.find(name);
  return it != names_.end() && std::exchange(it->second.waiting, false);
}

// --- Streams.

void TypeState::stream_opened(base::MonoNs now) {
  ++stream_;
  open_ = true;
  asked_ = answer_ = false;
  nonce_.clear();
  forget_stream();
  if (!options_.fetch_timeout_needs_stream) return;
  waits_.clear();
  if (all_.waiting) start_wait("", all_, now);
  for (auto& [name, interest] : names_) {
    if (interest.waiting) start_wait(name, interest, now);
  }
}

void TypeState::stream_closed() {
  open_ = answer_ = false;
  nonce_.clear();
  if (options_.fetch_timeout_needs_stream) waits_.clear();
}

void TypeState::server_changed() {
  greeted_ = false;
  foreign_version_ = true;
  for (auto& [name, entry] : cache_) entry.foreign = true;
}

void TypeState::count_failure() noexcept {
  ++stats_.update_failure;
  ++stats_.update_attempt;
}

// --- Responses.

TypeState::Verdict TypeState::take(std::unique_ptr<std::string> bytes, WireResponse response,
                                   base::MonoNs now, base::WallNs wall) {
  assert(can_take());
  if (!asked_) {
    ++stats_.responses_ignored;
    return Verdict::kIgnored;
  }
  nonce_ = response.nonce;
  if (is_repeated(response)) {
    answer_repeated(now);
    return Verdict::kAnswer;
  }
  InFlight& flight = in_flight_.emplace();
  flight.bytes = std::move(bytes);
  flight.response = std::move(response);
  flight.stream = stream_;
  flight.interest = interest_;
  flight.since = now;
  all_.waiting = false;
  if (flight.response.resources.empty() && flight.response.removed.empty()) ++stats_.update_empty;
  if (!live_) went_live();
  if (!greeted_) greeted(now);
  update_ = Update{};
  update_.type = type_;
  update_.version = flight.response.version;
  count_held(flight);
  if (!sort_out(flight, now)) {
    InFlight refused = std::move(flight);
    in_flight_.reset();
    refused.changed.clear();
    refused.removed.clear();
    stats_.resources_rejected += refused.rejected.size();
    applied_response(std::move(refused), {}, now, wall);
    return Verdict::kAnswer;
  }
  if (interested()) return Verdict::kApply;
  // Rule 29: the last subscriber has gone meanwhile. An ACK keeps the server from sending it again.
  accept_version(flight.response.version, wall);
  in_flight_.reset();
  answer("", now);
  return Verdict::kAnswer;
}

Update TypeState::take_update() { return std::move(update_); }

bool TypeState::is_repeated(const WireResponse& response) const noexcept {
  return rejected_ && response.content_hash == rejected_hash_ && interest_ == rejected_interest_;
}

void TypeState::answer_repeated(base::MonoNs now) {
  ++repeats_;
  ++stats_.responses_repeated;
  ++stats_.update_rejected;
  ++stats_.update_attempt;
  answer(rejected_error_, now + repeated_delay(options_, repeats_));
}

// False: the resource cannot be named, and is rejected.
bool TypeState::name_and_check(InFlight& flight, size_t index) {
  WireResource& resource = flight.response.resources[index];
  const auto reject = [&](std::string problem) {
    flight.rejected.push_back({std::string(resource.wrapped ? resource.name : std::string_view()),
                               base::config_error("resources[", index, "]", problem)});
    return false;
  };
  if (!resource.readable) return reject(": not a protobuf message: cut or broken");
  if (!resource.has_body) return !resource.name.empty() || reject(".name: must not be empty");
  if (resource.type_url != type_url_of(type_)) {
    return reject(base::cat(".type_url: expected ", type_url_of(type_), ": ", resource.type_url));
  }
  if (!resource.name.empty()) return true;
  if (type_ != Type::kListener) return reject(": name: must not be empty");
  resource.name = flight.names.emplace_back(made_up_name(resource.hash));
  return true;
}

// Of a resource that somebody wants under `name`.
void TypeState::sort_one(InFlight& flight, size_t index, std::string_view name, base::MonoNs now) {
  const WireResource& resource = flight.response.resources[index];
  const std::string_view version = version_of(flight.response, resource);
  const auto it = cached(name);
  const bool known = it != cache_.end() && !it->second.unchecked && !it->second.gone;
  const bool same = known && (!resource.has_body || (it->second.hash == resource.hash &&
                                                     it->second.bytes == resource.bytes));
  if (resource.has_body && !make_room(flight, resource, name)) return;
  const auto replay = replay_.find(name);
  if (same && (replay == replay_.end() || !resource.has_body)) {
    ++stats_.resources_unchanged;
    set_ttl(it->first, it->second, resource.ttl_ns, now);
    update_.unchanged.emplace_back(name);
    if (!resource.has_body) return;
    confirmed(it->second);
    if (delta_) it->second.version = version;
    if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
    return;
  }
  if (!resource.has_body) return;  // rule 113: a heartbeat of what we do not hold
  if (replay != replay_.end()) replay_.erase(replay);
  stop_wait(name);
  flight.changed.push_back({index, name});
  update_.changed.push_back(
      {std::string(name), std::string(version), std::string(resource.bytes), resource.hash});
}

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

void TypeState::set_bytes(Accepted& entry, std::string_view bytes, uint64_t hash) {
  bytes_ += bytes.size();
  bytes_ -= entry.bytes.size();
  entry.bytes = bytes;
  entry.hash = hash;
}

void TypeState::skip_one(InFlight& flight, size_t index) {
  const WireResource& resource = flight.response.resources[index];
  ++stats_.resources_unasked;
  if (const auto it = cached(resource.name); it != cache_.end()) {
    refresh_unused(it, resource, version_of(flight.response, resource));
  }
}

std::string_view TypeState::version_of(const WireResponse& response,
                                       const WireResource& resource) const noexcept {
  return delta_ ? resource.version : response.version;
}

void TypeState::refresh_unused(Cache::iterator it, const WireResource& resource,
                               std::string_view version) {
  Accepted& entry = it->second;
  if (!resource.has_body || (entry.hash == resource.hash && entry.bytes == resource.bytes)) return;
  entry.version = version;
  set_bytes(entry, resource.bytes, resource.hash);
  entry.unchecked = true;
}

void TypeState::applied(std::vector<Rejected> rejected, base::MonoNs now, base::WallNs wall) {
  assert(in_flight_);
  InFlight flight = std::move(*in_flight_);
  in_flight_.reset();
  stats_.update_duration_ns = now - flight.since;
  stats_.resources_rejected += rejected.size() + flight.rejected.size();
  if (flight.answerable) {
    applied_response(std::move(flight), std::move(rejected), now, wall);
  } else {
    applied_cached(flight, std::move(rejected), wall);
  }
}

void TypeState::applied_response(InFlight flight, std::vector<Rejected> rejected, base::MonoNs now,
                                 base::WallNs wall) {
  absl::flat_hash_set<absl::string_view> bad;
  for (const Rejected& r : rejected) bad.insert(r.name);
  for (const auto& [index, name] : flight.changed) {
    const WireResource& resource = flight.response.resources[index];
    const bool again = stop_wait(name);  // left and came back while this was applied
    if (bad.contains(key(name))) {
      keep_foreign(name);
      continue;
    }
    accept(resource, name, version_of(flight.response, resource), now, wall);
    if (again) replay_.emplace(name);
  }
  for (const std::string& name : flight.removed) {
    if (const auto it = cached(name); it != cache_.end()) lose(it);
    if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
  }
  if (lists_everything()) errors_.clear();  // what is not in a full state is gone
  rejected.insert(rejected.begin(), std::make_move_iterator(flight.rejected.begin()),
                  std::make_move_iterator(flight.rejected.end()));
  keep_errors(flight, rejected, wall);

  const bool here = open_ && flight.stream == stream_;
  repeats_ = 0;
  rejected_ = !rejected.empty();
  if (!rejected_) {
    accept_version(flight.response.version, wall);
    if (here) answer("", now);
    return;
  }
  ++stats_.update_rejected;
  ++stats_.update_attempt;
  rejected_hash_ = flight.response.content_hash;
  rejected_interest_ = flight.interest;
  rejected_error_ = nack_message(rejected);
  if (here) answer(rejected_error_, now);
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

void TypeState::keep_errors(const InFlight& flight, const std::vector<Rejected>& rejected,
                            base::WallNs wall) {
  for (const Rejected& r : rejected) {
    if (r.name.empty() || (errors_.size() >= kMaxErrors && !errors_.contains(r.name))) continue;
    ErrorState& error = errors_[r.name];
    error.details = base::message_of(r.status);
    error.version = flight.response.version;
    error.at = wall;
    error.bytes.clear();
  }
  if (rejected.empty()) return;
  for (const WireResource& resource : flight.response.resources) {
    const auto it = errors_.find(resource.name);
    if (it == errors_.end() || it->second.at != wall) continue;
    if (resource.bytes.size() <= kMaxErrorBytes) it->second.bytes = resource.bytes;
    it->second.version = version_of(flight.response, resource);
  }
}

void TypeState::accept_version(std::string_view version, base::WallNs wall) {
  version_ = version;
  foreign_version_ = false;
  ++stats_.update_success;
  ++stats_.update_attempt;
  stats_.version_text = version;
  stats_.version = hash_of(version);
  stats_.update_time_ms = wall / base::kNsPerMs;
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

// --- Requests.

void TypeState::answer(std::string error, base::MonoNs at) {
  answer_ = true;
  answer_at_ = at;
  answer_error_ = std::move(error);
}

std::string TypeState::take_answer() {
  std::string error = std::exchange(answer_error_, {});
  return std::exchange(answer_, false) ? error : std::string();
}

bool TypeState::request_due(base::MonoNs now) const noexcept {
  if (!open_) return false;
  if (in_flight_ && in_flight_->answerable && in_flight_->stream == stream_) return false;
  if (answer_ && now >= answer_at_) return true;
  return asked_ ? names_due() : interested();
}

// --- Time.

base::MonoNs TypeState::wake_at() const noexcept {
  base::MonoNs at = kNever;
  if (answer_) at = std::min(at, answer_at_);
  if (!waits_.empty()) at = std::min(at, waits_.front().first);
  if (!expiries_.empty()) at = std::min(at, expiries_.begin()->first);
  return at;
}

std::vector<std::string> TypeState::expired_fetches(base::MonoNs now) {
  std::vector<std::string> expired;
  for (; !waits_.empty() && waits_.front().first <= now; waits_.pop_front()) {
    const auto& [at, name] = waits_.front();
    const auto it = names_.find(name);
    Interest* interest = name.empty() ? &all_ : it == names_.end() ? nullptr : &it->second;
    if (!interest || !interest->waiting || interest->timeout_at != at) continue;
    interest->waiting = false;
    ++stats_.init_fetch_timeout;
    ++stats_.update_attempt;
    expired.push_back(name);
  }
  return expired;
}

bool TypeState::holds(std::string_view name) const {
  const auto it = cache_.find(key(name));
  return it != cache_.end() && !it->second.unchecked && !it->second.gone;
}

}  // namespace sluice::xds
