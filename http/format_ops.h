#pragma once

#include <cstdint>

#include "http/format.h"

namespace sluice::http {

// The operations of a compiled Format: what FormatParser writes and FormatRenderer reads. `a` and
// `b` are given as (a, b).
enum class Format::Code : uint8_t {
  kLiteral,        // (offset, size) in texts_
  kRequestHeader,  // (index in headers_); flags kNoQuery
  kResponseHeader,
  kTrailer,
  kProtocol,
  kUpstreamProtocol,
  kStartTime,  // (offset, size) of the pattern; size 0: the default
  kEmitTime,   // the same
  kSpan,       // (from, to) stamps; flags: TimeUnit
  kCount,      // (NumberOf)
  kResponseCode,
  kDetails,
  kFlags,             // (0 short, 1 long)
  kText,              // (TextOf)
  kUpstreamHostName,  // (0 with port, 1 without)
  kAddress,           // (AddressOf, AddressPart)
  kStreamId,
  kGrpcStatus,  // (GrpcStyle)
  kReason,      // (0 code, 1 sentence)
  kQueryParam,  // (offset, size) of its name
  kQueryParams,
  kMissing,
  // JSON only.
  kJsonKey,  // (offset, size) of `"key":`, nothing in lists; flags kWhole when one operator is the
             // whole value
  kJsonQuote,
  kJsonOpen,   // flags kList
  kJsonClose,  // the same
  kJsonEnd,
};

namespace format_op {

enum Flag : uint8_t { kNoQuery = 1, kWhole = 2, kList = 4 };
enum TimeUnit : uint8_t { kMs, kUs, kNs };
enum NumberOf : uint32_t {
  kBytesReceived,
  kBytesSent,
  kRequestHeadBytes,
  kResponseHeadBytes,
  kDownstreamWireReceived,
  kDownstreamWireSent,
  kUpstreamWireReceived,
  kUpstreamWireSent,
  kUpstreamHeadReceived,
  kUpstreamHeadSent,
  // Names and values without what is between them, pseudo-headers included; as Envoy counts.
  kRequestFieldBytes,
  kResponseFieldBytes,
  kResponseTrailerBytes,
  kAttempts,
  kConnectionId,
  kUpstreamConnectionId,
};
enum TextOf : uint32_t {
  kRouteName,
  kVirtualHostName,
  kClusterName,
  kFilterChainName,
  kLocalReplyBody,
  kTransportFailure,
  kTerminationDetails,
  kServerName,
  kLogType,
  kDownstreamCloseReason,
  kUpstreamCloseReason,
};
enum AddressOf : uint32_t {
  kDownstreamRemote,
  kDownstreamDirectRemote,
  kDownstreamLocal,
  kUpstreamRemote,
  kUpstreamLocal,
};
enum AddressPart : uint32_t { kFull, kIp, kPort };
enum GrpcStyle : uint32_t { kCamel, kSnake, kNumber };

}  // namespace format_op

// strftime-like patterns of %START_TIME(...)%, in UTC: %Y %m %d %e %H %I %M %S %p %y %j %a %A %b %B
// %h %u %w %T %R %D %F %s %n %t %z %Z %% as in C, %f and %1f to %9f (fraction of the second), and
// absl's %E1S to %E9S, %E*S, %E1f to %E9f, %E*f, %Ez, %E4Y. Returns the offset of what is not
// understood, or npos.
size_t find_bad_time_pattern(std::string_view pattern) noexcept;
void append_time(std::string_view pattern, base::WallNs at, Sink& sink) noexcept;
// "2018-05-12T07:03:04.123Z"; `out` has room for 24.
constexpr size_t kDefaultTimeBytes = 24;
void write_default_time(base::WallNs at, char* out) noexcept;

// "OK", "InvalidArgument" or "INVALID_ARGUMENT"; empty when there is no such code.
std::string_view grpc_status_name(uint32_t code, bool snake) noexcept;

}  // namespace sluice::http
