#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
  options.rate_limit = xds::RequestRate{3, 10};
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

}  // namespace
}  // namespace sluice::test
