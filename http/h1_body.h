#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/arena.h"
#include "base/reason.h"
#include "http/message.h"

namespace sluice::http {

// Where are the body bytes in what was received? Pulls the framing of one HTTP/1 body out of ranges
// of received bytes and never touches or keeps the body itself: the caller makes views of the runs
// it is told about. Any split at any byte gives the same runs joined.
//
// Owned by the exchange; reused by start(). Worker-local, no allocation: only trailers, which are
// rare, are copied into the arena, at most Limits::trailer_bytes. State is bounded: size lines and
// extensions are counted, not stored. Strict chunked coding (RFC 9112 7.1): hexadecimal size below
// 2^60, well-formed extensions, CRLF only.
class H1BodyDecoder {
 public:
  struct Limits {
    uint32_t extension_bytes = 16 * 1024;  // all extensions of a body, plus 1/16 of its data
    uint32_t trailer_bytes = 16 * 1024;
    uint16_t trailer_fields = 100;
  };
  struct Step {
    // kData: more may follow. kEnd: the message is over behind skip + size (for a body with a
    // length the last run comes with it). kMore: everything was used, receive more. kBad: see
    // reason.
    enum class Kind : uint8_t { kData, kEnd, kMore, kBad };
    Kind kind = Kind::kMore;
    base::Reason reason = base::Reason::kNone;
    uint32_t skip = 0;  // bytes of framing before the run
    uint32_t size = 0;  // bytes of body behind them
  };

  void start(const Framing& framing, base::Arena* arena) noexcept {
    start(framing, arena, Limits());
  }
  void start(const Framing& framing, base::Arena* arena, const Limits& limits) noexcept;

  // The next run in [data, data + size), which begins where the last step ended (skip + size
  // further). With kNone or length 0 the first call answers kEnd without bytes.
  Step next(const char* data, size_t size) noexcept;

  // The peer has closed. True if the body is complete: it has ended, or it lasts until close.
  bool on_eof() noexcept;

  bool done() const noexcept { return state_ == State::kDone; }
  // Body bytes that are known to be still to come (of the current chunk if chunked); the largest
  // number if only the end of the connection will tell. For sizing receives.
  uint64_t remaining_hint() const noexcept {
    return state_ == State::kUntilClose ? std::numeric_limits<uint64_t>::max() : remaining_;
  }
  uint64_t body_bytes() const noexcept { return body_bytes_; }

  // Valid from kEnd on, in the arena. Hop-by-hop, authentication, content and proxy fields are
  // marked as removed (RFC 9110 6.5.1); Content-Length, Transfer-Encoding and Host were refused.
  FieldList& trailers() noexcept { return trailers_; }
  bool has_trailers() const noexcept { return trailers_.size() != 0; }

 private:
  enum class State : uint8_t {
    kDone,
    kLength,
    kUntilClose,
    kSizeStart,
    kSize,
    kSizeSpace,
    kExtStart,
    kExtName,
    kExtNameSpace,
    kExtValueStart,
    kExtToken,
    kExtQuoted,
    kExtEscape,
    kExtQuotedEnd,
    kExtValueSpace,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerStart,
    kTrailer,
    kTrailerLf,
    kBad,
  };
  Step next_length(size_t size) noexcept;
  Step next_chunked(const char* data, size_t size) noexcept;
  bool size_line_byte(char c) noexcept;
  bool extension_byte(char c) noexcept;
  Step next_trailers(const char* data, size_t at, size_t size) noexcept;
  bool keep_trailer(const char* data, size_t size) noexcept;
  bool finish_trailers() noexcept;
  Step bad(base::Reason reason) noexcept;

  State state_ = State::kDone;
  uint8_t num_digits_ = 0;
  uint64_t remaining_ = 0;
  uint64_t body_bytes_ = 0;
  uint64_t extension_bytes_ = 0;
  Limits limits_;
  char* trailer_text_ = nullptr;
  uint32_t trailer_size_ = 0;
  uint32_t trailer_capacity_ = 0;
  base::Arena* arena_ = nullptr;
  FieldList trailers_;
};

}  // namespace sluice::http
