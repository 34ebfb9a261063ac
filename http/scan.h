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

// What may be read: the scan goes from `at` to `end`, loads of 16 bytes may begin at `begin`.
struct Window {
  const char* begin;
  const char* end;
};

struct ScanPortable {
  static const char* skip(const char* at, Window w, ByteClass k) noexcept {
    while (at != w.end && is_class(*at, k)) ++at;
    return at;
  }
  static const char* token(const char* at, Window w) noexcept { return skip(at, w, kTokenByte); }
  static const char* value(const char* at, Window w) noexcept { return skip(at, w, kValueByte); }
  static const char* target(const char* at, Window w) noexcept { return skip(at, w, kTargetByte); }
  static const char* host(const char* at, Window w) noexcept { return skip(at, w, kHostByte); }
  // First byte that a path normaliser must look at: one that is not plain, a '.' behind '/', and,
  // with `merge`, a '/' behind '/'. The path begins at `at`.
  static const char* path(const char* at, Window w, bool merge) noexcept;
  // Like token(), and folds what it passes to lower case in place.
  static char* name(char* at, Window w) noexcept;
};

#if SLUICE_SCAN_SIMD
namespace internal {
// A byte b < 128 is in the class if bit b / 16 of low[b % 16] is set; others are in none.
struct ClassTable {
  alignas(16) uint8_t low[16];
};
constexpr ClassTable make_class_table(ByteClass k) noexcept {
  ClassTable t{};
  for (unsigned b = 0; b < 128; ++b) {
    if ((kByteClass.of[b] & k) != 0) {
      t.low[b & 15] = static_cast<uint8_t>(t.low[b & 15] | 1u << (b >> 4));
    }
  }
  return t;
}
inline constexpr ClassTable kTokenTable = make_class_table(kTokenByte);
inline constexpr ClassTable kTargetTable = make_class_table(kTargetByte);
inline constexpr ClassTable kHostTable = make_class_table(kHostByte);
inline constexpr ClassTable kPlainTable = make_class_table(kPlainByte);
}  // namespace internal

struct ScanSimd {
  static const char* token(const char* at, Window w) noexcept {
    return skip(at, w, internal::kTokenTable);
  }
  static const char* value(const char* at, Window w) noexcept {
    for (;; at += 16) {
      const __m128i x = load(at, w);
      const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
      const __m128i control = _mm_andnot_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), low);
      const unsigned stop = mask_of(_mm_or_si128(control, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));
      if (stop != 0) return at + __builtin_ctz(stop);
    }
  }
  static const char* target(const char* at, Window w) noexcept {
    return skip(at, w, internal::kTargetTable);
  }
  static const char* host(const char* at, Window w) noexcept {
    return skip(at, w, internal::kHostTable);
  }
  static const char* path(const char* at, Window w, bool merge) noexcept;
  static char* name(char* at, Window w) noexcept {
    if (w.end - at >= 16) [[likely]] {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      const unsigned stop = outside(x, internal::kTokenTable);
      if (stop != 0) [[likely]] {
        const auto size = static_cast<unsigned>(__builtin_ctz(stop));
        const __m128i upper = _mm_and_si128(upper_of(x), lanes_before(size));
        if (mask_of(upper) != 0) {
          const __m128i bit = _mm_and_si128(upper, _mm_set1_epi8(0x20));
          _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_or_si128(x, bit));
        }
        return at + size;
      }
    }
    return long_name(at, w);
  }

 private:
  // Shuffle controls; loaded from 16 - n on they move the last n of 16 bytes to the front and zero
  // the rest.
  static constexpr int8_t kShift[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                        11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1,
                                        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

  static constexpr int8_t kLanes[32] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                        -1, -1, -1, -1, -1, -1, -1, -1};

  static unsigned mask_of(__m128i x) noexcept {
    return static_cast<unsigned>(_mm_movemask_epi8(x));
  }
  // 16 bytes from `at`, those behind the window's end as NUL, which is in no class: so every loop
  // stops at the end by itself.
  static __m128i load(const char* at, Window w) noexcept {
    if (w.end - at >= 16) [[likely]]
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return load_last(at, w);
  }
  static __m128i load_last(const char* at, Window w) noexcept {
    const auto left = static_cast<size_t>(w.end - at);
    if (w.end - w.begin >= 16) [[likely]] {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.end - 16));
      return _mm_shuffle_epi8(
          x, _mm_loadu_si128(reinterpret_cast<const __m128i*>(kShift + 16 - left)));
    }
    char bytes[16] = {};
    if (left != 0) std::memcpy(bytes, at, left);
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  }
  // A bit for each byte that is not in the class.
  static unsigned outside(__m128i x, const internal::ClassTable& t) noexcept {
    const __m128i rows = _mm_load_si128(reinterpret_cast<const __m128i*>(t.low));
    const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i row = _mm_shuffle_epi8(rows, x);  // 0 where b >= 128
    const __m128i high = _mm_and_si128(_mm_srli_epi16(x, 4), _mm_set1_epi8(15));
    const __m128i hit = _mm_and_si128(row, _mm_shuffle_epi8(bits, high));
    return mask_of(_mm_cmpeq_epi8(hit, _mm_setzero_si128()));
  }
  static const char* skip(const char* at, Window w, const internal::ClassTable& t) noexcept {
    for (;; at += 16) {
      const unsigned stop = outside(load(at, w), t);
      if (stop != 0) return at + __builtin_ctz(stop);
    }
  }
  static __m128i upper_of(__m128i x) noexcept {
    return _mm_and_si128(_mm_cmpgt_epi8(x, _mm_set1_epi8('A' - 1)),
                         _mm_cmpgt_epi8(_mm_set1_epi8('Z' + 1), x));
  }
  // All bits of the first `size` <= 16 lanes.
  static __m128i lanes_before(unsigned size) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(kLanes + 16 - size));
  }
  // A name of more than 16 bytes, or near the window's end.
  static char* long_name(char* at, Window w) noexcept;
};
using Scan = ScanSimd;
#else
using Scan = ScanPortable;
#endif

}  // namespace sluice::http
