#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/clock.h"
#include "xds/resources.h"
#include "xds/transport.h"

namespace sluice::xds {

// Deadlines says when the wait for a resource is over (initial_fetch_timeout, which each
// configuration source has for itself): one timer for any number of waits.
//
// Main only. Setting and cancelling cost a look-up in a tree. What is not cancelled stays until its
// time, so whoever is called looks whether the wait still goes on. `expired` may set others.
class Deadlines {
 public:
  using Expired = std::function<void(Type, const ResourceKey& key)>;

  Deadlines(Executor& executor, Expired expired)
      : executor_(executor), expired_(std::move(expired)) {}
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines() {
    if (timer_ != 0) executor_.cancel(timer_);
  }

  // One wait, for cancel(). Default: none.
  struct Ticket {
    base::MonoNs at = 0;
    uint32_t serial = 0;
    friend auto operator<=>(const Ticket&, const Ticket&) = default;
  };
  // 0 waits for ever.
  Ticket set(Type type, const ResourceKey& key, int64_t wait_ns) {
    if (wait_ns <= 0) return {};
    const Ticket ticket{executor_.now() + wait_ns, ++last_serial_};
    waits_.emplace(ticket, std::pair(type, key));
    arm();
    return ticket;
  }
  // Of a wait that is over already, it does nothing. The timer stays, and finds nothing to do.
  void cancel(const Ticket& ticket) { waits_.erase(ticket); }

 private:
  void arm() {
    if (waits_.empty() || (timer_ != 0 && timer_at_ <= waits_.begin()->first.at)) return;
    if (timer_ != 0) executor_.cancel(timer_);
    timer_at_ = waits_.begin()->first.at;
    timer_ = executor_.call_at(timer_at_, [this] { fire(); });
  }
  void fire() {
    timer_ = 0;
    while (!waits_.empty() && waits_.begin()->first.at <= executor_.now()) {
      const auto [type, key] = std::move(waits_.extract(waits_.begin()).mapped());
      expired_(type, key);
    }
    arm();
  }

  Executor& executor_;
  Expired expired_;
  std::map<Ticket, std::pair<Type, ResourceKey>> waits_;
  uint32_t last_serial_ = 0;
  Executor::TimerId timer_ = 0;
  base::MonoNs timer_at_ = 0;
};

}  // namespace sluice::xds
