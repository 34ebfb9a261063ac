#include "router/scope.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "router/text_index.h"

namespace sluice::router {
namespace {

constexpr uint64_t kSeed = 0x2545f4914f6cdd1d;

uint64_t hash_of(std::span<const std::string_view> key) noexcept {
  uint64_t hash = kSeed ^ key.size();
  for (const std::string_view fragment : key) {
    internal::PrefixHash<Reading::kPlain> one(fragment, hash);
    hash = one.peek(fragment.size());
  }
  return hash;
}

// Calls fn(element) for each element until it returns true. False: it never did.
template <typename Fn>
bool any_element(std::string_view text, std::string_view separator, Fn&& fn) noexcept {
  while (!separator.empty()) {
    const size_t at = text.find(separator);
    if (at == text.npos) break;
    if (fn(text.substr(0, at))) return true;
    text.remove_prefix(at + separator.size());
  }
  return fn(text);
}

bool extract(const ScopeFragmentValue& how, std::string_view text, std::string_view* out) noexcept {
  if (how.by_key) {
    return any_element(text, how.element_separator, [&](std::string_view element) {
      const size_t at = element.find(how.key_separator);
      if (element.substr(0, at) != how.key) return false;
      *out =
          at == element.npos ? std::string_view() : element.substr(at + how.key_separator.size());
      return true;
    });
  }
  uint32_t left = how.index;
  return any_element(text, how.element_separator, [&](std::string_view element) {
    *out = element;
    return left-- == 0;
  });
}

uint32_t read_u32(const char* at) noexcept {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

void put_u32(std::vector<char>* out, size_t value) {
  const auto narrow = static_cast<uint32_t>(value);
  const size_t at = out->size();
  out->resize(at + sizeof(narrow));
  std::memcpy(out->data() + at, &narrow, sizeof(narrow));
}

}  // namespace

absl::StatusOr<ScopeKeyBuilder> ScopeKeyBuilder::compile(std::vector<ScopeFragmentValue> fragments,
                                                         std::string_view path) {
  if (fragments.empty() || fragments.size() > ScopeKey::kMaxFragments) {
    return base::config_error(path, ".fragments: a key has 1 to ", ScopeKey::kMaxFragments,
                              " fragments: ", fragments.size());
  }
  ScopeKeyBuilder out;
  for (size_t i = 0; i < fragments.size(); ++i) {
    Fragment fragment{std::move(fragments[i]), {}, false};
    ScopeFragmentValue& value = fragment.value;
    if (!value.by_key && value.index != 0 && value.element_separator.empty()) {
      return base::config_error(path, ".fragments[", i,
                                "].header_value_extractor.index: there is one element without an "
                                "element_separator, so it must be 0: ",
                                value.index);
    }
    for (char& c : value.header) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    fragment.authority = value.header == "host" || value.header == ":authority";
    fragment.id = http::header_id_of(value.header);
    out.fragments_.push_back(std::move(fragment));
  }
  return out;
}

bool ScopeKeyBuilder::make(const http::RequestHead& head, ScopeKey* key) const noexcept {
  key->size = fragments_.size();
  for (size_t i = 0; i < fragments_.size(); ++i) {
    const Fragment& fragment = fragments_[i];
    std::string_view text = head.authority;
    if (!fragment.authority) {
      const http::Field* field = fragment.id == http::HeaderId::kOther
                                     ? head.fields.find(fragment.value.header)
                                     : head.fields.find(fragment.id);
      if (field == nullptr) return false;
      text = field->value();
    }
    if (!extract(fragment.value, text, &key->fragments[i])) return false;
  }
  return true;
}

ScopeTable::ScopeTable(const std::vector<Entry>& entries) {
  slots_.resize(std::bit_ceil(std::max<size_t>(2 * entries.size(), 2)));
  std::vector<std::string_view> key;
  for (const Entry& entry : entries) {
    key.assign(entry.key.begin(), entry.key.end());
    insert(hash_of(key), key, entry.value);
  }
}

void ScopeTable::insert(uint64_t hash, std::span<const std::string_view> key, uint32_t value) {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  size_t at = hash & mask;
  for (; slots_[at].start != 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && holds(slots_[at], key)) return;
  }
  slots_[at] = {tag, static_cast<uint32_t>(texts_.size() + 1)};
  put_u32(&texts_, value);
  put_u32(&texts_, key.size());
  for (const std::string_view fragment : key) {
    put_u32(&texts_, fragment.size());
    texts_.insert(texts_.end(), fragment.begin(), fragment.end());
  }
  ++slots_in_use_;
}

bool ScopeTable::holds(const Slot& slot, std::span<const std::string_view> key) const noexcept {
  const char* at = texts_.data() + slot.start - 1 + sizeof(uint32_t);
  if (read_u32(at) != key.size()) return false;
  at += sizeof(uint32_t);
  for (const std::string_view fragment : key) {
    const uint32_t size = read_u32(at);
    at += sizeof(uint32_t);
    if (std::string_view(at, size) != fragment) return false;
    at += size;
  }
  return true;
}

uint32_t ScopeTable::find(const ScopeKey& key) const noexcept {
  const std::span<const std::string_view> fragments(key.fragments.data(), key.size);
  const uint64_t hash = hash_of(fragments);
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash >> 32);
  for (size_t at = hash & mask; slots_[at].start != 0; at = (at + 1) & mask) {
    if (slots_[at].tag == tag && holds(slots_[at], fragments)) {
      return read_u32(texts_.data() + slots_[at].start - 1);
    }
  }
  return kNone;
}

}  // namespace sluice::router
