#include "xds/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/xds/manual_executor.h"
#include "tests/support/xds/messages.h"
#include "tests/support/xds/scripted_stream.h"

// Rules of the xDS document are named by number.

namespace sluice::xds {
namespace {

using test::DiscoveryRequest;
using test::names_of;
using test::resource;
using test::response;
using test::wrapped;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kC = Type::kCluster, kE = Type::kEndpoint, kL = Type::kListener, kR = Type::kRoute;
constexpr int64_t kMs = base::kNsPerMs;
constexpr int64_t kSec = base::kNsPerSec;

class XdsClient : public ::testing::Test {
 protected:
  XdsClient() {
    envoy::config::core::v3::Node node;
    node.set_id("node-1");
    options.node = node.SerializeAsString();
    options.random = [] { return ~uint64_t{0} >> 1; };
  }

  Client& start() {
    client = std::make_unique<Client>(options, transport, sink, main);
    return *client;
  }
  DiscoveryRequest next() {
    main.run();
    return transport.take_request();
  }
  void send(Type type, std::string_view version, std::string_view nonce,
            const std::vector<google::protobuf::Any>& resources) {
    transport.send(response(type, version, nonce, resources));
    main.run();
  }
  void expect_quiet() {
    main.run();
    EXPECT_FALSE(transport.has_request())
        << (transport.has_request() ? transport.requests.front().DebugString() : "");
  }
  std::set<std::string> held(Type type) {
    std::set<std::string> names;
    for (const auto& [name, bytes] : sink.held[type]) names.insert(name);
    return names;
  }

  test::ManualExecutor main;
  test::ScriptedTransport transport{main};
  test::RecordingSink sink;
  ClientOptions options;
  std::unique_ptr<Client> client;
};

void expect_request(const DiscoveryRequest& request, Type type, std::string_view version,
                    std::string_view nonce, const std::vector<std::string>& names) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.version_info(), version);
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_EQ(names_of(request), names);
}

void expect_ack(const DiscoveryRequest& request, Type type, std::string_view version,
                std::string_view nonce, const std::vector<std::string>& names = {}) {
  expect_request(request, type, version, nonce, names);
  EXPECT_FALSE(request.has_error_detail()) << request.DebugString();
}

void expect_nack(const DiscoveryRequest& request, Type type, std::string_view version,
                 std::string_view nonce, std::string_view part) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.version_info(), version);
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_EQ(request.error_detail().code(), 13);
  EXPECT_THAT(request.error_detail().message(), HasSubstr(std::string(part)));
}

// --- 1.1

TEST_F(XdsClient, Rule3OneAdsStreamCarriesAllTypes) {
  start();
  for (const Type type : {kC, kL}) client->subscribe_all(type);
  client->subscribe(kE, "a");
  client->subscribe(kR, "r");
  for (int i = 0; i < 4; ++i) next();
  expect_quiet();
  EXPECT_THAT(transport.methods,
              ElementsAre("/envoy.service.discovery.v3.AggregatedDiscoveryService/"
                          "StreamAggregatedResources"));
}

TEST_F(XdsClient, Rule5ManyEndpointsShareOneStreamAndOneRequest) {
  start();
  client->begin_batch();
  for (int i = 0; i < 1000; ++i) client->subscribe(kE, "c" + std::to_string(i));
  client->end_batch();
  EXPECT_EQ(next().resource_names_size(), 1000);
  expect_quiet();
  EXPECT_THAT(transport.methods, SizeIs(1));
}

TEST_F(XdsClient, Rule6NothingIsSentBeforeSomebodySubscribesAndOrderIsThatOfSubscriptions) {
  start();
  expect_quiet();
  EXPECT_FALSE(transport.is_open());
  client->subscribe_all(kC);
  client->subscribe_all(kL);
  EXPECT_EQ(next().type_url(), type_url_of(kC));
  EXPECT_EQ(next().type_url(), type_url_of(kL));
  expect_quiet();
}

TEST_F(XdsClient, Rule9WhatWasAcceptedStaysWhenTheStreamEnds) {
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a")});
  next();
  transport.close(absl::UnavailableError("gone"));
  main.advance(5 * kSec);
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  EXPECT_EQ(sink.updates.size(), 1u);
  EXPECT_TRUE(client->state(kC).holds("a"));
}

TEST_F(XdsClient, Rule10GapsGrowUntilAMessageArrivesNotWhenTheStreamOpens) {
  options.random = [] { return uint64_t{999'999'999'999'999}; };  // odd: high in every range
  start().subscribe_all(kC);
  main.run();
  // A server that accepts streams and ends them.
  std::vector<int64_t> gaps;
  for (int i = 0; i < 12; ++i) {
    transport.requests.clear();
    const int64_t closed_at = main.now();
    const size_t opened = transport.opened_at.size();
    transport.close();
    for (int k = 0; k < 400 && transport.opened_at.size() == opened; ++k) main.advance(100 * kMs);
    ASSERT_EQ(transport.opened_at.size(), opened + 1);
    gaps.push_back(transport.opened_at.back() - closed_at);
  }
  int64_t ceiling = 500 * kMs;
  for (const int64_t gap : gaps) {
    EXPECT_EQ(gap, 999'999'999'999'999 % ceiling);
    ceiling = std::min(ceiling * 2, 30 * kSec);
  }
  // A message resets it.
  transport.requests.clear();
  send(kC, "1", "n", {});
  const int64_t closed_at = main.now();
  transport.close();
  main.advance(kSec);
  EXPECT_LT(transport.opened_at.back() - closed_at, 500 * kMs);
}

TEST_F(XdsClient, Rule11RateLimitIsATokenBucket) {
  options.rate_limit = RequestRate{3, 10};
  start();
  for (int i = 0; i < 5; ++i) {
    client->subscribe(kE, "e" + std::to_string(i));
    main.run();
  }
  EXPECT_EQ(transport.requests.size(), 3u);  // the last two wait, merged
  EXPECT_EQ(client->control_plane().pending_requests, 1u);
  EXPECT_GE(client->control_plane().rate_limit_enforced, 1u);
  main.advance(99 * kMs);
  EXPECT_EQ(transport.requests.size(), 3u);
  main.advance(2 * kMs);
  EXPECT_EQ(transport.requests.size(), 4u);
  EXPECT_EQ(names_of(transport.requests.back()).size(), 5u);
  EXPECT_EQ(client->control_plane().pending_requests, 0u);
}

TEST_F(XdsClient, Rule11NoRateLimitByDefault) {
  start();
  for (int i = 0; i < 300; ++i) {
    client->subscribe(kE, "e" + std::to_string(i));
    main.run();
  }
  EXPECT_EQ(transport.requests.size(), 300u);
  EXPECT_EQ(client->control_plane().rate_limit_enforced, 0u);
}

// --- 1.2

TEST_F(XdsClient, Rule20NodeIsOnEveryRequest) {
  start().subscribe_all(kC);
  EXPECT_EQ(next().node().id(), "node-1");
  send(kC, "1", "n1", {});
  EXPECT_EQ(next().node().id(), "node-1");
}

TEST_F(XdsClient, Rule20NodeOnFirstMessageOnlyOfEachStream) {
  options.node_on_first_message_only = true;
  start().subscribe_all(kC);
  client->subscribe_all(kL);
  EXPECT_EQ(next().node().id(), "node-1");
  EXPECT_FALSE(next().has_node());
  send(kC, "1", "n1", {});
  EXPECT_FALSE(next().has_node());
  transport.close();
  main.advance(kSec);
  EXPECT_EQ(next().node().id(), "node-1");
  EXPECT_FALSE(next().has_node());
}

TEST_F(XdsClient, Rule22RequestsNameTheUnionOfSubscribersOnce) {
  start().subscribe(kR, "b");
  client->subscribe(kR, "a");
  client->subscribe(kR, "b");
  expect_ack(next(), kR, "", "", {"a", "b"});
  client->unsubscribe(kR, "b");  // one subscriber is left
  expect_quiet();
  client->unsubscribe(kR, "b");
  expect_ack(next(), kR, "", "", {"a"});
}

TEST_F(XdsClient, Rule23ChangesCarryTheNewestNonce) {
  start().subscribe(kR, "a");
  next();
  send(kR, "1", "n1", {resource(kR, "a")});
  expect_ack(next(), kR, "1", "n1", {"a"});
  client->subscribe(kR, "b");
  expect_ack(next(), kR, "1", "n1", {"a", "b"});
}

TEST_F(XdsClient, Rules23And24ReconnectKeepsTheVersionAndDropsTheNonce) {
  start().subscribe_all(kC);
  next();
  send(kC, "7", "n1", {resource(kC, "a")});
  next();
  transport.close(absl::UnavailableError("x"));
  main.advance(kSec);
  expect_ack(next(), kC, "7", "");
  expect_quiet();
}

TEST_F(XdsClient, Rule25VersionsAreOpaque) {
  start().subscribe_all(kC);
  next();
  for (const auto* version : {"9", "10", "9"}) {
    send(kC, version, std::string("n") + version, {resource(kC, "a", version)});
    expect_ack(next(), kC, version, std::string("n") + version);
  }
  EXPECT_EQ(sink.updates.size(), 3u);
}

TEST_F(XdsClient, Rule26EachResponseGetsExactlyOneAnswer) {
  start().subscribe_all(kC);
  next();
  for (int i = 0; i < 20; ++i) {
    const std::string n = std::to_string(i);
    send(kC, n, "n" + n, {resource(kC, "a", n)});
    expect_ack(next(), kC, n, "n" + n);
    expect_quiet();
  }
}

TEST_F(XdsClient, Rule26ResponsesThatDoNotWaitForAnswersGetOneEach) {
  sink.later = true;
  start().subscribe_all(kC);
  next();
  for (const auto* n : {"1", "2", "3", "4"}) {
    transport.send(response(kC, n, n, {resource(kC, "a", n)}));
  }
  main.run();
  EXPECT_EQ(sink.pending.size(), 1u);
  EXPECT_EQ(transport.unread(), 2u);  // one in work, one waits, the others are not read yet
  for (const auto* n : {"1", "2", "3", "4"}) {
    sink.finish();
    expect_ack(next(), kC, n, n);
    EXPECT_FALSE(transport.has_request());
  }
}

TEST_F(XdsClient, Rule26AnswersAreNotMergedWhileAWriteIsOutstanding) {
  start().subscribe_all(kC);
  transport.hold_writes = true;
  main.run();
  transport.finish_write();
  for (const auto* n : {"1", "2"}) send(kC, n, n, {resource(kC, "a", n)});
  next();  // the first request
  expect_ack(next(), kC, "1", "1");
  expect_quiet();
  transport.finish_write();
  expect_ack(next(), kC, "2", "2");
}

TEST_F(XdsClient, Rule27SilentServerGetsOneRequest) {
  start().subscribe(kR, "a");
  next();
  main.advance(60 * kSec);
  EXPECT_FALSE(transport.has_request());
}

TEST_F(XdsClient, Rule28ChangesDuringAResponseTravelWithItsAnswer) {
  sink.later = true;
  start().subscribe(kR, "a");
  next();
  send(kR, "1", "n1", {resource(kR, "a")});
  client->subscribe(kR, "b");
  expect_quiet();
  sink.finish();
  expect_ack(next(), kR, "1", "n1", {"a", "b"});
  expect_quiet();
}

TEST_F(XdsClient, Rule29TypesNeverAskedForAreIgnored) {
  start().subscribe_all(kC);
  next();
  send(kR, "1", "n1", {resource(kR, "a")});
  auto odd = response(kC, "1", "n2", {});
  odd.set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
  transport.send(odd);
  expect_quiet();
  EXPECT_TRUE(sink.updates.empty());
  EXPECT_EQ(client->stats(kR).responses_ignored, 1u);
}

TEST_F(XdsClient, Rule29AResponseAfterTheLastSubscriberWentIsAcked) {
  start().subscribe(kR, "a");
  next();
  client->unsubscribe(kR, "a");
  expect_ack(next(), kR, "", "", {});
  send(kR, "1", "n1", {resource(kR, "a")});
  expect_ack(next(), kR, "1", "n1", {});
  EXPECT_TRUE(sink.updates.empty());
}

TEST_F(XdsClient, Rule32OneClusterUpdateOfAThousandMakesOneEndpointRequest) {
  start().subscribe_all(kC);
  next();
  std::vector<google::protobuf::Any> clusters;
  for (int i = 0; i < 1000; ++i) clusters.push_back(resource(kC, "c" + std::to_string(i)));
  sink.later = true;
  sink.on_apply = [&](const Update& update) {
    for (const Resource& r : update.changed) client->subscribe(kE, r.name);
  };
  send(kC, "1", "n1", clusters);
  expect_quiet();  // not before the clusters are applied
  sink.finish();
  expect_ack(next(), kC, "1", "n1");
  const DiscoveryRequest request = next();
  EXPECT_EQ(request.type_url(), type_url_of(kE));
  EXPECT_EQ(request.resource_names_size(), 1000);
  expect_quiet();
}

TEST_F(XdsClient, Rule32EndpointAnswersDoNotWaitForClusters) {
  start().subscribe_all(kC);
  client->subscribe(kE, "a");
  next();
  next();
  sink.later = true;
  send(kC, "1", "n1", {resource(kC, "a")});
  send(kE, "1", "n2", {resource(kE, "a")});
  ASSERT_EQ(sink.pending.size(), 2u);
  sink.pending.back()();
  expect_ack(next(), kE, "1", "n2", {"a"});
}

// --- 1.3

TEST_F(XdsClient, Rule40NackHasOldVersionNewNonceNamesAndErrorOnce) {
  start().subscribe(kR, "a");
  next();
  send(kR, "1", "n1", {resource(kR, "a")});
  next();
  sink.bad["a"] = "wrong";
  send(kR, "2", "n2", {resource(kR, "a", "x")});
  const DiscoveryRequest nack = next();
  expect_nack(nack, kR, "1", "n2", "\"a\": field: wrong");
  EXPECT_THAT(names_of(nack), ElementsAre("a"));
  client->subscribe(kR, "b");
  expect_ack(next(), kR, "1", "n2", {"a", "b"});  // error_detail only once
}

TEST_F(XdsClient, Rule42AckDoesNotWaitForDependents) {
  start().subscribe_all(kC);
  next();
  sink.on_apply = [&](const Update& update) {
    for (const Resource& r : update.changed) client->subscribe(kE, r.name);
  };
  send(kC, "1", "n1", {resource(kC, "a")});
  expect_ack(next(), kC, "1", "n1");
  EXPECT_EQ(next().type_url(), type_url_of(kE));
}

TEST_F(XdsClient, Rule43AGoodVersionAfterABadOneIsAccepted) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "1", "n1", {resource(kC, "a", "bad")});
  expect_nack(next(), kC, "", "n1", "a");
  sink.bad.clear();
  send(kC, "2", "n2", {resource(kC, "a", "good")});
  expect_ack(next(), kC, "2", "n2");
  EXPECT_TRUE(client->state(kC).errors().empty());
}

TEST_F(XdsClient, Rule44GoodResourcesOfARejectedResponseAreApplied) {
  for (const Type type : {kC, kE, kL, kR}) {
    SCOPED_TRACE(short_name_of(type));
    transport.requests.clear();
    sink.bad.clear();
    start();
    for (const auto* name : {"bad", "good"}) client->subscribe(type, name);
    next();
    sink.bad["bad"] = "wrong";
    send(type, "1", "n1", {resource(type, "bad"), resource(type, "good")});
    const DiscoveryRequest nack = next();
    expect_nack(nack, type, "", "n1", "\"bad\": field: wrong");
    EXPECT_THAT(nack.error_detail().message(), Not(HasSubstr("good")));
    EXPECT_TRUE(sink.held[type].contains("good"));
    EXPECT_TRUE(client->state(type).holds("good"));
    EXPECT_FALSE(client->state(type).holds("bad"));
    EXPECT_EQ(client->state(type).errors().at("bad").details, "field: wrong");
    EXPECT_EQ(client->state(type).errors().at("bad").version, "1");
    EXPECT_FALSE(client->state(type).errors().at("bad").bytes.empty());
  }
}

TEST_F(XdsClient, Rule45ABrokenResourceDoesNotStopTheOthersAndRemovesNothing) {
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a"), resource(kC, "b")});
  next();
  google::protobuf::Any broken = resource(kC, "b");
  broken.mutable_value()->resize(broken.value().size() - 1);
  send(kC, "2", "n2", {resource(kC, "a", "x"), broken, resource(kE, "e")});
  const DiscoveryRequest nack = next();
  expect_nack(nack, kC, "1", "n2", "resources[1]: not a protobuf message");
  EXPECT_THAT(nack.error_detail().message(), HasSubstr("resources[2].type_url: expected"));
  EXPECT_EQ(held(kC), (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(sink.updates.back().changed.size(), 1u);
}

TEST_F(XdsClient, Rule45ARejectedResourceIsNotRemoved) {
  start().subscribe_all(kL);
  next();
  send(kL, "1", "n1", {resource(kL, "a")});
  next();
  sink.bad["a"] = "wrong";
  send(kL, "2", "n2", {resource(kL, "a", "x")});
  expect_nack(next(), kL, "1", "n2", "\"a\"");
  EXPECT_EQ(held(kL), std::set<std::string>{"a"});
}

TEST_F(XdsClient, Rule46WhatWasAppliedOfARejectedResponseIsUnchangedInTheNext) {
  start().subscribe_all(kC);
  next();
  sink.bad["bad"] = "wrong";
  send(kC, "1", "n1", {resource(kC, "bad"), resource(kC, "good")});
  next();
  sink.bad.clear();
  send(kC, "2", "n2", {resource(kC, "bad", "fixed"), resource(kC, "good")});
  expect_ack(next(), kC, "2", "n2");
  ASSERT_EQ(sink.updates.back().changed.size(), 1u);
  EXPECT_EQ(sink.updates.back().changed[0].name, "bad");
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("good"));
}

TEST_F(XdsClient, Rule47DuplicateNamesAreNackedByNameAndTheFirstCounts) {
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a", "1"), resource(kC, "a", "2"), resource(kC, "b")});
  expect_nack(next(), kC, "", "n1", "\"a\": name: given twice");
  ASSERT_EQ(sink.updates.back().changed.size(), 2u);
  EXPECT_EQ(sink.updates.back().changed[0].bytes, resource(kC, "a", "1").value());
}

TEST_F(XdsClient, Rule48ErrorTextsAreCutAtAWholeName) {
  start().subscribe_all(kC);
  next();
  std::vector<google::protobuf::Any> resources;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "cluster-" + std::to_string(i);
    sink.bad[name] = "wrong";
    resources.push_back(resource(kC, name));
  }
  send(kC, "1", "n1", resources);
  const std::string text = next().error_detail().message();
  EXPECT_LE(text.size(), 4096u);
  EXPECT_GT(text.size(), 3900u);
  EXPECT_THAT(text, ::testing::MatchesRegex(".*\"cluster-[0-9]*\": field: wrong; and [0-9]* more"));
}

TEST_F(XdsClient, Rule49IdenticalRejectedResponsesAreCountedAndAnsweredMoreSlowly) {
  start().subscribe_all(kC);
  next();
  sink.bad["bad"] = "wrong";
  send(kC, "1", "n0", {resource(kC, "bad"), resource(kC, "good")});
  expect_nack(next(), kC, "", "n0", "\"bad\"");
  int64_t delay = 100 * kMs;
  for (int i = 1; i < 9; ++i) {
    const std::string nonce = "n" + std::to_string(i);
    // go-control-plane: the order changes, the content does not.
    if (i % 2 == 0) send(kC, "1", nonce, {resource(kC, "bad"), resource(kC, "good")});
    if (i % 2 == 1) send(kC, "1", nonce, {resource(kC, "good"), resource(kC, "bad")});
    main.advance(delay - 1);
    EXPECT_FALSE(transport.has_request()) << i;
    main.advance(1);
    expect_nack(next(), kC, "", nonce, "\"bad\": field: wrong");
    expect_quiet();
    delay = std::min(delay * 2, 2 * kSec);
  }
  EXPECT_EQ(sink.updates.size(), 1u);
  EXPECT_EQ(client->stats(kC).responses_repeated, 8u);
  EXPECT_EQ(client->stats(kC).update_rejected, 9u);
  // The fix comes through at once.
  sink.bad.clear();
  send(kC, "2", "n9", {resource(kC, "bad", "fixed"), resource(kC, "good")});
  expect_ack(next(), kC, "2", "n9");
}

TEST_F(XdsClient, Rule49ADelayedNackDoesNotHoldBackAChangeOfNames) {
  start().subscribe(kR, "a");
  next();
  sink.bad["a"] = "wrong";
  send(kR, "1", "n1", {resource(kR, "a")});
  next();
  send(kR, "1", "n2", {resource(kR, "a")});
  expect_quiet();
  client->subscribe(kR, "b");
  const DiscoveryRequest nack = next();
  expect_nack(nack, kR, "", "n2", "\"a\"");
  EXPECT_THAT(names_of(nack), ElementsAre("a", "b"));
}

TEST_F(XdsClient, Rule49ADelayedNackDoesNotHoldBackTheNextResponse) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "1", "n1", {resource(kC, "a")});
  next();
  send(kC, "1", "n2", {resource(kC, "a")});
  send(kC, "2", "n3", {resource(kC, "b")});
  expect_nack(next(), kC, "", "n2", "\"a\"");
  expect_ack(next(), kC, "2", "n3");
}

TEST_F(XdsClient, Rule49ANewSubscriberOfARejectedResponseIsServed) {
  start().subscribe(kR, "bad");
  next();
  sink.bad["bad"] = "wrong";
  send(kR, "1", "n1", {resource(kR, "bad"), resource(kR, "new")});
  next();
  client->subscribe(kR, "new");
  next();
  send(kR, "1", "n2", {resource(kR, "bad"), resource(kR, "new")});
  expect_nack(next(), kR, "", "n2", "\"bad\"");
  EXPECT_TRUE(sink.held[kR].contains("new"));
}

// --- 1.4

TEST_F(XdsClient, Rule60WildcardIsTheEmptyList) {
  start().subscribe_all(kL);
  expect_ack(next(), kL, "", "", {});
}

TEST_F(XdsClient, Rule61NamesBesideTheWildcardAndAnEmptyListAfterThem) {
  start().subscribe_all(kC);
  expect_ack(next(), kC, "", "", {});
  client->subscribe(kC, "A");
  expect_ack(next(), kC, "", "", {"*", "A"});
  client->unsubscribe_all(kC);
  expect_ack(next(), kC, "", "", {"A"});
  client->unsubscribe(kC, "A");
  expect_ack(next(), kC, "", "", {});
  client->subscribe_all(kC);
  expect_ack(next(), kC, "", "", {"*"});  // an empty list now means none
}

TEST_F(XdsClient, Rule61AnEmptyFirstRequestIsNeverSentByMistake) {
  start().subscribe_all(kC);
  next();
  client->subscribe(kR, "a");
  client->unsubscribe(kR, "a");
  expect_quiet();
}

TEST_F(XdsClient, Rule62ReconnectSendsTheLegacyFormAgainOrStarPlusNames) {
  start().subscribe_all(kC);
  client->subscribe_all(kL);
  client->subscribe(kL, "x");
  next();
  expect_ack(next(), kL, "", "", {"*", "x"});
  transport.close();
  main.advance(kSec);
  expect_ack(next(), kC, "", "", {});
  expect_ack(next(), kL, "", "", {"*", "x"});
}

TEST_F(XdsClient, Rule64ResourcesNotAskedForAreIgnoredAndAcked) {
  start().subscribe(kR, "a");
  next();
  send(kR, "1", "n1", {resource(kR, "a"), resource(kR, "other")});
  expect_ack(next(), kR, "1", "n1", {"a"});
  EXPECT_EQ(held(kR), std::set<std::string>{"a"});
  EXPECT_EQ(client->stats(kR).resources_unasked, 1u);
}

TEST_F(XdsClient, Rule66LeavingAndComingBackInOneTurnNeedsNoRequestAndIsServedFromTheCache) {
  start().subscribe(kE, "a");
  next();
  send(kE, "1", "n1", {resource(kE, "a")});
  next();
  client->unsubscribe(kE, "a");
  client->subscribe(kE, "a");
  expect_quiet();
  ASSERT_EQ(sink.updates.size(), 2u);
  EXPECT_EQ(sink.updates.back().changed[0].name, "a");
}

TEST_F(XdsClient, Rule69NamesOfAllSubscribersAreMerged) {
  start().subscribe(kE, "c");
  next();
  client->subscribe(kE, "a");
  next();
  client->subscribe(kE, "b");
  expect_ack(next(), kE, "", "", {"a", "b", "c"});
}

// --- 1.5

TEST_F(XdsClient, FullStatesRemoveWhatTheyDoNotHaveOthersDoNot) {
  start();
  client->subscribe_all(kC);
  for (const auto* name : {"a", "b"}) client->subscribe(kE, name);
  next();
  next();
  for (const Type type : {kC, kE}) {
    send(type, "1", "1", {resource(type, "a"), resource(type, "b")});
    next();
    send(type, "2", "2", {resource(type, "b")});
    next();
  }
  EXPECT_EQ(held(kC), std::set<std::string>{"b"});
  EXPECT_EQ(held(kE), (std::set<std::string>{"a", "b"}));
  EXPECT_TRUE(client->state(kE).holds("a"));
}

TEST_F(XdsClient, AnEmptyFullStateReachesTheSink) {
  start().subscribe_all(kL);
  next();
  send(kL, "1", "n1", {});
  expect_ack(next(), kL, "1", "n1");
  EXPECT_EQ(sink.updates.size(), 1u);
  main.advance(20 * kSec);
  EXPECT_TRUE(sink.timeouts.empty());
}

TEST_F(XdsClient, Rules80And110SilentServerTimesOutEachNewResourceOnce) {
  start().subscribe_all(kL);
  client->subscribe(kR, "a");
  main.advance(15 * kSec - 1);
  EXPECT_TRUE(sink.timeouts.empty());
  main.advance(1);
  EXPECT_THAT(sink.timeouts,
              ::testing::UnorderedElementsAre(std::pair(kL, ""), std::pair(kR, "a")));
  main.advance(60 * kSec);
  EXPECT_THAT(sink.timeouts, SizeIs(2));
  EXPECT_EQ(client->stats(kR).init_fetch_timeout, 1u);
}

TEST_F(XdsClient, Rule82ANameThatTimedOutMayStillCome) {
  start().subscribe(kR, "a");
  next();
  main.advance(20 * kSec);
  ASSERT_THAT(sink.timeouts, SizeIs(1));
  send(kR, "1", "n1", {resource(kR, "a")});
  expect_ack(next(), kR, "1", "n1", {"a"});
  EXPECT_TRUE(sink.held[kR].contains("a"));
}

// --- 1.6

TEST_F(XdsClient, Rules94And95ANewSubscriberGetsTheCachedResourceAtOnce) {
  for (const Type type : {kE, kR}) {
    SCOPED_TRACE(short_name_of(type));
    transport.requests.clear();
    start().subscribe(type, "a");
    client->subscribe(type, "keep");
    next();
    send(type, "1", "n1", {resource(type, "a", "x")});
    next();
    client->unsubscribe(type, "a");
    next();
    const size_t before = sink.updates.size();
    client->subscribe(type, "a");
    expect_request(next(), type, "1", "n1", {"a", "keep"});
    ASSERT_EQ(sink.updates.size(), before + 1);  // the server was not waited for
    EXPECT_EQ(sink.updates.back().changed[0].bytes, resource(type, "a", "x").value());
    main.advance(20 * kSec);
    for (const auto& timeout : sink.timeouts) EXPECT_NE(timeout.second, "a");
  }
}

TEST_F(XdsClient, Rule94WhatComesWhileNobodyWantsItIsWhatTheNextSubscriberGets) {
  start().subscribe(kE, "a");
  client->subscribe(kE, "keep");
  next();
  send(kE, "1", "n1", {resource(kE, "a", "old")});
  next();
  client->unsubscribe(kE, "a");
  next();
  send(kE, "2", "n2", {resource(kE, "a", "new")});
  next();
  sink.bad["a"] = "wrong";  // it was not validated when it came
  client->subscribe(kE, "a");
  next();
  EXPECT_EQ(sink.updates.back().changed[0].bytes, resource(kE, "a", "new").value());
  EXPECT_FALSE(client->state(kE).holds("a"));
  EXPECT_EQ(client->state(kE).errors().at("a").details, "field: wrong");
  expect_quiet();  // a cached resource is not answered
}

TEST_F(XdsClient, CacheOfUnusedResourcesIsBounded) {
  options.types[static_cast<size_t>(kE)].max_unused = 2;
  start().subscribe(kE, "keep");
  for (const auto* name : {"a", "b", "c"}) client->subscribe(kE, name);
  next();
  send(kE, "1", "n1", {resource(kE, "a"), resource(kE, "b"), resource(kE, "c")});
  for (const auto* name : {"a", "b", "c"}) client->unsubscribe(kE, name);
  EXPECT_FALSE(client->state(kE).holds("a"));
  EXPECT_TRUE(client->state(kE).holds("b"));
  EXPECT_TRUE(client->state(kE).holds("c"));
}

TEST_F(XdsClient, Rule96AnyOrderOfTypesIsTaken) {
  start();
  for (const Type type : {kC, kL}) client->subscribe_all(type);
  client->subscribe(kE, "a");
  client->subscribe(kR, "a");
  for (int i = 0; i < 4; ++i) next();
  for (const Type type : {kR, kE, kL, kC}) {
    send(type, "1", "1", {resource(type, "a")});
    EXPECT_EQ(next().type_url(), type_url_of(type));
    EXPECT_TRUE(sink.held[type].contains("a"));
  }
}

// --- 1.7

TEST_F(XdsClient, Rule110AnyArrivalDisarmsTheTimeoutAlsoARejectedOne) {
  start().subscribe_all(kL);
  client->subscribe(kR, "good");
  client->subscribe(kR, "bad");
  next();
  next();
  sink.bad["bad"] = "wrong";
  sink.bad["l"] = "wrong";
  send(kR, "1", "n1", {resource(kR, "good"), resource(kR, "bad")});
  send(kL, "1", "n2", {resource(kL, "l")});
  main.advance(60 * kSec);
  EXPECT_TRUE(sink.timeouts.empty());
}

TEST_F(XdsClient, Rule110ConnectionFailureNeitherEndsNorRestartsTheWait) {
  start().subscribe_all(kL);
  main.advance(10 * kSec);
  transport.close(absl::UnavailableError("x"));
  main.run();
  EXPECT_TRUE(sink.timeouts.empty());
  main.advance(5 * kSec);
  EXPECT_THAT(sink.timeouts, SizeIs(1));
}

TEST_F(XdsClient, Rule80WaitsOnlyWhileConnectedIfToldSo) {
  options.types[static_cast<size_t>(kR)].fetch_timeout_needs_stream = true;
  start().subscribe(kR, "a");
  main.advance(14 * kSec);
  transport.close(absl::UnavailableError("x"));
  main.advance(14 * kSec);  // reconnected within the first second: starts again
  EXPECT_TRUE(sink.timeouts.empty());
  main.advance(2 * kSec);
  EXPECT_THAT(sink.timeouts, SizeIs(1));
}

TEST_F(XdsClient, Rule111ZeroWaitsForEver) {
  for (auto& type : options.types) type.initial_fetch_timeout_ns = 0;
  start().subscribe_all(kL);
  client->subscribe(kR, "a");
  main.advance(3600 * kSec);
  EXPECT_TRUE(sink.timeouts.empty());
}

TEST_F(XdsClient, Rule112TtlExpiryRemovesAndARefreshPostponesIt) {
  start().subscribe(kE, "a");
  next();
  const auto body = resource(kE, "a");
  send(kE, "1", "n1", {wrapped("a", &body, 1000)});
  next();
  main.advance(900 * kMs);
  // Rule 113: a heartbeat is no update, but is answered.
  send(kE, "1", "n2", {wrapped("a", nullptr, 1000)});
  expect_ack(next(), kE, "1", "n2", {"a"});
  EXPECT_TRUE(sink.updates.back().changed.empty());
  main.advance(900 * kMs);
  EXPECT_TRUE(sink.held[kE].contains("a"));
  main.advance(200 * kMs);
  EXPECT_FALSE(sink.held[kE].contains("a"));
  EXPECT_THAT(sink.updates.back().removed, ElementsAre("a"));
  EXPECT_EQ(client->stats(kE).ttl_expired, 1u);
  expect_quiet();
}

TEST_F(XdsClient, Rule112AResponseWithoutTtlClearsIt) {
  start().subscribe(kE, "a");
  next();
  const auto body = resource(kE, "a");
  send(kE, "1", "n1", {wrapped("a", &body, 1000)});
  send(kE, "2", "n2", {body});
  main.advance(10 * kSec);
  EXPECT_TRUE(sink.held[kE].contains("a"));
}

TEST_F(XdsClient, Rule114WrappedResourcesAreUnwrapped) {
  start().subscribe_all(kC);
  next();
  const auto body = resource(kC, "a", "x");
  send(kC, "1", "n1", {wrapped("a", &body)});
  expect_ack(next(), kC, "1", "n1");
  EXPECT_EQ(sink.updates.back().changed[0].bytes, body.value());
  // Wrapped or not, the same bytes are the same resource.
  send(kC, "2", "n2", {body});
  next();
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("a"));
}

TEST_F(XdsClient, Rule116ReconnectDoesNotFlap) {
  start().subscribe(kE, "a");
  client->subscribe(kE, "b");
  next();
  send(kE, "1", "n1", {resource(kE, "a"), resource(kE, "b")});
  next();
  transport.close(absl::UnavailableError("x"));
  main.advance(kSec);
  next();
  send(kE, "1", "m1", {resource(kE, "a")});  // b is not sent again
  expect_ack(next(), kE, "1", "m1", {"a", "b"});
  EXPECT_EQ(held(kE), (std::set<std::string>{"a", "b"}));
  EXPECT_TRUE(sink.updates.back().changed.empty());
  EXPECT_TRUE(sink.updates.back().removed.empty());
}

TEST_F(XdsClient, Rule117ReconnectAsksForTypesInTheirFirstOrder) {
  start();
  client->subscribe_all(kL);
  client->subscribe_all(kC);
  client->subscribe(kR, "r");
  client->subscribe(kE, "e");
  const std::vector<Type> order = {kL, kC, kR, kE};
  for (const Type type : order) EXPECT_EQ(next().type_url(), type_url_of(type));
  transport.close();
  main.advance(kSec);
  for (const Type type : order) EXPECT_EQ(next().type_url(), type_url_of(type));
}

// --- Trouble.

TEST_F(XdsClient, AResponseInWorkWhenItsStreamDiesCountsButIsNotAnswered) {
  sink.later = true;
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a")});
  transport.close(absl::UnavailableError("x"));
  main.advance(kSec);
  expect_ack(next(), kC, "", "");
  sink.finish();
  expect_quiet();
  EXPECT_TRUE(client->state(kC).holds("a"));
  EXPECT_EQ(client->state(kC).version(), "1");
}

TEST_F(XdsClient, ATruncatedResponseEndsTheStreamAndBacksOff) {
  start().subscribe_all(kC);
  next();
  std::string bytes = response(kC, "1", "n1", {resource(kC, "a")}).SerializeAsString();
  bytes.resize(bytes.size() - 2);
  transport.send_bytes(bytes);
  main.run();
  EXPECT_FALSE(transport.is_open());
  EXPECT_EQ(client->control_plane().responses_malformed, 1u);
  main.advance(kSec);
  EXPECT_TRUE(transport.is_open());
  expect_ack(next(), kC, "", "");
}

TEST_F(XdsClient, TheSinkMayFinishAfterTheClientIsGone) {
  sink.later = true;
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a")});
  client.reset();
  sink.finish();
  main.run();
  EXPECT_FALSE(transport.is_open());
}

TEST_F(XdsClient, LeavingAndComingBackWhileTheResourceIsAppliedGivesItAgain) {
  sink.later = true;
  start().subscribe(kE, "a");
  next();
  send(kE, "1", "n1", {resource(kE, "a", "x")});
  client->unsubscribe(kE, "a");
  client->subscribe(kE, "a");
  sink.later = false;
  sink.finish();
  main.run();
  ASSERT_EQ(sink.updates.size(), 2u);
  EXPECT_EQ(sink.updates.back().changed[0].bytes, resource(kE, "a", "x").value());
}

TEST_F(XdsClient, StatisticsAreEnvoys) {
  start().subscribe_all(kC);
  next();
  auto m = response(kC, "v1", "n1", {resource(kC, "a")});
  m.mutable_control_plane()->set_identifier("cp-0");
  transport.send(m);
  main.run();
  sink.bad["a"] = "wrong";
  send(kC, "v2", "n2", {resource(kC, "a", "x")});
  transport.close(absl::UnavailableError("x"));
  main.run();
  const TypeStats& stats = client->stats(kC);
  EXPECT_EQ(stats.update_success, 1u);
  EXPECT_EQ(stats.update_rejected, 1u);
  EXPECT_EQ(stats.update_failure, 1u);
  EXPECT_EQ(stats.update_attempt, 4u);
  EXPECT_EQ(stats.version_text, "v1");
  EXPECT_EQ(stats.version, hash_of("v1"));
  EXPECT_GE(stats.update_time_ms, 1'600'000'000'000);
  EXPECT_EQ(client->control_plane().identifier, "cp-0");
  EXPECT_FALSE(client->control_plane().connected_state);
}

TEST_F(XdsClient, StopLeavesNoTimerAndNoStream) {
  start().subscribe_all(kC);
  main.run();
  client->stop();
  EXPECT_EQ(main.num_timers(), 0u);
  main.advance(60 * kSec);
  EXPECT_FALSE(transport.is_open());
  EXPECT_THAT(transport.methods, SizeIs(1));
}

}  // namespace
}  // namespace sluice::xds
