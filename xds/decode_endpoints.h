// The decoder of endpoints, for decode.h and for clusters that carry theirs.
#pragma once

#include "absl/status/statusor.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "upstream/values.h"
#include "xds/decode_leds.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

namespace endpoint = ::envoy::config::endpoint::v3;

// Checked by the caller. With `leds` localities may refer to collections (decode_leds.h), which are
// appended there. With `names` an endpoint may have a name in place of its IP address: its
// address stays empty and its name is appended there.
absl::StatusOr<upstream::EndpointsValue> decode_load_assignment(
    const Context& context, const Path& at, const endpoint::ClusterLoadAssignment& in,
    std::vector<upstream::DnsValue::Name>* names = nullptr,
    std::vector<LedsLocality>* leds = nullptr);

}  // namespace sluice::xds
