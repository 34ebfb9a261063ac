#include "net/timer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace sluice::net {
namespace {

using base::MonoNs;

constexpr MonoNs kStart = 1'000'000'000;

// What a timer does when it fires is the test's business.
struct Probe {
  Timer timer = Timer::of<&Probe::on_fire>(this);
  std::function<void()> then;
  int num_fired = 0;

  void on_fire() noexcept {
    ++num_fired;
    if (then) then();
  }
};

TEST(TimerWheel, NeverEarlyAndAtMostOneTickLate) {
  for (const int64_t delay : {int64_t{1}, int64_t{1000}, TimerWheel::kTickNs - 1,
                              TimerWheel::kTickNs, TimerWheel::kTickNs + 1,
                              64 * TimerWheel::kTickNs, base::kNsPerSec, 3600 * base::kNsPerSec}) {
    SCOPED_TRACE(delay);
    TimerWheel wheel(kStart);
    Probe probe;
    probe.timer.arm(wheel, kStart + delay);
    wheel.advance(kStart + delay - 1);
    EXPECT_EQ(probe.num_fired, 0);
    wheel.advance(kStart + delay + TimerWheel::kTickNs);
    EXPECT_EQ(probe.num_fired, 1);
    EXPECT_FALSE(probe.timer.armed());
    wheel.advance(kStart + 100 * delay + TimerWheel::kTickNs);
    EXPECT_EQ(probe.num_fired, 1);
  }
}

TEST(TimerWheel, NextDeadlineOfOneNearTimerIsItsTick) {
  TimerWheel wheel(kStart);
  EXPECT_EQ(wheel.next_deadline(), TimerWheel::kNever);
  Probe probe;
  probe.timer.arm(wheel, kStart + 20 * base::kNsPerMs);
  EXPECT_GE(wheel.next_deadline(), kStart + 20 * base::kNsPerMs);
  EXPECT_LE(wheel.next_deadline(), kStart + 20 * base::kNsPerMs + TimerWheel::kTickNs);
  probe.timer.cancel();
  EXPECT_EQ(wheel.next_deadline(), TimerWheel::kNever);
}

TEST(TimerWheel, AFarTimerWakesTheLoopOnlyOncePerLevel) {
  TimerWheel wheel(kStart);
  Probe probe;
  const MonoNs deadline = kStart + 24 * 3600 * base::kNsPerSec;
  probe.timer.arm(wheel, deadline);
  int num_wakeups = 0;
  while (probe.num_fired == 0) {
    ASSERT_LT(++num_wakeups, 10);
    wheel.advance(wheel.next_deadline());
  }
  EXPECT_LE(num_wakeups, 6);
}

TEST(TimerWheel, DeadlineInThePastFiresAtTheNextAdvance) {
  TimerWheel wheel(kStart);
  Probe probe;
  probe.timer.arm(wheel, 0);
  EXPECT_LE(wheel.next_deadline(), kStart);
  EXPECT_EQ(wheel.advance(kStart), 1u);
  EXPECT_EQ(probe.num_fired, 1);
}

TEST(TimerWheel, CallbackThatAlwaysArmsForNowDoesNotHoldUpAdvance) {
  TimerWheel wheel(kStart);
  Probe probe;
  MonoNs now = kStart;
  probe.then = [&] { probe.timer.arm(wheel, now); };
  probe.timer.arm(wheel, now);
  for (int i = 0; i < 10; ++i) {
    now += TimerWheel::kTickNs;
    wheel.advance(now);
    EXPECT_LE(probe.num_fired, i + 1);
  }
  EXPECT_GE(probe.num_fired, 5);
}

TEST(TimerWheel, PostponedTimerFiresAtItsNewDeadline) {
  TimerWheel wheel(kStart);
  Probe probe;
  MonoNs now = kStart;
  for (int i = 0; i < 1000; ++i) {
    probe.timer.arm(wheel, now + 50 * base::kNsPerMs);
    now += base::kNsPerMs;
    wheel.advance(now);
    ASSERT_EQ(probe.num_fired, 0);
  }
  EXPECT_EQ(wheel.num_armed(), 1u);
  wheel.advance(now + 49 * base::kNsPerMs + TimerWheel::kTickNs);
  EXPECT_EQ(probe.num_fired, 1);
}

TEST(TimerWheel, TimersMayBeDestroyedAndCancelledByACallbackOfTheSameSlot) {
  for (int killer = 0; killer < 4; ++killer) {
    SCOPED_TRACE(killer);
    TimerWheel wheel(kStart);
    std::vector<std::unique_ptr<Probe>> probes;
    int num_fired = 0;
    for (int i = 0; i < 4; ++i) {
      probes.push_back(std::make_unique<Probe>());
      probes.back()->timer.arm(wheel, kStart + base::kNsPerMs);
      probes.back()->then = [&, i] {
        ++num_fired;
        if (i != killer) return;
        for (int other = 0; other < 4; ++other) {
          if (other != killer && probes[static_cast<size_t>(other)]) {
            if (other % 2 == 0) {
              probes[static_cast<size_t>(other)].reset();
            } else {
              probes[static_cast<size_t>(other)]->timer.cancel();
            }
          }
        }
      };
    }
    wheel.advance(kStart + base::kNsPerSec);
    EXPECT_LE(num_fired, 4);
    EXPECT_GE(num_fired, 1);
    EXPECT_EQ(wheel.num_armed(), 0u);
    EXPECT_EQ(wheel.next_deadline(), TimerWheel::kNever);
  }
}

TEST(TimerWheel, TimerThatIsDestroyedInItsOwnCallbackIsGone) {
  TimerWheel wheel(kStart);
  auto probe = std::make_unique<Probe>();
  bool fired = false;
  Timer timer(
      [](void* p) noexcept {
        auto& owned = *static_cast<std::unique_ptr<Probe>*>(p);
        owned->num_fired = 1;
        owned.reset();
      },
      &probe);
  timer.arm(wheel, kStart + 1);
  probe->timer.arm(wheel, kStart + 1);
  probe->then = [&] { fired = true; };
  wheel.advance(kStart + base::kNsPerSec);
  EXPECT_EQ(probe, nullptr);
  EXPECT_EQ(wheel.num_armed(), 0u);
}

TEST(TimerWheel, MovesBetweenWheelsAndOutlivesThem) {
  Probe probe;
  TimerWheel second(kStart);
  {
    TimerWheel first(kStart);
    probe.timer.arm(first, kStart + 1);
    probe.timer.arm(second, kStart + 1);
    EXPECT_EQ(first.num_armed(), 0u);
    EXPECT_EQ(second.num_armed(), 1u);
    probe.timer.arm(first, kStart + 1);
  }
  EXPECT_FALSE(probe.timer.armed());
  EXPECT_EQ(second.num_armed(), 0u);
}

TEST(TimerWheel, TheGreatestDeadlineFitsAndNeverFires) {
  TimerWheel wheel(kStart);
  Probe probe;
  probe.timer.arm(wheel, TimerWheel::kNever);
  EXPECT_EQ(wheel.advance(kStart + 1000 * 24 * 3600 * base::kNsPerSec), 0u);
  EXPECT_TRUE(probe.timer.armed());
}

// The oracle: deadlines in a multimap. Whatever the wheel fires must be due there; whatever was due
// for more than a tick must have fired; and the wheel must not sleep past any deadline by more than
// a tick.
class AgainstOracle : public testing::TestWithParam<uint32_t> {
 protected:
  struct Entry {
    AgainstOracle* test = nullptr;
    Timer timer = Timer::of<&Entry::on_fire>(this);
    std::multimap<MonoNs, Entry*>::iterator at;
    bool armed = false;
    void on_fire() noexcept { test->fired(*this); }
  };

  void arm(Entry& e, MonoNs deadline) {
    forget(e);
    e.at = oracle_.emplace(deadline, &e);
    e.armed = true;
    e.timer.arm(wheel_, deadline);
  }
  void cancel(Entry& e) {
    forget(e);
    e.timer.cancel();
  }
  void forget(Entry& e) {
    if (e.armed) oracle_.erase(e.at);
    e.armed = false;
  }
  void fired(Entry& e) {
    ++num_fired_;
    ASSERT_TRUE(e.armed);
    ASSERT_LE(e.at->first, now_) << "early";
    forget(e);
    random_step(2);
  }
  int64_t random_delay() {
    const int bits = static_cast<int>(random_() % 44);
    return static_cast<int64_t>(random_() & ((uint64_t{1} << bits) - 1)) - 1000;
  }
  // Up to `most` operations on random timers: arming, postponing, cancelling, replacing.
  void random_step(uint32_t most) {
    for (uint64_t i = random_() % (most + 1); i > 0; --i) {
      auto& slot = entries_[random_() % entries_.size()];
      switch (random_() % 8) {
        case 0:
          cancel(*slot);
          break;
        case 1:
          forget(*slot);
          slot = make();
          break;
        case 2:
          if (slot->armed) arm(*slot, slot->at->first + std::abs(random_delay()));
          break;
        default:
          arm(*slot, now_ + random_delay());
          break;
      }
    }
  }
  std::unique_ptr<Entry> make() {
    auto e = std::make_unique<Entry>();
    e->test = this;
    return e;
  }
  void check() {
    uint64_t num_armed = 0;
    for (auto& e : entries_) {
      ASSERT_EQ(e->armed, e->timer.armed());
      num_armed += e->armed ? 1 : 0;
    }
    ASSERT_EQ(wheel_.num_armed(), num_armed);
    if (oracle_.empty()) {
      ASSERT_EQ(wheel_.next_deadline(), TimerWheel::kNever);
    } else {
      ASSERT_LE(wheel_.next_deadline(),
                std::max(oracle_.begin()->first + TimerWheel::kTickNs, now_));
    }
  }

  std::mt19937_64 random_{GetParam()};
  MonoNs now_ = kStart;
  TimerWheel wheel_{kStart};
  std::multimap<MonoNs, Entry*> oracle_;
  std::vector<std::unique_ptr<Entry>> entries_;
  uint64_t num_fired_ = 0;
};

TEST_P(AgainstOracle, RandomOperations) {
  for (int i = 0; i < 200; ++i) entries_.push_back(make());
  for (int step = 0; step < 5000; ++step) {
    random_step(8);
    ASSERT_NO_FATAL_FAILURE(check());
    const MonoNs next = wheel_.next_deadline();
    // As the loop does: sleep until the next slot, or be late by anything up to minutes.
    const bool exact = random_() % 2 == 0 && next != TimerWheel::kNever;
    now_ = exact ? std::max(now_, next) : now_ + std::abs(random_delay()) / 64;
    // Callbacks arm for the past too, which takes another call.
    while (wheel_.advance(now_) != 0) {
    }
    if (!oracle_.empty()) {
      ASSERT_GT(oracle_.begin()->first + TimerWheel::kTickNs, now_) << "late";
    }
    ASSERT_NO_FATAL_FAILURE(check());
  }
  // In the end everything fires.
  for (int i = 0; i < 100'000 && !oracle_.empty(); ++i) {
    now_ = std::max(now_, wheel_.next_deadline());
    wheel_.advance(now_);
    for (auto& e : entries_) {
      if (e->armed && e->at->first > now_ + 60 * base::kNsPerSec) cancel(*e);
    }
  }
  EXPECT_GT(num_fired_, 5000u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AgainstOracle, testing::Range(1u, 9u));

}  // namespace
}  // namespace sluice::net
