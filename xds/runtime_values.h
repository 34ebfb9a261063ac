// Runtime values as control planes, files and operators write them: text, numbers, booleans,
// fractions, in Envoy's forms.
//
// A number is a number and, where it is whole, a percentage; {numerator, denominator} is a share;
// true and false are flags; other text says nothing that a key is asked for, but is kept and shown.
// Plain conversions, any thread. Errors: InvalidArgument, `path: problem; remedy`.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/runtime.h"
#include "xds/decode.h"

namespace google::protobuf {
class Struct;
}

namespace sluice::xds {

class Context;
class Path;

struct RuntimeEntry {
  std::string text;  // as written
  base::RuntimeValue value;
};

using RuntimeEntries = std::map<std::string, RuntimeEntry, std::less<>>;  // by key

RuntimeEntry read_runtime_text(std::string_view text);

// Nested objects are keys with dots.
absl::StatusOr<RuntimeEntries> read_runtime_struct(const Context& context, const Path& at,
                                                   const google::protobuf::Struct& in);

// A file per key, a directory per part of its name before a dot; lines that begin with # are left
// out.
absl::StatusOr<RuntimeEntries> read_runtime_directory(const std::string& path);

// One resource of RTDS.
absl::StatusOr<RuntimeEntries> decode_runtime(std::string_view bytes, const DecodeOptions& options,
                                              Warnings* warnings);

}  // namespace sluice::xds
