#pragma once

#include <cstdint>

namespace sluice::http {

// Limits and windows of a connection; names are Envoy's Http2ProtocolOptions. Defaults are the edge
// guide's where Envoy's own are not safe.
struct H2Options {
  uint32_t hpack_table_size = 4096;
  uint32_t max_concurrent_streams = 100;       // that the peer may open
  uint32_t initial_stream_window = 64 * 1024;  // 65,535 to 2^31 - 1
  uint32_t initial_connection_window = 1024 * 1024;
  bool allow_connect = false;  // RFC 8441; server role
  uint32_t max_outbound_frames = 10'000;
  uint32_t max_outbound_control_frames = 1'000;  // of them PING, SETTINGS and RST_STREAM
  uint32_t max_consecutive_empty_frames = 1;
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  uint32_t max_unknown_frames = 10'000;
  // Bucket for RST_STREAM, received and sent: burst, and refill per second.
  uint32_t max_resets = 1'000;
  uint32_t resets_per_second = 33;
  // Of a head or of trailers: sum of name + value + 32 (cookie crumbs too), and number of fields.
  uint32_t max_head_bytes = 60 * 1024;
  uint16_t max_fields = 100;
  enum class Underscores : uint8_t { kAllow, kReject, kDrop } underscores = Underscores::kAllow;
  // Envoy's override_stream_error_on_invalid_http_message: true resets the stream where Envoy
  // would end the connection. Always true here: one bad stream hurts no other.
  friend bool operator==(const H2Options&, const H2Options&) = default;
};

}  // namespace sluice::http
