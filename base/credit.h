#pragma once

// Limits that the configuration defines process-wide (circuit breakers, token buckets), kept by
// workers that share nothing: each leases credits in batches and touches the shared word only when
// its batch has run out, or when it holds more than two.
//
// CreditPool is part of the tables (or outlives them); the limit is never exceeded. It may be
// reached early, because other workers hold spare credits: by less than a quarter of the limit, and
// never when the limit is below 16 per worker: such a pool has batches of one, keeps no spares
// and is exact.
// A new configuration either replaces the pool (credits return to the pool that they came from) or
// calls set_limit(), which keeps counting across the change.
// Cost: WorkerCredit::take() and give() are a test and an addition on the worker's own line; one
// compare-and-swap or addition on the shared word per batch. An open breaker costs a load.

#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace sluice::base {

class alignas(32) CreditPool {
 public:
  CreditPool(std::uint64_t limit, unsigned num_workers) noexcept;
  CreditPool(const CreditPool&) = delete;
  CreditPool& operator=(const CreditPool&) = delete;
  ~CreditPool() { assert(leased() == 0); }

  // Any thread. Below what is in use now, nothing is granted until enough has come back.
  void set_limit(std::uint64_t limit) noexcept;

  // Any thread, for statistics: momentary, and spares of workers count as leased.
  std::uint64_t limit() const noexcept;
  std::uint64_t remaining() const noexcept;
  std::uint64_t leased() const noexcept;
  bool is_open() const noexcept { return remaining() == 0; }  // in the breaker's sense: refusing

 private:
  friend class WorkerCredit;

  std::int64_t lease(std::int64_t wanted) noexcept;
  void give_back(std::int64_t credits) noexcept;
  std::int64_t batch() const noexcept { return batch_.load(std::memory_order_relaxed); }

  // The shared word: below zero after the limit was lowered. Whoever writes it has read the others,
  // so they share its line; and there are eight pools per cluster.
  std::atomic<std::int64_t> available_;
  // Written by set_limit() only.
  std::atomic<std::int64_t> limit_;
  std::atomic<std::int64_t> batch_;
  std::int64_t num_workers_;
};

// CreditPools is the eight pools of a cluster's circuit breakers, which most clusters never use:
// they are made when the first worker asks. Limits are set by one thread; all else: any thread.
class CreditPools {
 public:
  static constexpr std::size_t kNum = 8;
  using Limits = std::array<std::uint32_t, kNum>;

  CreditPools() noexcept = default;
  CreditPools(const CreditPools&) = delete;
  CreditPools& operator=(const CreditPools&) = delete;
  ~CreditPools() { delete pools_.load(std::memory_order_relaxed); }

  void set_limits(const Limits& limits) noexcept;
  // kNum of them. Allocates when they are not there yet, so it is not for the steady state.
  CreditPool* make(unsigned num_workers);
  std::uint64_t remaining(std::size_t nth) const noexcept;

 private:
  struct Pools {
    CreditPool all[kNum];
  };
  // Both are sequentially consistent: who makes the pools sees the limits that were set before they
  // could be seen, or who sets them sees the pools.
  std::atomic<std::uint32_t> limits_[kNum] = {};
  std::atomic<Pools*> pools_{nullptr};
};

// WorkerCredit is one worker's account with one pool. Worker-local; borrows the pool, which its
// owner keeps alive (a lease on the cluster's part). To move to another pool make a second account
// and drop the first when its in_use() is 0.
class WorkerCredit {
 public:
  explicit WorkerCredit(CreditPool& pool) noexcept;
  WorkerCredit(const WorkerCredit&) = delete;
  WorkerCredit& operator=(const WorkerCredit&) = delete;
  ~WorkerCredit() {
    assert(in_use_ == 0);
    settle();
  }

  // False: the limit is reached.
  bool take() noexcept {
    if (spare_ == 0 && !refill()) return false;
    --spare_;
    ++in_use_;
    return true;
  }
  // Once for each take() that was true.
  void give() noexcept {
    assert(in_use_ > 0);
    --in_use_;
    ++spare_;
    if (spare_ > most_spare_) trim();
  }

  // Returns all spares. For workers that went idle and for accounts about to be replaced.
  void settle() noexcept;

  std::uint64_t in_use() const noexcept { return in_use_; }
  CreditPool& pool() const noexcept { return pool_; }

 private:
  bool refill() noexcept;
  void trim() noexcept;
  void learn_batch() noexcept;

  CreditPool& pool_;
  std::int64_t spare_ = 0;
  std::int64_t most_spare_ = 0;
  std::int64_t batch_ = 1;
  std::uint64_t in_use_ = 0;
};

// Credit is one taken credit, given back when it dies. Empty: the limit was reached.
class Credit {
 public:
  Credit() noexcept = default;
  explicit Credit(WorkerCredit& account) noexcept : account_(account.take() ? &account : nullptr) {}
  Credit(Credit&& other) noexcept : account_(std::exchange(other.account_, nullptr)) {}
  Credit& operator=(Credit&& other) noexcept {
    Credit(std::move(other)).swap(*this);
    return *this;
  }
  ~Credit() { reset(); }

  void reset() noexcept {
    if (account_ != nullptr) std::exchange(account_, nullptr)->give();
  }
  void swap(Credit& other) noexcept { std::swap(account_, other.account_); }
  explicit operator bool() const noexcept { return account_ != nullptr; }

 private:
  WorkerCredit* account_ = nullptr;
};

}  // namespace sluice::base
