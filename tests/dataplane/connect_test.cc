#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/dataplane/relay.h"
#include "tests/support/http_pair.h"

// CONNECT (RFC 9110 9.3.6) from clients of both versions: ended here, so that its bytes are plain
// TCP to an endpoint, or sent on to a proxy that speaks HTTP/1.1 or HTTP/2.

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

enum class Goes : uint8_t { kTcp, kToHttp1, kToHttp2 };

const Fields kConnect = {{":method", "CONNECT"}, {":authority", "db:5432"}};
constexpr std::string_view kConnectText = "CONNECT db:5432 HTTP/1.1\r\nhost: db:5432\r\n\r\n";

router::RouteValue connect_route(bool ends_here) {
  router::RouteValue route = forward_route("", "c");
  route.match.path.kind = router::PathMatch::Kind::kConnect;
  route.forward.upgrades = {"connect"};
  route.forward.connect_terminates = ends_here;
  return route;
}

TestProxy::Config connect_config(Goes goes, uint16_t port) {
  auto config = pair_config(goes == Goes::kToHttp2 ? Http::k2 : Http::k1, port);
  config.routes.insert(config.routes.begin(), connect_route(goes == Goes::kTcp));
  return config;
}

// Speaks first, as many protocols over TCP do; then "<" + what it gets + ">", and "bye" when the
// other half ended.
void talk(Socket& socket) {
  socket.send("hello");
  testing::echo_tunnel(socket);
}

void talk_h1(Socket& socket) {
  const std::string head = socket.receive_until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("CONNECT db:5432 HTTP/1.1\r\n"));
  EXPECT_THAT(head, HasSubstr("host: db:5432\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("content-length")));
  socket.send("HTTP/1.1 200 Connected\r\ncontent-length: 3\r\n\r\n");  // the length means nothing
  talk(socket);
}

void talk_h2(Socket& socket) {
  H2Peer peer(std::move(socket), H2Peer::Role::kServer);
  testing::echo_tunnels(peer, "hello", [](const Fields& head) {
    EXPECT_EQ(value_of(head, ":method"), "CONNECT");
    EXPECT_EQ(value_of(head, ":authority"), "db:5432");
    EXPECT_EQ(value_of(head, ":path"), "");
    EXPECT_EQ(value_of(head, ":scheme"), "");
  });
}

class Connect : public ::testing::TestWithParam<std::tuple<Http, Goes>> {
 protected:
  Http down() const { return std::get<0>(GetParam()); }
  Goes goes() const { return std::get<1>(GetParam()); }
  ScriptedOrigin::Script origin() const {
    return [goes = goes()](Socket& socket, int) {
      if (goes == Goes::kTcp) return talk(socket);
      goes == Goes::kToHttp1 ? talk_h1(socket) : talk_h2(socket);
    };
  }
};

std::string name_of(Http down, Goes goes) {
  const char* const to = goes == Goes::kTcp ? "tcp" : goes == Goes::kToHttp1 ? "h1" : "h2";
  return std::string(down == Http::k1 ? "h1_to_" : "h2_to_") + to;
}

INSTANTIATE_TEST_SUITE_P(
    , Connect,
    ::testing::Combine(::testing::Values(Http::k1, Http::k2),
                       ::testing::Values(Goes::kTcp, Goes::kToHttp1, Goes::kToHttp2)),
    [](const auto& row) { return name_of(std::get<0>(row.param), std::get<1>(row.param)); });

TEST_P(Connect, BytesAndEndsPassBothWays) {
  ScriptedOrigin origin(this->origin());
  TestProxy proxy(connect_config(goes(), origin.port()));
  if (down() == Http::k1) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send(kConnectText));
    const std::string head = client.receive_until("hello");
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(head, ::testing::EndsWith("\r\n\r\nhello"));
    EXPECT_THAT(head, Not(HasSubstr("content-length")));
    EXPECT_THAT(head, Not(HasSubstr("transfer-encoding")));
    EXPECT_THAT(head, Not(HasSubstr("connection: close")));
    if (goes() == Goes::kTcp) {
      EXPECT_THAT(head, Not(HasSubstr("x-envoy-upstream-service-time")));
    }
    ASSERT_TRUE(client.send("one"));
    EXPECT_EQ(client.receive_until("<one>"), "<one>");
    ASSERT_TRUE(client.send("two"));
    EXPECT_EQ(client.receive_until("<two>"), "<two>");
    client.half_close();
    EXPECT_EQ(client.receive_all(), "bye");
  } else {
    H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    const int32_t id = peer.request(kConnect, false);
    auto& s = peer.stream(id);
    ASSERT_TRUE(peer.run_until([&] { return s.body == "hello"; })) << s.body;
    EXPECT_EQ(s.status(), 200);
    EXPECT_EQ(value_of(s.head, "content-length"), "");
    peer.data(id, "one", false);
    ASSERT_TRUE(peer.run_until([&] { return s.body == "hello<one>"; })) << s.body;
    peer.data(id, "", true);
    ASSERT_TRUE(peer.run_until([&] { return s.closed; }));
    EXPECT_EQ(s.body, "hello<one>bye");
    EXPECT_TRUE(s.ended);
    EXPECT_FALSE(peer.closed());
  }
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_upgrades_total"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_http1_total"), goes() == Goes::kToHttp1 ? 1u : 0u);
}

// What the client sends before the answer goes into the tunnel, not into another request.
TEST_P(Connect, EarlyBytesWaitForTheTunnel) {
  ScriptedOrigin origin(this->origin());
  TestProxy proxy(connect_config(goes(), origin.port()));
  const std::string early = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
  if (down() == Http::k1) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send(std::string(kConnectText) + early));
    EXPECT_THAT(client.receive_until(">"), HasSubstr("hello<" + early + ">"));
  } else {
    H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    const int32_t id = peer.request(kConnect, false);
    peer.data(id, early, true);
    ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
    EXPECT_EQ(peer.stream(id).body, "hello<" + early + ">bye");
  }
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_total"), 1u);
}

struct Refusal {
  const char* name;
  std::vector<std::string> listener = {};
  bool disabled = false;
  bool matched = true;
  int status = 0;  // as Envoy 1.40 answers
};

class ConnectRefused : public ::testing::TestWithParam<Refusal> {};

INSTANTIATE_TEST_SUITE_P(
    , ConnectRefused,
    ::testing::Values(
        Refusal{.name = "NobodyAllowsIt", .status = 403},
        Refusal{.name = "RouteDisables", .listener = {"connect"}, .disabled = true, .status = 403},
        Refusal{.name = "NoRoute", .listener = {"connect"}, .matched = false, .status = 404},
        Refusal{.name = "NoRouteAndNotAllowed", .matched = false, .status = 404}),
    [](const auto& row) { return std::string(row.param.name); });

// Answered, and what follows it is no request: it may have been meant for the tunnel.
TEST_P(ConnectRefused, IsAnsweredAndNothingFollows) {
  const Refusal& row = GetParam();
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  if (row.matched) {
    auto route = connect_route(true);
    route.forward.upgrades.clear();
    if (row.disabled) route.forward.upgrades_disabled = {"connect"};
    config.routes.insert(config.routes.begin(), route);
  }
  config.http.upgrades = row.listener;
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(std::string(kConnectText) + "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n"));
  std::string rest;
  const Message answer = read_message(client, &rest);
  EXPECT_EQ(answer.status(), row.status);
  EXPECT_EQ(answer.field("connection"), "close");
  EXPECT_EQ(rest + client.receive_all(), "");

  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = peer.request(kConnect, false);
  peer.data(id, "GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n", false);
  ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
  EXPECT_EQ(peer.stream(id).status(), row.status);
  const int32_t next = peer.get("/");
  ASSERT_TRUE(peer.run_until_ended(next));
  EXPECT_EQ(peer.stream(next).status(), 200);
  EXPECT_EQ(origin.requests().size(), 1u);
}

TEST(ConnectTcp, ListenerAloneMayAllowIt) {
  ScriptedOrigin origin([](Socket& socket, int) { talk(socket); });
  auto config = connect_config(Goes::kTcp, origin.port());
  config.http.upgrades = {"connect"};
  config.routes[0].forward.upgrades.clear();
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(kConnectText));
  EXPECT_THAT(client.receive_until("hello"), StartsWith("HTTP/1.1 200 "));
}

TEST(ConnectTcp, NobodyListensIs503) {
  for (const Http down : {Http::k1, Http::k2}) {
    TestProxy proxy(connect_config(Goes::kTcp, dead_port()));
    if (down == Http::k1) {
      Socket client = Socket::connect(proxy.port());
      ASSERT_TRUE(client.send(kConnectText));
      std::string rest;
      EXPECT_EQ(read_message(client, &rest).status(), 503);
    } else {
      H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
      const int32_t id = peer.request(kConnect, false);
      ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
      EXPECT_EQ(peer.stream(id).status(), 503);
    }
    EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_connect_fail"), 1u);
    EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 0u);
    EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_pending_active"), 0u);
  }
}

// Connections of tunnels are their own: one that served HTTP is not among them, nor the other way.
TEST(ConnectTcp, TakesNoPooledConnectionAndLeavesNone) {
  std::atomic<int> tunnels{0};
  ScriptedOrigin origin([&](Socket& socket, int) {
    for (;;) {
      const std::string got = socket.receive();
      if (got.empty()) return;
      if (got.starts_with("GET")) {
        socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      } else {
        ++tunnels;
        socket.send("raw");
      }
    }
  });
  TestProxy proxy(connect_config(Goes::kTcp, origin.port()));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(*ask(Http::k1, proxy.port(), HttpMessage()).body, "ok");
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send(std::string(kConnectText) + "bytes"));
    EXPECT_THAT(client.receive_until("raw"), ::testing::EndsWith("raw"));
  }
  EXPECT_EQ(tunnels, 3);
  EXPECT_EQ(origin.connections(), 4);
}

TEST(ConnectTcp, WhoIsGoneIsNoticedByTheOther) {
  std::atomic<bool> gone{false};
  ScriptedOrigin origin([&](Socket& socket, int nth) {
    socket.receive_until("x");
    if (nth == 1) gone = socket.closed_by_peer();
  });
  TestProxy proxy(connect_config(Goes::kTcp, origin.port()));
  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t first = peer.request(kConnect, false);
  peer.data(first, "x", false);
  ASSERT_TRUE(peer.run_until([&] { return peer.stream(first).head_done; }));
  peer.reset(first, NGHTTP2_CANCEL);
  EXPECT_TRUE(peer.run_until([&] { return gone.load(); }));
  const int32_t second = peer.request(kConnect, false);  // this time the endpoint leaves
  peer.data(second, "x", false);
  EXPECT_TRUE(peer.run_until([&] { return peer.stream(second).closed; }));
  EXPECT_TRUE(peer.stream(second).ended);
  EXPECT_FALSE(peer.closed());
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_destroy", 2));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
}

// An endpoint that reads nothing: what waits for it is bounded, in both versions.
TEST(ConnectTcp, SlowEndpointHoldsTheClient) {
  for (const Http down : {Http::k1, Http::k2}) {
    Endpoint endpoint;
    TestProxy proxy(connect_config(Goes::kTcp, endpoint.port));
    const std::string chunk(16 * 1024, 'x');
    Socket held;
    if (down == Http::k1) {
      Socket client = Socket::connect(proxy.port());
      ASSERT_TRUE(client.send(kConnectText));
      held = endpoint.accept();
      client.receive_until("\r\n\r\n");
      send_until_stuck(client, std::string(64 * 1024 * 1024, 'x'));
      EXPECT_LT(census(proxy).block_bytes_out, 4u * 1024 * 1024);
    } else {
      H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
      const int32_t id = peer.request(kConnect, false);
      peer.flush();
      held = endpoint.accept();
      ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).head_done; }));
      for (int i = 0; i < 1024; ++i) peer.data(id, chunk, false);
      peer.flush();
      const int32_t other = peer.request(
          {{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/none"}});
      peer.flush();
      EXPECT_TRUE(proxy.wait_stat("http.in.downstream_rq_total", 2)) << other;
      EXPECT_LT(census(proxy).block_bytes_out, 4u * 1024 * 1024);
    }
  }
}

}  // namespace
}  // namespace sluice::testing
