#pragma once

// Stepped is an atomics policy (base/atomics.h) whose every operation is a step of a deterministic
// scheduler, on a machine with store buffers: so the code that ships, not a model of it, is
// searched for bad interleavings, and a seed repeats what it found.
//
// Plain, relaxed and release stores enter the thread's buffer and reach memory in order, at random
// later steps; sequentially consistent stores and read-modify-writes empty the buffer first
// (x86-TSO). With kFenced = false a sequentially consistent store is buffered like any other: the
// mutant. One thread runs at a time; real threads, so that sanitizers and gdb work as ever. About
// 10 us per change of thread.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice::base::testing {

class Stepper {
 public:
  static Stepper*& instance() {
    static Stepper* stepper = nullptr;
    return stepper;
  }

  // Runs the bodies to their end, interleaved as the seed says.
  static void run(std::uint32_t seed, const std::vector<std::function<void()>>& bodies) {
    Stepper stepper(seed, bodies.size());
    instance() = &stepper;
    std::vector<std::thread> threads;
    threads.reserve(bodies.size());
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      threads.emplace_back([&, i] {
        stepper.enter(i);
        bodies[i]();
        stepper.exit();
      });
    }
    for (std::thread& thread : threads) thread.join();
    instance() = nullptr;
  }

  // Null outside run(): set-up and tear-down happen at once and in order.
  static Stepper* of_this_thread() { return me() < 0 ? nullptr : instance(); }

  struct Store {
    void* address;
    std::uint64_t bits;
    void (*commit)(void* address, std::uint64_t bits);
  };

  // Another thread may run here, and stores may reach memory.
  void step() {
    if (random_() % 4 == 0) commit_one(random_() % buffers_.size());
    if (random_() % 3 != 0) return;
    std::unique_lock lock(mutex_);
    choose();
    wait_for_turn(lock);
  }
  void buffer(const Store& store) {
    auto& mine = buffers_[index()];
    if (mine.size() == kBuffered) commit_one(index());
    mine.push_back(store);
  }
  void flush() {
    while (!buffers_[index()].empty()) commit_one(index());
  }
  // The thread's own latest store to the address that is still in its buffer.
  const Store* own(const void* address) const {
    const auto& mine = buffers_[index()];
    for (auto store = mine.rbegin(); store != mine.rend(); ++store) {
      if (store->address == address) return &*store;
    }
    return nullptr;
  }

 private:
  static constexpr std::size_t kBuffered = 8;

  Stepper(std::uint32_t seed, std::size_t num_threads)
      : random_(seed), buffers_(num_threads), running_(num_threads, true) {
    choose();
  }

  static int& me() {
    thread_local int index = -1;
    return index;
  }
  static std::size_t index() { return static_cast<std::size_t>(me()); }

  void enter(std::size_t i) {
    me() = static_cast<int>(i);
    std::unique_lock lock(mutex_);
    wait_for_turn(lock);
  }
  void exit() {
    flush();
    std::unique_lock lock(mutex_);
    running_[index()] = false;
    choose();
  }
  void commit_one(std::size_t thread) {
    auto& stores = buffers_[thread];
    if (stores.empty()) return;
    stores.front().commit(stores.front().address, stores.front().bits);
    stores.pop_front();
  }
  void choose() {
    std::vector<std::size_t> candidates;
    for (std::size_t i = 0; i < running_.size(); ++i) {
      if (running_[i]) candidates.push_back(i);
    }
    if (candidates.empty()) return;
    turn_ = candidates[random_() % candidates.size()];
    changed_.notify_all();
  }
  void wait_for_turn(std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [this] { return turn_ == index(); });
  }

  std::mt19937 random_;
  std::vector<std::deque<Store>> buffers_;
  std::vector<bool> running_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t turn_ = 0;
};

template <bool kFenced>
struct Stepped {
  template <class U>
  class Atomic {
   public:
    Atomic() = default;
    Atomic(U value) : memory_(value) {}  // NOLINT: as std::atomic's
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    U load(std::memory_order = std::memory_order_seq_cst) const {
      Stepper* stepper = Stepper::of_this_thread();
      if (stepper == nullptr) return memory_;
      stepper->step();
      const Stepper::Store* own = stepper->own(this);
      return own == nullptr ? memory_ : from_bits(own->bits);
    }
    void store(U value, std::memory_order order = std::memory_order_seq_cst) {
      Stepper* stepper = Stepper::of_this_thread();
      if (stepper == nullptr) {
        memory_ = value;
        return;
      }
      stepper->step();
      stepper->buffer({this, to_bits(value), &commit});
      if (kFenced && order == std::memory_order_seq_cst) stepper->flush();
    }
    U exchange(U value, std::memory_order = std::memory_order_seq_cst) {
      Stepper* stepper = Stepper::of_this_thread();
      if (stepper != nullptr) {
        stepper->step();
        stepper->flush();
      }
      return std::exchange(memory_, value);
    }
    bool compare_exchange_weak(U& expected, U value, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) {
      Stepper* stepper = Stepper::of_this_thread();
      if (stepper != nullptr) {
        stepper->step();
        stepper->flush();
      }
      if (memory_ == expected) {
        memory_ = value;
        return true;
      }
      expected = memory_;
      return false;
    }

   private:
    static std::uint64_t to_bits(U value) {
      if constexpr (std::is_pointer_v<U>) {
        return reinterpret_cast<std::uintptr_t>(value);
      } else {
        return static_cast<std::uint64_t>(value);
      }
    }
    static U from_bits(std::uint64_t bits) {
      if constexpr (std::is_pointer_v<U>) {
        return reinterpret_cast<U>(bits);
      } else {
        return static_cast<U>(bits);
      }
    }
    static void commit(void* address, std::uint64_t bits) {
      static_cast<Atomic*>(address)->memory_ = from_bits(bits);
    }

    U memory_{};
  };
};

}  // namespace sluice::base::testing
