#include "http/h1_body.h"

#include <algorithm>
#include <cstring>

#include "http/h1_parser.h"
#include "http/path.h"
#include "http/scan.h"

namespace sluice::http {

namespace {

using base::Reason;

constexpr uint32_t kFirstTrailerBytes = 256;
constexpr uint8_t kMaxSizeDigits = 20;  // leading zeros are legal, endless ones are not

constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }

}  // namespace

void H1BodyDecoder::start(const Framing& framing, base::Arena* arena,
                          const Limits& limits) noexcept {
  *this = H1BodyDecoder();
  limits_ = limits;
  arena_ = arena;
  trailers_.bind(arena);
  switch (framing.kind) {
    case Framing::Kind::kNone:
      break;
    case Framing::Kind::kLength:
      remaining_ = framing.length;
      state_ = remaining_ == 0 ? State::kDone : State::kLength;
      break;
    case Framing::Kind::kChunked:
      state_ = State::kSizeStart;
      break;
    case Framing::Kind::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
}

H1BodyDecoder::Step H1BodyDecoder::next(const char* data, size_t size) noexcept {
  size = std::min<size_t>(size, std::numeric_limits<uint32_t>::max());
  switch (state_) {
    case State::kDone:
      return {.kind = Step::Kind::kEnd};
    case State::kLength:
      return next_length(size);
    case State::kUntilClose:
      body_bytes_ += size;
      return {.kind = size == 0 ? Step::Kind::kMore : Step::Kind::kData,
              .size = static_cast<uint32_t>(size)};
    case State::kBad:
      return bad(Reason::kBadChunk);
    default:
      return next_chunked(data, size);
  }
}

H1BodyDecoder::Step H1BodyDecoder::next_length(size_t size) noexcept {
  if (size == 0) return {};
  const uint64_t run = std::min<uint64_t>(size, remaining_);
  remaining_ -= run;
  body_bytes_ += run;
  if (remaining_ == 0) state_ = State::kDone;
  return {.kind = remaining_ == 0 ? Step::Kind::kEnd : Step::Kind::kData,
          .size = static_cast<uint32_t>(run)};
}

H1BodyDecoder::Step H1BodyDecoder::next_chunked(const char* data, size_t size) noexcept {
  for (size_t at = 0; at < size;) {
    switch (state_) {
      case State::kData: {
        const uint64_t run = std::min<uint64_t>(size - at, remaining_);
        remaining_ -= run;
        body_bytes_ += run;
        if (remaining_ == 0) state_ = State::kDataCr;
        return {.kind = Step::Kind::kData,
                .skip = static_cast<uint32_t>(at),
                .size = static_cast<uint32_t>(run)};
      }
      case State::kDataCr:
        if (data[at++] != '\r') return bad(Reason::kBadChunk);
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (data[at++] != '\n') return bad(Reason::kBadChunk);
        state_ = State::kSizeStart;
        num_digits_ = 0;
        break;
      case State::kSizeLf:
        if (data[at++] != '\n') return bad(Reason::kBadChunk);
        state_ = remaining_ == 0 ? State::kTrailerStart : State::kData;
        break;
      case State::kTrailerStart:
      case State::kTrailer:
      case State::kTrailerLf:
        return next_trailers(data, at, size);
      default:
        if (!size_line_byte(data[at++])) return bad(Reason::kBadChunk);
        break;
    }
  }
  return {.kind = Step::Kind::kMore, .skip = static_cast<uint32_t>(size)};
}

// One byte of `chunk-size [ chunk-ext ] CR`.
bool H1BodyDecoder::size_line_byte(char c) noexcept {
  if (state_ != State::kSizeStart && state_ != State::kSize) return extension_byte(c);
  const int digit = hex_value(c);
  if (digit >= 0) {
    if (++num_digits_ > kMaxSizeDigits || (remaining_ >> 56) != 0) return false;
    remaining_ = remaining_ << 4 | static_cast<uint64_t>(digit);
    state_ = State::kSize;
    return true;
  }
  if (state_ == State::kSizeStart) return false;
  if (c == '\r') {
    state_ = State::kSizeLf;
    return true;
  }
  state_ = State::kSizeSpace;
  return extension_byte(c);
}

// chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
bool H1BodyDecoder::extension_byte(char c) noexcept {
  if (++extension_bytes_ > limits_.extension_bytes + body_bytes_ / 16) return false;
  switch (state_) {
    case State::kExtQuoted:
      if (c == '"') {
        state_ = State::kExtQuotedEnd;
      } else if (c == '\\') {
        state_ = State::kExtEscape;
      }
      return is_class(c, kValueByte);
    case State::kExtEscape:
      state_ = State::kExtQuoted;
      return is_class(c, kValueByte);
    case State::kExtStart:
      if (is_space(c)) return true;
      state_ = State::kExtName;
      return is_class(c, kTokenByte);
    case State::kExtValueStart:
      if (is_space(c)) return true;
      state_ = c == '"' ? State::kExtQuoted : State::kExtToken;
      return c == '"' || is_class(c, kTokenByte);
    default:
      break;
  }
  // Behind a size, a name or a value.
  const bool in_name = state_ == State::kExtName || state_ == State::kExtNameSpace;
  const bool behind_space = state_ == State::kSizeSpace || state_ == State::kExtNameSpace ||
                            state_ == State::kExtValueSpace;
  if (c == ';') {
    state_ = State::kExtStart;
    return true;
  }
  if (is_space(c)) {
    if (!behind_space) state_ = in_name ? State::kExtNameSpace : State::kExtValueSpace;
    return true;
  }
  if (c == '=' && in_name) {
    state_ = State::kExtValueStart;
    return true;
  }
  if (behind_space) return false;
  if (c == '\r') {
    state_ = State::kSizeLf;
    return true;
  }
  return state_ != State::kExtQuotedEnd && is_class(c, kTokenByte);
}

H1BodyDecoder::Step H1BodyDecoder::next_trailers(const char* data, size_t at,
                                                 size_t size) noexcept {
  while (at < size) {
    switch (state_) {
      case State::kTrailerStart:
        state_ = data[at] == '\r' ? State::kTrailerLf : State::kTrailer;
        if (state_ == State::kTrailerLf) ++at;
        break;
      case State::kTrailerLf:
        if (data[at++] != '\n' || !finish_trailers()) return bad(Reason::kBadTrailer);
        state_ = State::kDone;
        return {.kind = Step::Kind::kEnd, .skip = static_cast<uint32_t>(at)};
      default: {
        const void* const lf = std::memchr(data + at, '\n', size - at);
        const size_t stop =
            lf == nullptr ? size : static_cast<size_t>(static_cast<const char*>(lf) - data) + 1;
        if (!keep_trailer(data + at, stop - at)) return bad(Reason::kBadTrailer);
        at = stop;
        if (lf == nullptr) break;
        if (trailer_size_ < 2 || trailer_text_[trailer_size_ - 2] != '\r') {
          return bad(Reason::kBadTrailer);
        }
        state_ = State::kTrailerStart;
        break;
      }
    }
  }
  return {.kind = Step::Kind::kMore, .skip = static_cast<uint32_t>(size)};
}

// Appends to the text of the trailer section, leaving room for its last CRLF.
bool H1BodyDecoder::keep_trailer(const char* data, size_t size) noexcept {
  const size_t total = trailer_size_ + size;
  if (total > limits_.trailer_bytes || arena_ == nullptr) return false;
  if (total + 2 > trailer_capacity_) {
    const size_t wanted = std::max<size_t>(total + 2, 2 * size_t{trailer_capacity_});
    const size_t capacity = std::max<size_t>(wanted, kFirstTrailerBytes);
    char* const text = arena_->chars(capacity);
    if (text == nullptr) return false;
    if (trailer_size_ != 0) std::memcpy(text, trailer_text_, trailer_size_);
    trailer_text_ = text;
    trailer_capacity_ = static_cast<uint32_t>(capacity);
  }
  std::memcpy(trailer_text_ + trailer_size_, data, size);
  trailer_size_ = static_cast<uint32_t>(total);
  return true;
}

bool H1BodyDecoder::finish_trailers() noexcept {
  if (trailer_size_ == 0) return true;
  std::memcpy(trailer_text_ + trailer_size_, "\r\n", 2);
  const HeadResult result =
      parse_field_section(trailer_text_, trailer_size_ + 2, limits_.trailer_fields, &trailers_);
  if (result.status != HeadResult::Status::kDone || result.consumed != trailer_size_ + 2) {
    return false;
  }
  for (Field& field : trailers_) {
    if (field.id == HeaderId::kContentLength || field.id == HeaderId::kTransferEncoding ||
        field.id == HeaderId::kHost) {
      return false;
    }
    if (!may_be_trailer(field)) FieldList::remove(&field);
  }
  return true;
}

bool H1BodyDecoder::on_eof() noexcept {
  if (state_ == State::kUntilClose) state_ = State::kDone;
  return state_ == State::kDone;
}

H1BodyDecoder::Step H1BodyDecoder::bad(Reason reason) noexcept {
  state_ = State::kBad;
  return {.kind = Step::Kind::kBad, .reason = reason};
}

}  // namespace sluice::http
