#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::base {

// Joins text and numbers into a string. For configuration, errors and admin: it allocates.
// It exists because Debian's absl is built for C++14, where absl::string_view is a type of its own
// and absl::StrCat does not take std::string_view; this file is the one place that knows.
namespace internal {
inline void cat_one(std::string& out, std::string_view text) { out.append(text); }
inline void cat_one(std::string& out, const char* text) { out.append(text); }
inline void cat_one(std::string& out, const std::string& text) { out.append(text); }
inline void cat_one(std::string& out, char c) { out.push_back(c); }
inline void cat_one(std::string& out, bool b) { out.append(b ? "true" : "false"); }
template <typename N>
  requires(std::integral<N> || std::floating_point<N>)
void cat_one(std::string& out, N number) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  out.append(buffer, end);
}
}  // namespace internal

template <typename... Args>
void cat_to(std::string& out, const Args&... args) {
  (internal::cat_one(out, args), ...);
}

template <typename... Args>
std::string cat(const Args&... args) {
  std::string out;
  cat_to(out, args...);
  return out;
}

inline std::string_view text_of(absl::string_view s) noexcept { return {s.data(), s.size()}; }
inline std::string_view message_of(const absl::Status& s) { return text_of(s.message()); }

// A configuration error: "path: problem: value" (docs of errors: see style; one line, no full
// stop).
template <typename... Args>
absl::Status config_error(const Args&... args) {
  return absl::InvalidArgumentError(cat(args...));
}

}  // namespace sluice::base
