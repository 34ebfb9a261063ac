#pragma once

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/core/v3/extension.pb.h>
#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/config/route/v3/route_components.pb.h>
#include <envoy/config/route/v3/scoped_route.pb.h>
#include <envoy/service/runtime/v3/rtds.pb.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/text.h"
#include "xds/resources.h"
#include "xds/wire.h"
#include "xds/yaml.h"

namespace sluice::test {

inline std::unique_ptr<google::protobuf::Message> empty_message(xds::Type type) {
  switch (type) {
    case xds::Type::kCluster:
      return std::make_unique<envoy::config::cluster::v3::Cluster>();
    case xds::Type::kEndpoint:
      return std::make_unique<envoy::config::endpoint::v3::ClusterLoadAssignment>();
    case xds::Type::kListener:
      return std::make_unique<envoy::config::listener::v3::Listener>();
    case xds::Type::kScopedRoute:
      return std::make_unique<envoy::config::route::v3::ScopedRouteConfiguration>();
    case xds::Type::kVirtualHost:
      return std::make_unique<envoy::config::route::v3::VirtualHost>();
    case xds::Type::kRuntime:
      return std::make_unique<envoy::service::runtime::v3::Runtime>();
    case xds::Type::kLbEndpoint:
      return std::make_unique<envoy::config::endpoint::v3::LbEndpoint>();
    case xds::Type::kExtensionConfig:
      return std::make_unique<envoy::config::core::v3::TypedExtensionConfig>();
    default:
      return std::make_unique<envoy::config::route::v3::RouteConfiguration>();
  }
}

// A resource as a control plane would send it, from Envoy's YAML. Throws on bad text: a test's
// own mistake.
inline xds::Resource yaml_resource(xds::Type type, std::string_view version,
                                   std::string_view text) {
  auto message = empty_message(type);
  xds::Warnings warnings;
  auto document = xds::YamlDocument::parse(text, "test");
  absl::Status status = document.status();
  if (status.ok()) status = document->to_message({}, message.get(), &warnings);
  if (!status.ok()) throw std::runtime_error(std::string(base::message_of(status)));
  xds::Resource out;
  out.bytes = message->SerializeAsString();
  out.name = *xds::name_of(type, out.bytes);
  out.version = version;
  out.hash = xds::hash_of(out.bytes);
  return out;
}

}  // namespace sluice::test
