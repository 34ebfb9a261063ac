// The decoders of scoped routes (xds.md rule 133): what a listener says of them, and one scope.
#pragma once

#include "absl/status/statusor.h"
#include "dataplane/values.h"
#include "envoy/config/route/v3/scoped_route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/decode_context.h"

namespace sluice::xds {

absl::Status decode_scoped_routes(
    const Context& context, const Path& at,
    const ::envoy::extensions::filters::network::http_connection_manager::v3::ScopedRoutes& in,
    dataplane::ScopedRoutesValue* out);

absl::Status decode_scope(const Context& context, const Path& at,
                          const ::envoy::config::route::v3::ScopedRouteConfiguration& in,
                          router::ScopeValue* out);

}  // namespace sluice::xds
