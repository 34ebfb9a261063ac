#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/credit.h"
#include "base/stat_groups.h"
#include "http/h1_parser.h"
#include "upstream/endpoint_set.h"
#include "upstream/values.h"

namespace sluice::upstream {

// The immutable parts of a cluster, as tables hold them. Made on main by TablesBuilder; any thread
// reads. Each part is shared between versions as long as it is equal, so pointer equality means
// "did not change".

// What a connection is made of; pools hang on it (a worker's Host leases it), so that nothing but a
// change of this part closes connections.
struct Transport {
  TransportValue value;
  uint64_t serial = 0;  // different for every part that was ever made
  http::H1Options response_options;
  http::H2Options h2_options;
};

// The circuit breakers of a cluster. The limits are process-wide: workers take credits in batches
// (base/credit.h). They live beside main's statistics of the cluster, whatever its versions: a
// change of limits goes on counting, one of alt_stat_name begins anew for new requests.
using Breakers = base::CreditPools;
constexpr size_t kPoolsPerPriority = Breakers::kNum / 2;
inline Breakers::Limits limits_of(const ClusterValue& value) noexcept {
  const BreakerLimits& normal = value.breakers_default;
  const BreakerLimits& high = value.breakers_high;
  return {
      normal.max_connections, normal.max_pending_requests, normal.max_requests, normal.max_retries,
      high.max_connections,   high.max_pending_requests,   high.max_requests,   high.max_retries};
}

// Cluster is what a route's cluster id leads to, but for its endpoints. Clusters of a mesh differ
// in little but their names, so all that may be equal is shared.
struct Cluster {
  std::string_view name;  // of who holds the slot: nobody else has it while this cluster lives
  uint32_t id = 0;        // slot in Tables::clusters
  // Of the policy, for those who pick.
  ClusterValue::Balancer balancer = ClusterValue::Balancer::kRoundRobin;
  uint32_t choice_count = 2;
  uint32_t num_workers = 1;  // that share the breakers
  // Without names, version, endpoints and all that is found elsewhere; equal ones are one.
  std::shared_ptr<const ClusterValue> policy;
  struct Names {
    std::string stats;  // alt_stat_name; empty: the cluster's
    std::string eds;    // service_name
  };
  std::shared_ptr<const Names> names;  // null: none is another than `name`
  bool names_itself_to_eds = false;    // service_name is there, and is the cluster's name
  std::shared_ptr<const Transport> transport;
  std::shared_ptr<Breakers> breakers;
  std::shared_ptr<base::StatScope> stats;  // "cluster.<name>.", of base::ClusterCells
  // "cluster.<name>.http2.", of base::H2Cells; null: its endpoints never speak HTTP/2.
  std::shared_ptr<base::StatScope> h2_stats;

  std::string_view stat_name() const noexcept {
    return names == nullptr || names->stats.empty() ? name : std::string_view(names->stats);
  }
  std::string_view eds_service_name() const noexcept {
    if (names_itself_to_eds) return name;
    return names == nullptr ? std::string_view() : std::string_view(names->eds);
  }
};

// What stands in a slot of the tables. No cluster: unknown. A cluster without endpoints: warming.
struct ClusterEntry {
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const EndpointSet> endpoints;
};

}  // namespace sluice::upstream
