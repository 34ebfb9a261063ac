// Resources against real tables. Rules of the xDS document are named by number.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/xds/assembling.h"

namespace sluice::xds {
namespace {

using base::cat;
using test::yaml_resource;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(XdsAssembler, StartsInTheOrderOfRule90) {
  start();
  EXPECT_EQ(assembler->state(), Assembler::State::kPreInitializing);
  EXPECT_THAT(subscriptions.names[kC], ElementsAre("*"));
  EXPECT_THAT(subscriptions.names[kL], IsEmpty());
  send(kC, {eds_cluster("a")});
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a"));
  EXPECT_THAT(subscriptions.names[kL], IsEmpty()) << "its endpoints are missing";
  send(kE, {endpoints("a", 80)});
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  EXPECT_EQ(assembler->state(), Assembler::State::kInitializing);
  send(kL, {rds_listener("in", "r")});
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r"));
  EXPECT_FALSE(serves("in")) << "the port stays closed until the routes are there";
  EXPECT_FALSE(live);
  send(kR, {routes("r", "a")});
  EXPECT_TRUE(serves("in"));
  EXPECT_TRUE(live);
  EXPECT_EQ(assembler->state(), Assembler::State::kLive);
  EXPECT_EQ(subscriptions.depth, 0);
  EXPECT_THAT(assembler->waits(), IsEmpty());
}

TEST_F(XdsAssembler, WithoutControlPlaneIsLiveAtOnce) {
  options.has_cds = options.has_lds = false;
  make();
  ASSERT_TRUE(assembler->start(nullptr).ok());
  EXPECT_TRUE(live);
}

TEST_F(XdsAssembler, EachStepEndsWithItsFetchTimeout) {
  start();
  assembler->on_fetch_timeout(kC, kAds, "");
  main.run();
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  assembler->on_fetch_timeout(kL, kAds, "");
  main.run();
  EXPECT_TRUE(live);
}

TEST_F(XdsAssembler, ARejectedFirstResponseEndsTheWait) {
  start();
  Update update;
  update.type = kC;
  update.changed.push_back({"bad", "v1", "\xff\xff", 1});
  EXPECT_THAT(send(std::move(update)), SizeIs(1));
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
}

TEST_F(XdsAssembler, ListsWhatWaitsForWhatSinceWhen) {
  start();
  const base::MonoNs begun = main.now();
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].for_type, kC);
  main.advance(3 * kSec);
  send(kC, {eds_cluster("a", "service_name: b")});
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  const Wait wait = assembler->waits()[0];
  EXPECT_EQ(wait.name, "a");
  EXPECT_EQ(wait.for_type, kE);
  EXPECT_EQ(wait.for_name, "b");
  EXPECT_EQ(wait.since, begun + 3 * kSec);
  EXPECT_FALSE(wait.serves_old);
}

TEST_F(XdsAssembler, EndpointsThatDoNotComeInTimeLeaveAnEmptyCluster) {
  start();
  send(kC, {eds_cluster("a")});
  EXPECT_EQ(published_endpoints("a"), -2);
  main.advance(15 * kSec);
  EXPECT_EQ(published_endpoints("a"), 0);
  EXPECT_THAT(subscriptions.names[kL], ElementsAre("*"));
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a")) << "rule 82: stays subscribed";
  send(kE, {endpoints("a", 80)});
  EXPECT_EQ(published_endpoints("a"), 1);
}

TEST_F(XdsAssembler, FetchTimeoutZeroWaitsForEver) {
  start();
  send(kC,
       {"name: a\ntype: EDS\neds_cluster_config: { eds_config: { ads: {}, initial_fetch_timeout: "
        "0s, resource_api_version: V3 } }\n"});
  main.advance(3600 * kSec);
  EXPECT_EQ(published_endpoints("a"), -2);
  EXPECT_THAT(subscriptions.names[kL], IsEmpty());
}

TEST_F(XdsAssembler, AListenerWithoutItsRoutesServesAfterItsOwnTimeout) {
  start();
  send(kC, {});
  send(kL, {listener("in",
                     "      rds: { route_config_name: r, config_source: { ads: {}, "
                     "initial_fetch_timeout: 2s, resource_api_version: V3 } }\n")});
  main.advance(2 * kSec - kMs);
  EXPECT_FALSE(serves("in"));
  main.advance(2 * kMs);
  EXPECT_TRUE(serves("in"));
  EXPECT_TRUE(live);
  send(kR, {routes("r", "a")});
  EXPECT_NE(server.builder().routes("r"), nullptr);
}

TEST_F(XdsAssembler, RejectedRoutesEndTheWaitOfTheirListener) {
  start();
  send(kC, {});
  send(kL, {rds_listener("in", "r")});
  const auto rejected = send(
      kR, {"name: r\nvirtual_hosts:\n- { name: x, domains: [a] }\n- { name: y, domains: [a] }\n"});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected[0].name, "r");
  EXPECT_THAT(base::message_of(rejected[0].status), HasSubstr("virtual_hosts[1].domains[0]"));
  EXPECT_TRUE(serves("in"));
  EXPECT_TRUE(live);
}

TEST_F(XdsAssembler, ANewListenerVersionUsesTheRoutesThatAreThere) {  // rule 95
  go_live();
  const auto* before = server.builder().listener("in")->http.get();
  send(kL, {rds_listener("in", "r") + "stat_prefix: other\n"});
  EXPECT_NE(server.builder().listener("in")->http.get(), before);
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r"));
}

TEST_F(XdsAssembler, TheOldListenerServesUntilTheNewOnesRoutesAreThere) {  // rule 92
  go_live();
  const auto* before = server.builder().listener("in")->http.get();
  send(kL, {rds_listener("in", "r2")});
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r", "r2"));
  EXPECT_EQ(server.builder().listener("in")->http.get(), before);
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_TRUE(assembler->waits()[0].serves_old);
  send(kR, {routes("r2", "a")});
  EXPECT_NE(server.builder().listener("in")->http.get(), before);
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r2"));
  EXPECT_NE(server.builder().routes("r2"), nullptr);
}

TEST_F(XdsAssembler, ASupersededWarmingListenerLeavesNothing) {
  go_live();
  send(kL, {rds_listener("in", "r2")});
  send(kL, {rds_listener("in", "r3")});
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r", "r3"));
  send(kL, {rds_listener("in", "r")});
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r"));
  EXPECT_THAT(assembler->waits(), IsEmpty());
}

TEST_F(XdsAssembler, RoutesAreAskedForOnceHoweverManyListenersNameThem) {
  go_live();
  send(kL, {rds_listener("in", "r"), rds_listener("other", "r")});
  EXPECT_TRUE(serves("other"));
  send(kL, {}, {"in"});
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r"));
  send(kL, {}, {"other"});
  EXPECT_THAT(subscriptions.names[kR], IsEmpty());
  EXPECT_FALSE(serves("in") || serves("other"));
}

TEST_F(XdsAssembler, AClusterUpdateKeepsTheEndpoints) {  // rule 94
  go_live();
  send(kC, {eds_cluster("a") + "connect_timeout: 3s\n"});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_FALSE(pending()) << "nothing warms, nothing is held";
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a"));
}

TEST_F(XdsAssembler, AClusterThatAsksForOtherEndpointsServesTheOldUntilTheyAreThere) {  // rule 91
  go_live();
  send(kC, {eds_cluster("a", "service_name: b")});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a", "b"));
  send(kE, {endpoints("b", 90, 3)});
  EXPECT_EQ(published_endpoints("a"), 3);
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("b"));
  EXPECT_EQ(server.builder().cluster("a")->cluster->eds_service_name(), "b");
}

TEST_F(XdsAssembler, ASupersededWarmingClusterLeavesNothing) {
  go_live();
  send(kC, {eds_cluster("a", "service_name: b")});
  send(kC, {eds_cluster("a", "service_name: c")});
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a", "c"));
  send(kC, {eds_cluster("a")});
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a"));
  send(kC, {}, {"a"});
  EXPECT_THAT(subscriptions.names[kE], IsEmpty());
  EXPECT_EQ(published_endpoints("a"), -1);
}

TEST_F(XdsAssembler, OneBadResourceDoesNotHoldBackTheOthers) {  // rule 44
  go_live();
  const auto rejected = send(kC, {eds_cluster("good"), "name: bad\ntype: LOGICAL_DNS\n"});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected[0].name, "bad");
  EXPECT_EQ(published_endpoints("good"), -2);
  EXPECT_EQ(published_endpoints("bad"), -1);
}

TEST_F(XdsAssembler, TheLastGoodFormServesOn) {  // rule 43
  go_live();
  const auto before = server.builder().routes("r");
  EXPECT_THAT(send(kR, {"name: r\nvirtual_hosts:\n- { name: x, domains: [] }\n"}), SizeIs(1));
  EXPECT_EQ(server.builder().routes("r"), before);
  EXPECT_THAT(send(kR, {routes("r", "b")}), IsEmpty());
  EXPECT_NE(server.builder().routes("r"), before);
}

TEST_F(XdsAssembler, RemovedClustersGoAndOthersStay) {
  go_live();
  send(kC, {eds_cluster("b")});
  send(kE, {endpoints("b", 90)});
  send(kC, {}, {"b"});
  EXPECT_EQ(published_endpoints("b"), -1);
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_THAT(subscriptions.names[kE], ElementsAre("a"));
}

TEST_F(XdsAssembler, APublishWaitsForAClusterThatBeganToWarm) {
  go_live();
  const uint64_t before = published();
  send(kC, {eds_cluster("b")});
  send(kR, {routes("r", "b")});
  EXPECT_EQ(published(), before) << "held: routes would lead to a cluster without endpoints";
  send(kE, {endpoints("b", 90)});
  EXPECT_EQ(published(), before + 1) << "all in one";
  EXPECT_FALSE(pending());
}

TEST_F(XdsAssembler, APublishIsHeldForASecondAtMost) {
  go_live();
  const uint64_t before = published();
  send(kC, {eds_cluster("b")});
  main.advance(600 * kMs);
  send(kC, {eds_cluster("c")});
  main.advance(399 * kMs);
  EXPECT_EQ(published(), before);
  main.advance(2 * kMs);
  EXPECT_EQ(published(), before + 1);
  main.advance(kSec);
  send(kR, {routes("r", "c")});
  EXPECT_EQ(published(), before + 2) << "what has warmed for longer holds nothing";
}

TEST_F(XdsAssembler, OneTurnIsOnePublish) {
  go_live();
  const uint64_t before = published();
  assembler->apply({kR, kAds, "x", {yaml_resource(kR, "x", routes("r", "b"))}, {}, {}},
                   [](auto) {});
  assembler->apply({kE, kAds, "x", {yaml_resource(kE, "x", endpoints("a", 90, 2))}, {}, {}},
                   [](auto) {});
  main.run();
  EXPECT_EQ(published(), before + 1);
}

// Main goes on turning in between, and requests see all of it or nothing.
TEST_F(XdsAssembler, ABigUpdateIsTakenInSlicesAndPublishedOnce) {
  options.slice = 2;
  go_live();
  std::vector<std::string> clusters, assignments;
  for (int i = 0; i < 5; ++i) {
    clusters.push_back(eds_cluster(base::cat("b", i)));
    assignments.push_back(endpoints(base::cat("b", i), 80));
  }
  EXPECT_THAT(send(kC, clusters, {"a"}), ::testing::IsEmpty());
  EXPECT_EQ(subscriptions.depth, 0);
  EXPECT_EQ(subscriptions.names[kE].size(), 5U);
  main.advance(2 * kSec);
  const uint64_t before = published();
  bool done = false;
  Update update;
  update.type = kE;
  for (const std::string& text : assignments) {
    update.changed.push_back(test::yaml_resource(kE, "v", text));
  }
  assembler->apply(std::move(update), [&](const std::vector<Rejected>&) { done = true; });
  EXPECT_FALSE(done) << "the rest comes in later turns";
  EXPECT_EQ(published_endpoints("b0"), 1);
  EXPECT_EQ(published_endpoints("b4"), -2);
  main.run();
  EXPECT_TRUE(done);
  EXPECT_EQ(published(), before + 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(published_endpoints(base::cat("b", i)), 1);
  EXPECT_EQ(published_endpoints("a"), -1);
}

TEST_F(XdsAssembler, EndpointsThatNobodyAskedForAreIgnored) {  // rule 64
  go_live();
  const uint64_t before = published();
  EXPECT_THAT(send(kE, {endpoints("nobody", 90)}), IsEmpty());
  EXPECT_EQ(published(), before);
}

TEST_F(XdsAssembler, UnchangedVirtualHostsAreTakenOver) {
  go_live();
  const std::string b =
      "- name: b\n  domains: [b]\n  routes:\n  - match: { prefix: / }\n    route: { cluster: a }\n";
  send(kR, {routes("r", "a", b)});
  const auto before = server.builder().routes("r");
  send(kR, {routes("r", "other", b)});
  const auto after = server.builder().routes("r");
  EXPECT_EQ(after->num_reused(), 1u);
  EXPECT_EQ(after->virtual_hosts()[1], before->virtual_hosts()[1]);
  EXPECT_NE(after->virtual_hosts()[0], before->virtual_hosts()[0]);
}

TEST_F(XdsAssembler, VirtualHostsThatDidNotChangeAreNotEvenDecoded) {
  go_live();
  DecodeJob job;
  job.update.type = kR;
  job.update.changed.push_back(
      yaml_resource(kR, "x", routes("r", "a", "validate_clusters: true\n")));
  job.ids = &server.builder().cluster_ids();
  job.compile.num_workers = server.num_workers();
  job.previous = {server.builder().routes("r")};
  const DecodedUpdate out = decode_update(std::move(job));
  ASSERT_THAT(out.routes, SizeIs(1));
  EXPECT_EQ(out.routes[0].table->num_reused(), 1u);
  EXPECT_THAT(out.routes[0].required_clusters, IsEmpty()) << "its virtual host was decoded";
}

TEST_F(XdsAssembler, RoutesThatMustKnowTheirClustersAreRefusedByName) {
  go_live();
  const auto rejected = send(kR, {routes("r", "nobody", "validate_clusters: true\n")});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_THAT(base::message_of(rejected[0].status), HasSubstr("\"nobody\""));
  EXPECT_THAT(send(kR, {routes("r", "a", "validate_clusters: true\n")}), IsEmpty());
}

TEST_F(XdsAssembler, BigUpdatesAreDecodedInThePool) {
  options.inline_bytes = 0;
  go_live();
  EXPECT_TRUE(serves("in"));
  EXPECT_EQ(published_endpoints("a"), 1);
}

TEST_F(XdsAssembler, AnAssemblerThatIsGoneIsNotCalled) {
  options.inline_bytes = 0;
  start();
  bool called = false;
  assembler->apply({kC, kAds, "v", {yaml_resource(kC, "v", eds_cluster("a"))}, {}, {}},
                   [&](auto) { called = true; });
  assembler.reset();
  // The pool runs tasks in order: when the second is done, so is the first.
  bool second = false;
  server.pool().run([&] { main.post([&] { second = true; }); });
  EXPECT_TRUE(main.run_until([&] { return second; }));
  EXPECT_FALSE(called);
}

TEST_F(XdsAssembler, AnUnbindablePortIsThatListenersErrorAlone) {
  go_live();
  const uint16_t taken = server.builder().listener("in")->sockets[0]->address.port();
  const auto rejected = send(kL, {direct_listener("x", taken), direct_listener("y")});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected[0].name, "x");
  EXPECT_THAT(base::message_of(rejected[0].status), HasSubstr(cat(taken)));
  EXPECT_TRUE(serves("in") && serves("y"));
  EXPECT_FALSE(serves("x"));
}

TEST_F(XdsAssembler, WithinOneResponseAnAddressMayMoveToAnotherListener) {  // rule 97
  go_live();
  const uint16_t port = server.builder().listener("in")->sockets[0]->address.port();
  EXPECT_THAT(send(kL, {direct_listener("x", port)}, {"in"}), IsEmpty());
  EXPECT_TRUE(serves("x"));
  EXPECT_THAT(send(kL, {direct_listener("a-first", port), direct_listener("x")}), IsEmpty())
      << "whatever the order in the response";
  EXPECT_TRUE(serves("a-first"));
}

class XdsAssemblerStatic : public XdsAssembler {
 protected:
  void add(const std::string& static_resources) {
    Flags flags;
    flags.config_yaml = static_resources;
    bootstrap = load_bootstrap(flags);
    ASSERT_TRUE(bootstrap.ok()) << bootstrap.status().ToString();
    make();
    ASSERT_TRUE(assembler->add_static(*bootstrap).ok());
  }
  absl::StatusOr<Bootstrap> bootstrap = absl::UnknownError("");
};

std::string indented(std::string text, std::string_view by) {
  std::string out;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    base::cat_to(out, by, text.substr(begin, end - begin), "\n");
    begin = end + 1;
  }
  return out;
}

std::string static_listener(const std::string& text) {
  return cat("static_resources:\n  listeners:\n  -\n", indented(text, "    "));
}

TEST_F(XdsAssemblerStatic, APortThatCannotBeHadEndsTheStartAndNamesThePlace) {
  options.has_cds = options.has_lds = false;
  // A documentation address: not of this machine.
  std::string text = direct_listener("in", 80);
  text.replace(text.find("127.0.0.1"), 9, "192.0.2.1");
  add(static_listener(text));
  const absl::Status status = assembler->start(nullptr);
  EXPECT_THAT(base::message_of(status), HasSubstr("--config-yaml:"));
  EXPECT_THAT(base::message_of(status), HasSubstr("listeners[\"in\"].address: "));
  EXPECT_THAT(base::message_of(status), HasSubstr("192.0.2.1:80"));
  EXPECT_EQ(failure, status);
  EXPECT_FALSE(live);
}

TEST_F(XdsAssemblerStatic, StaticResourcesAreNotTheControlPlanesToChange) {  // rule 130
  add(static_listener(direct_listener("in")));
  start();
  send(kC, {});
  const auto* before = server.builder().listener("in");
  ASSERT_NE(before, nullptr);
  EXPECT_THAT(send(kL, {rds_listener("in", "r")}), IsEmpty());
  EXPECT_EQ(server.builder().listener("in"), before);
  send(kL, {}, {"in"});
  EXPECT_TRUE(serves("in"));
  EXPECT_THAT(subscriptions.names[kR], IsEmpty());
}

}  // namespace
}  // namespace sluice::xds
