#pragma once

#include <cstdint>

namespace sluice::http {

// H2Frame is the 9 bytes in front of every HTTP/2 frame (RFC 9113 4.1), read. A plain value.
struct H2Frame {
  static constexpr uint32_t kHeaderBytes = 9;
  static constexpr uint32_t kMaxPayload = 16 * 1024;  // what we accept: the protocol's default

  enum class Type : uint8_t {
    kData = 0,
    kHeaders = 1,
    kPriority = 2,
    kReset = 3,
    kSettings = 4,
    kPushPromise = 5,
    kPing = 6,
    kGoaway = 7,
    kWindowUpdate = 8,
    kContinuation = 9,
    kPriorityUpdate = 16,
  };
  // Flags; kAck is END_STREAM's bit, for SETTINGS and PING.
  static constexpr uint8_t kEndStream = 1;
  static constexpr uint8_t kAck = 1;
  static constexpr uint8_t kEndHeaders = 4;
  static constexpr uint8_t kPadded = 8;

  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  int32_t stream_id = 0;

  bool is(Type t) const noexcept { return type == static_cast<uint8_t>(t); }
  bool has(uint8_t flag) const noexcept { return (flags & flag) != 0; }

  static H2Frame read(const uint8_t* at) noexcept {
    H2Frame f;
    f.length = uint32_t{at[0]} << 16 | uint32_t{at[1]} << 8 | at[2];
    f.type = at[3];
    f.flags = at[4];
    f.stream_id = static_cast<int32_t>(read32(at + 5));
    return f;
  }
  void write(uint8_t* at) const noexcept {
    at[0] = static_cast<uint8_t>(length >> 16);
    at[1] = static_cast<uint8_t>(length >> 8);
    at[2] = static_cast<uint8_t>(length);
    at[3] = type;
    at[4] = flags;
    write32(at + 5, static_cast<uint32_t>(stream_id));
  }
  // 31 bits; the one in front is reserved.
  static uint32_t read32(const uint8_t* at) noexcept {
    return (uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3]) &
           0x7fffffff;
  }
  static void write32(uint8_t* at, uint32_t n) noexcept {
    at[0] = static_cast<uint8_t>(n >> 24);
    at[1] = static_cast<uint8_t>(n >> 16);
    at[2] = static_cast<uint8_t>(n >> 8);
    at[3] = static_cast<uint8_t>(n);
  }
};

}  // namespace sluice::http
