#include "base/runtime.h"

#include <cassert>

namespace sluice::base {

RuntimeKeys::~RuntimeKeys() { assert(by_name_.empty() && "a RuntimeKey outlives its RuntimeKeys"); }

RuntimeKey RuntimeKeys::acquire(std::string_view name) {
  if (name.empty()) return {};
  const std::lock_guard lock(mutex_);
  if (const auto known = by_name_.find(name); known != by_name_.end()) {
    ++known->second->refs;
    return RuntimeKey(known->second.get());
  }
  auto entry = std::make_unique<Entry>(
      Entry{this, std::string(name), static_cast<uint32_t>(by_slot_.size()), 1});
  if (free_.empty()) {
    by_slot_.push_back(nullptr);
  } else {
    entry->slot = free_.back();
    free_.pop_back();
  }
  Entry* const held = entry.get();
  by_slot_[held->slot] = held;
  dirty_.insert(held->slot);
  by_name_.emplace(std::string_view(held->name), std::move(entry));
  return RuntimeKey(held);
}

bool RuntimeKeys::set(Values values) {
  const std::lock_guard lock(mutex_);
  const Values before = std::exchange(values_, std::move(values));
  bool changed = false;
  const auto touch = [&](const std::string& name) {
    const auto held = by_name_.find(name);
    if (held == by_name_.end()) return;
    dirty_.insert(held->second->slot);
    changed = true;
  };
  for (const auto& [name, value] : before) {
    if (!values_.contains(name)) touch(name);
  }
  for (const auto& [name, value] : values_) {
    const auto old = before.find(name);
    if (old == before.end() || old->second != value) touch(name);
  }
  return changed;
}

std::vector<std::pair<uint32_t, RuntimeValue>> RuntimeKeys::take_changes() {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<uint32_t, RuntimeValue>> out;
  for (const uint32_t slot : dirty_) {
    if (by_slot_[slot] != nullptr) out.emplace_back(slot, value_of(by_slot_[slot]->name));
  }
  dirty_.clear();
  return out;
}

size_t RuntimeKeys::size() const {
  const std::lock_guard lock(mutex_);
  return by_name_.size();
}

RuntimeValue RuntimeKeys::value_of(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? RuntimeValue() : it->second;
}

void RuntimeKeys::share(Entry* entry) {
  const std::lock_guard lock(mutex_);
  ++entry->refs;
}

void RuntimeKeys::release(Entry* entry) {
  const std::lock_guard lock(mutex_);
  if (--entry->refs != 0) return;
  free_.push_back(entry->slot);
  by_slot_[entry->slot] = nullptr;
  const auto known = by_name_.find(std::string_view(entry->name));
  const auto dying = std::move(known->second);  // holds the key's text until erase() is done
  by_name_.erase(known);
}

}  // namespace sluice::base
