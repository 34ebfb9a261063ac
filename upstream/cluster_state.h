#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
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
// kAssumedStreams each.
template <class User>
class ClusterState {
 public:
  using HostT = Host<User>;
  using Connection = H1Connection<User>;
  using H2 = H2Connection<User>;
  // What a connection is expected to take where the endpoint said nothing yet, or allows more.
  static constexpr uint32_t kAssumedStreams = 100;
  // More choices than this change nothing that can be measured, and a pick must stay cheap whatever
  // choice_count the control plane sends.
  static constexpr uint32_t kMaxChoices = 32;

  ClusterState(const WorkerParts& parts, const std::shared_ptr<const Cluster>& cluster)
      : parts_(parts),
        cursor_(static_cast<uint32_t>(parts.random.next())),
        cells_(cluster->stats),
        scope_(cluster->stats.get()) {
    breakers_ = parts.leases.take(std::shared_ptr<const Breakers>(cluster->breakers));
    auto& shared = const_cast<Breakers&>(*breakers_);
    accounts_[0] = std::make_unique<Accounts>(shared.normal);
    accounts_[1] = std::make_unique<Accounts>(shared.high);
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
    explicit Accounts(Breaker& b)
        : connections(b.connections),
          pending(b.pending),
          requests(b.requests),
          retries(b.retries) {}
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
    uint32_t index;
    switch (entry.cluster->value.balancer) {
      case ClusterValue::Balancer::kRoundRobin: {
        const auto& order = tier->in_turn();
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
  // The same for a stream of HTTP/2.
  base::Reason acquire_h2(HostT& host, User* user, uint8_t priority);
  // The user gives up waiting; `h2`: it asked acquire_h2().
  void forget(HostT& host, User* user, bool h2) noexcept {
    user->unlink();
    --(h2 ? host.num_h2_pending : host.num_pending);
    cells_->upstream_rq_pending_active.sub();
    user->set_pending_credit({});
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
  void on_connect_failed(Connection& c, base::Reason reason) noexcept;
  void on_idle(Connection& c) noexcept;
  void on_closed(Connection& c) noexcept;
  void on_connected(H2& c) noexcept;
  void on_connect_failed(H2& c, base::Reason reason) noexcept;
  void on_closed(H2& c) noexcept;
  void on_goaway(H2& c) noexcept;
  void on_more_streams(H2& c) noexcept {
    settle(c);
    serve(c);
  }
  // Its SETTINGS came, or never will.
  static void settle(H2& c) noexcept {
    if (!std::exchange(c.settled_, true)) --c.host().num_h2_connecting;
  }
  void on_no_more_streams(H2& c) noexcept { set_ready(c, false); }
  void on_call_over(H2& c) noexcept;
  base::H2Cells& h2_cells() noexcept { return *h2_cells_; }

  void rebind(const ClusterEntry& entry);
  void move_one_host(const EndpointSet& set);
  HostT* open_host(uint32_t index, const ClusterEntry& entry);
  uint32_t pick_least(const EndpointSet::Tier& tier, const ClusterEntry& entry) noexcept;
  bool open_connection(HostT& host, uint8_t priority);
  bool open_h2_connection(HostT& host, uint8_t priority);
  template <class C>
  bool begin_connection(HostT& host, C* c, base::Credit credit);
  void open_for_pending(HostT& host);
  // More wait than the connections that are being opened will take. An endpoint that allows no
  // stream at all gets no second connection.
  static bool needs_h2_connection(const HostT& host) noexcept {
    if (host.num_h2_pending == 0) return false;
    if (host.h2_stream_limit == 0 && host.num_connections > 0) return false;
    const uint64_t each = std::clamp(host.h2_stream_limit, 1U, kAssumedStreams);
    return host.num_h2_connecting * each < host.num_h2_pending;
  }
  void serve(Connection& c) noexcept;
  void serve(H2& c) noexcept;
  void set_ready(H2& c, bool ready) noexcept;
  void give(Connection& c, net::Link* waiter) noexcept;
  void count_failed_connect(HostT& host, base::Reason reason) noexcept;
  void count_closed(HostT& host, base::MonoNs begun_at) noexcept;
  void fail_pending(HostT& host, net::List& pending, uint32_t& num_pending, base::Reason reason,
                    base::Fault fault, int error) noexcept;
  void remove_host(HostT& host) noexcept;
  void drop_if_unused(HostT& host) noexcept;
  void unlink_idle(Connection& c) noexcept;
  // Idle connections, and those that are being opened for nobody any more.
  void close_unused(HostT& host) noexcept {
    for (net::Link* l = host.connections.next(nullptr); l != nullptr;) {
      Connection& c = *static_cast<Connection*>(l);
      l = host.connections.next(l);
      const bool awaited = c.phase_ == Connection::Phase::kConnecting && host.num_pending > 0;
      if (c.user() == nullptr && !awaited) c.close();
    }
    drain_h2(host, host.h2_ready);
    drain_h2(host, host.h2_others);
  }
  void drain_h2(HostT& host, net::List& list) noexcept {
    net::List all;
    all.take(list);
    while (net::Link* l = all.pop()) {
      H2& c = *static_cast<H2*>(l);
      host.h2_others.push_back(c);
      c.ready_ = false;
      if (c.phase_ != H2::Phase::kConnecting || host.num_h2_pending == 0) c.drain();
    }
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
  host.address_text = endpoint.address_text;
  hosts_[endpoint.address] = std::move(node.mapped());
}

template <class User>
auto ClusterState<User>::open_host(uint32_t index, const ClusterEntry& entry) -> HostT* {
  const Endpoint& endpoint = entry.endpoints->endpoints()[index];
  auto host = std::make_unique<HostT>();
  host->cluster = this;
  host->transport = parts_.leases.take(entry.cluster->transport);
  host->address = endpoint.address;
  host->address_text = endpoint.address_text;
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
  const uint32_t choices = std::min(entry.cluster->value.choice_count, kMaxChoices);
  for (uint32_t n = 1; n < choices; ++n) {
    const uint32_t other = tier.weighted_random(parts_.random);
    if (load(other) * endpoints[best].weight < load(best) * endpoints[other].weight) best = other;
  }
  return best;
}

template <class User>
base::Reason ClusterState<User>::acquire(HostT& host, User* user, uint8_t priority) {
  while (host.idle != nullptr) {
    Connection& c = *host.idle;
    if (c.stream().peer_closed() || c.stream().readable()) {
      c.close();
      continue;
    }
    unlink_idle(c);
    user->on_pool_ready(c);
    return base::Reason::kNone;
  }
  base::Credit pending(accounts(priority).pending);
  if (!pending) {
    cells_->upstream_rq_pending_overflow.add();
    return base::Reason::kOverflowPending;
  }
  cells_->upstream_rq_pending_total.add();
  cells_->upstream_rq_pending_active.add();
  user->set_pending_credit(std::move(pending));
  host.pending.push_back(*user);
  ++host.num_pending;
  if (host.num_connecting < host.num_pending) {
    if (!open_connection(host, priority) && host.num_connections == 0) {
      forget(host, user, false);
      return base::Reason::kUpstreamConnectFailed;
    }
  }
  return base::Reason::kNone;
}

template <class User>
base::Reason ClusterState<User>::acquire_h2(HostT& host, User* user, uint8_t priority) {
  if (net::Link* first = host.h2_ready.next(nullptr)) {
    H2& c = *static_cast<H2*>(first);
    if (c.can_open()) {
      user->on_pool_ready(c);
      if (!c.can_open()) set_ready(c, false);
      return base::Reason::kNone;
    }
    set_ready(c, false);
    return acquire_h2(host, user, priority);
  }
  base::Credit pending(accounts(priority).pending);
  if (!pending) {
    cells_->upstream_rq_pending_overflow.add();
    return base::Reason::kOverflowPending;
  }
  cells_->upstream_rq_pending_total.add();
  cells_->upstream_rq_pending_active.add();
  user->set_pending_credit(std::move(pending));
  host.h2_pending.push_back(*user);
  ++host.num_h2_pending;
  if (needs_h2_connection(host)) {
    if (!open_h2_connection(host, priority) && host.num_connections == 0) {
      forget(host, user, true);
      return base::Reason::kUpstreamConnectFailed;
    }
  }
  return base::Reason::kNone;
}

template <class User>
bool ClusterState<User>::open_connection(HostT& host, uint8_t priority) {
  base::Credit credit(accounts(priority).connections);
  if (!credit) {
    cells_->upstream_cx_overflow.add();
    if (host.num_connections > 0) return false;  // waits for one of those there are
  }
  auto* c = new Connection(host, parts_.loop, parts_.blocks);
  ++host.num_connecting;
  host.connections.push_back(*c);
  cells_->upstream_cx_http1_total.add();
  if (begin_connection(host, c, std::move(credit))) return true;
  --host.num_connecting;
  c->phase_ = Connection::Phase::kHead;
  opening_ = true;
  c->close();
  opening_ = false;
  return false;
}

template <class User>
bool ClusterState<User>::open_h2_connection(HostT& host, uint8_t priority) {
  base::Credit credit(accounts(priority).connections);
  if (!credit) {
    cells_->upstream_cx_overflow.add();
    if (host.num_connections > 0) return false;
  }
  auto* c = new H2(host, parts_.loop, parts_.blocks, parts_.slab, h2_cells());
  ++host.num_h2_connecting;
  host.h2_others.push_back(*c);
  cells_->upstream_cx_http2_total.add();
  if (begin_connection(host, c, std::move(credit))) return true;
  c->phase_ = H2::Phase::kOpen;
  opening_ = true;
  c->close();
  opening_ = false;
  return false;
}

template <class User>
template <class C>
bool ClusterState<User>::begin_connection(HostT& host, C* c, base::Credit credit) {
  ++host.num_connections;
  ++num_connections_;
  ++host.counts.cx_total;
  cells_->upstream_cx_total.add();
  cells_->upstream_cx_active.add();
  opening_ = true;  // a failure at once must not begin the next attempt from inside
  const bool begun = c->connect(std::move(credit));
  opening_ = false;
  if (!begun) {
    cells_->upstream_cx_connect_fail.add();
    ++host.counts.cx_connect_fail;
  }
  return begun;
}

template <class User>
void ClusterState<User>::serve(Connection& c) noexcept {
  net::Link* first = c.host().pending.pop();
  if (first == nullptr) {
    if (c.host().removed) {
      c.close();
    } else {
      c.become_idle();
    }
    return;
  }
  give(c, first);
}

// A waiting user gets its connection.
template <class User>
void ClusterState<User>::give(Connection& c, net::Link* waiter) noexcept {
  --c.host().num_pending;
  cells_->upstream_rq_pending_active.sub();
  User* user = static_cast<User*>(static_cast<PoolWaiter*>(waiter));
  user->set_pending_credit({});
  user->on_pool_ready(c);
}

template <class User>
void ClusterState<User>::on_connected(Connection& c) noexcept {
  --c.host().num_connecting;
  c.phase_ = Connection::Phase::kHead;
  cells_->upstream_cx_connect_ms.add(
      static_cast<uint64_t>(parts_.loop.now() - c.connect_started()));
  serve(c);
}

// It takes a stream: all that wait, as far as they fit.
template <class User>
void ClusterState<User>::serve(H2& c) noexcept {
  HostT& host = c.host();
  while (c.can_open()) {
    net::Link* first = host.h2_pending.pop();
    if (first == nullptr) break;
    --host.num_h2_pending;
    cells_->upstream_rq_pending_active.sub();
    User* user = static_cast<User*>(static_cast<PoolWaiter*>(first));
    user->set_pending_credit({});
    user->on_pool_ready(c);
    if (c.closed_) return;
  }
  set_ready(c, c.can_open());
  open_for_pending(host);
}

// More wait than those that connect or are open will take.
template <class User>
void ClusterState<User>::open_for_pending(HostT& host) {
  if (opening_ || host.removed || !needs_h2_connection(host)) return;
  if (open_h2_connection(host, 0) || host.num_connections != 0) return;
  fail_pending(host, host.h2_pending, host.num_h2_pending, base::Reason::kUpstreamConnectFailed,
               {base::Fault::Kind::kOther, base::Fault::Side::kBackend, true}, 0);
}

template <class User>
void ClusterState<User>::set_ready(H2& c, bool ready) noexcept {
  if (c.ready_ == ready) return;
  c.ready_ = ready;
  (ready ? c.host().h2_ready : c.host().h2_others).push_back(c);
}

template <class User>
void ClusterState<User>::on_connected(H2& c) noexcept {
  HostT& host = c.host();
  cells_->upstream_cx_connect_ms.add(
      static_cast<uint64_t>(parts_.loop.now() - c.connect_started()));
  if (host.removed && host.num_h2_pending == 0) return c.close();
  serve(c);
}

template <class User>
void ClusterState<User>::on_connect_failed(H2& c, base::Reason reason) noexcept {
  HostT& host = c.host();
  settle(c);
  count_failed_connect(host, reason);
  const base::Fault fault{c.stream().fault().kind, base::Fault::Side::kBackend, true};
  const int error = c.stream().error();
  c.phase_ = H2::Phase::kOpen;
  ++host.holds;
  fail_pending(host, host.h2_pending, host.num_h2_pending, reason, fault, error);
  c.close();
  --host.holds;
  drop_if_unused(host);
}

template <class User>
void ClusterState<User>::on_goaway(H2& c) noexcept {
  cells_->upstream_cx_close_notify.add();
  c.draining_ = true;
  set_ready(c, false);
  if (c.num_calls() == 0) c.close();
}

template <class User>
void ClusterState<User>::on_call_over(H2& c) noexcept {
  if (c.draining_ || c.host().removed) {
    if (c.num_calls() == 0) c.close();
    return;
  }
  if (!c.ready_ && c.can_open()) serve(c);
}

template <class User>
void ClusterState<User>::on_closed(H2& c) noexcept {
  HostT& host = c.host();
  settle(c);
  c.credit_.reset();
  c.unlink();
  count_closed(host, c.connect_started());
  if (host.num_h2_pending > 0 && host.h2_ready.empty()) open_for_pending(host);
  drop_if_unused(host);
}

template <class User>
void ClusterState<User>::count_failed_connect(HostT& host, base::Reason reason) noexcept {
  ++host.counts.cx_connect_fail;
  cells_->upstream_cx_connect_fail.add();
  if (reason == base::Reason::kUpstreamConnectTimeout) cells_->upstream_cx_connect_timeout.add();
}

template <class User>
void ClusterState<User>::count_closed(HostT& host, base::MonoNs begun_at) noexcept {
  cells_->upstream_cx_active.sub();
  cells_->upstream_cx_destroy.add();
  cells_->upstream_cx_length_ms.add(static_cast<uint64_t>(parts_.loop.now() - begun_at));
  --host.num_connections;
  --num_connections_;
}

template <class User>
void ClusterState<User>::on_connect_failed(Connection& c, base::Reason reason) noexcept {
  HostT& host = c.host();
  --host.num_connecting;
  count_failed_connect(host, reason);
  const base::Fault fault{c.stream().fault().kind, base::Fault::Side::kBackend, true};
  const int error = c.stream().error();
  c.phase_ = Connection::Phase::kHead;
  ++host.holds;
  fail_pending(host, host.pending, host.num_pending, reason, fault, error);
  c.close();
  --host.holds;
  drop_if_unused(host);
}

template <class User>
void ClusterState<User>::on_idle(Connection& c) noexcept {
  HostT& host = c.host();
  if (net::Link* first = host.pending.pop()) {
    c.phase_ = Connection::Phase::kHead;
    give(c, first);
    return;
  }
  c.previous_idle_ = nullptr;
  c.next_idle_ = host.idle;
  if (host.idle != nullptr) host.idle->previous_idle_ = &c;
  host.idle = &c;
  ++host.num_idle;
}

template <class User>
void ClusterState<User>::unlink_idle(Connection& c) noexcept {
  HostT& host = c.host();
  (c.previous_idle_ == nullptr ? host.idle : c.previous_idle_->next_idle_) = c.next_idle_;
  if (c.next_idle_ != nullptr) c.next_idle_->previous_idle_ = c.previous_idle_;
  c.next_idle_ = c.previous_idle_ = nullptr;
  c.phase_ = Connection::Phase::kHead;
  --host.num_idle;
}

template <class User>
void ClusterState<User>::on_closed(Connection& c) noexcept {
  HostT& host = c.host();
  if (c.phase_ == Connection::Phase::kIdle) unlink_idle(c);
  if (c.phase_ == Connection::Phase::kConnecting) --host.num_connecting;
  c.credit_.reset();
  c.unlink();
  count_closed(host, c.connect_started());
  if (host.num_pending > host.num_connecting && !opening_) {
    // One for the first that waits; if not even that can begin, nobody need wait on.
    if (!open_connection(host, 0) && host.num_connections == 0) {
      fail_pending(host, host.pending, host.num_pending, base::Reason::kUpstreamConnectFailed,
                   {base::Fault::Kind::kOther, base::Fault::Side::kBackend, true}, 0);
    }
  }
  drop_if_unused(host);
}

// All that wait for the host hear that there will be no connection.
template <class User>
void ClusterState<User>::fail_pending(HostT& host, net::List& pending, uint32_t& num_pending,
                                      base::Reason reason, base::Fault fault, int error) noexcept {
  net::List failed;
  failed.take(pending);
  num_pending = 0;
  ++host.holds;
  while (net::Link* link = failed.pop()) {
    User* user = static_cast<User*>(static_cast<PoolWaiter*>(link));
    cells_->upstream_rq_pending_active.sub();
    user->set_pending_credit({});
    user->on_pool_failed(reason, fault, error);
  }
  --host.holds;
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
  if (!host.removed || host.holds != 0 || host.num_connections != 0 || host.num_pending != 0 ||
      host.num_h2_pending != 0) {
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
