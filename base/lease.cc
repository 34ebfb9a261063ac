#include "base/lease.h"

#include <atomic>

namespace sluice::base {
namespace internal {

// Where emptied entries come back from main. It lives as long as the book or an entry under way.
struct LeaseBin {
  Mailbox emptied;
  DropHook drop;
  std::atomic<std::size_t> num_holders{1};

  void hold() noexcept { num_holders.fetch_add(1, std::memory_order_relaxed); }
  void let_go() noexcept {
    if (num_holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
};

namespace {

// On main.
void drop_and_return(Post* post) noexcept {
  auto* entry = static_cast<LeaseEntry*>(post);
  LeaseBin* bin = entry->bin;
  std::shared_ptr<const void> strong = std::move(entry->strong);
  if (bin->drop.call != nullptr) bin->drop.call(bin->drop.context, std::move(strong));
  strong.reset();
  if (bin->emptied.push(entry) == Pushed::kClosed) delete entry;
  bin->let_go();
}

}  // namespace

LeaseEntry::LeaseEntry() noexcept : Post(&drop_and_return) {}

}  // namespace internal

namespace {
constexpr unsigned kFirstBucketsLog2 = 6;
}  // namespace

LeaseBook::LeaseBook(Mailbox& main, DropHook drop)
    : buckets_(std::size_t{1} << kFirstBucketsLog2),
      shift_(64 - kFirstBucketsLog2),
      main_(main),
      bin_(new internal::LeaseBin) {
  bin_->drop = drop;
}

LeaseBook::~LeaseBook() {
  assert(num_idle_ == num_parts_);  // a lease that outlives its book
  while (oldest_idle_ != nullptr) give_back(oldest_idle_);
  for (PostChain rest = bin_->emptied.close(); !rest.empty();) {
    delete static_cast<Entry*>(rest.take());
  }
  while (free_ != nullptr) delete std::exchange(free_, free_->next_idle);
  bin_->let_go();
}

void LeaseBook::sweep() {
  ++num_sweeps_;
  while (oldest_idle_ != nullptr && num_sweeps_ - oldest_idle_->idle_since > 1) {
    give_back(oldest_idle_);
  }
}

LeaseBook::Entry* LeaseBook::open(std::shared_ptr<const void> part) {
  if (num_parts_ == buckets_.size()) grow();
  Entry* entry = unused_entry();
  entry->strong = std::move(part);
  Entry*& bucket = buckets_[bucket_of(entry->part())];
  entry->next_in_bucket = std::exchange(bucket, entry);
  ++num_parts_;
  return entry;
}

void LeaseBook::last_release(Entry* entry) noexcept {
  entry->idle_since = num_sweeps_;
  entry->next_idle = nullptr;
  entry->previous_idle = std::exchange(newest_idle_, entry);
  (entry->previous_idle == nullptr ? oldest_idle_ : entry->previous_idle->next_idle) = entry;
  if (++num_idle_ > kMaxIdle) give_back(oldest_idle_);
}

void LeaseBook::unlink_idle(Entry* entry) noexcept {
  Entry* const before = entry->previous_idle;
  Entry* const after = entry->next_idle;
  (before == nullptr ? oldest_idle_ : before->next_idle) = after;
  (after == nullptr ? newest_idle_ : after->previous_idle) = before;
  --num_idle_;
}

void LeaseBook::give_back(Entry* entry) noexcept {
  unlink_idle(entry);
  Entry** link = &buckets_[bucket_of(entry->part())];
  while (*link != entry) link = &(*link)->next_in_bucket;
  *link = entry->next_in_bucket;
  --num_parts_;
  bin_->hold();
  if (main_.post(entry)) return;
  assert(false);  // main's mailbox is closed before its workers have ended: no choice but here
  entry->run(entry);
}

LeaseBook::Entry* LeaseBook::unused_entry() {
  if (free_ == nullptr) {
    for (PostChain emptied = bin_->emptied.drain(); !emptied.empty();) {
      auto* entry = static_cast<Entry*>(emptied.take());
      entry->next_idle = std::exchange(free_, entry);
    }
  }
  if (free_ != nullptr) return std::exchange(free_, free_->next_idle);
  auto* entry = new Entry;
  entry->book = this;
  entry->bin = bin_;
  return entry;
}

void LeaseBook::grow() {
  std::vector<Entry*> old(buckets_.size() * 2);
  old.swap(buckets_);
  --shift_;
  for (Entry* entry : old) {
    while (entry != nullptr) {
      Entry* next = entry->next_in_bucket;
      Entry*& bucket = buckets_[bucket_of(entry->part())];
      entry->next_in_bucket = std::exchange(bucket, entry);
      entry = next;
    }
  }
}

}  // namespace sluice::base
