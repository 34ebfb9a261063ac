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

#include "xds/resources.h"
#include "xds/server_choice.h"
#include "xds/transport.h"
#include "xds/type_state.h"

namespace sluice::xds {

// Envoy's rate_limit_settings (rule 11).
struct RequestRate {
  uint32_t max_tokens = 100;
  double tokens_per_second = 10;
};

enum class Severity : uint8_t { kDebug, kInfo, kWarning };

// A resource of the last good configuration (last_good.h).
struct RestoredResource {
  uint64_t source = 0;  // SourceValue::lasting
  Type type = Type::kCluster;
  std::string name;
  std::string version;
  std::string bytes;
};

struct ClientOptions {
  SourceId source = kAds;
  bool delta = false;
  std::string method;                   // empty: the aggregated stream's
  std::string label = "control plane";  // in the log
  std::string node;                     // serialised envoy.config.core.v3.Node
  bool node_on_first_message_only = false;
  std::array<TypeOptions, kNumTypes> types;  // by Type
  int64_t backoff_base_ns = 500 * base::kNsPerMs;
  int64_t backoff_max_ns = 30 * base::kNsPerSec;
  // Of several servers one that takes the stream and the first request and says nothing is left for
  // the next one after this long. A single one may be silent as long as it likes (rule 27).
  int64_t silent_server_ns = 15 * base::kNsPerSec;
  std::optional<RequestRate> rate_limit;  // none: no limit
  // Given to subscribers if the server has not answered within restored_wait_ns, or its stream
  // failed, whichever is first; until the first response.
  std::vector<RestoredResource> restored;
  int64_t restored_wait_ns = 2 * base::kNsPerSec;
  std::function<void()> on_accepted;                    // something was accepted; empty: not told
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

// Client keeps the subscriptions of one configuration source: one stream to one server at a time,
// with one type or with all of them on it (rule 3), state of the world or delta. It gives updates
// to the sink and answers each response exactly once.
//
// Lives on main; `transports`, `sink` and `executor` outlive it. The first stream opens with the
// first subscription. A stream that ends is opened again for ever; what was accepted stays
// (rules 9, 116). After a stream that brought messages the next try comes within backoff_base, and
// the transport looks for an absent server every second or so: so the stream is back within two
// seconds of the server's return. A server that takes streams and ends them without a message is
// left alone for longer each time, up to backoff_max (rule 10). Of several servers the first is
// preferred: ServerChoice says when another one is used, Probe when the first one works again.
// Memory is bounded: accepted resources, and per type one response in work; one more may wait, then
// nothing is read from the stream.
// Calls into the sink and calls from it (subscribe, done) may nest freely.
class Client final : private StreamEvents {
 public:
  Client(ClientOptions options, std::vector<Transport*> transports, ResourceSink& sink,
         Executor& executor);
  Client(ClientOptions options, Transport& transport, ResourceSink& sink, Executor& executor);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // A subscriber of a name that is cached gets the cached resource at once, through sink.apply(),
  // without waiting for the server (rules 94, 95), if it is the first of that name. Changes made
  // between begin_batch() and end_batch() (nestable) become one request per type.
  void subscribe_all(Type type);
  void unsubscribe_all(Type type);
  void subscribe(Type type, std::string_view name);
  void unsubscribe(Type type, std::string_view name);
  void begin_batch();
  void end_batch();
  bool interested() const noexcept;

  // Ends the stream and opens no other. Also done by the destructor.
  void stop();

  // What admin shows.
  const ControlPlaneStats& control_plane() const noexcept { return control_plane_; }
  const TypeState& state(Type type) const noexcept { return *states_[static_cast<size_t>(type)]; }
  const TypeStats& stats(Type type) const noexcept { return state(type).stats(); }
  size_t server() const noexcept { return choice_.current(); }  // index of the one in use

 private:
  // StreamEvents.
  void on_sent() override;
  void on_message(std::string bytes) override;
  void on_trouble(const absl::Status& status) override;
  void on_closed(const absl::Status& status) override;

  struct Waiting {  // a response behind one of its type that is in work
    Type type;
    std::unique_ptr<std::string> bytes;
    WireResponse response;
  };

  TypeState& state_of(Type type) noexcept { return *states_[static_cast<size_t>(type)]; }
  void interest(Type type);  // remembers the order of first use
  void touch();              // something may be due: run() soon, once
  void run();
  void open_stream();
  void lost_stream(const absl::Status& status, bool silent = false);
  bool is_silent() const noexcept;
  void change_server();
  void start_probe();
  std::string first_request() const;
  void back_to_first();
  void use_restored(std::string_view why);
  void take_waiting();
  void take(Waiting response);
  void give(Type type, Update update);
  void applied(Type type, std::vector<Rejected> rejected);
  void give_cached();
  void report_timeouts();
  void send_requests();
  bool held(Type type) const noexcept;  // rule 32
  bool take_token();
  void send(TypeState& state);
  void read_on();
  void arm();
  void log(Severity severity, std::string_view text) const;

  ClientOptions options_;
  const std::vector<Transport*> transports_;
  ResourceSink& sink_;
  Executor& executor_;

  std::vector<std::unique_ptr<TypeState>> states_;  // by Type
  std::vector<Type> order_;                         // by first subscription (rules 6, 117)
  std::array<bool, kNumTypes> applying_{};
  std::optional<Waiting> waiting_;

  std::unique_ptr<Stream> stream_;
  bool sending_ = false;
  bool reading_ = false;
  bool node_sent_ = false;
  bool connected_ = false;  // something was sent on this stream
  bool got_message_ = false;
  base::MonoNs silent_at_ = 0;  // without a message until then it is given up; 0: not
  bool stopped_ = false;
  base::MonoNs open_at_ = 0;  // when to open the next stream
  ServerChoice choice_;
  std::unique_ptr<Probe> probe_;  // while another than the first server is used
  base::MonoNs restored_at_ = 0;  // when to use what was restored; kNever: it was, or there is none

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
