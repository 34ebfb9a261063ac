// Hazard pointers and mailboxes under a deterministic scheduler with store buffers: thousands of
// seeded interleavings of the code that ships, and a mutant machine on which it must go wrong.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "base/hazard.h"
#include "base/mailbox.h"
#include "tests/base/stepped_atomics.h"

namespace sluice::base {
namespace {

using testing::Stepped;
using testing::Stepper;

struct Table {
  bool given_away = false;
};

// One run: readers adopt, pin and unpin while main publishes and reclaims. Returns how often a
// reader saw a version that had been given away. Nothing is destroyed before the end, so the mutant
// is wrong without touching freed memory.
template <bool kFenced>
int num_violations(std::uint32_t seed) {
  using Atomics = Stepped<kFenced>;
  constexpr int kReaders = 2, kTurns = 12, kPublishes = 6;
  HazardDomain<Table, Atomics> domain;
  std::vector<std::unique_ptr<const Table>> garbage;
  int num_bad = 0;

  const auto read = [&](auto reader, std::uint32_t reader_seed) {
    std::mt19937 random(reader_seed);
    std::vector<Pin<Table, Atomics>> pins;
    const auto check = [&](const Table* table) {
      // A root that was given away is empty until it is used again.
      if (table == nullptr || table->given_away) ++num_bad;
    };
    for (int turn = 0; turn < kTurns; ++turn) {
      reader->adopt(turn);
      check(reader->current());
      if (random() % 2 == 0) pins.push_back(reader->pin());
      if (!pins.empty() && random() % 2 == 0) {
        std::swap(pins[random() % pins.size()], pins.back());
        pins.pop_back();
      }
      for (const auto& pin : pins) check(pin.get());
    }
  };
  const auto write = [&] {
    for (int i = 0; i < kPublishes; ++i) {
      domain.publish(std::make_unique<const Table>(), i);
      const std::size_t before = garbage.size();
      domain.reclaim(garbage);
      for (std::size_t g = before; g < garbage.size(); ++g) {
        const_cast<Table*>(garbage[g].get())->given_away = true;
      }
    }
  };

  domain.publish(std::make_unique<const Table>(), 0);
  std::vector<std::function<void()>> bodies{write};
  std::vector<typename HazardDomain<Table, Atomics>::ReaderPtr> readers;
  readers.reserve(kReaders);
  for (int r = 0; r < kReaders; ++r) readers.push_back(domain.register_reader());
  for (auto& reader : readers) {
    const auto reader_seed = static_cast<std::uint32_t>(seed * 31 + bodies.size());
    bodies.push_back([&read, &reader, reader_seed] { read(std::move(reader), reader_seed); });
  }
  Stepper::run(seed, bodies);

  domain.reclaim(garbage);
  EXPECT_EQ(domain.num_retired(), 0u);
  EXPECT_EQ(domain.num_readers(), 0u);
  EXPECT_EQ(garbage.size(), std::size_t{kPublishes});
  return num_bad;
}

TEST(HazardInterleaving, NoReaderSeesAVersionThatWasGivenAway) {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    ASSERT_EQ(num_violations<true>(seed), 0) << "seed " << seed;
  }
}

TEST(HazardInterleaving, WithoutTheOrderingOneDoes) {
  int num_bad_seeds = 0;
  for (std::uint32_t seed = 0; seed < 500 && num_bad_seeds < 3; ++seed) {
    if (num_violations<false>(seed) > 0) ++num_bad_seeds;
  }
  EXPECT_EQ(num_bad_seeds, 3);
}

// Producers post; the consumer sleeps unless it was woken, as behind an eventfd.
TEST(MailboxInterleaving, NoPostIsLostOrOutOfOrder) {
  using Atomics = Stepped<true>;
  constexpr int kProducers = 3, kPosts = 5;
  struct Numbered : Post {
    Numbered() : Post(&Numbered::log) {}
    static void log(Post* post) noexcept {
      auto* self = static_cast<Numbered*>(post);
      self->seen->push_back(self->number);
    }
    int number = 0;
    std::vector<int>* seen = nullptr;
  };

  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Atomics::Atomic<bool> event{false};
    BasicMailbox<Atomics> mailbox(
        {[](void* e) noexcept { static_cast<Atomics::Atomic<bool>*>(e)->exchange(true); }, &event});
    std::vector<std::vector<int>> seen(kProducers);
    std::vector<std::vector<Numbered>> posts(kProducers);
    std::size_t num_run = 0;
    int num_empty_turns = 0;

    std::vector<std::function<void()>> bodies;
    bodies.push_back([&] {
      // Ends by itself only when all has run; a lost wake-up would let it turn for ever.
      while (num_run < kProducers * kPosts && num_empty_turns < 100'000) {
        if (event.exchange(false)) {
          num_run += mailbox.run_all();
        } else {
          ++num_empty_turns;
        }
      }
    });
    for (std::size_t p = 0; p < kProducers; ++p) {
      posts[p].resize(kPosts);
      bodies.push_back([&, p] {
        for (int i = 0; i < kPosts; ++i) {
          Numbered& post = posts[p][static_cast<std::size_t>(i)];
          post.number = i;
          post.seen = &seen[p];
          mailbox.post(&post);
        }
      });
    }
    Stepper::run(seed, bodies);
    for (const std::vector<int>& numbers : seen) {
      ASSERT_EQ(numbers, (std::vector<int>{0, 1, 2, 3, 4}));
    }
  }
}

}  // namespace
}  // namespace sluice::base
