#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "tools/mock-cp/faults.h"
#include "tools/mock-cp/stream.h"

namespace sluice::mock_cp {

// Outbox turns the responses that a stream has due into the messages that leave: as they are, or
// as the faults want them. It decides what leaves next and when; it sends nothing.
//
// One per stream, not thread-safe (the stream's mutex). Holds what is delayed, and while responses
// are endless one message at a time.
class Outbox {
 public:
  using Clock = std::chrono::steady_clock;

  Outbox(Stream& stream, FaultList& faults) : stream_(stream), faults_(faults) {}

  // Takes everything that is due.
  void fill(const std::shared_ptr<const Snapshot>& snapshot);

  struct Message {
    Push push;  // what it was made from, after faults
    std::string bytes;
    Clock::time_point not_before;
    bool behind_next = false;  // until another one has left, or until not_before
    int end_status = -1;       // not sent: the stream ends with this status
  };
  // The next message that may leave now.
  std::optional<Message> take(Clock::time_point now,
                              const std::shared_ptr<const Snapshot>& snapshot);
  // When the first of those that wait may leave.
  std::optional<Clock::time_point> wake_at() const;

 private:
  void add(Push push);
  bool apply(const Fault& fault, Push* push, Message* message, bool* twice);
  void add_endless();

  Stream& stream_;
  FaultList& faults_;
  std::deque<Message> messages_;
  std::string nonce_before_;

  struct Endless {
    uint64_t fault_id;
    Fault fault;
    Push last;
    uint64_t round = 0;
  };
  std::optional<Endless> endless_;
};

}  // namespace sluice::mock_cp
