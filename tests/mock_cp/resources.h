#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

#include "tools/mock-cp/folder.h"

namespace sluice::mock_cp {

inline constexpr char kCds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr char kLds[] = "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr char kRds[] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
inline constexpr char kEds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr char kVhds[] = "type.googleapis.com/envoy.config.route.v3.VirtualHost";

// The resources of a YAML text; the test fails where it has an error.
inline ResourceSet read(std::string_view text) {
  auto set = read_resources(text, "test.yaml");
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *std::move(set) : ResourceSet();
}

}  // namespace sluice::mock_cp
