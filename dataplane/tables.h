#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/persistent_array.h"
#include "dataplane/listener.h"
#include "router/table.h"
#include "upstream/cluster.h"

namespace sluice::dataplane {

// Tables is everything that a request can reach, one immutable object per version: the root that is
// published through hazard pointers. Made by TablesBuilder on main; read by every worker between
// adopting it and its last unpin; destroyed in the compile pool. No configuration object (protobuf,
// JSON, YAML) is reachable from it.
// Versions share what did not change: clusters and route tables hang in persistent arrays,
// listeners in one shared list.
struct Tables {
  uint64_t version = 0;
  // Slot: router::ClusterId.
  base::PersistentArray<upstream::ClusterEntry> clusters;
  // Slot: HttpConfig::route_slot. Null: the route configuration has not arrived.
  base::PersistentArray<std::shared_ptr<const router::RouteTable>> routes;
  std::shared_ptr<const ListenerSet> listeners;
  // For routes that take the cluster's name from a header.
  using ClusterNames = absl::flat_hash_map<std::string, router::ClusterId>;
  std::shared_ptr<const ClusterNames> cluster_names;
  // Slots whose cluster or endpoints differ from the version before (version - 1): what a worker
  // has to look at when it adopts versions one by one.
  std::vector<router::ClusterId> changed_clusters;
};

}  // namespace sluice::dataplane
