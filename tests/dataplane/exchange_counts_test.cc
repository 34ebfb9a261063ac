#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "tests/dataplane/asking.h"
#include "tests/support/test_proxy.h"

namespace sluice {
namespace {

using testing::ask;
using testing::kGet;
using testing::one_cluster;
using testing::read_message;
using testing::ScriptedOrigin;
using testing::Socket;
using testing::TestProxy;

TEST(Exchange, CountsEndpointsAndStatusesAndOpenBreakers) {
  int nth = 0;
  ScriptedOrigin origin([&](Socket& socket, int) {
    std::string rest;
    for (;;) {
      if (read_message(socket, &rest).head.empty()) return;
      if (++nth == 4) break;
      const char* status = nth == 1 ? "200 OK" : nth == 2 ? "503 No" : "404 No";
      socket.send(std::string("HTTP/1.1 ") + status + "\r\ncontent-length: 0\r\n\r\n");
    }
    socket.closed_by_peer();
  });
  auto config = one_cluster(origin.port());
  config.clusters[0].breakers_default.max_requests = 1;
  TestProxy proxy(std::move(config));
  EXPECT_EQ(ask(proxy.port(), kGet).status(), 200);
  EXPECT_EQ(ask(proxy.port(), kGet).status(), 503);
  EXPECT_EQ(ask(proxy.port(), kGet).status(), 404);
  const auto counts = [&] {
    std::promise<upstream::HostCounts> sum;
    proxy.on_main([&] {
      proxy.server().count_hosts([&](dataplane::Server::HostSums sums) {
        sum.set_value(sums.size() == 1 ? sums.begin()->second : upstream::HostCounts());
      });
    });
    return sum.get_future().get();
  };
  const auto open = [&] { return proxy.stat("cluster.c.circuit_breakers.default.rq_open"); };
  EXPECT_EQ(open(), 0u);
  EXPECT_EQ(counts().rq_active, 0u);
  {
    Socket waits = Socket::connect(proxy.port());
    ASSERT_TRUE(waits.send(kGet));
    ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_total", 4));
    const upstream::HostCounts now = counts();
    EXPECT_EQ(now.rq_total, 4u);
    EXPECT_EQ(now.rq_active, 1u);
    EXPECT_EQ(now.rq_success, 2u);
    EXPECT_EQ(now.rq_error, 1u);
    EXPECT_EQ(now.cx_total, 1u);
    EXPECT_EQ(now.cx_active, 1u);
    EXPECT_EQ(now.cx_connect_fail, 0u);
    EXPECT_EQ(open(), 1u);
    EXPECT_EQ(proxy.stat("cluster.c.circuit_breakers.high.rq_open"), 0u);
    EXPECT_EQ(proxy.stat("cluster.c.circuit_breakers.default.remaining_rq"), 0u);
    // Less what the worker holds in reserve.
    EXPECT_GE(proxy.stat("cluster.c.circuit_breakers.default.remaining_pending"), 768u);
    EXPECT_EQ(proxy.stat("cluster.c.circuit_breakers.high.remaining_pending"), 1024u);
  }
  ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_length_ms", 1));
  EXPECT_EQ(counts().rq_active, 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_200"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_404"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_503"), 1u);
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_length_ms", 4));
}

TEST(Exchange, CountsAnEndpointThatCannotBeReached) {
  uint16_t port;
  Socket::listen(&port).close();
  TestProxy proxy(one_cluster(port));
  EXPECT_EQ(ask(proxy.port(), kGet).status(), 503);
  std::promise<upstream::HostCounts> sum;
  proxy.on_main([&] {
    proxy.server().count_hosts([&](dataplane::Server::HostSums sums) {
      sum.set_value(sums.size() == 1 ? sums.begin()->second : upstream::HostCounts());
    });
  });
  const upstream::HostCounts counts = sum.get_future().get();
  EXPECT_EQ(counts.cx_connect_fail, 1u);
  EXPECT_EQ(counts.cx_total, 1u);
  EXPECT_EQ(counts.rq_error, 1u);
  EXPECT_EQ(counts.rq_total, 0u);
}

// Both ends of a connection are told apart, and whether a request was cut. tests/parity compares
// all of it with Envoy.
TEST(Exchange, CountsWhoEndedAConnectionAndWhetherARequestWasCut) {
  ScriptedOrigin origin([&](Socket& socket, int nth) {
    std::string rest;
    if (read_message(socket, &rest).head.empty()) return;
    if (nth == 1) socket.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    if (nth < 3) socket.closed_by_peer();  // of the second the client leaves
  });
  TestProxy proxy(one_cluster(origin.port()));
  const auto ends = [&](const std::string& prefix, const std::string& active) {
    return std::vector<uint64_t>{proxy.stat(prefix + "local"), proxy.stat(prefix + "remote"),
                                 proxy.stat(prefix + "local" + active),
                                 proxy.stat(prefix + "remote" + active)};
  };
  const auto clients = [&] { return ends("http.in.downstream_cx_destroy_", "_active_rq"); };
  const auto endpoints = [&] { return ends("cluster.c.upstream_cx_destroy_", "_with_active_rq"); };
  using Counts = std::vector<uint64_t>;

  EXPECT_EQ(ask(proxy.port(), kGet).status(), 200);  // and the client closes
  ASSERT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 1));
  EXPECT_EQ(clients(), (Counts{0, 1, 0, 0}));
  EXPECT_EQ(endpoints(), (Counts{1, 0, 0, 0}));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_close_notify"), 1u);
  {
    Socket leaves = Socket::connect(proxy.port());
    ASSERT_TRUE(leaves.send(kGet));
    ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_total", 2));
  }
  ASSERT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 2));
  EXPECT_EQ(clients(), (Counts{0, 2, 0, 1}));
  EXPECT_EQ(endpoints(), (Counts{2, 0, 1, 0}));

  EXPECT_EQ(ask(proxy.port(), "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").status(),
            503);  // the endpoint closes
  ASSERT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 3));
  EXPECT_EQ(clients(), (Counts{1, 2, 0, 1}));
  EXPECT_EQ(endpoints(), (Counts{2, 1, 1, 1}));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_destroy_with_active_rq"), 2u);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_destroy_active_rq"), 1u);
}

}  // namespace
}  // namespace sluice
