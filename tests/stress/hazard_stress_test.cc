// Real threads: sixteen readers and a publisher at 100 kHz. A destroyed table is poisoned, so that
// a reader that meets one fails on its check sum, and under AddressSanitizer on the access.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/hazard.h"
#include "base/mailbox.h"

namespace sluice::base {
namespace {

using SteadyClock = std::chrono::steady_clock;

#if defined(__SANITIZE_THREAD__)
constexpr int kChurnThreads = 1000;
#else
constexpr int kChurnThreads = 10'000;
#endif
constexpr auto kDuration = std::chrono::seconds(5);
constexpr std::size_t kReaders = 16;
constexpr std::size_t kMostPins = 8;

class Table {
 public:
  explicit Table(std::uint64_t seed) noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t& word : words_) sum += word = seed = seed * 6364136223846793005u + 1;
    sum_ = sum;
    num_alive.fetch_add(1, std::memory_order_relaxed);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    // Volatile, or the compiler leaves out stores to an object that dies.
    for (volatile std::uint64_t& word : words_) word = 0xDEADDEADDEADDEAD;
    num_alive.fetch_sub(1, std::memory_order_relaxed);
  }

  bool is_whole() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t word : words_) sum += word;
    return sum == sum_;
  }

  inline static std::atomic<int> num_alive{0};

 private:
  std::uint64_t words_[16];
  std::uint64_t sum_;
};

using Domain = HazardDomain<Table>;

struct Reading {
  std::uint64_t num_turns = 0;
  std::uint64_t num_adopted = 0;
  std::uint64_t num_broken = 0;
};

// A worker's life: adopt, pin and unpin at random, look at everything it holds.
Reading read_until(const std::atomic<bool>& stop, Domain::ReaderPtr reader, std::uint32_t seed) {
  Reading reading;
  std::mt19937 random(seed);
  std::vector<Pin<Table>> pins;
  while (!stop.load(std::memory_order_relaxed)) {
    ++reading.num_turns;
    if (reader->adopt(1)) ++reading.num_adopted;
    if (reader->current() == nullptr) continue;
    if (!reader->current()->is_whole()) ++reading.num_broken;
    if (pins.size() < kMostPins) pins.push_back(reader->pin());
    if (random() % 2 == 0) {
      std::swap(pins[random() % pins.size()], pins.back());
      pins.pop_back();
    }
    for (const Pin<Table>& pin : pins) {
      if (!pin->is_whole()) ++reading.num_broken;
    }
    if (random() % 64 == 0) std::this_thread::yield();
  }
  return reading;
}

TEST(HazardStress, SixteenReadersAndAPublisherAt100Khz) {
  {
    Domain domain;
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    std::vector<Reading> readings(kReaders);

    // One reader sleeps with a pinned and a current version until the end.
    domain.publish(std::make_unique<const Table>(0), 0);
    Domain::ReaderPtr stalled = domain.register_reader();
    stalled->adopt(1);
    Pin<Table> stalled_pin = stalled->pin();
    domain.publish(std::make_unique<const Table>(1), 0);
    stalled->adopt(1);

    threads.reserve(kReaders);
    for (std::size_t i = 0; i < kReaders; ++i) {
      threads.emplace_back([&stop, &readings, i, reader = domain.register_reader()]() mutable {
        readings[i] = read_until(stop, std::move(reader), static_cast<std::uint32_t>(i));
      });
    }

    // Protected are at most the pinned versions and the current one of each reader and the one that
    // it is adopting; of the stalled one, two.
    constexpr std::size_t kBound = kReaders * (kMostPins + 2) + 2;
    std::size_t most_retired = 0;
    std::uint64_t num_published = 2, num_destroyed = 0;
    std::vector<std::unique_ptr<const Table>> garbage;
    const auto start = SteadyClock::now();
    for (auto due = start; due < start + kDuration; due += std::chrono::microseconds(10)) {
      while (SteadyClock::now() < due) {
      }
      domain.publish(std::make_unique<const Table>(++num_published), 0);
      num_destroyed += domain.reclaim(garbage);
      garbage.clear();
      most_retired = std::max(most_retired, domain.num_retired());
      ASSERT_LE(domain.num_retired(), kBound);
      // Behind by a millisecond (a slow machine, a sanitizer): no burst to catch up.
      due = std::max(due, SteadyClock::now() - std::chrono::milliseconds(1));
    }

    stop.store(true);
    for (std::thread& thread : threads) thread.join();
    std::uint64_t num_turns = 0, num_adopted = 0;
    for (const Reading& reading : readings) {
      EXPECT_EQ(reading.num_broken, 0u);
      EXPECT_GT(reading.num_adopted, 0u);
      num_turns += reading.num_turns;
      num_adopted += reading.num_adopted;
    }
    EXPECT_TRUE(stalled_pin->is_whole());
    EXPECT_TRUE(stalled->current()->is_whole());
    num_destroyed += domain.reclaim(garbage);
    garbage.clear();
    EXPECT_EQ(domain.num_retired(), 2u);  // the stalled reader's
    stalled_pin.reset();
    stalled.reset();
    num_destroyed += domain.reclaim(garbage);
    EXPECT_EQ(num_destroyed, num_published - 1);
    RecordProperty("published", std::to_string(num_published));
    std::printf("published %lu, adopted %lu in %lu turns, at most %zu retired of %zu allowed\n",
                static_cast<unsigned long>(num_published), static_cast<unsigned long>(num_adopted),
                static_cast<unsigned long>(num_turns), most_retired, kBound);
  }
  EXPECT_EQ(Table::num_alive.load(), 0);
}

TEST(HazardStress, ThreadsComeAndGo) {
  {
    Domain domain;
    std::vector<std::unique_ptr<const Table>> garbage;
    std::atomic<int> num_broken{0};
    constexpr int kAtOnce = 20;
    for (int done = 0; done < kChurnThreads; done += kAtOnce) {
      std::vector<std::thread> threads;
      for (int i = 0; i < kAtOnce; ++i) {
        domain.publish(std::make_unique<const Table>(static_cast<std::uint64_t>(done + i)), 0);
        threads.emplace_back([&num_broken, reader = domain.register_reader()]() mutable {
          for (int turn = 0; turn < 20; ++turn) {
            reader->adopt(1);
            if (!reader->pin()->is_whole()) ++num_broken;
          }
          reader.reset();
        });
        domain.reclaim(garbage);
        garbage.clear();
        ASSERT_LE(domain.num_readers(), static_cast<std::size_t>(kAtOnce));
        ASSERT_LE(domain.num_retired(), static_cast<std::size_t>(2 * kAtOnce));
      }
      for (std::thread& thread : threads) thread.join();
      domain.reclaim(garbage);
      garbage.clear();
      ASSERT_EQ(domain.num_readers(), 0u);
      ASSERT_EQ(domain.num_retired(), 0u);
    }
    EXPECT_EQ(num_broken.load(), 0);
  }
  EXPECT_EQ(Table::num_alive.load(), 0);
}

// As in the server: main reclaims only when it published or when a reader's nudge arrived.
TEST(HazardStress, NudgesAloneBringEveryVersionBack) {
  constexpr std::size_t kWorkers = 4;
  constexpr std::uint64_t kVersions = 2000;
  {
    Domain domain;
    Mailbox main;
    std::vector<std::unique_ptr<const Table>> garbage;
    struct Main {
      Domain& domain;
      std::vector<std::unique_ptr<const Table>>& garbage;
    } state{domain, garbage};
    Nudge nudge(
        main,
        [](void* context) noexcept {
          auto* self = static_cast<Main*>(context);
          self->domain.reclaim(self->garbage);
          self->garbage.clear();
        },
        &state);
    const DrainedHook hook{[](void* n) noexcept { static_cast<Nudge*>(n)->fire(); }, &nudge};

    std::atomic<std::size_t> num_caught_up{0};
    std::vector<std::thread> threads;
    threads.reserve(kWorkers);
    for (std::size_t i = 0; i < kWorkers; ++i) {
      threads.emplace_back([&num_caught_up, reader = domain.register_reader(hook)]() mutable {
        std::vector<Pin<Table>> pins;
        while (reader->current_id() < kVersions) {
          if (!reader->adopt(1)) {
            std::this_thread::yield();
            continue;
          }
          pins.push_back(reader->pin());
          if (pins.size() > 3) pins.erase(pins.begin());
        }
        pins.clear();
        ++num_caught_up;
        while (num_caught_up.load() <= kWorkers) std::this_thread::yield();
      });
    }
    for (std::uint64_t i = 0; i < kVersions; ++i) {
      domain.publish(std::make_unique<const Table>(i), 0);
      // No reader falls far behind, so that each adopts and drains hundreds of versions.
      do {
        main.run_all();
      } while (i > 5 && !domain.adopted_by_all(i - 5));
    }
    // No more publishing: only nudges can bring the rest back.
    while (num_caught_up.load() < kWorkers) main.run_all();
    main.run_all();
    EXPECT_EQ(domain.num_retired(), 0u);
    EXPECT_EQ(Table::num_alive.load(), 1);
    ++num_caught_up;
    for (std::thread& thread : threads) thread.join();
    main.run_all();
  }
  EXPECT_EQ(Table::num_alive.load(), 0);
}

}  // namespace
}  // namespace sluice::base
