#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include "net/loop.h"
#include "xds/transport.h"

namespace sluice::app {

// LoopExecutor is main's loop as xds/ sees it: its queue, its time and its timers.
//
// post() from any thread, the rest on main. It may outlive the loop: between detach() and its end
// it does nothing, and what is posted is dropped. So threads that still finish something while the
// process ends may hold it.
class LoopExecutor final : public xds::Executor {
 public:
  LoopExecutor() = default;
  void attach(net::Loop& loop) { loop_ = &loop; }
  // Forgets all timers. Posts go on until the loop is destroyed.
  void detach() { timers_.clear(); }

  void post(std::function<void()> task) override { loop_->post_task(std::move(task)); }
  base::MonoNs now() const override { return loop_->now(); }
  base::WallNs wall() const override { return loop_->clock().wall(); }
  TimerId call_at(base::MonoNs at, std::function<void()> task) override;
  void cancel(TimerId timer) override { timers_.erase(timer); }

 private:
  struct Entry {
    Entry(LoopExecutor& o, TimerId i, std::function<void()> t)
        : owner(o), id(i), task(std::move(t)) {}
    void fire() noexcept;
    LoopExecutor& owner;
    const TimerId id;
    std::function<void()> task;
    net::Timer timer = net::Timer::of<&Entry::fire>(this);
  };

  net::Loop* loop_ = nullptr;
  TimerId last_ = 0;
  std::unordered_map<TimerId, std::unique_ptr<Entry>> timers_;
};

}  // namespace sluice::app
