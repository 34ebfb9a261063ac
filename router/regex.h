#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace sluice::router {

// Regex is a compiled regular expression: RE2, as Envoy's safe_regex.
//
// RE2 locks its DFA cache and grows it within its memory budget, so there is one object per worker:
// the lock is never contended (an allowance of the performance contract). `worker` is taken modulo
// the number of objects. Immutable but for that cache; any worker may call, each with its own
// index.
class Regex {
 public:
  Regex(std::string_view pattern, uint32_t num_workers);
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;
  ~Regex();

  bool ok() const noexcept;
  std::string error() const;
  const std::string& pattern() const noexcept;
  // Text that every full match begins with; empty when there is none.
  const std::string& literal_prefix() const noexcept { return literal_prefix_; }
  bool full_match(std::string_view text, uint32_t worker) const noexcept;
  // Whether `rewrite` is a substitution for this pattern: \0 to \9 stand for its groups.
  bool check_substitution(std::string_view rewrite, std::string* problem) const;
  const re2::RE2& on(uint32_t worker) const noexcept { return *objects_[worker % size_]; }

 private:
  std::unique_ptr<std::unique_ptr<re2::RE2>[]> objects_;
  uint32_t size_;
  std::string literal_prefix_;
};

}  // namespace sluice::router
