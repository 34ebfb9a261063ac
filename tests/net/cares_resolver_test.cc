#include "net/cares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "base/text.h"
#include "tests/net/peer.h"
#include "tests/support/dns_server.h"

namespace sluice::net {
namespace {

using base::cat;
using ::testing::Contains;
using testing::DnsServer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using Status = DnsAnswer::Status;

class CaresResolverTest : public ::testing::Test {
 protected:
  CaresResolverTest()
      : scope(std::make_shared<base::StatScope>(base::ResolverCells::kGroup, "dns.cares.")) {
    config.servers = {*base::Address::ip("127.0.0.1", dns.port())};
    config.no_search_domains = true;
    config.timeout_ms = 200;
    config.num_tries = 1;
    resolver.emplace(loop, base::WorkerCells<base::ResolverCells>(scope));
  }

  DnsAnswer ask(const std::string& name, LookupFamily family = LookupFamily::kAuto) {
    std::optional<DnsAnswer> out;
    bool returned = false;
    resolver->resolve(config, name, family, [&](DnsAnswer answer) {
      EXPECT_TRUE(returned) << "answered before resolve() returned";
      EXPECT_FALSE(out) << "answered twice";
      out = std::move(answer);
    });
    returned = true;
    EXPECT_TRUE(run_until(loop, [&] { return out.has_value(); }));
    return out.value_or(DnsAnswer{});
  }
  static std::vector<std::string> text(const DnsAnswer& answer) {
    std::vector<std::string> out;
    for (const base::IpAddress& address : answer.addresses) out.push_back(address.to_string());
    return out;
  }
  uint64_t count(std::string_view name) const {
    for (const base::StatRow& row : base::ResolverCells::kGroup.rows) {
      if (row.name != name) continue;
      return row.kind == base::StatKind::kGauge ? static_cast<uint64_t>(scope->gauge(row))
                                                : scope->counter(row);
    }
    ADD_FAILURE() << name;
    return 0;
  }

  DnsServer dns;
  std::shared_ptr<base::StatScope> scope;
  Loop loop;
  ResolverConfig config;
  std::optional<CaresResolver> resolver;
};

TEST_F(CaresResolverTest, AddressesInTheOrderReceivedEachOnceWithTheSmallestTtl) {
  dns.put("a.test", {.v4 = {"10.0.0.9", "10.0.0.1", "10.0.0.9"}, .ttl_s = 7});
  const DnsAnswer answer = ask("a.test", LookupFamily::kV4Only);
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_THAT(text(answer), ElementsAre("10.0.0.9", "10.0.0.1"));
  EXPECT_EQ(answer.ttl_s, 7u);
  EXPECT_EQ(count("resolve_total"), 1u);
  EXPECT_EQ(count("pending_resolutions"), 0u);
}

TEST_F(CaresResolverTest, FamiliesAreAskedAsEnvoyDoes) {
  dns.put("both.test", {.v4 = {"10.0.0.1"}, .v6 = {"fd00::1"}});
  dns.put("four.test", {.v4 = {"10.0.0.4"}});
  dns.put("six.test", {.v6 = {"fd00::6"}});
  struct Row {
    LookupFamily family;
    std::vector<std::string> both, four, six;
  };
  const Row rows[] = {
      {LookupFamily::kAuto, {"fd00::1"}, {"10.0.0.4"}, {"fd00::6"}},
      {LookupFamily::kV4First, {"10.0.0.1"}, {"10.0.0.4"}, {"fd00::6"}},
      {LookupFamily::kV4Only, {"10.0.0.1"}, {"10.0.0.4"}, {}},
      {LookupFamily::kV6Only, {"fd00::1"}, {}, {"fd00::6"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(static_cast<int>(row.family));
    EXPECT_EQ(text(ask("both.test", row.family)), row.both);
    EXPECT_EQ(text(ask("four.test", row.family)), row.four);
    EXPECT_EQ(text(ask("six.test", row.family)), row.six);
  }
  EXPECT_THAT(text(ask("both.test", LookupFamily::kAll)),
              ::testing::UnorderedElementsAre("10.0.0.1", "fd00::1"));
}

TEST_F(CaresResolverTest, AutoAsksForTheSecondFamilyOnlyWhereTheFirstHasNone) {
  dns.put("both.test", {.v4 = {"10.0.0.1"}, .v6 = {"fd00::1"}});
  dns.put("four.test", {.v4 = {"10.0.0.4"}});
  ask("both.test");
  EXPECT_THAT(dns.questions(), ElementsAre("AAAA both.test"));
  ask("four.test");
  EXPECT_THAT(dns.questions(), ElementsAre("AAAA both.test", "AAAA four.test", "A four.test"));
}

TEST_F(CaresResolverTest, WhatCannotBeAnsweredSaysWhy) {
  dns.put("empty.test", {});
  dns.put("fails.test", {.rcode = 2});
  dns.put("refuses.test", {.rcode = 5});
  dns.put("silent.test", {.silent = true});
  const DnsAnswer unknown = ask("unknown.test");
  EXPECT_EQ(unknown.status, Status::kNoAddress);
  EXPECT_NE(unknown.problem, "");
  EXPECT_EQ(ask("empty.test").status, Status::kNoAddress);
  EXPECT_EQ(count("not_found"), 2u);
  EXPECT_EQ(ask("fails.test").status, Status::kFailed);
  EXPECT_EQ(ask("refuses.test").status, Status::kFailed);
  EXPECT_EQ(count("get_addr_failure"), 2u);
  EXPECT_EQ(ask("silent.test").status, Status::kTimeout);
  EXPECT_EQ(count("timeouts"), 1u);
  EXPECT_EQ(count("pending_resolutions"), 0u);
}

// A server that fails for one family and knows no address of the other has not said "none".
TEST_F(CaresResolverTest, OfTwoFamiliesTheFailureThatSaysLessCounts) {
  dns.put("silent.test", {.silent = true});
  EXPECT_EQ(ask("silent.test", LookupFamily::kAuto).status, Status::kTimeout);
}

TEST_F(CaresResolverTest, AnAnswerThatIsCutComesOverTcp) {
  std::vector<std::string> all;
  for (int i = 0; i < 500; ++i) all.push_back(cat("10.1.", i / 250, ".", 1 + i % 250));
  dns.put("big.test", {.v4 = all, .over_tcp = true});
  EXPECT_EQ(text(ask("big.test", LookupFamily::kV4Only)), all);
  EXPECT_THAT(dns.questions(), ElementsAre("A big.test", "tcp A big.test"));
}

TEST_F(CaresResolverTest, TcpFromTheStartWhereConfigured) {
  dns.put("a.test", {.v4 = {"10.0.0.1"}});
  config.use_tcp = true;
  EXPECT_THAT(text(ask("a.test", LookupFamily::kV4Only)), ElementsAre("10.0.0.1"));
  EXPECT_THAT(dns.questions(), ElementsAre("tcp A a.test"));
}

TEST_F(CaresResolverTest, AnAliasIsFollowedWithItsTtl) {
  dns.put("alias.test", {.v4 = {"10.0.0.1"}, .ttl_s = 3, .alias = "real.test"});
  const DnsAnswer answer = ask("alias.test", LookupFamily::kV4Only);
  EXPECT_THAT(text(answer), ElementsAre("10.0.0.1"));
  EXPECT_EQ(answer.ttl_s, 3u);
}

// RFC 2181, 8: a TTL with the top bit set is zero.
TEST_F(CaresResolverTest, ATtlOutOfRangeIsZero) {
  dns.put("a.test", {.v4 = {"10.0.0.1"}, .ttl_s = 0x80000001});
  EXPECT_EQ(ask("a.test", LookupFamily::kV4Only).ttl_s, 0u);
  dns.put("b.test", {.v4 = {"10.0.0.1"}, .ttl_s = 0});
  EXPECT_EQ(ask("b.test", LookupFamily::kV4Only).ttl_s, 0u);
}

TEST_F(CaresResolverTest, LocalhostNeedsNoServer) {
  EXPECT_THAT(text(ask("localhost", LookupFamily::kV4Only)), Contains("127.0.0.1"));
  EXPECT_THAT(dns.questions(), IsEmpty());
}

TEST_F(CaresResolverTest, MoreAddressesThanTheLimitAreCutTheSameWayEachTime) {
  // 65,535 bytes of TCP hold some 4,090 of them; both families together pass the limit.
  std::vector<std::string> four, six;
  for (int i = 0; i < 4000; ++i) four.push_back(cat("10.1.", i / 250, ".", 1 + i % 250));
  for (int i = 0; i < 2000; ++i) six.push_back(cat("fd00::", 1 + i % 9, ":", 1000 + i));
  dns.put("big.test", {.v4 = four, .v6 = six, .over_tcp = true});
  std::vector<std::string> first = text(ask("big.test", LookupFamily::kAll));
  EXPECT_EQ(first.size(), NameResolver::kMaxAddresses);
  std::reverse(four.begin(), four.end());
  std::reverse(six.begin(), six.end());
  dns.put("big.test", {.v4 = four, .v6 = six, .over_tcp = true});
  EXPECT_THAT(text(ask("big.test", LookupFamily::kAll)),
              ::testing::UnorderedElementsAreArray(first));
}

TEST_F(CaresResolverTest, ManyLookupsAtOnceAllEnd) {
  constexpr size_t kMany = 2000;
  size_t done = 0, good = 0;
  for (size_t i = 0; i < kMany; ++i) {
    const std::string name = cat("n", i, ".test");
    dns.put(name, {.v4 = {"10.0.0.1"}});
    resolver->resolve(config, name, LookupFamily::kV4Only, [&](const DnsAnswer& answer) {
      ++done;
      good += answer.status == Status::kOk ? 1 : 0;
    });
  }
  EXPECT_EQ(count("pending_resolutions"), kMany);
  EXPECT_TRUE(run_until(loop, [&] { return done == kMany; }));
  EXPECT_EQ(good, kMany);
  EXPECT_EQ(resolver->num_channels(), 1u);
}

TEST_F(CaresResolverTest, ACancelledLookupIsNotTold) {
  dns.put("a.test", {.v4 = {"10.0.0.1"}});
  bool told = false;
  const auto early = resolver->resolve(config, "a.test", LookupFamily::kV4Only,
                                       [&](const DnsAnswer&) { told = true; });
  resolver->cancel(early);
  resolver->cancel(early);
  const auto late = resolver->resolve(config, "a.test", LookupFamily::kV4Only,
                                      [&](const DnsAnswer&) { told = true; });
  loop.poll_once();
  resolver->cancel(late);
  EXPECT_TRUE(run_until(loop, [&] { return count("pending_resolutions") == 0; }));
  EXPECT_FALSE(told);
  resolver->cancel(12345);
}

TEST_F(CaresResolverTest, EndsWithLookupsUnderWay) {
  dns.put("silent.test", {.silent = true});
  bool told = false;
  for (int i = 0; i < 10; ++i) {
    resolver->resolve(config, "silent.test", LookupFamily::kAll,
                      [&](const DnsAnswer&) { told = true; });
  }
  loop.poll_once();
  resolver.reset();
  loop.poll_once();
  EXPECT_FALSE(told);
  EXPECT_EQ(count("pending_resolutions"), 0u);
}

TEST_F(CaresResolverTest, EachConfigurationHasItsServers) {
  DnsServer other;
  dns.put("a.test", {.v4 = {"10.0.0.1"}});
  other.put("a.test", {.v4 = {"10.0.0.2"}});
  EXPECT_THAT(text(ask("a.test", LookupFamily::kV4Only)), ElementsAre("10.0.0.1"));
  config.servers = {*base::Address::ip("127.0.0.1", other.port())};
  EXPECT_THAT(text(ask("a.test", LookupFamily::kV4Only)), ElementsAre("10.0.0.2"));
  EXPECT_EQ(resolver->num_channels(), 2u);
}

TEST(CaresResolverAge, AChannelWithNothingToAskGoes) {
  DnsServer dns;
  dns.put("a.test", {.v4 = {"10.0.0.1"}});
  Loop loop({.clock = base::Clock::Kind::kManual});
  const auto scope = std::make_shared<base::StatScope>(base::ResolverCells::kGroup, "dns.cares.");
  CaresResolver resolver(loop, base::WorkerCells<base::ResolverCells>(scope));
  ResolverConfig config;
  config.servers = {*base::Address::ip("127.0.0.1", dns.port())};
  bool done = false;
  const auto ask = [&] {
    done = false;
    resolver.resolve(config, "a.test", LookupFamily::kV4Only,
                     [&](const DnsAnswer& answer) { done = answer.status == Status::kOk; });
    return run_until(loop, [&] { return done; });
  };
  EXPECT_EQ(resolver.num_channels(), 0u);
  ASSERT_TRUE(ask());
  EXPECT_EQ(resolver.num_channels(), 1u);
  loop.clock().advance(CaresResolver::kMaxAgeNs / 2);
  ASSERT_TRUE(ask());
  EXPECT_EQ(resolver.num_channels(), 1u) << "used, and not made anew";
  loop.clock().advance(CaresResolver::kMaxAgeNs);
  while (loop.poll_once()) {
  }
  EXPECT_EQ(resolver.num_channels(), 0u);
  EXPECT_TRUE(ask());
}

}  // namespace
}  // namespace sluice::net
