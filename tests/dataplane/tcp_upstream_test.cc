#include "dataplane/tcp_upstream.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "tests/dataplane/relay.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::census;
using testing::dead_port;
using testing::Endpoint;
using testing::expect_nothing_left;
using testing::receive_exactly;
using testing::relay_to;
using testing::Socket;
using testing::static_cluster;
using testing::TestProxy;
using testing::until;

TEST(TcpUpstream, ARefusedConnectionEndsTheClients) {
  TestProxy proxy(relay_to({dead_port()}));
  Socket client = Socket::connect(proxy.port());
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_connect_attempts_exceeded", 1));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_connect_fail"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_total"), 1u);
  EXPECT_EQ(proxy.stat("tcp.t.downstream_cx_no_route"), 0u);
  expect_nothing_left(proxy);
}

TEST(TcpUpstream, TheNextAttemptGoesToAnotherHost) {
  for (const auto balancer :
       {upstream::ClusterValue::Balancer::kRoundRobin, upstream::ClusterValue::Balancer::kRandom,
        upstream::ClusterValue::Balancer::kLeastRequest}) {
    Endpoint endpoint;
    auto config = relay_to({dead_port(), dead_port(), endpoint.port});
    config.clusters[0].balancer = balancer;
    config.tcp->max_connect_attempts = 50;
    TestProxy proxy(std::move(config));
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send("hello"));
    Socket server = endpoint.accept();
    EXPECT_EQ(receive_exactly(server, 5), "hello");
    client.close();
    server.close();
    expect_nothing_left(proxy);
  }
}

// The client leaves while there is nobody to connect to: the attempts end.
TEST(TcpUpstream, AClientThatResetsEndsTheAttempts) {
  auto config = relay_to({dead_port()});
  config.tcp->max_connect_attempts = UINT32_MAX;
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_connect_fail", 3));
  EXPECT_EQ(census(proxy).sessions, 1u);
  client.reset();
  expect_nothing_left(proxy);
}

TEST(TcpUpstream, ConnectTimeoutIsAFailedAttempt) {
  // A queue of one that is full: the kernel does not answer further clients.
  Socket listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  ASSERT_EQ(::bind(listening.fd(), reinterpret_cast<sockaddr*>(&at), sizeof(at)), 0);
  ASSERT_EQ(::listen(listening.fd(), 0), 0);
  ::getsockname(listening.fd(), reinterpret_cast<sockaddr*>(&at), &size);
  const uint16_t port = ntohs(at.sin_port);
  Socket filler = Socket::connect(port);
  auto config = relay_to({port});
  config.clusters[0].transport.connect_timeout = 60ms;
  TestProxy proxy(std::move(config));
  std::vector<Socket> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(Socket::connect(proxy.port()));
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_connect_timeout", 1));
  EXPECT_GE(proxy.stat("cluster.c.upstream_cx_connect_fail"), 1u);
}

TEST(TcpUpstream, NobodyToConnectToEndsTheConnection) {
  auto config = relay_to({1});
  config.clusters[0].static_endpoints->localities[0].endpoints.clear();
  {
    TestProxy proxy(config);
    EXPECT_TRUE(Socket::connect(proxy.port()).closed_by_peer());
    EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_none_healthy", 1));
    expect_nothing_left(proxy);
  }
  config.tcp->clusters = {{"unknown", 1}};
  TestProxy proxy(config);
  EXPECT_TRUE(Socket::connect(proxy.port()).closed_by_peer());
  EXPECT_TRUE(proxy.wait_stat("tcp.t.downstream_cx_no_route", 1));
  expect_nothing_left(proxy);
}

TEST(TcpUpstream, ConnectionsAreSharedOutByWeight) {
  Endpoint one, two;
  auto config = relay_to({one.port});
  config.clusters.push_back(static_cluster("d", {two.port}));
  config.tcp->clusters = {{"c", 1}, {"d", 3}};
  TestProxy proxy(std::move(config));
  constexpr int kClients = 600;
  for (int i = 0; i < kClients; ++i) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.ok());
    ASSERT_TRUE(proxy.wait_stat("tcp.t.downstream_cx_total", static_cast<uint64_t>(i) + 1));
  }
  const uint64_t c = proxy.stat("cluster.c.upstream_cx_total");
  const uint64_t d = proxy.stat("cluster.d.upstream_cx_total");
  EXPECT_EQ(c + d, uint64_t{kClients});
  EXPECT_NEAR(static_cast<double>(c), 150, 64);  // six standard deviations
}

TEST(TcpUpstream, TheBreakerLimitsConnections) {
  Endpoint endpoint;
  auto config = relay_to({endpoint.port});
  config.clusters[0].breakers_default.max_connections = 1;
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  Socket server = endpoint.accept();
  EXPECT_TRUE(Socket::connect(proxy.port()).closed_by_peer());
  EXPECT_TRUE(proxy.wait_stat("cluster.c.upstream_cx_overflow", 1));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_total"), 1u);
  ASSERT_TRUE(client.send("x"));  // the first goes on
  EXPECT_EQ(receive_exactly(server, 1), "x");
  client.close();
  server.close();
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
  Socket third = Socket::connect(proxy.port());
  ASSERT_TRUE(third.send("y"));
  Socket other = endpoint.accept();
  EXPECT_EQ(receive_exactly(other, 1), "y");
}

}  // namespace
}  // namespace sluice
