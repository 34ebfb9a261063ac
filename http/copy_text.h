#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace sluice::http {

// Copies a short text, as names and values are, without a call: words that may overlap at the end.
// Reads and writes only the text's bytes. Long ones go to memcpy.
inline void copy_text(char* to, std::string_view text) noexcept {
  const char* const from = text.data();
  const size_t n = text.size();
  const auto ends = [=](auto word) {
    std::memcpy(&word, from + n - sizeof(word), sizeof(word));
    auto first = word;
    std::memcpy(&first, from, sizeof(first));
    std::memcpy(to, &first, sizeof(first));
    std::memcpy(to + n - sizeof(word), &word, sizeof(word));
  };
  struct Sixteen {
    char bytes[16];
  };
  if (n > 48) {
    std::memcpy(to, from, n);
  } else if (n >= 16) {
    for (size_t i = 16; i + 16 < n; i += 16) std::memcpy(to + i, from + i, 16);
    ends(Sixteen{});
  } else if (n >= 8) {
    ends(size_t{});
  } else if (n >= 4) {
    ends(unsigned{});
  } else if (n != 0) {
    to[0] = from[0];
    to[n / 2] = from[n / 2];
    to[n - 1] = from[n - 1];
  }
}

}  // namespace sluice::http
