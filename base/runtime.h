#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/persistent_array.h"

namespace sluice::base {

// Runtime keys: names whose values may change without the configuration that names them (Envoy's
// RuntimeFractionalPercent, RuntimeUInt32, RuntimeFeatureFlag).
//
// Configuration is compiled to slots: who names a key holds a RuntimeKey, whose slot leads into the
// array of values that belongs to the version of the tables (RuntimeValues). So the request path
// looks up no name and takes no lock, and a value that changes costs a new version of the tables
// that differs in one leaf of that array: nothing is compiled again, however many routes name it.

// What a key's value is, in each of the forms in which it may be asked for.
struct RuntimeValue {
  static constexpr uint32_t kMillion = 1'000'000;

  std::optional<uint32_t> ppm;  // as a share of a million; a whole number is a percentage
  std::optional<uint64_t> number;
  std::optional<bool> flag;

  uint32_t ppm_or(uint32_t otherwise) const noexcept { return ppm.value_or(otherwise); }
  uint64_t number_or(uint64_t otherwise) const noexcept { return number.value_or(otherwise); }
  bool flag_or(bool otherwise) const noexcept { return flag.value_or(otherwise); }
  friend bool operator==(const RuntimeValue&, const RuntimeValue&) = default;
};

// By slot; of keys without a value: nothing set.
using RuntimeValues = PersistentArray<RuntimeValue>;

class RuntimeKey;

// RuntimeKeys answers "which slot is this key?" and keeps the values that are in force. One per
// process; it outlives every RuntimeKey. A key keeps its slot as long as anybody holds it; when the
// last one goes the slot is free for another. Any thread, behind a mutex: for compiling and
// assembling, never on the request path.
class RuntimeKeys {
 public:
  using Values = std::map<std::string, RuntimeValue, std::less<>>;

  RuntimeKeys() = default;
  RuntimeKeys(const RuntimeKeys&) = delete;
  RuntimeKeys& operator=(const RuntimeKeys&) = delete;
  ~RuntimeKeys();

  RuntimeKey acquire(std::string_view name);

  // All values that are in force from now on. True: one that somebody holds is another than before.
  bool set(Values values);
  // Slots whose content is another than when this was called last: new holders and new values.
  std::vector<std::pair<uint32_t, RuntimeValue>> take_changes();
  // Keys that are held now.
  size_t size() const;

 private:
  friend class RuntimeKey;
  struct Entry {
    RuntimeKeys* owner;
    std::string name;
    uint32_t slot;
    uint64_t refs;  // guarded by mutex_
  };
  void share(Entry* entry);
  void release(Entry* entry);
  RuntimeValue value_of(std::string_view name) const;

  mutable std::mutex mutex_;
  std::unordered_map<std::string_view, std::unique_ptr<Entry>> by_name_;  // keys: Entry::name
  std::vector<Entry*> by_slot_;                                           // null: free
  std::vector<uint32_t> free_;
  Values values_;
  std::set<uint32_t> dirty_;
};

// A counted hold on a key's slot. Copy and destruction take the mutex of the keys: any thread but
// no worker. Reading through it is for workers.
class RuntimeKey {
 public:
  RuntimeKey() = default;
  RuntimeKey(const RuntimeKey& other) : entry_(other.entry_) {
    if (entry_ != nullptr) entry_->owner->share(entry_);
  }
  RuntimeKey(RuntimeKey&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  RuntimeKey& operator=(RuntimeKey other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~RuntimeKey() {
    if (entry_ != nullptr) entry_->owner->release(entry_);
  }

  explicit operator bool() const noexcept { return entry_ != nullptr; }
  std::string_view name() const noexcept {
    return entry_ == nullptr ? std::string_view() : std::string_view(entry_->name);
  }

  // The value in force. `values` may be null: then nothing is set, and neither is it of no key.
  uint32_t ppm_or(const RuntimeValues* values, uint32_t otherwise) const noexcept {
    return is_set(values) ? values->at(entry_->slot).ppm_or(otherwise) : otherwise;
  }
  uint64_t number_or(const RuntimeValues* values, uint64_t otherwise) const noexcept {
    return is_set(values) ? values->at(entry_->slot).number_or(otherwise) : otherwise;
  }
  bool flag_or(const RuntimeValues* values, bool otherwise) const noexcept {
    return is_set(values) ? values->at(entry_->slot).flag_or(otherwise) : otherwise;
  }

 private:
  friend class RuntimeKeys;
  explicit RuntimeKey(RuntimeKeys::Entry* entry) noexcept : entry_(entry) {}
  bool is_set(const RuntimeValues* values) const noexcept {
    return entry_ != nullptr && values != nullptr;
  }

  RuntimeKeys::Entry* entry_ = nullptr;
};

}  // namespace sluice::base
