#include "http/scan.h"

namespace sluice::http {

const char* ScanPortable::path(const char* at, Window w, bool merge) noexcept {
  bool behind_slash = false;
  for (; at != w.end && is_class(*at, kPlainByte); ++at) {
    if (behind_slash && (*at == '.' || (merge && *at == '/'))) return at;
    behind_slash = *at == '/';
  }
  return at;
}

char* ScanPortable::name(char* at, Window w) noexcept {
  for (; at != w.end && is_class(*at, kTokenByte); ++at) {
    if (*at >= 'A' && *at <= 'Z') *at = static_cast<char>(*at | 0x20);
  }
  return at;
}

#if SLUICE_SCAN_SIMD

const char* ScanSimd::path(const char* at, Window w, bool merge) noexcept {
  unsigned carry = 0;
  for (;; at += 16) {
    const __m128i x = load(at, w);
    const unsigned slash = mask_of(_mm_cmpeq_epi8(x, _mm_set1_epi8('/')));
    const unsigned dot = mask_of(_mm_cmpeq_epi8(x, _mm_set1_epi8('.')));
    const unsigned behind_slash = (slash << 1) | carry;
    const unsigned pairs = behind_slash & (merge ? dot | slash : dot);
    const unsigned stop = outside(x, internal::kPlainTable) | pairs;
    if ((stop & 0xffff) != 0) return at + __builtin_ctz(stop);
    carry = slash >> 15;
  }
}

char* ScanSimd::long_name(char* at, Window w) noexcept {
  for (; w.end - at >= 16; at += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const unsigned stop = outside(x, internal::kTokenTable);
    const unsigned size = stop == 0 ? 16 : static_cast<unsigned>(__builtin_ctz(stop));
    const __m128i upper = _mm_and_si128(upper_of(x), lanes_before(size));
    const __m128i bit = _mm_and_si128(upper, _mm_set1_epi8(0x20));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_or_si128(x, bit));
    if (stop != 0) return at + size;
  }
  return ScanPortable::name(at, w);
}

#endif

}  // namespace sluice::http
