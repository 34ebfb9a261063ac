#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/lease.h"
#include "net/loop.h"
#include "net/stream.h"
#include "upstream/cluster.h"
#include "upstream/h2_pool.h"

namespace sluice::upstream {

template <class User>
class H1Connection;
template <class User>
class ClusterState;

inline net::ConnectOptions connect_options(const TransportValue& t) noexcept {
  net::ConnectOptions options;
  if (t.bind) options.bind = &*t.bind;
  options.keepalive = t.tcp_keepalive;
  options.keepalive_idle_s = static_cast<int>(t.keepalive_time_s);
  options.keepalive_interval_s = static_cast<int>(t.keepalive_interval_s);
  options.keepalive_probes = static_cast<int>(t.keepalive_probes);
  return options;
}

// What `/clusters` shows of an endpoint, with Envoy's names. Plain integers of one worker; others
// get them by asking it (Worker::list_hosts()).
struct HostCounts {
  uint64_t cx_connect_fail = 0;
  uint64_t cx_total = 0;
  uint64_t rq_error = 0;  // answered with 5xx, or by us in its place
  uint64_t rq_success = 0;
  uint64_t rq_timeout = 0;
  uint64_t rq_total = 0;
  // How many there are now.
  uint64_t cx_active = 0;
  uint64_t rq_active = 0;
  uint64_t rq_pending_active = 0;

  void answered(uint16_t status) noexcept { ++(status >= 500 ? rq_error : rq_success); }
  HostCounts& operator+=(const HostCounts& o) noexcept {
    cx_connect_fail += o.cx_connect_fail;
    cx_total += o.cx_total;
    rq_error += o.rq_error;
    rq_success += o.rq_success;
    rq_timeout += o.rq_timeout;
    rq_total += o.rq_total;
    cx_active += o.cx_active;
    rq_active += o.rq_active;
    rq_pending_active += o.rq_pending_active;
    return *this;
  }
};
// What a connection to an endpoint speaks; kTcp: nothing, it carries one tunnel and is not pooled.
enum class PoolKind : uint8_t { kHttp1, kHttp2, kTcp };

// Host is one endpoint as one worker knows it: its connections, what waits for one, and how much it
// has to do. Worker-local; keyed by address and transport part, so it outlives endpoint sets; lives
// while its cluster lists it, a connection belongs to it, or an exchange holds it (HostHold).
template <class User>
struct Host {
  using Connection = H1Connection<User>;

  ClusterState<User>* cluster = nullptr;
  Connection* idle = nullptr;  // the most recently used first (its caches are warm)
  uint32_t active_requests = 0;
  uint32_t num_idle = 0;
  uint32_t num_connections = 0;  // of all kinds: idle, busy and connecting
  uint32_t holds = 0;
  HostCounts counts;           // those that are not told by the numbers above
  bool removed = false;        // not in the cluster's endpoints any more
  bool large_answers = false;  // the last response did not fit in a small block
  HostQueue h1;
  HostQueue tcp;
  base::Lease<Transport> transport;
  base::Address address;
  std::string address_text;
  std::string hostname;
  uint64_t generation = 0;  // of the last endpoint set that had it
  // All but those of HTTP/2, for draining.
  net::List connections;
  H2Pool<User> h2;

  HostQueue& queue(PoolKind kind) noexcept {
    return kind == PoolKind::kHttp1 ? h1 : kind == PoolKind::kTcp ? tcp : h2;
  }
  // More wait for a connection of that kind than are on their way.
  bool wants_connection(PoolKind kind) const noexcept {
    if (kind == PoolKind::kHttp2) return h2.needs_connection(num_connections);
    const HostQueue& one_each = kind == PoolKind::kHttp1 ? h1 : tcp;
    return one_each.num_connecting < one_each.num;
  }
  HostCounts counts_now() const noexcept {
    HostCounts now = counts;
    now.cx_active = num_connections;
    now.rq_pending_active = uint64_t{h1.num} + h2.num + tcp.num;
    now.rq_active = active_requests - now.rq_pending_active;
    return now;
  }
};

}  // namespace sluice::upstream
