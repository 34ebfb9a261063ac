#pragma once

// LeaseBook answers "may I keep this shared part beyond my exchange?" without touching the part's
// shared reference count (architecture, section 3): a session leases its filter chain, a pooled
// connection its cluster's transport part.
//
// Worker-local, as every Lease of it. The book keeps exactly one strong reference per part and
// counts its users here plainly. The first take() of a part copies the shared_ptr (one atomic
// read-modify-write per worker and part); every other take(), copy and release is a hash probe or
// less. A part without users lingers for one to two sweeps, because a part of the current tables is
// soon leased again; then its reference travels to main in a post, and main drops it. So no part is
// ever destroyed on a worker.
// Cost: take() one hash probe; copy and release of a Lease a plain addition. Entries are recycled:
// no allocation once the book has seen its largest number of parts.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/mailbox.h"

namespace sluice::base {

class LeaseBook;

// What main does with a reference that a worker gave back; runs where main's mailbox is drained.
// Null: it is dropped there. Dropping the last one destroys the part, so pass big ones on.
struct DropHook {
  void (*call)(void*, std::shared_ptr<const void>&&) noexcept = nullptr;
  void* context = nullptr;
};

namespace internal {

struct LeaseBin;

struct LeaseEntry : Post {
  LeaseEntry() noexcept;

  const void* part() const noexcept { return strong.get(); }

  std::uint32_t num_users = 0;
  std::uint32_t idle_since = 0;  // the book's sweep number
  LeaseBook* book = nullptr;
  std::shared_ptr<const void> strong;
  LeaseEntry* next_in_bucket = nullptr;
  LeaseEntry* next_idle = nullptr;  // also the free list's link
  LeaseEntry* previous_idle = nullptr;
  LeaseBin* bin = nullptr;
};

}  // namespace internal

// Lease keeps one shared part alive. Copies are cheap. It must not outlive its book or its worker.
template <class T>
class Lease {
 public:
  Lease() noexcept = default;
  Lease(const Lease& other) noexcept : part_(other.part_), entry_(other.entry_) {
    if (entry_ != nullptr) ++entry_->num_users;
  }
  Lease(Lease&& other) noexcept
      : part_(std::exchange(other.part_, nullptr)), entry_(std::exchange(other.entry_, nullptr)) {}
  Lease& operator=(Lease other) noexcept {
    std::swap(part_, other.part_);
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~Lease() { reset(); }

  void reset() noexcept;

  explicit operator bool() const noexcept { return part_ != nullptr; }
  const T* get() const noexcept { return part_; }
  const T& operator*() const noexcept { return *part_; }
  const T* operator->() const noexcept { return part_; }

 private:
  friend class LeaseBook;
  Lease(const T* part, internal::LeaseEntry* entry) noexcept : part_(part), entry_(entry) {}

  const T* part_ = nullptr;
  internal::LeaseEntry* entry_ = nullptr;
};

class LeaseBook {
 public:
  // More unused parts than this do not linger.
  static constexpr std::size_t kMaxIdle = 256;

  // main must be drained after the last worker has ended and before it is destroyed.
  explicit LeaseBook(Mailbox& main, DropHook drop = {});
  LeaseBook(const LeaseBook&) = delete;
  LeaseBook& operator=(const LeaseBook&) = delete;
  // Gives everything back. There must be no Lease left.
  ~LeaseBook();

  // part must not be null. A part is known by its address, whatever its type.
  template <class T>
  Lease<std::remove_const_t<T>> take(const std::shared_ptr<T>& part) {
    Entry* entry = find(part.get());
    if (entry == nullptr) {
      entry = open(part);
    } else if (entry->num_users == 0) {
      unlink_idle(entry);
    }
    ++entry->num_users;
    return {part.get(), entry};
  }

  // Gives back what has had no user since before the previous sweep. Call it about once a second
  // while num_idle() is not 0, and after adopting new tables.
  void sweep();

  std::size_t num_parts() const noexcept { return num_parts_; }
  std::size_t num_idle() const noexcept { return num_idle_; }

 private:
  using Entry = internal::LeaseEntry;
  template <class T>
  friend class Lease;

  std::size_t bucket_of(const void* part) const noexcept {
    const std::uint64_t bits = reinterpret_cast<std::uintptr_t>(part);
    return (bits * 0x9E3779B97F4A7C15u) >> shift_;
  }
  Entry* find(const void* part) const noexcept {
    Entry* entry = buckets_[bucket_of(part)];
    while (entry != nullptr && entry->part() != part) entry = entry->next_in_bucket;
    return entry;
  }

  Entry* open(std::shared_ptr<const void> part);
  void last_release(Entry* entry) noexcept;
  void give_back(Entry* entry) noexcept;
  void unlink_idle(Entry* entry) noexcept;
  Entry* unused_entry();
  void grow();

  std::vector<Entry*> buckets_;  // a power of two, at least num_parts_
  unsigned shift_;               // 64 - log2 of it
  std::size_t num_parts_ = 0;
  std::size_t num_idle_ = 0;
  Entry* oldest_idle_ = nullptr;
  Entry* newest_idle_ = nullptr;
  Entry* free_ = nullptr;
  std::uint32_t num_sweeps_ = 0;
  Mailbox& main_;
  internal::LeaseBin* bin_;
};

template <class T>
void Lease<T>::reset() noexcept {
  internal::LeaseEntry* entry = std::exchange(entry_, nullptr);
  part_ = nullptr;
  if (entry != nullptr && --entry->num_users == 0) entry->book->last_release(entry);
}

}  // namespace sluice::base
