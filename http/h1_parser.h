#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/reason.h"
#include "http/message.h"

namespace sluice::http {

// HTTP/1 heads out of received bytes, in place and in one pass: request or status line, fields,
// interned names, framing (RFC 9112 6.3), Connection, Upgrade and Expect.
//
// Nothing is copied: names are folded to lower case where they lie and fields are views of the
// buffer, which must therefore outlive the head (hold its block). Only the array of fields, and an
// absolute-form target without a path, take memory from the arena that `out->fields` is bound to.
// Worker-local, no exceptions, no allocation. Reads and writes only inside [data, data + size).
//
// Strict, as a proxy must be that stands in front of parsers it does not know: CRLF only, no
// folding, no space before a colon, no control characters, one Host, one Content-Length, one
// Transfer-Encoding which is `chunked`, never both. A higher minor version than 1.1 is refused.

struct H1Options {
  enum class Underscores : uint8_t { kAllow, kReject, kDrop };
  uint32_t max_head_bytes = 60 * 1024;
  uint32_t max_target_bytes = 32 * 1024;  // longer: 414
  uint16_t max_fields = 100;
  Underscores underscores = Underscores::kAllow;  // in names of request fields
  bool accept_http_10 = false;                    // else 426, as Envoy
  bool allow_absolute_url = true;
  bool allow_chunked_length = false;  // Content-Length beside chunked: dropped, connection closes
};

struct HeadResult {
  enum class Status : uint8_t { kDone, kMore, kBad };
  Status status = Status::kMore;
  // kBad: what to answer with. Of a response always kUpstreamProtocolError or
  // kUpstreamHeadTooLarge.
  base::Reason reason = base::Reason::kNone;
  base::Reason detail = base::Reason::kNone;  // kBad: the rule that was broken
  uint32_t consumed = 0;                      // kDone: bytes of the head with its empty line
};

// `scanned` is the `size` of the earlier call for the same head that answered kMore, 0 at first:
// then only the new bytes are looked at for the end of the head, so that a sender of single bytes
// costs linear time. `data` may have moved in between (a head that outgrew its block): views of the
// earlier call are void. `out` may be reused between these calls; it is reset.
HeadResult parse_request_head(char* data, size_t size, size_t scanned, const H1Options& options,
                              RequestHead* out) noexcept;

// Decides the framing for an answer to `request_method`. Interim (1xx) heads are heads like others:
// the caller bounds how many it takes. `upgrade` is set for a 101 that names a protocol; whether
// one was asked for is the caller's check. A 2xx to CONNECT has no framing.
HeadResult parse_response_head(char* data, size_t size, size_t scanned, const H1Options& options,
                               Method request_method, ResponseHead* out) noexcept;

// Field lines up to and with the empty line, as for trailers. `*reason` is set when kBad.
HeadResult parse_field_section(char* data, size_t size, uint16_t max_fields,
                               FieldList* out) noexcept;

// RFC 9110 7.2: host with optional port, without userinfo; IPv6 in brackets. Not empty.
bool is_valid_authority(std::string_view authority) noexcept;
// The same where memory may be read from `begin` <= authority.data() on.
bool is_authority(std::string_view authority, const char* begin) noexcept;

// The comma-separated members of a list field, trimmed: calls fn(member) for each that is not
// empty.
template <typename Fn>
void for_each_member(std::string_view list, Fn&& fn) {
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    const char* stop = at;
    while (stop < end && *stop != ',') ++stop;
    const char* last = stop;
    while (at < last && (*at == ' ' || *at == '\t')) ++at;
    while (last > at && (last[-1] == ' ' || last[-1] == '\t')) --last;
    if (at < last) fn(std::string_view(at, static_cast<size_t>(last - at)));
    at = stop + 1;
  }
}

// Compares with a text in lower case.
bool equals_folded(std::string_view text, std::string_view lower) noexcept;

}  // namespace sluice::http
