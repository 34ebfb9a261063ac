#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "filters/values.h"
#include "xds/decode.h"
#include "xds/decode_context.h"
#include "xds/decode_network.h"

namespace sluice::xds {

// An HTTP filter's, or a network filter's.
using ExtensionConfig = std::variant<filters::FilterConfig, std::shared_ptr<const NetworkFilter>>;

// One resource of ECDS: a filter's configuration.
struct DecodedExtension {
  std::string name;  // of the filter
  std::string type;  // the full name of the message
  ExtensionConfig config;
};

// As decode.h's; which types a listener takes is the assembler's question.
absl::StatusOr<DecodedExtension> decode_extension(std::string_view bytes,
                                                  const DecodeOptions& options, Warnings* warnings);

// Where a filter's configuration comes from; its types and default differ by kind of filter.
absl::Status decode_discovery_source(const Context& context, const Path& at,
                                     const ::envoy::config::core::v3::ExtensionConfigSource& in,
                                     filters::FilterDiscovery* out);

}  // namespace sluice::xds
