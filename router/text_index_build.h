#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "router/text_index.h"

// How the indexes of text_index.h are built: off the request path. Included by that header only.

namespace sluice::router {
namespace internal {

template <class Value>
uint32_t NodeTable<Value>::append(std::string_view text, const Value& value) {
  const size_t offset = bytes_.size();
  const size_t used = sizeof(Node) + text.size();
  bytes_.resize(offset + ((used + 7) & ~size_t{7}));
  if (bytes_.size() > ~uint32_t{0}) std::abort();  // 4 GiB of prefixes in one virtual host
  const auto text_at = static_cast<uint32_t>(offset + sizeof(Node));
  new (bytes_.data() + offset) Node{static_cast<uint32_t>(text.size()), text_at, value};
  if (!text.empty()) std::memcpy(bytes_.data() + text_at, text.data(), text.size());
  return static_cast<uint32_t>(offset);
}

template <class Value>
uint32_t NodeTable<Value>::append_prefix(uint32_t owner, uint32_t size, const Value& value) {
  const uint32_t text_at = node(owner)->text;
  const uint32_t offset = append({}, value);
  node(offset)->size = size;
  node(offset)->text = text_at;
  return offset;
}

template <class Value>
void NodeTable<Value>::reset_slots(size_t num_nodes) {
  const size_t size = std::bit_ceil(num_nodes + num_nodes / 2 + 1);
  slots_.assign(size, Slot{});
  slots_.shrink_to_fit();
  mask_ = size - 1;
}

template <class Value>
void NodeTable<Value>::insert(uint64_t hash, uint32_t node) noexcept {
  size_t at = hash & mask_;
  while (slots_[at].node != 0) at = (at + 1) & mask_;
  slots_[at] = {static_cast<uint32_t>(hash >> 32), node};
}

// Seeds to try before giving up: with whole hashes the first one serves.
inline constexpr uint64_t kMaxSeeds = 10'000;

}  // namespace internal

template <Reading R, class Value, uint64_t kMask>
void ExactIndex<R, Value, kMask>::build(const std::vector<std::pair<std::string, Value>>& entries) {
  size_ = entries.size();
  table_ = {};
  table_.reset_slots(entries.size());
  std::vector<uint32_t> nodes;
  nodes.reserve(entries.size());
  for (const auto& [text, value] : entries) nodes.push_back(table_.append(text, value));
  table_.shrink();
  // The stored text is already in order of reading.
  constexpr Reading kStored = R == Reading::kReversed ? Reading::kFolded : R;
  const auto stored_hash = [this](std::string_view text) {
    return internal::PrefixHash<kStored>(text, seed_).peek(text.size()) & kMask;
  };
  for (seed_ = 1; seed_ < internal::kMaxSeeds; ++seed_) {
    table_.reset_slots(entries.size());
    for (size_t i = 0; i < entries.size(); ++i) {
      table_.insert(stored_hash(entries[i].first), nodes[i]);
    }
    bool all_found = true;
    for (size_t i = 0; all_found && i < entries.size(); ++i) {
      all_found = table_.find(stored_hash(entries[i].first)) == nodes[i];
    }
    if (all_found) return;
  }
  std::abort();
}

template <Reading R, class Value, uint64_t kMask>
void PrefixIndex<R, Value, kMask>::build(
    const std::vector<std::pair<std::string, Value>>& entries) {
  size_ = entries.size();
  lengths_.clear();
  for (const auto& [text, value] : entries) {
    if (!text.empty()) lengths_.push_back(static_cast<uint32_t>(text.size()));
  }
  std::sort(lengths_.begin(), lengths_.end());
  lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
  lengths_.shrink_to_fit();
  for (seed_ = 1; seed_ < internal::kMaxSeeds; ++seed_) {
    if (try_build(entries)) return;
  }
  std::abort();
}

template <Reading R, class Value, uint64_t kMask>
bool PrefixIndex<R, Value, kMask>::try_build(
    const std::vector<std::pair<std::string, Value>>& entries) {
  constexpr Reading kStored = R == Reading::kReversed ? Reading::kFolded : R;
  table_ = {};
  root_ = 0;
  std::vector<uint32_t> nodes;   // of entries first, then markers
  std::vector<uint64_t> hashes;  // of nodes
  absl::flat_hash_map<uint64_t, uint32_t> by_hash;
  for (const auto& [text, value] : entries) {
    const uint32_t at = table_.append(text, value);
    if (text.empty()) {
      root_ = at;
      continue;
    }
    const uint64_t hash = internal::PrefixHash<kStored>(text, seed_).peek(text.size()) & kMask;
    if (!by_hash.emplace(hash, at).second) return false;
    nodes.push_back(at);
    hashes.push_back(hash);
  }
  if (root_ == 0) root_ = table_.append({}, Value{});

  const size_t num_real = nodes.size();
  for (size_t i = 0; i < num_real; ++i) {
    const std::string text(table_.text(*table_.node(nodes[i])));
    internal::PrefixHash<kStored> prefix(text, seed_);
    size_t low = 0;
    size_t high = lengths_.size();
    while (low < high) {
      const size_t middle = (low + high) / 2;
      const uint32_t size = lengths_[middle];
      if (size == text.size()) break;
      if (size > text.size()) {
        high = middle;
        continue;
      }
      const uint64_t hash = prefix.peek(size) & kMask;
      prefix.keep();
      low = middle + 1;
      const auto [known, fresh] = by_hash.emplace(hash, 0);
      if (fresh) {
        known->second = table_.append_prefix(nodes[i], size, Value{});
        nodes.push_back(known->second);
        hashes.push_back(hash);
      } else {
        const std::string_view other = table_.text(*table_.node(known->second));
        if (other.size() != size || text.compare(0, size, other) != 0) return false;
      }
    }
  }
  table_.shrink();
  table_.reset_slots(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) table_.insert(hashes[i], nodes[i]);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (table_.find(hashes[i]) != nodes[i]) return false;
  }
  inherit(nodes);
  return true;
}

template <Reading R, class Value, uint64_t kMask>
void PrefixIndex<R, Value, kMask>::inherit(std::vector<uint32_t>& nodes) {
  constexpr Reading kStored = R == Reading::kReversed ? Reading::kFolded : R;
  std::sort(nodes.begin(), nodes.end(),
            [this](uint32_t a, uint32_t b) { return table_.node(a)->size < table_.node(b)->size; });
  for (const uint32_t at : nodes) {
    Node* node = table_.node(at);
    const std::string_view text = table_.text(*node);
    const uint32_t parent = search<kStored>(text, text.size() - 1);
    node->value.inherit(table_.node(parent)->value, parent, text[table_.node(parent)->size]);
  }
}

template <Reading R, class Value, uint64_t kMask>
template <Reading S>
uint32_t PrefixIndex<R, Value, kMask>::search_one_by_one(std::string_view text,
                                                         size_t limit) const noexcept {
  for (auto size = lengths_.rbegin(); size != lengths_.rend(); ++size) {
    if (*size > limit) continue;
    const uint32_t at = table_.find(internal::PrefixHash<S>(text, seed_).peek(*size) & kMask);
    if (at == 0) continue;
    const Node& node = *table_.node(at);
    if (node.size == *size && internal::begins_with<S>(text, table_.text(node))) return at;
  }
  return root_;
}

}  // namespace sluice::router
