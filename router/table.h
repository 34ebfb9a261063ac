#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/reason.h"
#include "base/runtime.h"
#include "http/message.h"
#include "router/cluster_ids.h"
#include "router/host_index.h"
#include "router/route.h"
#include "router/values.h"
#include "router/virtual_host.h"

namespace sluice::router {

// What matching takes besides the head.
struct MatchInput {
  uint64_t random = 0;       // the request's own random number; runtime fractions use it
  uint32_t worker = 0;       // picks the worker's own regular expressions
  bool is_internal = false;  // decided by the connection manager (x-envoy-internal)
  bool is_tls = false;       // downstream's scheme is https (x-forwarded-proto)
  // Of the tables that this one is of; null: all keys have their default values.
  const base::RuntimeValues* runtime = nullptr;
};

struct Match {
  const Route* route = nullptr;
  const VirtualHost* virtual_host = nullptr;
  uint32_t virtual_host_index = 0;  // for RouteTable::share()
  // Without a route: kVirtualHostNotFound, kRouteNotFound, or kHttpsRequired (the virtual host
  // wants TLS: answer with a redirect to https).
  base::Reason reason = base::Reason::kNone;
};

struct CompileOptions {
  uint32_t num_workers = 1;              // regular-expression objects per pattern
  base::RuntimeKeys* runtime = nullptr;  // outlives the table; null: keys have no values
};

// RouteTable answers "which route serves this request?" for one route configuration.
//
// Built by compile() on main or in the compile pool; immutable from then on, so any worker may call
// match(). Owns all that it refers to, the slots of the clusters that it names included. The Route
// that match() returns lives as long as the table: hold a pin of it, or share() its virtual host.
// match() takes no lock and allocates nothing but, for a header that a predicate asks for and that
// came in several lines, their joined value in the exchange's arena. Its cost does not grow with
// the number of routes: one hash probe for the exact host, a binary search over the distinct
// lengths of wildcards, one probe for the exact path, a binary search over the distinct lengths of
// prefixes, then the candidates that could still win. Regular expressions are tried only behind
// their literal prefix and only while no earlier route has won. Among matching routes the first in
// list order wins (xDS); tests/oracle/linear_router.h states that rule plainly. Hosts: exact,
// longest "*suffix", longest "prefix*", "*" (Envoy's order).
class RouteTable {
 public:
  // Errors are "virtual_hosts[3].domains[0]: problem: value". Virtual hosts whose value is the same
  // object as in `previous`, or has its digest, are taken over as they are, unless what they
  // inherit (header edits of the route configuration, options) has changed.
  static absl::StatusOr<std::shared_ptr<const RouteTable>> compile(
      const RouteConfigValue& config, ClusterIds& clusters, const RouteTable* previous,
      const CompileOptions& options = {});

  Match match(const http::RequestHead& head, const MatchInput& input) const noexcept;

  // Index of the virtual host for an authority, or HostIndex::kNone.
  uint32_t match_host(std::string_view authority) const noexcept;

  // Why match() answers as it does, in plain words, one line per finding: the virtual host and how
  // its domain was found, the route, and when there is none the nearest miss with its first failing
  // predicate. Walks every route: for admin and tests.
  std::string explain(const http::RequestHead& head, const MatchInput& input) const;

  const std::vector<std::shared_ptr<const VirtualHost>>& virtual_hosts() const noexcept {
    return virtual_hosts_;
  }
  // A strong reference for what outlives the pin of this table (long streams).
  std::shared_ptr<const VirtualHost> share(const Match& match) const {
    return virtual_hosts_[match.virtual_host_index];
  }

  const std::string& name() const noexcept { return name_; }
  const std::string& version() const noexcept { return version_; }
  const std::vector<std::string>& internal_only_headers() const noexcept {
    return internal_only_headers_;
  }
  // Virtual hosts that are not here may be asked for one by one (VHDS).
  bool has_vhds() const noexcept { return has_vhds_; }
  // For decoding only what changed: whether virtual hosts of this table may be taken over into a
  // table for `config` (of which only the fields beside virtual_hosts are looked at), and whether
  // one with this digest is here. If both, VirtualHostValue::left_out may be set.
  bool inherits_like(const RouteConfigValue& config, const CompileOptions& options = {}) const;
  bool knows(const std::array<uint64_t, 2>& digest) const noexcept;

  size_t num_routes() const noexcept;
  // What the table occupies, virtual hosts included.
  size_t memory_bytes() const noexcept;
  // How many virtual hosts compile() took over from `previous`.
  uint32_t num_reused() const noexcept { return num_reused_; }

 private:
  RouteTable() = default;

  HostIndex hosts_;
  bool ignore_port_ = false;
  bool has_vhds_ = false;
  std::vector<std::shared_ptr<const VirtualHost>> virtual_hosts_;
  std::string name_;
  std::string version_;
  std::vector<std::string> internal_only_headers_;
  std::string inherited_;  // what virtual hosts were compiled with, serialised, to compare
  std::vector<std::pair<std::array<uint64_t, 2>, uint32_t>> by_digest_;  // sorted
  uint32_t num_reused_ = 0;
};

}  // namespace sluice::router
