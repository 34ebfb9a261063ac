#include "xds/cluster_loads.h"

#include <string_view>
#include <utility>

#include "dataplane/server.h"

namespace sluice::xds {
namespace {

using Row = dataplane::TablesBuilder::ClusterRow;
using Sums = dataplane::Server::HostSums;

uint64_t counter(const base::StatScope& scope, std::string_view name) {
  for (const base::StatRow& row : scope.group().rows) {
    if (row.name == name) return scope.counter(row);
  }
  return 0;
}

ClusterLoad load_of(const Row& row, const Sums& sums) {
  const upstream::Cluster& cluster = *row.cluster;
  ClusterLoad out;
  out.name = cluster.name;
  out.service_name = cluster.eds_service_name();
  out.dropped = counter(*cluster.stats, "upstream_rq_pending_overflow");
  const upstream::EndpointSet& set = *row.endpoints;
  out.endpoints.reserve(set.endpoints().size());
  for (const upstream::Endpoint& endpoint : set.endpoints()) {
    const auto place = set.locality(endpoint.locality);
    EndpointLoad& load = out.endpoints.emplace_back(
        EndpointLoad{endpoint.address, std::string(place.region), std::string(place.zone),
                     std::string(place.sub_zone), endpoint.priority, 0, 0, 0, 0});
    const auto found = sums.find({cluster.id, cluster.stats.get(), endpoint.address});
    if (found == sums.end()) continue;
    load.issued = found->second.rq_total;
    load.succeeded = found->second.rq_success;
    load.failed = found->second.rq_error;
    load.active = found->second.rq_active;
  }
  return out;
}

}  // namespace

void collect_loads(dataplane::Server& server, std::function<void(std::vector<ClusterLoad>)> done) {
  server.count_hosts([&server, done = std::move(done)](const Sums& sums) {
    std::vector<ClusterLoad> out;
    for (const Row& row : server.builder().clusters()) {
      if (row.endpoints != nullptr) out.push_back(load_of(row, sums));
    }
    done(std::move(out));
  });
}

}  // namespace sluice::xds
