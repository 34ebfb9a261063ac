#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "http/message.h"

namespace sluice::router {

struct RouteConfigValue;

// Scoped routes (xDS: SRDS, xds.md rule 133): which of a listener's route configurations serves a
// request is read off its head. A ScopeKeyBuilder makes the request's key, one fragment per header
// value; a ScopeTable finds the scope of that key.
//
// Both are immutable; any worker. A look-up costs the bytes of the key's headers and one probe,
// however many scopes there are; it allocates nothing and copies nothing. A key that cannot be made
// (a header or an element is missing) and one that no scope has both mean: no scope. As in Envoy
// the first field of a name counts, `host` means the authority, and a key's fragments are compared
// byte by byte, in order.

// One header value extractor.
struct ScopeFragmentValue {
  std::string header;
  std::string element_separator;  // empty: the value is one element
  // Which element: the index-th, or the one whose text before `key_separator` is `key`, of which
  // the text behind it counts.
  bool by_key = false;
  uint32_t index = 0;
  std::string key_separator;
  std::string key;
};

struct ScopeValue {
  std::string name;
  std::vector<std::string> key;
  // One of the two: the name of a route configuration, or itself.
  std::string rds_name;
  std::shared_ptr<const RouteConfigValue> inline_routes;
  bool on_demand = false;  // the named one is asked for when a request wants it
};

struct ScopeKey {
  static constexpr size_t kMaxFragments = 16;
  std::array<std::string_view, kMaxFragments> fragments;
  size_t size = 0;
};

class ScopeKeyBuilder {
 public:
  // Errors: "PATH.fragments[1]....: problem: value".
  static absl::StatusOr<ScopeKeyBuilder> compile(std::vector<ScopeFragmentValue> fragments,
                                                 std::string_view path);
  // False: the request has no key. Views into the head.
  bool make(const http::RequestHead& head, ScopeKey* key) const noexcept;

 private:
  struct Fragment {
    ScopeFragmentValue value;
    http::HeaderId id = http::HeaderId::kOther;
    bool authority = false;
  };
  std::vector<Fragment> fragments_;
};

class ScopeTable {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  struct Entry {
    std::vector<std::string> key;
    uint32_t value = kNone;
  };
  // Of two entries with one key the first counts; who must refuse them looks before.
  explicit ScopeTable(const std::vector<Entry>& entries);
  ScopeTable() : ScopeTable(std::vector<Entry>()) {}

  // The value of the entry with this key, or kNone.
  uint32_t find(const ScopeKey& key) const noexcept;
  size_t size() const noexcept { return slots_in_use_; }

 private:
  struct Slot {
    uint32_t tag = 0;    // half of the hash
    uint32_t start = 0;  // in texts_, 1 based; 0: empty
  };
  bool holds(const Slot& slot, std::span<const std::string_view> key) const noexcept;
  void insert(uint64_t hash, std::span<const std::string_view> key, uint32_t value);

  std::vector<Slot> slots_;  // a power of two, at most half full
  // Per entry: value, number of fragments, then each fragment's size and bytes.
  std::vector<char> texts_;
  size_t slots_in_use_ = 0;
};

}  // namespace sluice::router
