#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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

TEST_F(XdsClient, Rule63ScopedRoutesAreAFullStateAskedForWithTheWildcard) {
  constexpr Type kS = Type::kScopedRoute;
  start().subscribe_all(kS);
  expect_request(next(), kS, "", "", {});
  send(kS, "1", "1", {resource(kS, "a"), resource(kS, "b")});
  expect_ack(next(), kS, "1", "1");
  send(kS, "2", "2", {resource(kS, "b")});
  expect_ack(next(), kS, "2", "2");
  EXPECT_EQ(held(kS), std::set<std::string>{"b"});
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

}  // namespace
}  // namespace sluice::test
