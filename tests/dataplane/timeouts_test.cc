// Every deadline of docs/life_of_a_request.md, over sockets, and connections that cannot be had.
// The status of an exchange that timed out is Envoy's: 504, or 408 while the client still owed us a
// part of its request.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <deque>
#include <string>
#include <thread>

#include "base/text.h"
#include "tests/support/test_proxy.h"

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
constexpr std::string_view kUnfinished =
    "POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx";
constexpr auto kShort = milliseconds(60);

// Takes a request's head and says nothing.
ScriptedOrigin::Script silent() {
  return [](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    while (!socket.receive().empty()) {
    }
  };
}

TestProxy::Config one_cluster(uint16_t port) {
  TestProxy::Config config;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {port})};
  return config;
}

Message ask(TestProxy& proxy, std::string_view request) {
  Socket client = Socket::connect(proxy.port());
  client.send(request);
  std::string rest;
  return read_message(client, &rest);
}

// The same for both places where the time may be set.
TEST(Timeouts, StreamIdleIs504Or408WhileTheRequestIsIncomplete) {
  for (const bool on_route : {false, true}) {
    SCOPED_TRACE(on_route);
    ScriptedOrigin origin(silent());
    auto config = one_cluster(origin.port());
    if (on_route) {
      config.routes[0].forward.idle_timeout = kShort;
    } else {
      config.http.stream_idle_timeout = kShort;
    }
    TestProxy proxy(std::move(config));
    const Message late = ask(proxy, kGet);
    EXPECT_EQ(late.status(), 504);
    EXPECT_EQ(late.body, "stream timeout");
    const Message unfinished = ask(proxy, kUnfinished);
    EXPECT_EQ(unfinished.status(), 408);
    EXPECT_EQ(unfinished.body, "stream timeout");
    EXPECT_EQ(unfinished.field("connection"), "close");
    EXPECT_EQ(proxy.stat("http.in.downstream_rq_idle_timeout"), 2u);
  }
}

TEST(Timeouts, RoutesIdleTimeoutZeroTurnsTheListenersOff) {
  ScriptedOrigin origin([](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    std::this_thread::sleep_for(4 * kShort);  // what the test is about: a pause that is allowed
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  });
  auto config = one_cluster(origin.port());
  config.http.stream_idle_timeout = kShort;
  config.routes[0].forward.idle_timeout = milliseconds(0);
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(proxy, kGet).status(), 200);
}

// Bytes put the deadline off; when they stop, a response that began is cut.
TEST(Timeouts, StreamIdleCutsAResponseThatStops) {
  ScriptedOrigin origin([](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    for (int i = 0; i < 8; ++i) {
      std::this_thread::sleep_for(kShort);
      socket.send("x");
    }
    socket.closed_by_peer();
  });
  auto config = one_cluster(origin.port());
  config.http.stream_idle_timeout = 6 * kShort;  // of eight pauses together, more
  TestProxy proxy(std::move(config));
  const Message cut = ask(proxy, kGet);
  EXPECT_EQ(cut.status(), 200);
  EXPECT_FALSE(cut.complete);
  EXPECT_EQ(cut.body, "xxxxxxxx");
}

TEST(Timeouts, MaxStreamDurationEndsWhateverMoves) {
  ScriptedOrigin origin(silent());
  auto config = one_cluster(origin.port());
  config.routes[0].forward.max_stream_duration = kShort;
  TestProxy proxy(std::move(config));
  const Message late = ask(proxy, kGet);
  EXPECT_EQ(late.status(), 504);
  EXPECT_EQ(late.body, "downstream duration timeout");
  EXPECT_EQ(ask(proxy, kUnfinished).status(), 408);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_max_duration_reached"), 2u);
}

// Between the client's word and its limit; the status is that of gRPC's own deadlines.
TEST(Timeouts, GrpcTimeoutSetsHowLongAStreamLasts) {
  ScriptedOrigin origin(silent());
  auto config = one_cluster(origin.port());
  router::ForwardAction& forward = config.routes[0].forward;
  forward.timeout = milliseconds(0);
  forward.grpc_timeout.sets = router::GrpcTimeout::Sets::kDuration;
  forward.grpc_timeout.max = kShort;
  TestProxy proxy(std::move(config));
  for (const char* asked : {"10m", "50000u", "1H"}) {
    const Message late = ask(proxy, base::cat("POST /a HTTP/1.1\r\nhost: h\r\ncontent-type: "
                                              "application/grpc\r\ncontent-length: 0\r\n"
                                              "grpc-timeout: ",
                                              asked, "\r\n\r\n"));
    EXPECT_EQ(late.status(), 200);
    EXPECT_EQ(late.field("grpc-status"), "4");
    EXPECT_EQ(late.field("grpc-message"), "downstream duration timeout");
  }
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_max_duration_reached"), 3u);
}

TEST(Timeouts, SlowRequestBodyIs408) {
  ScriptedOrigin origin(silent());
  auto config = one_cluster(origin.port());
  config.http.request_timeout = kShort;
  TestProxy proxy(std::move(config));
  const Message late = ask(proxy, kUnfinished);
  EXPECT_EQ(late.status(), 408);
  EXPECT_EQ(late.body, "request timeout");
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_timeout"), 1u);
}

// Each of them by itself, with every other deadline off: none may hang on another's timer.
TEST(Timeouts, EachWorksAlone) {
  using Set = void (*)(TestProxy::Config&);
  const Set sets[] = {
      [](TestProxy::Config& c) { c.http.stream_idle_timeout = kShort; },
      [](TestProxy::Config& c) { c.routes[0].forward.idle_timeout = kShort; },
      [](TestProxy::Config& c) { c.routes[0].forward.max_stream_duration = kShort; },
      [](TestProxy::Config& c) { c.routes[0].forward.timeout = kShort; },
      [](TestProxy::Config& c) { c.http.request_timeout = kShort; },
  };
  for (size_t i = 0; i < std::size(sets); ++i) {
    SCOPED_TRACE(i);
    ScriptedOrigin origin(silent());
    auto config = one_cluster(origin.port());
    config.http.idle_timeout = config.http.stream_idle_timeout = milliseconds(0);
    config.http.request_headers_timeout = milliseconds(0);
    config.routes[0].forward.timeout = milliseconds(0);
    sets[i](config);
    TestProxy proxy(std::move(config));
    const auto from = std::chrono::steady_clock::now();
    // A request timeout is over when the request is, a route's begins then.
    if (i != 4) {
      EXPECT_EQ(ask(proxy, kGet).status(), 504);
    }
    if (i != 3) {
      EXPECT_EQ(ask(proxy, kUnfinished).status(), 408);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(8));
  }
}

// The second head on a connection has the same time as the first, and counts from its own first
// byte: the pause between requests is the idle timeout's.
TEST(Timeouts, HeadersTimeoutCountsFromTheHeadsFirstByte) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.request_headers_timeout = 6 * kShort;
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  client.send(kGet);
  ASSERT_EQ(read_message(client, &rest).status(), 200);
  std::this_thread::sleep_for(8 * kShort);  // longer than a head may take
  client.send("GET /b HTTP/1.1\r\n");
  client.send("host: h\r\n\r\n");
  ASSERT_EQ(read_message(client, &rest).status(), 200);
  client.send("GET /c HTTP/1.1\r\n");
  const Message late = read_message(client, &rest);
  EXPECT_EQ(late.status(), 408);
  EXPECT_EQ(late.body, "request timeout");
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_header_timeout"), 1u);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_idle_timeout"), 0u);
}

TEST(Timeouts, IdleConnectionsOfClientsAreClosedAndBusyOnesAreNot) {
  ScriptedOrigin origin([](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    std::this_thread::sleep_for(4 * kShort);
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    socket.closed_by_peer();
  });
  auto config = one_cluster(origin.port());
  config.http.idle_timeout = kShort;
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  client.send(kGet);
  EXPECT_EQ(read_message(client, &rest).status(), 200);
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_EQ(rest, "");
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_idle_timeout"), 1u);
}

TEST(Timeouts, IdleConnectionsOfPoolsAreClosed) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.clusters[0].transport.idle_timeout = kShort;
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(proxy, kGet).status(), 200);
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_destroy", 1));
  EXPECT_EQ(ask(proxy, kGet).status(), 200);
  EXPECT_EQ(origin.connections(), 2);
}

// A listening socket whose queue is full: connecting neither works nor fails.
class FullQueue {
 public:
  FullQueue() {
    listening_ = Socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    EXPECT_EQ(::bind(listening_.fd(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
    ::listen(listening_.fd(), 0);
    ::getsockname(listening_.fd(), reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      const int rc = ::connect(waiting_.back().fd(), reinterpret_cast<sockaddr*>(&at), sizeof(at));
      EXPECT_TRUE(rc == 0 || errno == EINPROGRESS);
    }
  }
  uint16_t port() const { return port_; }

 private:
  Socket listening_;
  std::deque<Socket> waiting_;
  uint16_t port_ = 0;
};

TEST(Connecting, TimeoutIs503ForAllThatWait) {
  FullQueue nobody_accepts;
  auto config = one_cluster(nobody_accepts.port());
  config.clusters[0].transport.connect_timeout = 2 * kShort;
  TestProxy proxy(std::move(config));
  std::deque<Socket> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(Socket::connect(proxy.port()));
    clients.back().send(kGet);
  }
  for (Socket& client : clients) {
    std::string rest;
    const Message answer = read_message(client, &rest);
    EXPECT_EQ(answer.status(), 503);
    EXPECT_NE(answer.body.find("connection timeout"), std::string::npos) << answer.body;
  }
  EXPECT_GE(proxy.stat("cluster.c.upstream_cx_connect_timeout"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_pending_active"), 0u);
}

// Where connect() itself says no (a source address that is not ours), nobody waits and nothing is
// left behind; the next request tries anew.
TEST(Connecting, ImmediateFailureIs503AndLeavesNothing) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.clusters[0].transport.bind = *base::Address::ip("203.0.113.1", 0);
  TestProxy proxy(std::move(config));
  for (uint64_t i = 1; i <= 3; ++i) {
    const Message answer = ask(proxy, kGet);
    EXPECT_EQ(answer.status(), 503);
    EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_connect_fail"), i);
  }
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_pending_active"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_active"), 0u);
  EXPECT_EQ(origin.connections(), 0);
  // The source address goes, and with it the failure.
  proxy.on_main([&] {
    ASSERT_TRUE(proxy.server().builder().put_cluster(static_cluster("c", {origin.port()})).ok());
    proxy.server().publish();
  });
  EXPECT_EQ(ask(proxy, kGet).status(), 200);
}

}  // namespace
}  // namespace sluice::testing
