// Clusters whose endpoints are found by name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/xds/assembling.h"

namespace sluice::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(XdsAssembler, TheStartWaitsForTheFirstAnswerOfADnsCluster) {
  start();
  EXPECT_THAT(send(kC, {dns_cluster("a", "a.test")}), IsEmpty());
  EXPECT_EQ(published_endpoints("a"), -2);
  EXPECT_THAT(subscriptions.names[kL], IsEmpty());
  EXPECT_THAT(subscriptions.names[kE], IsEmpty());
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].for_name, "of a.test (DNS)");
  main.advance(0);
  resolver.answer("a.test", {"10.0.0.1", "10.0.0.2"});
  main.run();
  EXPECT_EQ(published_endpoints("a"), 2);
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].for_type, kL) << "goes on with listeners";
}

TEST_F(XdsAssembler, AFirstFailureWarmsADnsClusterToo) {
  start();
  send(kC, {dns_cluster("a", "a.test")});
  main.advance(0);
  resolver.fail("a.test");
  main.run();
  EXPECT_EQ(published_endpoints("a"), 0);
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  main.advance(5 * kSec);
  resolver.answer("a.test", {"10.0.0.1"});
  EXPECT_EQ(published_endpoints("a"), 1);
}

TEST_F(XdsAssembler, ANameThatIsNotAnsweredHoldsUpTheStartOnlySoLong) {
  start();
  send(kC, {dns_cluster("a", "a.test")});
  main.advance(15 * kSec);
  EXPECT_EQ(published_endpoints("a"), 0);
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  resolver.answer("a.test", {"10.0.0.1"});
  EXPECT_EQ(published_endpoints("a"), 1);
}

TEST_F(XdsAssembler, ADnsClusterMayAskTheStartNotToWait) {
  start();
  send(kC, {dns_cluster("a", "a.test", "wait_for_warm_on_init: false\n")});
  EXPECT_EQ(published_endpoints("a"), 0);
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  main.advance(0);
  resolver.answer("a.test", {"10.0.0.1"});
  EXPECT_EQ(published_endpoints("a"), 1);
}

TEST_F(XdsAssembler, ADnsAnswerPublishesItsClusterAndNoOther) {
  go_live();
  send(kC, {eds_cluster("a"), dns_cluster("b", "b.test")});
  main.advance(0);
  resolver.answer("b.test", {"10.0.0.1"});
  main.run();
  ASSERT_FALSE(pending());
  const uint64_t before = published();
  const auto* a = server.builder().cluster("a")->endpoints.get();
  const auto* b = server.builder().cluster("b")->cluster.get();
  main.advance(5 * kSec);
  resolver.answer("b.test", {"10.0.0.2"});
  main.run();
  EXPECT_EQ(published(), before + 1);
  EXPECT_EQ(server.builder().cluster("a")->endpoints.get(), a);
  EXPECT_EQ(server.builder().cluster("b")->cluster.get(), b) << "only its endpoints are new";
  EXPECT_EQ(first_address("b"), "10.0.0.2:80");
  main.advance(5 * kSec);
  resolver.answer("b.test", {"10.0.0.2"});
  main.run();
  EXPECT_EQ(published(), before + 1) << "the same again is no change";
  EXPECT_EQ(server.stats().value("cluster.b.update_attempt"), 3u);
  EXPECT_EQ(server.stats().value("cluster.b.update_success"), 3u);
  EXPECT_EQ(server.stats().value("cluster.b.update_no_rebuild"), 1u);
}

TEST_F(XdsAssembler, AChangedDnsClusterKeepsItsEndpointsAndItsQuestion) {
  go_live();
  send(kC, {eds_cluster("a"), dns_cluster("b", "b.test")});
  main.advance(0);
  resolver.answer("b.test", {"10.0.0.1"});
  send(kC, {dns_cluster("b", "b.test", "connect_timeout: 3s\n")});
  EXPECT_EQ(first_address("b"), "10.0.0.1:80");
  EXPECT_EQ(resolver.asked["b.test"], 1);
  // Another port of the same name: known at once.
  send(kC, {dns_cluster("b", "b.test", "dns_jitter: 0s\n") + "alt_stat_name: x\n"});
  EXPECT_EQ(first_address("b"), "10.0.0.1:80");
  EXPECT_EQ(resolver.asked["b.test"], 1);
  EXPECT_THAT(resolver.open, IsEmpty());
}

TEST_F(XdsAssembler, TheOldNamesServeUntilTheNewOnesHaveAnswered) {
  go_live();
  send(kC, {eds_cluster("a"), dns_cluster("b", "b.test")});
  main.advance(0);
  resolver.answer("b.test", {"10.0.0.1"});
  send(kC, {dns_cluster("b", "c.test")});
  EXPECT_EQ(first_address("b"), "10.0.0.1:80");
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_TRUE(assembler->waits()[0].serves_old);
  main.advance(0);
  resolver.answer("c.test", {"10.0.0.2"});
  EXPECT_EQ(first_address("b"), "10.0.0.2:80");
  main.advance(60 * kSec);
  EXPECT_EQ(resolver.asked["b.test"], 1) << "nobody wants it any more";
}

TEST_F(XdsAssembler, ADnsClusterMayChangeItsTypeAndBack) {
  go_live();
  send(kC, {dns_cluster("a", "a.test")});
  EXPECT_EQ(first_address("a"), "127.0.0.1:80") << "EDS' until the name has answered";
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a"));
  main.advance(0);
  resolver.answer("a.test", {"10.0.0.1"});
  EXPECT_EQ(first_address("a"), "10.0.0.1:80");
  EXPECT_THAT(subscriptions.names[kE], IsEmpty());
  send(kC, {eds_cluster("a")});
  EXPECT_EQ(first_address("a"), "10.0.0.1:80");
  send(kE, {endpoints("a", 81)});
  EXPECT_EQ(first_address("a"), "127.0.0.1:81");
  main.advance(60 * kSec);
  EXPECT_THAT(resolver.open, IsEmpty());
  send(kC, {}, {"a"});
  EXPECT_EQ(published_endpoints("a"), -1);
}

TEST_F(XdsAssembler, RemovedWhileItsNameIsAskedADnsClusterLeavesNothing) {
  go_live();
  send(kC, {dns_cluster("b", "b.test"), dns_cluster("c", "c.test")});
  main.advance(0);
  resolver.answer("c.test", {"10.0.0.1"});
  send(kC, {dns_cluster("c", "d.test")});
  main.advance(0);
  EXPECT_THAT(resolver.open, SizeIs(2));
  send(kC, {}, {"b", "c"});
  EXPECT_THAT(resolver.open, IsEmpty());
  EXPECT_THAT(assembler->waits(), IsEmpty());
  EXPECT_EQ(published_endpoints("b"), -1);
}

TEST_F(XdsAssembler, AddressesInADnsClusterNeedNoAnswer) {
  go_live();
  send(kC, {dns_cluster("b", "10.1.2.3"), dns_cluster("c", "'::1'", "", "LOGICAL_DNS")});
  EXPECT_EQ(first_address("b"), "10.1.2.3:80");
  EXPECT_EQ(first_address("c"), "[::1]:80");
  EXPECT_THAT(resolver.asked, IsEmpty());
}

}  // namespace
}  // namespace sluice::xds
