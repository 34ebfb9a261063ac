#include "app/loop_executor.h"

namespace sluice::app {

LoopExecutor::TimerId LoopExecutor::call_at(base::MonoNs at, std::function<void()> task) {
  const TimerId id = ++last_;
  const auto& entry = timers_.emplace(id, std::make_unique<Entry>(*this, id, std::move(task)));
  loop_->arm(entry.first->second->timer, at);
  return id;
}

void LoopExecutor::Entry::fire() noexcept {
  const std::function<void()> call = std::move(task);
  owner.timers_.erase(id);  // *this is gone
  call();
}

}  // namespace sluice::app
