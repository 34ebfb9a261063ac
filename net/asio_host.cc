#include "net/asio_host.h"

#include <chrono>
#include <new>

namespace sluice::net {

AsioHost::AsioHost(int set_fd, LoopCounters& counters)
    : counters_(counters), set_(context_, set_fd) {}

AsioHost::~AsioHost() { set_.release(); }

void* AsioHost::allocate(size_t bytes) {
  if (memory_taken_ || bytes > sizeof(memory_)) return ::operator new(bytes);
  memory_taken_ = true;
  return memory_;
}

void AsioHost::deallocate(void* p) noexcept {
  if (p == memory_) {
    memory_taken_ = false;
  } else {
    ::operator delete(p);
  }
}

void AsioHost::arm() {
  armed_ = true;
  ++counters_.controls;
  set_.async_wait(set_.wait_read, OnSetReady{this});
}

bool AsioHost::wait(int64_t wait_ns) {
  if (!armed_) arm();
  if (context_.stopped()) context_.restart();
  set_ready_ = false;
  ++counters_.waits;
  if (wait_ns == TimerWheel::kNever) {
    context_.run_one();
  } else if (wait_ns > 0) {
    context_.run_one_for(std::chrono::nanoseconds(wait_ns));
  } else {
    context_.poll_one();
  }
  for (int i = 1; i < kHandlersPerTurn && !set_ready_ && context_.poll_one() != 0; ++i) {
  }
  return set_ready_;
}

}  // namespace sluice::net
