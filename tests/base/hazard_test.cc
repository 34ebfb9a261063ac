#include "base/hazard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

namespace sluice::base {
namespace {

// Counts its living objects.
struct Table {
  explicit Table(int n) : number(n) { ++num_alive; }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() { --num_alive; }

  int number;
  inline static int num_alive = 0;
};

using Domain = HazardDomain<Table>;
using Garbage = std::vector<std::unique_ptr<const Table>>;

struct HazardDomainTest : testing::Test {
  void publish(int number) { domain.publish(std::make_unique<const Table>(number), ++now); }
  // Destroys what nobody protects, and says which tables these were.
  std::vector<int> reclaim() {
    Garbage garbage;
    const std::size_t n = domain.reclaim(garbage);
    EXPECT_EQ(n, garbage.size());
    std::vector<int> numbers;
    for (const auto& table : garbage) numbers.push_back(table->number);
    return numbers;
  }

  // Destroyed after the domain: nothing may be left then.
  struct NothingLeft {
    ~NothingLeft() { EXPECT_EQ(Table::num_alive, 0); }
  } nothing_left;
  MonoNs now = 100;
  Domain domain;
};

struct HazardReaderTest : HazardDomainTest {
  int num_drained = 0;
  Domain::ReaderPtr reader = domain.register_reader(
      {[](void* context) noexcept { ++static_cast<HazardReaderTest*>(context)->num_drained; },
       this});
};

using Numbers = std::vector<int>;

TEST_F(HazardDomainTest, NothingIsPublishedAtFirst) {
  EXPECT_EQ(domain.published(), nullptr);
  EXPECT_EQ(domain.published_id(), 0u);
  EXPECT_TRUE(domain.live().empty());
  EXPECT_TRUE(domain.adopted_by_all(0));
  EXPECT_EQ(reclaim(), Numbers{});
}

TEST_F(HazardDomainTest, WithoutReadersEverySupersededVersionIsFree) {
  for (int i = 1; i <= 3; ++i) publish(i);
  EXPECT_EQ(domain.published()->number, 3);
  EXPECT_EQ(domain.num_retired(), 2u);
  EXPECT_EQ(reclaim(), (Numbers{1, 2}));
  EXPECT_EQ(domain.num_retired(), 0u);
}

TEST_F(HazardDomainTest, ReclaimHandsOverAndDoesNotDestroy) {
  publish(1);
  publish(2);
  Garbage garbage;
  domain.reclaim(garbage);
  EXPECT_EQ(Table::num_alive, 2);
  garbage.clear();
  EXPECT_EQ(Table::num_alive, 1);
}

TEST(HazardDomain, DestroysAllThatIsLeft) {
  {
    Domain domain;
    domain.publish(std::make_unique<const Table>(1), 1);
    domain.publish(std::make_unique<const Table>(2), 2);
    EXPECT_EQ(Table::num_alive, 2);
  }
  EXPECT_EQ(Table::num_alive, 0);
}

TEST_F(HazardReaderTest, HasNothingBeforeTheFirstPublish) {
  EXPECT_FALSE(reader->adopt(now));
  EXPECT_EQ(reader->current(), nullptr);
  EXPECT_EQ(reader->current_id(), 0u);
  EXPECT_EQ(reader->oldest_superseded_at(), 0);
}

TEST_F(HazardReaderTest, AdoptsEachVersionOnce) {
  publish(1);
  EXPECT_EQ(reader->current(), nullptr);
  EXPECT_TRUE(reader->adopt(now));
  EXPECT_FALSE(reader->adopt(now));
  EXPECT_EQ(reader->current()->number, 1);
  publish(2);
  EXPECT_EQ(reader->current()->number, 1);
  EXPECT_TRUE(reader->adopt(now));
  EXPECT_EQ(reader->current()->number, 2);
  EXPECT_EQ(reader->current_id(), 2u);
}

TEST_F(HazardReaderTest, ItsCurrentVersionIsProtectedWithoutAPin) {
  publish(1);
  reader->adopt(now);
  publish(2);
  EXPECT_EQ(reclaim(), Numbers{});
  EXPECT_EQ(reader->current()->number, 1);
  EXPECT_EQ(num_drained, 0);
  reader->adopt(now);
  EXPECT_EQ(num_drained, 1);
  EXPECT_EQ(reclaim(), Numbers{1});
}

TEST_F(HazardReaderTest, VersionsThatItSkippedAreFree) {
  publish(1);
  reader->adopt(now);
  for (int i = 2; i <= 6; ++i) publish(i);
  EXPECT_EQ(reclaim(), (Numbers{2, 3, 4, 5}));
  reader->adopt(now);
  EXPECT_EQ(reader->current()->number, 6);
  EXPECT_EQ(reclaim(), Numbers{1});
}

TEST_F(HazardReaderTest, APinKeepsItsVersionUntilTheLastOneGoes) {
  publish(1);
  reader->adopt(now);
  Pin<Table> first = reader->pin();
  Pin<Table> second = reader->pin();
  EXPECT_EQ(first.superseded_at(), 0);
  publish(2);
  now = 500;
  reader->adopt(now);
  EXPECT_EQ(first->number, 1);
  EXPECT_EQ(first.superseded_at(), 500);
  EXPECT_EQ(first.id(), 1u);
  first.reset();
  EXPECT_EQ(reclaim(), Numbers{});
  EXPECT_EQ(num_drained, 0);
  EXPECT_EQ((*second).number, 1);
  second.reset();
  EXPECT_EQ(num_drained, 1);
  EXPECT_EQ(reclaim(), Numbers{1});
}

TEST_F(HazardReaderTest, UnpinningTheCurrentVersionDrainsNothing) {
  publish(1);
  reader->adopt(now);
  for (int i = 0; i < 3; ++i) reader->pin();
  EXPECT_EQ(num_drained, 0);
  EXPECT_EQ(reader->current()->number, 1);
}

TEST_F(HazardReaderTest, PinsMoveAndShare) {
  publish(1);
  reader->adopt(now);
  Pin<Table> pin = reader->pin();
  Pin<Table> moved = std::move(pin);
  EXPECT_FALSE(pin);  // NOLINT(bugprone-use-after-move)
  ASSERT_TRUE(moved);
  publish(2);
  reader->adopt(now);
  Pin<Table> other = moved.share();
  pin = std::move(other);
  moved = reader->pin();  // lets the first version go, takes the second
  EXPECT_EQ(pin->number, 1);
  EXPECT_EQ(moved->number, 2);
  EXPECT_EQ(num_drained, 0);
  Pin<Table>& same = pin;
  pin = std::move(same);
  ASSERT_TRUE(pin);
  pin = Pin<Table>();
  EXPECT_EQ(num_drained, 1);
}

TEST_F(HazardReaderTest, HoldsAnyNumberOfVersionsAndDrainsThemInAnyOrder) {
  constexpr int kVersions = 1000;
  std::vector<Pin<Table>> pins;
  for (int i = 0; i < kVersions; ++i) {
    publish(i);
    reader->adopt(now);
    pins.push_back(reader->pin());
  }
  EXPECT_EQ(reclaim(), Numbers{});
  EXPECT_EQ(domain.num_retired(), kVersions - 1u);

  std::shuffle(pins.begin(), pins.end(), std::mt19937(7));
  while (!pins.empty()) {
    const int number = pins.back()->number;
    pins.pop_back();
    EXPECT_EQ(reclaim(), number == kVersions - 1 ? Numbers{} : Numbers{number});
    MonoNs last = 0;
    std::size_t num_pinned = 0;
    reader->for_each_pinned(
        [&](const Table& table, std::uint64_t id, MonoNs since, std::uint32_t num_pins) {
          EXPECT_EQ(static_cast<std::uint64_t>(table.number) + 1, id);
          EXPECT_GT(since, last);
          EXPECT_EQ(num_pins, 1u);
          last = since;
          ++num_pinned;
        });
    EXPECT_GE(pins.size(), num_pinned);
    EXPECT_LE(pins.size(), num_pinned + 1);  // the current one is not superseded
  }
  EXPECT_EQ(reader->oldest_superseded_at(), 0);
}

TEST_F(HazardReaderTest, TellsSinceWhenItsOldestPinnedVersionIsSuperseded) {
  std::vector<Pin<Table>> pins;
  for (int i = 0; i < 4; ++i) {
    publish(i);
    now = 1000 * (i + 1);
    reader->adopt(now);
    pins.push_back(reader->pin());
  }
  EXPECT_EQ(reader->oldest_superseded_at(), 2000);
  pins[1].reset();
  EXPECT_EQ(reader->oldest_superseded_at(), 2000);
  pins[0].reset();
  EXPECT_EQ(reader->oldest_superseded_at(), 4000);
  pins[2].reset();
  EXPECT_EQ(reader->oldest_superseded_at(), 0);
}

TEST_F(HazardReaderTest, LeavingGivesUpTheCurrentVersion) {
  publish(1);
  reader->adopt(now);
  publish(2);
  EXPECT_EQ(reclaim(), Numbers{});
  reader.reset();
  EXPECT_EQ(num_drained, 1);
  EXPECT_EQ(reclaim(), Numbers{1});
  EXPECT_EQ(domain.num_readers(), 0u);
  reader = domain.register_reader();
  EXPECT_EQ(domain.num_readers(), 1u);
}

TEST_F(HazardReaderTest, AReaderThatStallsHoldsOnlyItsOwn) {
  Domain::ReaderPtr stalled = domain.register_reader();
  publish(0);
  stalled->adopt(now);
  Pin<Table> pin = stalled->pin();
  publish(1);
  stalled->adopt(now);  // and here it sleeps, with two versions
  for (int i = 2; i < 100; ++i) {
    publish(i);
    reader->adopt(now);
    reclaim();
    EXPECT_LE(domain.num_retired(), 2u);
  }
  EXPECT_EQ(pin->number, 0);
  EXPECT_EQ(stalled->current()->number, 1);
  pin.reset();
  stalled->adopt(now);
  EXPECT_EQ(reclaim(), (Numbers{0, 1}));
}

TEST_F(HazardReaderTest, LiveListsVersionsWithAgesAndPins) {
  Domain::ReaderPtr other = domain.register_reader();
  now = 10;
  publish(1);  // published at 11
  reader->adopt(20);
  other->adopt(21);
  Pin<Table> pin = reader->pin();
  Pin<Table> second = reader->pin();
  now = 30;
  publish(2);
  reader->adopt(40);

  EXPECT_FALSE(domain.adopted_by_all(2));
  const auto progress = domain.progress();
  ASSERT_EQ(progress.size(), 2u);
  EXPECT_EQ(progress[0].adopted_id, 2u);
  EXPECT_EQ(progress[0].adopted_at, 40);
  EXPECT_EQ(progress[1].adopted_id, 1u);

  const auto live = domain.live();
  ASSERT_EQ(live.size(), 2u);
  EXPECT_EQ(live[0].id, 1u);
  EXPECT_EQ(live[0].published_at, 11);
  EXPECT_EQ(live[0].superseded_at, 31);
  ASSERT_EQ(live[0].readers.size(), 2u);
  EXPECT_EQ(live[0].readers[0].index, 0u);
  EXPECT_EQ(live[0].readers[0].num_pins, 2u);
  EXPECT_FALSE(live[0].readers[0].is_current);
  EXPECT_EQ(live[0].readers[1].num_pins, 0u);
  EXPECT_TRUE(live[0].readers[1].is_current);
  EXPECT_EQ(live[1].superseded_at, 0);
  ASSERT_EQ(live[1].readers.size(), 1u);
  EXPECT_TRUE(live[1].readers[0].is_current);

  other->adopt(50);
  EXPECT_TRUE(domain.adopted_by_all(2));
}

TEST(HazardReader, MayLeaveOnItsOwnThread) {
  Domain domain;
  domain.publish(std::make_unique<const Table>(1), 1);
  Domain::ReaderPtr reader = domain.register_reader();
  std::thread([reader = std::move(reader)]() mutable {
    reader->adopt(2);
    EXPECT_EQ(reader->pin()->number, 1);
    reader.reset();
  }).join();
  domain.publish(std::make_unique<const Table>(2), 3);
  Garbage garbage;
  EXPECT_EQ(domain.reclaim(garbage), 1u);
  EXPECT_EQ(domain.num_readers(), 0u);
}

// std::atomic that counts how many of it were ever made: a chunk is made of them.
struct CountedAtomics {
  template <class U>
  struct Atomic : std::atomic<U> {
    Atomic() { ++num_made; }
    Atomic(U value) : std::atomic<U>(value) { ++num_made; }  // NOLINT: as std::atomic's
    using std::atomic<U>::operator=;
  };
  inline static int num_made = 0;
};

TEST(HazardReader, SlotsAreUsedAgain) {
  HazardDomain<Table, CountedAtomics> domain;
  auto reader = domain.register_reader();
  std::vector<std::unique_ptr<const Table>> garbage;
  const auto hold_versions = [&](int num_versions) {
    std::vector<Pin<Table, CountedAtomics>> pins;
    for (int i = 0; i < num_versions; ++i) {
      domain.publish(std::make_unique<const Table>(i), i);
      reader->adopt(i);
      pins.push_back(reader->pin());
    }
  };
  hold_versions(20);
  const int num_made = CountedAtomics::num_made;
  for (int round = 0; round < 100; ++round) hold_versions(20);
  EXPECT_EQ(CountedAtomics::num_made, num_made);
  hold_versions(40);
  EXPECT_GT(CountedAtomics::num_made, num_made);
  domain.reclaim(garbage);
  reader.reset();
}

}  // namespace
}  // namespace sluice::base
