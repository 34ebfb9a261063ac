#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/lease.h"
#include "net/loop.h"
#include "net/stream.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

template <class User>
class H1Connection;
template <class User>
class H2Connection;
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
  uint32_t num_connections = 0;  // of both kinds: idle, busy and connecting
  uint32_t num_connecting = 0;   // HTTP/1
  uint32_t num_pending = 0;      // for HTTP/1
  uint32_t holds = 0;
  HostCounts counts;           // those that are not told by the numbers above
  bool removed = false;        // not in the cluster's endpoints any more
  bool large_answers = false;  // the last response did not fit in a small block
  net::List pending;           // users without a connection, first come first served
  base::Lease<Transport> transport;
  base::Address address;
  std::string address_text;
  std::string hostname;
  uint64_t generation = 0;  // of the last endpoint set that had it
  // All HTTP/1 connections, for draining.
  net::List connections;

  // HTTP/2: a connection serves many. Those that take one more stream, and all others (connecting,
  // full, draining); what waits for a stream.
  net::List h2_ready;
  net::List h2_others;
  net::List h2_pending;
  uint32_t num_h2_pending = 0;
  // Streams that the endpoint allowed on the last connection that said so (RFC 9113 6.5.2); until
  // a connection's own SETTINGS come it is held to that, or to one.
  static constexpr uint32_t kUnknownLimit = UINT32_MAX;
  uint32_t h2_stream_limit = kUnknownLimit;
  uint32_t num_h2_connecting = 0;  // or open, but their SETTINGS have not come

  HostCounts counts_now() const noexcept {
    HostCounts now = counts;
    now.cx_active = num_connections;
    now.rq_pending_active = num_pending + num_h2_pending;
    now.rq_active = active_requests - now.rq_pending_active;
    return now;
  }
};

}  // namespace sluice::upstream
