#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
  EXPECT_EQ(stats.version, xds::hash_of("v1"));
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
}  // namespace sluice::test
