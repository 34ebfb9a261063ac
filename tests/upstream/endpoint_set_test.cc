#include "upstream/endpoint_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "tests/oracle/slow_balancer.h"
#include "tests/upstream/endpoints.h"

namespace sluice::upstream {
namespace {

using Shares = std::map<std::string, double>;

// What each host gets of a tier, from its order of round robin and from its alias table.
void add_shares(const EndpointSet& set, const EndpointSet::Tier& tier, double load, Shares* in_turn,
                Shares* random) {
  const auto name = [&](uint32_t i) { return set.endpoints()[i].address.to_string(); };
  for (const uint32_t i : tier.in_turn()) {
    (*in_turn)[name(i)] += load / static_cast<double>(tier.in_turn().size());
  }
  const auto n = static_cast<double>(tier.hosts.size());
  for (size_t i = 0; i < tier.hosts.size(); ++i) {
    const double keep =
        tier.weighted == nullptr ? 1.0 : tier.weighted->alias[i].keep_below / 4294967296.0;
    (*random)[name(tier.hosts[i])] += load * keep / n;
    if (keep < 1)
      (*random)[name(tier.hosts[tier.weighted->alias[i].other])] += load * (1 - keep) / n;
  }
}

void expect_near(const Shares& wanted, Shares& got, double within) {
  for (const auto& [address, share] : wanted) {
    EXPECT_NEAR(got[address], share, within) << address;
  }
}

void expect_as_oracle(const EndpointsValue& value, uint32_t panic_pct) {
  const auto set = EndpointSet::build(value, panic_pct);
  Shares in_turn, random;
  uint32_t before = 0;
  for (const EndpointSet::Tier& tier : set->tiers()) {
    ASSERT_GT(tier.load_up_to_pct, before) << "a tier without load";
    add_shares(*set, tier, (tier.load_up_to_pct - before) / 100.0, &in_turn, &random);
    before = tier.load_up_to_pct;
  }
  EXPECT_EQ(before, set->endpoints().empty() ? 0u : 100u);
  const Shares wanted = oracle::SlowBalancer(value, panic_pct).shares();
  expect_near(wanted, in_turn, 1e-9);
  expect_near(wanted, random, 1e-6);
}

TEST(EndpointSet, NobodyWithoutEndpoints) {
  base::Random random(1);
  const auto set = EndpointSet::build({}, 50);
  EXPECT_EQ(set->tier(random), nullptr);
}

// Rows of the tables in Envoy's documents on priority levels and panic, as percent of a hundred
// hosts; the last one with the percent that division leaves over where Envoy's code puts it.
TEST(EndpointSet, PrioritiesAsEnvoysDocumentsSay) {
  struct Row {
    uint32_t healthy_0, healthy_1;
    uint32_t load_0, load_1;
    bool panic_0, panic_1;
  };
  const Row rows[] = {
      {100, 100, 100, 0, false, false}, {72, 72, 100, 0, false, false},
      {71, 71, 99, 1, false, false},    {50, 60, 70, 30, false, false},
      {25, 100, 35, 65, false, false},  {0, 100, 0, 100, false, false},
      {25, 25, 50, 50, true, true},     {5, 65, 8, 92, true, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(std::to_string(row.healthy_0) + " " + std::to_string(row.healthy_1));
    Endpoints endpoints;
    endpoints.add(0, std::string(row.healthy_0, 'h') + std::string(100 - row.healthy_0, 'u'));
    endpoints.add(1, std::string(row.healthy_1, 'h') + std::string(100 - row.healthy_1, 'u'));
    const auto set = EndpointSet::build(endpoints.value(), 50);
    uint32_t load[2] = {0, 0}, before = 0;
    for (const auto& tier : set->tiers()) {
      load[tier.priority] = tier.load_up_to_pct - before;
      before = tier.load_up_to_pct;
      EXPECT_EQ(tier.panic, tier.priority == 0 ? row.panic_0 : row.panic_1);
      const uint32_t healthy = tier.priority == 0 ? row.healthy_0 : row.healthy_1;
      EXPECT_EQ(tier.hosts.size(), tier.panic ? 100u : healthy);
    }
    EXPECT_EQ(load[0], row.load_0);
    EXPECT_EQ(load[1], row.load_1);
    expect_as_oracle(endpoints.value(), 50);
  }
}

TEST(EndpointSet, OnlyHealthyOnesServeWhileTheySuffice) {
  Endpoints endpoints;
  endpoints.add(0, "h?hhhhhhdu");
  const auto set = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(set->tiers().size(), 1u) << "the usual pick costs no random number for the tier";
  EXPECT_THAT(set->tiers()[0].hosts, testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(set->num_healthy(), 8u);
  EXPECT_EQ(set->num_degraded(), 1u);
  EXPECT_EQ(set->endpoints().size(), 10u);
}

TEST(EndpointSet, DegradedOnesTakeWhatHealthyOnesCannot) {
  Endpoints endpoints;
  endpoints.add(0, "hhhhhddddd");  // 5 of 10: 70 % healthy, then degraded
  const auto set = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(set->tiers().size(), 2u);
  EXPECT_EQ(set->tiers()[0].load_up_to_pct, 70u);
  EXPECT_THAT(set->tiers()[0].hosts, testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(set->tiers()[1].load_up_to_pct, 100u);
  EXPECT_THAT(set->tiers()[1].hosts, testing::ElementsAre(5, 6, 7, 8, 9));
}

TEST(EndpointSet, HealthyOnesOfALowerPriorityComeBeforeDegradedOnes) {
  Endpoints endpoints;
  endpoints.add(0, "hhhhhddddd").add(1, "hh");
  const auto set = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(set->tiers().size(), 2u);
  EXPECT_THAT(set->tiers()[0].hosts, testing::ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(set->tiers()[1].hosts, testing::ElementsAre(10, 11));
}

TEST(EndpointSet, NoPanicWhereOtherPrioritiesSuffice) {
  Endpoints endpoints;
  endpoints.add(0, "huuuuuuuuu").add(1, "hhhh");
  const auto set = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(set->tiers().size(), 2u);
  EXPECT_EQ(set->tiers()[0].load_up_to_pct, 14u);
  EXPECT_THAT(set->tiers()[0].hosts, testing::ElementsAre(0)) << "not the unhealthy ones";
}

TEST(EndpointSet, PanicUsesAllAndThresholdZeroTurnsItOff) {
  Endpoints endpoints;
  endpoints.add(0, "uxtu");
  const auto panic = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(panic->tiers().size(), 1u);
  EXPECT_TRUE(panic->tiers()[0].panic);
  EXPECT_EQ(panic->tiers()[0].hosts.size(), 4u);

  const auto off = EndpointSet::with_panic_threshold(*panic, 0);
  ASSERT_EQ(off->tiers().size(), 1u);
  EXPECT_TRUE(off->tiers()[0].hosts.empty());
  EXPECT_NE(off->serial(), panic->serial()) << "workers must see that it is another set";
  EXPECT_EQ(off->endpoints().size(), 4u);
}

TEST(EndpointSet, OfDuplicateAddressesTheFirstCounts) {
  Endpoints endpoints;
  endpoints.add(0, "hh").add(1, "hh");
  auto& localities = endpoints.value().localities;
  localities[1].endpoints[0].address = localities[0].endpoints[0].address;
  const auto set = EndpointSet::build(endpoints.value(), 50);
  ASSERT_EQ(set->endpoints().size(), 3u);
  EXPECT_EQ(set->endpoints()[0].priority, 0u);
  expect_as_oracle(endpoints.value(), 50);
}

// A round of weighted round robin serves each host as often as its weight says, spread evenly: no
// host is ever more than one request ahead of or behind its share.
TEST(EndpointSet, WeightedRoundRobinIsExactAndSmooth) {
  base::Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint32_t> weights(2 + random.below(20));
    for (uint32_t& w : weights) w = 1 + random.below(50);
    weights[0] = weights[1] + 1;  // not all equal
    Endpoints endpoints;
    endpoints.weighted(weights);
    const auto set = EndpointSet::build(endpoints.value(), 50);
    const auto& order = set->tiers()[0].in_turn();
    double sum = 0;
    for (const uint32_t w : weights) sum += w;
    std::vector<double> served(weights.size(), 0);
    for (size_t step = 0; step < order.size(); ++step) {
      ++served[order[step]];
      for (size_t i = 0; i < weights.size(); ++i) {
        const double share = static_cast<double>(step + 1) * weights[i] / sum;
        ASSERT_LT(std::abs(served[i] - share), 2.0) << "host " << i << " step " << step;
      }
    }
    expect_as_oracle(endpoints.value(), 50);
  }
}

// Weights whose sum is beyond a round: scaled down, and the lightest still gets its turn.
TEST(EndpointSet, HugeWeightsKeepTheirProportionsAndStarveNobody) {
  Endpoints endpoints;
  endpoints.weighted({4'000'000'000, 2'000'000'000, 1'000'000'000, 1});
  const auto set = EndpointSet::build(endpoints.value(), 50);
  const auto& order = set->tiers()[0].in_turn();
  EXPECT_LE(order.size(), 5000u);
  std::vector<double> served(4, 0);
  for (const uint32_t i : order) served[i] += 1.0 / static_cast<double>(order.size());
  EXPECT_NEAR(served[0], 4.0 / 7, 0.01);
  EXPECT_NEAR(served[1], 2.0 / 7, 0.01);
  EXPECT_NEAR(served[2], 1.0 / 7, 0.01);
  EXPECT_GT(served[3], 0);
}

TEST(EndpointSet, SharesAreTheOraclesWhateverTheHealth) {
  base::Random random(11);
  constexpr std::string_view kHealths = "hhhh??dduxt";
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE(round);
    Endpoints endpoints;
    const uint32_t levels = 1 + random.below(4);
    for (uint32_t p = 0; p < levels; ++p) {
      std::string healths(random.below(12), 'h');  // none at times: a gap
      const bool sick = random.below(3) == 0;
      for (char& c : healths)
        c = sick ? "uxtd"[random.below(4)] : kHealths[random.below(kHealths.size())];
      endpoints.add(random.below(4) == 0 ? random.below(levels) : p, healths);
    }
    for (auto& locality : endpoints.value().localities) {
      if (random.below(2) == 0) continue;
      for (auto& e : locality.endpoints) e.weight = random.below(9);  // 0 counts as 1
    }
    if (random.below(3) == 0) endpoints.factor(100 + random.below(200));
    const uint32_t panics[] = {0, 1, 30, 50, 99, 100};
    expect_as_oracle(endpoints.value(), panics[random.below(6)]);
    if (HasFailure()) return;
  }
}

// The drawn numbers follow the tables: chi-square over many draws, with a fixed seed.
TEST(EndpointSet, DrawsFollowTheShares) {
  Endpoints endpoints;
  endpoints.weighted({1, 2, 3, 10, 100}).add(1, "hhd").add(0, "uuuud");
  const auto set = EndpointSet::build(endpoints.value(), 0);
  const Shares wanted = oracle::SlowBalancer(endpoints.value(), 0).shares();
  base::Random random(42);
  constexpr int kDraws = 200'000;
  std::map<std::string, int> drawn;
  for (int i = 0; i < kDraws; ++i) {
    const EndpointSet::Tier* tier = set->tier(random);
    ++drawn[set->endpoints()[tier->weighted_random(random)].address.to_string()];
  }
  double chi_square = 0;
  for (const auto& [address, share] : wanted) {
    if (share == 0) {
      EXPECT_EQ(drawn[address], 0) << address;
      continue;
    }
    const double expected = share * kDraws;
    chi_square += (drawn[address] - expected) * (drawn[address] - expected) / expected;
  }
  EXPECT_LT(chi_square, 30.0) << "9 degrees of freedom: 1 in 2,000 by chance";
}

}  // namespace
}  // namespace sluice::upstream
