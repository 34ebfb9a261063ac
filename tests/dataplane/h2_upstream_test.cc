#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "base/text.h"
#include "tests/support/http_pair.h"

// The pool of HTTP/2 connections against an endpoint that does what endpoints do.

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;

void answer(H2Peer& peer, int32_t id, std::string_view body = "ok") {
  peer.respond(id, {{":status", "200"}}, false);
  peer.data(id, body, true);
}

HttpMessage post_without_body() {
  HttpMessage request;
  request.method = "POST";
  return request;
}

H2Peer::Options allows(uint32_t streams) {
  H2Peer::Options options;
  options.settings = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams}};
  return options;
}

TEST(H2Upstream, RefusedStreamIsSentAgain) {
  std::atomic<int> refused{0};
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) {
      if (refused++ == 0) return peer.reset(id, NGHTTP2_REFUSED_STREAM);
      answer(peer, id);
    });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  const HttpMessage reply = ask(Http::k1, proxy.port(), post_without_body());
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(*reply.body, "ok");
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_retry"), 1u);
}

TEST(H2Upstream, ConcurrencyOfTheEndpointIsKept) {
  for (const uint32_t limit : {1u, 2u}) {
    SCOPED_TRACE(limit);
    std::atomic<uint32_t> most{0};
    ScriptedOrigin origin([&](Socket& socket, int) {
      H2Peer peer(std::move(socket), H2Peer::Role::kServer, allows(limit));
      peer.serve([&](int32_t id) {
        uint32_t open = 0;
        for (auto& [other, s] : peer.streams()) open += s.head_done && !s.closed;
        most = std::max(most.load(), open);
        answer(peer, id);
      });
    });
    TestProxy proxy(pair_config(Http::k2, origin.port()));
    H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    std::vector<int32_t> ids;
    for (int i = 0; i < 20; ++i) ids.push_back(client.get("/"));
    for (const int32_t id : ids) {
      ASSERT_TRUE(client.run_until_ended(id));
      EXPECT_EQ(client.stream(id).body, "ok");
    }
    EXPECT_LE(most.load(), limit);
    EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_active"), 0u);
    EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_pending_active"), 0u);
  }
}

TEST(H2Upstream, StreamsAboveTheLastIdOfGoawayGoElsewhere) {
  ScriptedOrigin origin([&](Socket& socket, int nth) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) {
      if (nth > 1) return answer(peer, id, "second");
      if (id == 3) peer.goaway(1);  // the first stream goes on
      if (id == 3) answer(peer, 1, "first");
    });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t a = client.get("/a");
  ASSERT_TRUE(client.run_until(
      [&] { return client.settled() && proxy.stat("cluster.c.upstream_rq_active") == 1; }));
  const int32_t b = client.get("/b");
  ASSERT_TRUE(client.run_until_ended(a));
  ASSERT_TRUE(client.run_until_ended(b));
  EXPECT_EQ(client.stream(a).body, "first");
  EXPECT_EQ(client.stream(b).body, "second");
  EXPECT_EQ(origin.connections(), 2);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_close_notify"), 1u);
}

TEST(H2Upstream, MaxRequestsPerConnection) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) { answer(peer, id); });
  });
  auto config = pair_config(Http::k2, origin.port());
  config.clusters[0].transport.max_requests_per_connection = 2;
  TestProxy proxy(std::move(config));
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(ask(Http::k2, proxy.port(), HttpMessage()).status, 200);
  }
  EXPECT_EQ(origin.connections(), 3);
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_destroy", 3));
}

TEST(H2Upstream, ConnectFailureIsTold) {
  uint16_t port;
  Socket::listen(&port).close();
  TestProxy proxy(pair_config(Http::k2, port));
  EXPECT_EQ(ask(Http::k1, proxy.port(), HttpMessage()).status, 503);
  EXPECT_EQ(ask(Http::k2, proxy.port(), HttpMessage()).status, 503);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_connect_fail"), 2u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 0u);
}

TEST(H2Upstream, ResetBeforeTheHeadIs503) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) { peer.reset(id, NGHTTP2_INTERNAL_ERROR); });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  EXPECT_EQ(ask(Http::k1, proxy.port(), HttpMessage()).status, 503);
  EXPECT_EQ(ask(Http::k2, proxy.port(), HttpMessage()).status, 503);
  EXPECT_EQ(origin.connections(), 1);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_rx_reset"), 2u);
}

TEST(H2Upstream, ResetWithinTheBodyCutsTheResponse) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) {
      peer.respond(id, {{":status", "200"}}, false);
      peer.data(id, "part", false);
      peer.flush();
      peer.reset(id, NGHTTP2_INTERNAL_ERROR);
    });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  const HttpMessage h1 = ask(Http::k1, proxy.port(), HttpMessage());
  EXPECT_FALSE(h1.complete);
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until([&] { return client.stream(id).closed; }));
  EXPECT_EQ(client.stream(id).reset, uint32_t{NGHTTP2_INTERNAL_ERROR});
  EXPECT_FALSE(client.stream(id).ended);
  EXPECT_FALSE(client.closed());
}

TEST(H2Upstream, ConnectionThatClosesFailsItsStreams) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.run_until([&] { return peer.stream(5).ended; });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  for (int i = 0; i < 3; ++i) client.get("/");
  for (const int32_t id : {1, 3, 5}) {
    ASSERT_TRUE(client.run_until_ended(id));
    EXPECT_EQ(client.stream(id).status(), 503);
  }
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_destroy", 1));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_active"), 0u);
}

TEST(H2Upstream, ClientsResetReachesTheEndpoint) {
  std::atomic<int> code{-1};
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) {
      peer.respond(id, {{":status", "200"}}, false);
      peer.data(id, "part", false);
      peer.run_until([&] { return peer.stream(id).reset.has_value(); });
      code = static_cast<int>(peer.stream(id).reset.value_or(99));
    });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until([&] { return client.stream(id).body == "part"; }));
  client.reset(id, NGHTTP2_CANCEL);
  client.flush();
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_rq_rx_reset", 1));
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_tx_reset", 1));
  client.run_until([&] { return code >= 0; });
  EXPECT_EQ(code.load(), NGHTTP2_CANCEL);
}

TEST(H2Upstream, ClientsResetClosesAnHttp1Endpoint) {
  std::atomic<bool> gone{false};
  ScriptedOrigin origin([&](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart");
    gone = socket.closed_by_peer();
  });
  TestProxy proxy(pair_config(Http::k1, origin.port()));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until([&] { return client.stream(id).body == "part"; }));
  client.reset(id, NGHTTP2_CANCEL);
  EXPECT_TRUE(client.run_until([&] { return gone.load(); }));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_rx_reset"), 1u);
}

TEST(H2Upstream, SilentConnectionIsFoundByPing) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    socket.receive_until("never");  // no answer to anything
  });
  auto config = pair_config(Http::k2, origin.port());
  config.clusters[0].transport.h2.keepalive_interval = milliseconds(30);
  config.clusters[0].transport.h2.keepalive_timeout = milliseconds(30);
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(Http::k1, proxy.port(), HttpMessage()).status, 503);
  EXPECT_EQ(proxy.stat("cluster.c.http2.keepalive_timeout"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 0u);
}

TEST(H2Upstream, IdleConnectionCloses) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) { answer(peer, id); });
  });
  auto config = pair_config(Http::k2, origin.port());
  config.clusters[0].transport.idle_timeout = milliseconds(30);
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(Http::k1, proxy.port(), HttpMessage()).status, 200);
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_idle_timeout", 1));
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_destroy", 1));
}

}  // namespace
}  // namespace sluice::testing
