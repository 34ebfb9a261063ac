#pragma once

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/core/v3/extension.pb.h>
#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/config/route/v3/scoped_route.pb.h>
#include <envoy/extensions/transport_sockets/tls/v3/secret.pb.h>
#include <envoy/service/discovery/v3/discovery.pb.h>
#include <envoy/service/runtime/v3/rtds.pb.h>

#include <string>
#include <string_view>
#include <vector>

#include "xds/resources.h"

namespace sluice::test {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using WrappedResource = envoy::service::discovery::v3::Resource;

// A resource as a test says it: its name, and something that makes its bytes differ.
inline google::protobuf::Any resource(xds::Type type, std::string_view name,
                                      std::string_view content = "") {
  google::protobuf::Any any;
  switch (type) {
    case xds::Type::kCluster: {
      envoy::config::cluster::v3::Cluster m;
      m.set_name(std::string(name));
      m.set_alt_stat_name(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kEndpoint: {
      envoy::config::endpoint::v3::ClusterLoadAssignment m;
      m.set_cluster_name(std::string(name));
      if (!content.empty()) m.add_endpoints()->mutable_locality()->set_zone(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kListener: {
      envoy::config::listener::v3::Listener m;
      m.set_name(std::string(name));
      m.set_stat_prefix(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kRoute: {
      envoy::config::route::v3::RouteConfiguration m;
      m.set_name(std::string(name));
      if (!content.empty()) m.add_internal_only_headers(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kScopedRoute: {
      envoy::config::route::v3::ScopedRouteConfiguration m;
      m.set_name(std::string(name));
      m.set_route_configuration_name(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kVirtualHost: {
      envoy::config::route::v3::VirtualHost m;
      m.set_name(std::string(name));
      m.add_domains(content.empty() ? "a.test" : std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kExtensionConfig: {
      envoy::config::core::v3::TypedExtensionConfig m;
      m.set_name(std::string(name));
      m.mutable_typed_config()->set_type_url(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kRuntime: {
      envoy::service::runtime::v3::Runtime m;
      m.set_name(std::string(name));
      (*m.mutable_layer()->mutable_fields())["k"].set_string_value(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kLbEndpoint: {
      envoy::config::endpoint::v3::LbEndpoint m;
      m.set_endpoint_name(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kSecret: {
      envoy::extensions::transport_sockets::tls::v3::Secret m;
      m.set_name(std::string(name));
      m.mutable_generic_secret()->mutable_secret()->set_inline_string(std::string(content));
      any.PackFrom(m);
      break;
    }
    case xds::Type::kCount:
      break;
  }
  return any;
}

inline google::protobuf::Any wrapped(std::string_view name, const google::protobuf::Any* body,
                                     int64_t ttl_ms = 0) {
  WrappedResource m;
  m.set_name(std::string(name));
  if (body) *m.mutable_resource() = *body;
  if (ttl_ms > 0) {
    m.mutable_ttl()->set_seconds(ttl_ms / 1000);
    m.mutable_ttl()->set_nanos(static_cast<int32_t>(ttl_ms % 1000) * 1'000'000);
  }
  google::protobuf::Any any;
  any.PackFrom(m);
  return any;
}

inline DiscoveryResponse response(xds::Type type, std::string_view version, std::string_view nonce,
                                  const std::vector<google::protobuf::Any>& resources) {
  DiscoveryResponse m;
  m.set_version_info(std::string(version));
  m.set_nonce(std::string(nonce));
  m.set_type_url(std::string(xds::type_url_of(type)));
  for (const auto& any : resources) *m.add_resources() = any;
  return m;
}

// A resource as an incremental response carries it. Without `body`: a heartbeat.
inline WrappedResource delta_resource(std::string_view name, std::string_view version,
                                      const google::protobuf::Any* body, int64_t ttl_ms = 0) {
  WrappedResource m;
  m.ParseFromString(wrapped(name, body, ttl_ms).value());
  m.set_version(std::string(version));
  return m;
}
inline WrappedResource delta_resource(xds::Type type, std::string_view name,
                                      std::string_view version) {
  const google::protobuf::Any body = resource(type, name, version);
  return delta_resource(name, version, &body);
}

inline DeltaDiscoveryResponse delta_response(xds::Type type, std::string_view nonce,
                                             const std::vector<WrappedResource>& resources,
                                             const std::vector<std::string>& removed = {}) {
  DeltaDiscoveryResponse m;
  m.set_system_version_info(std::string("s-") + std::string(nonce));
  m.set_nonce(std::string(nonce));
  m.set_type_url(std::string(xds::type_url_of(type)));
  for (const auto& r : resources) *m.add_resources() = r;
  for (const auto& name : removed) m.add_removed_resources(name);
  return m;
}

inline std::vector<std::string> names_of(const DiscoveryRequest& request) {
  return {request.resource_names().begin(), request.resource_names().end()};
}

}  // namespace sluice::test
