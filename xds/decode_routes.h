// The decoders of routes, for decode.h and for listeners that carry their routes inline.
#pragma once

#include "absl/status/statusor.h"
#include "envoy/config/route/v3/route.pb.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

namespace route = ::envoy::config::route::v3;

// What all routes of one configuration share.
struct RouteLimits {
  uint32_t max_direct_body_bytes = 4096;
};

// The fields of a route configuration beside its virtual hosts; `at` is the configuration.
absl::Status decode_route_config(const Context& context, const Path& at,
                                 const route::RouteConfiguration& in, RouteLimits* limits,
                                 router::RouteConfigValue* out);
absl::Status decode_virtual_host(const Context& context, const Path& at,
                                 const route::VirtualHost& in, const RouteLimits& limits,
                                 router::VirtualHostValue* out);
// Both, for a configuration that is there as a message. Checked by the caller.
absl::StatusOr<router::RouteConfigValue> decode_inline_routes(const Context& context,
                                                              const Path& at,
                                                              const route::RouteConfiguration& in);

absl::Status decode_route(const Context& context, const Path& at, const route::Route& in,
                          const RouteLimits& limits, router::RouteValue* out);
absl::Status decode_match(const Context& context, const Path& at, const route::RouteMatch& in,
                          router::RouteMatch* out);
absl::Status decode_header_match(const Context& context, const Path& at,
                                 const route::HeaderMatcher& in, router::HeaderMatch* out);
absl::Status decode_forward(const Context& context, const Path& at, const route::RouteAction& in,
                            router::ForwardAction* out);
absl::Status decode_retry(const Context& context, const Path& at, const route::RetryPolicy& in,
                          std::optional<router::RetryPolicy>* out);
// typed_per_filter_config, by name. Of filters that we do not have, optional ones are left out with
// a warning.
absl::Status decode_filter_settings(
    const Context& context, const Path& at,
    const google::protobuf::Map<std::string, google::protobuf::Any>& in,
    std::vector<filters::RouteFilterValue>* out);

}  // namespace sluice::xds
