#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>

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
  const auto open = [&] {
    proxy.on_main([&] { proxy.server().builder().refresh_gauges(); });
    return proxy.stat("cluster.c.circuit_breakers.default.rq_open");
  };
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

}  // namespace
}  // namespace sluice
