#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sluice::base {

// PersistentArray answers "what is at slot i of this table version?" for arrays of which a version
// shares nearly everything with the one before: clusters, route tables. Immutable once it is part
// of published tables; any thread reads. at(): two dependent loads. with(): copies the spine (a
// pointer per 32 slots) and the touched leaves, so an update costs what changed plus n / 32.
template <typename T>
class PersistentArray {
 public:
  static constexpr uint32_t kLeaf = 32;

  PersistentArray() : spine_(std::make_shared<const Spine>()) {}

  // A default T for slots that were never set.
  const T& at(uint32_t slot) const noexcept {
    const uint32_t leaf = slot / kLeaf;
    const Spine& spine = *spine_;
    if (leaf >= spine.size() || spine[leaf] == nullptr) [[unlikely]]
      return kNothing;
    return spine[leaf]->items[slot % kLeaf];
  }

  // Slots from 0 to limit() - 1 may be set.
  uint32_t limit() const noexcept { return static_cast<uint32_t>(spine_->size()) * kLeaf; }

  // Main only.
  PersistentArray with(std::span<const std::pair<uint32_t, T>> changes) const {
    if (changes.empty()) return *this;
    auto spine = std::make_shared<Spine>(*spine_);
    std::vector<bool> fresh(spine->size());
    for (const auto& [slot, value] : changes) {
      const uint32_t leaf = slot / kLeaf;
      if (leaf >= spine->size()) spine->resize(leaf + 1);
      if (leaf >= fresh.size()) fresh.resize(leaf + 1);
      if (!fresh[leaf]) {
        const auto& old = (*spine)[leaf];
        (*spine)[leaf] = old == nullptr ? std::make_shared<Leaf>() : std::make_shared<Leaf>(*old);
        fresh[leaf] = true;
      }
      const_cast<Leaf&>(*(*spine)[leaf]).items[slot % kLeaf] = value;
    }
    PersistentArray next;
    next.spine_ = std::move(spine);
    return next;
  }

 private:
  struct Leaf {
    T items[kLeaf]{};
  };
  using Spine = std::vector<std::shared_ptr<const Leaf>>;
  // Not local to at(): that would cost each call the test of a guard.
  inline static const T kNothing{};
  std::shared_ptr<const Spine> spine_;
};

}  // namespace sluice::base
