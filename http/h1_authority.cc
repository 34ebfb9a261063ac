#include <cstring>

#include "http/h1_parser.h"
#include "http/scan.h"

namespace sluice::http {

namespace {

bool is_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5) return false;
  unsigned port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  return port <= 65535;
}

// `text` begins with '['. Answers what follows the ']', or nullptr.
const char* behind_ip_literal(std::string_view text) noexcept {
  const size_t close = text.find(']');
  if (close == std::string_view::npos || close < 3) return nullptr;
  bool colon = false;
  for (const char c : text.substr(1, close - 1)) {
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!hex && c != ':' && c != '.') return nullptr;
    colon |= c == ':';
  }
  return colon ? text.data() + close + 1 : nullptr;
}

}  // namespace

bool is_authority(std::string_view text, const char* begin) noexcept {
  if (text.empty()) return false;
  const char* const start = text.data();
  const char* const end = start + text.size();
  const char* stop;
  if (*start == '[') {
    stop = behind_ip_literal(text);
    if (stop == nullptr) return false;
  } else {
    stop = Scan::host(start, {begin, end});
    if (stop == start) return false;
  }
  if (stop == end) return true;
  return *stop == ':' && is_port({stop + 1, static_cast<size_t>(end - stop - 1)});
}

bool is_valid_authority(std::string_view authority) noexcept {
  return is_authority(authority, authority.data());
}

bool equals_folded(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  size_t i = 0;
  // Without the bit of the case, eight at a time, what differs differs.
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t a, b;
    std::memcpy(&a, text.data() + i, 8);
    std::memcpy(&b, lower.data() + i, 8);
    if (((a ^ b) & ~uint64_t{0x2020202020202020}) != 0) return false;
    if (a != b) break;
  }
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (((c >= 'A' && c <= 'Z') ? static_cast<char>(c | 0x20) : c) != lower[i]) return false;
  }
  return true;
}

}  // namespace sluice::http
