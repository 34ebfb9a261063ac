#include "base/credit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace sluice::base {
namespace {

TEST(CreditPool, ALimitOfZeroGrantsNothing) {
  CreditPool pool(0, 4);
  WorkerCredit worker(pool);
  EXPECT_FALSE(worker.take());
  EXPECT_FALSE(Credit(worker));
  EXPECT_TRUE(pool.is_open());
}

TEST(CreditPool, SmallLimitsAreExactWhoeverTakes) {
  constexpr unsigned kWorkers = 4;
  for (std::uint64_t limit = 1; limit < 16 * kWorkers; ++limit) {
    SCOPED_TRACE(limit);
    CreditPool pool(limit, kWorkers);
    std::deque<WorkerCredit> workers;
    for (unsigned i = 0; i < kWorkers; ++i) workers.emplace_back(pool);
    // Each worker uses credits and gives them back, so that spares would have gathered.
    for (WorkerCredit& worker : workers) {
      std::uint64_t taken = 0;
      while (worker.take()) ++taken;
      EXPECT_EQ(taken, limit);
      while (worker.in_use() > 0) worker.give();
      EXPECT_EQ(pool.remaining(), limit);
    }
  }
}

TEST(CreditPool, BigLimitsAreNeverExceededAndReachedWithinAQuarter) {
  constexpr unsigned kWorkers = 4;
  constexpr std::uint64_t kLimit = 1024;
  CreditPool pool(kLimit, kWorkers);
  std::deque<WorkerCredit> workers;
  for (unsigned i = 0; i < kWorkers; ++i) workers.emplace_back(pool);
  std::mt19937 random(3);
  std::uint64_t in_use = 0, num_refused = 0;
  for (int i = 0; i < 200'000; ++i) {
    WorkerCredit& worker = workers[random() % kWorkers];
    const bool wants = random() % 1000 < (i % 20'000 < 10'000 ? 530 : 470);
    if (wants) {
      if (worker.take()) {
        ++in_use;
      } else {
        ++num_refused;
        EXPECT_GT(in_use, kLimit - kLimit / 4);
      }
    } else if (worker.in_use() > 0) {
      worker.give();
      --in_use;
    }
    ASSERT_LE(in_use, kLimit);
    ASSERT_LE(in_use, pool.leased());
    ASSERT_LE(pool.leased(), kLimit);
  }
  EXPECT_GT(num_refused, 0u);
  for (WorkerCredit& worker : workers) {
    while (worker.in_use() > 0) worker.give();
    worker.settle();
  }
  EXPECT_EQ(pool.remaining(), kLimit);
}

TEST(CreditPool, TheSharedWordIsTouchedOncePerBatch) {
  CreditPool pool(8 * 100, 1);  // batches of 100
  WorkerCredit worker(pool);
  std::uint64_t num_touches = 0, leased = 0;
  const auto watch = [&] {
    if (pool.leased() != leased) ++num_touches;
    leased = pool.leased();
  };
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(worker.take());
    watch();
  }
  EXPECT_EQ(num_touches, 3u);
  // Going up and down around one level touches nothing.
  for (int i = 0; i < 1000; ++i) {
    worker.give();
    watch();
    ASSERT_TRUE(worker.take());
    watch();
  }
  EXPECT_EQ(num_touches, 3u);
  while (worker.in_use() > 0) {
    worker.give();
    watch();
  }
  EXPECT_EQ(num_touches, 4u);  // at 201 spares: 101 went back
  EXPECT_EQ(leased, 199u);
  worker.settle();
  EXPECT_EQ(pool.leased(), 0u);
}

TEST(CreditPool, ALoweredLimitHoldsOnceEnoughHasComeBack) {
  CreditPool pool(10, 1);
  WorkerCredit worker(pool);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(worker.take());
  pool.set_limit(4);
  EXPECT_EQ(pool.limit(), 4u);
  EXPECT_EQ(pool.remaining(), 0u);
  for (int i = 0; i < 6; ++i) {
    worker.give();
    EXPECT_FALSE(worker.take()) << i;
  }
  worker.give();
  EXPECT_TRUE(worker.take());
  while (worker.in_use() > 0) worker.give();
  EXPECT_EQ(pool.remaining(), 4u);
}

TEST(CreditPool, ARaisedLimitHoldsAtOnce) {
  CreditPool pool(1, 1);
  WorkerCredit worker(pool);
  ASSERT_TRUE(worker.take());
  EXPECT_FALSE(worker.take());
  pool.set_limit(3);
  EXPECT_TRUE(worker.take());
  EXPECT_TRUE(worker.take());
  EXPECT_FALSE(worker.take());
  while (worker.in_use() > 0) worker.give();
}

TEST(CreditPool, AWorkerLearnsThatBatchesBecameSmall) {
  CreditPool pool(800, 1);
  WorkerCredit worker(pool);
  ASSERT_TRUE(worker.take());  // and 99 spares
  pool.set_limit(2);
  worker.settle();
  WorkerCredit other(pool);
  EXPECT_TRUE(other.take());
  EXPECT_FALSE(other.take());
  other.give();
  worker.give();
  EXPECT_EQ(pool.remaining(), 2u);
}

TEST(CreditPool, NoLimitIsALimitToo) {
  CreditPool pool(std::numeric_limits<std::uint64_t>::max(), 64);
  WorkerCredit worker(pool);
  EXPECT_TRUE(worker.take());
  pool.set_limit(5);
  worker.give();
  worker.settle();
  EXPECT_EQ(pool.remaining(), 5u);
  pool.set_limit(std::numeric_limits<std::uint32_t>::max());
  EXPECT_EQ(pool.remaining(), std::numeric_limits<std::uint32_t>::max());
}

TEST(Credit, IsGivenBackOnceWhereverItMoved) {
  CreditPool pool(2, 1);
  WorkerCredit worker(pool);
  {
    Credit a(worker);
    Credit b(worker);
    EXPECT_TRUE(a && b);
    EXPECT_FALSE(Credit(worker));
    Credit c(std::move(a));
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
    b = std::move(c);
    EXPECT_EQ(worker.in_use(), 1u);
    b.reset();
    b.reset();
    EXPECT_EQ(worker.in_use(), 0u);
  }
  EXPECT_EQ(pool.remaining(), 2u);
}

// ---- CreditPools: made by the first who asks.

TEST(CreditPools, LimitsHoldBeforeAndAfterTheyAreMade) {
  CreditPools pools;
  pools.set_limits({1, 2, 3, 4, 5, 6, 7, 8});
  for (size_t i = 0; i < CreditPools::kNum; ++i) EXPECT_EQ(pools.remaining(i), i + 1);
  CreditPool* const made = pools.make(2);
  EXPECT_EQ(pools.make(2), made);
  WorkerCredit account(made[1]);
  {
    const Credit one(account), two(account), three(account);
    EXPECT_TRUE(two);
    EXPECT_FALSE(three);
    pools.set_limits({1, 5, 3, 4, 5, 6, 7, 8});
    EXPECT_EQ(pools.remaining(1), 3u) << "what is in use counts on";
  }
  account.settle();
  EXPECT_EQ(pools.remaining(1), 5u);
}

// Whoever makes them while limits are set ends with the last ones.
TEST(CreditPools, NoLimitIsLostWhileTheyAreMade) {
  for (int round = 0; round < 300; ++round) {
    CreditPools pools;
    pools.set_limits({});
    std::atomic<int> ready{0};
    CreditPool* made[2] = {};
    const auto meet = [&] {
      ++ready;
      while (ready.load() < 3) {
      }
    };
    std::thread one([&] { meet(), made[0] = pools.make(4); });
    std::thread two([&] { meet(), made[1] = pools.make(4); });
    meet();
    CreditPools::Limits limits{};
    for (uint32_t n = 1; n <= 20; ++n) limits.fill(n), pools.set_limits(limits);
    one.join();
    two.join();
    ASSERT_EQ(made[0], made[1]);
    for (size_t i = 0; i < CreditPools::kNum; ++i) {
      ASSERT_EQ(made[0][i].limit(), 20u) << i;
      ASSERT_EQ(pools.remaining(i), 20u) << i;
    }
  }
}

}  // namespace
}  // namespace sluice::base
