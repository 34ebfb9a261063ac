#include "http/message.h"

#include <gtest/gtest.h>

#include <cctype>
#include <random>
#include <string>

#include "http/copy_text.h"
#include "http/h1_parser.h"

namespace sluice::http {
namespace {

HeaderId slow_id_of(std::string_view name) {
  for (int i = 1; i < static_cast<int>(HeaderId::kCount); ++i) {
    if (name_of(static_cast<HeaderId>(i)) == name) return static_cast<HeaderId>(i);
  }
  return HeaderId::kOther;
}

TEST(CopyText, CopiesExactlyItsBytesAtEveryLength) {
  for (size_t n = 0; n < 130; ++n) {
    std::string from(n, '\0');
    for (size_t i = 0; i < n; ++i) from[i] = static_cast<char>('!' + i % 90);
    std::string to(n + 32, '~');
    copy_text(to.data() + 16, from);
    EXPECT_EQ(to, std::string(16, '~') + from + std::string(16, '~')) << n;
  }
}

bool slow_equals_folded(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != lower[i]) return false;
  }
  return true;
}

TEST(EqualsFolded, IsWhatALoopSays) {
  std::mt19937 random(5);
  for (size_t n = 0; n < 40; ++n) {
    for (int round = 0; round < 300; ++round) {
      std::string lower(n, 'a'), text;
      for (char& c : lower) c = "az-09@[`{_"[random() % 10];
      text = lower;
      for (char& c : text) {
        if (random() % 3 == 0) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      // One bit may differ, that of the case among them where it is no case.
      if (n != 0 && round % 2 == 0) text[random() % n] ^= static_cast<char>(1 << random() % 7);
      ASSERT_EQ(equals_folded(text, lower), slow_equals_folded(text, lower)) << text << lower;
    }
  }
}

TEST(HeaderNames, EveryNameIsFoundAndNoNeighbourIs) {
  std::mt19937 random(3);
  for (int i = 1; i < static_cast<int>(HeaderId::kCount); ++i) {
    const auto id = static_cast<HeaderId>(i);
    const std::string name(name_of(id));
    ASSERT_FALSE(name.empty());
    EXPECT_EQ(header_id_of(name), id) << name;
    EXPECT_EQ(header_id_of(name + "x"), slow_id_of(name + "x"));
    EXPECT_EQ(header_id_of(name.substr(1)), slow_id_of(name.substr(1)));
    for (size_t at = 0; at < name.size(); ++at) {
      std::string changed = name;
      changed[at] = static_cast<char>('a' + random() % 26);
      EXPECT_EQ(header_id_of(changed), slow_id_of(changed)) << changed;
      changed[at] = static_cast<char>(name[at] ^ 0x20);
      EXPECT_EQ(header_id_of(changed), slow_id_of(changed)) << changed;
    }
  }
  EXPECT_EQ(header_id_of(""), HeaderId::kOther);
  EXPECT_EQ(header_id_of("x"), HeaderId::kOther);
}

class FieldListTest : public testing::Test {
 protected:
  FieldListTest() : arena_(pool_) { fields_.bind(&arena_); }
  std::string text() const {
    std::string out;
    for (const Field& f : fields_) {
      if (f.removed()) continue;
      EXPECT_TRUE(f.line());
      const std::string line(f.name_data, f.line_size());
      EXPECT_EQ(line, std::string(f.name()) + ": " + std::string(f.value()) + "\r\n");
      out += std::string(f.name()) + "=" + std::string(f.value()) + ";";
    }
    return out;
  }
  base::BlockPool pool_;
  base::Arena arena_;
  FieldList fields_;
};

TEST_F(FieldListTest, AddsSetsAppendsAndRemoves) {
  EXPECT_TRUE(fields_.add("X-One", " 1\t"));
  EXPECT_TRUE(fields_.add(HeaderId::kXForwardedFor, "a"));
  EXPECT_TRUE(fields_.add("x-one", "2"));
  EXPECT_EQ(text(), "x-one=1;x-forwarded-for=a;x-one=2;");
  EXPECT_TRUE(fields_.set("x-one", "3"));
  EXPECT_EQ(text(), "x-one=3;x-forwarded-for=a;");
  EXPECT_TRUE(fields_.append_value(HeaderId::kXForwardedFor, ",", "b"));
  EXPECT_TRUE(fields_.append_value(HeaderId::kVia, ", ", "c"));
  EXPECT_EQ(text(), "x-one=3;x-forwarded-for=a,b;via=c;");
  fields_.remove(HeaderId::kXForwardedFor);
  EXPECT_FALSE(fields_.has(HeaderId::kXForwardedFor));
  EXPECT_EQ(fields_.find("x-forwarded-for"), nullptr);
  fields_.remove("x-one");
  EXPECT_EQ(text(), "via=c;");
  EXPECT_TRUE(fields_.set(HeaderId::kXForwardedFor, "d"));
  EXPECT_EQ(fields_.value(HeaderId::kXForwardedFor), "d");
}

TEST_F(FieldListTest, RefusesWhatMustNotReachAWire) {
  for (const char* value : {"a\r\nb: c", "a\nb", "a\rb", "\x01", "\x7f"}) {
    EXPECT_FALSE(fields_.add("x", value));
    EXPECT_FALSE(fields_.set("x", value));
    EXPECT_FALSE(fields_.set(HeaderId::kVia, value));
    EXPECT_FALSE(fields_.append_value(HeaderId::kVia, ",", value));
  }
  EXPECT_FALSE(fields_.add("x", std::string_view("a\0b", 3)));
  for (const char* name : {"", "a b", "a:", "a\r\n", "\xc3\xa9", ":path"}) {
    EXPECT_FALSE(fields_.add(name, "v")) << name;
  }
  EXPECT_EQ(fields_.size(), 0u);
}

TEST_F(FieldListTest, GrowsInTheArenaAndStartsAnewWhenBound) {
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(fields_.add("x-" + std::to_string(i), "v"));
  EXPECT_EQ(fields_.size(), 1000u);
  ASSERT_NE(fields_.find("x-999"), nullptr);
  fields_.bind(&arena_);
  EXPECT_EQ(fields_.size(), 0u);
  EXPECT_EQ(fields_.find("x-999"), nullptr);
}

TEST(Message, MethodsAndPhrases) {
  for (int i = 1; i <= static_cast<int>(Method::kPatch); ++i) {
    const auto method = static_cast<Method>(i);
    EXPECT_EQ(method_of(text_of(method)), method);
  }
  for (const char* other : {"", "get", "GETS", "POS", "M-SEARCH", "PROPFIN"}) {
    EXPECT_EQ(method_of(other), Method::kOther) << other;
  }
  EXPECT_EQ(reason_phrase_of(200), "OK");
  EXPECT_EQ(reason_phrase_of(503), "Service Unavailable");
  EXPECT_EQ(reason_phrase_of(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase_of(299), "Unknown");
  EXPECT_EQ(reason_phrase_of(999), "Unknown");
}

}  // namespace
}  // namespace sluice::http
