#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/lease.h"
#include "net/loop.h"
#include "upstream/cluster.h"

namespace sluice::upstream {

template <class User>
class H1Connection;
template <class User>
class ClusterState;

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
  uint32_t num_connections = 0;  // idle, busy and connecting
  uint32_t num_connecting = 0;
  uint32_t num_pending = 0;
  uint32_t holds = 0;
  bool removed = false;        // not in the cluster's endpoints any more
  bool large_answers = false;  // the last response did not fit in a small block
  net::List pending;           // users without a connection, first come first served
  base::Lease<Transport> transport;
  base::Address address;
  std::string address_text;
  std::string hostname;
  uint64_t generation = 0;  // of the last endpoint set that had it
  // All connections, for draining.
  net::List connections;
};

}  // namespace sluice::upstream
