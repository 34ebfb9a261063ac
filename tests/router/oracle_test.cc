#include <gtest/gtest.h>

#include "router/table.h"
#include "tests/oracle/linear_router.h"
#include "tests/oracle/router_samples.h"

namespace sluice::router {
namespace {

void compare(uint64_t seed, size_t num_routes, int num_requests) {
  Choices choices(seed);
  const RouteConfigValue config = random_config(choices, num_routes);
  ClusterIds clusters;
  const auto table = RouteTable::compile(config, clusters, nullptr);
  ASSERT_TRUE(table.ok()) << table.status();
  const oracle::LinearRouter linear(config);
  for (int i = 0; i < num_requests; ++i) {
    ASSERT_EQ(difference(**table, linear, random_request(choices)), "")
        << "seed " << seed << " request " << i;
  }
}

TEST(RouteTableOracle, SmallTables) {
  for (uint64_t seed = 1; seed <= 3000; ++seed) ASSERT_NO_FATAL_FAILURE(compare(seed, 6, 20));
}

TEST(RouteTableOracle, MiddlingTables) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    ASSERT_NO_FATAL_FAILURE(compare(seed + 10'000, 60, 60));
  }
}

TEST(RouteTableOracle, LargeTables) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    ASSERT_NO_FATAL_FAILURE(compare(seed + 20'000, 1500, 150));
  }
}

}  // namespace
}  // namespace sluice::router
