#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::router {

// Which bytes of a text an index sees: as they are; with A-Z folded to a-z; or folded and from the
// last to the first, which turns the suffixes of a host name into prefixes.
enum class Reading : uint8_t { kPlain, kFolded, kReversed };

namespace internal {

inline uint64_t load(const char* p, size_t n) noexcept {  // n <= 8 bytes, little end first
  const auto byte = [p](size_t i) { return uint64_t{static_cast<unsigned char>(p[i])}; };
  if (n == 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    return word;
  }
  if (n >= 4) {
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    return low | uint64_t{high} << (8 * (n - 4));
  }
  if (n == 0) return 0;
  return byte(0) | byte(n >> 1) << (8 * (n >> 1)) | byte(n - 1) << (8 * (n - 1));
}

// A-Z to a-z in each byte; others, those above 127 too, stay.
inline uint64_t fold(uint64_t w) noexcept {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t low7 = w & (kOnes * 0x7f);
  const uint64_t above = low7 + kOnes * (0x80 - 'A');
  const uint64_t beyond = low7 + kOnes * (0x80 - 'Z' - 1);
  return w | (((above & ~beyond & ~w) & (kOnes * 0x80)) >> 2);
}

// Bytes at .. at + n of `text` as read; at + n <= text.size(), n <= 8.
template <Reading R>
uint64_t word_at(std::string_view text, size_t at, size_t n) noexcept {
  if constexpr (R == Reading::kReversed) {
    const uint64_t word = fold(load(text.data() + (text.size() - at - n), n));
    return n == 0 ? 0 : __builtin_bswap64(word) >> (8 * (8 - n));
  } else if constexpr (R == Reading::kFolded) {
    return fold(load(text.data() + at, n));
  } else {
    return load(text.data() + at, n);
  }
}

inline uint64_t mix(uint64_t a, uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Hash of growing prefixes of one text: what was hashed for a shorter prefix is not hashed again.
template <Reading R>
class PrefixHash {
 public:
  PrefixHash(std::string_view text, uint64_t seed) noexcept : text_(text), state_(seed) {}

  // Hash of the first `n` bytes; does not move on.
  uint64_t peek(size_t n) noexcept {
    ahead_ = state_;
    ahead_at_ = at_;
    for (; ahead_at_ + 8 <= n; ahead_at_ += 8) {
      ahead_ = mix(ahead_ ^ word_at<R>(text_, ahead_at_, 8), 0x9e3779b97f4a7c15);
    }
    const uint64_t tail = word_at<R>(text_, ahead_at_, n - ahead_at_);
    return mix(ahead_ ^ tail ^ 0xd6e8feb86659fd93, 0xa0761d6478bd642f ^ n);
  }
  // Makes the last peek() the start of later ones, which must be longer.
  void keep() noexcept {
    state_ = ahead_;
    at_ = ahead_at_;
  }

 private:
  std::string_view text_;
  uint64_t state_;
  size_t at_ = 0;
  uint64_t ahead_ = 0;
  size_t ahead_at_ = 0;
};

// True if the first stored.size() bytes of `text`, as read, are `stored` (which is written in the
// order of reading).
template <Reading R>
bool begins_with(std::string_view text, std::string_view stored) noexcept {
  if (stored.size() > text.size()) return false;
  size_t at = 0;
  for (; at + 8 <= stored.size(); at += 8) {
    if (word_at<R>(text, at, 8) != load(stored.data() + at, 8)) return false;
  }
  const size_t n = stored.size() - at;
  return word_at<R>(text, at, n) == load(stored.data() + at, n);
}

// `text` in the order and case of reading.
template <Reading R>
std::string as_read(std::string_view text) {
  std::string out(text);
  if constexpr (R != Reading::kPlain) {
    for (char& c : out) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
  }
  if constexpr (R == Reading::kReversed) out.assign(out.rbegin(), out.rend());
  return out;
}

// Open-addressing table from the hash of a text to its node. A node is {Header, text} in one block
// of bytes, so that a look-up that hits touches two places: the slot, and the node with its text.
template <class Value>
class NodeTable {
 public:
  struct Node {
    uint32_t size;  // of the text
    uint32_t text;  // offset in bytes_; for a node with a text of its own just behind the node
    Value value;
  };
  static_assert(alignof(Node) <= 8);

  const Node* node(uint32_t offset) const noexcept {
    return reinterpret_cast<const Node*>(bytes_.data() + offset);
  }
  Node* node(uint32_t offset) noexcept { return reinterpret_cast<Node*>(bytes_.data() + offset); }
  std::string_view text(const Node& node) const noexcept {
    return {bytes_.data() + node.text, node.size};
  }

  // 0 when there is no node of that hash. It may be one of another text with the same hash.
  uint32_t find(uint64_t hash) const noexcept {
    const auto tag = static_cast<uint32_t>(hash >> 32);
    for (size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.node == 0) return 0;
      if (slot.tag == tag) return slot.node;
    }
  }

  uint32_t append(std::string_view text, const Value& value);
  // A node whose text is the first `size` bytes of that of `owner`.
  uint32_t append_prefix(uint32_t owner, uint32_t size, const Value& value);
  void reset_slots(size_t num_nodes);
  void insert(uint64_t hash, uint32_t node) noexcept;
  void shrink() { bytes_.shrink_to_fit(); }
  size_t memory_bytes() const noexcept {
    return bytes_.capacity() + slots_.capacity() * sizeof(Slot);
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    uint32_t node = 0;
  };
  std::vector<Slot> slots_;
  size_t mask_ = 0;
  std::vector<char> bytes_ = std::vector<char>(8);  // offset 0 stands for "none"
};

// Tests weaken the hash with a mask to see what collisions do.
inline constexpr uint64_t kFullHash = ~uint64_t{0};

}  // namespace internal

// ExactIndex answers "what is stored under this text?". Built once, then immutable and readable by
// any worker. One probe and one comparison; neither allocates. build() picks a seed with which
// every stored text is found by its own hash, so a look-up that hits a node of another text is a
// miss.
template <Reading R, class Value, uint64_t kMask = internal::kFullHash>
class ExactIndex {
 public:
  // Texts are in order of reading (internal::as_read) and distinct.
  void build(const std::vector<std::pair<std::string, Value>>& entries);

  bool empty() const noexcept { return size_ == 0; }
  size_t size() const noexcept { return size_; }
  const Value* find(std::string_view text) const noexcept {
    const uint32_t at = table_.find(hash_of(text));
    if (at == 0) return nullptr;
    const auto* node = table_.node(at);
    if (node->size != text.size() || !internal::begins_with<R>(text, table_.text(*node))) {
      return nullptr;
    }
    return &node->value;
  }
  size_t memory_bytes() const noexcept { return table_.memory_bytes(); }

 private:
  uint64_t hash_of(std::string_view text) const noexcept {
    return internal::PrefixHash<R>(text, seed_).peek(text.size()) & kMask;
  }

  internal::NodeTable<Value> table_;
  uint64_t seed_ = 0;
  size_t size_ = 0;
};

// PrefixIndex answers "what is stored under the longest stored prefix of this text?". Built once,
// then immutable and readable by any worker; find() does not allocate.
//
// A binary search over the distinct lengths of the stored texts: a hit in the hash table means
// longer, a miss shorter (Waldvogel et al., SIGCOMM 1997). So that a hit leads on to every longer
// text, build() adds a marker for each length that the search for that text passes. Cost: one probe
// for each halving of the number of distinct lengths, hashing every byte about once, and one
// comparison: if the last hit is real, all earlier ones were. If it was not (a collision of 64-bit
// hashes), lengths are tried one by one.
//
// A node, marker or real, holds what its own prefixes say too. Value::inherit(parent, parent_node,
// next) is told the nearest shorter node and the byte that follows that node's text.
template <Reading R, class Value, uint64_t kMask = internal::kFullHash>
class PrefixIndex {
 public:
  using Node = typename internal::NodeTable<Value>::Node;

  // Texts are in order of reading and distinct; "" sets the value that is found when nothing is.
  void build(const std::vector<std::pair<std::string, Value>>& entries);

  bool empty() const noexcept { return size_ == 0; }
  size_t size() const noexcept { return size_; }

  // The longest stored text that is a prefix of the first `limit` bytes of `text`; the root's value
  // with size 0 if there is none.
  const Node& find(std::string_view text, size_t limit) const noexcept {
    return *table_.node(search<R>(text, limit));
  }
  const Node& at(uint32_t node) const noexcept { return *table_.node(node); }
  std::string_view text(const Node& node) const noexcept { return table_.text(node); }
  size_t num_lengths() const noexcept { return lengths_.size(); }
  size_t memory_bytes() const noexcept {
    return table_.memory_bytes() + lengths_.capacity() * sizeof(uint32_t);
  }

 private:
  // Offset of the node. `S` is R, or how a stored text is read (it is in order already).
  template <Reading S>
  uint32_t search(std::string_view text, size_t limit) const noexcept {
    internal::PrefixHash<S> hash(text, seed_);
    uint32_t found = 0;
    uint32_t found_size = 0;
    size_t low = 0;
    size_t high = lengths_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      const uint32_t size = lengths_[middle];
      const uint32_t at = size <= limit ? table_.find(hash.peek(size) & kMask) : 0;
      if (at != 0) {
        found = at;
        found_size = size;
        hash.keep();
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (found == 0) return root_;
    const Node& node = *table_.node(found);
    if (node.size != found_size || !internal::begins_with<S>(text, table_.text(node)))
        [[unlikely]] {
      return search_one_by_one<S>(text, limit);
    }
    return found;
  }
  template <Reading S>
  uint32_t search_one_by_one(std::string_view text, size_t limit) const noexcept;
  bool try_build(const std::vector<std::pair<std::string, Value>>& entries);
  void inherit(std::vector<uint32_t>& nodes);

  internal::NodeTable<Value> table_;
  std::vector<uint32_t> lengths_;  // distinct, ascending, without 0
  uint32_t root_ = 0;
  uint64_t seed_ = 0;
  size_t size_ = 0;
};

}  // namespace sluice::router

#include "router/text_index_build.h"  // IWYU pragma: export
