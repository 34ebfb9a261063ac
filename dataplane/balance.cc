#include "dataplane/balance.h"

#include <unistd.h>

namespace sluice::dataplane {

Worker& Balance::choose(uint32_t own, Worker& own_worker) noexcept {
  const auto size = static_cast<uint32_t>(seats_.size());
  Worker* best = &own_worker;
  uint32_t best_index = own;
  uint32_t least = num(own);
  // From the next one on, so that not all go to the first of several that have equally few.
  for (uint32_t i = 1; i < size && least != 0; ++i) {
    const uint32_t at = own + i < size ? own + i : own + i - size;
    const uint32_t has = num(at);
    if (has >= least) continue;
    Worker* const worker = seats_[at].worker.load(std::memory_order_acquire);
    if (worker == nullptr) continue;
    best = worker;
    best_index = at;
    least = has;
  }
  stay(best_index);
  return *best;
}

HandOver::~HandOver() {
  if (fd >= 0) ::close(fd);
}

}  // namespace sluice::dataplane
