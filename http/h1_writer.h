#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/buffer.h"
#include "http/message.h"

namespace sluice::http {

// HTTP/1 heads and chunks into chains of views. What was received clean leaves as slices of the
// received block (neighbouring lines as one), what was added leaves from the arena; only lines that
// the parser did not prove clean, and lines that we add, are composed, after a second validation
// (RFC 9112 11.1): no CR, LF, NUL or other control character, no bad name leaves through here.
//
// Views of received bytes hold their block; views of the arena do not: the exchange that owns the
// arena must outlive the write. Worker-local, no allocation outside the arena and the pool. A
// function answers false, with nothing appended, when a head cannot be written (invalid line, or
// arena limits): answer with Reason::kInternal or drop the connection.
//
// Call strip_hop_by_hop() first, before proxy fields are added.

// Removes what belongs to one connection only (RFC 9110 7.6.1): Connection and what it nominates
// (but never Host, Content-Length, Transfer-Encoding, X-Forwarded-*, X-Envoy-*, trace context and
// the like, which a client could otherwise make a proxy drop), Keep-Alive, Proxy-Connection, TE
// (but `trailers`), Upgrade unless head.upgrade, HTTP2-Settings. With head.upgrade, Connection
// becomes `upgrade` alone. Transfer-Encoding stays for the writer, which makes it anew.
void strip_hop_by_hop(RequestHead* head) noexcept;
void strip_hop_by_hop(ResponseHead* head) noexcept;

// The request line is the received one if path and method are untouched and the version is 1.1;
// Host is taken from head.authority if that is not the value of the Host field any more; where
// there is none (HTTP/2), it comes first (RFC 9112 3.2).
// Framing fields follow head.framing: kLength keeps or makes Content-Length, kChunked makes
// Transfer-Encoding, kNone removes Transfer-Encoding and gives Content-Length: 0 to methods that
// usually have a body. `block` holds the bytes that the head was parsed from; may be empty.
bool write_request_head(RequestHead* head, const base::BlockRef& block, base::Arena& arena,
                        base::Chain* out) noexcept;

struct ResponseWrite {
  Framing framing;               // as it is sent on; see framing_for()
  uint8_t downstream_minor = 1;  // of the request's version
  bool close = false;            // say `connection: close` (or leave keep-alive out, to 1.0)
  bool to_head = false;          // answers HEAD: length fields describe a body that is not sent
};

// The framing for a body towards a client of HTTP/1.`minor`: as received, but chunked for one that
// lasts until close, and until close for 1.0 clients when the length is unknown (then the caller
// must close: kUntilClose). Bodies that HTTP/2 or a filter made of unknown length: pass
// kUntilClose.
Framing framing_for(const ResponseHead& head, Method request_method, uint8_t minor) noexcept;

// The status line is the received one if both versions are 1.1 and status is untouched
// (head.line empty: composed with head.reason_phrase, or the standard phrase). 1xx heads carry no
// framing or connection fields, but 101 with head.upgrade.
bool write_response_head(ResponseHead* head, const ResponseWrite& how, const base::BlockRef& block,
                         base::Arena& arena, base::Chain* out) noexcept;

// A request or response body in chunks. Size lines are written into small blocks of the pool, each
// held by the views of its lines: it comes back when they are written, so an endless stream needs
// no more memory than what is waiting to be written. One per exchange direction; owns at most one
// block between calls.
class ChunkWriter {
 public:
  // One chunk with all of `data`, if there is any.
  void append_chunk(base::Chain&& data, base::BlockPool& pool, base::Chain* out);
  // The last chunk, the trailers that are not removed, and the empty line. False: a trailer is
  // invalid; nothing was appended.
  bool append_last(const FieldList* trailers, base::Arena& arena, base::Chain* out) noexcept;
  // Gives the block back; between exchanges.
  void release() noexcept { lines_.reset(); }

 private:
  base::BlockRef lines_;
};

}  // namespace sluice::http
