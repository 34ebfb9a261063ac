#pragma once

#include <cstdint>

// What did a thread ask of the C library? The library gate_counts, preloaded, answers that for
// programs that know nothing of it, so what is counted is what is shipped.
//
// Its functions shadow those of libc, count the call for the calling thread and pass it on; a
// program finds sluice_gate_counts() with dlsym(), which is null where the library was not loaded.
// Any thread may read any slot; a slot has one writer. Cost: a few instructions per call, so
// instructions are measured without it.
// Blind spots: raw `syscall` instructions, locks made of atomics alone (the gate counts atomic
// instructions apart) and copies that the compiler put inline.
extern "C" {

struct SluiceGateCounts {
  uint64_t allocations;
  uint64_t allocated_bytes;
  uint64_t frees;
  uint64_t locks;  // mutexes, rwlocks, spin locks, condition variables, once, semaphores
  uint64_t system_calls;
  uint64_t waits;         // of them, epoll_wait and the like
  uint64_t other_calls;   // of them, neither wait, send nor receive
  uint64_t time_calls;    // clock_gettime, gettimeofday, time
  uint64_t copied_bytes;  // memcpy and memmove of kSluiceGateCopy bytes and more
  int32_t tid;
};

enum { kSluiceGateCopyBytes = 256, kSluiceGateThreads = 256 };

// The slot of thread `tid`, 0: the caller. Null: that thread has called nothing yet.
typedef const SluiceGateCounts* (*SluiceGateCountsOf)(int32_t tid);
const SluiceGateCounts* sluice_gate_counts(int32_t tid);

}  // extern "C"
