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

// What `decode` makes of a resource of the type.
template <typename Decode>
auto decoded(std::string_view type, std::string_view yaml, Warned* warned, Decode decode) {
  Warnings warnings;
  auto out = decode(bytes_of(type, yaml), &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
inline auto listener_of(std::string_view yaml, Warned* warned = nullptr) {
  return decoded(kListener, yaml, warned,
                 [](const auto& bytes, Warnings* w) { return decode_listener(bytes, "7", {}, w); });
}
inline auto cluster_of(std::string_view yaml, Warned* warned = nullptr) {
  return decoded(kCluster, yaml, warned,
                 [](const auto& bytes, Warnings* w) { return decode_cluster(bytes, "7", {}, w); });
}
inline auto routes_of(std::string_view yaml, Warned* warned = nullptr) {
  return decoded(kRoutes, yaml, warned,
                 [](const auto& bytes, Warnings* w) { return decode_routes(bytes, "7", {}, w); });
}
inline auto endpoints_of(std::string_view yaml, Warned* warned = nullptr) {
  return decoded(kEndpoints, yaml, warned, [](const auto& bytes, Warnings* w) {
    return decode_endpoints(bytes, "7", {}, w);
  });
}
template <typename T>
std::string message_of(const absl::StatusOr<T>& result) {
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
