#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/xds/messages.h"
#include "xds/wire.h"

namespace sluice::test {

// Stops the process: for tests and fuzzers alike.
inline void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "wire.h and protobuf disagree: %s\n", what);
  std::abort();
}

inline void compare_resource(const google::protobuf::Any& any, const xds::WireResource& r) {
  const bool is_wrapper =
      any.type_url() == "type.googleapis.com/envoy.service.discovery.v3.Resource";
  demand(is_wrapper == r.wrapped, "wrapped");
  if (!is_wrapper) {
    demand(any.type_url() == r.type_url, "type_url");
    demand(any.value() == r.bytes, "bytes");
  } else {
    WrappedResource wrapper;
    if (!wrapper.ParseFromString(any.value())) return;  // its inner messages are none of ours
    demand(r.type_url == wrapper.resource().type_url(), "inner type_url");
    demand(r.bytes == wrapper.resource().value(), "inner bytes");
    demand(r.version == wrapper.version(), "inner version");
    demand(r.has_body == wrapper.has_resource(), "has_body");
    demand(wrapper.name().empty() || r.name == wrapper.name(), "wrapper name");
    if (!wrapper.name().empty()) return;
  }
  demand(r.hash == xds::hash_of(r.bytes), "hash");
  // Who can be decoded can be named.
  const std::string bytes(r.bytes);
  switch (r.has_body ? xds::type_of_url(r.type_url) : xds::Type::kCount) {
    case xds::Type::kListener: {
      envoy::config::listener::v3::Listener m;
      if (m.ParseFromString(bytes)) demand(r.readable && r.name == m.name(), "Listener.name");
      break;
    }
    case xds::Type::kCluster: {
      envoy::config::cluster::v3::Cluster m;
      if (m.ParseFromString(bytes)) demand(r.readable && r.name == m.name(), "Cluster.name");
      break;
    }
    case xds::Type::kRoute: {
      envoy::config::route::v3::RouteConfiguration m;
      if (m.ParseFromString(bytes)) demand(r.readable && r.name == m.name(), "Route.name");
      break;
    }
    case xds::Type::kEndpoint: {
      envoy::config::endpoint::v3::ClusterLoadAssignment m;
      if (m.ParseFromString(bytes)) demand(r.readable && r.name == m.cluster_name(), "CLA name");
      break;
    }
    default:
      break;
  }
}

// Splits `bytes` by wire tag and by protobuf's parser, and aborts where the two differ. True if
// they were accepted.
inline bool compare_with_protobuf(std::string_view bytes) {
  DiscoveryResponse real;
  const bool accepted = real.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const auto split = xds::split_response(bytes);
  demand(split.ok() == accepted, accepted ? "refused a good message" : "accepted a bad message");
  if (!accepted) return false;
  demand(split->version == real.version_info(), "version_info");
  demand(split->nonce == real.nonce(), "nonce");
  demand(split->type_url == real.type_url(), "type_url");
  demand(split->control_plane == real.control_plane().identifier(), "control_plane");
  demand(split->resources.size() == static_cast<size_t>(real.resources_size()), "resources");
  for (int i = 0; i < real.resources_size(); ++i) {
    compare_resource(real.resources(i), split->resources[static_cast<size_t>(i)]);
  }
  return true;
}

}  // namespace sluice::test
