#include "router/cluster_ids.h"

#include <cassert>

namespace sluice::router {

ClusterIds::~ClusterIds() { assert(by_name_.empty() && "a ClusterRef outlives its ClusterIds"); }

ClusterRef ClusterIds::acquire(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    ++known->second->refs;
    return ClusterRef(known->second.get());
  }
  auto entry = std::make_unique<Entry>(Entry{this, std::string(name), limit_, 1});
  if (free_.empty()) {
    ++limit_;
  } else {
    entry->id = free_.back();
    free_.pop_back();
  }
  Entry* const held = entry.get();
  by_name_.emplace(std::string_view(held->name), std::move(entry));
  return ClusterRef(held);
}

ClusterRef ClusterIds::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto known = by_name_.find(name);
  if (known == by_name_.end()) return {};
  ++known->second->refs;
  return ClusterRef(known->second.get());
}

// Walks all names: for questions that a person or a rare request asks.
std::string ClusterIds::name_of(ClusterId id) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, entry] : by_name_) {
    if (entry->id == id) return entry->name;
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
  const auto known = by_name_.find(std::string_view(entry->name));
  const auto dying = std::move(known->second);  // holds the key's text until erase() is done
  by_name_.erase(known);
}

}  // namespace sluice::router
