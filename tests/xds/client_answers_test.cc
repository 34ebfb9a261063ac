#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_F(XdsClient, Rule49ADelayedNackDiesWithItsStream) {
  start().subscribe_all(kC);
  next();
  sink.bad["a"] = "wrong";
  send(kC, "1", "n1", {resource(kC, "a")});
  next();
  send(kC, "1", "n2", {resource(kC, "a")});
  transport.close();
  main.advance(kSec);
  expect_ack(next(), kC, "", "");
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

}  // namespace
}  // namespace sluice::test
