#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/atomics.h"
#include "base/clock.h"
#include "base/mailbox.h"

namespace sluice::dataplane {

class Worker;
struct SocketSet;

// Balance answers "which worker takes this connection?" for one listening address.
//
// The kernel gives a new connection to a worker by a hash (SO_REUSEPORT), which spreads many short
// ones well and a few heavy ones badly: of sixteen connections one of four workers often has eight.
// So a connection that is going to be long and heavy, which is what HTTP/2 is made for, goes to the
// worker that has the fewest of them as soon as it is known to be one; HTTP/1 stays where it is and
// pays nothing. With `exact_balance` (Envoy's option) every connection is counted and goes to the
// worker that has the fewest, at accept.
//
// Part of the SocketSet. Any worker; no locks: the counts are atomic words, one cache line each,
// touched when a counted connection begins or ends and never for a request. choose() looks at all
// workers' counts; two that choose at once may take the same worker, and the next choice makes up
// for it.
class Balance {
 public:
  explicit Balance(uint32_t num_workers) : seats_(num_workers) {}

  // The worker of that number accepts connections of the address from now on, or does no more.
  void open(uint32_t index, Worker* worker) noexcept {
    seats_[index].worker.store(worker, std::memory_order_release);
  }
  void close(uint32_t index) noexcept { open(index, nullptr); }

  // Counts a new connection where it should go, and says where: to `own` unless another worker has
  // fewer.
  Worker& choose(uint32_t own, Worker& own_worker) noexcept;
  // A connection that was counted is over, or goes elsewhere.
  void leave(uint32_t index) noexcept { seats_[index].num.fetch_sub(1, std::memory_order_relaxed); }
  // It stays with the worker of that number after all.
  void stay(uint32_t index) noexcept { seats_[index].num.fetch_add(1, std::memory_order_relaxed); }
  // Any thread; of connections that are counted.
  uint32_t num(uint32_t index) const noexcept {
    return seats_[index].num.load(std::memory_order_relaxed);
  }

 private:
  struct alignas(base::kCacheLine) Seat {
    std::atomic<uint32_t> num{0};
    std::atomic<Worker*> worker{nullptr};
  };
  std::vector<Seat> seats_;
};

// HandOver is a connection on its way from the worker that accepted it to the one that serves it:
// the descriptor, who is at the other end, and what was received when it turned out to speak
// HTTP/2. Made by the one, opened and destroyed by the other; closes what nobody took.
struct HandOver : base::Post {
  HandOver(Run take, Worker& to_worker) noexcept : Post(take), to(to_worker) {}
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;
  ~HandOver();

  Worker& to;
  int fd = -1;
  base::Address peer;
  std::shared_ptr<SocketSet> sockets;
  // Speaks HTTP/2, and was counted as accepted already.
  bool http2 = false;
  uint64_t id = 0;
  base::MonoNs accepted_at = 0;
  std::string received;
};

}  // namespace sluice::dataplane
