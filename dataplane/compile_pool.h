#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice::dataplane {

// CompilePool runs what would keep main waiting: decoding and compiling big updates, and destroying
// what nobody needs any more. A few threads and a locked queue: it is off every request's path.
// Tasks run in the order given when there is one thread, in any order otherwise. Any thread may
// call run() and destroy(); the destructor runs what is queued and joins.
class CompilePool {
 public:
  explicit CompilePool(unsigned num_threads);
  CompilePool(const CompilePool&) = delete;
  CompilePool& operator=(const CompilePool&) = delete;
  ~CompilePool();

  void run(std::function<void()> task);
  // Lets `part` go, on a thread of the pool.
  void destroy(std::shared_ptr<const void> part) {
    run([part = std::move(part)]() mutable { part.reset(); });
  }

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::dataplane
