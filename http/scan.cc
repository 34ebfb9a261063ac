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

NameScan ScanPortable::name(char* at, Window w) noexcept {
  bool underscore = false;
  for (; at != w.end && is_class(*at, kTokenByte); ++at) {
    underscore |= *at == '_';
    if (*at >= 'A' && *at <= 'Z') *at = static_cast<char>(*at | 0x20);
  }
  return {at, underscore};
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

void ScanSimd::fold(char* at, Window w, __m128i x, __m128i upper, unsigned stop) noexcept {
  const unsigned size = stop == 0 ? 16 : static_cast<unsigned>(__builtin_ctz(stop));
  if (w.end - at < 16) {
    for (unsigned i = 0; i < size; ++i) {
      if (at[i] >= 'A' && at[i] <= 'Z') at[i] = static_cast<char>(at[i] | 0x20);
    }
    return;
  }
  // Lanes before the stop keep their bit 0x20.
  const __m128i lanes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kShift + 16 - size));
  const __m128i inside = _mm_cmpgt_epi8(lanes, _mm_set1_epi8(-1));
  const __m128i bit = _mm_and_si128(_mm_and_si128(upper, inside), _mm_set1_epi8(0x20));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), _mm_or_si128(x, bit));
}

#endif

}  // namespace sluice::http
