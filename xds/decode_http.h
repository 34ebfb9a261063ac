// The decoder of the HTTP connection manager, for decode_listener().
#pragma once

#include "absl/status/status.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;

// `in` was unpacked, and thereby checked, at `at`.
absl::Status decode_http(const Context& context, const Path& at,
                         const hcm::HttpConnectionManager& in, dataplane::HttpValue* out);

// http_filters in order, the router last.
absl::Status decode_http_filters(const Context& context, const Path& at,
                                 const hcm::HttpConnectionManager& in,
                                 std::vector<filters::FilterValue>* out);

}  // namespace sluice::xds
