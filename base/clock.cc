#include "base/clock.h"

namespace sluice::base {

namespace internal {
uint64_t tick_factor = uint64_t{1} << 24;
}  // namespace internal

namespace {

int64_t mono_ns() noexcept {
  timespec ts;
  clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
  return ts.tv_sec * kNsPerSec + ts.tv_nsec;
}

}  // namespace

void calibrate_ticks() noexcept {
  const int64_t from_ns = mono_ns();
  const Ticks from = ticks_now();
  int64_t to_ns = from_ns;
  while (to_ns - from_ns < 2 * kNsPerMs) to_ns = mono_ns();
  const Ticks spent = ticks_now() - from;
  if (spent == 0) return;
  const auto ns = static_cast<unsigned __int128>(to_ns - from_ns);
  internal::tick_factor = static_cast<uint64_t>((ns << 24) / spent);
}

}  // namespace sluice::base
