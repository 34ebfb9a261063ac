#pragma once

// What the tests of decode share: a resource written in YAML becomes bytes, the bytes a value.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "tests/xds/messages.h"
#include "xds/decode.h"

namespace sluice::xds {

inline constexpr std::string_view kManager =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
    "HttpConnectionManager";
inline constexpr std::string_view kRouter =
    R"({name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}})";

// A listener whose connection manager has these fields beside its filters.
inline std::string listener_with(std::string_view manager, std::string_view listener = {},
                                 std::string_view filters = {}) {
  return base::cat("{name: in, address: {socket_address: {address: 127.0.0.1, port_value: 80}}",
                   listener,
                   ", filter_chains: [{filters: [{name: hcm, typed_config: {\"@type\": ", kManager,
                   ", stat_prefix: s", manager, ", http_filters: [", filters, kRouter, "]}}]}]}");
}
inline constexpr std::string_view kRds =
    ", rds: {route_config_name: r, config_source: {ads: {}, initial_fetch_timeout: 0s}}";

struct Warned {
  std::vector<std::string> texts;
};

inline absl::StatusOr<dataplane::ListenerValue> listener_of(std::string_view yaml,
                                                            Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_listener(bytes_of(kListener, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
inline absl::StatusOr<upstream::ClusterValue> cluster_of(std::string_view yaml,
                                                         Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_cluster(bytes_of(kCluster, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
inline absl::StatusOr<router::RouteConfigValue> routes_of(std::string_view yaml,
                                                          Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_routes(bytes_of(kRoutes, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
inline absl::StatusOr<upstream::EndpointsValue> endpoints_of(std::string_view yaml,
                                                             Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_endpoints(bytes_of(kEndpoints, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
template <typename T>
inline std::string message_of(const absl::StatusOr<T>& result) {
  return std::string(base::message_of(result.status()));
}

inline dataplane::HttpValue http_of(std::string_view manager) {
  auto listener = listener_of(listener_with(base::cat(kRds, manager)));
  EXPECT_TRUE(listener.ok()) << listener.status();
  return listener.ok() ? listener->http : dataplane::HttpValue{};
}

// One route of the only virtual host.
inline router::RouteValue route_of(std::string_view route) {
  auto routes = routes_of(
      base::cat("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [", route, "]}]}"));
  EXPECT_TRUE(routes.ok()) << routes.status();
  if (routes.ok()) return routes->virtual_hosts[0]->routes[0];
  router::RouteValue none;  // with room for what tests look at
  none.forward.weighted.resize(2);
  none.match.headers.resize(6);
  none.request_headers.add.resize(1);
  none.response_headers.add.resize(1);
  return none;
}
inline std::string route_refused(std::string_view route) {
  return message_of(routes_of(
      base::cat("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [", route, "]}]}")));
}

}  // namespace sluice::xds
