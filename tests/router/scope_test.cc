#include "router/scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "base/text.h"
#include "tests/router/request.h"

namespace sluice::router {
namespace {

using Key = std::vector<std::string>;
using Headers = std::vector<std::pair<std::string, std::string>>;

ScopeFragmentValue by_index(std::string header, std::string separator, uint32_t index) {
  return {std::move(header), std::move(separator), false, index, "", ""};
}
ScopeFragmentValue by_key(std::string header, std::string separator, std::string key_separator,
                          std::string key) {
  return {std::move(header),        std::move(separator), true, 0,
          std::move(key_separator), std::move(key)};
}

ScopeKeyBuilder builder_of(std::vector<ScopeFragmentValue> fragments) {
  auto builder = ScopeKeyBuilder::compile(std::move(fragments), "at");
  EXPECT_TRUE(builder.ok()) << builder.status();
  return *std::move(builder);
}

// The rules, said plainly: split, look at one element after the other.
std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> out;
  size_t from = 0;
  for (size_t at; !separator.empty() && (at = text.find(separator, from)) != text.npos;) {
    out.push_back(text.substr(from, at - from));
    from = at + separator.size();
  }
  out.push_back(text.substr(from));
  return out;
}
std::optional<std::string> fragment_of(const ScopeFragmentValue& how, const std::string& text) {
  const auto elements = split(text, how.element_separator);
  if (!how.by_key) {
    if (how.index >= elements.size()) return std::nullopt;
    return elements[how.index];
  }
  for (const std::string& element : elements) {
    const size_t at = element.find(how.key_separator);
    if (element.substr(0, at) != how.key) continue;
    return at == element.npos ? "" : element.substr(at + how.key_separator.size());
  }
  return std::nullopt;
}
std::optional<Key> key_of(const std::vector<ScopeFragmentValue>& fragments,
                          const std::string& authority, const Headers& headers) {
  Key key;
  for (const ScopeFragmentValue& how : fragments) {
    std::optional<std::string> text;
    if (how.header == "host") text = authority;
    for (const auto& [name, value] : headers) {
      if (!text && name == how.header) text = value;
    }
    auto fragment = text ? fragment_of(how, *text) : std::nullopt;
    if (!fragment) return std::nullopt;
    key.push_back(*fragment);
  }
  return key;
}

TEST(Scope, ExtractsAsEnvoyDoes) {
  const auto fragment = [](const ScopeFragmentValue& how, const std::string& value) {
    TestRequest request({.authority = "a.test", .headers = {{"x", value}, {"x", "second"}}});
    ScopeKey key;
    if (!builder_of({how}).make(request.head(), &key)) return std::string("none");
    return std::string(key.fragments[0]);
  };
  EXPECT_EQ(fragment(by_index("x", "", 0), "a,b"), "a,b");
  EXPECT_EQ(fragment(by_index("x", ",", 1), "a,b"), "b");
  EXPECT_EQ(fragment(by_index("x", ",", 2), "a,b"), "none");
  EXPECT_EQ(fragment(by_index("x", "::", 1), "a::b:c"), "b:c");
  EXPECT_EQ(fragment(by_index("x", ",", 1), "a,"), "");
  EXPECT_EQ(fragment(by_key("x", ";", "=", "k"), "a=1;k=2=3;k=4"), "2=3");
  EXPECT_EQ(fragment(by_key("x", ";", "=", "k"), "k"), "");
  EXPECT_EQ(fragment(by_key("x", ";", "=", "k"), "a=1; k=2"), "none");
  EXPECT_EQ(fragment(by_key("x", "", "=", "k"), "k=1;2"), "1;2");
  EXPECT_EQ(fragment(by_index("y", "", 0), "a"), "none");
  EXPECT_EQ(fragment(by_index("Host", ".", 1), ""), "test");
  EXPECT_EQ(fragment(by_index(":authority", "", 0), ""), "a.test");
}

TEST(Scope, FindsTheSameAsAWalkThroughAllScopes) {
  std::mt19937 random(7);
  const auto pick = [&](const auto& from) { return from[random() % from.size()]; };
  const std::vector<std::string> words = {"",    "a",  "b",  "ab",
                                          "k=a", "k=", "ba", std::string(90, 'x')};
  const std::vector<std::string> separators = {"", ",", "=", "ab"};
  int hits = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<ScopeFragmentValue> fragments;
    for (size_t i = random() % 3 + 1; i > 0; --i) {
      const std::string header = pick(std::vector<std::string>{"x", "y", "host"});
      const std::string separator = pick(separators);
      if (random() % 2 == 0) {
        fragments.push_back(by_index(header, separator,
                                     separator.empty() ? 0 : static_cast<uint32_t>(random() % 3)));
      } else {
        fragments.push_back(
            by_key(header, separator, "=", pick(std::vector<std::string>{"k", "a"})));
      }
    }
    std::vector<ScopeTable::Entry> scopes;
    for (size_t i = random() % 40; i > 0; --i) {
      Key key;
      for (size_t f = 0; f < fragments.size(); ++f) key.push_back(pick(words));
      scopes.push_back({key, static_cast<uint32_t>(scopes.size())});
    }
    const ScopeTable table(scopes);
    const ScopeKeyBuilder builder = builder_of(fragments);
    for (int i = 0; i < 20; ++i) {
      const auto text = [&] { return pick(words) + pick(separators) + pick(words); };
      const std::string authority = text();
      Headers headers;
      if (random() % 8 != 0) headers.emplace_back("x", text());
      if (random() % 8 != 0) headers.emplace_back("y", text());
      const auto wanted = key_of(fragments, authority, headers);
      TestRequest request({.authority = authority, .headers = headers});
      ScopeKey key;
      ASSERT_EQ(builder.make(request.head(), &key), wanted.has_value());
      if (!wanted) continue;
      uint32_t expected = ScopeTable::kNone;
      for (const auto& scope : scopes) {
        if (expected == ScopeTable::kNone && scope.key == *wanted) expected = scope.value;
      }
      ASSERT_EQ(table.find(key), expected);
      hits += expected == ScopeTable::kNone ? 0 : 1;
    }
  }
  EXPECT_GT(hits, 300);
}

// Fragments are compared one by one: what stands where matters.
TEST(Scope, KeysThatReadTheSameInOneAreNotTheSame) {
  const ScopeTable table({{{"ab", "c"}, 1}, {{"a", "bc"}, 2}, {{"abc"}, 3}, {{"abc", ""}, 4}});
  const auto find = [&](std::vector<std::string_view> fragments) {
    ScopeKey key;
    key.size = fragments.size();
    std::copy(fragments.begin(), fragments.end(), key.fragments.begin());
    return table.find(key);
  };
  EXPECT_EQ(table.size(), 4u);
  EXPECT_EQ(find({"ab", "c"}), 1u);
  EXPECT_EQ(find({"a", "bc"}), 2u);
  EXPECT_EQ(find({"abc"}), 3u);
  EXPECT_EQ(find({"abc", ""}), 4u);
  EXPECT_EQ(find({"", "abc"}), ScopeTable::kNone);
}

TEST(Scope, FindsAmongMany) {
  std::vector<ScopeTable::Entry> scopes;
  for (uint32_t i = 0; i < 20'000; ++i) scopes.push_back({{"t" + std::to_string(i), "eu"}, i});
  const ScopeTable table(scopes);
  const ScopeKeyBuilder builder =
      builder_of({by_key("x", ";", "=", "tenant"), by_index("y", "", 0)});
  TestRequest request({.authority = "a", .headers = {{"x", "a=b;tenant=t12345;c=d"}, {"y", "eu"}}});
  ScopeKey key;
  ASSERT_TRUE(builder.make(request.head(), &key));
  const uint32_t found = table.find(key);
  EXPECT_EQ(found, 12345u);
}

TEST(Scope, RefusesWhatCannotBe) {
  const auto message = [](std::vector<ScopeFragmentValue> fragments) {
    return std::string(
        base::message_of(ScopeKeyBuilder::compile(std::move(fragments), "at").status()));
  };
  EXPECT_THAT(message({}), ::testing::HasSubstr("at.fragments: a key has 1 to 16 fragments: 0"));
  EXPECT_THAT(message({by_index("x", "", 0), by_index("x", "", 1)}),
              ::testing::HasSubstr("at.fragments[1].header_value_extractor.index"));
  EXPECT_THAT(message(std::vector<ScopeFragmentValue>(17, by_index("x", "", 0))),
              ::testing::HasSubstr("17"));
}

}  // namespace
}  // namespace sluice::router
