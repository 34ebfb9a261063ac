#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::base {

// PersistentIndex answers "in which slot is the thing of this name?" for names of which a version
// of the tables shares nearly all with the one before. It holds hashes and slots, no names: whoever
// asks says whether the thing in a slot is the one. Immutable once it is part of published tables;
// any thread reads.
//
// A hash trie of 32 ways per level: 3 to 4 levels for 100,000 names, some 40 bytes per name. find()
// costs the hash, a dependent load per level and one call of `is`; it does not allocate. with()
// copies the nodes on the way to each change, each once, so an update costs what changed times the
// depth, whatever else there is. Names of one hash stand in a list below the last level.
class PersistentIndex {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  static uint64_t hash_of(std::string_view name) noexcept {
    return std::hash<std::string_view>{}(name);
  }

  // `is(slot)` says whether that slot has the name; it is asked only of slots with its hash.
  template <typename Is>
  uint32_t find(uint64_t hash, Is&& is) const noexcept {
    const Node* node = root_.get();
    for (unsigned shift = 0; node != nullptr; shift += kWayBits) {
      if (shift >= kHashBits) {
        for (const Entry& entry : node->entries) {
          if (is(entry.slot)) return entry.slot;
        }
        return kNone;
      }
      const uint32_t bit = bit_of(hash, shift);
      if ((node->has_entry & bit) != 0) {
        const Entry& entry = node->entries[rank(node->has_entry, bit)];
        return entry.hash == hash && is(entry.slot) ? entry.slot : kNone;
      }
      if ((node->has_child & bit) == 0) return kNone;
      node = node->children[rank(node->has_child, bit)].get();
    }
    return kNone;
  }

  struct Change {
    uint64_t hash;
    uint32_t slot;
    bool there;  // false: the slot has this name no more
  };
  // Main only; changes apply in order. `num_made`, for tests: nodes that were made or copied.
  PersistentIndex with(std::span<const Change> changes, size_t* num_made = nullptr) const;

 private:
  static constexpr unsigned kWayBits = 5, kHashBits = 64;
  struct Entry {
    uint64_t hash;
    uint32_t slot;
  };
  struct Node {
    uint64_t edit = 0;  // of the with() that made it, which alone may change it
    uint32_t has_entry = 0, has_child = 0;
    std::vector<Entry> entries;  // of the ways in has_entry, in order
    std::vector<std::shared_ptr<Node>> children;
  };
  using NodePtr = std::shared_ptr<Node>;
  class Editor;

  static uint32_t bit_of(uint64_t hash, unsigned shift) noexcept {
    return uint32_t{1} << ((hash >> shift) & 31);
  }
  static size_t rank(uint32_t set, uint32_t bit) noexcept {
    return static_cast<size_t>(std::popcount(set & (bit - 1)));
  }

  NodePtr root_;
};

}  // namespace sluice::base
