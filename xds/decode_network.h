#pragma once

#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/values.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "google/protobuf/any.pb.h"
#include "xds/decode_context.h"

namespace sluice::xds {

// A network filter's configuration: the HTTP connection manager's, or where `tcp` is set the TCP
// relay's, and `http` is not read. Other network filters are refused by name.
struct NetworkFilter {
  dataplane::HttpValue http;
  std::optional<dataplane::TcpValue> tcp;
};

// By the full name of the message.
bool is_network_filter(std::string_view type);

// `name` is what the listener calls it, for errors. `at` is the Any.
absl::StatusOr<NetworkFilter> decode_network_config(const Context& context, const Path& at,
                                                    const google::protobuf::Any& any,
                                                    std::string_view name);

// One filter of a chain, whose configuration is there or comes by itself (rule 136).
absl::Status decode_network_filter(const Context& context, const Path& at,
                                   const ::envoy::config::listener::v3::Filter& in,
                                   dataplane::ListenerValue* out);

}  // namespace sluice::xds
