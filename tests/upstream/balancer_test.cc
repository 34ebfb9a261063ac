// Which host a worker picks: ClusterState over endpoint sets, without a connection.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "tests/upstream/cluster_site.h"

namespace sluice::upstream {
namespace {

using Balancer = ClusterValue::Balancer;

std::vector<int> count_picks(ClusterSite& site, int num_picks) {
  std::vector<int> counts(site.num_endpoints());
  for (int i = 0; i < num_picks; ++i) ++counts[site.index_of(*site.pick())];
  return counts;
}

double chi_square(const std::vector<int>& counts, const std::vector<double>& shares) {
  double total = 0, sum = 0;
  for (const int n : counts) total += n;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = shares[i] * total;
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

TEST(RoundRobin, ServesEveryHostOnceARound) {
  ClusterSite site(Balancer::kRoundRobin, Endpoints().add(0, "hhhhhhh").value());
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(count_picks(site, 7), std::vector<int>(7, 1));
  }
}

TEST(RoundRobin, ServesHostsByWeightInEveryRound) {
  ClusterSite site(Balancer::kRoundRobin, Endpoints().weighted({3, 1, 6}).value());
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(count_picks(site, 10), (std::vector<int>{3, 1, 6}));
  }
}

// Else the workers of many processes would all begin with the same host.
TEST(RoundRobin, BeginsAnywhere) {
  std::set<size_t> first;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    ClusterSite site(Balancer::kRoundRobin, Endpoints().add(0, "hhhhhhhh").value(), seed);
    first.insert(site.index_of(*site.pick()));
  }
  EXPECT_EQ(first.size(), 8u);
}

TEST(RandomChoice, FollowsTheWeights) {
  ClusterSite site(Balancer::kRandom, Endpoints().weighted({1, 2, 3, 4, 10}).value());
  const auto counts = count_picks(site, 100'000);
  EXPECT_LT(chi_square(counts, {0.05, 0.1, 0.15, 0.2, 0.5}), 20.0);  // 4 degrees: 1 in 2,000
}

// k choices pick a host that is the only busy one with probability 1 / n^k.
TEST(LeastRequest, AvoidsABusyHostAsTheChoicesAllow) {
  constexpr int kPicks = 100'000;
  for (const uint32_t choices : {2u, 3u}) {
    SCOPED_TRACE(choices);
    ClusterSite site(Balancer::kLeastRequest, Endpoints().add(0, "hhhh").value());
    site.cluster.choice_count = choices;
    auto* busy = site.pick();
    const size_t index = site.index_of(*busy);
    site.state().hold(*busy);
    const double expected = kPicks * std::pow(0.25, choices);
    const auto counts = count_picks(site, kPicks);
    EXPECT_NEAR(counts[index], expected, 5 * std::sqrt(expected));
    site.state().unhold(*busy);
  }
}

// Requests that never end: two choices keep the hosts within a few of one another, where random
// choice strays by the root of their number.
TEST(LeastRequest, KeepsHostsLevelByWeight) {
  const std::vector<uint32_t> weights = {1, 2, 4, 8};
  constexpr uint32_t kRequests = 15'000;
  ClusterSite site(Balancer::kLeastRequest, Endpoints().weighted(weights).value());
  std::vector<ClusterSite::HostT*> held;
  for (uint32_t i = 0; i < kRequests; ++i) {
    auto* host = site.pick();
    site.state().hold(*host);
    held.push_back(host);
  }
  for (auto* host : std::set<ClusterSite::HostT*>(held.begin(), held.end())) {
    const double share = weights[site.index_of(*host)] / 15.0;
    EXPECT_NEAR(host->active_requests, kRequests * share, 20) << site.index_of(*host);
  }
  for (auto* host : held) site.state().unhold(*host);
}

// The same draws, decided by a plain walk over the choices.
TEST(LeastRequest, TakesTheLeastLoadedOfItsChoices) {
  constexpr uint64_t kSeed = 9;
  const std::vector<uint32_t> weights = {5, 1, 1, 3, 2};
  ClusterSite site(Balancer::kLeastRequest, Endpoints().weighted(weights).value(), kSeed);
  site.cluster.choice_count = 4;
  base::Random same(kSeed), ends(2);
  same.next();  // the cursor of round robin took one
  const EndpointSet::Tier& tier = site.endpoints().tiers()[0];
  std::vector<double> load(weights.size(), 0);
  std::vector<ClusterSite::HostT*> held;
  for (int i = 0; i < 2000; ++i) {
    std::vector<uint32_t> choices;
    for (int n = 0; n < 4; ++n) choices.push_back(tier.weighted_random(same));
    const uint32_t wanted = *std::min_element(
        choices.begin(), choices.end(),
        [&](uint32_t a, uint32_t b) { return load[a] / weights[a] < load[b] / weights[b]; });
    auto* host = site.pick();
    ASSERT_EQ(site.index_of(*host), wanted) << i;
    site.state().hold(*host);
    held.push_back(host);
    ++load[wanted];
    if (ends.below(3) != 0) continue;
    auto*& any = held[ends.below(static_cast<uint32_t>(held.size()))];
    --load[site.index_of(*any)];
    site.state().unhold(*any);
    any = held.back();
    held.pop_back();
  }
  for (auto* host : held) site.state().unhold(*host);
}

TEST(ClusterState, NobodyToPickWhereNobodyIsEligible) {
  ClusterSite site(Balancer::kRoundRobin, Endpoints().add(0, "uu").value(), 1, 0);
  EXPECT_EQ(site.pick(), nullptr);
  ClusterSite empty(Balancer::kRoundRobin, {});
  EXPECT_EQ(empty.pick(), nullptr);
}

TEST(ClusterState, HostsOutliveEndpointSetsAndGoWithTheirLastUser) {
  Endpoints endpoints;
  endpoints.add(0, "hhh");
  ClusterSite site(Balancer::kRoundRobin, endpoints.value());
  std::map<size_t, ClusterSite::HostT*> before;
  for (int i = 0; i < 3; ++i) {
    auto* host = site.pick();
    before[site.index_of(*host)] = host;
  }
  site.state().hold(*before[0]);
  auto& list = endpoints.value().localities[0].endpoints;
  list.erase(list.begin());  // 0 goes, 1 and 2 become 0 and 1
  site.put(endpoints.value());
  for (int i = 0; i < 2; ++i) {
    auto* host = site.pick();
    EXPECT_EQ(host, before[site.index_of(*host) + 1]) << "a host that stayed is the same object";
  }
  EXPECT_TRUE(before[0]->removed);
  EXPECT_EQ(before[0]->address, Endpoints::address(1)) << "still there for the request that has it";
  site.state().unhold(*before[0]);
  site.state().drop_all();
  EXPECT_TRUE(site.state().unused());
}

}  // namespace
}  // namespace sluice::upstream
