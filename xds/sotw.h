#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "xds/resources.h"
#include "xds/wire.h"

namespace sluice::xds {

struct SotwOptions {
  // 0: wait for ever (rule 111).
  int64_t initial_fetch_timeout_ns = 15 * base::kNsPerSec;
  // Rule 110: the wait starts with the subscription, so that a proxy whose control plane is away
  // starts with what it has. True: it runs only while a stream is open (A57, rule 80).
  bool fetch_timeout_needs_stream = false;
  // Rule 49: the answer to the n-th identical rejected response in a row waits first * 2^(n-1).
  int64_t repeated_nack_first_ns = 100 * base::kNsPerMs;
  int64_t repeated_nack_max_ns = 2 * base::kNsPerSec;
  // Resources that nobody subscribes any more and that are kept for who comes back (rule 94).
  size_t max_unused = 1024;
};

// What /stats shows of one type (xds.md rule 13), and some counts of ours.
struct TypeStats {
  uint64_t update_attempt = 0;
  uint64_t update_success = 0;
  uint64_t update_failure = 0;   // connection lost while subscribed
  uint64_t update_rejected = 0;  // responses, not resources
  uint64_t update_empty = 0;
  uint64_t init_fetch_timeout = 0;
  uint64_t version = 0;  // hash of version_text
  std::string version_text;
  int64_t update_time_ms = 0;  // wall clock of the last success
  int64_t update_duration_ns = 0;
  // Ours.
  uint64_t resources_rejected = 0;
  uint64_t responses_repeated = 0;  // identical to the one rejected before; not validated again
  uint64_t responses_ignored = 0;   // of a type that was never asked for
  uint64_t resources_unchanged = 0;
  uint64_t resources_unasked = 0;
  uint64_t ttl_expired = 0;
};

// error_state of a resource in /config_dump: what was refused last, until it is accepted or gone.
struct ErrorState {
  std::string details;
  std::string version;
  std::string bytes;  // the refused resource
  base::WallNs at = 0;
};

// A request that is due, in plain values. `names` sorted.
struct SotwRequest {
  std::string version;
  std::string nonce;
  std::vector<std::string_view> names;  // until the next change of interest
  std::string error;                    // not empty: a NACK
  bool answers = false;
};

// SotwState answers, for one resource type and state-of-the-world streams: what to ask now, what a
// response changes, and what to answer (xds.md 1.2 to 1.7; the comments name its rules).
//
// It knows no channel, posts nothing and reads no clock: `now` is given. Names, accepted version
// and accepted resources outlive streams; nonces die with them. Owned by Client; main only.
// Cost: a response costs the hash of its bytes, one look-up per resource, and two copies of each
// resource that changed.
//
// Life of a response: take() -> Verdict. kApply: hand over take_update(), and call applied() with
// what came back, maybe much later and maybe on another stream. Until applied() and until the
// answer was fetched with next_request() no other response may be given (can_take()): so each
// response gets exactly one answer (rule 26).
class SotwState {
 public:
  SotwState(Type type, SotwOptions options);

  // --- Interest. True: a request may be due.
  bool subscribe_all(base::MonoNs now);
  bool unsubscribe_all();                                   // what is left are names (rule 61)
  bool subscribe(std::string_view name, base::MonoNs now);  // counted
  bool unsubscribe(std::string_view name);
  bool interested() const noexcept { return wildcard_ || !names_.empty(); }

  // --- Streams.
  void stream_opened(base::MonoNs now);
  void stream_closed();

  // --- Responses.
  enum class Verdict : uint8_t {
    kApply,    // fetch take_update()
    kAnswer,   // nothing to apply; the answer is due now or later
    kIgnored,  // never asked for on this stream: no answer (rule 29)
  };
  bool can_take() const noexcept { return !in_flight_ && !answer_; }
  bool answering() const noexcept { return answer_; }  // an ACK or NACK is due, now or later
  // `bytes` holds what `response` points into, and moves in with it.
  Verdict take(std::unique_ptr<std::string> bytes, WireResponse response, base::MonoNs now,
               base::WallNs wall);
  Update take_update();
  // What the sink rejected of the update given last: a response's, or take_cached()'s.
  void applied(std::vector<Rejected> rejected, base::MonoNs now, base::WallNs wall);
  // Accepted resources for subscribers who came later, and the removal of expired ones (TTL); none
  // while something is being applied. applied() follows.
  std::optional<Update> take_cached(base::MonoNs now);

  // --- Requests. None while a response is being applied.
  bool request_due(base::MonoNs now) const noexcept;
  SotwRequest next_request();
  // A response waits behind a delayed NACK: send that NACK now.
  void hurry() noexcept { answer_at_ = 0; }

  // --- Time.
  // When something becomes due by itself: a delayed answer, a fetch timeout, a TTL. INT64_MAX:
  // nothing.
  base::MonoNs wake_at() const noexcept;
  // Names whose initial fetch timed out ("" stands for the wildcard); they stay subscribed.
  std::vector<std::string> expired_fetches(base::MonoNs now);

  // --- What is known.
  Type type() const noexcept { return type_; }
  const TypeStats& stats() const noexcept { return stats_; }
  const std::string& version() const noexcept { return version_; }
  const std::map<std::string, ErrorState, std::less<>>& errors() const noexcept { return errors_; }
  // Calls fn(name, version, bytes, accepted_at) for each accepted resource in use.
  template <typename Fn>
  void for_each_resource(Fn&& fn) const;
  bool holds(std::string_view name) const;
  const std::string& last_nack() const noexcept { return rejected_error_; }
  void count_connection_failure() noexcept;

 private:
  struct Accepted {
    std::string version;
    std::string bytes;
    uint64_t hash = 0;
    uint64_t unused = 0;  // position in unused_; 0: in use
    base::WallNs accepted_at = 0;
    base::MonoNs expires_at = 0;  // 0: no TTL
    bool unchecked = false;       // came while nobody wanted it: not validated
  };
  struct Interest {
    uint32_t count = 0;
    bool waiting = false;         // for its first resource
    base::MonoNs timeout_at = 0;  // 0: never
  };
  struct InFlight {
    std::unique_ptr<std::string> bytes;
    WireResponse response;
    std::vector<size_t> changed;       // indexes into response.resources
    std::vector<std::string> removed;  // full state only
    std::vector<std::string> cached;   // given by take_cached()
    std::vector<Rejected> rejected;    // before the sink saw them
    std::deque<std::string> names;     // that we gave to nameless listeners
    uint64_t stream = 0;
    uint64_t interest = 0;
    base::MonoNs since = 0;
    bool answerable = true;  // false: from take_cached()
  };
  using Cache = absl::flat_hash_map<std::string, Accepted>;

  bool full_state() const noexcept { return type_ == Type::kCluster || type_ == Type::kListener; }
  bool wanted(std::string_view name) const;
  Cache::iterator cached(std::string_view name);
  void changed_interest(std::string_view name);
  void start_wait(std::string_view name, Interest& interest, base::MonoNs now);
  bool stop_wait(std::string_view name);

  bool is_repeated(const WireResponse& response) const noexcept;
  void answer_repeated(base::MonoNs now);
  void sort_out(InFlight& flight, base::MonoNs now);
  bool name_and_check(InFlight& flight, size_t index);
  void sort_one(InFlight& flight, size_t index, base::MonoNs now);
  void take_removed(InFlight& flight, const absl::flat_hash_set<absl::string_view>& present);
  void refresh_unused(Cache::iterator it, const WireResource& resource, std::string_view version);
  void applied_response(InFlight flight, std::vector<Rejected> rejected, base::MonoNs now,
                        base::WallNs wall);
  void applied_cached(const InFlight& flight, std::vector<Rejected> rejected, base::WallNs wall);
  void accept(const WireResource& resource, std::string_view version, base::MonoNs now,
              base::WallNs wall);
  void keep_errors(const InFlight& flight, const std::vector<Rejected>& rejected,
                   base::WallNs wall);
  void accept_version(std::string_view version, base::WallNs wall);
  void set_ttl(const std::string& name, Accepted& entry, int64_t ttl_ns, base::MonoNs now);
  void set_unused(Cache::iterator it);
  void forget(Cache::iterator it);
  void answer(std::string error, base::MonoNs at);
  std::vector<std::string_view> request_names() const;

  Type type_;
  SotwOptions options_;

  // Interest.
  bool wildcard_ = false;
  Interest all_;  // of the wildcard
  std::map<std::string, Interest, std::less<>> names_;
  std::deque<std::pair<base::MonoNs, std::string>> waits_;  // deadlines in order; some are over
  uint64_t interest_ = 0;                                   // changes of interest so far

  // The stream.
  uint64_t stream_ = 0;  // ordinal
  bool open_ = false;
  bool asked_ = false;                        // sent any request
  bool named_ = false;                        // sent any name (rule 61)
  bool wildcard_changed_ = false;             // since the last request
  std::set<std::string, std::less<>> moved_;  // names that came or went since the last request
  std::string nonce_;

  // Responses and their answers.
  std::string version_;
  std::optional<InFlight> in_flight_;
  Update update_;
  bool answer_ = false;
  base::MonoNs answer_at_ = 0;
  std::string answer_error_;

  // Rule 49: the response rejected last.
  bool rejected_ = false;
  uint64_t rejected_hash_ = 0;
  uint64_t rejected_interest_ = 0;
  std::string rejected_error_;
  uint32_t repeats_ = 0;

  // Resources.
  Cache cache_;
  std::set<std::pair<base::MonoNs, std::string>> expiries_;
  std::map<uint64_t, std::string> unused_;  // oldest first
  uint64_t last_unused_ = 0;
  std::set<std::string, std::less<>> replay_;  // subscribed again, to be given from the cache
  std::map<std::string, ErrorState, std::less<>> errors_;

  TypeStats stats_;
};

template <typename Fn>
void SotwState::for_each_resource(Fn&& fn) const {
  for (const auto& [name, entry] : cache_) {
    if (!entry.unchecked && wanted(name)) fn(name, entry.version, entry.bytes, entry.accepted_at);
  }
}

// error_detail.message for these: `name: problem` each, at most kMaxNackBytes, cut between names
// ("... and 12 more"), valid UTF-8 whatever the parts are.
constexpr size_t kMaxNackBytes = 4096;
std::string nack_message(const std::vector<Rejected>& rejected);

}  // namespace sluice::xds
