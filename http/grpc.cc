#include "http/grpc.h"

#include <algorithm>

namespace sluice::http {

std::string_view grpc_status_of(uint16_t http_status) noexcept {
  switch (http_status) {
    case 400:
      return "13";  // INTERNAL
    case 401:
      return "16";  // UNAUTHENTICATED
    case 403:
      return "7";  // PERMISSION_DENIED
    case 404:
      return "12";  // UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return "14";  // UNAVAILABLE
    default:
      return "2";  // UNKNOWN
  }
}

std::string_view grpc_message(std::string_view text, base::Arena& arena) noexcept {
  const auto plain = [](char c) { return c >= 0x20 && c <= 0x7e && c != '%'; };
  const auto odd = static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [&](char c) { return !plain(c); }));
  if (odd == 0) return text;
  char* const out = arena.chars(text.size() + 2 * odd);
  if (out == nullptr) return {};
  size_t size = 0;
  for (const char c : text) {
    if (plain(c)) {
      out[size++] = c;
      continue;
    }
    constexpr char kHex[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out[size++] = '%';
    out[size++] = kHex[byte >> 4];
    out[size++] = kHex[byte & 15];
  }
  return {out, size};
}

}  // namespace sluice::http
