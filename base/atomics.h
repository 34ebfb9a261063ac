#pragma once

// StdAtomics names the atomic type that a lock-free structure is built from.
//
// base/hazard.h and base/mailbox.h are templates over such a policy: production uses std::atomic,
// tests put in an atomic whose every operation is a step of a deterministic scheduler with store
// buffers (tests/base/stepped_atomics.h), so that the very code that ships is searched for bad
// interleavings.

#include <atomic>
#include <cstddef>

namespace sluice::base {

struct StdAtomics {
  template <class U>
  using Atomic = std::atomic<U>;
};

// Two words that different threads write must not share a line of this size.
inline constexpr std::size_t kCacheLine = 64;

}  // namespace sluice::base
