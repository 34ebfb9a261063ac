#include "dataplane/tables_builder.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/stats.h"

namespace sluice::dataplane {
namespace {

upstream::ClusterValue eds_cluster(uint32_t panic_threshold_pct) {
  upstream::ClusterValue cluster;
  cluster.name = "c";
  cluster.discovery = upstream::ClusterValue::Discovery::kEds;
  cluster.healthy_panic_threshold_pct = panic_threshold_pct;
  return cluster;
}

upstream::EndpointsValue one_unhealthy() {
  upstream::EndpointsValue value;
  auto& endpoint = value.localities.emplace_back().endpoints.emplace_back();
  endpoint.address = *base::Address::ip("10.0.0.1", 80);
  endpoint.health = upstream::Health::kUnhealthy;
  return value;
}

// The threshold is the cluster's, what it decides is computed with the endpoints: a change of the
// cluster alone must take effect at once, not with the next push of endpoints.
TEST(TablesBuilder, ChangedPanicThresholdCountsForTheEndpointsThatAreThere) {
  base::StatsStore stats;
  TablesBuilder builder({}, stats, nullptr);
  ASSERT_TRUE(builder.put_cluster(eds_cluster(0)).ok());
  builder.put_endpoints("c", one_unhealthy());
  const auto off = builder.cluster("c")->endpoints;
  EXPECT_TRUE(off->tiers()[0].hosts.empty());
  ASSERT_TRUE(builder.put_cluster(eds_cluster(0)).ok());
  EXPECT_EQ(builder.cluster("c")->endpoints, off) << "shared while nothing changed";
  ASSERT_TRUE(builder.put_cluster(eds_cluster(50)).ok());
  EXPECT_EQ(builder.cluster("c")->endpoints->tiers()[0].hosts.size(), 1u);
}

TEST(TablesBuilder, ClustersAreFoundByNameInTheVersionsThatHaveThem) {
  base::StatsStore stats;
  TablesBuilder builder({}, stats, nullptr);
  upstream::ClusterValue value = eds_cluster(50);
  std::vector<std::unique_ptr<const Tables>> versions;
  for (const char* name : {"a", "b", "c"}) {
    value.name = name;
    ASSERT_TRUE(builder.put_cluster(value).ok());
    versions.push_back(builder.build());
  }
  const router::ClusterId b = versions[1]->cluster_of("b");
  ASSERT_NE(b, router::kNoCluster);
  EXPECT_EQ(versions[0]->cluster_of("b"), router::kNoCluster);
  builder.remove_cluster("b");
  value.name = "d";  // in the same version; it may have the slot of the one that went
  ASSERT_TRUE(builder.put_cluster(value).ok());
  versions.push_back(builder.build());
  const Tables& now = *versions.back();
  EXPECT_EQ(now.cluster_of("b"), router::kNoCluster);
  for (const char* name : {"a", "c", "d"}) {
    const router::ClusterId id = now.cluster_of(name);
    ASSERT_NE(id, router::kNoCluster) << name;
    EXPECT_EQ(now.clusters.at(id).cluster->name, name);
  }
  EXPECT_EQ(versions[2]->cluster_of("b"), b) << "an older version has it still";
  value.name = "b";  // and it comes back
  ASSERT_TRUE(builder.put_cluster(value).ok());
  EXPECT_NE(builder.build()->cluster_of("b"), router::kNoCluster);
}

}  // namespace
}  // namespace sluice::dataplane
