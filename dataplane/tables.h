#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/persistent_array.h"
#include "base/persistent_index.h"
#include "base/runtime.h"
#include "dataplane/listener.h"
#include "router/table.h"
#include "upstream/cluster.h"

namespace sluice::dataplane {

// Tables is everything that a request can reach, one immutable object per version: the root that is
// published through hazard pointers. Made by TablesBuilder on main; read by every worker between
// adopting it and its last unpin; destroyed in the compile pool. No configuration object (protobuf,
// JSON, YAML) is reachable from it.
// Versions share what did not change: clusters and route tables hang in persistent arrays,
// listeners in one shared list, clusters' names in a trie.
struct Tables {
  uint64_t version = 0;
  // Slot: router::ClusterId.
  base::PersistentArray<upstream::ClusterEntry> clusters;
  // Slot: HttpConfig::route_slot. Null: the route configuration has not arrived.
  base::PersistentArray<std::shared_ptr<const router::RouteTable>> routes;
  // Slot: HttpConfig::scope_slot. Null: the scopes have not arrived.
  base::PersistentArray<std::shared_ptr<const Scopes>> scopes;
  base::RuntimeValues runtime;
  // Slot: HttpConfig::chain_slot.
  base::PersistentArray<std::shared_ptr<const filters::FilterChain>> chains;
  std::shared_ptr<const ListenerSet> listeners;
  // Slots of `clusters` by name.
  base::PersistentIndex cluster_names;
  // For routes that take the cluster's name from a header. kNoCluster: there is none.
  router::ClusterId cluster_of(std::string_view name) const noexcept {
    static_assert(base::PersistentIndex::kNone == router::kNoCluster);
    return cluster_names.find(base::PersistentIndex::hash_of(name), [&](uint32_t slot) {
      return clusters.at(slot).cluster->name == name;
    });
  }
  // Slots whose cluster or endpoints differ from the version before (version - 1): what a worker
  // has to look at when it adopts versions one by one.
  std::vector<router::ClusterId> changed_clusters;
};

}  // namespace sluice::dataplane
