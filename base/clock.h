#pragma once

#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace sluice::base {

// Nanoseconds on the monotonic clock, and on the wall clock since the epoch. Plain integers: they
// are compared and subtracted on the request path.
using MonoNs = int64_t;
using WallNs = int64_t;

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kNsPerSec = 1'000'000'000;

// Clock answers "what time is it in this loop turn?". One per thread (worker-local); refresh() is
// called once per turn and is the only place that asks the kernel (through the vDSO), everything
// else reads the cached values: no time call per request (contract F8).
// A manual clock, for tests, moves only by advance().
class Clock {
 public:
  enum class Kind : uint8_t { kSystem, kManual };
  explicit Clock(Kind kind = Kind::kSystem) noexcept : kind_(kind) {
    if (kind == Kind::kManual) {
      mono_ = kNsPerSec;
      wall_ = 1'600'000'000 * kNsPerSec;
    } else {
      refresh();
    }
  }

  MonoNs now() const noexcept { return mono_; }
  WallNs wall() const noexcept { return wall_; }

  void refresh() noexcept {
    if (kind_ == Kind::kManual) return;
    timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    mono_ = ts.tv_sec * kNsPerSec + ts.tv_nsec;
    clock_gettime(CLOCK_REALTIME, &ts);
    wall_ = ts.tv_sec * kNsPerSec + ts.tv_nsec;
  }

  // Manual clocks only.
  void advance(int64_t ns) noexcept {
    mono_ += ns;
    wall_ += ns;
  }

 private:
  Kind kind_;
  MonoNs mono_ = 0;
  WallNs wall_ = 0;
};

// Cycle stamps: the time stamp counter, which is constant and synchronised on every machine we
// support; a stamp costs about 8 ns. ns_of_ticks() converts a difference with a factor that
// calibrate_ticks() measured once at start (it takes about 2 ms; main only).
using Ticks = uint64_t;

inline Ticks ticks_now() noexcept {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  Ticks t;
  asm volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<Ticks>(ts.tv_sec * kNsPerSec + ts.tv_nsec);
#endif
}

void calibrate_ticks() noexcept;

namespace internal {
// Fixed point: ns = ticks * factor >> 24. Written once by calibrate_ticks().
extern uint64_t tick_factor;
}  // namespace internal

inline int64_t ns_of_ticks(Ticks difference) noexcept {
  return static_cast<int64_t>(
      (static_cast<unsigned __int128>(difference) * internal::tick_factor) >> 24);
}

}  // namespace sluice::base
