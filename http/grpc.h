#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"

namespace sluice::http {

// What gRPC says where HTTP says a status: for answers of our own to gRPC requests. Rules: gRPC's
// "HTTP to gRPC Status Code Mapping", with Envoy's choice where it differs (504 is UNAVAILABLE).
// Values only; any thread.

// The number as text, as grpc-status has it.
std::string_view grpc_status_of(uint16_t http_status) noexcept;
// grpc-message: bytes other than printable ASCII, and '%', percent-encoded ("PROTOCOL-HTTP2.md"),
// in the arena; the text itself where nothing needs it. Empty: no memory.
std::string_view grpc_message(std::string_view text, base::Arena& arena) noexcept;

}  // namespace sluice::http
