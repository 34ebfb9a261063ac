// Http2ProtocolOptions of listeners and clusters, for the decoders of both.
#pragma once

#include "absl/status/status.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "upstream/values.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

// Values that are not set keep what *out has: our defaults are the edge guide's.
absl::Status decode_http2_options(const Context& context, const Path& at,
                                  const core::Http2ProtocolOptions& in, upstream::H2Value* out);

}  // namespace sluice::xds
