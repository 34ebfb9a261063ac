#include "xds/resource_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"

namespace sluice::xds {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

ResourceName parsed(std::string_view text) {
  auto name = parse_resource_name(text);
  EXPECT_TRUE(name.ok()) << text << ": " << name.status();
  return name.value_or(ResourceName());
}
std::string refused(std::string_view text) {
  const auto name = parse_resource_name(text);
  return name.ok() ? "accepted" : std::string(base::message_of(name.status()));
}

TEST(ResourceName, Rule150ANameHasAuthorityTypeIdContextAndDirectives) {
  const ResourceName name = parsed(
      "xdstp://some%2Dauthority:80/envoy.config.cluster.v3.Cluster/a/b%3Fc?k=v&x=%26#entry=q%2C");
  EXPECT_EQ(name.authority, "some-authority:80");
  EXPECT_EQ(name.type, "envoy.config.cluster.v3.Cluster");
  EXPECT_EQ(name.id, "a/b?c");
  EXPECT_THAT(name.context, ElementsAre(Pair("k", "v"), Pair("x", "&")));
  EXPECT_THAT(name.directives, ElementsAre("entry=q,"));
}

TEST(ResourceName, Rule150SpellingsOfOneNameHaveOneNormalForm) {
  const std::pair<std::string_view, std::string_view> kRows[] = {
      {"xdstp://a/T/x", "xdstp://a/T/x"},
      {"xdstp:///T/x", "xdstp:///T/x"},
      {"xdstp://a/T", "xdstp://a/T"},
      {"xdstp://a/T/", "xdstp://a/T"},
      {"xdstp://a/T/x?", "xdstp://a/T/x"},
      {"xdstp://a/T/x?b=2&a=1", "xdstp://a/T/x?a=1&b=2"},
      {"xdstp://a/T/x?b=2&a=1&b=3", "xdstp://a/T/x?a=1&b=2"},  // the first counts
      {"xdstp://a/T/x?a&b", "xdstp://a/T/x?a=&b="},
      {"xdstp://a/T/x?a-b=2&a=1", "xdstp://a/T/x?a-b=2&a=1"},  // by the whole text, as Envoy
      {"xdstp://%61/T/%78%2fy", "xdstp://a/T/x/y"},
      {"xdstp://a%3F/T/x%3f%23%5b", "xdstp://a%3F/T/x%3F%23%5B"},
      {"xdstp://a/T/x~%80 ", "xdstp://a/T/x%7E%80 "},
      {"xdstp://a/T/100%", "xdstp://a/T/100%25"},
      {"xdstp://a/T/x?k=a%3Db%26c", "xdstp://a/T/x?k=a%3Db%26c"},
      {"xdstp://a/T/x?k=a=b", "xdstp://a/T/x?k=a%3Db"},
      {"xdstp://a/T/x#entry=e", "xdstp://a/T/x"},  // a directive is no part of the name
  };
  for (const auto& [spelling, normal] : kRows) {
    SCOPED_TRACE(spelling);
    EXPECT_EQ(normal_name(spelling), normal);
    EXPECT_EQ(normal_name(normal), normal);
  }
}

TEST(ResourceName, WhatIsNoUrnStaysAsItIs) {
  for (const std::string_view name : {"", "a", "a?b=2&a=1", "xdst://a/T/x", "XDSTP://a/T/x?b&a",
                                      "xdstp:a", "xdstp://", "xdstp://a", "xdstp://a/"}) {
    EXPECT_EQ(normal_name(name), name);
  }
}

TEST(ResourceName, MistakesAreNamed) {
  EXPECT_EQ(refused("a"), "must begin with xdstp:");
  EXPECT_EQ(refused("xdstp:a"), "must begin with xdstp://");
  EXPECT_EQ(refused("xdstp://a"), "names no type: xdstp://AUTHORITY/TYPE/ID");
  EXPECT_EQ(refused("xdstp://a//x"), "names no type: xdstp://AUTHORITY/TYPE/ID");
  EXPECT_EQ(refused("xdstp://a/T/x#e"), "no such directive: \"e\"; there are alt= and entry=");
}

TEST(ResourceName, Rule151AGlobHoldsWhatDiffersInTheLastStep) {
  EXPECT_TRUE(is_glob_name("xdstp://a/T/*"));
  EXPECT_TRUE(is_glob_name("xdstp://a/T/x/*?k=v"));
  EXPECT_FALSE(is_glob_name("xdstp://a/T/x*"));
  EXPECT_FALSE(is_glob_name("xdstp://a/T/x?k=/*"));
  EXPECT_FALSE(is_glob_name("x/*"));
  EXPECT_EQ(collection_of("xdstp://a/T/x"), "xdstp://a/T/*");
  EXPECT_EQ(collection_of("xdstp://a/T/x/y/z?k=a/b"), "xdstp://a/T/x/y/*?k=a/b");
  EXPECT_EQ(collection_of("xdstp://a/T/x/*"), "xdstp://a/T/x/*");
  EXPECT_EQ(collection_of("x/y"), "");
}

// The oracle: parts that are put together in any spelling come out as they went in.
TEST(ResourceName, AnySpellingOfAnyPartsIsReadBack) {
  std::mt19937 random(20);
  const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  const auto word = [&](std::string_view alphabet, uint32_t most) {
    std::string out;
    for (uint32_t n = below(most + 1); n > 0; --n)
      out += alphabet[below(static_cast<uint32_t>(alphabet.size()))];
    return out;
  };
  constexpr std::string_view kAny = "ab%/?#[]:&=,~ \x01\xc3*";
  const auto spelt = [&](std::string_view in, std::string_view reserved) {
    std::string out;
    for (const char c : in) {
      if (c != '%' && reserved.find(c) == std::string_view::npos && below(4) != 0) {
        out += c;
        continue;
      }
      constexpr std::string_view kUpper = "0123456789ABCDEF", kLower = "0123456789abcdef";
      const std::string_view digits = below(2) == 0 ? kUpper : kLower;
      const auto byte = static_cast<unsigned char>(c);
      base::cat_to(out, '%', digits[byte >> 4], digits[byte & 15]);
    }
    return out;
  };
  for (int i = 0; i < 3000; ++i) {
    const std::string authority = word(kAny, 4), id = word(kAny, 8);
    ContextParams context;
    for (uint32_t n = below(4); n > 0; --n) context.emplace("k" + word(kAny, 3), word(kAny, 3));
    std::string last;
    for (int spelling = 0; spelling < 3; ++spelling) {
      std::vector<std::string> params;
      for (const auto& [k, v] : context) {
        params.push_back(base::cat(spelt(k, "#&="), "=", spelt(v, "#&")));
      }
      std::shuffle(params.begin(), params.end(), random);
      std::string text = base::cat("xdstp://", spelt(authority, "/?#"), "/T/", spelt(id, "?#"));
      for (size_t p = 0; p < params.size(); ++p) base::cat_to(text, p == 0 ? "?" : "&", params[p]);
      SCOPED_TRACE(text);
      const ResourceName name = parsed(text);
      EXPECT_EQ(name.authority, authority);
      EXPECT_EQ(name.id, id);
      EXPECT_EQ(name.context, context);
      const std::string normal = name.text();
      EXPECT_EQ(normal_name(normal), normal);
      EXPECT_EQ(normal, spelling == 0 ? normal : last);
      last = normal;
    }
  }
}

}  // namespace
}  // namespace sluice::xds
