#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/hazard.h"
#include "base/stats.h"
#include "dataplane/access_log.h"
#include "dataplane/compile_pool.h"
#include "dataplane/tables.h"
#include "dataplane/tables_builder.h"
#include "dataplane/worker.h"
#include "net/loop.h"

namespace sluice::dataplane {

// Server owns the threads of the data plane and what they share: main's loop (xDS, admin, timers of
// cold things, reclamation), the compile pool, the log flusher and the workers. It knows no
// configuration format: somebody puts changes into builder() and calls publish().
//
// Made and used on main. Order of life: start() once the first tables are there, run() until
// stop(), then the destructor joins everything. Errors: start() says why a thread or socket could
// not be had.
class Server {
 public:
  struct Options {
    uint32_t concurrency = 1;
    int64_t drain_ns = 600 * base::kNsPerSec;
    AccessLogFlusher::Options access_log;
    base::Clock::Kind clock = base::Clock::Kind::kSystem;
  };
  explicit Server(const Options& options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  TablesBuilder& builder() noexcept { return *builder_; }
  net::Loop& main() noexcept { return main_; }
  CompilePool& pool() noexcept { return *pool_; }
  base::StatsStore& stats() noexcept { return stats_; }
  AccessLogFlusher& access_log() noexcept { return *flusher_; }
  const Options& options() const noexcept { return options_; }

  // Publishes what builder() has pending and wakes every worker; nothing if nothing is pending.
  void publish();
  // Starts the workers. Tables must have been published.
  void start();
  bool started() const noexcept { return !workers_.empty() && threads_started_; }
  // Runs main's loop until stop().
  void run() { main_.run(); }
  void stop() noexcept { main_.stop(); }

  // Stops accepting, lets exchanges finish; `done` is called on main when the last session has
  // closed or after `within_ns`. Asked again while it drains, it only takes the new `done`, if any.
  void drain(int64_t within_ns, std::function<void()> done);
  bool draining() const noexcept { return draining_; }

  // ---- On demand (on_demand.h).
  // Who answers what requests lack; without one all is refused.
  void set_on_demand(std::function<void(OnDemand::Question)> ask) { ask_ = std::move(ask); }
  // Of a question's worker and id, after the publish that it follows from.
  void answer(uint32_t worker, uint64_t id, OnDemand::Answer answer);

  // ---- For admin.
  base::HazardDomain<Tables>& tables() noexcept { return tables_; }
  // Asks every worker; `done` gets one census each, on main.
  void take_census(std::function<void(std::vector<Worker::Census>)> done);
  // What all workers counted of their endpoints, by cluster slot, its scope, and address. Workers
  // are asked piece by piece; `done` gets the sums, on main.
  using HostKey = std::tuple<uint32_t, const base::StatScope*, base::Address>;
  using HostSums = absl::flat_hash_map<HostKey, upstream::HostCounts>;
  void count_hosts(std::function<void(HostSums)> done);
  // Sums of all workers' costs.
  std::vector<base::HistogramSnapshot> costs() const;
  // And of each kind of filter, requests then responses: of one exchange in 64.
  std::vector<base::HistogramSnapshot> filter_costs() const;
  uint32_t num_workers() const noexcept { return options_.concurrency; }
  // Publish to effect on the slowest worker, the last one measured; -1 while it is under way.
  int64_t publish_to_effect_ns() const;

 private:
  static void on_reclaim(void* self) noexcept;
  static void on_drop(void* self, std::shared_ptr<const void>&& part) noexcept;
  static void on_adopt_nudge(void*) noexcept {}
  static void on_ask(void* self, OnDemand::Question&& question) noexcept;
  void reclaim();
  void check_drained();
  struct HostsRound;
  void ask_hosts(const std::shared_ptr<HostsRound>& round, size_t worker, uint32_t slot);

  Options options_;
  base::StatsStore stats_;
  std::unique_ptr<AccessLogFlusher> flusher_;
  std::unique_ptr<TablesBuilder> builder_;
  std::unique_ptr<CompilePool> pool_;
  base::HazardDomain<Tables> tables_;
  net::Loop main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<base::Nudge>> wake_workers_;
  std::vector<std::thread> threads_;
  bool threads_started_ = false;
  bool draining_ = false;
  base::MonoNs drain_deadline_ = 0;
  std::function<void()> drained_;
  std::function<void(OnDemand::Question)> ask_;
  net::Timer drain_timer_ = net::Timer::of<&Server::check_drained>(this);
  base::MonoNs published_at_ = 0;
  base::MonoNs swept_at_ = 0;
};

}  // namespace sluice::dataplane
