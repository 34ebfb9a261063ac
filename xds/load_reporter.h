#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "xds/backoff.h"
#include "xds/client.h"
#include "xds/transport.h"

namespace envoy::service::load_stats::v3 {
class LoadStatsRequest;
class LoadStatsResponse;
}  // namespace envoy::service::load_stats::v3

namespace sluice::xds {

// What was counted of an endpoint since it is there.
struct EndpointLoad {
  base::Address address;
  std::string region, zone, sub_zone;
  uint32_t priority = 0;
  uint64_t issued = 0;
  uint64_t succeeded = 0;
  uint64_t failed = 0;
  uint64_t active = 0;  // now
};

struct ClusterLoad {
  std::string name;
  std::string service_name;  // EDS'
  uint64_t dropped = 0;      // refused by us: circuit breakers
  std::vector<EndpointLoad> endpoints;
};

// LoadReporter tells a load reporting server how much goes where (LRS, rule 139): a stream of its
// own, on which the server says of which clusters it wants to hear and how often.
//
// A report has what was counted since the one before: sums are kept as they were reported last, so
// that nothing is reset on the request path, and nothing is lost while the stream is away or a
// report waits to be sent. A stream that ends is opened again for ever, after a jittered back-off
// that a message resets; of several servers the next one is tried when one ends its stream without
// a message. Main only; transports, executor and what options refer to outlive it.
class LoadReporter final : private StreamEvents {
 public:
  // Gets the sums of all clusters together and hands them over, on main, now or later.
  using Collect = std::function<void(std::function<void(std::vector<ClusterLoad>)>)>;
  struct Options {
    std::string node;  // serialised envoy.config.core.v3.Node
    Collect collect;
    int64_t backoff_base_ns = base::kNsPerSec;
    int64_t backoff_max_ns = 30 * base::kNsPerSec;
    std::function<uint64_t()> random;                     // empty: std::random_device's
    std::function<void(Severity, std::string_view)> log;  // empty: silent
  };
  // A server that names no interval, or a shorter one than this, is told as often as this.
  static constexpr int64_t kShortestIntervalNs = 100 * base::kNsPerMs;

  LoadReporter(Options options, std::vector<Transport*> transports, Executor& executor);
  ~LoadReporter() override;
  LoadReporter(const LoadReporter&) = delete;
  LoadReporter& operator=(const LoadReporter&) = delete;

  void start();

  // load_reporter.* of /stats.
  struct Stats {
    uint64_t requests = 0;   // of the server
    uint64_t responses = 0;  // reports
    uint64_t errors = 0;     // streams that ended, answers that cannot be read
    uint64_t retries = 0;    // streams after the first
  };
  const Stats& stats() const noexcept { return stats_; }

 private:
  struct Sums {
    uint64_t issued = 0, succeeded = 0, failed = 0;
  };
  struct Reported {  // a cluster, as the last report left it
    base::MonoNs since = 0;
    uint64_t dropped = 0;
    std::map<std::string, Sums> endpoints;  // by address
  };
  using Request = envoy::service::load_stats::v3::LoadStatsRequest;
  using Response = envoy::service::load_stats::v3::LoadStatsResponse;

  // StreamEvents.
  void on_sent() override;
  void on_message(std::string bytes) override;
  void on_trouble(const absl::Status& status) override;
  void on_closed(const absl::Status& status) override;

  void open();
  void lost(std::string_view why);
  void begin_period(const Response& response);
  void collect(bool report);
  void take(std::vector<ClusterLoad> clusters, bool report);
  void add_cluster(const ClusterLoad& cluster, const Reported& before, Request* out) const;
  bool wants(const std::string& cluster) const;
  void arm();

  Options options_;
  const std::vector<Transport*> transports_;
  Executor& executor_;
  size_t server_ = 0;
  std::unique_ptr<Stream> stream_;
  bool sending_ = false;
  bool got_message_ = false;
  Backoff backoff_;

  // What the server asked for; survives streams, as the sums do.
  bool all_clusters_ = false;
  bool by_endpoint_ = false;
  std::set<std::string> wanted_;
  int64_t interval_ns_ = 0;  // 0: it has not said anything on this stream
  std::map<std::string, Reported> reported_;

  bool collecting_ = false;
  bool period_waits_ = false;  // a period begins when what is under way has come
  Executor::TimerId retry_timer_ = 0;
  Executor::TimerId report_timer_ = 0;
  Stats stats_;
  std::shared_ptr<LoadReporter*> self_;  // for what comes later: null once this is gone
};

}  // namespace sluice::xds
