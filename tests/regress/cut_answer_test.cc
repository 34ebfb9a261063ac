// An endpoint sends a part of its answer and closes in one breath. The client gets that part, and
// then a reset, so that it cannot take it for the whole.
//
// Was: the reset went out first where part and end came in the same turn.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "tests/support/test_proxy.h"

namespace sluice::testing {
namespace {

TEST(CutAnswer, WhatCameBeforeTheEndReachesTheClient) {
  ScriptedOrigin origin([](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
    socket.close();
  });
  TestProxy::Config config;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {origin.port()})};
  TestProxy proxy(std::move(config));
  for (int i = 0; i < 100; ++i) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n"));
    ASSERT_TRUE(client.receive_until("half").ends_with("\r\n\r\nhalf")) << "round " << i;
    char more;
    ASSERT_TRUE(client.closed_by_peer() || ::recv(client.fd(), &more, 1, 0) < 0);
  }
}

}  // namespace
}  // namespace sluice::testing
