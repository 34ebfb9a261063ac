#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

// Rule 12: several servers. `transport` is the first one.
class XdsFailover : public XdsClient {
 protected:
  Client& start_with_two() {
    client = std::make_unique<Client>(options, std::vector<xds::Transport*>{&transport, &second},
                                      sink, main);
    return *client;
  }
  void fail(ScriptedTransport& server) {
    server.requests.clear();
    server.delta_requests.clear();
    server.close(absl::UnavailableError("connection refused"));
    main.advance(2 * kSec);
  }
  void go_to_second() {
    fail(transport);
    ASSERT_TRUE(transport.is_open());  // one failure is not enough
    fail(transport);
    ASSERT_FALSE(transport.is_open());
    ASSERT_TRUE(second.is_open());
  }
  ScriptedTransport second{main};
};

TEST_F(XdsFailover, Rule12TwoFailuresWithoutAMessageLeadToTheNextServerAndRound) {
  start_with_two().subscribe_all(kC);
  main.run();
  go_to_second();
  EXPECT_EQ(client->server(), 1u);
  fail(second);
  fail(second);
  EXPECT_EQ(client->server(), 0u);
  EXPECT_TRUE(transport.is_open());
}

TEST_F(XdsFailover, Rule12AServerThatHasSentMessagesIsKept) {
  start_with_two().subscribe_all(kC);
  for (int i = 0; i < 6; ++i) {
    main.run();
    transport.requests.clear();
    send(kC, std::to_string(i), "n", {resource(kC, "a")});
    fail(transport);
  }
  EXPECT_THAT(second.methods, IsEmpty());
}

TEST_F(XdsFailover, Rule12ASilentServerIsLeftForTheNextOneAndTheRoundTakesLongerEachTime) {
  start_with_two().subscribe_all(kC);
  main.run();
  ASSERT_TRUE(transport.has_request());
  main.advance(14 * kSec);
  EXPECT_TRUE(transport.is_open());
  main.advance(2 * kSec);
  EXPECT_FALSE(transport.is_open());
  ASSERT_TRUE(second.is_open());
  EXPECT_EQ(client->server(), 1u);
  main.advance(17 * kSec);
  ASSERT_TRUE(transport.is_open());  // round
  main.advance(27 * kSec);
  EXPECT_TRUE(transport.is_open());  // both were silent: twice as long
  main.advance(5 * kSec);
  ASSERT_TRUE(second.is_open());
  second.requests.clear();
  second.send(response(kC, "1", "n1", {resource(kC, "a")}));
  main.run();
  expect_ack(second.take_request(), kC, "1", "n1");
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  main.advance(3600 * kSec);  // one that has spoken may be silent
  EXPECT_EQ(client->server(), 1u);
  EXPECT_TRUE(second.is_open());
}

TEST_F(XdsFailover, Rule27ASingleServerMayBeSilentForEver) {
  start().subscribe_all(kC);
  main.run();
  main.advance(3600 * kSec);
  EXPECT_TRUE(transport.is_open());
  EXPECT_EQ(client->control_plane().streams_opened, 1u);
  EXPECT_THAT(transport.requests, SizeIs(1));
}

TEST_F(XdsFailover, Rules12And25AnotherServerIsToldNoVersions) {
  for (const bool delta : {false, true}) {
    SCOPED_TRACE(delta);
    options.delta = transport.delta = second.delta = delta;
    start_with_two().subscribe_all(kC);
    main.run();
    if (delta) {
      transport.send(delta_response(kC, "n1", {delta_resource(kC, "a", "1")}));
    } else {
      transport.send(response(kC, "1", "n1", {resource(kC, "a")}));
    }
    main.run();
    fail(transport);
    fail(transport);
    fail(transport);
    ASSERT_TRUE(second.is_open());
    if (delta) {
      const auto request = second.take_delta_request();
      EXPECT_EQ(request.initial_resource_versions_size(), 0);
      EXPECT_EQ(request.response_nonce(), "");
    } else {
      expect_ack(second.take_request(), kC, "", "");
    }
    EXPECT_TRUE(client->state(kC).holds("a"));  // in force until the other server says otherwise
    transport.close();
    client.reset();
  }
}

TEST_F(XdsFailover, Rule12WhatAnotherServerDoesNotHaveGoes) {
  options.delta = transport.delta = second.delta = true;
  start_with_two().subscribe_all(kC);
  main.run();
  transport.send(
      delta_response(kC, "n1", {delta_resource(kC, "both", "1"), delta_resource(kC, "old", "1")}));
  main.run();
  for (int i = 0; i < 3; ++i) fail(transport);
  second.send(delta_response(kC, "m1", {delta_resource(kC, "both", "1")}));
  main.run();
  EXPECT_EQ(held(kC), (std::set<std::string>{"both", "old"}));  // it may come in a later response
  main.advance(16 * kSec);
  EXPECT_EQ(held(kC), std::set<std::string>{"both"});
}

TEST_F(XdsFailover, Rule12TheFirstServerIsTakenBackWhenItAnswersAgain) {
  start_with_two().subscribe_all(kC);
  main.run();
  go_to_second();
  EXPECT_THAT(transport.requests, IsEmpty());
  second.requests.clear();
  second.send(response(kC, "7", "n1", {resource(kC, "a")}));
  main.run();
  main.advance(4 * kSec);
  EXPECT_FALSE(transport.is_open());
  main.advance(2 * kSec);
  ASSERT_TRUE(transport.is_open());  // the probe
  expect_ack(next(), kC, "", "");
  EXPECT_TRUE(second.is_open());  // still served from there
  fail(transport);                // not yet
  EXPECT_TRUE(second.is_open());
  EXPECT_EQ(client->server(), 1u);
  main.advance(6 * kSec);
  ASSERT_TRUE(transport.is_open());
  next();
  transport.send(response(kC, "1", "p1", {resource(kC, "a")}));
  main.run();
  EXPECT_EQ(client->server(), 0u);
  EXPECT_FALSE(second.is_open());
  ASSERT_TRUE(transport.is_open());
  expect_ack(next(), kC, "", "");
  send(kC, "1", "n1", {resource(kC, "a")});
  expect_ack(next(), kC, "1", "n1");
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  main.advance(60 * kSec);
  EXPECT_FALSE(second.is_open());
}

}  // namespace
}  // namespace sluice::test
