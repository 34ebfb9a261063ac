#include "xds/methods.h"

namespace sluice::xds {

std::string_view ads_method(bool delta) noexcept {
  return delta ? "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
               : "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
}

std::string_view method_of(Type type, bool delta) noexcept {
  switch (type) {
    case Type::kCluster:
      return delta ? "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
                   : "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters";
    case Type::kEndpoint:
      return delta ? "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"
                   : "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints";
    case Type::kListener:
      return delta ? "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"
                   : "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners";
    case Type::kRoute:
      return delta ? "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes"
                   : "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes";
    case Type::kCount:
      break;
  }
  return "";
}

}  // namespace sluice::xds
