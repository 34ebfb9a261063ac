#pragma once

#include <cstdint>
#include <memory>
#include <string>

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

// Circuit breakers of one priority. The limits are process-wide: workers take credits in batches
// (base/credit.h). Lives as long as a cluster of that name, whatever its versions; set_limits()
// keeps counting across a change.
struct Breaker {
  Breaker(const BreakerLimits& limits, unsigned workers)
      : connections(limits.max_connections, workers),
        pending(limits.max_pending_requests, workers),
        requests(limits.max_requests, workers),
        retries(limits.max_retries, workers) {}
  void set_limits(const BreakerLimits& limits) {
    connections.set_limit(limits.max_connections);
    pending.set_limit(limits.max_pending_requests);
    requests.set_limit(limits.max_requests);
    retries.set_limit(limits.max_retries);
  }
  base::CreditPool connections;
  base::CreditPool pending;
  base::CreditPool requests;
  base::CreditPool retries;
};

struct Breakers {
  Breakers(const ClusterValue& value, unsigned workers)
      : normal(value.breakers_default, workers), high(value.breakers_high, workers) {}
  Breaker normal;
  Breaker high;
};

// Cluster is what a route's cluster id leads to, but for its endpoints.
struct Cluster {
  ClusterValue value;
  uint32_t id = 0;                        // slot in Tables::clusters
  std::shared_ptr<const void> slot_hold;  // the slot is nobody else's while this cluster lives
  std::shared_ptr<const Transport> transport;
  std::shared_ptr<Breakers> breakers;
  std::shared_ptr<base::StatScope> stats;  // "cluster.<name>.", of base::ClusterCells
  // "cluster.<name>.http2.", of base::H2Cells; null: its endpoints never speak HTTP/2.
  std::shared_ptr<base::StatScope> h2_stats;
  const std::string& stat_name() const {
    return value.alt_stat_name.empty() ? value.name : value.alt_stat_name;
  }
};

// What stands in a slot of the tables. No cluster: unknown. A cluster without endpoints: warming.
struct ClusterEntry {
  std::shared_ptr<const Cluster> cluster;
  std::shared_ptr<const EndpointSet> endpoints;
};

}  // namespace sluice::upstream
