#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/lease.h"
#include "base/mailbox.h"
#include "base/stats.h"
#include "tests/upstream/endpoints.h"
#include "upstream/cluster_state.h"

namespace sluice::upstream {

// What stands in for an exchange: it asks a cluster's pools for a connection and notes the answer.
struct Asker : PoolWaiter {
  using ConnectionT = H1Connection<Asker>;

  void on_pool_ready(ConnectionT& c) noexcept {
    connection = &c;
    c.begin(this);
  }
  // Only acquire() is asked here: HTTP/2 pools have their tests with real exchanges.
  void on_pool_ready(H2Connection<Asker>&) noexcept {}
  http::H2Held* response_held() noexcept { return &held; }
  void on_pool_failed(base::Reason r, base::Fault, int) noexcept { failed = r; }
  void set_pending_credit(base::Credit c) noexcept { pending = std::move(c); }
  http::ResponseHead* response_head() noexcept { return &head; }
  http::Method request_method() const noexcept { return http::Method::kGet; }
  const http::H1Options& response_options() const noexcept { return options; }
  void on_upstream_informational(const base::BlockRef&) noexcept {}
  void on_upstream_head(const base::BlockRef&) noexcept {}
  void on_upstream_data(base::View&&) noexcept {}
  void on_upstream_end(http::FieldList*) noexcept {}
  void on_upstream_drained() noexcept {}
  void on_upstream_broken(base::Reason r, base::Fault, int) noexcept {
    connection = nullptr;
    failed = r;
  }

  ConnectionT* connection = nullptr;
  base::Reason failed = base::Reason::kNone;
  base::Credit pending;
  http::ResponseHead head;
  http::H1Options options;
  http::H2Held held;
};

// What workers share of a cluster, and one worker's view of it.
struct ClusterSite {
  using State = ClusterState<Asker>;
  using HostT = Host<Asker>;

  ClusterSite(ClusterValue::Balancer balancer, const EndpointsValue& value, uint64_t seed = 7,
              uint32_t panic_pct = 50)
      : random(seed), panic_pct_(panic_pct) {
    cluster.balancer = balancer;
    cluster.policy = std::make_shared<const ClusterValue>();
    put(value);
  }
  ~ClusterSite() {
    state_.reset();
    loop.poll_once();
  }

  // The worker's view; made by the first call, so that limits may be set before.
  State& state() {
    if (state_ == nullptr) {
      cluster.transport = std::make_shared<Transport>();
      if (cluster.breakers == nullptr) {
        cluster.breakers = std::make_shared<Breakers>();
        cluster.breakers->set_limits(limits_of(limits));
      }
      cluster.stats = stats.scope<base::ClusterCells>("cluster.c.");
      entry_.cluster = std::make_shared<Cluster>(cluster);
      state_ =
          std::make_unique<State>(WorkerParts{loop, blocks, leases, random, slab}, entry_.cluster);
    }
    return *state_;
  }
  HostT* pick() {
    State& s = state();
    if (entry_.cluster->choice_count != cluster.choice_count) {
      entry_.cluster = std::make_shared<Cluster>(cluster);
    }
    s.bind(entry_);
    return s.pick(entry_);
  }
  void put(const EndpointsValue& value) {
    entry_.endpoints = EndpointSet::build(value, panic_pct_);
  }
  const EndpointSet& endpoints() const { return *entry_.endpoints; }
  size_t num_endpoints() const { return endpoints().endpoints().size(); }
  size_t index_of(const HostT& host) const {
    size_t i = 0;
    while (endpoints().endpoints()[i].address != host.address) ++i;
    return i;
  }

  struct Main {
    ~Main() { mailbox.run_all(); }  // what the worker gave back
    base::Mailbox mailbox;
  };
  base::BlockPool blocks;
  base::Slab slab;
  net::Loop loop;
  base::StatsStore stats;
  Main main;
  base::LeaseBook leases{main.mailbox};
  base::Random random;
  Cluster cluster;
  ClusterValue limits;  // where its circuit breakers come from

 private:
  const uint32_t panic_pct_;
  ClusterEntry entry_;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::upstream
