#pragma once

#include <cstdint>

namespace sluice::base {

// Fault answers "what went wrong on the data path, whose doing was it, and may the request be sent
// again?" It is a value of three bytes: no strings, no allocation, noexcept everywhere. Codes of
// the operating system, Asio, OpenSSL and nghttp2 are mapped to it once, where they enter. `side`
// decides status and response flag; `replay_safe` decides retries (RFC 9110 9.2.2): true only where
// the peer cannot have processed anything of the request.
struct Fault {
  enum class Kind : uint8_t {
    kNone,
    kClosed,       // orderly end of stream
    kReset,        // ECONNRESET, EPIPE, RST
    kRefused,      // ECONNREFUSED
    kUnreachable,  // EHOSTUNREACH, ENETUNREACH
    kTimeout,
    kProtocol,  // the peer broke its protocol
    kOverflow,  // a limit of ours
    kNoMemory,
    kOther,
  };
  enum class Side : uint8_t { kNone, kClient, kBackend, kSelf };

  Kind kind = Kind::kNone;
  Side side = Side::kNone;
  bool replay_safe = false;

  constexpr explicit operator bool() const noexcept { return kind != Kind::kNone; }
};

// Maps errno to a kind; 0 maps to kNone.
Fault::Kind fault_kind_of_errno(int error) noexcept;

}  // namespace sluice::base
