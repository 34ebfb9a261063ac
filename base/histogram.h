#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::base {

// Log-linear buckets for durations in nanoseconds, fixed for the whole process.
//
// An octave [2^k, 2^(k+1)) is cut into 10 equal buckets in its lower half and 6 in its upper half.
// Why so: with equal buckets the relative width is twice as large at the bottom of an octave as at
// its top; 16 equal ones err by 3.03 % when a bucket is represented by its best point, 10 + 6 err
// by 2.7 % with the same memory (32 equal ones would need twice as much). 32 octaves from 32 ns to
// 137 s, one bucket below and one above: 514 words of 8 bytes, 4.1 KiB.
struct HistogramBuckets {
  static constexpr uint32_t kFirstOctave = 5;
  static constexpr uint32_t kNumOctaves = 32;
  static constexpr uint32_t kLower = 10;
  static constexpr uint32_t kUpper = 6;
  static constexpr uint32_t kPerOctave = kLower + kUpper;
  static constexpr uint32_t kCount = kNumOctaves * kPerOctave + 2;

  static constexpr uint32_t index(uint64_t ns) noexcept {
    if (ns < (uint64_t{1} << kFirstOctave)) return 0;
    const auto octave = static_cast<uint32_t>(std::bit_width(ns)) - 1;
    if (octave >= kFirstOctave + kNumOctaves) return kCount - 1;
    const uint32_t half_bits = octave - 1;
    const uint64_t rest = ns & ((uint64_t{1} << half_bits) - 1);
    const bool upper = (ns >> half_bits & 1) != 0;
    const auto sub = static_cast<uint32_t>((rest * (upper ? kUpper : kLower)) >> half_bits) +
                     (upper ? kLower : 0);
    return 1 + (octave - kFirstOctave) * kPerOctave + sub;
  }
  // Smallest value of a bucket; of kCount: the end of the range.
  static constexpr uint64_t lower_bound(uint32_t bucket) noexcept {
    if (bucket == 0) return 0;
    const uint32_t octave = kFirstOctave + (bucket - 1) / kPerOctave;
    const uint32_t sub = (bucket - 1) % kPerOctave;
    const uint64_t base = uint64_t{1} << octave;
    const uint64_t half = base / 2;
    if (sub < kLower) return base + (half * sub + kLower - 1) / kLower;
    return base + half + (half * (sub - kLower) + kUpper - 1) / kUpper;
  }
  // The value that stands for a bucket: the one with the least relative error.
  static constexpr double representative(uint32_t bucket) noexcept {
    if (bucket == 0) return static_cast<double>(lower_bound(1)) / 2;
    const auto lo = static_cast<double>(lower_bound(bucket));
    if (bucket == kCount - 1) return lo;
    const auto hi = static_cast<double>(lower_bound(bucket + 1) - 1);
    return 2 * lo * hi / (lo + hi);
  }
};

// HistogramSnapshot is a plain copy, mergeable; for main and tests. 4 KiB.
struct HistogramSnapshot {
  uint64_t buckets[HistogramBuckets::kCount] = {};
  uint64_t sum_ns = 0;

  uint64_t count() const noexcept {
    uint64_t n = 0;
    for (const uint64_t b : buckets) n += b;
    return n;
  }
  void merge(const HistogramSnapshot& other) noexcept {
    for (uint32_t i = 0; i < HistogramBuckets::kCount; ++i) buckets[i] += other.buckets[i];
    sum_ns += other.sum_ns;
  }
  // The value at rank ceil(p * count), p in [0, 1], within 3 % for values from 32 ns to 137 s. 0
  // when empty.
  double quantile(double p) const noexcept {
    const uint64_t total = count();
    if (total == 0) return 0;
    const double exact = p * static_cast<double>(total);
    auto rank = static_cast<uint64_t>(exact);
    if (static_cast<double>(rank) < exact) ++rank;
    rank = std::clamp<uint64_t>(rank, 1, total);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HistogramBuckets::kCount; ++i) {
      seen += buckets[i];
      if (seen >= rank) return HistogramBuckets::representative(i);
    }
    return 0;
  }
  // How many values were at most `ns`, to the bucket's precision: for Prometheus' cumulative
  // buckets.
  uint64_t count_at_most(uint64_t ns) const noexcept {
    const uint32_t last = HistogramBuckets::index(ns);
    uint64_t n = 0;
    for (uint32_t i = 0; i <= last; ++i) n += buckets[i];
    return n;
  }
};

// Histogram counts durations. One writer (a worker), any readers: relaxed loads and stores, no
// read-modify-write (contract F2). add() costs about 3 ns; nothing allocates. A reader may see a
// value's bucket before its sum.
class Histogram {
 public:
  void add(uint64_t ns) noexcept {
    bump(buckets_[HistogramBuckets::index(ns)], 1);
    bump(sum_ns_, ns);
  }
  // Any thread. Adds what is here to `out`.
  void add_to(HistogramSnapshot& out) const noexcept {
    for (uint32_t i = 0; i < HistogramBuckets::kCount; ++i) {
      out.buckets[i] += buckets_[i].load(std::memory_order_relaxed);
    }
    out.sum_ns += sum_ns_.load(std::memory_order_relaxed);
  }
  HistogramSnapshot snapshot() const noexcept {
    HistogramSnapshot out;
    add_to(out);
    return out;
  }

 private:
  static void bump(std::atomic<uint64_t>& word, uint64_t n) noexcept {
    word.store(word.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  std::atomic<uint64_t> buckets_[HistogramBuckets::kCount] = {};
  std::atomic<uint64_t> sum_ns_{0};
};

}  // namespace sluice::base
