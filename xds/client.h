#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "xds/backoff.h"
#include "xds/resources.h"
#include "xds/sotw.h"
#include "xds/transport.h"

namespace sluice::xds {

constexpr size_t kNumTypes = static_cast<size_t>(Type::kCount);

// Envoy's rate_limit_settings (rule 11).
struct RequestRate {
  uint32_t max_tokens = 100;
  double tokens_per_second = 10;
};

enum class Severity : uint8_t { kDebug, kInfo, kWarning };

struct ClientOptions {
  std::string node;  // serialised envoy.config.core.v3.Node
  bool node_on_first_message_only = false;
  std::array<SotwOptions, kNumTypes> types;  // by Type
  int64_t backoff_base_ns = 500 * base::kNsPerMs;
  int64_t backoff_max_ns = 30 * base::kNsPerSec;
  std::optional<RequestRate> rate_limit;                // none: no limit
  std::function<uint64_t()> random;                     // empty: std::random_device's
  std::function<void(Severity, std::string_view)> log;  // empty: silent
};

// control_plane.* of /stats, and some counts of ours.
struct ControlPlaneStats {
  bool connected_state = false;
  std::string identifier;
  uint64_t pending_requests = 0;
  uint64_t rate_limit_enforced = 0;
  uint64_t streams_opened = 0;
  uint64_t streams_closed = 0;
  uint64_t requests_sent = 0;
  uint64_t responses_received = 0;
  uint64_t responses_malformed = 0;
  std::string last_error;  // why the last stream ended
};

// Client keeps the subscriptions of one control plane: one ADS stream with all types on it, state
// of the world (rule 3). It takes names from Subscriptions, gives updates to the sink, and answers
// each response exactly once.
//
// Lives on main; `transport`, `sink` and `executor` outlive it. The first stream opens with the
// first subscription. A stream that ends is opened again for ever; what was accepted stays
// (rules 9, 116). After a stream that brought messages the next try comes within backoff_base, and
// the transport looks for an absent server every second or so: so the stream is back within two
// seconds of the server's return. A server that takes streams and ends them without a message is
// left alone for longer each time, up to backoff_max (rule 10).
// Memory is bounded: accepted resources, and per type one response in work; one more may wait, then
// nothing is read from the stream.
// Calls into the sink and calls from it (subscribe, done) may nest freely.
// Another server, delta, and a stream per type are more Clients or siblings of it: the seam to
// resources stays Subscriptions and ResourceSink.
class Client final : public Subscriptions, private StreamEvents {
 public:
  Client(ClientOptions options, Transport& transport, ResourceSink& sink, Executor& executor);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Subscriptions. A subscriber of a name that is cached gets the cached resource at once, through
  // sink.apply(), without waiting for the server (rules 94, 95), if it is the first of that name.
  void subscribe_all(Type type) override;
  void unsubscribe_all(Type type);
  void subscribe(Type type, std::string_view name) override;
  void unsubscribe(Type type, std::string_view name) override;
  void begin_batch() override;
  void end_batch() override;

  // Ends the stream and opens no other. Also done by the destructor.
  void stop();

  // What admin shows.
  const ControlPlaneStats& control_plane() const noexcept { return control_plane_; }
  const SotwState& state(Type type) const noexcept { return state_of(type); }
  const TypeStats& stats(Type type) const noexcept { return state_of(type).stats(); }

 private:
  // StreamEvents.
  void on_sent() override;
  void on_message(std::string bytes) override;
  void on_closed(const absl::Status& status) override;

  struct Waiting {  // a response behind one of its type that is in work
    Type type;
    std::unique_ptr<std::string> bytes;
    WireResponse response;
  };

  SotwState& state_of(Type type) noexcept { return states_[static_cast<size_t>(type)]; }
  const SotwState& state_of(Type type) const noexcept { return states_[static_cast<size_t>(type)]; }
  void interest(Type type);  // remembers the order of first use
  void touch();              // something may be due: run() soon, once
  void run();
  void open_stream();
  void lost_stream(const absl::Status& status);
  void take_waiting();
  void take(Waiting response);
  void give(Type type, Update update);
  void applied(Type type, std::vector<Rejected> rejected);
  void give_cached();
  void report_timeouts();
  void send_requests();
  bool held(Type type) const noexcept;  // rule 32
  bool take_token();
  void send(SotwState& state);
  void read_on();
  void arm();
  void log(Severity severity, std::string_view text) const;

  ClientOptions options_;
  Transport& transport_;
  ResourceSink& sink_;
  Executor& executor_;

  std::vector<SotwState> states_;  // by Type
  std::vector<Type> order_;        // by first subscription (rules 6, 117)
  std::array<bool, kNumTypes> applying_{};
  std::optional<Waiting> waiting_;

  std::unique_ptr<Stream> stream_;
  bool sending_ = false;
  bool reading_ = false;
  bool node_sent_ = false;
  bool got_message_ = false;
  bool stopped_ = false;
  base::MonoNs open_at_ = 0;  // when to open the next stream
  Backoff backoff_;

  double tokens_ = 0;
  base::MonoNs tokens_at_ = 0;
  bool throttled_ = false;
  base::MonoNs token_at_ = 0;

  int batch_ = 0;
  bool touched_ = false;
  Executor::TimerId timer_ = 0;
  base::MonoNs timer_at_ = 0;

  ControlPlaneStats control_plane_;
  std::shared_ptr<Client*> self_;  // for what is posted: null once this is gone
};

}  // namespace sluice::xds
