#pragma once

#include <cstddef>
#include <cstdint>

#include "http/message.h"

#if defined(__SSSE3__) && !defined(SLUICE_NO_SIMD)
#include <tmmintrin.h>
#define SLUICE_SCAN_SIMD 1
#else
#define SLUICE_SCAN_SIMD 0
#endif

namespace sluice::http {

// Where does a run of allowed bytes end? The four questions that HTTP/1 parsing asks, each with a
// 16-byte implementation (SSSE3) and a portable one that means exactly the same; ScanSimd and
// ScanPortable exist side by side so that tests compare them byte for byte, Scan is the one that is
// used. Pure functions, any thread. They read only [at, end) and cost about one byte class look-up
// per 16 bytes. Byte classes are one table (kByteClass), from which the SIMD tables are computed.
enum ByteClass : uint8_t {
  kTokenByte = 1,   // RFC 9110 5.6.2 tchar
  kValueByte = 2,   // HTAB, SP, VCHAR, obs-text: RFC 9110 5.5
  kTargetByte = 4,  // VCHAR without '#': what a request target may hold
  kHostByte = 8,    // unreserved and sub-delims without ',': a reg-name or an IPv4 address
  kPlainByte = 16,  // path bytes that no normalisation touches: no '%', '\', '?', and none that
                    // RFC 3986 wants escaped ('/' and '.' are plain: their pairs are looked for)
};

namespace internal {
constexpr bool is_alnum(unsigned b) noexcept {
  return (b >= '0' && b <= '9') || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
}
constexpr bool is_one_of(unsigned b, const char* set) noexcept {
  for (; *set != '\0'; ++set) {
    if (b == static_cast<unsigned char>(*set)) return true;
  }
  return false;
}
struct ByteClasses {
  uint8_t of[256];
};
constexpr ByteClasses make_byte_classes() noexcept {
  ByteClasses t{};
  for (unsigned b = 0; b < 256; ++b) {
    unsigned c = 0;
    const bool vchar = b > 0x20 && b < 0x7f;
    if (is_alnum(b) || is_one_of(b, "!#$%&'*+-.^_`|~")) c |= kTokenByte;
    if (b == '\t' || (b >= 0x20 && b != 0x7f)) c |= kValueByte;
    if (vchar && b != '#') c |= kTargetByte;
    if (is_alnum(b) || is_one_of(b, "-._~!$&'()*+;=")) c |= kHostByte;
    if (vchar && !is_one_of(b, "%\\?#\"<>^`{}")) c |= kPlainByte;
    t.of[b] = static_cast<uint8_t>(c);
  }
  return t;
}
}  // namespace internal
inline constexpr internal::ByteClasses kByteClass = internal::make_byte_classes();

constexpr bool is_class(char c, ByteClass k) noexcept {
  return (kByteClass.of[static_cast<unsigned char>(c)] & k) != 0;
}

// The result of scanning a field name that may have to be folded.
struct NameScan {
  const char* end;  // first byte that is no token byte, or `end`
  bool underscore;  // a '_' was among them
};

struct ScanPortable {
  static const char* skip(const char* at, const char* end, ByteClass k) noexcept {
    while (at != end && is_class(*at, k)) ++at;
    return at;
  }
  static const char* token(const char* at, const char* end) noexcept {
    return skip(at, end, kTokenByte);
  }
  static const char* value(const char* at, const char* end) noexcept {
    return skip(at, end, kValueByte);
  }
  static const char* target(const char* at, const char* end) noexcept {
    return skip(at, end, kTargetByte);
  }
  static const char* host(const char* at, const char* end) noexcept {
    return skip(at, end, kHostByte);
  }
  // First byte that starts something a path normaliser must look at: a byte that is not plain, a
  // '.' behind '/', and, with `merge`, a '/' behind '/'. `at` is where the path begins.
  static const char* plain_path(const char* at, const char* end, bool merge) noexcept;
  // First control byte but HTAB (below 0x20, or DEL).
  static const char* control(const char* at, const char* end) noexcept { return value(at, end); }
  // Finds the end of the name and folds it to lower case in place.
  static NameScan name(char* at, char* end) noexcept;
};

#if SLUICE_SCAN_SIMD
struct ScanSimd {
  static const char* token(const char* at, const char* end) noexcept;
  static const char* value(const char* at, const char* end) noexcept;
  static const char* target(const char* at, const char* end) noexcept;
  static const char* host(const char* at, const char* end) noexcept;
  static const char* plain_path(const char* at, const char* end, bool merge) noexcept;
  static const char* control(const char* at, const char* end) noexcept { return value(at, end); }
  static NameScan name(char* at, char* end) noexcept;
};
using Scan = ScanSimd;
#else
using Scan = ScanPortable;
#endif

}  // namespace sluice::http
