#include "http/grpc.h"

#include <algorithm>
#include <charconv>

namespace sluice::http {
namespace {

constexpr uint64_t kMostTimeout = 99'999'999;
constexpr int64_t kMsPerSec = 1000, kMsPerMinute = 60 * kMsPerSec, kMsPerHour = 60 * kMsPerMinute;

}  // namespace

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

int64_t grpc_timeout_ms(std::string_view text) noexcept {
  if (text.size() < 2 || text.size() > kGrpcTimeoutSize) return -1;
  int64_t value = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return -1;
    value = 10 * value + (c - '0');
  }
  switch (text.back()) {
    case 'H':
      return value * kMsPerHour;
    case 'M':
      return value * kMsPerMinute;
    case 'S':
      return value * kMsPerSec;
    case 'm':
      return value;
    case 'u':
      return (value + 999) / 1000;
    case 'n':
      return (value + 999'999) / 1'000'000;
    default:
      return -1;
  }
}

std::string_view write_grpc_timeout(uint64_t ms, char (&out)[kGrpcTimeoutSize]) noexcept {
  const char* unit = "mSMH";
  if (ms > kMostTimeout) ms /= 1000, ++unit;
  while (ms > kMostTimeout && *unit != 'H') ms /= 60, ++unit;
  char* const end = std::to_chars(out, out + 8, std::min(ms, kMostTimeout)).ptr;
  *end = *unit;
  return {out, static_cast<size_t>(end + 1 - out)};
}

}  // namespace sluice::http
