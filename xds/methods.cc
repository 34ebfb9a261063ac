#include "xds/methods.h"

#include <array>

namespace sluice::xds {
namespace {

struct Paths {
  std::string_view sotw, delta, rest;
};

// By Type; the last one is kCount's.
constexpr std::array<Paths, kNumTypes + 1> kPaths = {{
    {"/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters",
     "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters", "/v3/discovery:clusters"},
    {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints",
     "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints",
     "/v3/discovery:endpoints"},
    {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners",
     "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners",
     "/v3/discovery:listeners"},
    {"/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes",
     "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes", "/v3/discovery:routes"},
    {"/envoy.service.route.v3.ScopedRoutesDiscoveryService/StreamScopedRoutes",
     "/envoy.service.route.v3.ScopedRoutesDiscoveryService/DeltaScopedRoutes",
     "/v3/discovery:scoped-routes"},
    {"", "/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts", ""},
    {"/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs",
     "/envoy.service.extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs",
     "/v3/discovery:extension_configs"},
    {"/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime",
     "/envoy.service.runtime.v3.RuntimeDiscoveryService/DeltaRuntime", "/v3/discovery:runtime"},
    {"", "/envoy.service.endpoint.v3.LocalityEndpointDiscoveryService/DeltaLocalityEndpoints", ""},
    {"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
     "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets", "/v3/discovery:secrets"},
    {},
}};

}  // namespace

std::string_view ads_method(bool delta) noexcept {
  return delta ? "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
               : "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
}

std::string_view method_of(Type type, bool delta) noexcept {
  const Paths& paths = kPaths[static_cast<size_t>(type)];
  return delta ? paths.delta : paths.sotw;
}

std::string_view rest_path_of(Type type) noexcept { return kPaths[static_cast<size_t>(type)].rest; }

}  // namespace sluice::xds
