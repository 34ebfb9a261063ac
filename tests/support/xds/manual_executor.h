#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "xds/transport.h"

namespace sluice::test {

// Main, as a test turns it: nothing runs until run(), time moves only by advance(). Posts may come
// from other threads; everything else is the test's thread.
class ManualExecutor final : public xds::Executor {
 public:
  void post(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    posted_.notify_one();
  }
  base::MonoNs now() const override { return clock_.now(); }
  base::WallNs wall() const override { return clock_.wall(); }
  TimerId call_at(base::MonoNs at, std::function<void()> task) override {
    timers_.emplace(std::pair(at, ++last_), std::move(task));
    return last_;
  }
  void cancel(TimerId timer) override {
    std::erase_if(timers_, [&](const auto& entry) { return entry.first.second == timer; });
  }

  // Runs what is posted until nothing is.
  void run() {
    while (auto task = pop()) task();
  }
  // Moves time, firing timers at their own time and in order.
  void advance(int64_t ns) {
    const base::MonoNs end = clock_.now() + ns;
    run();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      auto node = timers_.extract(timers_.begin());
      clock_.advance(std::max<int64_t>(0, node.key().first - clock_.now()));
      node.mapped()();
      run();
    }
    clock_.advance(end - clock_.now());
    run();
  }
  // With real streams: runs tasks and timers in real time until `done` or ten seconds have passed.
  bool run_until(const std::function<bool()>& done) {
    const auto start = std::chrono::steady_clock::now();
    auto before = start;
    while (!done()) {
      const auto now = std::chrono::steady_clock::now();
      if (now - start > std::chrono::seconds(30)) return false;
      advance(std::chrono::nanoseconds(now - before).count());
      before = now;
      std::unique_lock lock(mutex_);
      posted_.wait_for(lock, std::chrono::milliseconds(2), [this] { return !tasks_.empty(); });
    }
    return true;
  }
  size_t num_timers() const { return timers_.size(); }

 private:
  std::function<void()> pop() {
    const std::lock_guard lock(mutex_);
    if (tasks_.empty()) return nullptr;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    return task;
  }

  base::Clock clock_{base::Clock::Kind::kManual};
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> tasks_;
  std::map<std::pair<base::MonoNs, TimerId>, std::function<void()>> timers_;
  TimerId last_ = 0;
};

}  // namespace sluice::test
