#pragma once

#include <cstdint>
#include <limits>

#include "base/clock.h"

namespace sluice::net {

class TimerWheel;

// Timer is one deadline and what to do then; a member of whatever it guards. Worker-local.
// arm(), cancel() and the destructor are O(1) and never allocate; all three may be used from inside
// any timer's callback, its own included. It fires once per arm(): never before the deadline, at
// most one tick of the wheel (4.2 ms) after it plus the time that the loop is busy. Moving a
// deadline further away (an idle timer on each request) is a single store: the node stays where it
// is and finds its new place when its old slot comes up.
class Timer {
 public:
  using Fire = void (*)(void* owner) noexcept;

  Timer(Fire fire, void* owner) noexcept : fire_(fire), owner_(owner) {}
  // Timer::of<&Session::on_idle>(this): calls the noexcept member function.
  template <auto Method, typename Owner>
  static Timer of(Owner* owner) noexcept {
    return Timer([](void* self) noexcept { (static_cast<Owner*>(self)->*Method)(); }, owner);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  // Arms or re-arms. A deadline that has passed fires in the next turn.
  inline void arm(TimerWheel& wheel, base::MonoNs deadline) noexcept;
  inline void cancel() noexcept;
  bool armed() const noexcept { return wheel_ != nullptr; }
  // Meaningful while armed.
  base::MonoNs deadline() const noexcept { return deadline_; }

 private:
  friend class TimerWheel;
  Timer* next_ = nullptr;
  Timer** link_ = nullptr;  // what points to this node: a slot, or its neighbour's next_
  TimerWheel* wheel_ = nullptr;
  base::MonoNs deadline_ = 0;
  uint64_t slot_tick_ = 0;  // when its slot comes up; never after the deadline's tick
  Fire fire_;
  void* owner_;
};

// TimerWheel answers "which deadlines have passed, and when is the next one?" for one loop.
//
// Owns no timer; outlives all that are armed in it. Worker-local, allocates nothing.
// Time is cut into ticks of 2^22 ns. Seven levels of 64 slots cover all of int64: a timer hangs at
// the level of the highest digit (base 64) in which its tick differs from now, so whatever hangs on
// a lower level comes first, and one bitmap word per level finds the next occupied slot without a
// walk. advance() costs what fires or moves down a level (each timer moves at most six times in its
// life); next_deadline() costs seven tests. tests/net/timer_test.cc holds the oracle, a
// std::multimap.
class TimerWheel {
 public:
  static constexpr int kTickShift = 22;
  static constexpr int64_t kTickNs = int64_t{1} << kTickShift;
  static constexpr base::MonoNs kNever = std::numeric_limits<int64_t>::max();

  explicit TimerWheel(base::MonoNs now) noexcept : tick_(floor_tick(now)) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  // Fires everything that is due at `now`; returns how many fired. A timer that a callback arms
  // with a deadline in the past waits for the next call.
  uint32_t advance(base::MonoNs now) noexcept;
  // No timer is due before it: when the loop has to look again. kNever: none is armed.
  base::MonoNs next_deadline() const noexcept;
  uint64_t num_armed() const noexcept { return num_armed_; }

 private:
  friend class Timer;
  static constexpr int kDigitBits = 6;
  static constexpr int kSlots = 1 << kDigitBits;
  static constexpr int kLevels = 7;

  static uint64_t floor_tick(base::MonoNs t) noexcept {
    return t <= 0 ? 0 : static_cast<uint64_t>(t) >> kTickShift;
  }
  static uint64_t ceil_tick(base::MonoNs t) noexcept {
    return t <= 0 ? 0 : (static_cast<uint64_t>(t) + (kTickNs - 1)) >> kTickShift;
  }
  static int level_of(uint64_t difference) noexcept {
    return (63 - __builtin_clzll(difference)) / kDigitBits;
  }
  void insert(Timer& timer) noexcept;
  void unlink(Timer& timer) noexcept;
  static void push(Timer** head, Timer& timer) noexcept;
  static void splice(Timer** from, Timer** to) noexcept;
  uint64_t next_tick(int* level, int* slot) const noexcept;
  void bring_up(int level, int slot) noexcept;
  uint32_t fire_all() noexcept;

  uint64_t tick_;
  uint64_t num_armed_ = 0;
  Timer* due_ = nullptr;     // armed with a deadline in the past: next advance()
  Timer* firing_ = nullptr;  // being fired now; callbacks may take members out
  uint64_t occupied_[kLevels] = {};
  Timer* slots_[kLevels][kSlots] = {};
};

inline void Timer::arm(TimerWheel& wheel, base::MonoNs deadline) noexcept {
  deadline_ = deadline;
  if (wheel_ == &wheel) {
    if (TimerWheel::ceil_tick(deadline) >= slot_tick_) return;
    wheel.unlink(*this);
  } else if (wheel_ != nullptr) {
    wheel_->unlink(*this);
  }
  wheel.insert(*this);
}

inline void Timer::cancel() noexcept {
  if (wheel_ != nullptr) wheel_->unlink(*this);
}

}  // namespace sluice::net
