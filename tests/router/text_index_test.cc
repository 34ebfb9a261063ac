#include "router/text_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace sluice::router {
namespace {

struct Number {
  int own = -1;
  void inherit(const Number& parent, uint32_t, char) {
    if (own < 0) own = parent.own;
  }
};

// Hashes of 9 bits collide all the time: misleading hits, fallbacks and new seeds are exercised.
constexpr uint64_t kWeak = 0x0000'003f'0000'0007;

std::string random_text(std::mt19937& random, size_t max_size) {
  std::string out;
  for (size_t n = random() % (max_size + 1); n != 0; --n) out += "aAbz"[random() % 4];
  return out;
}

template <Reading R, uint64_t kMask>
void check(uint32_t seed, size_t num_texts, size_t max_size) {
  std::mt19937 random(seed);
  std::map<std::string, int> stored;
  for (size_t i = 0; i < num_texts; ++i) {
    stored.emplace(internal::as_read<R>(random_text(random, max_size)), static_cast<int>(i));
  }
  std::vector<std::pair<std::string, Number>> prefixes;
  std::vector<std::pair<std::string, int>> exact;
  for (const auto& [text, number] : stored) {
    prefixes.emplace_back(text, Number{number});
    exact.emplace_back(text, number);
  }
  PrefixIndex<R, Number, kMask> prefix_index;
  prefix_index.build(prefixes);
  ExactIndex<R, int, kMask> exact_index;
  exact_index.build(exact);
  for (int i = 0; i < 200; ++i) {
    const std::string text = random_text(random, max_size + 4);
    const std::string read = internal::as_read<R>(text);
    const size_t limit = random() % (text.size() + 1);
    int want = -1;
    for (size_t n = 0; n <= limit; ++n) {
      if (const auto at = stored.find(read.substr(0, n)); at != stored.end()) want = at->second;
    }
    ASSERT_EQ(prefix_index.find(text, limit).value.own, want) << seed << " " << text;
    const auto at = stored.find(read);
    const int* found = exact_index.find(text);
    ASSERT_EQ(found == nullptr ? -1 : *found, at == stored.end() ? -1 : at->second);
  }
}

TEST(TextIndex, FindsTheLongestPrefix) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    ASSERT_NO_FATAL_FAILURE((check<Reading::kPlain, internal::kFullHash>(seed, 60, 12)));
    ASSERT_NO_FATAL_FAILURE((check<Reading::kFolded, internal::kFullHash>(seed, 60, 25)));
    ASSERT_NO_FATAL_FAILURE((check<Reading::kReversed, internal::kFullHash>(seed, 60, 25)));
  }
}

TEST(TextIndex, IsRightWhenHashesCollide) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    ASSERT_NO_FATAL_FAILURE((check<Reading::kPlain, kWeak>(seed, 6, 6)));
    ASSERT_NO_FATAL_FAILURE((check<Reading::kReversed, kWeak>(seed, 6, 10)));
  }
}

TEST(TextIndex, FoldsLettersAndNothingElse) {
  for (int c = 0; c < 256; ++c) {
    const uint64_t word = internal::fold(0x0101010101010101 * static_cast<uint64_t>(c));
    const int want = c >= 'A' && c <= 'Z' ? c + 32 : c;
    EXPECT_EQ(word, 0x0101010101010101 * static_cast<uint64_t>(want)) << c;
  }
}

TEST(TextIndex, EmptyIndexFindsTheRoot) {
  PrefixIndex<Reading::kPlain, Number> index;
  index.build({});
  EXPECT_TRUE(index.empty());
  EXPECT_EQ(index.find("abc", 3).value.own, -1);
  index.build({{"", Number{4}}});
  EXPECT_EQ(index.find("abc", 3).value.own, 4);
}

}  // namespace
}  // namespace sluice::router
