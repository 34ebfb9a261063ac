// Endpoints that come one by one (LEDS, rule 140).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/xds/assembling.h"
#include "xds/resource_name.h"

namespace sluice::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr Type kP = Type::kLbEndpoint;

std::string in_collection(std::string_view rest) {
  return base::cat("xdstp://a/envoy.config.endpoint.v3.LbEndpoint/", rest);
}
// A locality each.
std::string leds(std::string_view name, const std::vector<std::string>& collections,
                 std::string_view more = "") {
  std::string text = base::cat("cluster_name: ", name, "\nendpoints:\n");
  for (const std::string& collection : collections) {
    base::cat_to(text, "- leds_cluster_locality_config: {leds_config: {ads: {}, ",
                 "initial_fetch_timeout: 3s}, leds_collection_name: '", in_collection(collection),
                 "'}\n  priority: ", &collection - collections.data(), "\n");
  }
  return base::cat(text, more);
}
std::string point(int port) {
  return base::cat("endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ", port,
                   "}}}");
}

class XdsLeds : public XdsAssembler {
 protected:
  // Points by name ("g/a") and port; then names that are gone, then collections that answered.
  std::vector<Rejected> points(const std::vector<std::pair<std::string, int>>& changed,
                               const std::vector<std::string>& removed = {},
                               const std::vector<std::string>& answered = {}) {
    Update update;
    update.type = kP;
    for (const auto& [name, port] : changed) {
      update.changed.push_back(test::yaml_resource(kP, "1", point(port)));
      update.changed.back().name = in_collection(name);
    }
    for (const std::string& name : removed) update.removed.push_back(in_collection(name));
    for (const std::string& name : answered) update.answered.push_back(in_collection(name));
    return send(std::move(update));
  }
  // Cluster "a", whose endpoints are those of these collections.
  void follow(const std::vector<std::string>& collections) {
    start();
    EXPECT_THAT(send(kC, {eds_cluster("a")}), IsEmpty());
    EXPECT_THAT(send(kE, {leds("a", collections)}), IsEmpty());
  }
  std::vector<std::string> waits() {
    std::vector<std::string> out;
    for (const Wait& wait : assembler->waits()) {
      if (wait.for_type == kP) out.push_back(base::cat(wait.name, " for ", wait.for_name));
    }
    return out;
  }
};

TEST_F(XdsLeds, Rule140AClusterWarmsUntilItsCollectionAnswers) {
  follow({"g/*"});
  EXPECT_THAT(subscriptions.names[kP], ElementsAre(in_collection("g/*")));
  EXPECT_EQ(published_endpoints("a"), -2);
  EXPECT_THAT(waits(), ElementsAre("a for " + in_collection("g/*")));
  EXPECT_THAT(points({{"g/a", 80}, {"g/b", 81}}), IsEmpty());
  EXPECT_EQ(published_endpoints("a"), 2);
  EXPECT_THAT(waits(), IsEmpty());
}

TEST_F(XdsLeds, Rule140EndpointsComeAndGoOneByOne) {
  follow({"g/*"});
  points({{"g/b", 81}});
  points({{"g/a", 80}});
  EXPECT_EQ(published_endpoints("a"), 2);
  EXPECT_EQ(first_address("a"), "127.0.0.1:80");  // by name
  points({{"g/a", 90}});
  EXPECT_EQ(first_address("a"), "127.0.0.1:90");
  points({{"g/c", 82}}, {"g/a", "g/b"});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_EQ(first_address("a"), "127.0.0.1:82");
  points({}, {"g/c"});
  EXPECT_EQ(published_endpoints("a"), 0);
}

TEST_F(XdsLeds, Rule140AnEmptyCollectionAndOneThatDoesNotComeHaveNoEndpoints) {
  for (const bool answers : {true, false}) {
    SCOPED_TRACE(answers);
    const std::string name = answers ? "x" : "y";
    if (answers) start();
    send(kC, {eds_cluster(name)});
    send(kE, {leds(name, {name + "/*"})});
    EXPECT_EQ(published_endpoints(name), -2);
    if (answers) {
      points({}, {}, {name + "/*"});
    } else {
      main.advance(3 * kSec);
    }
    EXPECT_EQ(published_endpoints(name), 0);
    points({{name + "/a", 80}});
    EXPECT_EQ(published_endpoints(name), 1);
  }
}

TEST_F(XdsLeds, Rule140LocalitiesWaitForEachOther) {
  follow({"g/*", "h/*"});
  points({{"g/a", 80}});
  EXPECT_EQ(published_endpoints("a"), -2);
  points({{"h/a", 81}, {"h/b", 80}});  // of the same address the first counts
  EXPECT_EQ(published_endpoints("a"), 2);
}

TEST_F(XdsLeds, Rule140TheOldFormServesUntilTheNewCollectionHasAnswered) {
  follow({"g/*"});
  points({{"g/a", 80}});
  send(kE, {leds("a", {"h/*"})});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_THAT(subscriptions.names[kP],
              UnorderedElementsAre(in_collection("g/*"), in_collection("h/*")));
  points({{"g/b", 81}});  // and is kept up to date meanwhile
  EXPECT_EQ(published_endpoints("a"), 2);
  points({{"h/x", 90}});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_EQ(first_address("a"), "127.0.0.1:90");
  EXPECT_THAT(subscriptions.names[kP], ElementsAre(in_collection("h/*")));
}

TEST_F(XdsLeds, Rule140AFormThatStillWaitsIsReplaced) {
  follow({"g/*"});
  send(kE, {leds("a", {"h/*"})});
  EXPECT_THAT(subscriptions.names[kP], ElementsAre(in_collection("h/*")));
  points({{"h/a", 80}});
  EXPECT_EQ(published_endpoints("a"), 1);
  send(kE, {leds("a", {"g/*"})});
  send(kE, {endpoints("a", 70, 3)});
  EXPECT_THAT(subscriptions.names[kP], IsEmpty());
  EXPECT_EQ(published_endpoints("a"), 3);
  points({{"h/b", 81}, {"g/a", 82}});  // nobody's any more
  EXPECT_EQ(published_endpoints("a"), 3);
}

TEST_F(XdsLeds, Rule140ACollectionOfTwoClustersIsAskedForOnceAndLeftWithTheLast) {
  follow({"g/*"});
  send(kC, {eds_cluster("b")});
  send(kE, {leds("b", {"g/*"})});
  points({{"g/a", 80}});
  EXPECT_EQ(published_endpoints("a"), 1);
  EXPECT_EQ(published_endpoints("b"), 1);
  send(kC, {}, {"a"});
  EXPECT_THAT(subscriptions.names[kP], SizeIs(1));
  send(kC, {}, {"b"});
  EXPECT_THAT(subscriptions.names[kP], IsEmpty());
}

TEST_F(XdsLeds, Rule140WhatCannotBeIsRefusedByName) {
  start();
  send(kC, {eds_cluster("a")});
  const auto refused = [&](std::string_view text) {
    const auto rejected = send(kE, {std::string(text)});
    return rejected.empty() ? "accepted" : std::string(base::message_of(rejected[0].status));
  };
  EXPECT_THAT(refused(leds("a", {"g"})),
              HasSubstr("endpoints[0].leds_cluster_locality_config.leds_collection_name: is no "
                        "collection, whose name ends in /*"));
  EXPECT_THAT(refused(leds("a", {"g/*"}, base::cat("  lb_endpoints: [{", point(80), "}]\n"))),
              HasSubstr("leds_cluster_locality_config: cannot be beside lb_endpoints"));
  EXPECT_THAT(refused("cluster_name: a\nendpoints: [{leds_cluster_locality_config: "
                      "{leds_config: {ads: {}}, leds_collection_name: plain}}]"),
              HasSubstr("must be the xdstp:// name of a collection: \"plain\""));

  send(kE, {leds("a", {"g/*"})});
  Update update;
  update.type = kP;
  update.changed.push_back(test::yaml_resource(kP, "1", "health_status: HEALTHY"));
  update.changed.back().name = in_collection("g/a");
  const auto rejected = send(std::move(update));
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_THAT(std::string(base::message_of(rejected[0].status)),
              HasSubstr(base::cat("endpoint \"", in_collection("g/a"),
                                  "\": endpoint.address: is required")));
}

}  // namespace
}  // namespace sluice::xds
