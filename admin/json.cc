#include "admin/json.h"

#include <charconv>
#include <cmath>

namespace sluice::admin {
namespace {

// Length of the valid UTF-8 sequence at the front; 0: there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char c = byte(0);
  if (c < 0x80) return 1;
  const size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || text.size() < n) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (c == 0xe0 && byte(1) < 0xa0) return 0;
  if (c == 0xed && byte(1) > 0x9f) return 0;
  if (c == 0xf0 && byte(1) < 0x90) return 0;
  if (c == 0xf4 && byte(1) > 0x8f) return 0;
  return n;
}

void append_escaped(std::string* out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      *out += "\\\"";
      break;
    case '\\':
      *out += "\\\\";
      break;
    case '\n':
      *out += "\\n";
      break;
    default:
      *out += "\\u00";
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[static_cast<unsigned char>(c) & 15]);
  }
}

}  // namespace

void append_json_text(std::string* out, std::string_view text) {
  out->push_back('"');
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    const char c = text[0];
    if (n == 0) {
      *out += "\xef\xbf\xbd";
    } else if (n == 1 &&
               (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f)) {
      append_escaped(out, c);
    } else {
      out->append(text.substr(0, n));
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  out->push_back('"');
}

void Json::new_line() {
  out_.push_back('\n');
  out_.append(static_cast<size_t>(depth_), ' ');
}

void Json::begin_value() {
  if (has_key_) {
    has_key_ = false;
    return;
  }
  if (depth_ == 0) return;
  if (!first_) out_.push_back(',');
  first_ = false;
  new_line();
}

Json& Json::key(std::string_view name) {
  begin_value();
  append_json_text(&out_, name);
  out_ += ": ";
  has_key_ = true;
  return *this;
}

Json& Json::text(std::string_view value) {
  begin_value();
  append_json_text(&out_, value);
  return *this;
}

Json& Json::number(double value) {
  if (!std::isfinite(value)) return null();
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  return raw({buffer, static_cast<size_t>(end - buffer)});
}

Json& Json::raw(std::string_view value) {
  begin_value();
  out_ += value;
  return *this;
}

Json& Json::open(char bracket) {
  begin_value();
  out_.push_back(bracket);
  ++depth_;
  first_ = true;
  return *this;
}

Json& Json::close(char bracket) {
  --depth_;
  if (!first_) new_line();
  out_.push_back(bracket);
  first_ = false;
  if (depth_ == 0) out_.push_back('\n');
  return *this;
}

}  // namespace sluice::admin
