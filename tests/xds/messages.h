#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace sluice::xds {

// A message by its full name, read from YAML; the test fails where that is wrong.
std::unique_ptr<google::protobuf::Message> message_of_yaml(std::string_view type,
                                                           std::string_view yaml);
// The same, serialised.
std::string bytes_of(std::string_view type, std::string_view yaml);
// As one line of protobuf's text format.
std::string text_of(const google::protobuf::Message& message);
std::unique_ptr<google::protobuf::Message> new_message(std::string_view type);

inline constexpr std::string_view kListener = "envoy.config.listener.v3.Listener";
inline constexpr std::string_view kCluster = "envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kRoutes = "envoy.config.route.v3.RouteConfiguration";
inline constexpr std::string_view kEndpoints = "envoy.config.endpoint.v3.ClusterLoadAssignment";

}  // namespace sluice::xds
