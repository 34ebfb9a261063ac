#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace sluice::xds {

// Accepted is one resource of a type as it was accepted last: its name, version and bytes, and what
// TypeState knows of it. There is one for every cluster and for every cluster's endpoints, so it is
// one piece of memory, of 40 bytes and its text. Owned by AcceptedResources; main only.
class Accepted {
 public:
  std::string_view name() const noexcept { return {text(), name_size_}; }
  std::string_view version() const noexcept { return {text() + name_size_, version_size_}; }
  std::string_view bytes() const noexcept {
    return {text() + name_size_ + version_size_, bytes_size_};
  }

  uint64_t unused = 0;  // position in TypeState::unused_; 0: in use
  base::WallNs accepted_at = 0;
  base::MonoNs expires_at = 0;  // 0: no TTL
  bool unchecked = false;       // came while nobody wanted it: not validated
  bool gone = false;            // the server has it no more; who uses it goes on (table 1.5)
  bool foreign = false;         // the server that we talk to now has not sent it
  bool restored = false;        // foreign: from the last good configuration

 private:
  friend class AcceptedResources;
  Accepted() = default;
  const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }

  uint32_t name_size_ = 0;
  uint32_t version_size_ = 0;
  uint32_t bytes_size_ = 0;
};

// AcceptedResources holds the accepted resources of a type by name, in no order. Pointers stay
// good until put() of that name or erase(). Main only.
class AcceptedResources {
 public:
  // Null: there is none.
  Accepted* find(std::string_view name) const noexcept;
  // The resource of that name, made if there is none, with this text; all else of it stays.
  Accepted& put(std::string_view name, std::string_view version, std::string_view bytes);
  void erase(const Accepted& resource);
  size_t size() const noexcept { return set_.size(); }
  // Sum of the bytes() of all.
  uint64_t bytes() const noexcept { return bytes_; }

  template <typename Fn>
  void for_each(Fn&& fn) const {
    for (const auto& resource : set_) fn(*resource);
  }

 private:
  struct Free {
    void operator()(Accepted* resource) const noexcept;
  };
  using Ptr = std::unique_ptr<Accepted, Free>;
  static absl::string_view key(std::string_view name) noexcept {
    return {name.data(), name.size()};
  }
  static absl::string_view key(const Ptr& resource) noexcept { return key(resource->name()); }
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return absl::HashOf(key(name)); }
    size_t operator()(const Ptr& resource) const { return absl::HashOf(key(resource)); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Ptr& a, const Ptr& b) const { return a->name() == b->name(); }
    bool operator()(const Ptr& a, std::string_view b) const { return a->name() == b; }
    bool operator()(std::string_view a, const Ptr& b) const { return a == b->name(); }
  };

  static Ptr make(std::string_view name, std::string_view version, std::string_view bytes);

  absl::flat_hash_set<Ptr, Hash, Equal> set_;
  uint64_t bytes_ = 0;
};

}  // namespace sluice::xds
