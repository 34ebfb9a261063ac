#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "filters/values.h"
#include "xds/decode.h"

namespace sluice::xds {

// One resource of ECDS: a filter's configuration.
struct DecodedExtension {
  std::string name;  // of the filter
  std::string type;  // the full name of the message
  filters::FilterConfig config;
};

// Of HTTP filters. As decode.h's; which types a listener takes is the assembler's question.
absl::StatusOr<DecodedExtension> decode_extension(std::string_view bytes,
                                                  const DecodeOptions& options, Warnings* warnings);

}  // namespace sluice::xds
