#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/reason.h"
#include "base/stamps.h"
#include "http/message.h"

namespace sluice::http {

enum class Protocol : uint8_t { kNone, kHttp10, kHttp11, kHttp2, kHttp3 };

// "HTTP/1.1"; "-" is the reader's business: empty for kNone.
constexpr std::string_view text_of(Protocol protocol) noexcept {
  switch (protocol) {
    case Protocol::kHttp10:
      return "HTTP/1.0";
    case Protocol::kHttp11:
      return "HTTP/1.1";
    case Protocol::kHttp2:
      return "HTTP/2";
    case Protocol::kHttp3:
      return "HTTP/3";
    case Protocol::kNone:
      break;
  }
  return {};
}

// Whose line it is: numbers as in Envoy's AccessLogType (data.accesslog.v3).
enum class LogType : uint8_t { kTcpConnectionEnd = 3, kDownstreamEnd = 6 };

// Facts is what is known of an exchange: the one thing that header rewriting, local replies,
// filters and the access log read. The exchange fills it as it goes; a null pointer, an empty text
// and a zero stamp mean "not (yet) known".
//
// Plain fields, no ownership: heads and stamps belong to the exchange, names to the pinned tables,
// addresses to connections and hosts, other texts to the arena or to static memory. All live at
// least until the exchange's log line is written. Worker-local. Filling it allocates nothing.
struct Facts {
  // The heads as they are now, after edits (Envoy logs them so, too).
  const RequestHead* request = nullptr;
  const ResponseHead* response = nullptr;
  const FieldList* request_trailers = nullptr;
  const FieldList* response_trailers = nullptr;
  const base::Stamps* stamps = nullptr;

  // From the tables.
  std::string_view route_name;
  std::string_view virtual_host_name;
  std::string_view cluster_name;
  std::string_view filter_chain_name;

  // The client as we trust it (from x-forwarded-for where it is trusted), the peer of the socket,
  // our end; the endpoint, its configured host name if any, our end of the connection to it.
  const base::Address* downstream_remote = nullptr;
  const base::Address* downstream_direct_remote = nullptr;
  const base::Address* downstream_local = nullptr;
  const base::Address* upstream_remote = nullptr;
  const base::Address* upstream_local = nullptr;
  std::string_view upstream_hostname;

  std::string_view request_id;
  std::string_view requested_server_name;  // SNI
  std::string_view local_reply_body;
  std::string_view upstream_transport_failure;  // TLS or connect error in words
  std::string_view connection_termination_details;
  // Replaces what `reason` says; empty: base::text_of(reason).details.
  std::string_view response_code_details;

  base::WallNs start_wall = 0;  // when kReceived was stamped
  uint64_t connection_id = 0;
  uint64_t upstream_connection_id = 0;  // 0: none
  uint64_t stream_id = 0;

  // Body bytes, then heads, then everything on the wire of this exchange.
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t request_head_bytes = 0;
  uint64_t response_head_bytes = 0;
  uint64_t upstream_head_sent = 0;
  uint64_t upstream_head_received = 0;
  uint64_t downstream_wire_received = 0;
  uint64_t downstream_wire_sent = 0;
  uint64_t upstream_wire_received = 0;
  uint64_t upstream_wire_sent = 0;

  uint32_t attempts = 0;
  // More response flags than the reason's own: bit n is base::ResponseFlag(n).
  uint32_t extra_flags = 0;
  uint16_t response_code = 0;  // 0: no response was sent
  base::Reason reason = base::Reason::kNone;
  Protocol protocol = Protocol::kNone;
  Protocol upstream_protocol = Protocol::kNone;

  void add_flag(base::ResponseFlag flag) noexcept {
    extra_flags |= uint32_t{1} << static_cast<unsigned>(flag);
  }
  // All response flags as such a mask; 0: none.
  uint32_t flags() const noexcept {
    const auto own = static_cast<unsigned>(base::text_of(reason).flag);
    return (extra_flags | (uint32_t{1} << own)) & ~uint32_t{1};
  }
  // A TCP relay has no request, every exchange has.
  LogType log_type() const noexcept {
    return request == nullptr ? LogType::kTcpConnectionEnd : LogType::kDownstreamEnd;
  }
  // Details of a response: a TCP relay, which has no request, has none.
  std::string_view details() const noexcept {
    if (request == nullptr && response_code_details.empty()) return {};
    return response_code_details.empty() ? base::text_of(reason).details : response_code_details;
  }
};
static_assert(static_cast<int>(base::ResponseFlag::kCount) <= 32);

}  // namespace sluice::http
