#include "base/slab.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

namespace sluice::base {
namespace {

TEST(Slab, EveryClassHoldsWhatIsAskedAndLittleMore) {
  for (size_t bytes = 0; bytes < Slab::kPageBytes; ++bytes) {
    const size_t nth = Slab::class_of(bytes);
    const size_t holds = Slab::bytes_of_class(nth);
    ASSERT_GE(holds, bytes);
    ASSERT_EQ(holds % 16, 0u);
    ASSERT_LE(holds, bytes + 16 + bytes / 4) << bytes;
    if (nth > 0) {
      ASSERT_LT(Slab::bytes_of_class(nth - 1), std::max<size_t>(bytes, 1)) << bytes;
    }
  }
}

TEST(Slab, PiecesAreAlignedAndDoNotOverlap) {
  Slab slab;
  std::map<char*, size_t> out;
  uint64_t seed = 7;
  const auto next = [&seed] {
    return seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
  };
  for (int i = 0; i < 20'000; ++i) {
    if (out.size() < 300 && next() >> 63 == 0) {
      const size_t bytes = (next() >> 40) % ((next() >> 60) == 0 ? 40'000 : 700);
      auto* const p = static_cast<char*>(slab.allocate(bytes));
      ASSERT_NE(p, nullptr);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(p) % 16, 0u);
      const auto after = out.lower_bound(p);
      if (after != out.end()) {
        ASSERT_LE(p + bytes, after->first);
      }
      if (after != out.begin()) {
        ASSERT_LE(std::prev(after)->first + std::prev(after)->second, p);
      }
      std::memset(p, static_cast<int>(bytes), bytes);
      out[p] = bytes;
    } else if (!out.empty()) {
      auto it = out.begin();
      std::advance(it, static_cast<long>((next() >> 33) % out.size()));
      for (size_t j = 0; j < it->second; ++j) {
        ASSERT_EQ(static_cast<unsigned char>(it->first[j]), it->second & 0xff);
      }
      slab.free(it->first);
      out.erase(it);
    }
  }
  for (const auto& [p, bytes] : out) slab.free(p);
  EXPECT_EQ(slab.bytes_out(), 0u);
}

TEST(Slab, WhatWasFreedIsUsedAgainWithoutAskingTheSystem) {
  Slab slab;
  const auto round = [&slab] {
    std::vector<void*> out;
    for (size_t bytes = 1; bytes < 30'000; bytes += bytes / 3 + 1) {
      out.push_back(slab.allocate(bytes));
    }
    for (void* p : out) slab.free(p);
  };
  round();
  const uint64_t asked = slab.num_refills();
  const size_t held = slab.bytes_held();
  for (int i = 0; i < 1000; ++i) round();
  EXPECT_EQ(slab.num_refills(), asked);
  EXPECT_EQ(slab.bytes_held(), held);
}

TEST(Slab, ZeroedIsZeroThoughUsedBefore) {
  Slab slab;
  for (const size_t bytes : {size_t{8}, size_t{600}, size_t{16'384}, size_t{40'000}}) {
    void* const dirty = slab.allocate(bytes);
    std::memset(dirty, 0xee, bytes);
    slab.free(dirty);
    auto* const clean = static_cast<unsigned char*>(slab.allocate_zeroed(bytes, 1));
    ASSERT_EQ(clean, dirty);
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(clean[i], 0);
    slab.free(clean);
  }
  EXPECT_EQ(slab.allocate_zeroed(~size_t{0} / 2, 3), nullptr);
}

TEST(Slab, ReallocateKeepsTheContent) {
  Slab slab;
  auto* p = static_cast<char*>(slab.reallocate(nullptr, 1));
  size_t had = 1;
  p[0] = 'x';
  for (const size_t bytes :
       {size_t{2}, size_t{16}, size_t{17}, size_t{5000}, size_t{16'383}, size_t{16'384},
        size_t{70'000}, size_t{70'001}, size_t{300}, size_t{3}}) {
    p = static_cast<char*>(slab.reallocate(p, bytes));
    ASSERT_NE(p, nullptr);
    for (size_t i = 0; i < std::min(had, bytes); ++i) ASSERT_EQ(p[i], 'x') << bytes;
    std::memset(p, 'x', bytes);
    had = bytes;
  }
  slab.free(p);
  slab.free(nullptr);
  EXPECT_EQ(slab.bytes_out(), 0u);
}

TEST(Slab, BeyondItsLimitItAnswersNull) {
  Slab slab(128 * 1024);
  std::vector<void*> out;
  for (;;) {
    void* const p = slab.allocate(1000);
    if (p == nullptr) break;
    out.push_back(p);
  }
  EXPECT_GE(out.size(), 100u);
  EXPECT_LE(slab.bytes_held(), 128u * 1024);
  EXPECT_EQ(slab.allocate(20'000), nullptr);
  EXPECT_EQ(slab.reallocate(out.back(), 20'000), nullptr);
  slab.free(out.back());
  out.pop_back();
  out.push_back(slab.allocate(1000));
  EXPECT_NE(out.back(), nullptr);
  for (void* p : out) slab.free(p);
}

TEST(Slab, ManyFreedPagesGoBackToTheSystem) {
  Slab slab;
  std::vector<void*> out;
  out.reserve(100);
  for (int i = 0; i < 100; ++i) out.push_back(slab.allocate(20'000));
  EXPECT_GE(slab.bytes_held(), 2'000'000u);
  for (void* p : out) slab.free(p);
  EXPECT_LE(slab.bytes_held(), 16u * 24'576);
}

}  // namespace
}  // namespace sluice::base
