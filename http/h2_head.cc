// Received heads: what nghttp2 decoded becomes the fields of a RequestHead or ResponseHead, held
// and not copied; then what RFC 9113 8.3 asks for and nghttp2 does not check.

#include <nghttp2/nghttp2.h>

#include "http/copy_text.h"
#include "http/h1_parser.h"
#include "http/h2_codec.h"
#include "http/header_names.h"
#include "http/scan.h"

namespace sluice::http {

// References to decoded buffers, in the arena of their stream.
struct H2Held::Chunk {
  static constexpr uint32_t kMax = 30;
  Chunk* next;
  uint32_t size;
  nghttp2_rcbuf* bufs[kMax];
};

namespace {

constexpr uint32_t kFirstFields = 16;
constexpr uint8_t kMaxInterim = 16;

constexpr uint64_t bit(HeaderId id) noexcept { return uint64_t{1} << static_cast<unsigned>(id); }
// Fields that say something to the codec itself.
constexpr uint64_t kSpecial = bit(HeaderId::kHost) | bit(HeaderId::kContentLength) |
                              bit(HeaderId::kExpect) | bit(HeaderId::kTe) | bit(HeaderId::kCookie) |
                              bit(HeaderId::kContentType);

constexpr bool is_special(HeaderId id) noexcept {
  return static_cast<unsigned>(id) < 64 && (kSpecial & bit(id)) != 0;
}

std::string_view text_of(nghttp2_rcbuf* decoded) noexcept {
  const nghttp2_vec v = nghttp2_rcbuf_get_buf(decoded);
  return {reinterpret_cast<const char*>(v.base), v.len};
}

bool same_folded(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (fold(a[i]) != fold(b[i])) return false;
  }
  return true;
}

bool is_target(std::string_view text) noexcept {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  return Scan::target(begin, {begin, end}) == end;
}

}  // namespace

bool H2Stream::hold(nghttp2_rcbuf* decoded) noexcept {
  if (nghttp2_rcbuf_is_static(decoded) != 0) return true;
  using Chunk = H2Held::Chunk;
  Chunk*& first = held_->first_;
  if (first == nullptr || first->size == Chunk::kMax) {
    Chunk* const more = arena_->array<Chunk>(1);
    if (more == nullptr) return false;
    more->next = first;
    more->size = 0;
    first = more;
  }
  nghttp2_rcbuf_incref(decoded);
  first->bufs[first->size++] = decoded;
  return true;
}

void H2Held::release() noexcept {
  for (const Chunk* chunk = first_; chunk != nullptr; chunk = chunk->next) {
    for (uint32_t i = 0; i < chunk->size; ++i) nghttp2_rcbuf_decref(chunk->bufs[i]);
  }
  first_ = nullptr;
}

void H2Codec::begin_block(H2Stream* stream) noexcept {
  receiving_ = stream;
  block_ = Block();
  if (stream == nullptr) {
    cells_.headers_cb_no_stream.add();
  } else if (stream->head_done_) {
    stream->trailers_in_.bind(stream->arena_);
  } else if (role_ == Role::kServer) {
    stream->request_->fields.reserve(kFirstFields);
  } else {
    const FieldList fields = stream->response_->fields;
    *stream->response_ = ResponseHead();
    stream->response_->fields = fields;
    stream->response_->fields.clear();
    stream->response_->fields.reserve(kFirstFields);
  }
}

// Ends the stream for what its peer sent; it is closed when the reset was serialised.
void H2Codec::reject(H2Stream* stream, H2Error code) noexcept {
  block_.refused = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_, static_cast<uint32_t>(code));
}

// More or larger fields than allowed. Of a request: decoding goes on, for the sake of HPACK and of
// an answer, but nothing is kept any more. Of others: the stream ends.
bool H2Codec::overflow(H2Stream* stream) noexcept {
  if (!stream->too_large_) cells_.header_overflow.add();
  stream->too_large_ = true;
  if (role_ == Role::kServer && !stream->head_done_) return true;
  reject(stream, H2Error::kEnhanceYourCalm);
  return false;
}

bool H2Codec::take_field(H2Stream* stream, nghttp2_rcbuf* name_buf,
                         nghttp2_rcbuf* value_buf) noexcept {
  const std::string_view name = text_of(name_buf);
  const std::string_view value = text_of(value_buf);
  block_.bytes += name.size() + value.size() + 32;
  ++block_.num_fields;
  stream->head_bytes_in_ += name.size() + value.size();
  if (block_.bytes > options_.max_head_bytes || block_.num_fields > options_.max_fields ||
      stream->too_large_) [[unlikely]] {
    return overflow(stream);
  }
  if (!stream->hold(name_buf) || !stream->hold(value_buf)) [[unlikely]] {
    return overflow(stream);
  }
  if (name.front() == ':') return take_pseudo(stream, name, value);
  return push_field(stream, name, value);
}

bool H2Codec::take_pseudo(H2Stream* stream, std::string_view name,
                          std::string_view value) noexcept {
  if (role_ == Role::kClient) {  // nghttp2 lets only `:status` pass, of three digits
    unsigned status = 0;
    for (const char c : value) status = status * 10 + static_cast<unsigned>(c - '0');
    stream->response_->status = static_cast<uint16_t>(status);
    return true;
  }
  RequestHead& head = *stream->request_;
  switch (name.size()) {
    case 5:
      head.path = value;
      break;
    case 7:
      if (name == ":method") {
        head.method_text = value;
        head.method = method_of(value);
      } else {
        head.scheme = value;
      }
      break;
    case 9:
      head.protocol = value;
      break;
    default:
      head.authority = value;
      break;
  }
  return true;
}

bool H2Codec::push_field(H2Stream* stream, std::string_view name, std::string_view value) noexcept {
  const bool is_head = !stream->head_done_;
  const bool is_request = is_head && role_ == Role::kServer;
  FieldList& fields = !is_head     ? stream->trailers_in_
                      : is_request ? stream->request_->fields
                                   : stream->response_->fields;
  if (options_.underscores != H2Options::Underscores::kAllow && role_ == Role::kServer &&
      name.find('_') != std::string_view::npos) [[unlikely]] {
    if (options_.underscores == H2Options::Underscores::kDrop) {
      cells_.dropped_headers_with_underscores.add();
      return true;
    }
    cells_.requests_rejected_with_underscores_in_headers.add();
    reject(stream, H2Error::kProtocol);
    return false;
  }
  const HeaderId id = internal::find_header_id(name);
  if (is_head && is_special(id)) {
    if (is_request && id == HeaderId::kHost) {  // once at most: nghttp2
      block_.host = value;
      return true;
    }
    read_special(stream, id, value);
  }
  Field* const field = fields.next_slot();
  if (field == nullptr) [[unlikely]]
    return overflow(stream);
  field->name_data = name.data();
  field->value_data = value.data();
  field->value_size = static_cast<uint32_t>(value.size());
  field->name_size = static_cast<uint16_t>(name.size());
  field->id = id;
  field->flags = 0;
  fields.keep(id);
  return true;
}

void H2Codec::read_special(H2Stream* stream, HeaderId id, std::string_view value) noexcept {
  switch (id) {
    case HeaderId::kContentLength:  // once, and digits within 63 bits: nghttp2
      block_.has_length = true;
      for (const char c : value)
        block_.length = block_.length * 10 + static_cast<uint64_t>(c - '0');
      break;
    case HeaderId::kCookie:
      ++block_.num_cookies;
      break;
    case HeaderId::kTe:  // nothing but `trailers`: nghttp2
      if (role_ == Role::kServer) stream->request_->te_trailers = true;
      break;
    case HeaderId::kExpect:
      if (role_ == Role::kServer) {
        stream->request_->expect_continue = equals_folded(value, "100-continue");
      }
      break;
    case HeaderId::kContentType:
      if (role_ == Role::kServer) stream->request_->is_grpc = is_grpc_type(value);
      break;
    default:
      break;
  }
}

// The head, or the trailers, are complete.
void H2Codec::finish_block(H2Stream* stream, bool end) noexcept {
  if (block_.refused) return;
  if (stream->head_done_) {
    cells_.trailers.add();
    event_->kind = Event::Kind::kTrailers;
  } else if (role_ == Role::kServer) {
    if (!finish_request(stream, end)) {
      cells_.rx_messaging_error.add();
      return reject(stream, H2Error::kProtocol);
    }
    stream->head_done_ = true;
    event_->kind = Event::Kind::kHead;
    event_->too_large = stream->too_large_;
    event_->too_many = block_.num_fields > options_.max_fields;
  } else {
    const bool interim = stream->response_->status / 100 == 1;
    if (interim && ++stream->num_interim_ > kMaxInterim) {
      cells_.header_overflow.add();
      return reject(stream, H2Error::kEnhanceYourCalm);
    }
    finish_response(stream, end);
    stream->head_done_ = !interim;
    event_->kind = interim ? Event::Kind::kInterim : Event::Kind::kHead;
  }
  stream->received_end_ = end;
  event_->stream = stream;
  event_->end = end;
}

bool H2Codec::finish_request(H2Stream* stream, bool end) noexcept {
  RequestHead& head = *stream->request_;
  head.version_major = 2;
  head.version_minor = 1;
  head.nominates = false;
  head.target = head.path;
  if (stream->too_large_) return true;
  if (block_.host.data() != nullptr) {
    if (head.authority.data() == nullptr) {
      head.authority = block_.host;
    } else if (!same_folded(head.authority, block_.host)) {
      return false;
    }
  }
  if (!is_valid_authority(head.authority)) return false;
  const bool is_connect = head.method == Method::kConnect;
  if (!is_connect || !head.protocol.empty()) {
    const bool is_star = head.path == "*" && head.method == Method::kOptions;
    if (!is_star && (!head.path.starts_with('/') || !is_target(head.path))) return false;
  }
  if (is_connect) {
    if (block_.has_length) return false;
  } else if (!end) {
    head.framing.kind = block_.has_length ? Framing::Kind::kLength : Framing::Kind::kChunked;
    head.framing.length = block_.length;
  }
  return block_.num_cookies < 2 || join_cookies(stream);
}

void H2Codec::finish_response(H2Stream* stream, bool end) noexcept {
  ResponseHead& head = *stream->response_;
  head.nominates = false;
  const bool bodiless = stream->method_ == Method::kHead || head.status < 200 ||
                        head.status == 204 || head.status == 304 ||
                        (stream->method_ == Method::kConnect && head.status < 300);
  if (bodiless || end) return;
  head.framing.kind = block_.has_length ? Framing::Kind::kLength : Framing::Kind::kUntilClose;
  head.framing.length = block_.length;
}

// RFC 9113 8.2.3: crumbs become one field, in the place of the first.
bool H2Codec::join_cookies(H2Stream* stream) noexcept {
  FieldList& fields = stream->request_->fields;
  size_t size = 0;
  for (const Field& f : fields) {
    if (f.id == HeaderId::kCookie) size += f.value_size + 2;
  }
  char* const text = stream->arena_->chars(size);
  if (text == nullptr) return false;
  char* at = text;
  Field* first = nullptr;
  for (Field& f : fields) {
    if (f.id != HeaderId::kCookie) continue;
    if (at != text) {
      std::memcpy(at, "; ", 2);
      at += 2;
    }
    if (f.value_size != 0) std::memcpy(at, f.value_data, f.value_size);
    at += f.value_size;
    if (first == nullptr) {
      first = &f;
    } else {
      FieldList::remove(&f);
    }
  }
  if (first == nullptr) return true;
  first->value_data = text;
  first->value_size = static_cast<uint32_t>(at - text);
  base::copies().head_bytes += static_cast<uint64_t>(at - text);
  return true;
}

}  // namespace sluice::http
