#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"

namespace sluice::http {

// What gRPC says where HTTP says a status, for answers of our own to gRPC requests, and how long a
// client of gRPC is ready to wait. Rules: gRPC's "HTTP to gRPC Status Code Mapping", with Envoy's
// choice where it differs (504 is UNAVAILABLE), and "PROTOCOL-HTTP2.md". Values only; any thread.

// The number as text, as grpc-status has it.
std::string_view grpc_status_of(uint16_t http_status) noexcept;
// grpc-message: bytes other than printable ASCII, and '%', percent-encoded ("PROTOCOL-HTTP2.md"),
// in the arena; the text itself where nothing needs it. Empty: no memory.
std::string_view grpc_message(std::string_view text, base::Arena& arena) noexcept;

// The status of a deadline that was the client's, or stands for it: DEADLINE_EXCEEDED.
inline constexpr std::string_view kGrpcDeadlineExceeded = "4";

// grpc-timeout: one to eight digits and a unit of "HMSmun". Milliseconds, rounded up as Envoy does;
// -1: not such a value.
int64_t grpc_timeout_ms(std::string_view text) noexcept;
// The same as text, in the smallest unit of "mSMH" that fits into eight digits, rounded down.
inline constexpr size_t kGrpcTimeoutSize = 9;
std::string_view write_grpc_timeout(uint64_t ms, char (&out)[kGrpcTimeoutSize]) noexcept;

}  // namespace sluice::http
