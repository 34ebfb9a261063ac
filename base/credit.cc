#include "base/credit.h"

#include <algorithm>
#include <memory>

namespace sluice::base {
namespace {

// "No limit" is a limit that arithmetic survives.
constexpr std::uint64_t kLargest = std::uint64_t{1} << 62;

std::int64_t clamped(std::uint64_t limit) noexcept {
  return static_cast<std::int64_t>(std::min(limit, kLargest));
}

std::int64_t batch_for(std::int64_t limit, std::int64_t num_workers) noexcept {
  return std::max<std::int64_t>(1, limit / (8 * num_workers));
}

}  // namespace

CreditPool::CreditPool(std::uint64_t limit, unsigned num_workers) noexcept
    : available_(clamped(limit)),
      limit_(clamped(limit)),
      batch_(batch_for(clamped(limit), std::max(1u, num_workers))),
      num_workers_(std::max(1u, num_workers)) {}

void CreditPool::set_limit(std::uint64_t limit) noexcept {
  std::int64_t now = clamped(limit);
  const std::int64_t before = limit_.exchange(now);
  available_.fetch_add(now - before, std::memory_order_relaxed);
  // Two may come at once: whoever finds another's limit takes its batch.
  std::int64_t holds = now;
  do {
    now = holds;
    batch_.store(batch_for(now, num_workers_));
    holds = limit_.load();
  } while (holds != now);
}

std::uint64_t CreditPool::limit() const noexcept {
  return static_cast<std::uint64_t>(limit_.load());
}

std::uint64_t CreditPool::remaining() const noexcept {
  const std::int64_t available = available_.load(std::memory_order_relaxed);
  return available > 0 ? static_cast<std::uint64_t>(available) : 0;
}

std::uint64_t CreditPool::leased() const noexcept {
  const std::int64_t leased =
      limit_.load(std::memory_order_relaxed) - available_.load(std::memory_order_relaxed);
  return leased > 0 ? static_cast<std::uint64_t>(leased) : 0;
}

std::int64_t CreditPool::lease(std::int64_t wanted) noexcept {
  std::int64_t available = available_.load(std::memory_order_relaxed);
  std::int64_t granted;
  do {
    if (available <= 0) return 0;
    granted = std::min(available, wanted);
  } while (
      !available_.compare_exchange_weak(available, available - granted, std::memory_order_relaxed));
  return granted;
}

void CreditPool::give_back(std::int64_t credits) noexcept {
  available_.fetch_add(credits, std::memory_order_relaxed);
}

void CreditPools::set_limits(const Limits& limits) noexcept {
  for (std::size_t i = 0; i < kNum; ++i) limits_[i].store(limits[i]);
  Pools* const pools = pools_.load();
  if (pools == nullptr) return;
  for (std::size_t i = 0; i < kNum; ++i) pools->all[i].set_limit(limits[i]);
}

CreditPool* CreditPools::make(unsigned num_workers) {
  if (Pools* const known = pools_.load()) return known->all;
  const auto pool = [&](std::size_t i) { return CreditPool(limits_[i].load(), num_workers); };
  // Pools cannot be moved, so it is filled where it lies. NOLINTNEXTLINE(modernize-make-unique)
  auto made = std::unique_ptr<Pools>(
      new Pools{{pool(0), pool(1), pool(2), pool(3), pool(4), pool(5), pool(6), pool(7)}});
  Pools* known = nullptr;
  if (!pools_.compare_exchange_strong(known, made.get())) return known->all;
  Pools* const ours = made.release();
  // Limits that were set meanwhile, by who did not see the pools yet.
  for (std::size_t i = 0; i < kNum; ++i) {
    for (;;) {
      const std::uint32_t limit = limits_[i].load();
      if (ours->all[i].limit() == limit) break;
      ours->all[i].set_limit(limit);
    }
  }
  return ours->all;
}

std::uint64_t CreditPools::remaining(std::size_t nth) const noexcept {
  const Pools* const pools = pools_.load();
  return pools == nullptr ? limits_[nth].load() : pools->all[nth].remaining();
}

WorkerCredit::WorkerCredit(CreditPool& pool) noexcept : pool_(pool) { learn_batch(); }

bool WorkerCredit::refill() noexcept {
  learn_batch();
  spare_ = pool_.lease(batch_);
  return spare_ > 0;
}

void WorkerCredit::trim() noexcept {
  learn_batch();
  const std::int64_t keep = batch_ == 1 ? 0 : batch_;
  if (spare_ <= keep) return;
  pool_.give_back(spare_ - keep);
  spare_ = keep;
}

void WorkerCredit::settle() noexcept {
  if (spare_ > 0) pool_.give_back(std::exchange(spare_, 0));
  learn_batch();
}

void WorkerCredit::learn_batch() noexcept {
  batch_ = pool_.batch();
  most_spare_ = batch_ == 1 ? 0 : 2 * batch_;
}

}  // namespace sluice::base
