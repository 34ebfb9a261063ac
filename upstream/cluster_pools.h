#pragma once

#include <cstdint>
#include <utility>

#include "upstream/cluster_state.h"

// The half of ClusterState that has to do with connections: who gets one, when one is opened, what
// its end means for those that wait. The same for all kinds of connections but for how much one
// takes: serve() and Host::wants_connection(). See cluster_state.h, which includes this.
namespace sluice::upstream {

template <class User>
base::Reason ClusterState<User>::acquire(HostT& host, User* user, uint8_t priority) {
  while (host.idle != nullptr) {
    Connection& c = *host.idle;
    if (c.stream().peer_closed() || c.stream().readable()) {
      c.by_peer_ = c.stream().peer_closed();
      c.close();
      continue;
    }
    unlink_idle(c);
    user->on_pool_ready(c);
    return base::Reason::kNone;
  }
  return wait(host, user, PoolKind::kHttp1, priority);
}

template <class User>
base::Reason ClusterState<User>::acquire_h2(HostT& host, User* user, uint8_t priority) {
  while (H2* const c = host.h2.first_ready()) {
    const bool takes = c->can_open();
    if (takes) user->on_pool_ready(*c);
    if (!c->can_open()) host.h2.set_ready(*c, false);
    if (takes) return base::Reason::kNone;
  }
  return wait(host, user, PoolKind::kHttp2, priority);
}

template <class User>
base::Reason ClusterState<User>::wait(HostT& host, User* user, PoolKind kind, uint8_t priority) {
  base::Credit pending(accounts(priority).pending);
  if (!pending) {
    cells_->upstream_rq_pending_overflow.add();
    return base::Reason::kOverflowPending;
  }
  cells_->upstream_rq_pending_total.add();
  cells_->upstream_rq_pending_active.add();
  user->set_pending_credit(std::move(pending));
  HostQueue& queue = host.queue(kind);
  queue.users.push_back(*user);
  ++queue.num;
  if (!host.wants_connection(kind) || open(host, kind, priority) || host.num_connections != 0) {
    return base::Reason::kNone;
  }
  forget(host, user, kind);
  return base::Reason::kUpstreamConnectFailed;
}

// False: the breaker says no, or connecting failed at once.
template <class User>
bool ClusterState<User>::open(HostT& host, PoolKind kind, uint8_t priority) {
  base::Credit credit(accounts(priority).connections);
  if (!credit) {
    cells_->upstream_cx_overflow.add();
    if (host.num_connections > 0) return false;  // waits for one of those there are
  }
  ++host.queue(kind).num_connecting;
  ++host.num_connections;
  ++num_connections_;
  ++host.counts.cx_total;
  cells_->upstream_cx_total.add();
  cells_->upstream_cx_active.add();
  return kind == PoolKind::kHttp2 ? open_h2(host, std::move(credit))
                                  : open_h1(host, kind, std::move(credit));
}

template <class User>
bool ClusterState<User>::open_h1(HostT& host, PoolKind kind, base::Credit credit) {
  auto* c = new Connection(kind, host, parts_.loop, parts_.blocks);
  host.connections.push_back(*c);
  if (kind == PoolKind::kHttp1) cells_->upstream_cx_http1_total.add();
  return begin(c, std::move(credit));
}

template <class User>
bool ClusterState<User>::open_h2(HostT& host, base::Credit credit) {
  auto* c = new H2(host, parts_.loop, parts_.blocks, parts_.slab, h2_cells(), parts_.random);
  host.h2.others.push_back(*c);
  cells_->upstream_cx_http2_total.add();
  return begin(c, std::move(credit));
}

template <class User>
template <class C>
bool ClusterState<User>::begin(C* c, base::Credit credit) {
  opening_ = true;  // a failure at once must not begin the next attempt from inside
  const bool begun = c->connect(std::move(credit));
  if (!begun) {
    ++c->host().counts.cx_connect_fail;
    cells_->upstream_cx_connect_fail.add();
    c->by_peer_ = true;
    c->close();
  }
  opening_ = false;
  return begun;
}

// If not even one connection can begin, nobody need wait on.
template <class User>
void ClusterState<User>::open_for_those_that_wait(HostT& host, PoolKind kind) {
  if (opening_ || !host.wants_connection(kind)) return;
  if (open(host, kind, 0) || host.num_connections != 0) return;
  fail_pending(host, host.queue(kind), base::Reason::kUpstreamConnectFailed,
               {base::Fault::Kind::kOther, base::Fault::Side::kBackend, true}, 0);
}

// ---- A connection can be used.

template <class User>
void ClusterState<User>::on_connected(Connection& c) noexcept {
  settle(c);
  cells_->upstream_cx_connect_ms.add(
      static_cast<uint64_t>(parts_.loop.now() - c.connect_started()));
  serve(c);
}

template <class User>
void ClusterState<User>::on_connected(H2& c) noexcept {
  cells_->upstream_cx_connect_ms.add(
      static_cast<uint64_t>(parts_.loop.now() - c.connect_started()));
  if (c.host().removed && c.host().h2.num == 0) return c.close();
  serve(c);
}

template <class User>
User* ClusterState<User>::next_that_waits(HostQueue& queue) noexcept {
  net::Link* const first = queue.users.pop();
  if (first == nullptr) return nullptr;
  User* const user = static_cast<User*>(static_cast<PoolWaiter*>(first));
  no_longer_waits(queue, user);
  return user;
}

template <class User>
void ClusterState<User>::serve(Connection& c) noexcept {
  if (User* const user = next_that_waits(c.host().queue(c.kind()))) return user->on_pool_ready(c);
  if (c.host().removed || c.kind() == PoolKind::kTcp) return c.close();
  c.become_idle();
}

// As many of those that wait as it takes.
template <class User>
void ClusterState<User>::serve(H2& c) noexcept {
  HostT& host = c.host();
  while (c.can_open()) {
    User* const user = next_that_waits(host.h2);
    if (user == nullptr) break;
    user->on_pool_ready(c);
    if (c.closed_) return;
  }
  host.h2.set_ready(c, c.can_open());
  open_for_those_that_wait(host, PoolKind::kHttp2);
}

template <class User>
void ClusterState<User>::on_idle(Connection& c) noexcept {
  HostT& host = c.host();
  if (User* const user = next_that_waits(host.h1)) {
    c.phase_ = Connection::Phase::kHead;
    return user->on_pool_ready(c);
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
void ClusterState<User>::on_goaway(H2& c) noexcept {
  cells_->upstream_cx_close_notify.add();
  c.draining_ = true;
  c.host().h2.set_ready(c, false);
  if (c.num_calls() == 0) c.close();
}

template <class User>
void ClusterState<User>::on_call_over(H2& c) noexcept {
  if (c.draining_ || (c.host().removed && c.host().h2.num == 0)) {
    if (c.num_calls() == 0) c.close();
    return;
  }
  if (!c.ready_ && c.can_open()) serve(c);
}

// ---- It cannot, or not any more.

template <class User>
template <class C>
void ClusterState<User>::on_connect_failed(C& c, base::Reason reason) noexcept {
  HostT& host = c.host();
  settle(c);
  ++host.counts.cx_connect_fail;
  cells_->upstream_cx_connect_fail.add();
  c.by_peer_ = reason != base::Reason::kUpstreamConnectTimeout;
  if (!c.by_peer_) cells_->upstream_cx_connect_timeout.add();
  const base::Fault fault{c.stream().fault().kind, base::Fault::Side::kBackend, true};
  const int error = c.stream().error();
  ++host.holds;
  fail_pending(host, host.queue(c.kind()), reason, fault, error);
  c.close();
  --host.holds;
  drop_if_unused(host);
}

template <class User>
template <class C>
void ClusterState<User>::on_closed(C& c) noexcept {
  HostT& host = c.host();
  take_out(c);
  settle(c);
  c.credit_.reset();
  cells_->upstream_cx_active.sub();
  base::count_end(*cells_, c.by_peer_, c.cut_);
  cells_->upstream_cx_length_ms.add(static_cast<uint64_t>(parts_.loop.now() - c.connect_started()));
  --host.num_connections;
  --num_connections_;
  open_for_those_that_wait(host, c.kind());
  drop_if_unused(host);
}

// All that wait for such a connection hear that there will be none.
template <class User>
void ClusterState<User>::fail_pending(HostT& host, HostQueue& queue, base::Reason reason,
                                      base::Fault fault, int error) noexcept {
  net::List failed;
  failed.take(queue.users);
  ++host.holds;
  while (net::Link* link = failed.pop()) {
    User* user = static_cast<User*>(static_cast<PoolWaiter*>(link));
    no_longer_waits(queue, user);
    user->on_pool_failed(reason, fault, error);
  }
  --host.holds;
}

}  // namespace sluice::upstream
