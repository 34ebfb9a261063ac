#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/predicates.h"
#include "router/route.h"
#include "router/text_index.h"

namespace sluice::router {

// Routes that share a path and have conditions, in list order. When there are many, those that want
// an exact value of the most common header are found by a hash of it.
class RouteGroup {
 public:
  void build(std::vector<uint32_t> indexes, const Route* routes);
  // The smallest index below `best` whose route holds, or `best`.
  uint32_t first(const Route* routes, EvalContext& context, uint32_t best) const noexcept;
  uint32_t smallest() const noexcept { return smallest_; }
  size_t memory_bytes() const noexcept;

 private:
  struct Range {
    uint32_t begin;
    uint32_t end;
  };
  struct ByHeader {
    HeaderSource source;
    ExactIndex<Reading::kPlain, Range> values;
    std::vector<uint32_t> indexes;
  };

  std::vector<uint32_t> others_;
  std::unique_ptr<ByHeader> by_header_;
  uint32_t smallest_ = 0;
};

// PathIndex answers "which is the first route in list order that serves this path?" for one virtual
// host. Each route is filed under a text: its exact path, its prefix, or the literal text that
// every match of its regular expression begins with. A node of the prefix index knows the smallest
// index among the unconditional routes of all its prefixes, so their number does not matter; routes
// with conditions hang on it in groups, linked only where they could still win. Immutable after
// build(); any worker.
class PathIndex {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // `routes` stay where they are and are passed to match().
  void build(const std::vector<Route>& routes);
  // Index of the route, or kNone.
  uint32_t match(const Route* routes, EvalContext& context) const noexcept;
  size_t memory_bytes() const noexcept;

 private:
  // A group of one is kept as its route's index with the top bit set; 0 is none, else number + 1.
  using GroupRef = uint32_t;
  static constexpr GroupRef kSingle = 0x8000'0000;

  struct Exact {
    uint32_t best = kNone;  // smallest index of an unconditional route
    GroupRef group = 0;
  };
  struct Prefix {
    uint32_t best = kNone;       // unconditional routes of this text and of its prefixes
    uint32_t separated = kNone;  // unconditional path-separated prefix of just this text
    GroupRef group = 0;          // conditional routes of just this text
    uint32_t next = 0;           // node of the next shorter text with conditional routes
    uint32_t smallest = kNone;   // index in group, or in those that `next` leads to
    void inherit(const Prefix& parent, uint32_t parent_node, char next_byte) noexcept;
  };
  template <Reading R>
  struct Texts {
    ExactIndex<R, Exact> exact;
    PrefixIndex<R, Prefix> prefixes;
    uint32_t exact_smallest = kNone;
    uint32_t prefix_smallest = kNone;
    size_t memory_bytes() const noexcept { return exact.memory_bytes() + prefixes.memory_bytes(); }
  };
  class Builder;

  template <Reading R>
  uint32_t match_texts(const Texts<R>& texts, const Route* routes, EvalContext& context,
                       uint32_t best) const noexcept;
  uint32_t first_of(GroupRef group, const Route* routes, EvalContext& context,
                    uint32_t best) const noexcept;

  Texts<Reading::kPlain> plain_;
  std::unique_ptr<Texts<Reading::kFolded>> folded_;  // ignore_case
  std::vector<RouteGroup> groups_;
  GroupRef connect_ = 0;
};

}  // namespace sluice::router
