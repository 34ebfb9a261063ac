#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/hazard.h"
#include "base/lease.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/stat_groups.h"
#include "dataplane/access_log.h"
#include "dataplane/exchange.h"
#include "dataplane/h1_session.h"
#include "dataplane/h2_session.h"
#include "dataplane/on_demand.h"
#include "dataplane/tables.h"
#include "net/listener_socket.h"
#include "net/loop.h"

namespace sluice::dataplane {

// WorkerListener is one listener as one worker has it open: its sockets, its sessions, and what new
// connections get. Worker-local.
struct WorkerListener {
  WorkerListener(Worker& w, const std::shared_ptr<SocketSet>& set);
  // No connection comes any more.
  void stop_accepting() noexcept;
  bool accepts() const noexcept { return acceptor != nullptr; }
  Worker& worker;
  std::shared_ptr<SocketSet> sockets;
  std::unique_ptr<net::Acceptor> acceptor;  // null: draining
  // One of the two, with its cells.
  base::Lease<HttpConfig> config;
  base::Lease<TcpConfig> tcp;
  base::WorkerCells<base::ListenerCells> cells;
  base::WorkerCells<base::ListenerWorkerCells> own_cells;
  std::shared_ptr<HttpSessionCells> http_cells;
  std::shared_ptr<base::WorkerCells<base::TcpCells>> tcp_cells;
  net::List sessions;
  uint32_t num_sessions = 0;
  uint32_t buffer_limit_bytes = 1024 * 1024;
  bool exact_balance = false;
  base::MonoNs draining_until = 0;
  bool seen = false;  // while adopting
};

// How a worker asks main for what a request lacks. The call comes on main.
struct AskHook {
  void (*call)(void* context, OnDemand::Question&& question) noexcept = nullptr;
  void* context = nullptr;
};

// Worker is one traffic thread: a loop, the adopted tables, sessions, pools, memory, statistics. It
// shares nothing that it writes. Made on main; run() is its thread; everything else is called on
// that thread, but for post-like calls marked so.
class Worker {
 public:
  struct Options {
    uint32_t index = 0;
    uint32_t num_workers = 1;
    base::Clock::Kind clock = base::Clock::Kind::kSystem;
  };
  // What the worker shares with main; all of it outlives the worker.
  struct Shared {
    base::Mailbox& main;
    base::HazardDomain<Tables>& tables;
    base::StatsStore& stats;
    base::DropHook drop;        // destroys parts off the workers
    base::DrainedHook reclaim;  // main: rescan the hazard slots
    AskHook ask;
    AccessLogFlusher* flusher = nullptr;
    int64_t drain_ns = 600 * base::kNsPerSec;  // --drain-time-s
  };

  Worker(const Options& options, const Shared& shared);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void run();
  // Any thread.
  void stop() noexcept { loop_.stop(); }
  net::Loop& loop() noexcept { return loop_; }
  uint32_t index() const noexcept { return options_.index; }

  // Stop accepting, tell sessions to finish, and close what is left after `within_ns`. drained()
  // when the last one is gone.
  void drain(int64_t within_ns) noexcept;
  bool drained() const noexcept { return num_sessions_ == 0; }
  // Closes everything; run() ends with it. For a worker that was never run, call it on main.
  void close_all() noexcept;

  // ---- For sessions and exchanges.
  const Tables* tables() const noexcept { return reader_->current(); }
  base::Pin<Tables> pin() noexcept { return reader_->pin(); }
  base::BlockPool& blocks() noexcept { return blocks_; }
  base::LeaseBook& leases() noexcept { return leases_; }
  base::Random& random() noexcept { return random_; }
  base::Slab& slab() noexcept { return slab_; }
  base::H2Cells& h2_cells() noexcept { return *h2_cells_; }
  base::CostHistograms& costs() noexcept { return costs_; }  // any thread may read
  // Routing, the chain and the whole of every exchange; the other spans of one in 16, so that
  // all metrics together stay below 2 % of a request (contract, section 2).
  void record_costs(const base::Stamps& stamps) noexcept {
    if ((++num_recorded_ & 15) == 0) {
      costs_.record(stamps);
    } else {
      costs_.record_always(stamps);
    }
  }
  // Of one exchange in 64, what each filter costs (a stamp costs 8 ns itself); null for the others.
  base::Histogram* sample_filters() noexcept {
    return (++num_filtered_ & 63) == 0 ? filter_costs_->spans : nullptr;
  }
  const filters::FilterCosts& filter_costs() const noexcept { return *filter_costs_; }
  base::TurnCells& cells() noexcept { return *cells_; }
  WorkerAccessLog* access_log() noexcept { return access_log_.get(); }
  // "Sun, 06 Nov 1994 08:49:37 GMT", of this second.
  std::string_view date() noexcept;
  uint64_t next_id() noexcept { return next_id_ += options_.num_workers; }

  Exchange* take_exchange();
  void give_exchange(Exchange* exchange) noexcept;
  net::List& exchanges() noexcept { return exchanges_; }
  OnDemand& on_demand() noexcept { return on_demand_; }
  // False: main is gone.
  bool ask_main(OnDemand::Question&& question);
  // From main: adopts what was published before.
  void on_demand_answered(uint64_t id, OnDemand::Answer answer) noexcept;
  UpstreamCluster& cluster(const upstream::ClusterEntry& entry);
  void session_closed(Session& session) noexcept;
  // `old` turned out to speak HTTP/2: what it received goes on as another session, here or at the
  // worker that has fewer of those.
  void become_http2(H1Session& old, int fd, base::BlockRef block, uint32_t at) noexcept;
  bool draining() const noexcept { return draining_; }
  // A log line waits: the timer that hands it on must run.
  void note_log_line() noexcept;

  // For admin, by post: what there is now.
  struct Census {
    uint32_t sessions = 0;
    uint32_t exchanges = 0;
    uint64_t block_bytes_out = 0;
    uint64_t block_bytes_free = 0;
    uint64_t tables_version = 0;
    net::LoopCounters loop;
  };
  Census census() const noexcept;
  // An endpoint that this worker has had to do with.
  struct HostRow {
    uint32_t cluster = 0;                    // its slot
    const base::StatScope* scope = nullptr;  // and its scope, as slots are used again
    base::Address address;
    upstream::HostCounts counts;
  };
  // For admin, by post, a piece at a time so that a turn stays short: whole clusters from *slot on,
  // until a thousand rows are there. False: that was the last piece.
  bool list_hosts(uint32_t* slot, std::vector<HostRow>* out) const;

 private:
  friend struct WorkerListener;
  void on_turn_begin() noexcept;
  void adopt() noexcept;
  void adopt_listeners() noexcept;
  void adopt_clusters(uint64_t from_version) noexcept;
  void retire_cluster(uint32_t slot) noexcept;
  void drop_unused_clusters() noexcept;
  void open_listener(const ListenerEntry& entry, const std::shared_ptr<SocketSet>& sockets);
  void drain_listener(std::unique_ptr<WorkerListener> listener, int64_t within_ns) noexcept;
  void drop_empty_listeners() noexcept;
  void on_second() noexcept;
  void hand_over_old_exchanges() noexcept;
  void on_accept(WorkerListener& listener, int fd, const sockaddr_storage& peer,
                 socklen_t length) noexcept;
  void open_session(WorkerListener& listener, int fd, const base::Address& peer,
                    bool counted) noexcept;
  bool start_session(WorkerListener& listener, int fd, const base::Address& peer,
                     bool counted) noexcept;
  bool start_tcp(WorkerListener& listener, int fd, const base::Address& peer,
                 bool counted) noexcept;
  void session_opened(Session& session, bool counted) noexcept;
  void session_left(Session& session) noexcept;
  // Connections that another worker accepted, or is to have.
  Worker& choose(WorkerListener& listener) noexcept;
  bool hand_over(Worker& to, std::unique_ptr<HandOver> connection) noexcept;
  bool hand_over_http2(H1Session& old, Worker& to, int fd, std::string_view received) noexcept;
  static void on_hand_over(base::Post* post) noexcept;
  void take_over(HandOver& connection) noexcept;
  bool take_over_http2(WorkerListener& listener, HandOver& connection) noexcept;
  WorkerListener* listener_of(const SocketSet& sockets) noexcept;
  static void on_drained_version(void* self) noexcept;

  Options options_;
  Shared shared_;
  base::BlockPool blocks_;  // before the loop: views of streams come from it
  base::Slab slab_;         // nghttp2's memory
  net::Loop loop_;
  base::HazardDomain<Tables>::ReaderPtr reader_;
  base::Nudge reclaim_nudge_;
  base::LeaseBook leases_;
  base::Random random_;

  base::WorkerCells<base::TurnCells> cells_;
  base::WorkerCells<base::H2Cells> h2_cells_;  // of downstream connections
  base::CostHistograms costs_;
  uint32_t num_recorded_ = 0;
  uint32_t num_filtered_ = 0;
  std::unique_ptr<filters::FilterCosts> filter_costs_ = std::make_unique<filters::FilterCosts>();
  std::unique_ptr<WorkerAccessLog> access_log_;
  // Slot: router::ClusterId.
  std::vector<std::unique_ptr<UpstreamCluster>> clusters_;
  std::vector<std::unique_ptr<UpstreamCluster>> retired_clusters_;
  std::vector<std::unique_ptr<WorkerListener>> listeners_;
  std::vector<std::unique_ptr<WorkerListener>> draining_listeners_;
  const ListenerSet* adopted_listeners_ = nullptr;
  OnDemand on_demand_{*this};           // requests that wait for configuration
  net::List exchanges_;                 // in use
  std::vector<void*> spare_exchanges_;  // memory of exchanges, ready for the next
  net::Call turn_begin_ = net::Call::of<&Worker::on_turn_begin>(this);
  net::Timer second_ = net::Timer::of<&Worker::on_second>(this);
  uint64_t adopted_version_ = 0;
  uint64_t next_id_ = 0;
  uint32_t num_sessions_ = 0;
  bool draining_ = false;
  base::MonoNs log_flushed_at_ = 0;
  int64_t date_second_ = -1;
  char date_[32] = {};
};

}  // namespace sluice::dataplane
