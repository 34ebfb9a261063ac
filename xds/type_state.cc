#include "xds/type_state.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <utility>

#include "base/text.h"
#include "xds/nack.h"
#include "xds/resource_name.h"

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
  return (wildcard_ && full_state()) || names_.contains(name) || in_collection(name);
}

// Rule 151.
bool TypeState::in_collection(std::string_view name) const {
  return num_globs_ > 0 && full_state() && names_.contains(collection_of(name));
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
  cache_.for_each([&](const Accepted& entry) {
    if (!wanted(entry.name())) gone.emplace_back(entry.name());
  });
  for (const std::string& name : gone) {
    if (Accepted* entry = cached(name)) set_unused(*entry);
  }
  return true;
}

bool TypeState::subscribe(std::string_view name, base::MonoNs now) {
  if (!interested()) ++stats_.update_attempt;
  const bool had = wanted(name);
  Interest& interest = names_.try_emplace(std::string(name)).first->second;
  if (++interest.count > 1) return false;
  ++interest_;
  if (is_glob_name(name)) ++num_globs_;
  interest_changed(name, true);
  Accepted* const entry = cached(name);
  const bool usable = entry != nullptr && !entry->gone &&
                      (restored_usable_ || !entry->restored || !entry->unchecked);
  if (!usable) {
    start_wait(name, interest, now);
  } else if (!had) {
    unused_.erase(entry->unused);
    entry->unused = 0;
    replay_.emplace(name);
  }
  return true;
}

bool TypeState::unsubscribe(std::string_view name) {
  const auto it = names_.find(name);
  if (it == names_.end() || --it->second.count > 0) return false;
  const std::string copy(name);  // which may be the key's
  name = copy;
  names_.erase(it);
  ++interest_;
  interest_changed(name, false);
  if (is_glob_name(name)) drop_collection(name);
  if (wanted(name)) return true;
  if (const auto waiting = replay_.find(name); waiting != replay_.end()) replay_.erase(waiting);
  if (const auto error = errors_.find(name); error != errors_.end()) errors_.erase(error);
  if (Accepted* entry = cached(name)) set_unused(*entry);
  return true;
}

// The server sends a collection again to who asks for it again.
void TypeState::drop_collection(std::string_view name) {
  --num_globs_;
  std::vector<std::string> gone;
  cache_.for_each([&](const Accepted& entry) {
    if (!wanted(entry.name()) && collection_of(entry.name()) == name) {
      gone.emplace_back(entry.name());
    }
  });
  for (const std::string& member : gone) forget(*cached(member));
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

void TypeState::end_collection_wait(std::string_view name) {
  if (num_globs_ == 0) return;
  std::string collection = collection_of(name);
  if (stop_wait(collection)) update_.answered.push_back(std::move(collection));
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
  cache_.for_each([](Accepted& entry) { entry.foreign = true; });
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
  InFlight& flight = in_flight_.emplace(InFlight());
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
  normalise(flight);
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

// Another spelling of a name is the same name (rule 150).
void TypeState::normalise(InFlight& flight) {
  const auto one = [&flight](std::string_view& name) {
    if (is_xdstp(name)) name = flight.names.emplace_back(normal_name(name));
  };
  for (WireResource& resource : flight.response.resources) {
    one(resource.name);
    for (std::string_view& alias : resource.aliases) one(alias);
  }
  for (std::string_view& name : flight.response.removed) one(name);
}

// False: the resource cannot be named, and is rejected.
bool TypeState::name_and_check(InFlight& flight, size_t index) {
  WireResource& resource = flight.response.resources[index];
  const auto reject = [&](const std::string& problem) {
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
  Accepted* entry = cached(name);
  const bool known = entry != nullptr && !entry->unchecked && !entry->gone;
  const bool same = known && (!resource.has_body || entry->bytes() == resource.bytes);
  if (resource.has_body && !make_room(flight, resource, name)) return;
  const auto replay = replay_.find(name);
  if (same && (replay == replay_.end() || !resource.has_body)) {
    ++stats_.resources_unchanged;
    set_ttl(*entry, resource.ttl_ns, now);
    update_.unchanged.emplace_back(name);
    if (!resource.has_body) return;
    confirmed(*entry);
    if (delta_ && entry->version() != version) cache_.put(name, version, resource.bytes);
    if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
    return;
  }
  if (!resource.has_body) return;  // rule 113: a heartbeat of what we do not hold
  if (replay != replay_.end()) replay_.erase(replay);
  stop_wait(name);
  end_collection_wait(name);
  flight.changed.push_back({index, name});
  update_.changed.push_back(
      {std::string(name), std::string(version), std::string(resource.bytes), resource.hash});
}

void TypeState::skip_one(InFlight& flight, size_t index) {
  const WireResource& resource = flight.response.resources[index];
  ++stats_.resources_unasked;
  if (const Accepted* entry = cached(resource.name)) {
    refresh_unused(*entry, resource, version_of(flight.response, resource));
  }
}

std::string_view TypeState::version_of(const WireResponse& response,
                                       const WireResource& resource) const noexcept {
  return delta_ ? resource.version : response.version;
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
    applied_cached(flight, rejected, wall);
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
    if (Accepted* entry = cached(name)) lose(*entry);
    if (const auto e = errors_.find(name); e != errors_.end()) errors_.erase(e);
  }
  if (lists_everything()) errors_.clear();  // what is not in a full state is gone
  rejected.insert(rejected.begin(), std::make_move_iterator(flight.rejected.begin()),
                  std::make_move_iterator(flight.rejected.end()));
  keep_errors(flight, rejected, wall);
  drop_ended_waits();

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

// Those in front: what came in the order in which it was asked for, as it mostly does, leaves none.
void TypeState::drop_ended_waits() noexcept {
  for (; !waits_.empty(); waits_.pop_front()) {
    const auto& [at, name] = waits_.front();
    const auto it = names_.find(name);
    const Interest* interest = name.empty() ? &all_ : it == names_.end() ? nullptr : &it->second;
    if (interest != nullptr && interest->waiting && interest->timeout_at == at) return;
  }
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

}  // namespace sluice::xds
