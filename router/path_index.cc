#include "router/path_index.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

namespace sluice::router {

namespace {

bool separated(std::string_view path, size_t size) noexcept {
  return path.size() == size || (path.size() > size && path[size] == '/');
}

// All that the text under which a route is filed does not say.
bool holds(const Route& route, EvalContext& context) noexcept {
  if (route.path_kind == PathMatch::Kind::kSeparatedPrefix &&
      !separated(context.path, route.path_size_)) {
    return false;
  }
  return route.predicates_ == nullptr || route.predicates_->hold(context);
}

// The exact value that a route demands of the header `name`, if it does.
const HeaderPredicate* exact_predicate(const Route& route, std::string_view name) {
  if (route.predicates_ == nullptr) return nullptr;
  for (const HeaderPredicate& header : route.predicates_->headers) {
    const bool exact = header.kind == HeaderMatch::Kind::kString && !header.invert &&
                       !header.treat_missing_as_empty && !header.string.ignore_case &&
                       header.string.kind == StringMatch::Kind::kExact;
    if (exact && (name.empty() || header.source.name == name)) return &header;
  }
  return nullptr;
}

}  // namespace

void RouteGroup::build(std::vector<uint32_t> indexes, const Route* routes) {
  constexpr size_t kWorthAHash = 8;
  std::sort(indexes.begin(), indexes.end());
  smallest_ = indexes.front();
  std::unordered_map<std::string_view, size_t> wanted;
  std::string_view name;
  for (const uint32_t i : indexes) {
    const HeaderPredicate* header = exact_predicate(routes[i], {});
    if (header == nullptr) continue;
    const std::string_view its_name = header->source.name;
    const size_t count = ++wanted[its_name];
    if (count >= kWorthAHash && (name.empty() || count > wanted[name])) name = its_name;
  }
  if (name.empty()) {
    others_ = std::move(indexes);
    others_.shrink_to_fit();
    return;
  }
  std::vector<std::pair<std::string_view, uint32_t>> pairs;
  by_header_ = std::make_unique<ByHeader>();
  for (const uint32_t i : indexes) {
    const HeaderPredicate* header = exact_predicate(routes[i], name);
    if (header == nullptr) {
      others_.push_back(i);
    } else {
      pairs.emplace_back(header->string.text, i);
      by_header_->source = header->source;
    }
  }
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::pair<std::string, Range>> values;
  for (const auto& [value, index] : pairs) {
    const auto at = static_cast<uint32_t>(by_header_->indexes.size());
    if (values.empty() || values.back().first != value) {
      values.emplace_back(std::string(value), Range{at, at});
    }
    ++values.back().second.end;
    by_header_->indexes.push_back(index);
  }
  by_header_->values.build(values);
  others_.shrink_to_fit();
}

uint32_t RouteGroup::first(const Route* routes, EvalContext& context,
                           uint32_t best) const noexcept {
  if (smallest_ >= best) return best;
  const auto look_at = [&](const uint32_t* at, const uint32_t* end) {
    for (; at != end && *at < best; ++at) {
      if (holds(routes[*at], context)) {
        best = *at;
        return;
      }
    }
  };
  if (by_header_ != nullptr) {
    by_header_->source.any(context, [&](std::string_view value) {
      if (const Range* range = by_header_->values.find(value)) {
        const uint32_t* const indexes = by_header_->indexes.data();
        look_at(indexes + range->begin, indexes + range->end);
      }
      return false;
    });
  }
  look_at(others_.data(), others_.data() + others_.size());
  return best;
}

size_t RouteGroup::memory_bytes() const noexcept {
  size_t bytes = sizeof(*this) + others_.capacity() * sizeof(uint32_t);
  if (by_header_ != nullptr) {
    bytes += sizeof(ByHeader) + by_header_->values.memory_bytes() +
             by_header_->indexes.capacity() * sizeof(uint32_t);
  }
  return bytes;
}

// Sorts the routes by the text under which each is filed.
class PathIndex::Builder {
 public:
  Builder(PathIndex* index, const std::vector<Route>& routes) : index_(index), routes_(routes) {}

  void run() {
    for (const Route& route : routes_) file(route);
    finish(&index_->plain_, plain_);
    if (!folded_.empty()) {
      index_->folded_ = std::make_unique<Texts<Reading::kFolded>>();
      finish(index_->folded_.get(), folded_);
    }
    index_->connect_ = group(std::move(connect_));
    index_->groups_.shrink_to_fit();
  }

 private:
  struct Filed {
    Exact exact;
    Prefix prefix;
    bool has_exact = false;
    bool has_prefix = false;
    std::vector<uint32_t> exact_group;
    std::vector<uint32_t> prefix_group;
  };
  // In order of first appearance: the same table from the same list.
  struct Files {
    std::unordered_map<std::string, size_t> positions;
    std::vector<std::pair<const std::string*, Filed>> filed;
    bool empty() const { return filed.empty(); }
    Filed& at(std::string text) {
      const auto [known, fresh] = positions.emplace(std::move(text), filed.size());
      if (fresh) filed.emplace_back(&known->first, Filed{});
      return filed[known->second].second;
    }
  };

  void file(const Route& route) {
    const uint32_t i = route.index;
    const bool conditional = route.predicates_ != nullptr;
    if (route.path_kind == PathMatch::Kind::kConnect) {
      connect_.push_back(i);
      return;
    }
    Files& files = route.path_ignore_case ? folded_ : plain_;
    Filed& at = files.at(text_of(route));
    if (route.path_kind == PathMatch::Kind::kExact) {
      at.has_exact = true;
      if (conditional) {
        at.exact_group.push_back(i);
      } else {
        at.exact.best = std::min(at.exact.best, i);
      }
      return;
    }
    at.has_prefix = true;
    if (conditional) {
      at.prefix_group.push_back(i);
    } else if (route.path_kind == PathMatch::Kind::kSeparatedPrefix) {
      at.prefix.separated = std::min(at.prefix.separated, i);
    } else {
      at.prefix.best = std::min(at.prefix.best, i);
    }
  }

  static std::string text_of(const Route& route) {
    if (route.path_kind == PathMatch::Kind::kRegex)
      return route.predicates_->path->literal_prefix();
    return route.path_ignore_case ? internal::as_read<Reading::kFolded>(route.path())
                                  : std::string(route.path());
  }

  GroupRef group(std::vector<uint32_t> indexes) {
    if (indexes.empty()) return 0;
    if (indexes.size() == 1) return indexes.front() | kSingle;
    index_->groups_.emplace_back().build(std::move(indexes), routes_.data());
    return static_cast<GroupRef>(index_->groups_.size());
  }

  // Routes behind an unconditional one of the same text and kind can never serve.
  static void drop_after(uint32_t best, std::vector<uint32_t>* indexes) {
    std::erase_if(*indexes, [best](uint32_t i) { return i > best; });
  }

  template <Reading R>
  void finish(Texts<R>* texts, Files& files) {
    std::vector<std::pair<std::string, Exact>> exact;
    std::vector<std::pair<std::string, Prefix>> prefixes;
    for (auto& [text, filed] : files.filed) {
      if (filed.has_exact) {
        drop_after(filed.exact.best, &filed.exact_group);
        uint32_t smallest = filed.exact.best;
        if (!filed.exact_group.empty()) smallest = std::min(smallest, filed.exact_group.front());
        texts->exact_smallest = std::min(texts->exact_smallest, smallest);
        filed.exact.group = group(std::move(filed.exact_group));
        exact.emplace_back(*text, filed.exact);
      }
      if (filed.has_prefix) {
        drop_after(filed.prefix.best, &filed.prefix_group);
        uint32_t smallest = std::min(filed.prefix.best, filed.prefix.separated);
        if (!filed.prefix_group.empty()) {
          filed.prefix.smallest = filed.prefix_group.front();
          smallest = std::min(smallest, filed.prefix.smallest);
        }
        texts->prefix_smallest = std::min(texts->prefix_smallest, smallest);
        filed.prefix.group = group(std::move(filed.prefix_group));
        prefixes.emplace_back(*text, filed.prefix);
      }
    }
    texts->exact.build(exact);
    texts->prefixes.build(prefixes);
  }

  PathIndex* index_;
  const std::vector<Route>& routes_;
  Files plain_;
  Files folded_;
  std::vector<uint32_t> connect_;
};

void PathIndex::Prefix::inherit(const Prefix& parent, uint32_t parent_node,
                                char next_byte) noexcept {
  best = std::min(best, parent.best);
  if (next_byte == '/') best = std::min(best, parent.separated);
  // Conditional routes of shorter texts matter only if they come before what is certain here.
  if (parent.smallest >= best) return;
  next = parent.group != 0 ? parent_node : parent.next;
  smallest = std::min(smallest, parent.smallest);
}

void PathIndex::build(const std::vector<Route>& routes) { Builder(this, routes).run(); }

uint32_t PathIndex::first_of(GroupRef group, const Route* routes, EvalContext& context,
                             uint32_t best) const noexcept {
  if ((group & kSingle) == 0) return groups_[group - 1].first(routes, context, best);
  const uint32_t index = group & ~kSingle;
  return index < best && holds(routes[index], context) ? index : best;
}

template <Reading R>
uint32_t PathIndex::match_texts(const Texts<R>& texts, const Route* routes, EvalContext& context,
                                uint32_t best) const noexcept {
  if (texts.exact_smallest < best) {
    if (const Exact* exact = texts.exact.find(context.path)) {
      best = std::min(best, exact->best);
      if (exact->group != 0) best = first_of(exact->group, routes, context, best);
    }
  }
  if (texts.prefix_smallest >= best) return best;
  const auto& node = texts.prefixes.find(context.path, context.path.size());
  best = std::min(best, node.value.best);
  if (node.value.separated < best && separated(context.path, node.size)) {
    best = node.value.separated;
  }
  for (const Prefix* at = &node.value; at->smallest < best;
       at = &texts.prefixes.at(at->next).value) {
    if (at->group != 0) best = first_of(at->group, routes, context, best);
    if (at->next == 0) break;
  }
  return best;
}

uint32_t PathIndex::match(const Route* routes, EvalContext& context) const noexcept {
  uint32_t best = kNone;
  if (!context.head.path.empty()) {
    best = match_texts(plain_, routes, context, best);
    if (folded_ != nullptr) best = match_texts(*folded_, routes, context, best);
  }
  if (connect_ != 0 && context.head.method == http::Method::kConnect) {
    best = first_of(connect_, routes, context, best);
  }
  return best;
}

size_t PathIndex::memory_bytes() const noexcept {
  size_t bytes = plain_.memory_bytes();
  if (folded_ != nullptr) bytes += sizeof(*folded_) + folded_->memory_bytes();
  for (const RouteGroup& group : groups_) bytes += group.memory_bytes();
  return bytes;
}

}  // namespace sluice::router
