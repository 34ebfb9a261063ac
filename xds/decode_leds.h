// The decoders of endpoints that come one by one (LEDS, rule 140): of a ClusterLoadAssignment that
// refers to collections of them, and of one endpoint. Errors and threads as decode.h says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "upstream/values.h"
#include "xds/decode.h"
#include "xds/resources.h"

namespace sluice::xds {

// A locality of an EndpointsValue whose endpoints are those of a collection.
struct LedsLocality {
  size_t locality = 0;
  ResourceKey collection;
  int64_t fetch_timeout_ns = 0;  // 0: wait for ever
};

struct DecodedEndpoint {
  std::string name;  // the resource's
  upstream::EndpointValue value;
};

absl::StatusOr<upstream::EndpointsValue> decode_eds(std::string_view bytes,
                                                    std::string_view version,
                                                    const DecodeOptions& options,
                                                    Warnings* warnings,
                                                    std::vector<LedsLocality>* leds);

absl::StatusOr<DecodedEndpoint> decode_lb_endpoint(std::string_view bytes, std::string_view name,
                                                   const DecodeOptions& options,
                                                   Warnings* warnings);

}  // namespace sluice::xds
