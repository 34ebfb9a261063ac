#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "xds/accepted.h"
#include "xds/resources.h"
#include "xds/wire.h"

namespace sluice::xds {

struct TypeOptions {
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
  // What is beyond these is refused by name, so that a control plane cannot take all memory: how
  // many clusters or listeners there are, and the bytes of the accepted resources of a type.
  size_t max_resources = 250'000;
  uint64_t max_bytes = uint64_t{1} << 30;
  // Delta: resources that came from elsewhere (another server, the last good configuration) and
  // that the server has not confirmed go this long after its first response. (State of the world:
  // with its first response.)
  int64_t foreign_grace_ns = 15 * base::kNsPerSec;
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

// TypeState answers, for one resource type of one server: what is wanted, what is held, what a
// response changes, and what to answer (xds.md 1.2 to 1.7; the comments name its rules). Here is
// what both protocol variants share; SotwState (sotw.h) and DeltaState (delta.h) add how names
// travel and what a response says of those that it does not bring.
//
// It knows no channel, posts nothing and reads no clock: `now` is given. Names, accepted versions
// and accepted resources outlive streams; nonces die with them. Owned by Client; main only.
// Cost: a response costs the hash of its bytes, one look-up per resource, and two copies of each
// resource that changed.
//
// Names are in normal form (resource_name.h): who subscribes gives them so, and those of responses
// are brought into it. A subscribed glob collection stands for all that is in it; of types that are
// full states only.
//
// Life of a response: take() -> Verdict. kApply: hand over take_update(), and call applied() with
// what came back, maybe much later and maybe on another stream. Until applied() and until the
// answer was fetched with next_request() no other response may be given (can_take()): so each
// response gets exactly one answer (rule 26).
class TypeState {
 public:
  virtual ~TypeState() = default;
  TypeState(const TypeState&) = delete;
  TypeState& operator=(const TypeState&) = delete;

  // --- Interest. True: a request may be due.
  bool subscribe_all(base::MonoNs now);
  bool unsubscribe_all();                                   // what is left are names (rule 61)
  bool subscribe(std::string_view name, base::MonoNs now);  // counted
  bool unsubscribe(std::string_view name);
  bool interested() const noexcept { return wildcard_ || !names_.empty(); }
  // Subscribes `other`, which has no interest yet, to the same.
  void copy_interest(TypeState& other) const;

  // --- Streams.
  void stream_opened(base::MonoNs now);
  void stream_closed();
  // The next stream leads to another server, which knows nothing of our versions (rules 12, 25).
  void server_changed();

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
  // Accepted resources for subscribers who came later, restored ones, and the removal of expired
  // ones (TTL); none while something is being applied. applied() follows.
  std::optional<Update> take_cached(base::MonoNs now);

  // --- Requests. None while a response is being applied.
  bool request_due(base::MonoNs now) const noexcept;
  // The bytes of the request that is due; `node` is put into it as it is.
  virtual std::string next_request(std::string_view node) = 0;
  // A response waits behind a delayed NACK: send that NACK now.
  void hurry() noexcept { answer_at_ = 0; }

  // --- The last good configuration (last_good.h). What is restored is given to subscribers from
  // use_restored() on, as long as no response has come.
  void restore(std::string_view name, std::string_view version, std::string_view bytes);
  void use_restored();
  // Restored resources that the control plane has not confirmed or replaced.
  size_t num_restored() const noexcept { return num_restored_; }
  // A response was accepted, in whole or in part, since the beginning.
  bool live() const noexcept { return live_; }

  // --- Time.
  // When something becomes due by itself: a delayed answer, a fetch timeout, a TTL. INT64_MAX:
  // nothing.
  base::MonoNs wake_at() const noexcept;
  // Names whose initial fetch timed out ("" stands for the wildcard); they stay subscribed.
  std::vector<std::string> expired_fetches(base::MonoNs now);

  // --- What is known.
  Type type() const noexcept { return type_; }
  const TypeStats& stats() const noexcept { return stats_; }
  // version_info (SotW), system_version_info (delta) of the last response that was accepted.
  const std::string& version() const noexcept { return version_; }
  const std::map<std::string, ErrorState, std::less<>>& errors() const noexcept { return errors_; }
  struct Held {
    std::string_view name;
    std::string_view version;
    std::string_view bytes;
    base::WallNs accepted_at = 0;
    bool restored = false;
  };
  // Calls fn(Held) for each accepted resource in use.
  template <typename Fn>
  void for_each_resource(Fn&& fn) const;
  bool holds(std::string_view name) const;
  const std::string& last_nack() const noexcept { return rejected_error_; }
  // The stream was lost, or there is no answer that can be read: `update_failure`.
  void count_failure() noexcept;

 protected:
  struct Interest {
    uint32_t count = 0;
    bool waiting = false;         // for its first resource
    base::MonoNs timeout_at = 0;  // 0: never
  };
  struct Changed {
    size_t index;           // in response.resources
    std::string_view name;  // as it was asked for: the resource's, or an alias
  };
  struct InFlight {
    // What there is when this is applied, as far as it is known while it is sorted out.
    size_t num_held = 0;
    uint64_t bytes_held = 0;
    std::unique_ptr<std::string> bytes;
    WireResponse response;
    std::vector<Changed> changed;
    std::vector<std::string> removed;
    std::vector<std::string> cached;  // given by take_cached()
    std::vector<Rejected> rejected;   // before the sink saw them
    std::deque<std::string> names;    // that are not as they came: made up, or in normal form
    uint64_t stream = 0;
    uint64_t interest = 0;
    base::MonoNs since = 0;
    bool answerable = true;  // false: from take_cached()
  };
  using Names = absl::flat_hash_set<absl::string_view>;

  // `delta`: versions are the resources' own, and a response brings changes only.
  TypeState(Type type, TypeOptions options, bool delta);

  // --- What the variants do.
  // Interest in a name ("*": the wildcard) began or ended.
  virtual void interest_changed(std::string_view name, bool wanted) = 0;
  // Names are due that the server does not know, on a stream that has asked before.
  virtual bool names_due() const noexcept = 0;
  // A new stream: nothing was said on it.
  virtual void forget_stream() = 0;
  // Fills flight.changed, removed and rejected, and update(), of a response. False: nothing of it
  // may be applied.
  virtual bool sort_out(InFlight& flight, base::MonoNs now) = 0;

  // --- What they use.
  // The wildcard means everything, what goes is taken away.
  bool full_state() const noexcept { return traits_of(type_).wildcard; }
  bool wanted(std::string_view name) const;
  // The waits for the collection that holds `name` end, and subscribers are told so.
  void end_collection_wait(std::string_view name);
  Accepted* cached(std::string_view name) const { return cache_.find(name); }  // null: none
  bool name_and_check(InFlight& flight, size_t index);
  void sort_one(InFlight& flight, size_t index, std::string_view name, base::MonoNs now);
  bool make_room(InFlight& flight, const WireResource& resource, std::string_view name);
  void skip_one(InFlight& flight, size_t index);  // nobody asked for it
  bool stop_wait(std::string_view name);
  void set_ttl(Accepted& entry, int64_t ttl_ns, base::MonoNs now);
  void lose(Accepted& entry);  // the server has it no more
  void count_empty() noexcept { ++stats_.update_empty; }
  // Of the answer that is due, which this takes: its error; empty: an ACK, or no answer.
  std::string take_answer();

  bool asked() const noexcept { return asked_; }
  bool wildcard() const noexcept { return wildcard_; }
  const absl::btree_map<std::string, Interest, std::less<>>& names() const noexcept {
    return names_;
  }
  const AcceptedResources& cache() const noexcept { return cache_; }
  const std::string& nonce() const noexcept { return nonce_; }
  // Versions are a server's own (rule 25).
  std::string_view request_version() const noexcept {
    return foreign_version_ ? std::string_view() : version_;
  }
  const TypeOptions& options() const noexcept { return options_; }
  Update& update() noexcept { return update_; }
  void mark_asked() noexcept { asked_ = true; }

 private:
  // A response of this type lists everything that there is.
  bool lists_everything() const noexcept { return !delta_ && full_state(); }
  void count_held(InFlight& flight);
  std::string_view version_of(const WireResponse& response,
                              const WireResource& resource) const noexcept;
  void start_wait(std::string_view name, Interest& interest, base::MonoNs now);
  bool in_collection(std::string_view name) const;
  void drop_collection(std::string_view name);
  static void normalise(InFlight& flight);
  bool is_repeated(const WireResponse& response) const noexcept;
  void answer_repeated(base::MonoNs now);
  void refresh_unused(const Accepted& known, const WireResource& resource,
                      std::string_view version);
  void applied_response(InFlight flight, std::vector<Rejected> rejected, base::MonoNs now,
                        base::WallNs wall);
  void applied_cached(const InFlight& flight, const std::vector<Rejected>& rejected,
                      base::WallNs wall);
  void accept(const WireResource& resource, std::string_view name, std::string_view version,
              base::MonoNs now, base::WallNs wall);
  void keep_errors(const InFlight& flight, const std::vector<Rejected>& rejected,
                   base::WallNs wall);
  void accept_version(std::string_view version, base::WallNs wall);
  void replay_restored();
  void went_live();
  void greeted(base::MonoNs now);
  void confirmed(Accepted& entry) noexcept;
  void keep_foreign(std::string_view name);
  void set_unused(Accepted& entry);
  void forget(Accepted& entry);
  void drop_ended_waits() noexcept;
  void answer(std::string error, base::MonoNs at);

  Type type_;
  TypeOptions options_;
  bool delta_;

  // Interest.
  bool wildcard_ = false;
  Interest all_;  // of the wildcard
  absl::btree_map<std::string, Interest, std::less<>> names_;
  size_t num_globs_ = 0;                                    // of names_: collections
  std::deque<std::pair<base::MonoNs, std::string>> waits_;  // deadlines in order; some are over
  uint64_t interest_ = 0;                                   // changes of interest so far

  // The stream.
  uint64_t stream_ = 0;  // ordinal
  bool open_ = false;
  bool asked_ = false;  // sent any request
  std::string nonce_;

  // Responses and their answers.
  std::string version_;
  bool foreign_version_ = false;  // of another server than the one that we talk to now
  bool greeted_ = false;          // that server has sent a response
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
  AcceptedResources cache_;
  std::set<std::pair<base::MonoNs, std::string>> expiries_;
  std::map<uint64_t, std::string> unused_;  // oldest first
  uint64_t last_unused_ = 0;
  std::set<std::string, std::less<>> replay_;  // subscribed again, to be given from the cache
  std::map<std::string, ErrorState, std::less<>> errors_;
  size_t num_restored_ = 0;
  bool restored_usable_ = false;
  bool live_ = false;

  TypeStats stats_;
};

template <typename Fn>
void TypeState::for_each_resource(Fn&& fn) const {
  cache_.for_each([&](const Accepted& entry) {
    if (entry.unchecked || !wanted(entry.name())) return;
    fn(Held{entry.name(), entry.version(), entry.bytes(), entry.accepted_at, entry.restored});
  });
}

}  // namespace sluice::xds
