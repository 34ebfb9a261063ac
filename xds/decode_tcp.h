// The decoder of the TCP relay, for decode_listener().
#pragma once

#include "absl/status/status.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

namespace tcp_proxy = ::envoy::extensions::filters::network::tcp_proxy::v3;

// `in` was unpacked, and thereby checked, at `at`.
absl::Status decode_tcp(const Context& context, const Path& at, const tcp_proxy::TcpProxy& in,
                        dataplane::TcpValue* out);

}  // namespace sluice::xds
