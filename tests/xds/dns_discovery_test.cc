#include "xds/dns_discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/scripted_resolver.h"
#include "tests/support/xds/manual_executor.h"

namespace sluice::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ScriptedResolver;
using ::testing::SizeIs;
using upstream::DnsValue;
using Status = net::DnsAnswer::Status;
using State = DnsDiscovery::State;

constexpr int64_t kMs = base::kNsPerMs;
constexpr int64_t kSec = base::kNsPerSec;

// One locality; "name:port" each.
DnsValue named(const std::vector<std::pair<std::string, uint16_t>>& names) {
  DnsValue out;
  out.assignment.localities.resize(1);
  for (const auto& [name, port] : names) {
    out.names.push_back({0, out.assignment.localities[0].endpoints.size(), name, port});
    out.assignment.localities[0].endpoints.emplace_back();
  }
  return out;
}

class DnsDiscoveryTest : public ::testing::Test {
 protected:
  DnsDiscoveryTest() {
    DnsDiscovery::Options options;
    options.resolver = &resolver;
    options.random = [this] { return random; };
    options.changed = [this](const std::string& key, State state) {
      ++num_changes;
      states[key] = std::move(state);
    };
    options.cells = [this](std::string_view cluster) { return &cells[std::string(cluster)]; };
    dns.emplace(main, std::move(options));
  }
  void follow(const std::string& key, DnsValue value, const std::string& cluster = "c") {
    states[key] = dns->follow(key, cluster, std::make_shared<const DnsValue>(std::move(value)));
    main.advance(0);
  }
  std::vector<std::string> addresses(const std::string& key) {
    std::vector<std::string> out;
    if (states[key].endpoints == nullptr) return {"none"};
    for (const auto& locality : states[key].endpoints->localities) {
      for (const auto& e : locality.endpoints) out.push_back(e.address.to_string());
    }
    return out;
  }
  // How long until `name` is asked again, in milliseconds; -1: not within a day.
  int64_t asked_again_in_ms(const std::string& name) {
    const base::MonoNs begun = main.now();
    while (!resolver.is_asking(name)) {
      main.advance(kMs);
      if (main.now() - begun > 86'400 * kSec) return -1;
    }
    return (main.now() - begun) / kMs;
  }

  test::ManualExecutor main;
  ScriptedResolver resolver;
  uint64_t random = 0;
  std::map<std::string, State> states;
  std::map<std::string, base::MembershipCells> cells;
  int num_changes = 0;
  std::optional<DnsDiscovery> dns;
};

TEST_F(DnsDiscoveryTest, AsksAtOnceAndSaysWhatEachNameHas) {
  follow("k", named({{"a", 80}, {"b", 81}}));
  EXPECT_THAT(resolver.open, SizeIs(2));
  EXPECT_FALSE(states["k"].complete);
  resolver.answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_THAT(addresses("k"), ElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  EXPECT_FALSE(states["k"].complete) << "b has not answered";
  resolver.answer("b", {"10.0.0.3"});
  EXPECT_THAT(addresses("k"), ElementsAre("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:81"));
  EXPECT_TRUE(states["k"].complete);
  EXPECT_EQ(cells["c"].update_attempt.get(), 2u);
}

TEST_F(DnsDiscoveryTest, LocalitiesWeightsHealthAndLiteralsAreKept) {
  DnsValue value = named({{"a", 80}});
  value.assignment.localities[0].region = "r";
  value.assignment.localities[0].priority = 1;
  value.assignment.localities[0].weight = 7;
  value.assignment.localities[0].endpoints[0].weight = 3;
  value.assignment.localities[0].endpoints[0].health = upstream::Health::kDegraded;
  upstream::EndpointValue literal;
  literal.address = *base::Address::ip("10.9.9.9", 90);
  value.assignment.localities[0].endpoints.push_back(literal);
  value.assignment.localities.emplace_back();
  value.assignment.localities[1].endpoints = {literal, {}};
  value.assignment.localities[1].endpoints[1].hostname = "given";
  value.names.push_back({1, 1, "b", 81});
  follow("k", value);
  resolver.answer("b", {"10.0.0.3"});
  resolver.answer("a", {"10.0.0.1", "10.0.0.2"});
  ASSERT_NE(states["k"].endpoints, nullptr);
  const auto& localities = states["k"].endpoints->localities;
  ASSERT_THAT(localities, SizeIs(2));
  EXPECT_EQ(localities[0].region, "r");
  EXPECT_EQ(localities[0].priority, 1u);
  EXPECT_EQ(localities[0].weight, 7u);
  ASSERT_THAT(localities[0].endpoints, SizeIs(3));
  for (const size_t i : {0, 1}) {
    EXPECT_EQ(localities[0].endpoints[i].weight, 3u);
    EXPECT_EQ(localities[0].endpoints[i].health, upstream::Health::kDegraded);
    EXPECT_EQ(localities[0].endpoints[i].hostname, "a");
  }
  EXPECT_EQ(localities[0].endpoints[2], literal);
  ASSERT_THAT(localities[1].endpoints, SizeIs(2));
  EXPECT_EQ(localities[1].endpoints[1].hostname, "given");
}

TEST_F(DnsDiscoveryTest, WithoutNamesThereIsNothingToWaitFor) {
  DnsValue value = named({});
  value.assignment.localities[0].endpoints.emplace_back().address =
      *base::Address::ip("10.9.9.9", 90);
  follow("k", value);
  EXPECT_TRUE(states["k"].complete);
  EXPECT_THAT(addresses("k"), ElementsAre("10.9.9.9:90"));
  EXPECT_EQ(main.num_timers(), 0u);
}

TEST_F(DnsDiscoveryTest, AskedAgainAfterTheRefreshRate) {
  DnsValue value = named({{"a", 80}});
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"}, 1);  // whose TTL does not count
  EXPECT_EQ(asked_again_in_ms("a"), 5000);
  resolver.answer("a", {"10.0.0.1"}, 1);
  EXPECT_EQ(asked_again_in_ms("a"), 5000);
}

TEST_F(DnsDiscoveryTest, TheTtlCountsWhereItIsToAndThereIsOne) {
  DnsValue value = named({{"a", 80}});
  value.respect_ttl = true;
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"}, 2);
  EXPECT_EQ(asked_again_in_ms("a"), 2000);
  resolver.answer("a", {"10.0.0.1"}, 0);
  EXPECT_EQ(asked_again_in_ms("a"), 5000) << "zero is no time to wait";
}

TEST_F(DnsDiscoveryTest, ATtlOfYearsIsAWeek) {
  DnsValue value = named({{"a", 80}});
  value.respect_ttl = true;
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"}, UINT32_MAX);
  main.advance(int64_t{DnsDiscovery::kMaxTtlS} * kSec - kMs);
  EXPECT_FALSE(resolver.is_asking("a"));
  main.advance(2 * kMs);
  EXPECT_TRUE(resolver.is_asking("a"));
}

TEST_F(DnsDiscoveryTest, TimesOfCenturiesDoNotOverflow) {
  DnsValue value = named({{"a", 80}, {"b", 80}});
  value.refresh = value.jitter = value.failure_base = value.failure_max =
      std::chrono::nanoseconds(INT64_MAX);
  random = UINT64_MAX;
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"});
  resolver.fail("b");
  main.advance(300 * 86'400 * kSec);
  EXPECT_FALSE(resolver.is_asking("a"));
}

TEST_F(DnsDiscoveryTest, JitterIsAddedToEachWait) {
  DnsValue value = named({{"a", 80}});
  value.jitter = std::chrono::milliseconds(100);
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_EQ(asked_again_in_ms("a"), 5000);
  random = 100'000'000;
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_EQ(asked_again_in_ms("a"), 5100);
}

TEST_F(DnsDiscoveryTest, FailuresBackOffUntilTheNextAnswer) {
  DnsValue value = named({{"a", 80}});
  value.failure_base = std::chrono::seconds(1);
  value.failure_max = std::chrono::seconds(4);
  random = 1'000'000'000 - 1;  // the longest of [0, 1 s)
  follow("k", value);
  for (const int64_t longest_s : {1, 2, 4, 4}) {
    random = static_cast<uint64_t>(longest_s * kSec - 1);
    resolver.fail("a");
    EXPECT_EQ(asked_again_in_ms("a"), longest_s * 1000);
  }
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_EQ(asked_again_in_ms("a"), 5000);
  random = kSec - 1;
  resolver.fail("a");
  EXPECT_EQ(asked_again_in_ms("a"), 1000) << "begins anew";
}

TEST_F(DnsDiscoveryTest, WithoutAFailureRateTheRefreshRateCounts) {
  follow("k", named({{"a", 80}}));
  resolver.fail("a");
  EXPECT_EQ(asked_again_in_ms("a"), 5000);
}

TEST_F(DnsDiscoveryTest, WaitsAreNeverNothing) {
  DnsValue value = named({{"a", 80}});
  value.refresh = std::chrono::nanoseconds(1);
  value.failure_base = value.failure_max = std::chrono::nanoseconds(1);
  follow("k", value);
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_EQ(asked_again_in_ms("a"), 10);
  resolver.fail("a");
  EXPECT_EQ(asked_again_in_ms("a"), 10);
}

TEST_F(DnsDiscoveryTest, WhatFailsLeavesTheLastAnswerInForce) {
  follow("k", named({{"a", 80}}));
  resolver.answer("a", {"10.0.0.1"});
  const auto before = states["k"].endpoints;
  const int changes = num_changes;
  for (const Status status : {Status::kTimeout, Status::kFailed, Status::kNoAddress}) {
    main.advance(5 * kSec);
    resolver.fail("a", status);
  }
  EXPECT_EQ(num_changes, changes);
  EXPECT_EQ(states["k"].endpoints, before);
  EXPECT_EQ(cells["c"].update_failure.get(), 2u);
  EXPECT_EQ(cells["c"].update_empty.get(), 1u);
  main.advance(5 * kSec);
  resolver.answer("a", {"10.0.0.2"});
  EXPECT_THAT(addresses("k"), ElementsAre("10.0.0.2:80"));
}

TEST_F(DnsDiscoveryTest, AFirstFailureEndsTheWaitWithoutEndpoints) {
  follow("k", named({{"a", 80}, {"b", 80}}));
  resolver.fail("a");
  EXPECT_FALSE(states["k"].complete);
  resolver.fail("b", Status::kNoAddress);
  EXPECT_TRUE(states["k"].complete);
  EXPECT_EQ(states["k"].endpoints, nullptr);
}

TEST_F(DnsDiscoveryTest, TheSameAddressesInAnotherOrderAreNoChange) {
  follow("k", named({{"a", 80}}));
  resolver.answer("a", {"10.0.0.1", "10.0.0.2"});
  const int changes = num_changes;
  main.advance(5 * kSec);
  resolver.answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_EQ(num_changes, changes);
  EXPECT_EQ(cells["c"].update_no_rebuild.get(), 1u);
  EXPECT_EQ(cells["c"].update_success.get(), 1u) << "whoever puts the others counts those";
}

TEST_F(DnsDiscoveryTest, OneHostTakesTheFirstAddressOfTheNewestAnswer) {
  DnsValue value = named({{"a", 80}});
  value.assignment.one_host = true;
  follow("k", value);
  resolver.answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_THAT(addresses("k"), ElementsAre("10.0.0.2:80"));
  EXPECT_TRUE(states["k"].endpoints->one_host);
  main.advance(5 * kSec);
  resolver.answer("a", {"10.0.0.1", "10.0.0.2"});
  EXPECT_THAT(addresses("k"), ElementsAre("10.0.0.1:80"));
}

TEST_F(DnsDiscoveryTest, ANameOfSeveralClustersIsAskedOnce) {
  follow("k1", named({{"a", 80}}), "c1");
  follow("k2", named({{"a", 443}}), "c2");
  EXPECT_THAT(resolver.open, SizeIs(1));
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_THAT(addresses("k1"), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(addresses("k2"), ElementsAre("10.0.0.1:443"));
  EXPECT_EQ(cells["c2"].update_attempt.get(), 0u) << "it came when the name was being asked";
  follow("k3", named({{"a", 8080}}), "c3");
  EXPECT_THAT(resolver.open, IsEmpty());
  EXPECT_TRUE(states["k3"].complete);
  EXPECT_THAT(addresses("k3"), ElementsAre("10.0.0.1:8080")) << "known already";
}

TEST_F(DnsDiscoveryTest, AskedInAnotherWayItIsAnotherQuestion) {
  DnsValue value = named({{"a", 80}});
  follow("k1", value);
  value.family = net::LookupFamily::kV4Only;
  follow("k2", value);
  value.resolver.emplace();
  value.resolver->servers = {*base::Address::ip("10.0.0.53", 53)};
  follow("k3", value);
  ASSERT_THAT(resolver.open, SizeIs(3));
  EXPECT_EQ(resolver.open[1].family, net::LookupFamily::kV4Only);
  EXPECT_EQ(resolver.open[2].config.servers, value.resolver->servers);
}

TEST_F(DnsDiscoveryTest, WhatNobodyFollowsIsForgotten) {
  follow("k1", named({{"a", 80}, {"a", 81}}));
  follow("k2", named({{"a", 80}}));
  EXPECT_EQ(dns->num_names(), 1u);
  dns->unfollow("k1");
  EXPECT_EQ(dns->num_names(), 1u);
  EXPECT_EQ(resolver.num_cancelled, 0u);
  dns->unfollow("k2");
  EXPECT_EQ(dns->num_names(), 0u);
  EXPECT_EQ(resolver.num_cancelled, 1u);
  follow("k3", named({{"a", 80}}));
  resolver.answer("a", {"10.0.0.1"});
  dns->unfollow("k3");
  main.advance(10 * kSec);
  EXPECT_THAT(resolver.open, IsEmpty()) << "its next time came";
}

TEST_F(DnsDiscoveryTest, WhoHearsOfAChangeMayLeave) {
  DnsDiscovery::Options options;
  options.resolver = &resolver;
  options.random = [] { return 0; };
  options.cells = [](std::string_view) { return nullptr; };
  options.changed = [this](const std::string&, const State&) {
    dns->unfollow("k1");
    dns->unfollow("k2");
  };
  dns.emplace(main, std::move(options));
  follow("k1", named({{"a", 80}}));
  follow("k2", named({{"a", 81}}));
  resolver.answer("a", {"10.0.0.1"});
  EXPECT_EQ(dns->num_names(), 0u);
}

TEST_F(DnsDiscoveryTest, EndsWithQuestionsOpen) {
  follow("k", named({{"a", 80}}));
  dns.reset();
  EXPECT_THAT(resolver.open, IsEmpty());
  EXPECT_EQ(main.num_timers(), 0u);
}

}  // namespace
}  // namespace sluice::xds
