#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Versions = std::map<std::string, std::string>;

class XdsDelta : public XdsDeltaClient {
 protected:
  void reconnect() {
    transport.close(absl::UnavailableError("x"));
    main.advance(kSec);
    ASSERT_TRUE(transport.is_open());
  }
};

std::vector<std::string> subscribed(const DeltaDiscoveryRequest& request) {
  return {request.resource_names_subscribe().begin(), request.resource_names_subscribe().end()};
}
std::vector<std::string> unsubscribed(const DeltaDiscoveryRequest& request) {
  return {request.resource_names_unsubscribe().begin(), request.resource_names_unsubscribe().end()};
}
Versions versions(const DeltaDiscoveryRequest& request) {
  return {request.initial_resource_versions().begin(), request.initial_resource_versions().end()};
}

// A request that answers nothing.
void expect_names(const DeltaDiscoveryRequest& request, Type type,
                  const std::vector<std::string>& came, const std::vector<std::string>& went = {}) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.response_nonce(), "");
  EXPECT_FALSE(request.has_error_detail());
  EXPECT_EQ(subscribed(request), came);
  EXPECT_EQ(unsubscribed(request), went);
}

void expect_ack(const DeltaDiscoveryRequest& request, Type type, std::string_view nonce,
                const std::vector<std::string>& came = {}) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_FALSE(request.has_error_detail()) << request.DebugString();
  EXPECT_EQ(subscribed(request), came);
  EXPECT_THAT(unsubscribed(request), IsEmpty());
  EXPECT_THAT(versions(request), IsEmpty());
}

void expect_nack(const DeltaDiscoveryRequest& request, Type type, std::string_view nonce,
                 std::string_view part) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_EQ(request.error_detail().code(), 13);
  EXPECT_THAT(request.error_detail().message(), HasSubstr(std::string(part)));
}

// --- Streams and requests.

TEST_F(XdsDelta, Rule2OneAggregatedStreamCarriesAllTypes) {
  start();
  for (const Type type : {kC, kL}) client->subscribe_all(type);
  client->subscribe(kE, "a");
  for (int i = 0; i < 3; ++i) next();
  EXPECT_THAT(transport.methods,
              ElementsAre("/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                          "DeltaAggregatedResources"));
}

TEST_F(XdsDelta, Rule20NodeIsOnEveryRequestOrOnTheFirstOnly) {
  for (const bool first_only : {false, true}) {
    options.node_on_first_message_only = first_only;
    start().subscribe(kE, "a");
    EXPECT_EQ(next().node().id(), "node-1");
    send(kE, "n1", {delta_resource(kE, "a", "1")});
    EXPECT_EQ(next().has_node(), !first_only);
    reconnect();
    EXPECT_EQ(next().node().id(), "node-1");
  }
}

TEST_F(XdsDelta, Rule26EachResponseGetsExactlyOneAnswer) {
  start().subscribe_all(kC);
  next();
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    send(kC, "n" + n, {delta_resource(kC, "a", n)});
    expect_ack(next(), kC, "n" + n);
    expect_quiet();
  }
}

TEST_F(XdsDelta, Rule30OnlyAnswersCarryANonceAndTheyMayCarryNames) {
  start().subscribe(kE, "a");
  expect_names(next(), kE, {"a"});
  sink.later = true;
  send(kE, "n1", {delta_resource(kE, "a", "1")});
  client->subscribe(kE, "b");
  expect_quiet();
  sink.finish();
  expect_ack(next(), kE, "n1", {"b"});
  client->subscribe(kE, "c");
  expect_names(next(), kE, {"c"});
  client->unsubscribe(kE, "a");
  expect_names(next(), kE, {}, {"a"});
}

TEST_F(XdsDelta, Rule31WhatCountsIsTheResourcesOwnVersion) {
  start().subscribe_all(kC);
  next();
  send(kC, "n1", {delta_resource(kC, "a", "7"), delta_resource(kC, "b", "9")});
  next();
  EXPECT_EQ(sink.updates.back().changed[0].version, "7");
  EXPECT_EQ(client->state(kC).version(), "s-n1");  // shown, never sent
  reconnect();
  EXPECT_EQ(versions(next()), (Versions{{"a", "7"}, {"b", "9"}}));
}

TEST_F(XdsDelta, Rule32OneClusterUpdateOfAThousandMakesOneEndpointRequest) {
  start().subscribe_all(kC);
  next();
  std::vector<WrappedResource> clusters;
  for (int i = 0; i < 1000; ++i)
    clusters.push_back(delta_resource(kC, "c" + std::to_string(i), "1"));
  sink.on_apply = [&](const Update& update) {
    for (const Resource& r : update.changed) client->subscribe(kE, r.name);
  };
  send(kC, "n1", clusters);
  expect_ack(next(), kC, "n1");
  EXPECT_EQ(subscribed(next()).size(), 1000u);
  expect_quiet();
}

// --- Rejections.

TEST_F(XdsDelta, Rule41VersionsOfRejectedResourcesAreNotRecorded) {
  start().subscribe_all(kC);
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1"), delta_resource(kC, "b", "1")});
  next();
  sink.bad["a"] = "wrong";
  send(kC, "n2", {delta_resource(kC, "a", "2"), delta_resource(kC, "b", "2")});
  const auto nack = next();
  expect_nack(nack, kC, "n2", "\"a\": field: wrong");
  EXPECT_THAT(nack.error_detail().message(), Not(HasSubstr("\"b\"")));
  expect_quiet();
  EXPECT_EQ(client->state(kC).errors().at("a").version, "2");
  reconnect();
  // So the server sends what was rejected again, and what was good not.
  EXPECT_EQ(versions(next()), (Versions{{"a", "1"}, {"b", "2"}}));
}

TEST_F(XdsDelta, Rule43AGoodVersionAfterABadOneIsAccepted) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  expect_nack(next(), kC, "n1", "\"a\"");
  sink.bad.clear();
  send(kC, "n2", {delta_resource(kC, "a", "2")});
  expect_ack(next(), kC, "n2");
  EXPECT_THAT(client->state(kC).errors(), IsEmpty());
}

TEST_F(XdsDelta, Rule45ABrokenResourceDoesNotStopTheOthers) {
  start().subscribe_all(kC);
  next();
  auto broken = delta_resource(kC, "broken", "1");
  broken.mutable_resource()->mutable_value()->append("\xff");
  auto strange = delta_resource(kC, "strange", "1");
  strange.mutable_resource()->set_type_url("type.googleapis.com/google.protobuf.Empty");
  broken.clear_name();
  send(kC, "n1", {broken, strange, delta_resource(kC, "good", "1")});
  const auto nack = next();
  expect_nack(nack, kC, "n1", "resources[0]");
  EXPECT_THAT(nack.error_detail().message(), HasSubstr("\"strange\": resources[1].type_url"));
  EXPECT_EQ(held(kC), std::set<std::string>{"good"});
}

TEST_F(XdsDelta, Rule47ANameGivenTwiceRefusesTheWholeResponse) {
  start().subscribe_all(kC);
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  next();
  send(kC, "n2", {delta_resource(kC, "b", "1"), delta_resource(kC, "b", "2")});
  expect_nack(next(), kC, "n2", "\"b\": name: given twice");
  send(kC, "n3", {delta_resource(kC, "a", "2")}, {"a"});
  expect_nack(next(), kC, "n3", "\"a\": name: given and removed");
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  EXPECT_EQ(sink.updates.size(), 1u);
  EXPECT_EQ(client->stats(kC).update_rejected, 2u);
  reconnect();
  EXPECT_EQ(versions(next()), (Versions{{"a", "1"}}));
}

TEST_F(XdsDelta, Rule49TheSameRejectedResponseIsAnsweredMoreSlowly) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  next();
  send(kC, "n2", {delta_resource(kC, "a", "1")});
  expect_quiet();
  main.advance(100 * kMs);
  expect_nack(next(), kC, "n2", "\"a\"");
  EXPECT_EQ(sink.updates.size(), 1u);
}

TEST_F(XdsDelta, Rule49ADelayedNackDiesWithItsStream) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  next();
  send(kC, "n2", {delta_resource(kC, "a", "1")});
  reconnect();
  expect_names(next(), kC, {});
}

// --- Names.

TEST_F(XdsDelta, Rule60WildcardIsTheEmptyFirstRequest) {
  start().subscribe_all(kL);
  const auto request = next();
  expect_names(request, kL, {});
  EXPECT_THAT(versions(request), IsEmpty());
}

TEST_F(XdsDelta, Rule61NamesBesideTheWildcard) {
  start().subscribe_all(kC);
  expect_names(next(), kC, {});
  client->subscribe(kC, "a");
  expect_names(next(), kC, {"a"});
  client->unsubscribe_all(kC);
  expect_names(next(), kC, {}, {"*"});
  client->unsubscribe(kC, "a");
  expect_names(next(), kC, {}, {"a"});
  client->subscribe_all(kC);
  expect_names(next(), kC, {"*"});  // an empty list now adds nothing
}

TEST_F(XdsDelta, Rule62ReconnectSendsTheLegacyFormAgainOrStarPlusNames) {
  start().subscribe_all(kC);
  client->subscribe_all(kL);
  next();
  expect_names(next(), kL, {});
  client->subscribe(kL, "x");
  expect_names(next(), kL, {"x"});
  reconnect();
  expect_names(next(), kC, {});
  expect_names(next(), kL, {"*", "x"});
}

TEST_F(XdsDelta, Rule64ResourcesNotAskedForAreIgnoredAndAcked) {
  start().subscribe(kR, "a");
  next();
  send(kR, "n1", {delta_resource(kR, "a", "1"), delta_resource(kR, "other", "1")});
  expect_ack(next(), kR, "n1");
  EXPECT_EQ(held(kR), std::set<std::string>{"a"});
  EXPECT_EQ(client->stats(kR).resources_unasked, 1u);
}

TEST_F(XdsDelta, Rule65UnsubscribingBesideTheWildcardKeepsTheResourceUntilTheServerSays) {
  start().subscribe_all(kC);
  client->subscribe(kC, "a");
  client->subscribe(kC, "b");
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1"), delta_resource(kC, "b", "1")});
  next();
  for (const auto* name : {"a", "b"}) client->unsubscribe(kC, name);
  expect_names(next(), kC, {}, {"a", "b"});
  EXPECT_EQ(held(kC), (std::set<std::string>{"a", "b"}));
  // "a" is part of the wildcard, "b" was not.
  send(kC, "n2", {delta_resource(kC, "a", "1")}, {"b"});
  expect_ack(next(), kC, "n2");
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
}

TEST_F(XdsDelta, Rule65AStreamThatEndsBeforeTheServerSaysTellsItWhatIsHeld) {
  start().subscribe_all(kC);
  client->subscribe(kC, "a");
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  next();
  client->unsubscribe(kC, "a");
  next();
  reconnect();
  const auto request = next();
  expect_names(request, kC, {});
  EXPECT_EQ(versions(request), (Versions{{"a", "1"}}));
  send(kC, "m1", {}, {"a"});
  EXPECT_THAT(held(kC), IsEmpty());
}

TEST_F(XdsDelta, Rule66WhatLeftAndCameBackIsAskedForAgain) {
  start().subscribe(kE, "a");
  next();
  send(kE, "n1", {delta_resource(kE, "a", "1")});
  next();
  client->unsubscribe(kE, "a");
  client->subscribe(kE, "a");
  expect_names(next(), kE, {"a"});
  ASSERT_EQ(sink.updates.size(), 2u);  // from the cache meanwhile
  EXPECT_EQ(sink.updates.back().changed[0].name, "a");
  send(kE, "n2", {delta_resource(kE, "a", "1")});
  expect_ack(next(), kE, "n2");
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("a"));
}

TEST_F(XdsDelta, Rule67AliasesSatisfySubscriptions) {
  start().subscribe(kR, "alias");
  client->subscribe(kR, "name");
  client->subscribe(kR, "second");
  next();
  auto both = delta_resource(kR, "name", "1");
  for (const auto* alias : {"alias", "second", "name"}) both.add_aliases(alias);
  send(kR, "n1", {both});
  expect_ack(next(), kR, "n1");
  EXPECT_EQ(held(kR), (std::set<std::string>{"alias", "name", "second"}));
  reconnect();
  EXPECT_EQ(versions(next()), (Versions{{"alias", "1"}, {"name", "1"}, {"second", "1"}}));
}

TEST_F(XdsDelta, Rule67AnAliasWithoutABodyCouldNotBeResolved) {
  start().subscribe(kR, "alias");
  next();
  WrappedResource none;
  none.set_name("whatever");
  none.add_aliases("alias");
  send(kR, "n1", {none});
  expect_ack(next(), kR, "n1");
  EXPECT_THAT(sink.updates.back().removed, ElementsAre("alias"));
  main.advance(60 * kSec);
  EXPECT_THAT(sink.timeouts, IsEmpty());
}

TEST_F(XdsDelta, Rule134AVirtualHostAnswersWhoAskedForItByAlias) {
  constexpr Type kV = Type::kVirtualHost;
  start().subscribe_all(kV);
  expect_names(next(), kV, {});
  client->subscribe(kV, "r/a.test");
  client->subscribe(kV, "r/b.test");
  client->subscribe(kV, "r/c.test");
  expect_names(next(), kV, {"r/a.test", "r/b.test", "r/c.test"});
  auto host = delta_resource(kV, "r/v", "1");
  host.add_aliases("r/a.test");
  WrappedResource none;
  none.set_name("r/b.test");
  send(kV, "n1", {host, none});
  expect_ack(next(), kV, "n1");
  EXPECT_EQ(held(kV), std::set<std::string>{"r/v"});
  EXPECT_THAT(sink.updates.back().answered, ElementsAre("r/a.test"));
  EXPECT_THAT(sink.updates.back().removed, ElementsAre("r/b.test"));
  // The same virtual host answers for another name without having changed.
  host.clear_aliases();
  host.add_aliases("r/c.test");
  send(kV, "n2", {host});
  expect_ack(next(), kV, "n2");
  EXPECT_THAT(sink.updates.back().answered, ElementsAre("r/c.test"));
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("r/v"));
  EXPECT_THAT(sink.updates.back().changed, IsEmpty());
  reconnect();
  const auto again = next();
  EXPECT_EQ(subscribed(again), (std::vector<std::string>{"*", "r/a.test", "r/b.test", "r/c.test"}));
  EXPECT_EQ(versions(again), (Versions{{"r/v", "1"}}));
}

TEST_F(XdsDelta, Rule68RemovalsOfWhatIsUnknownAreIgnored) {
  start().subscribe_all(kC);
  client->subscribe(kE, "a");
  next();
  next();
  send(kE, "n1", {delta_resource(kE, "a", "1")});
  next();
  send(kC, "n2", {}, {"x"});
  expect_ack(next(), kC, "n2");
  send(kE, "n3", {}, {"y"});
  expect_ack(next(), kE, "n3");
  EXPECT_EQ(held(kE), std::set<std::string>{"a"});
  for (const Update& update : sink.updates) EXPECT_THAT(update.removed, IsEmpty());
}

// --- Removal (1.5).

TEST_F(XdsDelta, ClustersAndListenersGoWhenTheyAreRemoved) {
  for (const Type type : {kC, kL, Type::kScopedRoute, Type::kVirtualHost}) {
    SCOPED_TRACE(short_name_of(type));
    transport.delta_requests.clear();
    start().subscribe_all(type);
    next();
    send(type, "n1", {delta_resource(type, "a", "1"), delta_resource(type, "b", "1")});
    next();
    send(type, "n2", {}, {"a"});
    expect_ack(next(), type, "n2");
    EXPECT_EQ(held(type), std::set<std::string>{"b"});
    EXPECT_FALSE(client->state(type).holds("a"));
    reconnect();
    EXPECT_EQ(versions(next()), (Versions{{"b", "1"}}));
  }
}

TEST_F(XdsDelta, RemovedEndpointsAndRoutesStayInUseAndAreNotClaimed) {
  for (const Type type : {kE, kR, Type::kRuntime, Type::kExtensionConfig, Type::kSecret}) {
    SCOPED_TRACE(short_name_of(type));
    transport.delta_requests.clear();
    start().subscribe(type, "a");
    next();
    send(type, "n1", {delta_resource(type, "a", "1")});
    next();
    send(type, "n2", {}, {"a"});
    expect_ack(next(), type, "n2");
    EXPECT_THAT(sink.updates.back().removed, ElementsAre("a"));
    EXPECT_EQ(client->stats(type).update_empty, 1u);
    int shown = 0;
    client->state(type).for_each_resource([&](const auto&) { ++shown; });
    EXPECT_EQ(shown, 1);  // the sink keeps it
    reconnect();
    const auto request = next();
    expect_names(request, type, {"a"});
    EXPECT_THAT(versions(request), IsEmpty());
    send(type, "m1", {delta_resource(type, "a", "1")});  // rule 82: it came back, the same
    EXPECT_EQ(sink.updates.back().changed.size(), 1u);
    EXPECT_TRUE(client->state(type).holds("a"));
  }
}

TEST_F(XdsDelta, Rule80SilentServerTimesOut) {
  start().subscribe(kR, "a");
  main.advance(15 * kSec);
  EXPECT_THAT(sink.timeouts, SizeIs(1));
}

TEST_F(XdsDelta, Rule81ARemovalEndsTheWaitAtOnce) {
  start().subscribe(kR, "a");
  next();
  send(kR, "n1", {}, {"a"});
  expect_ack(next(), kR, "n1");
  EXPECT_THAT(sink.updates.back().removed, ElementsAre("a"));
  main.advance(60 * kSec);
  EXPECT_THAT(sink.timeouts, IsEmpty());
}

TEST_F(XdsDelta, Rule82ANameThatDidNotExistMayStillCome) {
  start().subscribe(kR, "a");
  next();
  send(kR, "n1", {}, {"a"});
  next();
  send(kR, "n2", {delta_resource(kR, "a", "1")});
  expect_ack(next(), kR, "n2");
  EXPECT_EQ(held(kR), std::set<std::string>{"a"});
}

// --- Time.

TEST_F(XdsDelta, Rule110AResponseDisarmsTheWait) {
  start().subscribe_all(kL);
  client->subscribe(kR, "bad");
  next();
  next();
  sink.bad["bad"] = "wrong";
  send(kR, "n1", {delta_resource(kR, "bad", "1")});
  send(kL, "n2", {});
  main.advance(60 * kSec);
  EXPECT_THAT(sink.timeouts, IsEmpty());
}

TEST_F(XdsDelta, Rules112And113TtlAndHeartbeats) {
  start().subscribe_all(kC);
  next();
  const auto body = resource(kC, "a");
  send(kC, "n1", {delta_resource("a", "1", &body, 1000)});
  next();
  main.advance(900 * kMs);
  send(kC, "n2", {delta_resource("a", "1", nullptr, 1000)});
  expect_ack(next(), kC, "n2");
  EXPECT_THAT(sink.updates.back().changed, IsEmpty());
  main.advance(900 * kMs);
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  main.advance(200 * kMs);
  EXPECT_THAT(held(kC), IsEmpty());
  EXPECT_EQ(client->stats(kC).ttl_expired, 1u);
  expect_quiet();
}

TEST_F(XdsDelta, Rule115ReconnectHasAllNamesAndTheVersionsOfWhatIsHeldOnce) {
  start().subscribe(kE, "held");
  client->subscribe(kE, "awaited");
  client->subscribe(kE, "left");
  next();
  send(kE, "n1", {delta_resource(kE, "held", "3"), delta_resource(kE, "left", "1")});
  next();
  client->unsubscribe(kE, "left");
  next();
  reconnect();
  const auto request = next();
  expect_names(request, kE, {"awaited", "held"});
  EXPECT_EQ(versions(request), (Versions{{"held", "3"}}));
  client->subscribe(kE, "new");
  const auto second = next();
  expect_names(second, kE, {"new"});
  EXPECT_THAT(versions(second), IsEmpty());
}

TEST_F(XdsDelta, Rule115ANewVersionOfTheSameBytesIsRemembered) {
  start().subscribe_all(kC);
  next();
  const auto body = resource(kC, "a");
  send(kC, "n1", {delta_resource("a", "1", &body)});
  next();
  send(kC, "n2", {delta_resource("a", "2", &body)});
  next();
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("a"));
  reconnect();
  EXPECT_EQ(versions(next()), (Versions{{"a", "2"}}));
}

TEST_F(XdsDelta, Rule116ReconnectDoesNotFlap) {
  start().subscribe_all(kC);
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1"), delta_resource(kC, "b", "1")});
  next();
  reconnect();
  next();
  send(kC, "m1", {delta_resource(kC, "b", "2")}, {});
  expect_ack(next(), kC, "m1");
  EXPECT_EQ(held(kC), (std::set<std::string>{"a", "b"}));
  EXPECT_THAT(sink.updates.back().removed, IsEmpty());
}

TEST_F(XdsDelta, Rule117ReconnectAsksForTypesInTheirFirstOrder) {
  start().subscribe_all(kL);
  client->subscribe_all(kC);
  client->subscribe(kR, "r");
  for (int i = 0; i < 3; ++i) next();
  reconnect();
  for (const Type type : {kL, kC, kR}) EXPECT_EQ(next().type_url(), type_url_of(type));
}

TEST_F(XdsDelta, AResponseInWorkWhenItsStreamDiesCountsButIsNotAnswered) {
  sink.later = true;
  start().subscribe_all(kC);
  next();
  send(kC, "n1", {delta_resource(kC, "a", "1")});
  reconnect();
  EXPECT_THAT(versions(next()), IsEmpty());
  sink.finish();
  expect_quiet();
  reconnect();
  EXPECT_EQ(versions(next()), (Versions{{"a", "1"}}));
}

}  // namespace
}  // namespace sluice::test
