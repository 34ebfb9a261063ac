#include "tools/mock-cp/generate.h"

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/extensions/filters/http/router/v3/router.pb.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "base/text.h"

namespace sluice::mock_cp {
namespace {

namespace core = envoy::config::core::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;

constexpr std::string_view kOrigin = "generated";

void set_address(core::Address& address, int port) {
  auto& socket = *address.mutable_socket_address();
  socket.set_address("127.0.0.1");
  socket.set_port_value(static_cast<uint32_t>(port));
}

void set_ads(core::ConfigSource& source) {
  source.mutable_ads();
  source.set_resource_api_version(core::V3);
}

envoy::config::listener::v3::Listener listener(int index, int port) {
  hcm::HttpConnectionManager manager;
  manager.set_stat_prefix("generated");
  manager.mutable_rds()->set_route_config_name("generated");
  set_ads(*manager.mutable_rds()->mutable_config_source());
  auto& router = *manager.add_http_filters();
  router.set_name("envoy.filters.http.router");
  router.mutable_typed_config()->PackFrom(envoy::extensions::filters::http::router::v3::Router());

  envoy::config::listener::v3::Listener out;
  out.set_name(base::cat("generated-", index));
  set_address(*out.mutable_address(), port);
  auto& filter = *out.add_filter_chains()->add_filters();
  filter.set_name("envoy.filters.network.http_connection_manager");
  filter.mutable_typed_config()->PackFrom(manager);
  return out;
}

envoy::config::route::v3::RouteConfiguration routes(const Generate& what) {
  envoy::config::route::v3::RouteConfiguration out;
  out.set_name("generated");
  int cluster = 0;
  for (int v = 0; v < what.vhosts; ++v) {
    auto& host = *out.add_virtual_hosts();
    host.set_name(base::cat("host-", v));
    host.add_domains(base::cat("host-", v, ".example"));
    if (v == what.vhosts - 1) host.add_domains("*");
    for (int r = 0; r < what.routes; ++r) {
      auto& route = *host.add_routes();
      const bool last = r == what.routes - 1;
      route.mutable_match()->set_prefix(last ? std::string("/") : base::cat("/r", r, "/"));
      route.mutable_route()->set_cluster(
          base::cat("cluster-", cluster++ % std::max(what.clusters, 1)));
    }
  }
  return out;
}

envoy::config::cluster::v3::Cluster cluster(int index) {
  envoy::config::cluster::v3::Cluster out;
  out.set_name(base::cat("cluster-", index));
  out.set_type(envoy::config::cluster::v3::Cluster::EDS);
  out.mutable_connect_timeout()->set_seconds(1);
  set_ads(*out.mutable_eds_cluster_config()->mutable_eds_config());
  return out;
}

envoy::config::endpoint::v3::ClusterLoadAssignment endpoints(int index, const Generate& what) {
  envoy::config::endpoint::v3::ClusterLoadAssignment out;
  out.set_cluster_name(base::cat("cluster-", index));
  auto& locality = *out.add_endpoints();
  for (int e = 0; e < what.endpoints; ++e) {
    set_address(*locality.add_lb_endpoints()->mutable_endpoint()->mutable_address(),
                what.endpoint_port + e);
  }
  return out;
}

int* field_of(Generate& what, std::string_view name) {
  if (name == "listeners") return &what.listeners;
  if (name == "vhosts") return &what.vhosts;
  if (name == "routes") return &what.routes;
  if (name == "clusters") return &what.clusters;
  if (name == "endpoints") return &what.endpoints;
  if (name == "port") return &what.port;
  if (name == "endpoint_port") return &what.endpoint_port;
  return nullptr;
}

}  // namespace

absl::StatusOr<Generate> parse_generate(std::string_view text) {
  Generate what;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const size_t equals = std::min(item.find('='), item.size());
    int* field = field_of(what, item.substr(0, equals));
    const char* end = item.data() + item.size();
    int number = -1;
    const auto parsed = std::from_chars(std::min(item.data() + equals + 1, end), end, number);
    if (!field || parsed.ptr != end || number < 0 || number > 10'000'000) {
      return base::config_error(
          "--generate: expected listeners=N,vhosts=N,routes=N,clusters=N,endpoints=N: ", item);
    }
    *field = number;
  }
  if (what.port + what.listeners > 65536 || what.endpoint_port + what.endpoints > 65536) {
    return base::config_error("--generate: ports above 65535");
  }
  return what;
}

ResourceSet generate(const Generate& what) {
  ResourceSet out;
  const auto add = [&](const google::protobuf::Message& m) { out.add(m, kOrigin).IgnoreError(); };
  for (int i = 0; i < what.listeners; ++i) add(listener(i, what.port + i));
  if (what.vhosts > 0) add(routes(what));
  for (int i = 0; i < what.clusters; ++i) {
    add(cluster(i));
    add(endpoints(i, what));
  }
  return out;
}

}  // namespace sluice::mock_cp
