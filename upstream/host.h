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
};

}  // namespace sluice::upstream
