#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "tools/mock-cp/resource_set.h"

namespace sluice::mock_cp {

// What --generate asks for: "listeners=2,vhosts=10,routes=100,clusters=50,endpoints=3" and, if the
// defaults do not suit, "port=10000,endpoint_port=8081".
//
// Listener i listens on 127.0.0.1:port+i and takes its routes from the route configuration
// "generated" over RDS. That has `vhosts` virtual hosts, "host-0.example" and so on (the last one
// is also "*"), each with `routes` prefixes, "/r0/" and so on and "/" last, which go to the
// clusters in turn. Each cluster has `endpoints` endpoints over EDS: 127.0.0.1, ports from
// endpoint_port on.
struct Generate {
  int listeners = 1;
  int vhosts = 1;
  int routes = 1;
  int clusters = 1;
  int endpoints = 1;
  int port = 10000;
  int endpoint_port = 8081;
};

absl::StatusOr<Generate> parse_generate(std::string_view text);
ResourceSet generate(const Generate& what);

}  // namespace sluice::mock_cp
