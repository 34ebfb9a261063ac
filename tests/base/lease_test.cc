#include "base/lease.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace sluice::base {
namespace {

struct Part {
  explicit Part(int n) : number(n) { ++num_alive; }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() { --num_alive; }

  int number;
  inline static int num_alive = 0;
};

using PartPtr = std::shared_ptr<const Part>;

PartPtr make_part(int n) { return std::make_shared<const Part>(n); }

struct LeaseTest : testing::Test {
  ~LeaseTest() override {
    main.run_all();
    EXPECT_EQ(Part::num_alive, 0);
  }

  int num_wakes = 0;
  Mailbox main{{[](void* n) noexcept { ++*static_cast<int*>(n); }, &num_wakes}};
};

TEST_F(LeaseTest, ABookTakesOneReferenceHoweverManyUsers) {
  LeaseBook book(main);
  PartPtr part = make_part(1);
  Lease<Part> first = book.take(part);
  EXPECT_EQ(part.use_count(), 2);
  Lease<Part> second = book.take(part);
  Lease<Part> third = second;
  Lease<Part> fourth = std::move(third);
  EXPECT_FALSE(third);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(part.use_count(), 2);
  EXPECT_EQ(book.num_parts(), 1u);
  EXPECT_EQ(fourth->number, 1);
  EXPECT_EQ((*first).number, 1);
  EXPECT_EQ(second.get(), part.get());
}

TEST_F(LeaseTest, AUserKeepsThePartAfterItsOwnersLetItGo) {
  LeaseBook book(main);
  Lease<Part> lease = book.take(make_part(7));
  EXPECT_EQ(lease->number, 7);
  lease.reset();
  EXPECT_EQ(Part::num_alive, 1);
}

TEST_F(LeaseTest, AnUnusedPartLingersForAtLeastOneSweep) {
  LeaseBook book(main);
  Lease<Part> lease = book.take(make_part(1));
  lease.reset();
  EXPECT_EQ(book.num_idle(), 1u);
  book.sweep();
  EXPECT_TRUE(main.empty());
  book.sweep();
  EXPECT_EQ(num_wakes, 1);
  EXPECT_EQ(book.num_parts(), 0u);
  EXPECT_EQ(book.num_idle(), 0u);
  // Not destroyed here: that is for whoever drains main's mailbox.
  EXPECT_EQ(Part::num_alive, 1);
  EXPECT_EQ(main.run_all(), 1u);
  EXPECT_EQ(Part::num_alive, 0);
}

TEST_F(LeaseTest, APartThatIsLeasedAgainInTimeStays) {
  LeaseBook book(main);
  PartPtr part = make_part(1);
  for (int i = 0; i < 10; ++i) {
    Lease<Part> lease = book.take(part);
    EXPECT_EQ(book.num_idle(), 0u);
    book.sweep();
    book.sweep();
    book.sweep();
    lease.reset();
    book.sweep();
  }
  EXPECT_TRUE(main.empty());
  EXPECT_EQ(part.use_count(), 2);
}

TEST_F(LeaseTest, APartWhoseReferenceIsOnItsWayMayBeLeasedAgain) {
  LeaseBook book(main);
  PartPtr part = make_part(1);
  book.take(part).reset();
  book.sweep();
  book.sweep();
  EXPECT_EQ(part.use_count(), 2);  // in main's mailbox
  Lease<Part> lease = book.take(part);
  EXPECT_EQ(part.use_count(), 3);
  main.run_all();
  EXPECT_EQ(part.use_count(), 2);
  EXPECT_EQ(lease->number, 1);
}

TEST_F(LeaseTest, OnlySoManyUnusedPartsLinger) {
  LeaseBook book(main);
  for (int i = 0; i < 1000; ++i) book.take(make_part(i));
  EXPECT_EQ(book.num_idle(), LeaseBook::kMaxIdle);
  EXPECT_EQ(main.run_all(), 1000 - LeaseBook::kMaxIdle);
  EXPECT_EQ(Part::num_alive, static_cast<int>(LeaseBook::kMaxIdle));
}

TEST_F(LeaseTest, ABookThatEndsGivesEverythingBack) {
  {
    LeaseBook book(main);
    for (int i = 0; i < 5; ++i) book.take(make_part(i));
    EXPECT_EQ(Part::num_alive, 5);
  }
  EXPECT_EQ(Part::num_alive, 5);
  EXPECT_EQ(main.run_all(), 5u);
  EXPECT_EQ(Part::num_alive, 0);
}

TEST_F(LeaseTest, ABookMayEndBeforeOrAfterItsReferencesArrive) {
  for (const bool arrive_first : {false, true}) {
    SCOPED_TRACE(arrive_first);
    {
      LeaseBook book(main);
      book.take(make_part(1));
      book.take(make_part(2));
      book.sweep();
      book.sweep();
      if (arrive_first) main.run_all();
    }
    main.run_all();
    EXPECT_EQ(Part::num_alive, 0);
  }
}

TEST_F(LeaseTest, MainMaySendReferencesOnInsteadOfDroppingThem) {
  std::vector<std::shared_ptr<const void>> pool;
  {
    LeaseBook book(main, {[](void* to, std::shared_ptr<const void>&& part) noexcept {
                            static_cast<decltype(pool)*>(to)->push_back(std::move(part));
                          },
                          &pool});
    book.take(make_part(1));
  }
  main.run_all();
  ASSERT_EQ(pool.size(), 1u);
  EXPECT_EQ(Part::num_alive, 1);
  pool.clear();
}

TEST_F(LeaseTest, PartsOfDifferentTypesLiveInOneBook) {
  LeaseBook book(main);
  auto mutable_part = std::make_shared<Part>(1);
  auto text = std::make_shared<const std::string>("chain");
  Lease<Part> a = book.take(mutable_part);
  Lease<std::string> b = book.take(text);
  EXPECT_EQ(a->number, 1);
  EXPECT_EQ(*b, "chain");
  EXPECT_EQ(book.num_parts(), 2u);
}

// Against a map that counts: thousands of parts, taken, copied and released in any order.
TEST_F(LeaseTest, CountsAsAMapWould) {
  constexpr std::size_t kParts = 500;
  std::mt19937 random(11);
  std::vector<PartPtr> parts;
  parts.reserve(kParts);
  for (std::size_t i = 0; i < kParts; ++i) parts.push_back(make_part(static_cast<int>(i)));
  {
    LeaseBook book(main);
    std::vector<Lease<Part>> leases;
    std::map<const Part*, int> num_users;
    for (int step = 0; step < 50'000; ++step) {
      const std::size_t i = random() % kParts;
      switch (random() % 4) {
        case 0:
          leases.push_back(book.take(parts[i]));
          ++num_users[parts[i].get()];
          break;
        case 1:
          if (leases.empty()) break;
          leases.push_back(leases[random() % leases.size()]);
          ++num_users[leases.back().get()];
          break;
        default: {
          if (leases.empty()) break;
          std::swap(leases[random() % leases.size()], leases.back());
          if (--num_users[leases.back().get()] == 0) num_users.erase(leases.back().get());
          leases.pop_back();
        }
      }
      if (step % 100 == 0) {
        book.sweep();
        main.run_all();
      }
      ASSERT_EQ(book.num_parts() - book.num_idle(), num_users.size());
      for (const Lease<Part>& lease : leases) {
        ASSERT_EQ(lease.get(), parts[static_cast<std::size_t>(lease->number)].get());
      }
    }
    leases.clear();
    book.sweep();
    book.sweep();
    EXPECT_EQ(book.num_parts(), 0u);
    main.run_all();
    for (const PartPtr& part : parts) EXPECT_EQ(part.use_count(), 1);
  }
}

}  // namespace
}  // namespace sluice::base
