#include "xds/resources.h"

namespace sluice::xds {

std::string_view type_url_of(Type type) noexcept {
  switch (type) {
    case Type::kCluster:
      return "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    case Type::kEndpoint:
      return "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
    case Type::kListener:
      return "type.googleapis.com/envoy.config.listener.v3.Listener";
    case Type::kRoute:
      return "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
    case Type::kCount:
      break;
  }
  return "";
}

std::string_view short_name_of(Type type) noexcept {
  switch (type) {
    case Type::kCluster:
      return "CDS";
    case Type::kEndpoint:
      return "EDS";
    case Type::kListener:
      return "LDS";
    case Type::kRoute:
      return "RDS";
    case Type::kCount:
      break;
  }
  return "?";
}

}  // namespace sluice::xds
