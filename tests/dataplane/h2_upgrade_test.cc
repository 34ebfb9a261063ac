#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "tests/support/http_pair.h"

// WebSocket through the proxy in all four pairs: Upgrade in HTTP/1.1, extended CONNECT (RFC 8441)
// in HTTP/2, and from one to the other.

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Fields connect_fields() {
  return {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"},
          {":authority", "h"},    {":path", "/chat"},         {"sec-websocket-version", "13"}};
}

// Answers what it gets with "<" + it + ">"; ends its half when the other half ended.
void echo_h1(Socket& socket) {
  socket.receive_until("\r\n\r\n");
  socket.send("HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  testing::echo_tunnel(socket);
}

void echo_h2(Socket& socket) {
  H2Peer::Options options;
  options.settings = {{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
  H2Peer peer(std::move(socket), H2Peer::Role::kServer, options);
  testing::echo_tunnels(peer, "", [](const Fields& head) {
    EXPECT_EQ(value_of(head, ":method"), "CONNECT");
    EXPECT_EQ(value_of(head, ":protocol"), "websocket");
    EXPECT_EQ(value_of(head, ":path"), "/chat");
    EXPECT_EQ(value_of(head, "upgrade"), "");
  });
}

class H2Upgrade : public ::testing::TestWithParam<std::tuple<Http, Http>> {
 protected:
  Http down() const { return std::get<0>(GetParam()); }
  Http up() const { return std::get<1>(GetParam()); }
  static TestProxy::Config config(Http up, uint16_t port) {
    auto config = pair_config(up, port);
    config.http.upgrades = {"websocket"};
    config.http.h2.codec.allow_connect = true;
    return config;
  }
};

INSTANTIATE_TEST_SUITE_P(, H2Upgrade,
                         ::testing::Combine(::testing::Values(Http::k1, Http::k2),
                                            ::testing::Values(Http::k1, Http::k2)),
                         [](const auto& pair) {
                           return testing::pair_name(std::get<0>(pair.param),
                                                     std::get<1>(pair.param));
                         });

TEST_P(H2Upgrade, BytesAndEndsPassBothWays) {
  ScriptedOrigin origin(
      [this](Socket& socket, int) { up() == Http::k1 ? echo_h1(socket) : echo_h2(socket); });
  TestProxy proxy(config(up(), origin.port()));
  if (down() == Http::k1) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(
        client.send("GET /chat HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\n"
                    "upgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n"));
    EXPECT_THAT(client.receive_until("\r\n\r\n"), HasSubstr("HTTP/1.1 101 "));
    ASSERT_TRUE(client.send("one"));
    EXPECT_EQ(client.receive_until("<one>"), "<one>");
    ASSERT_TRUE(client.send("two"));
    EXPECT_EQ(client.receive_until("<two>"), "<two>");
    client.half_close();
    EXPECT_EQ(client.receive_all(), "bye");
  } else {
    H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    ASSERT_TRUE(peer.run_until([&] { return peer.settled(); }));
    EXPECT_EQ(peer.setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL), 1u);
    const int32_t id = peer.request(connect_fields(), false);
    auto& s = peer.stream(id);
    ASSERT_TRUE(peer.run_until([&] { return s.head_done; }));
    EXPECT_EQ(s.status(), 200);
    EXPECT_EQ(value_of(s.head, "upgrade"), "");
    peer.data(id, "one", false);
    ASSERT_TRUE(peer.run_until([&] { return s.body == "<one>"; })) << s.body;
    peer.data(id, "two", false);
    ASSERT_TRUE(peer.run_until([&] { return s.body == "<one><two>"; })) << s.body;
    peer.data(id, "", true);
    ASSERT_TRUE(peer.run_until([&] { return s.closed; }));
    EXPECT_EQ(s.body, "<one><two>bye");
    EXPECT_TRUE(s.ended);
    EXPECT_FALSE(peer.closed());
  }
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_upgrades_total", 1));
}

// The client does not wait: bytes and its end are there before the endpoint agreed.
TEST_P(H2Upgrade, EarlyBytesAndEndWaitForTheTunnel) {
  if (down() == Http::k1) GTEST_SKIP() << "an end before 101 is a client that left";
  ScriptedOrigin origin(
      [this](Socket& socket, int) { up() == Http::k1 ? echo_h1(socket) : echo_h2(socket); });
  TestProxy proxy(config(up(), origin.port()));
  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(peer.run_until([&] { return peer.settled(); }));
  const int32_t id = peer.request(connect_fields(), false);
  peer.data(id, "early", true);
  ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
  EXPECT_EQ(peer.stream(id).body, "<early>bye");
}

// An upgrade is answered 403, its bytes go nowhere, and the next request is served.
void expect_refused(TestProxy& proxy, EchoOrigin& origin) {
  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(peer.run_until([&] { return peer.settled(); }));
  const int32_t id = peer.request(connect_fields(), false);
  peer.data(id, "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n", true);
  ASSERT_TRUE(peer.run_until_ended(id));
  EXPECT_EQ(peer.stream(id).status(), 403);
  const int32_t next = peer.get("/");
  ASSERT_TRUE(peer.run_until_ended(next));
  EXPECT_EQ(peer.stream(next).status(), 200);
  EXPECT_EQ(origin.requests().size(), 1u);
}

TEST(H2UpgradeRefused, WhereTheListenerDoesNotAllowIt) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.h2.codec.allow_connect = true;
  TestProxy proxy(std::move(config));
  expect_refused(proxy, origin);
}

// Not even on a connection to the endpoint that stays open do its bytes follow another request.
TEST(H2UpgradeRefused, WhereTheRouteDoesNotAllowIt) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.upgrades = {"websocket"};
  config.http.h2.codec.allow_connect = true;
  config.routes[0].forward.upgrades_disabled = {"websocket"};
  TestProxy proxy(std::move(config));
  expect_refused(proxy, origin);
}

TEST(H2UpgradeRefused, ByTheEndpoint) {
  ScriptedOrigin origin([](Socket& socket, int) {
    EXPECT_THAT(socket.receive_until("\r\n\r\n"), Not(HasSubstr("early")));
    socket.send("HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\nno");
    EXPECT_EQ(socket.receive_all(), "");
  });
  auto config = pair_config(Http::k1, origin.port());
  config.http.upgrades = {"websocket"};
  config.http.h2.codec.allow_connect = true;
  TestProxy proxy(std::move(config));
  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(peer.run_until([&] { return peer.settled(); }));
  const int32_t id = peer.request(connect_fields(), false);
  peer.data(id, "early", false);
  ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
  EXPECT_EQ(peer.stream(id).status(), 400);
  EXPECT_EQ(peer.stream(id).body, "no");
  EXPECT_FALSE(peer.closed());
}

}  // namespace
}  // namespace sluice::testing
