#include "dataplane/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/text.h"
#include "tests/dataplane/asking.h"
#include "tests/support/test_proxy.h"

namespace sluice {
namespace {

using testing::ask;
using testing::EchoOrigin;
using testing::forward_route;
using ::testing::HasSubstr;
using testing::kGet;
using testing::Message;
using ::testing::Not;
using testing::one_cluster;
using testing::read_message;
using testing::ScriptedOrigin;
using testing::Socket;
using ::testing::StartsWith;
using testing::static_cluster;
using testing::TestProxy;

TEST(Exchange, ForwardsRequestAndResponse) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  const Message answer = ask(proxy.port(), "GET /p?q=1 HTTP/1.1\r\nHost: h\r\nX-A:  b \r\n\r\n");
  EXPECT_EQ(answer.status(), 200);
  EXPECT_EQ(answer.body, "ok");
  EXPECT_EQ(answer.field("server"), "sluice");
  EXPECT_EQ(answer.field("x-envoy-upstream-service-time").empty(), false);
  const Message got = origin.last_request();
  EXPECT_EQ(got.first_line(), "GET /p?q=1 HTTP/1.1");
  EXPECT_EQ(got.field("host"), "h");
  EXPECT_EQ(got.field("x-a"), "b");
  EXPECT_EQ(got.field("x-forwarded-proto"), "http");
  EXPECT_EQ(got.field("x-request-id").size(), 36u);
  EXPECT_EQ(got.field("x-envoy-expected-rq-timeout-ms"), "15000");
  EXPECT_EQ(got.field("connection"), "");
}

TEST(Exchange, KeepsBothConnectionsAlive) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client.send(kGet));
    ASSERT_EQ(read_message(client, &rest).status(), 200);
  }
  EXPECT_EQ(origin.connections(), 1);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_total"), 20u);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_2xx"), 20u);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_active"), 1u);
  client.close();
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 1));
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_active"), 0u);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_rx_bytes_total"), 20 * kGet.size());
}

TEST(Exchange, AnswersPipelinedRequestsInOrder) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  std::string all;
  for (int i = 0; i < 50; ++i) all += base::cat("GET /", i, " HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(client.send(all));
  std::string rest;
  for (int i = 0; i < 50; ++i) ASSERT_EQ(read_message(client, &rest).status(), 200);
  const auto requests = origin.requests();
  ASSERT_EQ(requests.size(), 50u);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(requests[static_cast<size_t>(i)].first_line(), base::cat("GET /", i, " HTTP/1.1"));
  }
}

TEST(Exchange, OneByteAtATime) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (const char c : request) ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  std::string rest;
  EXPECT_EQ(read_message(client, &rest).status(), 200);
  EXPECT_EQ(origin.last_request().body, "hello");
}

TEST(Exchange, BodyWithLengthAndChunkedBodyBothWays) {
  const std::string big(3'000'000, 'x');
  for (const bool chunked : {false, true}) {
    SCOPED_TRACE(chunked);
    const std::string head = chunked ? "transfer-encoding: chunked\r\n"
                                     : base::cat("content-length: ", big.size(), "\r\n");
    const auto framed = [&](std::string_view body) {
      if (!chunked) return std::string(body);
      std::string out;
      for (size_t at = 0; at < body.size(); at += 10'000) {
        char size[20];
        const size_t n = std::min<size_t>(10'000, body.size() - at);
        std::snprintf(size, sizeof(size), "%zx\r\n", n);
        out += base::cat(size, body.substr(at, n), "\r\n");
      }
      return out + "0\r\n\r\n";
    };
    EchoOrigin origin(base::cat("HTTP/1.1 200 OK\r\n", head, "\r\n", framed(big)));
    TestProxy proxy(one_cluster(origin.port()));
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send(base::cat("POST / HTTP/1.1\r\nHost: h\r\n", head, "\r\n")));
    std::thread sender([&] { client.send(framed(big)); });
    std::string rest;
    const Message answer = read_message(client, &rest);
    sender.join();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.complete);
    EXPECT_EQ(answer.body == big, true);
    EXPECT_EQ(origin.last_request().body == big, true);
  }
}

TEST(Exchange, TrailersPassBothWays) {
  EchoOrigin origin(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\nok\r\n0\r\nx-t: "
      "1\r\n\r\n");
  TestProxy proxy(one_cluster(origin.port()));
  const Message answer = ask(proxy.port(),
                             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n");
  EXPECT_EQ(answer.body, "ok");
  EXPECT_EQ(answer.field("x-t"), "1");
  EXPECT_EQ(origin.last_request().field("x-sum"), "9");
}

TEST(Exchange, HeadHasNoBodyAndKeepsTheLength) {
  EchoOrigin origin("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n");
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"));
    const Message answer = read_message(client, &rest, true);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.field("content-length"), "1234");
  }
  EXPECT_EQ(origin.connections(), 1);
}

TEST(Exchange, BodyUntilCloseBecomesChunked) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.send("HTTP/1.1 200 OK\r\n\r\nhello ");
    socket.send("world");
    socket.close();
  });
  TestProxy proxy(one_cluster(origin.port()));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_EQ(answer.body, "hello world");
  EXPECT_EQ(answer.field("transfer-encoding"), "chunked");
}

TEST(Exchange, AnswersByItselfWithReason) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.routes = {forward_route("/none", "missing"), forward_route("/c", "c"),
                   forward_route("/empty", "empty")};
  router::RouteValue direct;
  direct.match.path.text = "/direct";
  direct.action = router::RouteValue::Action::kDirect;
  direct.direct = {418, "short and stout"};
  router::RouteValue redirect;
  redirect.match.path.text = "/old";
  redirect.action = router::RouteValue::Action::kRedirect;
  redirect.redirect.path = "/new";
  redirect.redirect.status = 308;
  config.routes.push_back(direct);
  config.routes.push_back(redirect);
  config.clusters.push_back(static_cluster("empty", {}));
  TestProxy proxy(std::move(config));
  const struct {
    std::string_view path;
    int status;
    std::string_view body;
  } kRows[] = {
      {"/nowhere", 404, ""},
      {"/none/x", 503, ""},
      {"/empty/x", 503, "no healthy upstream"},
      {"/direct", 418, "short and stout"},
      {"/old", 308, ""},
      {"/c", 200, "ok"},
  };
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.path);
    ASSERT_TRUE(client.send(base::cat("GET ", row.path, " HTTP/1.1\r\nHost: h\r\n\r\n")));
    const Message answer = read_message(client, &rest);
    EXPECT_EQ(answer.status(), row.status);
    EXPECT_EQ(answer.body, row.body);
    EXPECT_EQ(answer.field("location"), row.status == 308 ? "http://h/new" : "");
  }
  EXPECT_EQ(proxy.stat("http.in.no_route"), 1u);
  EXPECT_EQ(proxy.stat("http.in.no_cluster"), 1u);
}

TEST(Exchange, RefusedConnectionIs503) {
  uint16_t port;
  Socket::listen(&port).close();
  TestProxy proxy(one_cluster(port));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_THAT(answer.body, HasSubstr("connection failure"));
  EXPECT_GE(proxy.stat("cluster.c.upstream_cx_connect_fail"), 1u);
}

TEST(Exchange, StaleConnectionIsTriedAgainForIdempotentRequestsOnly) {
  for (const bool post : {false, true}) {
    SCOPED_TRACE(post);
    ScriptedOrigin origin([](Socket& socket, int nth) {
      std::string rest;
      read_message(socket, &rest);
      socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      if (nth != 1) {
        read_message(socket, &rest);
        return;
      }
      read_message(socket, &rest);  // the second request on it: die without an answer
      socket.reset();
    });
    TestProxy proxy(one_cluster(origin.port()));
    Socket client = Socket::connect(proxy.port());
    std::string rest;
    ASSERT_TRUE(client.send(kGet));
    ASSERT_EQ(read_message(client, &rest).status(), 200);
    ASSERT_TRUE(
        client.send(post ? "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx" : kGet));
    EXPECT_EQ(read_message(client, &rest).status(), post ? 503 : 200);
    EXPECT_EQ(origin.connections(), post ? 1 : 2);
  }
}

TEST(Exchange, TruncatedResponseCutsTheClient) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this");
    socket.close();
  });
  TestProxy proxy(one_cluster(origin.port()));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_FALSE(answer.complete);
  EXPECT_TRUE(proxy.wait_stat("http.in.rq_reset_after_downstream_response_started", 1));
}

TEST(Exchange, RouteTimeoutIs504) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.closed_by_peer();
  });
  auto config = one_cluster(origin.port());
  config.routes[0].forward.timeout = std::chrono::milliseconds(50);
  TestProxy proxy(std::move(config));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_EQ(answer.status(), 504);
  EXPECT_EQ(answer.body, "upstream request timeout");
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_timeout"), 1u);
}

TEST(Exchange, SlowHeadIs408) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.request_headers_timeout = std::chrono::milliseconds(50);
  TestProxy proxy(std::move(config));
  const Message answer = ask(proxy.port(), "GET / HTTP/1.1\r\nHost:");
  EXPECT_EQ(answer.status(), 408);
  EXPECT_EQ(answer.field("connection"), "close");
  Socket silent = Socket::connect(proxy.port());
  EXPECT_TRUE(silent.closed_by_peer());
}

TEST(Exchange, ExpectContinueIsAnsweredAtOnce) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(
      "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"));
  EXPECT_THAT(client.receive_until("\r\n\r\n"), StartsWith("HTTP/1.1 100 Continue\r\n"));
  ASSERT_TRUE(client.send("hi"));
  std::string rest;
  EXPECT_EQ(read_message(client, &rest).status(), 200);
  EXPECT_EQ(origin.last_request().body, "hi");
  EXPECT_EQ(origin.last_request().field("expect"), "");
}

TEST(Exchange, WebSocketTunnelsBothWaysAndOnlyAfter101) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    const Message request = read_message(socket, &rest);
    EXPECT_EQ(request.field("upgrade"), "websocket");
    EXPECT_THAT(request.field("connection"), ::testing::AnyOf("upgrade", "Upgrade"));
    EXPECT_EQ(rest, "");  // nothing of the tunnel before 101
    socket.send(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: "
        "Upgrade\r\n\r\nfrom-origin");
    EXPECT_EQ(socket.receive_until("from-client"), "early-from-client");
    socket.close();
  });
  auto config = one_cluster(origin.port());
  config.http.upgrades = {"websocket"};
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(
      "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly-"));
  EXPECT_THAT(client.receive_until("from-origin"), StartsWith("HTTP/1.1 101"));
  ASSERT_TRUE(client.send("from-client"));
  EXPECT_TRUE(client.closed_by_peer());
}

TEST(Exchange, UnaskedSwitchIs502) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.send(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nEVIL");
    socket.closed_by_peer();
  });
  TestProxy proxy(one_cluster(origin.port()));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_EQ(answer.status(), 502);
  EXPECT_THAT(answer.body, Not(HasSubstr("EVIL")));
}

TEST(Exchange, BreakersAnswer503WithOverflow) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.closed_by_peer();
  });
  auto config = one_cluster(origin.port());
  config.clusters[0].breakers_default.max_requests = 1;
  TestProxy proxy(std::move(config));
  Socket first = Socket::connect(proxy.port());
  ASSERT_TRUE(first.send(kGet));
  ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_total", 1));
  const Message answer = ask(proxy.port(), kGet);
  EXPECT_EQ(answer.status(), 503);
  EXPECT_THAT(answer.body, HasSubstr("overflow"));
}

TEST(Exchange, Http10WithoutHostGoesToTheDefaultHost) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.accept_http_10 = true;
  config.http.default_host_for_http_10 = "default.example";
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(proxy.port(), "GET /a HTTP/1.0\r\n\r\n").status(), 200);
  EXPECT_EQ(origin.last_request().field("host"), "default.example");
  EXPECT_EQ(ask(proxy.port(), "GET /a HTTP/1.0\r\nHost: own\r\n\r\n").status(), 200);
  EXPECT_EQ(origin.last_request().field("host"), "own");
  EXPECT_EQ(ask(proxy.port(), "GET /a HTTP/1.1\r\n\r\n").status(), 400);
}

TEST(Exchange, ClientThatLeavesFreesTheUpstream) {
  ScriptedOrigin origin([](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    EXPECT_TRUE(socket.closed_by_peer());
  });
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(kGet));
  ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_total", 1));
  client.close();
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_rq_rx_reset", 1));
}

TEST(Exchange, SlowReaderHoldsBackTheOrigin) {
  constexpr size_t kTotal = 64 * 1024 * 1024;
  std::atomic<size_t> sent{0};
  std::atomic<bool> stop{false};
  ScriptedOrigin origin([&](Socket& socket, int) {
    std::string rest;
    read_message(socket, &rest);
    socket.send(base::cat("HTTP/1.1 200 OK\r\ncontent-length: ", kTotal, "\r\n\r\n"));
    const std::string piece(64 * 1024, 'y');
    while (sent < kTotal && !stop && socket.send(piece)) sent += piece.size();
  });
  auto config = one_cluster(origin.port());
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(kGet));
  ASSERT_TRUE(proxy.wait_stat("http.in.downstream_flow_control_paused_reading_total", 1));
  // What is in flight is bounded by our buffer and the kernel's, far below the whole.
  EXPECT_LT(sent.load(), kTotal / 2);
  size_t got = client.receive_until("\r\n\r\n").size();
  while (got < kTotal) {
    const std::string more = client.receive(1 << 20);
    if (more.empty()) break;
    got += more.size();
  }
  EXPECT_GE(got, kTotal);
  stop = true;
}

TEST(Exchange, DrainClosesAfterTheAnswer) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  ASSERT_TRUE(client.send(kGet));
  ASSERT_EQ(read_message(client, &rest).status(), 200);
  std::atomic<bool> drained{false};
  proxy.on_main([&] { proxy.server().drain(30 * base::kNsPerSec, [&] { drained = true; }); });
  // The worker hears of it by a post; a new connection is refused once it has.
  const auto until = std::chrono::steady_clock::now() + testing::kPatience;
  while (Socket::connect(proxy.port()).ok() && std::chrono::steady_clock::now() < until) {
  }
  ASSERT_TRUE(client.send(kGet));
  const Message last = read_message(client, &rest);
  EXPECT_EQ(last.status(), 200);
  EXPECT_EQ(last.field("connection"), "close");
  EXPECT_TRUE(client.closed_by_peer());
  while (!drained && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(drained);
}

// As when admin asked for it, and SIGTERM comes then.
TEST(Exchange, WhoAsksToDrainSecondIsToldToo) {
  EchoOrigin origin;
  TestProxy proxy(one_cluster(origin.port()));
  std::atomic<bool> drained{false};
  proxy.on_main([&] { proxy.server().drain(30 * base::kNsPerSec, nullptr); });
  const auto until = std::chrono::steady_clock::now() + testing::kPatience;
  while (Socket::connect(proxy.port()).ok() && std::chrono::steady_clock::now() < until) {
  }
  proxy.on_main([&] { proxy.server().drain(30 * base::kNsPerSec, [&] { drained = true; }); });
  while (!drained && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(drained);
}

TEST(Exchange, DrainClosesIdleConnectionsAfterDrainTimeout) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.drain_timeout = std::chrono::milliseconds(100);
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  ASSERT_TRUE(client.send(kGet));
  ASSERT_EQ(read_message(client, &rest).status(), 200);
  proxy.on_main([&] { proxy.server().drain(3600 * base::kNsPerSec, nullptr); });
  EXPECT_TRUE(client.closed_by_peer());
}

// The time that drain() is given counts, not that of listeners which are removed (--drain-time-s).
TEST(Exchange, DrainClosesWhatIsLeftAfterItsTime) {
  std::atomic<bool> gone{false};
  ScriptedOrigin origin([&](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    gone = socket.closed_by_peer();
  });
  TestProxy proxy(one_cluster(origin.port()));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(kGet));
  ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_active", 1));
  proxy.on_main([&] { proxy.server().drain(50 * base::kNsPerMs, nullptr); });
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 1));
  const auto until = std::chrono::steady_clock::now() + testing::kPatience;
  while (!gone && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(gone);
}

// A pick that took as long as it was told to would hold the worker for a minute.
TEST(Exchange, AnyChoiceCountIsAnsweredAtOnce) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.clusters[0].balancer = upstream::ClusterValue::Balancer::kLeastRequest;
  config.clusters[0].choice_count = UINT32_MAX;
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(proxy.port(), kGet).status(), 200);
}

// Durations as long as the decoder lets through: their sums must not wrap round to "now".
TEST(Exchange, LongestDurationsDoNotCloseConnections) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.max_connection_duration = std::chrono::hours(24 * 365 * 285);
  config.http.drain_timeout = std::chrono::hours(24 * 365 * 285);
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send(kGet));
    const Message answer = read_message(client, &rest);
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.field("connection"), "");
  }
}

TEST(Exchange, TablesSwapUnderTraffic) {
  EchoOrigin one("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none");
  EchoOrigin two("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo");
  auto config = one_cluster(one.port());
  config.workers = 2;
  TestProxy proxy(std::move(config));
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0}, served{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      Socket client = Socket::connect(proxy.port());
      std::string rest;
      while (!stop) {
        if (!client.send(kGet) || read_message(client, &rest).status() != 200) ++failed;
        ++served;
      }
    });
  }
  for (int version = 0; version < 300; ++version) {
    proxy.on_main([&] {
      const uint16_t port = version % 2 == 0 ? two.port() : one.port();
      ASSERT_TRUE(proxy.server().builder().put_cluster(static_cluster("c", {port})).ok());
      proxy.server().publish();
    });
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(served, 0);
  // All but the current version, and those a worker has yet to let go, are reclaimed.
  const auto until = std::chrono::steady_clock::now() + testing::kPatience;
  size_t live = 100;
  while (live > 1 && std::chrono::steady_clock::now() < until) {
    proxy.on_main([&] { live = proxy.server().tables().live().size(); });
  }
  EXPECT_EQ(live, 1u);
}

}  // namespace
}  // namespace sluice
