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
#include <memory>
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
#include "xds/config_source.h"
#include "xds/flags.h"
#include "xds/runtime.h"
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
  std::shared_ptr<ConfigSources> sources;
  bool has_ads = false;  // then the aggregated stream is source kAds
  std::optional<SourceRef> lds, cds;
  // xdstp:// names of one resource or of a glob collection (rule 153); empty: everything.
  std::string lds_name, cds_name;
  std::vector<RuntimeLayerValue> runtime;
  std::optional<GrpcSource> load_stats;  // where load reports go
  net::ResolverConfig resolver;          // of clusters that say nothing about it
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
