#include "base/credit.h"

#include <algorithm>

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
  const std::int64_t now = clamped(limit);
  batch_.store(batch_for(now, num_workers_), std::memory_order_relaxed);
  const std::int64_t before = limit_.exchange(now, std::memory_order_relaxed);
  available_.fetch_add(now - before, std::memory_order_relaxed);
}

std::uint64_t CreditPool::limit() const noexcept {
  return static_cast<std::uint64_t>(limit_.load(std::memory_order_relaxed));
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
