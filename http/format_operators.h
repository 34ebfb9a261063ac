#pragma once

#include <cstdint>
#include <string_view>

#include "http/format_ops.h"

namespace sluice::http::format_op {

// The list of %OPERATORS%: what each is called, what may stand in its parentheses, and which
// operation it becomes. FormatParser reads it; docs/access_log.md describes it. Static.

// What an operator's parentheses hold.
enum class Arg : uint8_t {
  kNone,
  kIgnored,  // optional, of no consequence here
  kHeader,
  kTime,
  kCost,
  kDuration,
  kGrpc,
  kQuery,
  kEnvironment,
  kReason,
  kPath,
  kQueryParams,
  kHostname,
  kUnsupported,  // accepted, renders as missing, warned about
};

struct Operator {
  std::string_view name;
  Format::Code code;
  Arg arg = Arg::kNone;
  uint32_t a = 0;
  uint32_t b = 0;
  uint8_t flags = 0;
};

// Null: there is none of that name.
const Operator* find_operator(std::string_view name) noexcept;

}  // namespace sluice::http::format_op
