// Bootstrap is what the process starts from: node, admin, static resources, and where to get the
// others, read from Envoy's bootstrap (YAML or JSON).
//
// load_bootstrap() reads the file and --config-yaml (merged over it), checks them whole, and
// decodes the static resources, so that a process that starts has a configuration that works. Main
// only, at start. Errors: InvalidArgument, "FILE:LINE:COL: path: problem; remedy"; every feature
// that is not there yet is named (decode.h has the rule).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"
#include "dataplane/values.h"
#include "net/resolver.h"
#include "upstream/values.h"
#include "xds/flags.h"
#include "xds/warnings.h"

namespace sluice::xds {

struct Node {
  std::string id;
  std::string cluster;
  std::string region, zone, sub_zone;
  // envoy.config.core.v3.Node as every DiscoveryRequest carries it: metadata verbatim, our user
  // agent and build version.
  std::string bytes;
};

// One server that speaks xDS over gRPC.
struct ControlPlane {
  std::string name;       // the cluster's name, or the target
  std::string target;     // gRPC's: "ipv4:127.0.0.1:18000", "unix:/run/xds.sock", "dns:///cp:18000"
  std::string authority;  // empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata
  std::chrono::nanoseconds connect_timeout{5'000'000'000};
  std::chrono::nanoseconds backoff_base{500'000'000};
  std::chrono::nanoseconds backoff_max{30'000'000'000};
  // HTTP/2 pings; 0: none, the default (servers police them).
  std::chrono::nanoseconds keepalive_interval{0};
  std::chrono::nanoseconds keepalive_timeout{20'000'000'000};
  uint64_t max_receive_bytes = 0;  // 0: our own limit
};

struct RateLimit {
  uint32_t max_tokens = 100;
  double tokens_per_second = 10;
};

struct AdsConfig {
  std::vector<ControlPlane> servers;  // the first, then those to fall back to
  bool set_node_on_first_message_only = false;
  std::optional<RateLimit> rate_limit;  // none: no limit
};

// A ConfigSource that says `ads {}`.
struct AdsSource {
  std::chrono::nanoseconds initial_fetch_timeout{15'000'000'000};  // 0: wait for ever
};

struct AdminConfig {
  base::Address address;
  std::vector<dataplane::AccessLogValue> access_logs;
  std::string profile_path;
};

template <typename Value>
struct StaticResource {
  Value value;
  std::string bytes;  // as written, for /config_dump
};

struct Bootstrap {
  Node node;
  std::optional<AdminConfig> admin;
  std::vector<StaticResource<dataplane::ListenerValue>> listeners;
  std::vector<StaticResource<upstream::ClusterValue>> clusters;
  // Clusters that only lead to a control plane and that traffic cannot use yet (HTTP/2); they are
  // not in `clusters`. Name and bytes.
  std::vector<std::pair<std::string, std::string>> control_plane_clusters;
  std::optional<AdsConfig> ads;
  std::optional<AdsSource> lds, cds;
  net::ResolverConfig resolver;  // of clusters that say nothing about it
  std::string local_cluster_name;
  std::chrono::milliseconds stats_flush_interval{5'000};
  bool stats_flush_on_admin = false;
  std::string bytes;  // envoy.config.bootstrap.v3.Bootstrap, merged, for /config_dump
  Warnings warnings;
  // "FILE:LINE:COL" of a field such as `static_resources.listeners[0].address`; empty: unknown. For
  // messages about what is found out later (an address that cannot be bound). Keeps the text's
  // tree.
  std::function<std::string(std::string_view field_path)> locate;
};

absl::StatusOr<Bootstrap> load_bootstrap(const Flags& flags);

}  // namespace sluice::xds
