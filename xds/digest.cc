#include "xds/digest.h"

#include <bit>
#include <cstring>

namespace sluice::xds {
namespace {

constexpr uint64_t kC1 = 0x87C37B91114253D5;
constexpr uint64_t kC2 = 0x4CF5AD432745937F;

uint64_t scramble1(uint64_t k) noexcept { return std::rotl(k * kC1, 31) * kC2; }
uint64_t scramble2(uint64_t k) noexcept { return std::rotl(k * kC2, 33) * kC1; }

uint64_t finish(uint64_t k) noexcept {
  k = (k ^ k >> 33) * 0xFF51AFD7ED558CCD;
  k = (k ^ k >> 33) * 0xC4CEB9FE1A85EC53;
  return k ^ k >> 33;
}

}  // namespace

std::array<uint64_t, 2> digest128(std::string_view bytes) noexcept {
  uint64_t h1 = 0, h2 = 0;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t block[2];
  for (; left >= sizeof(block); left -= sizeof(block), at += sizeof(block)) {
    memcpy(block, at, sizeof(block));
    h1 = (std::rotl(h1 ^ scramble1(block[0]), 27) + h2) * 5 + 0x52DCE729;
    h2 = (std::rotl(h2 ^ scramble2(block[1]), 31) + h1) * 5 + 0x38495AB5;
  }
  block[0] = block[1] = 0;
  if (left > 0) memcpy(block, at, left);
  h2 ^= scramble2(block[1]);
  h1 ^= scramble1(block[0]);
  h1 ^= bytes.size();
  h2 ^= bytes.size();
  h1 += h2;
  h2 += h1;
  h1 = finish(h1);
  h2 = finish(h2);
  h1 += h2;
  h2 += h1;
  return {h1, h2};
}

}  // namespace sluice::xds
