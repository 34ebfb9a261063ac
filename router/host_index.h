#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "router/text_index.h"

namespace sluice::router {

// HostIndex answers "which virtual host serves this authority?", as Envoy orders it: the exact
// domain, then the longest "*suffix", then the longest "prefix*", then "*". A wildcard stands for
// at least one character. Letter case does not matter; the host is neither copied nor changed.
// Ports are part of the text; the table takes them off if the configuration says so. Immutable
// after build(); any worker. One probe for exact domains and one per halving of the number of
// distinct wildcard lengths.
class HostIndex {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  enum class Kind : uint8_t { kNone, kExact, kSuffix, kPrefix, kAny };

  struct Domain {
    std::string_view text;
    uint32_t virtual_host;
    uint32_t position;  // in the virtual host's list, for errors
  };
  // Errors name the virtual host and the domain by field path.
  absl::Status build(const std::vector<Domain>& domains);

  uint32_t find(std::string_view host) const noexcept {
    Kind kind;
    return find(host, kind);
  }
  uint32_t find(std::string_view host, Kind& kind) const noexcept;

  size_t memory_bytes() const noexcept {
    return exact_.memory_bytes() + suffixes_.memory_bytes() + prefixes_.memory_bytes();
  }

 private:
  struct Wildcard {
    uint32_t virtual_host = kNone;
    void inherit(const Wildcard& parent, uint32_t, char) noexcept {
      if (virtual_host == kNone) virtual_host = parent.virtual_host;
    }
  };

  ExactIndex<Reading::kFolded, uint32_t> exact_;
  PrefixIndex<Reading::kReversed, Wildcard> suffixes_;
  PrefixIndex<Reading::kFolded, Wildcard> prefixes_;
  uint32_t any_ = kNone;
};

// `authority` without its port: "a:80" is "a", "[::1]:80" is "[::1]".
std::string_view without_port(std::string_view authority) noexcept;

}  // namespace sluice::router
