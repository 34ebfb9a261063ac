#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/format.h"

namespace sluice::http {

namespace {

size_t write_port(char* out, uint16_t port) noexcept {
  return static_cast<size_t>(std::to_chars(out, out + 5, port).ptr - out);
}

}  // namespace

size_t format_address(const base::Address& address, char* out) noexcept {
  if (address.is_unix()) {
    const std::string& path = address.path();
    const size_t n = std::min(path.size(), kMaxAddressText);
    std::memcpy(out, path.data(), n);
    return n;
  }
  if (!address.is_ip()) return 0;
  char* next = out;
  const bool brackets = !address.ip().v4;
  if (brackets) *next++ = '[';
  next += address.ip().format(next);
  if (brackets) *next++ = ']';
  *next++ = ':';
  next += write_port(next, address.port());
  return static_cast<size_t>(next - out);
}

}  // namespace sluice::http
