#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/arena.h"
#include "http/copy_text.h"
#include "http/facts.h"

namespace sluice::http {

// Sink is a bounded place to append text to: a piece of a log buffer, of an arena, of the stack.
// What does not fit is dropped and remembered in full(); nothing is written past the end.
class Sink {
 public:
  Sink(char* begin, size_t capacity) noexcept
      : begin_(begin), next_(begin), end_(begin + capacity) {}

  void append(std::string_view text) noexcept {
    size_t n = text.size();
    if (n > room()) [[unlikely]] {
      full_ = true;
      n = room();
    }
    copy_text(next_, text.substr(0, n));
    next_ += n;
  }
  void append(char c) noexcept {
    if (next_ == end_) [[unlikely]] {
      full_ = true;
      return;
    }
    *next_++ = c;
  }

  std::string_view text() const noexcept { return {begin_, size()}; }
  size_t size() const noexcept { return static_cast<size_t>(next_ - begin_); }
  size_t room() const noexcept { return static_cast<size_t>(end_ - next_); }
  bool full() const noexcept { return full_; }
  // Forgets what was appended after the first `size` bytes.
  void rewind(size_t size) noexcept { next_ = begin_ + size; }

 private:
  char* begin_;
  char* next_;
  char* end_;
  bool full_ = false;
};

struct FormatOptions {
  enum class Missing : uint8_t { kDash, kEmpty };  // how a value that is not there is spelled
  enum class Escape : uint8_t { kNone, kLog };
  Missing missing = Missing::kDash;
  Escape escape = Escape::kLog;
};

// JsonFormat is a JSON value with formats in it, before it is compiled: what json_format says.
struct JsonFormat {
  enum class Kind : uint8_t {
    kFormat,   // text with %OPERATORS%: a string, or what a lone operator is
    kLiteral,  // text is JSON as it stands: 3, true
    kNull,
    kObject,  // members in the given order
    kList,    // members without keys
  };
  using Members = std::vector<std::pair<std::string, JsonFormat>>;

  JsonFormat() = default;
  JsonFormat(std::string format) : text(std::move(format)) {}  // NOLINT: reads like its JSON
  JsonFormat(const char* format) : text(format) {}             // NOLINT
  static JsonFormat literal(std::string json);
  static JsonFormat null();
  static JsonFormat object(Members members);
  static JsonFormat list(Members members);

  Kind kind = Kind::kFormat;
  std::string text;
  Members members;
};

// Format answers "what does this line, or this header value, say about the exchange?" It is a text
// with Envoy's command operators (%REQ(:METHOD)%, %RESPONSE_CODE%...) compiled once into an array
// of operations; docs/access_log.md lists the operators.
//
// Immutable after parse(): any thread may render. Rendering neither allocates (but the result's
// bytes in the given arena) nor throws; its cost is a switch per operator and the bytes that it
// writes: about 0.2 us for Envoy's default line.
// Errors of parse() name the position in the text and what to write instead.
//
// Log safety: with Escape::kLog control characters in values become \xHH, so that no request can
// end a line or move a terminal's cursor; JSON escapes as RFC 8259 says and replaces what is not
// UTF-8.
class Format {
 public:
  using Options = FormatOptions;
  // For values of headers: missing values are empty, FieldList refuses control characters itself.
  static constexpr Options kHeaderValue{Options::Missing::kEmpty, Options::Escape::kNone};

  // `warnings` gets a sentence for each operator that is accepted but always renders as missing
  // because what it asks for does not exist in this build.
  static absl::StatusOr<Format> parse(std::string_view text, Options options = {},
                                      std::vector<std::string>* warnings = nullptr);
  // A JSON object in one line: keys in the given order; a value that is a single numeric operator
  // stays a number, a single operator without value is null. With `omit_empty` nulls are left out,
  // and so are objects in which nothing is left (Envoy; lists stay, empty as they may be). At most
  // kMaxJsonDepth objects and lists inside each other.
  static constexpr size_t kMaxJsonDepth = 32;
  static absl::StatusOr<Format> parse_json(const JsonFormat::Members& members,
                                           bool omit_empty = false,
                                           std::vector<std::string>* warnings = nullptr);
  // Envoy's default access log format, with its line feed.
  static std::string_view default_text() noexcept;

  Format() = default;  // renders nothing

  void render(const Facts& facts, Sink& sink) const noexcept;
  // The value for a header. A literal and a lone operator over a header are returned as they are,
  // without a copy; everything else is written into the arena. At most 16 KiB: the rest is cut.
  std::string_view render(const Facts& facts, base::Arena& arena) const noexcept;

  // It shows our end of the connection to the endpoint, which costs a system call to find out.
  bool shows_upstream_local() const noexcept;

  // True when it has no operators: text() is all it ever renders.
  bool is_literal() const noexcept { return literal_; }
  std::string_view text() const noexcept { return literal_ ? std::string_view(texts_) : ""; }

  enum class Code : uint8_t;
  struct Op {
    Code code{};
    uint8_t flags = 0;
    uint16_t max_bytes = 0;  // 0: no limit
    uint32_t a = 0;          // meaning depends on code: offset, index, enum value
    uint32_t b = 0;
  };
  // Which header (or which of two) an operator reads.
  struct HeaderRef {
    enum class Kind : uint8_t { kNone, kField, kMethod, kPath, kAuthority, kScheme, kStatus };
    Kind kind = Kind::kNone;
    HeaderId id = HeaderId::kOther;
    bool in_one_line = false;  // Envoy joins its lines
    std::string name;
  };
  struct HeaderOperand {
    HeaderRef first;
    HeaderRef second;
  };

 private:
  friend class FormatParser;
  friend class FormatRenderer;

  std::vector<Op> ops_;
  std::vector<HeaderOperand> headers_;
  std::string texts_;  // literals, time patterns and parameters, one after the other
  Options options_;
  bool literal_ = true;
};

// Appends `text` as the inside of a JSON string (RFC 8259 7): quotes, backslashes and control
// characters escaped, bytes that are not UTF-8 replaced by U+FFFD. Clean runs are copied as spans.
void append_json_escaped(std::string_view text, Sink& sink) noexcept;
// Appends `text` with control characters as \xHH.
void append_log_escaped(std::string_view text, Sink& sink) noexcept;

// Writes "1.2.3.4:80", "[::1]:80" or "/run/x.sock" as base::Address::to_string() would, without
// allocating; returns how many bytes. `out` has room for kMaxAddressText.
constexpr size_t kMaxAddressText = 128;
size_t format_address(const base::Address& address, char* out) noexcept;

}  // namespace sluice::http
