#include <cstring>

#include "http/format.h"

namespace sluice::http {

namespace {

constexpr char kHex[] = "0123456789abcdef";

constexpr uint64_t kOnes = 0x0101010101010101u;
constexpr uint64_t kHighs = 0x8080808080808080u;

// High bit of every byte of `word` that is below 0x20 or 0x7f; exact up to and including the first
// such byte, which is all that is asked for. Bytes from 0x80 on are told apart first.
uint64_t controls(uint64_t word) noexcept {
  const uint64_t below = (word - kOnes * 0x20) & ~word & kHighs;
  const uint64_t del = word ^ (kOnes * 0x7f);
  return below | ((del - kOnes) & ~del & kHighs);
}
uint64_t equal(uint64_t word, unsigned char c) noexcept {
  const uint64_t x = word ^ (kOnes * c);
  return (x - kOnes) & ~x & kHighs;
}

bool is_control(unsigned char c) noexcept { return c < 0x20 || c == 0x7f; }
bool json_special(unsigned char c) noexcept {
  return is_control(c) || c == '"' || c == '\\' || c >= 0x80;
}

uint64_t load(const char* p) noexcept {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// The one to seven bytes of a short text as a word, some of them twice; the rest of it is clean.
uint64_t load_short(std::string_view text) noexcept {
  const size_t n = text.size();
  if (n >= 4) {
    uint32_t first;
    uint32_t last;
    std::memcpy(&first, text.data(), sizeof(first));
    std::memcpy(&last, text.data() + n - sizeof(last), sizeof(last));
    return first | uint64_t{last} << 32;
  }
  const auto byte = [&](size_t i) { return uint64_t{static_cast<unsigned char>(text[i])}; };
  constexpr uint64_t kClean = 0x6161616161000000u;
  return kClean | byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

// Whether all of a text needs no thought: most do. A false no costs a second look.
template <typename Word>
bool is_clean(std::string_view text, Word word_special) noexcept {
  const size_t n = text.size();
  if (n < 8) return n == 0 || word_special(load_short(text)) == 0;
  for (size_t at = 0; at + 8 < n; at += 8) {
    if (word_special(load(text.data() + at)) != 0) return false;
  }
  return word_special(load(text.data() + n - 8)) == 0;
}

// Length of the run of bytes from `at` on that need no thought. `Word` may stop early on a word
// whose bytes are fine; the byte-wise test then decides.
template <typename Word, typename Byte>
size_t clean_run(std::string_view text, size_t at, Word word_special, Byte special) noexcept {
  const size_t begin = at;
  while (at + 8 <= text.size() && word_special(load(text.data() + at)) == 0) at += 8;
  while (at < text.size() && !special(static_cast<unsigned char>(text[at]))) ++at;
  return at - begin;
}

// Length of the well-formed UTF-8 sequence (RFC 3629) at the front; 0: there is none.
size_t utf8_size(std::string_view s) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](size_t i) { return i < s.size() && (byte(i) & 0xC0) == 0x80; };
  const unsigned char c = byte(0);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (c == 0xED && byte(1) > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xF0 && byte(1) < 0x90) return 0;
    if (c == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// Appends what stands for the bytes at the front of `s`; returns how many they are.
size_t append_json_special(std::string_view s, Sink& sink) noexcept {
  const auto c = static_cast<unsigned char>(s[0]);
  if (c >= 0x80) {
    const size_t size = utf8_size(s);
    sink.append(size == 0 ? std::string_view("\\ufffd") : s.substr(0, size));
    return size == 0 ? 1 : size;
  }
  switch (c) {
    case '"':
      sink.append("\\\"");
      break;
    case '\\':
      sink.append("\\\\");
      break;
    case '\b':
      sink.append("\\b");
      break;
    case '\f':
      sink.append("\\f");
      break;
    case '\n':
      sink.append("\\n");
      break;
    case '\r':
      sink.append("\\r");
      break;
    case '\t':
      sink.append("\\t");
      break;
    default: {
      const char escape[] = {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
      sink.append({escape, sizeof(escape)});
    }
  }
  return 1;
}

}  // namespace

void append_json_escaped(std::string_view text, Sink& sink) noexcept {
  const auto special = [](uint64_t w) {
    return controls(w) | equal(w, '"') | equal(w, '\\') | (w & kHighs);
  };
  if (is_clean(text, special)) return sink.append(text);
  size_t at = 0;
  while (at < text.size()) {
    const size_t run = clean_run(text, at, special, json_special);
    if (run != 0) sink.append(text.substr(at, run));
    at += run;
    if (at < text.size()) at += append_json_special(text.substr(at), sink);
  }
}

void append_log_escaped(std::string_view text, Sink& sink) noexcept {
  if (is_clean(text, controls)) return sink.append(text);
  size_t at = 0;
  while (at < text.size()) {
    const size_t run = clean_run(text, at, controls, is_control);
    if (run != 0) sink.append(text.substr(at, run));
    at += run;
    if (at == text.size()) break;
    const auto c = static_cast<unsigned char>(text[at++]);
    const char escape[] = {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
    sink.append({escape, sizeof(escape)});
  }
}

}  // namespace sluice::http
