#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "net/loop.h"

namespace sluice::app {

// Blocks SIGTERM, SIGINT and SIGUSR1 for this thread and all that it makes, and ignores SIGPIPE.
// Before the first thread.
void block_signals();

// Signals reads the blocked ones on main's loop and calls `on_signal` there with the number: no
// handler interrupts anything. Lives on main, dies before the loop.
class Signals : private net::EventTarget {
 public:
  Signals(net::Loop& loop, std::function<void(int)> on_signal);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

 private:
  static void on_ready(net::EventTarget* self, uint32_t events) noexcept;
  net::Loop& loop_;
  std::function<void(int)> on_signal_;
  int fd_ = -1;
};

}  // namespace sluice::app
