#include "xds/sotw.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

constexpr base::MonoNs kNever = std::numeric_limits<base::MonoNs>::max();

absl::string_view key(std::string_view s) noexcept { return {s.data(), s.size()}; }

// A nameless listener needs a name that stays while its bytes stay (Envoy makes one up each time).
std::string made_up_name(uint64_t hash) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + sizeof(digits), hash, 16).ptr;
  return base::cat("unnamed-", std::string_view(digits, static_cast<size_t>(end - digits)));
}

int64_t repeated_delay(const SotwOptions& options, uint32_t repeats) noexcept {
  int64_t delay = options.repeated_nack_first_ns;
  for (uint32_t i = 1; i < repeats && delay < options.repeated_nack_max_ns; ++i) delay *= 2;
  return std::min(delay, options.repeated_nack_max_ns);
}

}  // namespace

SotwState::SotwState(Type type, SotwOptions options) : type_(type), options_(options) {}

// --- Interest.

bool SotwState::wanted(std::string_view name) const {
  return (wildcard_ && full_state()) || names_.contains(name);
}

SotwState::Cache::iterator SotwState::cached(std::string_view name) {
  return cache_.find(key(name));
}

bool SotwState::subscribe_all(base::MonoNs now) {
  if (wildcard_) return false;
  if (!interested()) ++stats_.update_attempt;
  wildcard_ = true;
  wildcard_changed_ = !wildcard_changed_;
  ++interest_;
  start_wait("", all_, now);
  return true;
}

bool SotwState::unsubscribe_all() {
  if (!wildcard_) return false;
  wildcard_ = false;
  wildcard_changed_ = !wildcard_changed_;
  ++interest_;
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

void SotwState::changed_interest(std::string_view name) {
  ++interest_;
  if (const auto it = moved_.find(name); it != moved_.end()) {
    moved_.erase(it);  // came and went: nothing to tell the server
  } else {
    moved_.emplace(name);
  }
}

bool SotwState::subscribe(std::string_view name, base::MonoNs now) {
  if (!interested()) ++stats_.update_attempt;
  const bool had = wanted(name);
  Interest& interest = names_.try_emplace(std::string(name)).first->second;
  if (++interest.count > 1) return false;
  changed_interest(name);
  const auto it = cached(name);
  if (it == cache_.end()) {
    start_wait(name, interest, now);
  } else if (!had) {
    unused_.erase(it->second.unused);
    it->second.unused = 0;
    replay_.emplace(name);
  }
  return true;
}

bool SotwState::unsubscribe(std::string_view name) {
  const auto it = names_.find(name);
  if (it == names_.end() || --it->second.count > 0) return false;
  names_.erase(it);
  changed_interest(name);
  if (wanted(name)) return true;
  if (const auto waiting = replay_.find(name); waiting != replay_.end()) replay_.erase(waiting);
  if (const auto error = errors_.find(name); error != errors_.end()) errors_.erase(error);
  if (const auto entry = cached(name); entry != cache_.end()) set_unused(entry);
  return true;
}

void SotwState::start_wait(std::string_view name, Interest& interest, base::MonoNs now) {
  interest.waiting = true;
  interest.timeout_at = 0;
  if (options_.initial_fetch_timeout_ns <= 0) return;
  if (options_.fetch_timeout_needs_stream && !open_) return;
  interest.timeout_at = now + options_.initial_fetch_timeout_ns;
  waits_.emplace_back(interest.timeout_at, name);
}

bool SotwState::stop_wait(std::string_view name) {
  const auto it = names_.find(name);
  return it != names_.end() && std::exchange(it->second.waiting, false);
}

// --- Streams.

void SotwState::stream_opened(base::MonoNs now) {
  ++stream_;
  open_ = true;
  asked_ = named_ = answer_ = wildcard_changed_ = false;
  moved_.clear();
  nonce_.clear();
  if (!options_.fetch_timeout_needs_stream) return;
  waits_.clear();
  if (all_.waiting) start_wait("", all_, now);
  for (auto& [name, interest] : names_) {
    if (interest.waiting) start_wait(name, interest, now);
  }
}

void SotwState::stream_closed() {
  open_ = answer_ = false;
  nonce_.clear();
  if (options_.fetch_timeout_needs_stream) waits_.clear();
}

void SotwState::count_connection_failure() noexcept {
  ++stats_.update_failure;
  ++stats_.update_attempt;
}

// --- Responses.

SotwState::Verdict SotwState::take(std::unique_ptr<std::string> bytes, WireResponse response,
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
  if (flight.response.resources.empty()) ++stats_.update_empty;
  sort_out(flight, now);
  if (interested()) return Verdict::kApply;
  // Rule 29: the last subscriber has gone meanwhile. An ACK keeps the server from sending it again.
  accept_version(flight.response.version, wall);
  in_flight_.reset();
  answer("", now);
  return Verdict::kAnswer;
}

Update SotwState::take_update() { return std::move(update_); }

bool SotwState::is_repeated(const WireResponse& response) const noexcept {
  return rejected_ && response.content_hash == rejected_hash_ && interest_ == rejected_interest_;
}

void SotwState::answer_repeated(base::MonoNs now) {
  ++repeats_;
  ++stats_.responses_repeated;
  ++stats_.update_rejected;
  ++stats_.update_attempt;
  answer(rejected_error_, now + repeated_delay(options_, repeats_));
}

void SotwState::sort_out(InFlight& flight, base::MonoNs now) {
  update_ = Update{};
  update_.type = type_;
  update_.version = flight.response.version;
  absl::flat_hash_set<absl::string_view> present;
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
      continue;
    }
    sort_one(flight, i, now);
  }
  // A resource that we cannot name may be any: then nothing is taken as removed.
  if (full_state() && complete) take_removed(flight, present);
}

// False: the resource cannot be named, and is rejected.
bool SotwState::name_and_check(InFlight& flight, size_t index) {
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

void SotwState::sort_one(InFlight& flight, size_t index, base::MonoNs now) {
  const WireResource& resource = flight.response.resources[index];
  const auto it = cached(resource.name);
  if (!wanted(resource.name)) {
    ++stats_.resources_unasked;
    if (it != cache_.end()) refresh_unused(it, resource, flight.response.version);
    return;
  }
  const bool known = it != cache_.end() && !it->second.unchecked;
  const bool same = known && (!resource.has_body || (it->second.hash == resource.hash &&
                                                     it->second.bytes == resource.bytes));
  const auto replay = replay_.find(resource.name);
  if (same && (replay == replay_.end() || !resource.has_body)) {
    ++stats_.resources_unchanged;
    set_ttl(it->first, it->second, resource.ttl_ns, now);
    update_.unchanged.emplace_back(resource.name);
    if (resource.has_body) {
      if (const auto e = errors_.find(resource.name); e != errors_.end()) errors_.erase(e);
    }
    return;
  }
  if (!resource.has_body) return;  // rule 113: a heartbeat of what we do not hold
  if (replay != replay_.end()) replay_.erase(replay);
  stop_wait(resource.name);
  flight.changed.push_back(index);
  update_.changed.push_back({std::string(resource.name), std::string(flight.response.version),
                             std::string(resource.bytes), resource.hash});
}

void SotwState::take_removed(InFlight& flight,
                             const absl::flat_hash_set<absl::string_view>& present) {
  for (const auto& [name, entry] : cache_) {
    if (!present.contains(name) && wanted(name)) flight.removed.push_back(name);
  }
  std::sort(flight.removed.begin(), flight.removed.end());
  update_.removed = flight.removed;
}

void SotwState::refresh_unused(Cache::iterator it, const WireResource& resource,
                               std::string_view version) {
  Accepted& entry = it->second;
  if (!resource.has_body || (entry.hash == resource.hash && entry.bytes == resource.bytes)) return;
  entry.version = version;
  entry.bytes = resource.bytes;
  entry.hash = resource.hash;
  entry.unchecked = true;
}

void SotwState::applied(std::vector<Rejected> rejected, base::MonoNs now, base::WallNs wall) {
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

void SotwState::applied_response(InFlight flight, std::vector<Rejected> rejected, base::MonoNs now,
                                 base::WallNs wall) {
  absl::flat_hash_set<absl::string_view> bad;
  for (const Rejected& r : rejected) bad.insert(r.name);
  for (const size_t index : flight.changed) {
    const WireResource& resource = flight.response.resources[index];
    const bool again = stop_wait(resource.name);  // left and came back while this was applied
    if (bad.contains(key(resource.name))) continue;
    accept(resource, flight.response.version, now, wall);
    if (again) replay_.emplace(resource.name);
  }
  for (const std::string& name : flight.removed) {
    if (const auto it = cached(name); it != cache_.end()) forget(it);
  }
  if (full_state()) errors_.clear();  // what is not in a full state is gone
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

void SotwState::applied_cached(const InFlight& flight, std::vector<Rejected> rejected,
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

void SotwState::accept(const WireResource& resource, std::string_view version, base::MonoNs now,
                       base::WallNs wall) {
  const auto it = cache_.try_emplace(std::string(resource.name)).first;
  Accepted& entry = it->second;
  entry.version = version;
  entry.bytes = resource.bytes;
  entry.hash = resource.hash;
  entry.accepted_at = wall;
  entry.unchecked = false;
  set_ttl(it->first, entry, resource.ttl_ns, now);
  if (const auto e = errors_.find(resource.name); e != errors_.end()) errors_.erase(e);
  if (!wanted(resource.name) && entry.unused == 0) set_unused(it);
}

void SotwState::keep_errors(const InFlight& flight, const std::vector<Rejected>& rejected,
                            base::WallNs wall) {
  for (const Rejected& r : rejected) {
    if (r.name.empty()) continue;
    ErrorState& error = errors_[r.name];
    error.details = base::message_of(r.status);
    error.version = flight.response.version;
    error.at = wall;
    error.bytes.clear();
  }
  if (rejected.empty()) return;
  for (const WireResource& resource : flight.response.resources) {
    const auto it = errors_.find(resource.name);
    if (it != errors_.end() && it->second.at == wall) it->second.bytes = resource.bytes;
  }
}

void SotwState::accept_version(std::string_view version, base::WallNs wall) {
  version_ = version;
  ++stats_.update_success;
  ++stats_.update_attempt;
  stats_.version_text = version;
  stats_.version = hash_of(version);
  stats_.update_time_ms = wall / base::kNsPerMs;
}

void SotwState::set_ttl(const std::string& name, Accepted& entry, int64_t ttl_ns,
                        base::MonoNs now) {
  if (entry.expires_at != 0) expiries_.erase({entry.expires_at, name});
  entry.expires_at = ttl_ns > 0 ? now + ttl_ns : 0;
  if (entry.expires_at != 0) expiries_.emplace(entry.expires_at, name);
}

void SotwState::set_unused(Cache::iterator it) {
  it->second.unused = ++last_unused_;
  unused_.emplace(last_unused_, it->first);
  if (unused_.size() <= options_.max_unused) return;
  const std::string oldest = unused_.begin()->second;
  forget(cached(oldest));
}

void SotwState::forget(Cache::iterator it) {
  if (it->second.expires_at != 0) expiries_.erase({it->second.expires_at, it->first});
  unused_.erase(it->second.unused);
  if (const auto r = replay_.find(it->first); r != replay_.end()) replay_.erase(r);
  cache_.erase(it);
}

std::optional<Update> SotwState::take_cached(base::MonoNs now) {
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
    forget(cached(name));
    ++stats_.ttl_expired;
  }
  if (update.changed.empty() && update.removed.empty()) return std::nullopt;
  InFlight& flight = in_flight_.emplace();
  flight.answerable = false;
  flight.since = now;
  for (const Resource& resource : update.changed) flight.cached.push_back(resource.name);
  return update;
}

// --- Requests.

void SotwState::answer(std::string error, base::MonoNs at) {
  answer_ = true;
  answer_at_ = at;
  answer_error_ = std::move(error);
}

bool SotwState::request_due(base::MonoNs now) const noexcept {
  if (!open_) return false;
  if (in_flight_ && in_flight_->answerable && in_flight_->stream == stream_) return false;
  const bool dirty = wildcard_changed_ || !moved_.empty();
  if (answer_) return dirty || now >= answer_at_;
  if (!asked_) return interested();
  // An empty list would mean "all" if no name was ever sent (rule 61).
  return dirty && (interested() || named_);
}

SotwRequest SotwState::next_request() {
  SotwRequest request;
  request.version = version_;
  request.nonce = nonce_;
  request.names = request_names();
  request.answers = answer_;
  if (answer_) request.error = std::move(answer_error_);
  answer_ = wildcard_changed_ = false;
  moved_.clear();
  asked_ = true;
  named_ = named_ || !request.names.empty();
  return request;
}

std::vector<std::string_view> SotwState::request_names() const {
  std::vector<std::string_view> names;
  names.reserve(names_.size() + 1);
  if (wildcard_ && (named_ || !names_.empty())) names.push_back("*");
  for (const auto& [name, interest] : names_) names.push_back(name);
  return names;
}

// --- Time.

base::MonoNs SotwState::wake_at() const noexcept {
  base::MonoNs at = kNever;
  if (answer_) at = std::min(at, answer_at_);
  if (!waits_.empty()) at = std::min(at, waits_.front().first);
  if (!expiries_.empty()) at = std::min(at, expiries_.begin()->first);
  return at;
}

std::vector<std::string> SotwState::expired_fetches(base::MonoNs now) {
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

bool SotwState::holds(std::string_view name) const {
  const auto it = cache_.find(key(name));
  return it != cache_.end() && !it->second.unchecked;
}

// --- NACK texts.

std::string nack_message(const std::vector<Rejected>& rejected) {
  constexpr size_t kRoomForRest = 40;
  constexpr size_t kRoom = kMaxNackBytes - kRoomForRest;
  std::string out;
  for (size_t i = 0; i < rejected.size(); ++i) {
    const Rejected& r = rejected[i];
    const std::string piece = base::cat(i == 0 ? "" : "; ", r.name.empty() ? "" : "\"", r.name,
                                        r.name.empty() ? "" : "\": ", base::message_of(r.status));
    if (out.size() + piece.size() <= kRoom) {
      out += piece;
      continue;
    }
    size_t left = rejected.size() - i;
    if (out.empty()) {  // even one does not fit: cut it, between characters
      size_t cut = kRoom;
      while (cut > 0 && (static_cast<uint8_t>(piece[cut]) & 0xc0) == 0x80) --cut;
      base::cat_to(out, std::string_view(piece).substr(0, cut), "...");
      --left;
    }
    if (left > 0) base::cat_to(out, "; and ", left, " more");
    break;
  }
  if (!is_utf8(out)) {
    for (char& c : out) c = static_cast<uint8_t>(c) < 0x80 ? c : '?';
  }
  return out;
}

}  // namespace sluice::xds
