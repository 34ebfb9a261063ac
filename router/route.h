#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.h"
#include "filters/route_filters.h"
#include "http/header_edit.h"
#include "http/message.h"
#include "router/cluster_ids.h"
#include "router/regex.h"
#include "router/values.h"

namespace sluice::router {

class VirtualHost;
struct Predicates;

// What a request is sent to: of the route, or of the weighted cluster that was picked.
struct Target {
  ClusterId cluster = kNoCluster;  // kNoCluster: see Route::policy().cluster_header
  // For http::apply_edits(). Envoy's order of levels: the weighted cluster, then route, virtual
  // host and route configuration, or these three the other way round with
  // most_specific_header_mutations_wins.
  http::HeaderEditList request_edits;
  http::HeaderEditList response_edits;  // also for redirects and direct responses
  std::string host_rewrite;  // a weighted cluster's own; empty: the route's HostRewriteRule
};

struct WeightedTarget : Target {
  uint64_t upper = 0;  // sum of the weights up to and including this one
  uint32_t weight = 0;
  uint32_t index = 0;                                    // in the configuration
  base::RuntimeKey key;                                  // may say another weight
  std::shared_ptr<const filters::RouteFilters> filters;  // read where filters_by_target
};

struct PathRewriteRule {
  PathRewrite::Kind kind = PathRewrite::Kind::kNone;
  std::string text;  // kPrefix: the new prefix; kRegex: the substitution
  std::unique_ptr<const Regex> regex;
};

struct HostRewriteRule {
  HostRewrite::Kind kind = HostRewrite::Kind::kNone;
  bool append_x_forwarded_host = false;
  http::HeaderId header = http::HeaderId::kOther;  // kHeader
  std::string text;  // kLiteral: the host; kHeader: the name; kPathRegex: the substitution
  std::unique_ptr<const Regex> regex;
};

struct RetryRule {
  enum On : uint32_t {
    k5xx = 1u << 0,
    kGatewayError = 1u << 1,
    kReset = 1u << 2,
    kResetBeforeRequest = 1u << 3,
    kConnectFailure = 1u << 4,
    kEnvoyRatelimited = 1u << 5,
    kRetriable4xx = 1u << 6,
    kRefusedStream = 1u << 7,
    kRetriableStatusCodes = 1u << 8,
    kRetriableHeaders = 1u << 9,
    kHttp3PostConnectFailure = 1u << 10,
    kGrpcCancelled = 1u << 11,
    kGrpcDeadlineExceeded = 1u << 12,
    kGrpcInternal = 1u << 13,
    kGrpcResourceExhausted = 1u << 14,
    kGrpcUnavailable = 1u << 15,
  };
  // Bits of On for a comma-separated list; words that Envoy does not know are passed over.
  static uint32_t parse_on(std::string_view words) noexcept;

  uint32_t on = 0;
  uint32_t num_retries = 1;
  int64_t per_try_timeout_ns = 0;  // 0: none
  std::vector<uint16_t> status_codes;
  bool has_status(uint16_t status) const noexcept {
    for (const uint16_t code : status_codes) {
      if (code == status) return true;
    }
    return false;
  }
};

struct RedirectRule {
  std::string scheme;  // empty: the request's
  std::string host;    // empty: the request's
  uint32_t port = 0;   // 0: the request's
  std::string path;    // empty: the request's, rewritten
  PathRewriteRule rewrite;
  uint16_t status = 301;
  bool strip_query = false;
};

struct DirectRule {
  uint16_t status = 200;
  std::string body;
};

// What a route says beyond its match and its cluster. Routes of a virtual host that say the same
// share one; so it is usually in the cache, and a route itself is one cache line.
struct RoutePolicy {
  static constexpr int64_t kInherit = -1;  // as the listener says
  static constexpr int64_t kDefaultTimeoutNs = 15'000'000'000;

  int64_t timeout_ns = kDefaultTimeoutNs;     // 0: off
  int64_t idle_timeout_ns = kInherit;         // 0: off
  int64_t max_stream_duration_ns = kInherit;  // 0: off
  GrpcTimeout::Sets grpc_timeout = GrpcTimeout::Sets::kNothing;
  bool grpc_timeout_rewrites = false;
  bool connect_terminates = false;  // a CONNECT's bytes go to the endpoint as plain TCP
  uint16_t cluster_not_found_status = 503;
  uint8_t priority = 0;
  http::HeaderId cluster_header_id = http::HeaderId::kOther;
  int64_t grpc_timeout_max_ms = 0;  // 0: no limit
  int64_t grpc_timeout_offset_ms = 0;
  std::string cluster_header;  // Route::Action::kClusterHeader: names the cluster; lower case

  // For Route::Action::kCluster, kClusterHeader, kRedirect and kDirect (which have response edits).
  Target target;                         // its `cluster` is not used: Route::cluster
  std::vector<WeightedTarget> weighted;  // kWeighted
  uint64_t total_weight = 0;
  bool weights_by_runtime = false;
  bool filters_by_target = false;  // a weighted cluster says something of filters

  // Null: the chain runs as it is. Else see Route::filters().
  std::shared_ptr<const filters::RouteFilters> filters;
  PathRewriteRule path_rewrite;
  HostRewriteRule host_rewrite;
  std::unique_ptr<const RetryRule> retry;  // the route's, or its virtual host's; null: none
  std::vector<std::string> upgrades;
  std::vector<std::string> upgrades_disabled;
  std::unique_ptr<const RedirectRule> redirect;
  std::unique_ptr<const DirectRule> direct;

  // Whether this route lets `protocol` (lower case, "websocket", "connect") through, refuses it, or
  // leaves it to the listener.
  enum class Upgrade : uint8_t { kListener, kAllowed, kRefused };
  Upgrade upgrade(std::string_view protocol) const noexcept;
};

// A compiled route: what a request needs at run time. Immutable, owned by its VirtualHost, which is
// owned by the RouteTable (and shared with later versions of it): hold a pin of the table, or
// RouteTable::share() the virtual host. One cache line; what many routes have in common is in
// policy().
struct alignas(64) Route {
  enum class Action : uint8_t { kCluster, kWeighted, kClusterHeader, kRedirect, kDirect };

  const RoutePolicy& policy() const noexcept { return *policy_; }
  // What the request goes to. `random` and `runtime` are the request's (MatchInput). For kWeighted
  // a binary search, or where weights have runtime keys two walks over them; otherwise the route's
  // own. The cluster's slot is cluster_of(target).
  const Target& target(uint64_t random, const base::RuntimeValues* runtime) const noexcept;
  // What it changes about the chain's filters: with the weighted cluster that target() picks, where
  // that says something of them. Only if policy().filters is not null.
  const filters::RouteFilters& filters(uint64_t random,
                                       const base::RuntimeValues* runtime) const noexcept;
  ClusterId cluster_of(const Target& target) const noexcept {
    return action == Action::kWeighted ? target.cluster : cluster;
  }

  std::string_view path() const noexcept { return {text_, path_size_}; }  // prefix, path or regex
  std::string_view name() const noexcept { return {text_ + path_size_, name_size_}; }
  std::string_view stat_prefix() const noexcept {
    return {text_ + path_size_ + name_size_, stat_prefix_size_};
  }
  // Where it came from, relative to the resource: "virtual_hosts[3].routes[17]". Allocates: off
  // path.
  std::string source() const;
  const VirtualHost& virtual_host() const noexcept { return *virtual_host_; }

  // Data, by how often a request reads it.
  const RoutePolicy* policy_ = nullptr;
  const VirtualHost* virtual_host_ = nullptr;
  const Predicates* predicates_ = nullptr;  // null: the path decides alone
  const char* text_ = nullptr;              // path, name, stat_prefix, one after the other
  uint32_t path_size_ = 0;
  uint32_t name_size_ = 0;
  uint32_t stat_prefix_size_ = 0;
  uint32_t index = 0;  // declaration index in the virtual host
  ClusterId cluster = kNoCluster;
  Action action = Action::kCluster;
  PathMatch::Kind path_kind = PathMatch::Kind::kPrefix;
  bool path_ignore_case = false;
};
static_assert(sizeof(Route) == 64);

}  // namespace sluice::router
