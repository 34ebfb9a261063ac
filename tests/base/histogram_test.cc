#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "base/stamps.h"

namespace sluice::base {
namespace {

using B = HistogramBuckets;

TEST(HistogramBuckets, EveryBucketBeginsWhereTheOneBeforeEnds) {
  for (uint32_t i = 1; i < B::kCount; ++i) {
    SCOPED_TRACE(i);
    const uint64_t lo = B::lower_bound(i);
    ASSERT_LT(B::lower_bound(i - 1), lo);
    EXPECT_EQ(B::index(lo), i);
    EXPECT_EQ(B::index(lo - 1), i - 1);
  }
}

TEST(HistogramBuckets, RangeReachesFromBelow50NsToBeyond100S) {
  EXPECT_EQ(B::index(0), 0u);
  EXPECT_GT(B::index(50), B::index(32));
  EXPECT_LT(B::index(100'000'000'000), B::kCount - 1);
  EXPECT_EQ(B::index(UINT64_MAX), B::kCount - 1);
}

TEST(HistogramBuckets, RepresentativeErrsByLessThanThreePercent) {
  double worst = 0;
  for (uint32_t i = 1; i + 1 < B::kCount; ++i) {
    const auto lo = static_cast<double>(B::lower_bound(i));
    const auto hi = static_cast<double>(B::lower_bound(i + 1) - 1);
    const double r = B::representative(i);
    worst = std::max({worst, std::abs(r - lo) / lo, std::abs(r - hi) / hi});
  }
  EXPECT_LT(worst, 0.0275);
  EXPECT_GT(worst, 0.02);
}

TEST(HistogramBuckets, IsSmall) { EXPECT_LE(sizeof(Histogram), 4200u); }

// The oracle: the sorted values themselves.
double exact_quantile(const std::vector<uint64_t>& sorted, double p) {
  const auto n = static_cast<double>(sorted.size());
  const auto rank = std::max<size_t>(1, static_cast<size_t>(std::ceil(p * n)));
  return static_cast<double>(sorted[rank - 1]);
}

TEST(Histogram, QuantilesAgreeWithSortedValues) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    std::lognormal_distribution<double> spread(5 + round, 0.3 + 0.2 * (round % 5));
    std::vector<uint64_t> values;
    Histogram histogram;
    uint64_t sum = 0;
    for (int i = 0; i < 5000; ++i) {
      const auto v = static_cast<uint64_t>(std::clamp(spread(random), 32.0, 1.3e11));
      values.push_back(v);
      histogram.add(v);
      sum += v;
    }
    std::sort(values.begin(), values.end());
    const HistogramSnapshot snapshot = histogram.snapshot();
    EXPECT_EQ(snapshot.count(), values.size());
    EXPECT_EQ(snapshot.sum_ns, sum);
    for (const double p : {0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      SCOPED_TRACE(p);
      const double exact = exact_quantile(values, p);
      EXPECT_NEAR(snapshot.quantile(p), exact, exact * 0.03);
    }
  }
}

TEST(Histogram, MergedSnapshotsEqualOneHistogram) {
  std::mt19937_64 random(11);
  Histogram one, other, both;
  for (int i = 0; i < 3000; ++i) {
    const uint64_t v = random() >> (random() % 60);
    (i % 2 == 0 ? one : other).add(v);
    both.add(v);
  }
  HistogramSnapshot merged = one.snapshot();
  merged.merge(other.snapshot());
  const HistogramSnapshot expected = both.snapshot();
  EXPECT_TRUE(std::equal(std::begin(merged.buckets), std::end(merged.buckets),
                         std::begin(expected.buckets)));
  EXPECT_EQ(merged.sum_ns, expected.sum_ns);
}

TEST(Histogram, CountAtMostIsCumulative) {
  Histogram histogram;
  for (const uint64_t v : {40u, 400u, 4'000u, 40'000u}) histogram.add(v);
  const HistogramSnapshot s = histogram.snapshot();
  EXPECT_EQ(s.count_at_most(10), 0u);
  EXPECT_EQ(s.count_at_most(50), 1u);
  EXPECT_EQ(s.count_at_most(5'000), 3u);
  EXPECT_EQ(s.count_at_most(UINT64_MAX), 4u);
}

TEST(Histogram, EmptyHasNoQuantile) {
  EXPECT_EQ(HistogramSnapshot().quantile(0.5), 0);
  EXPECT_EQ(HistogramSnapshot().count(), 0u);
}

TEST(Stamps, MissingPointsGiveNoSpan) {
  Stamps stamps;
  EXPECT_EQ(stamps.between_ns(Stamp::kReceived, Stamp::kFlushed), -1);
  stamps.set(Stamp::kReceived, 1000);
  EXPECT_EQ(stamps.between_ns(Stamp::kReceived, Stamp::kFlushed), -1);
  stamps.set(Stamp::kFlushed, 900);  // another core's counter may lag
  EXPECT_EQ(stamps.between_ns(Stamp::kReceived, Stamp::kFlushed), 0);
}

TEST(CostHistograms, RecordsExactlyTheSpansThatHappened) {
  calibrate_ticks();
  Stamps stamps;
  stamps.set(Stamp::kReceived, 1'000'000);
  stamps.set(Stamp::kHeadParsed, 2'000'000);
  stamps.set(Stamp::kPinned, 2'000'000);
  stamps.set(Stamp::kRouted, 2'000'000);
  CostHistograms costs;
  costs.record(stamps);
  for (size_t i = 0; i < static_cast<size_t>(Cost::kCount); ++i) {
    SCOPED_TRACE(kCostSpans[i].name);
    const auto cost = static_cast<Cost>(i);
    const bool happened = cost == Cost::kParse || cost == Cost::kRoute;
    EXPECT_EQ(costs.of(cost).snapshot().count(), happened ? 1u : 0u);
  }
  const auto parse = costs.of(Cost::kParse).snapshot();
  EXPECT_EQ(parse.sum_ns, static_cast<uint64_t>(ns_of_ticks(1'000'000)));
}

}  // namespace
}  // namespace sluice::base
