#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstddef>
#include <cstdint>

#include "net/loop.h"

namespace sluice::net {

// AsioHost lets a loop sleep inside an io_context: the loop's epoll set is one descriptor of it.
//
// Private to net/loop.cc, so that nobody else pays for Asio's headers. Uses only Asio's public
// interface. One async_wait is outstanding at any time; its operation lives in `memory_`, so
// re-arming does not allocate.
class AsioHost {
 public:
  AsioHost(int set_fd, LoopCounters& counters);
  ~AsioHost();
  AsioHost(const AsioHost&) = delete;
  AsioHost& operator=(const AsioHost&) = delete;

  boost::asio::io_context& context() noexcept { return context_; }

  // Sleeps at most `wait_ns` and runs guests' handlers that are ready, a bounded number. True: the
  // set has events.
  bool wait(int64_t wait_ns);

 private:
  static constexpr int kHandlersPerTurn = 64;

  // Gives out the one piece of memory; whatever does not fit comes from the heap.
  template <typename T>
  struct Allocator {
    using value_type = T;
    explicit Allocator(AsioHost* h) noexcept : host(h) {}
    template <typename U>
    Allocator(const Allocator<U>& o) noexcept : host(o.host) {}
    T* allocate(size_t n) { return static_cast<T*>(host->allocate(n * sizeof(T))); }
    void deallocate(T* p, size_t) noexcept { host->deallocate(p); }
    friend bool operator==(const Allocator&, const Allocator&) = default;
    AsioHost* host;
  };
  struct OnSetReady {
    using allocator_type = Allocator<void>;
    allocator_type get_allocator() const noexcept { return allocator_type(host); }
    void operator()(const boost::system::error_code& error) const noexcept {
      host->armed_ = false;
      host->set_ready_ = !error;
    }
    AsioHost* host;
  };

  void* allocate(size_t bytes);
  void deallocate(void* p) noexcept;
  void arm();

  alignas(std::max_align_t) std::byte memory_[256];
  bool memory_taken_ = false;
  bool armed_ = false;
  bool set_ready_ = false;
  LoopCounters& counters_;
  boost::asio::io_context context_{1};
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> set_;
};

}  // namespace sluice::net
