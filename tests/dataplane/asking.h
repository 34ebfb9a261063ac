#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/support/test_proxy.h"

// One cluster behind a route for everything, and one request on a connection of its own: what most
// tests of the exchange begin with.
namespace sluice::testing {

inline constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

inline TestProxy::Config one_cluster(uint16_t port) {
  TestProxy::Config config;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {port})};
  return config;
}

// Sends `request` on a new connection and reads one answer.
inline Message ask(uint16_t port, std::string_view request, bool is_head = false) {
  Socket client = Socket::connect(port);
  EXPECT_TRUE(client.send(request));
  std::string rest;
  return read_message(client, &rest, is_head);
}

}  // namespace sluice::testing
