#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filters/values.h"
#include "http/values.h"

namespace sluice::router {

// Routes as plain values: what xds/decode makes of an Envoy RouteConfiguration, what tests and
// benches write by hand, and what compile() takes. No protobuf, no pointers between parts. Defaults
// are Envoy's. Every list keeps its order: a thing's declaration index is its position here.
// `source` is where it came from: a protobuf field path relative to the resource
// ("virtual_hosts[3].routes[17]"); messages and explain use it.

struct StringMatch {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string text;
  bool ignore_case = false;
};

struct HeaderMatch {
  std::string name;  // lower case; ":method", ":path", ":authority", ":scheme" too
  enum class Kind : uint8_t { kPresent, kString, kRange };
  Kind kind = Kind::kPresent;
  StringMatch string;
  int64_t range_from = 0;  // [from, to)
  int64_t range_to = 0;
  bool present = true;  // kPresent: whether it must be there
  bool invert = false;
  bool treat_missing_as_empty = false;
};

struct QueryMatch {
  std::string name;
  std::optional<StringMatch> value;  // none: present with any value
  bool present = true;
};

struct PathMatch {
  enum class Kind : uint8_t { kPrefix, kExact, kSeparatedPrefix, kRegex, kConnect };
  Kind kind = Kind::kPrefix;
  std::string text;
  bool ignore_case = false;
};

// Probability by which a route takes part: numerator of a million.
struct RuntimeFraction {
  uint32_t ppm = 1'000'000;
  std::string runtime_key;  // its value counts in place of ppm; empty: none
};

struct RouteMatch {
  PathMatch path;
  std::vector<HeaderMatch> headers;
  std::vector<QueryMatch> query;
  std::optional<RuntimeFraction> fraction;
  bool grpc_only = false;
};

using http::HeaderMutation;
using HeaderEdits = http::HeaderMutations;

struct WeightedCluster {
  std::string cluster;
  uint32_t weight = 0;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::string host_rewrite;
  std::string runtime_key;  // its value counts in place of weight; empty: none
  std::vector<filters::RouteFilterValue> filters = {};  // typed_per_filter_config
};

struct PathRewrite {
  enum class Kind : uint8_t { kNone, kPrefix, kRegex };
  Kind kind = Kind::kNone;
  std::string prefix;  // replaces what the match's prefix or exact path matched
  std::string regex;
  std::string substitution;
};

struct HostRewrite {
  enum class Kind : uint8_t { kNone, kLiteral, kHeader, kUpstreamHost, kPathRegex };
  Kind kind = Kind::kNone;
  std::string text;  // literal, or name of the header
  std::string substitution;
  bool append_x_forwarded_host = false;
};

struct RetryPolicy {
  std::string retry_on;
  uint32_t num_retries = 1;
  std::chrono::nanoseconds per_try_timeout{0};
  std::vector<uint32_t> retriable_status_codes;
};

// What a client's grpc-timeout does. Envoy has two generations of it: max_stream_duration, where
// the header sets how long the stream may last, and max_grpc_timeout, where gRPC requests have it
// for their route's timeout.
struct GrpcTimeout {
  enum class Sets : uint8_t { kNothing, kDuration, kTimeout };
  Sets sets = Sets::kNothing;
  std::chrono::nanoseconds max{0};     // 0: no limit
  std::chrono::nanoseconds offset{0};  // taken off
  bool rewrites = false;  // gRPC backends are told how long the stream may last, in that header
};

// Forwards to a cluster.
struct ForwardAction {
  // Exactly one of: cluster, cluster_header, weighted.
  std::string cluster;
  std::string cluster_header;
  std::vector<WeightedCluster> weighted;
  uint32_t total_weight = 0;  // 0: the sum
  uint16_t cluster_not_found_status = 503;
  PathRewrite path_rewrite;
  HostRewrite host_rewrite;
  std::optional<std::chrono::nanoseconds> timeout;       // none: 15 s; 0: off
  std::optional<std::chrono::nanoseconds> idle_timeout;  // none: the listener's; 0: off
  std::optional<std::chrono::nanoseconds> max_stream_duration;
  GrpcTimeout grpc_timeout;
  std::optional<RetryPolicy> retry;
  std::vector<std::string> upgrades;           // allowed here, lower case ("websocket")
  std::vector<std::string> upgrades_disabled;  // refused here though the listener allows them
  bool connect_terminates = false;             // CONNECT ends here: its bytes go on as plain TCP
  uint8_t priority = 0;                        // 0 default, 1 high
};

struct RedirectAction {
  std::string scheme;
  bool https = false;
  std::string host;
  uint32_t port = 0;
  std::string path;  // replaces path (and query, when it has one)
  PathRewrite rewrite;
  uint16_t status = 301;
  bool strip_query = false;
};

struct DirectResponseAction {
  uint16_t status = 200;
  std::string body;
};

struct RouteValue {
  enum class Action : uint8_t { kForward, kRedirect, kDirect };
  std::string name;
  RouteMatch match;
  Action action = Action::kForward;
  ForwardAction forward;
  RedirectAction redirect;
  DirectResponseAction direct;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::vector<filters::RouteFilterValue> filters;  // typed_per_filter_config
  std::string stat_prefix;
  std::string source;
};

struct VirtualHostValue {
  enum class RequireTls : uint8_t { kNone, kExternalOnly, kAll };
  std::string name;
  std::vector<std::string> domains;
  std::vector<RouteValue> routes;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::vector<filters::RouteFilterValue> filters;
  std::optional<RetryPolicy> retry;
  RequireTls require_tls = RequireTls::kNone;
  std::string source;
  // 128-bit digest of the bytes that this was decoded from; zero: unknown. Equal digests stand for
  // equal virtual hosts: compile() takes over the compiled form of the previous table. So an
  // unchanged virtual host need not be decoded: see RouteTable::knows().
  std::array<uint64_t, 2> digest{};
  // Only the digest is filled in: the previous table knows() it.
  bool left_out = false;
};

struct RouteConfigValue {
  std::string name;
  std::string version;
  // Shared, so that a push which changes one virtual host keeps the compiled others.
  std::vector<std::shared_ptr<const VirtualHostValue>> virtual_hosts;
  HeaderEdits request_headers;
  HeaderEdits response_headers;
  std::vector<filters::RouteFilterValue> filters;
  bool most_specific_header_mutations_wins = false;
  bool ignore_port_in_host_matching = false;
  // Whether a route to a cluster that nobody announced is an error; none: for inline routes only.
  std::optional<bool> validate_clusters;
  std::vector<std::string> internal_only_headers;  // lower case
  // Further virtual hosts come one by one (VHDS), on demand or not.
  struct Vhds {
    uint32_t source = 0;  // the configuration source, by number
    int64_t initial_fetch_timeout_ns = 15'000'000'000;
  };
  std::optional<Vhds> vhds;
};

}  // namespace sluice::router
