#include <gtest/gtest.h>

#include "tests/support/test_proxy.h"

// LOGICAL_DNS: one host whose address changes. New connections go to the new address; those that
// it has stay, and are used.

namespace sluice::testing {
namespace {

constexpr char kAnswer[] = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
constexpr char kRequest[] = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

upstream::EndpointsValue at_port(uint16_t port, bool one_host) {
  upstream::EndpointsValue out = *static_cluster("c", {port}).static_endpoints;
  out.localities[0].endpoints[0].hostname = "c.test";
  out.one_host = one_host;
  return out;
}

class LogicalHost : public ::testing::Test {
 protected:
  explicit LogicalHost(bool one_host = true) : one_host_(one_host) {
    TestProxy::Config config;
    config.routes = {forward_route("/", "c")};
    config.clusters = {static_cluster("c", {first.port()})};
    config.clusters[0].static_endpoints = at_port(first.port(), one_host);
    proxy = std::make_unique<TestProxy>(std::move(config));
    client = Socket::connect(proxy->port());
  }
  void move_to(uint16_t port) {
    proxy->on_main([&] {
      proxy->server().builder().put_endpoints("c", at_port(port, one_host_));
      proxy->server().publish();
    });
    ASSERT_TRUE(proxy->wait_stat("sluice.worker.tables_adopted", ++moves_ + 1));
  }
  int ask() {
    EXPECT_TRUE(client.send(kRequest));
    return read_message(client, &rest_).status();
  }

  // Keeps its first connection for two answers, any other for one.
  ScriptedOrigin first{[](Socket& s, int nth) {
    for (int i = 0; i < (nth <= 1 ? 2 : 1); ++i) {
      if (s.receive_until("\r\n\r\n").empty() || !s.send(kAnswer)) return;
    }
  }};
  EchoOrigin second{kAnswer};
  std::unique_ptr<TestProxy> proxy;
  Socket client;

 private:
  const bool one_host_;
  uint64_t moves_ = 0;
  std::string rest_;
};

class OtherHost : public LogicalHost {
 protected:
  OtherHost() : LogicalHost(false) {}
};

TEST_F(LogicalHost, ConnectionsStayWhenTheAddressChanges) {
  EXPECT_EQ(ask(), 200);
  move_to(second.port());
  EXPECT_EQ(ask(), 200);
  EXPECT_EQ(first.connections(), 1) << "the pooled connection";
  EXPECT_EQ(second.connections(), 0);
  EXPECT_TRUE(proxy->wait_stat("cluster.c.upstream_cx_destroy", 1)) << "after two answers";
  EXPECT_EQ(ask(), 200);
  EXPECT_EQ(second.connections(), 1) << "a new connection goes to the new address";
  EXPECT_EQ(first.connections(), 1);
}

TEST_F(OtherHost, ConnectionsGoWithTheirAddress) {
  EXPECT_EQ(ask(), 200);
  move_to(second.port());
  EXPECT_EQ(ask(), 200);
  EXPECT_EQ(first.connections(), 1);
  EXPECT_EQ(second.connections(), 1);
}

}  // namespace
}  // namespace sluice::testing
