#pragma once

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
// Main only. Setting costs a tree insertion; nothing is ever taken out before its time, so whoever
// is called looks whether the wait still goes on. `expired` may set others.
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

  // 0 waits for ever.
  void set(Type type, const ResourceKey& key, int64_t wait_ns) {
    if (wait_ns <= 0) return;
    waits_.emplace(executor_.now() + wait_ns, std::pair(type, key));
    arm();
  }

 private:
  void arm() {
    if (waits_.empty() || (timer_ != 0 && timer_at_ <= waits_.begin()->first)) return;
    if (timer_ != 0) executor_.cancel(timer_);
    timer_at_ = waits_.begin()->first;
    timer_ = executor_.call_at(timer_at_, [this] { fire(); });
  }
  void fire() {
    timer_ = 0;
    while (!waits_.empty() && waits_.begin()->first <= executor_.now()) {
      const auto [type, key] = std::move(waits_.extract(waits_.begin()).mapped());
      expired_(type, key);
    }
    arm();
  }

  Executor& executor_;
  Expired expired_;
  std::multimap<base::MonoNs, std::pair<Type, ResourceKey>> waits_;
  Executor::TimerId timer_ = 0;
  base::MonoNs timer_at_ = 0;
};

}  // namespace sluice::xds
