#include "router/cluster_ids.h"

#include <cassert>
#include <cstring>

namespace sluice::router {

ClusterIds::~ClusterIds() { assert(by_name_.empty() && "a ClusterRef outlives its ClusterIds"); }

ClusterRef ClusterIds::acquire(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    ++(*known)->refs;
    return ClusterRef(known->get());
  }
  void* const memory = ::operator new(sizeof(Entry) + name.size());
  Ptr entry(new (memory) Entry{this, 1, limit_, static_cast<uint32_t>(name.size())});
  if (!name.empty())
    std::memcpy(static_cast<char*>(memory) + sizeof(Entry), name.data(), name.size());
  if (free_.empty()) {
    ++limit_;
  } else {
    entry->id = free_.back();
    free_.pop_back();
  }
  Entry* const held = entry.get();
  by_name_.insert(std::move(entry));
  return ClusterRef(held);
}

ClusterRef ClusterIds::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) return {};
  ++(*known)->refs;
  return ClusterRef(known->get());
}

// Walks all names: for questions that a person or a rare request asks.
std::string ClusterIds::name_of(ClusterId id) const {
  const std::lock_guard lock(mutex_);
  for (const Ptr& entry : by_name_) {
    if (entry->id == id) return std::string(entry->name());
  }
  return {};
}

uint32_t ClusterIds::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

size_t ClusterIds::size() const {
  const std::lock_guard lock(mutex_);
  return by_name_.size();
}

void ClusterIds::share(Entry* entry) {
  const std::lock_guard lock(mutex_);
  ++entry->refs;
}

void ClusterIds::release(Entry* entry) {
  const std::lock_guard lock(mutex_);
  if (--entry->refs != 0) return;
  free_.push_back(entry->id);
  by_name_.erase(by_name_.find(entry->name()));
}

}  // namespace sluice::router
