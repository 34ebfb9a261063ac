#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace sluice::router {

using ClusterId = uint32_t;
inline constexpr ClusterId kNoCluster = ~ClusterId{0};

class ClusterRef;

// ClusterIds answers "which slot of the root's cluster array is this name?", so that a request
// never looks up a name. One per process; it outlives every ClusterRef. A name keeps its slot for
// as long as anybody holds a ClusterRef to it (route tables, the cluster itself, a bootstrap); when
// the last one goes the slot is free for another name. So whoever puts a cluster into a root holds
// a reference for as long as that root lives. Any thread, behind a mutex: for compiling and
// assembling, never on the request path.
class ClusterIds {
 public:
  ClusterIds() = default;
  ClusterIds(const ClusterIds&) = delete;
  ClusterIds& operator=(const ClusterIds&) = delete;
  ~ClusterIds();

  ClusterRef acquire(std::string_view name);
  // Empty when nobody holds the name.
  ClusterRef find(std::string_view name);

  // The name that holds this slot now; empty: none does.
  std::string name_of(ClusterId id) const;

  // One more than the largest slot ever given out: the size that an array by slot needs.
  uint32_t limit() const;
  // Names that are held now.
  size_t size() const;

 private:
  friend class ClusterRef;
  // One piece of memory with the name, which stands behind it.
  struct Entry {
    ClusterIds* owner;
    uint64_t refs;  // guarded by mutex_
    ClusterId id;
    uint32_t name_size;
    std::string_view name() const noexcept {
      return {reinterpret_cast<const char*>(this + 1), name_size};
    }
  };
  struct Free {
    void operator()(Entry* entry) const noexcept { ::operator delete(entry); }
  };
  using Ptr = std::unique_ptr<Entry, Free>;
  static std::string_view text(std::string_view name) noexcept { return name; }
  static std::string_view text(const Ptr& entry) noexcept { return entry->name(); }
  struct Hash {
    using is_transparent = void;
    template <typename T>
    size_t operator()(const T& of) const noexcept {
      return std::hash<std::string_view>{}(text(of));
    }
  };
  struct Equal {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const noexcept {
      return text(a) == text(b);
    }
  };
  void share(Entry* entry);
  void release(Entry* entry);

  mutable std::mutex mutex_;
  absl::flat_hash_set<Ptr, Hash, Equal> by_name_;
  std::vector<ClusterId> free_;
  ClusterId limit_ = 0;
};

// A counted hold on a cluster's slot. Copy and destruction take the interner's mutex: any thread
// but no worker.
class ClusterRef {
 public:
  ClusterRef() = default;
  ClusterRef(const ClusterRef& other) : entry_(other.entry_) {
    if (entry_ != nullptr) entry_->owner->share(entry_);
  }
  ClusterRef(ClusterRef&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  ClusterRef& operator=(ClusterRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~ClusterRef() {
    if (entry_ != nullptr) entry_->owner->release(entry_);
  }

  explicit operator bool() const noexcept { return entry_ != nullptr; }
  ClusterId id() const noexcept { return entry_ == nullptr ? kNoCluster : entry_->id; }
  std::string_view name() const noexcept {
    return entry_ == nullptr ? std::string_view() : entry_->name();
  }

 private:
  friend class ClusterIds;
  explicit ClusterRef(ClusterIds::Entry* entry) noexcept : entry_(entry) {}

  ClusterIds::Entry* entry_ = nullptr;
};

}  // namespace sluice::router
