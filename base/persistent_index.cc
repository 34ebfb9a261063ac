#include "base/persistent_index.h"

#include <algorithm>
#include <atomic>

namespace sluice::base {

// Makes one version: what it made already it changes in place.
class PersistentIndex::Editor {
 public:
  size_t num_made() const noexcept { return num_made_; }

  void put(NodePtr& at, unsigned shift, const Entry& entry) {
    Node& node = own(at);
    if (shift >= kHashBits) return put_in_list(node, entry);
    const uint32_t bit = bit_of(entry.hash, shift);
    const size_t child = rank(node.has_child, bit);
    if ((node.has_child & bit) != 0) return put(node.children[child], shift + kWayBits, entry);
    const auto it = node.entries.begin() + static_cast<ptrdiff_t>(rank(node.has_entry, bit));
    if ((node.has_entry & bit) == 0) {
      node.entries.insert(it, entry);
      node.has_entry |= bit;
      return;
    }
    const Entry other = *it;
    if (other.hash == entry.hash && other.slot == entry.slot) return;
    node.entries.erase(it);
    node.has_entry &= ~bit;
    node.has_child |= bit;
    NodePtr& below =
        *node.children.insert(node.children.begin() + static_cast<ptrdiff_t>(child), nullptr);
    put(below, shift + kWayBits, other);
    put(below, shift + kWayBits, entry);
  }

  // The way to `entry` is copied even if it is not there; nodes that become empty go.
  void remove(NodePtr& at, unsigned shift, const Entry& entry) {
    if (at == nullptr) return;
    Node& node = own(at);
    const uint32_t bit = shift >= kHashBits ? 0 : bit_of(entry.hash, shift);
    if ((node.has_child & bit) != 0) {
      const auto it = node.children.begin() + static_cast<ptrdiff_t>(rank(node.has_child, bit));
      remove(*it, shift + kWayBits, entry);
      if (*it == nullptr) {
        node.children.erase(it);
        node.has_child &= ~bit;
      }
    } else if (std::erase_if(node.entries, [&](const Entry& e) {
                 return e.hash == entry.hash && e.slot == entry.slot;
               }) != 0) {
      node.has_entry &= ~bit;
    }
    if (node.entries.empty() && node.children.empty()) at = nullptr;
  }

 private:
  static uint64_t next_edit() noexcept {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  Node& own(NodePtr& at) {
    if (at != nullptr && at->edit == edit_) return *at;
    at = at == nullptr ? std::make_shared<Node>() : std::make_shared<Node>(*at);
    at->edit = edit_;
    ++num_made_;
    return *at;
  }

  static void put_in_list(Node& node, const Entry& entry) {
    for (const Entry& e : node.entries) {
      if (e.slot == entry.slot) return;
    }
    node.entries.push_back(entry);
  }

  const uint64_t edit_ = next_edit();
  size_t num_made_ = 0;
};

PersistentIndex PersistentIndex::with(std::span<const Change> changes, size_t* num_made) const {
  PersistentIndex next = *this;
  Editor editor;
  for (const Change& change : changes) {
    const Entry entry{change.hash, change.slot};
    if (change.there) {
      editor.put(next.root_, 0, entry);
    } else {
      editor.remove(next.root_, 0, entry);
    }
  }
  if (num_made != nullptr) *num_made = editor.num_made();
  return next;
}

}  // namespace sluice::base
