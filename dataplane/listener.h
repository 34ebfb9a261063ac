#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/stats.h"
#include "dataplane/access_log.h"
#include "dataplane/balance.h"
#include "dataplane/values.h"
#include "filters/catalogue.h"
#include "http/h1_parser.h"
#include "http/h2_options.h"
#include "http/path.h"
#include "net/listener_socket.h"
#include "router/cluster_ids.h"
#include "router/scope.h"

namespace sluice::dataplane {

// The immutable parts of a listener, as tables hold them. Made on main by TablesBuilder.

// RouteSlot is a place in Tables::routes. It stays taken as long as any HttpConfig that reads it
// lives, so that a session of an old listener never sees routes that are not its own.
struct RouteSlot {
  uint32_t index = 0;
  std::string name;
};

// Scopes is which route configuration serves which key (router/scope.h). It keeps their slots.
struct Scopes {
  struct Target {
    std::shared_ptr<const RouteSlot> slot;
    bool on_demand = false;  // the routes are asked for when a request wants them
  };
  router::ScopeTable table;  // values: indices of targets
  std::vector<Target> targets;
};

// HttpConfig is an HTTP connection manager, compiled: everything that a session of that filter
// chain needs but the routes, which change more often and hang in a slot of their own. A session
// leases it when it is accepted and keeps it to its end, whatever becomes of the listener.
struct HttpConfig {
  HttpValue value;
  http::H1Options h1;
  http::H2Options h2;
  // How much of a response may wait for a stream's window.
  uint32_t h2_low_mark_bytes = 16 * 1024;
  uint32_t h2_high_mark_bytes = 64 * 1024;
  http::PathOptions path;
  bool normalises_path = false;
  static constexpr uint32_t kScoped = ~uint32_t{0};        // as route_slot: by the request's scope
  static constexpr uint32_t kNoRoutes = ~uint32_t{0} - 1;  // what a request without scope has
  uint32_t route_slot = 0;                                 // in Tables::routes
  uint32_t scope_slot = 0;                                 // in Tables::scopes
  std::shared_ptr<const RouteSlot> route_slot_hold;        // of the one of the two that counts
  router::ScopeKeyBuilder scope_key;
  uint16_t listener_port = 0;
  std::shared_ptr<const filters::FilterChain> chain;
  // Chains with filters whose configuration comes by itself (ECDS) are in Tables::chains: this one
  // is as it was in the beginning. kNoSlot: `chain` is all.
  static constexpr uint32_t kNoSlot = ~uint32_t{0};
  uint32_t chain_slot = kNoSlot;
  std::shared_ptr<const uint32_t> chain_slot_hold;
  std::vector<std::shared_ptr<const AccessLogger>> access_logs;
  bool logs_upstream_local = false;        // one of them asks for our end of upstream connections
  std::shared_ptr<base::StatScope> stats;  // "http.<stat_prefix>."
  std::shared_ptr<base::StatScope> listener_stats;  // "listener.<address>.http.<stat_prefix>."
  int64_t idle_timeout_ns = 0;                      // all: 0 is off
  int64_t stream_idle_timeout_ns = 0;
  int64_t request_timeout_ns = 0;
  int64_t request_headers_timeout_ns = 0;
  int64_t max_connection_duration_ns = 0;
  int64_t drain_timeout_ns = 0;
  int64_t delayed_close_timeout_ns = 0;
};

// TcpConfig is a TCP relay, compiled. A session leases it when it is accepted and keeps it to its
// end. It keeps the slots of its clusters, whether or not such clusters exist.
struct TcpConfig {
  struct Target {
    router::ClusterRef cluster;
    uint64_t up_to = 0;  // sum of the weights up to and with this one's
  };
  TcpValue value;
  std::vector<Target> targets;
  std::vector<std::shared_ptr<const AccessLogger>> access_logs;
  std::shared_ptr<base::StatScope> stats;  // "tcp.<stat_prefix>."
  int64_t idle_timeout_ns = 0;             // both: 0 is off
  int64_t max_connection_duration_ns = 0;

  // `random` is any 64 bits. O(log targets).
  const Target& target(uint64_t random) const noexcept {
    if (targets.size() == 1) return targets.front();
    const uint64_t at = random % targets.back().up_to;
    return *std::upper_bound(targets.begin(), targets.end(), at,
                             [](uint64_t a, const Target& t) { return a < t.up_to; });
  }
};

// SocketSet is the listening sockets of one address, one per worker. It outlives changes of the
// listener that keep the address, so that no connection is refused. Each worker moves its own out
// when it first adopts tables with the set; nobody else touches that element.
struct SocketSet {
  explicit SocketSet(std::vector<net::ListenSocket> listening)
      : address(listening[0].local()),
        balance(static_cast<uint32_t>(listening.size())),
        per_worker(std::move(listening)) {}
  base::Address address;  // with the port that was bound
  Balance balance;
  std::vector<net::ListenSocket> per_worker;
};

struct ListenerEntry {
  std::string name;
  std::vector<std::shared_ptr<SocketSet>> sockets;  // empty: bind_to_port is off
  // One of the two: what a connection gets.
  std::shared_ptr<const HttpConfig> http;
  std::shared_ptr<const TcpConfig> tcp;
  std::shared_ptr<base::StatScope> stats;                      // "listener.<address>."
  std::vector<std::shared_ptr<base::StatScope>> worker_stats;  // "listener.<address>.worker_<n>."
  bool exact_balance = false;
  uint32_t buffer_limit_bytes = 1024 * 1024;
};

struct ListenerSet {
  std::vector<std::shared_ptr<const ListenerEntry>> listeners;
};

}  // namespace sluice::dataplane
