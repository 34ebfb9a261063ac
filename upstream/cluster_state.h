#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/credit.h"
#include "base/lease.h"
#include "base/random.h"
#include "base/slab.h"
#include "upstream/cluster.h"
#include "upstream/h1_connection.h"
#include "upstream/h2_connection.h"
#include "upstream/host.h"

namespace sluice::upstream {

// What a user of the pools brings: its place in a host's queue.
struct PoolWaiter : public net::Link {};

// What a worker lends to all its clusters.
struct WorkerParts {
  net::Loop& loop;
  base::BlockPool& blocks;
  base::LeaseBook& leases;
  base::Random& random;
  base::Slab& slab;
};

// ClusterState is one cluster as one worker knows it: which endpoints there are (the immutable set
// is the tables'), its hosts with their pools, the balancer's cursor, and this worker's accounts
// with the circuit breakers.
//
// Worker-local; made when the worker's first request for the cluster comes, so an idle cluster
// costs nothing. bind() is called with the entry of the tables that the request runs with and does
// something only when the set or the transport part is another one: cost grows with the number of
// endpoints, once per push and worker. pick() and acquire() allocate nothing in steady state.
// Balancing (architecture, section 3): round robin over the set's precomputed order from a random
// start; least request by the power of two choices (or choice_count) over weighted random hosts,
// compared by requests per weight, as this worker counts them; random by the alias table.
// HTTP/1 pools (Envoy's rules): the most recently used idle connection first; else the request
// waits and a connection is opened for it; a host without any connection gets one even above the
// breaker. When connecting fails, all that waits for the host fails with it. HTTP/2: a stream on a
// connection that takes one, else the request waits, and connections are opened for as many as
// H2Pool::kAssumedStreams each.
template <class User>
class ClusterState {
 public:
  using HostT = Host<User>;
  using Connection = H1Connection<User>;
  using H2 = H2Connection<User>;
  // More choices than this change nothing that can be measured, and a pick must stay cheap whatever
  // choice_count the control plane sends.
  static constexpr uint32_t kMaxChoices = 32;

  ClusterState(const WorkerParts& parts, const std::shared_ptr<const Cluster>& cluster)
      : parts_(parts),
        cursor_(static_cast<uint32_t>(parts.random.next())),
        cells_(cluster->stats),
        scope_(cluster->stats.get()) {
    breakers_ = parts.leases.take(std::shared_ptr<const Breakers>(cluster->breakers));
    base::CreditPool* const pools = cluster->breakers->make(cluster->num_workers);
    accounts_[0] = std::make_unique<Accounts>(pools);
    accounts_[1] = std::make_unique<Accounts>(pools + kPoolsPerPriority);
  }
  ClusterState(const ClusterState&) = delete;
  ClusterState& operator=(const ClusterState&) = delete;
  // By then nobody uses it; what is left of connections goes with it.
  ~ClusterState() {
    drop_all();
    while (!retired_.empty()) {
      HostT& host = *retired_.back();
      ++host.holds;
      close_unused(host);
      retired_.pop_back();
    }
  }

  struct Accounts {
    explicit Accounts(base::CreditPool* pools)
        : connections(pools[0]), pending(pools[1]), requests(pools[2]), retries(pools[3]) {}
    base::WorkerCredit connections, pending, requests, retries;
  };
  base::ClusterCells& cells() noexcept { return *cells_; }
  // Tells clusters of the same slot apart: a name keeps its scope, another name has another.
  const base::StatScope* scope() const noexcept { return scope_; }
  // Exchanges that refer to this object.
  void add_user() noexcept { ++num_users_; }
  void drop_user() noexcept { --num_users_; }
  Accounts& accounts(uint8_t priority) noexcept { return *accounts_[priority != 0]; }

  void bind(const ClusterEntry& entry) {
    if (entry.endpoints->serial() == set_serial_ &&
        entry.cluster->transport->serial == transport_serial_) [[likely]] {
      return;
    }
    rebind(entry);
  }

  // Null: no endpoint is eligible.
  HostT* pick(const ClusterEntry& entry) {
    const EndpointSet& set = *entry.endpoints;
    const EndpointSet::Tier* tier = set.tier(parts_.random);
    if (tier == nullptr || tier->hosts.empty()) return nullptr;
    if (tier->panic) [[unlikely]]
      cells_->lb_healthy_panic.add();
    uint32_t index;
    switch (entry.cluster->balancer) {
      case ClusterValue::Balancer::kRoundRobin: {
        const std::span<const uint32_t> order = tier->in_turn();
        if (++cursor_ >= order.size()) cursor_ %= static_cast<uint32_t>(order.size());
        index = order[cursor_];
        break;
      }
      case ClusterValue::Balancer::kLeastRequest:
        index = pick_least(*tier, entry);
        break;
      default:
        index = tier->weighted_random(parts_.random);
        break;
    }
    HostT* host = by_index_[index];
    return host != nullptr ? host : open_host(index, entry);
  }

  // Gets `user` a connection to `host`: either calls user->on_pool_ready(connection) before it
  // returns, or queues the user, which then gets on_pool_ready() or on_pool_failed(reason, fault,
  // error) later, or leaves by unlinking itself and calling forget(). A reason other than kNone:
  // refused, nothing was queued.
  base::Reason acquire(HostT& host, User* user, uint8_t priority);
  // The same for a stream of HTTP/2, and for a connection of its own that carries a tunnel.
  base::Reason acquire_h2(HostT& host, User* user, uint8_t priority);
  base::Reason acquire_tcp(HostT& host, User* user, uint8_t priority) {
    return wait(host, user, PoolKind::kTcp, priority);
  }
  // The user gives up waiting for what it asked.
  void forget(HostT& host, User* user, PoolKind kind) noexcept {
    user->unlink();
    no_longer_waits(host.queue(kind), user);
  }

  void hold(HostT& host) noexcept {
    ++host.holds;
    ++host.active_requests;
  }
  void unhold(HostT& host) noexcept {
    --host.active_requests;
    if (--host.holds == 0 && host.removed) drop_if_unused(host);
  }

  // The cluster is gone from the tables, or the worker ends: no more connections are kept.
  void drop_all() noexcept;
  bool unused() const noexcept { return hosts_.empty() && retired_.empty() && num_users_ == 0; }

  uint32_t num_connections() const noexcept { return num_connections_; }
  const auto& hosts() const noexcept { return hosts_; }

 private:
  friend class H1Connection<User>;
  friend class H2Connection<User>;

  // From connections.
  void count_bytes(uint64_t received, uint64_t sent) noexcept {
    cells_->upstream_cx_rx_bytes_total.add(received);
    cells_->upstream_cx_tx_bytes_total.add(sent);
  }
  void on_connected(Connection& c) noexcept;
  void on_connected(H2& c) noexcept;
  template <class C>
  void on_connect_failed(C& c, base::Reason reason) noexcept;
  template <class C>
  void on_closed(C& c) noexcept;
  void on_idle(Connection& c) noexcept;
  void on_goaway(H2& c) noexcept;
  void on_more_streams(H2& c) noexcept {
    c.host().h2.settle(c);
    serve(c);
  }
  void on_no_more_streams(H2& c) noexcept { c.host().h2.set_ready(c, false); }
  void on_call_over(H2& c) noexcept;
  base::H2Cells& h2_cells() noexcept { return *h2_cells_; }

  void rebind(const ClusterEntry& entry);
  void move_one_host(const EndpointSet& set);
  HostT* open_host(uint32_t index, const ClusterEntry& entry);
  uint32_t pick_least(const EndpointSet::Tier& tier, const ClusterEntry& entry) noexcept;
  // Pools, cluster_pools.h.
  base::Reason wait(HostT& host, User* user, PoolKind kind, uint8_t priority);
  bool open(HostT& host, PoolKind kind, uint8_t priority);
  bool open_h1(HostT& host, PoolKind kind, base::Credit credit);
  bool open_h2(HostT& host, base::Credit credit);
  template <class C>
  bool begin(C* c, base::Credit credit);
  void open_for_those_that_wait(HostT& host, PoolKind kind);
  static void settle(Connection& c) noexcept {
    if (c.phase_ != Connection::Phase::kConnecting) return;
    c.phase_ = Connection::Phase::kHead;
    --c.host().queue(c.kind()).num_connecting;
  }
  static void settle(H2& c) noexcept { c.host().h2.settle(c); }
  void take_out(Connection& c) noexcept {
    if (c.phase_ == Connection::Phase::kIdle) unlink_idle(c);
    c.unlink();
  }
  void take_out(H2& c) noexcept {
    c.ready_ = false;
    c.unlink();
  }
  void serve(Connection& c) noexcept;
  void serve(H2& c) noexcept;
  void no_longer_waits(HostQueue& queue, User* user) noexcept {
    --queue.num;
    cells_->upstream_rq_pending_active.sub();
    user->set_pending_credit({});
  }
  // Null: nobody waits.
  User* next_that_waits(HostQueue& queue) noexcept;
  void fail_pending(HostT& host, HostQueue& queue, base::Reason reason, base::Fault fault,
                    int error) noexcept;
  void remove_host(HostT& host) noexcept;
  void drop_if_unused(HostT& host) noexcept;
  void unlink_idle(Connection& c) noexcept;
  // Idle connections, and those that are being opened for nobody any more.
  void close_unused(HostT& host) noexcept {
    for (net::Link* l = host.connections.next(nullptr); l != nullptr;) {
      Connection& c = *static_cast<Connection*>(l);
      l = host.connections.next(l);
      const bool awaited =
          c.phase_ == Connection::Phase::kConnecting && host.queue(c.kind()).num > 0;
      if (c.user() == nullptr && !awaited) c.close();
    }
    host.h2.drain();
  }

  uint64_t set_serial_ = 0;
  uint64_t transport_serial_ = 0;
  std::vector<HostT*> by_index_;
  WorkerParts parts_;
  uint32_t cursor_;
  uint32_t num_connections_ = 0;
  uint32_t num_users_ = 0;
  bool opening_ = false;
  base::WorkerCells<base::ClusterCells> cells_;
  base::WorkerCells<base::H2Cells> h2_cells_;
  const base::StatScope* scope_;
  std::unique_ptr<Accounts> accounts_[2];
  base::Lease<Breakers> breakers_;
  absl::flat_hash_map<base::Address, std::unique_ptr<HostT>> hosts_;
  std::vector<std::unique_ptr<HostT>> retired_;  // removed, but still in use
  uint64_t generation_ = 0;
};

template <class User>
void ClusterState<User>::rebind(const ClusterEntry& entry) {
  const auto& endpoints = entry.endpoints->endpoints();
  const bool new_transport = entry.cluster->transport->serial != transport_serial_;
  // Made with the first version whose endpoints may speak HTTP/2, and kept.
  if (!h2_cells_ && entry.cluster->h2_stats != nullptr) {
    h2_cells_ = base::WorkerCells<base::H2Cells>(entry.cluster->h2_stats);
  }
  set_serial_ = entry.endpoints->serial();
  transport_serial_ = entry.cluster->transport->serial;
  by_index_.assign(endpoints.size(), nullptr);
  ++generation_;
  if (!new_transport) {
    if (entry.endpoints->one_host()) move_one_host(*entry.endpoints);
    for (uint32_t i = 0; i < endpoints.size(); ++i) {
      const auto it = hosts_.find(endpoints[i].address);
      if (it == hosts_.end()) continue;
      by_index_[i] = it->second.get();
      it->second->generation = generation_;
    }
  }
  std::vector<base::Address> gone;
  for (const auto& [address, host] : hosts_) {
    if (host->generation != generation_) gone.push_back(address);
  }
  for (const base::Address& address : gone) {
    auto node = hosts_.extract(address);
    HostT& host = *node.mapped();
    retired_.push_back(std::move(node.mapped()));
    remove_host(host);
  }
}

// The host's next connections go to another address; those that it has stay.
template <class User>
void ClusterState<User>::move_one_host(const EndpointSet& set) {
  if (hosts_.size() != 1 || set.endpoints().size() != 1) return;
  const Endpoint& endpoint = set.endpoints()[0];
  if (hosts_.begin()->second->hostname != endpoint.hostname) return;  // exchanges refer to it
  auto node = hosts_.extract(hosts_.begin());
  HostT& host = *node.mapped();
  host.address = endpoint.address;
  host.address_text = endpoint.address.to_string();
  hosts_[endpoint.address] = std::move(node.mapped());
}

template <class User>
auto ClusterState<User>::open_host(uint32_t index, const ClusterEntry& entry) -> HostT* {
  const Endpoint& endpoint = entry.endpoints->endpoints()[index];
  auto host = std::make_unique<HostT>();
  host->cluster = this;
  host->transport = parts_.leases.take(entry.cluster->transport);
  host->address = endpoint.address;
  host->address_text = endpoint.address.to_string();
  host->hostname = endpoint.hostname;
  host->generation = generation_;
  by_index_[index] = host.get();
  return (hosts_[endpoint.address] = std::move(host)).get();
}

template <class User>
uint32_t ClusterState<User>::pick_least(const EndpointSet::Tier& tier,
                                        const ClusterEntry& entry) noexcept {
  const auto& endpoints = entry.endpoints->endpoints();
  uint32_t best = tier.weighted_random(parts_.random);
  const auto load = [&](uint32_t i) {
    return by_index_[i] == nullptr ? uint64_t{0} : uint64_t{by_index_[i]->active_requests};
  };
  const uint32_t choices = std::min(entry.cluster->choice_count, kMaxChoices);
  for (uint32_t n = 1; n < choices; ++n) {
    const uint32_t other = tier.weighted_random(parts_.random);
    if (load(other) * endpoints[best].weight < load(best) * endpoints[other].weight) best = other;
  }
  return best;
}

template <class User>
void ClusterState<User>::remove_host(HostT& host) noexcept {
  host.removed = true;
  ++host.holds;  // it must not go while its connections do
  close_unused(host);
  --host.holds;
  drop_if_unused(host);
}

template <class User>
void ClusterState<User>::drop_if_unused(HostT& host) noexcept {
  if (!host.removed || host.holds != 0 || host.num_connections != 0 || host.h1.num != 0 ||
      host.h2.num != 0 || host.tcp.num != 0) {
    return;
  }
  for (size_t i = 0; i < retired_.size(); ++i) {
    if (retired_[i].get() != &host) continue;
    std::swap(retired_[i], retired_.back());
    retired_.pop_back();
    return;
  }
}

template <class User>
void ClusterState<User>::drop_all() noexcept {
  set_serial_ = transport_serial_ = 0;
  by_index_.clear();
  std::vector<base::Address> all;
  for (const auto& [address, host] : hosts_) all.push_back(address);
  for (const base::Address& address : all) {
    auto node = hosts_.extract(address);
    HostT& host = *node.mapped();
    retired_.push_back(std::move(node.mapped()));
    remove_host(host);
  }
}

}  // namespace sluice::upstream

#include "upstream/cluster_pools.h"  // IWYU pragma: export
