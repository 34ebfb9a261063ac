#include "http/h1_writer.h"

#include <charconv>

#include "http/copy_text.h"
#include "http/h1_parser.h"
#include "http/scan.h"

namespace sluice::http {

namespace {

constexpr std::string_view kCrlf = "\r\n";
// Added lines that do not touch are joined by copying up to this size: cheaper than a view.
constexpr size_t kJoinBytes = 512;

// A decimal number as text.
struct Decimal {
  explicit Decimal(uint64_t n) noexcept { end = std::to_chars(text, text + sizeof(text), n).ptr; }
  std::string_view view() const noexcept {
    const auto size = static_cast<size_t>(end - text);
    if (size > sizeof(text)) __builtin_unreachable();  // else -O1 warns of a copy that cannot be
    return {text, size};
  }
  char text[20];
  char* end;
};

// Joins what is written into as few runs of neighbouring bytes as it can: a run of received bytes,
// which ends as a view that holds the block, or a run in the arena, which the next composed bytes
// extend.
class HeadWriter {
 public:
  HeadWriter(const base::BlockRef& block, base::Arena& arena, base::Chain* out) noexcept
      : block_(block), arena_(arena), out_(out) {
    if (block_) {
      block_begin_ = block_->data();
      block_end_ = block_begin_ + block_->filled();
    }
  }

  // Bytes that may leave where they are: of the block, the arena, or static.
  void put_slice(const char* data, size_t size) noexcept {
    // Behind a received run lies what was received, unless the block ends there.
    if (data == end_ && data != block_end_) [[likely]] {
      end_ += size;
    } else {
      put_apart(data, size);
    }
  }

  // A slice that does not touch the one before.
  [[gnu::noinline]] void put_apart(const char* data, size_t size) noexcept {
    if (!is_received(data) && size <= kJoinBytes && may_extend()) {
      put_copy({data, size});
      return;
    }
    flush();
    begin_ = data;
    end_ = data + size;
    received_ = is_received(data);
  }

  // Bytes that must be copied.
  void put_copy(std::string_view text) noexcept {
    char* const to = room(text.size());
    if (to == nullptr) return;
    std::memcpy(to, text.data(), text.size());
    end_ = to + text.size();
  }
  template <typename... Text>
  void compose(Text... text) noexcept {
    char* to = room((text.size() + ...));
    if (to == nullptr) return;
    ((copy(to, text), to += text.size()), ...);
    end_ = to;
  }

  // The empty line, and all that is pending.
  bool finish() noexcept {
    if (received_ && end_ != nullptr && block_end_ - end_ >= 2 && end_[0] == '\r' &&
        end_[1] == '\n') {
      end_ += 2;
    } else if (!extend_by_crlf()) {
      put_copy(kCrlf);
    }
    flush();
    return !failed_;
  }
  void fail() noexcept { failed_ = true; }
  bool failed() const noexcept { return failed_; }

 private:
  static void copy(char* to, std::string_view text) noexcept { copy_text(to, text); }
  bool is_received(const char* p) const noexcept { return p >= block_begin_ && p < block_end_; }
  // Is the pending run in the arena, or small enough to be carried to its end?
  bool may_extend() const noexcept {
    return end_ != nullptr && !received_ &&
           (arena_.at_end(end_) || static_cast<size_t>(end_ - begin_) <= kJoinBytes);
  }
  // The usual end: behind what was composed last.
  bool extend_by_crlf() noexcept {
    if (received_ || end_ == nullptr || !arena_.at_end(end_)) return false;
    char* const to = arena_.chars(kCrlf.size());
    if (to != end_) return false;
    std::memcpy(to, kCrlf.data(), 2);
    end_ += 2;
    base::copies().head_bytes += 2;
    return true;
  }
  // Room for `size` bytes behind the pending run, or as the beginning of a new one.
  char* room(size_t size) noexcept {
    base::copies().head_bytes += size;
    const bool extend = may_extend();
    const size_t pending = extend && !arena_.at_end(end_) ? static_cast<size_t>(end_ - begin_) : 0;
    char* to = arena_.chars(size + pending);
    if (to == nullptr) {
      failed_ = true;
      return nullptr;
    }
    if (extend && pending == 0 && to == end_) return to;
    if (!extend || pending == 0) {
      flush();
    } else {
      copy(to, {begin_, pending});
    }
    begin_ = to;
    received_ = false;
    return to + pending;
  }
  void flush() noexcept {
    if (end_ != begin_ && !failed_) {
      out_->append(begin_, static_cast<uint32_t>(end_ - begin_),
                   received_ ? block_.get() : nullptr);
    }
    begin_ = end_ = nullptr;
    received_ = false;
  }

  const base::BlockRef& block_;
  base::Arena& arena_;
  base::Chain* out_;
  const char* block_begin_ = nullptr;
  const char* block_end_ = nullptr;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  bool received_ = false;
  bool failed_ = false;
};

// What is written to chain() becomes part of `out` at keep(), or not at all. An empty `out`, the
// usual case, is written to itself.
class Atomically {
 public:
  explicit Atomically(base::Chain* out) noexcept : out_(out), direct_(out->empty()) {}
  ~Atomically() {
    if (!kept_ && direct_) out_->clear();
  }
  Atomically(const Atomically&) = delete;
  Atomically& operator=(const Atomically&) = delete;
  base::Chain* chain() noexcept { return direct_ ? out_ : &apart_; }
  bool keep() noexcept {
    kept_ = true;
    if (!direct_) out_->append(std::move(apart_));
    return true;
  }

 private:
  base::Chain* out_;
  const bool direct_;
  bool kept_ = false;
  base::Chain apart_;
};

void put_line(HeadWriter* w, std::string_view name, std::string_view value) noexcept {
  w->compose(name, std::string_view(": "), value, kCrlf);
}

[[gnu::noinline]] void compose_field(HeadWriter* w, const Field& field) noexcept {
  if (!is_token(field.name()) || !is_field_value(field.value())) return w->fail();
  put_line(w, field.name(), field.value());
}

[[gnu::always_inline]] inline void put_field(HeadWriter* w, const Field& field) noexcept {
  if (field.line()) [[likely]] {
    w->put_slice(field.name_data, field.line_size());
  } else {
    compose_field(w, field);
  }
}

// Is this what to_chars() makes of `n`?
inline bool is_decimal(std::string_view text, uint64_t n) noexcept {
  if (text.empty() || text.size() > 19 || (text[0] == '0' && text.size() > 1)) return false;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value == n;
}

// Brings Content-Length and Transfer-Encoding in line with `framing`. False: the arena is full.
bool set_framing(FieldList* fields, const Framing& framing, bool keep_length) noexcept {
  if (framing.kind == Framing::Kind::kChunked) {
    fields->remove(HeaderId::kContentLength);
    const Field* const coding = fields->find(HeaderId::kTransferEncoding);
    if (coding != nullptr && coding->value() == "chunked") return true;
    return fields->set(HeaderId::kTransferEncoding, "chunked");
  }
  fields->remove(HeaderId::kTransferEncoding);
  if (framing.kind == Framing::Kind::kUntilClose) {
    fields->remove(HeaderId::kContentLength);
    return true;
  }
  if (keep_length) return true;
  const Field* const length = fields->find(HeaderId::kContentLength);
  const uint64_t wanted = framing.kind == Framing::Kind::kLength ? framing.length : 0;
  if (length != nullptr && is_decimal(length->value(), wanted)) return true;
  return fields->set_clean(HeaderId::kContentLength, Decimal(wanted).view());
}

// RFC 9110 8.6: methods that define no meaning for content are sent without a length.
bool usually_has_body(Method method) noexcept {
  return method == Method::kPost || method == Method::kPut || method == Method::kPatch;
}

bool is_target(std::string_view path) noexcept {
  const char* const end = path.end();
  return !path.empty() && Scan::target(path.begin(), {path.begin(), end}) == end;
}

bool put_request_line(HeadWriter* w, const RequestHead& head) noexcept {
  const bool same_path =
      head.path.data() == head.target.data() && head.path.size() == head.target.size();
  if (same_path && !head.line.empty() && head.version_minor == 1 &&
      head.method_text.data() == head.line.data()) [[likely]] {
    w->put_slice(head.line.data(), head.line.size());
    return true;
  }
  const std::string_view target = head.method == Method::kConnect ? head.authority : head.path;
  if (!is_token(head.method_text) || !is_target(target)) return false;
  w->compose(head.method_text, std::string_view(" "), target, std::string_view(" HTTP/1.1\r\n"));
  return true;
}

bool is_same(const Field& host, std::string_view authority) noexcept {
  return host.value_data == authority.data() ? host.value_size == authority.size()
                                             : host.value() == authority;
}

// `lacks_host`: the head has no Host of its own.
bool prepare(RequestHead* head, bool* lacks_host) noexcept {
  FieldList& fields = head->fields;
  const Field* const host = fields.find(HeaderId::kHost);
  *lacks_host = host == nullptr;
  if (host == nullptr || !is_same(*host, head->authority)) {
    if (!is_valid_authority(head->authority)) return false;
    if (host != nullptr && !fields.set(HeaderId::kHost, head->authority)) return false;
  }
  const bool bodiless = head->framing.kind == Framing::Kind::kNone &&
                        !fields.has(HeaderId::kContentLength) && !usually_has_body(head->method);
  return set_framing(&fields, head->framing, bodiless || head->method == Method::kConnect);
}

// Fields of the message that say how long it is, and how the connection goes on.
bool prepare(ResponseHead* head, const ResponseWrite& how) noexcept {
  FieldList& fields = head->fields;
  if (head->status < 200 || head->status == 204) {
    fields.remove(HeaderId::kContentLength);
    fields.remove(HeaderId::kTransferEncoding);
    return true;
  }
  if (how.to_head || head->status == 304) {
    if (how.downstream_minor == 0 || fields.has(HeaderId::kContentLength)) {
      fields.remove(HeaderId::kTransferEncoding);
    }
    if (fields.has(HeaderId::kTransferEncoding)) {
      return fields.set(HeaderId::kTransferEncoding, "chunked");
    }
    return true;
  }
  return set_framing(&fields, how.framing, false);
}

// Three digits.
bool is_status(const char* text, unsigned status) noexcept {
  return static_cast<unsigned>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0')) ==
         status;
}

bool put_status_line(HeadWriter* w, const ResponseHead& head, uint8_t minor) noexcept {
  if (minor == 1 && head.line.size() > 12 && is_status(head.line.data() + 9, head.status)) {
    w->put_slice(head.line.data(), head.line.size());
    return true;
  }
  if (head.status < 100 || head.status > 999) return false;
  // A received line that was not used for its status has another phrase than we need.
  const bool is_own = head.reason_phrase.empty() || (minor == 1 && !head.line.empty());
  const std::string_view phrase = is_own ? reason_phrase_of(head.status) : head.reason_phrase;
  if (!is_field_value(phrase)) return false;
  w->compose(std::string_view(minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 "), Decimal(head.status).view(),
             std::string_view(" "), phrase, kCrlf);
  return true;
}

}  // namespace

bool write_request_head(RequestHead* head, const base::BlockRef& block, base::Arena& arena,
                        base::Chain* out) noexcept {
  bool lacks_host = false;
  if (!prepare(head, &lacks_host)) return false;
  Atomically whole(out);
  HeadWriter w(block, arena, whole.chain());
  if (!put_request_line(&w, *head)) return false;
  if (lacks_host) put_line(&w, "host", head->authority);
  for (const Field& field : head->fields) {
    if (!field.removed()) put_field(&w, field);
  }
  return w.finish() && whole.keep();
}

bool write_response_head(ResponseHead* head, const ResponseWrite& how, const base::BlockRef& block,
                         base::Arena& arena, base::Chain* out) noexcept {
  if (!prepare(head, how)) return false;
  Atomically whole(out);
  HeadWriter w(block, arena, whole.chain());
  if (!put_status_line(&w, *head, how.downstream_minor)) return false;
  for (const Field& field : head->fields) {
    if (!field.removed()) put_field(&w, field);
  }
  if (head->status >= 200) {
    if (how.close) {
      w.put_copy("connection: close\r\n");
    } else if (how.downstream_minor == 0) {
      w.put_copy("connection: keep-alive\r\n");
    }
  }
  return w.finish() && whole.keep();
}

Framing framing_for(const ResponseHead& head, Method request_method, uint8_t minor) noexcept {
  Framing framing = head.framing;
  const bool bodiless = request_method == Method::kHead || head.status < 200 ||
                        head.status == 204 || head.status == 304;
  if (bodiless) {
    framing = Framing();
  } else if (framing.kind == Framing::Kind::kUntilClose && minor == 1) {
    framing.kind = Framing::Kind::kChunked;
  } else if (framing.kind == Framing::Kind::kChunked && minor == 0) {
    framing.kind = Framing::Kind::kUntilClose;
  }
  return framing;
}

void ChunkWriter::append_chunk(base::Chain&& data, base::BlockPool& pool, base::Chain* out) {
  if (data.empty()) return;
  constexpr uint32_t kMaxLine = 18;
  if (lines_ && lines_->sole_owner()) lines_->clear();
  if (!lines_ || lines_->room() < kMaxLine) lines_ = base::BlockRef::adopt(pool.get_small());
  char* const line = lines_->tail();
  char* at = std::to_chars(line, line + 16, data.bytes(), 16).ptr;
  *at++ = '\r';
  *at++ = '\n';
  const auto size = static_cast<uint32_t>(at - line);
  lines_->fill(size);
  out->append(base::View(line, size, lines_));
  out->append(std::move(data));
  out->append(kCrlf);
}

bool ChunkWriter::append_last(const FieldList* trailers, base::Arena& arena,
                              base::Chain* out) noexcept {
  if (trailers == nullptr || trailers->size() == 0) {
    out->append(std::string_view("0\r\n\r\n"));
    return true;
  }
  base::Chain chain;
  const base::BlockRef none;
  HeadWriter w(none, arena, &chain);
  w.put_copy("0\r\n");
  for (const Field& field : *trailers) {
    if (!field.removed() && may_be_trailer(field)) put_field(&w, field);
  }
  if (!w.finish()) return false;
  out->append(std::move(chain));
  return true;
}

}  // namespace sluice::http
