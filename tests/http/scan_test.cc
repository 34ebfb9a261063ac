#include "http/scan.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>

namespace sluice::http {
namespace {

#if SLUICE_SCAN_SIMD

// The text in memory of exactly its size.
struct Exact {
  explicit Exact(const std::string& text) : size(text.size()), data(new char[size]) {
    std::memcpy(data.get(), text.data(), size);
  }
  Window from(size_t begin) const { return {data.get() + begin, data.get() + size}; }
  size_t size;
  std::unique_ptr<char[]> data;
};

void expect_same(const std::string& text, size_t begin, size_t at) {
  SCOPED_TRACE(testing::PrintToString(text) + " at " + std::to_string(at));
  const Exact exact(text);
  const Window w = exact.from(begin);
  const char* const p = exact.data.get() + at;
  ASSERT_EQ(ScanSimd::token(p, w) - p, ScanPortable::token(p, w) - p);
  ASSERT_EQ(ScanSimd::value(p, w) - p, ScanPortable::value(p, w) - p);
  ASSERT_EQ(ScanSimd::target(p, w) - p, ScanPortable::target(p, w) - p);
  ASSERT_EQ(ScanSimd::host(p, w) - p, ScanPortable::host(p, w) - p);
  ASSERT_EQ(ScanSimd::path(p, w, false) - p, ScanPortable::path(p, w, false) - p);
  ASSERT_EQ(ScanSimd::path(p, w, true) - p, ScanPortable::path(p, w, true) - p);
  const Exact other(text);
  const auto simd = ScanSimd::name(exact.data.get() + at, w) - exact.data.get();
  const auto portable =
      ScanPortable::name(other.data.get() + at, other.from(begin)) - other.data.get();
  ASSERT_EQ(simd, portable);
  ASSERT_EQ(std::memcmp(exact.data.get(), other.data.get(), text.size()), 0);
}

TEST(Scan, SimdStopsAtEveryByteAtEveryPlaceAsThePortableOne) {
  for (const size_t size : {1u, 5u, 15u, 16u, 17u, 31u, 33u}) {
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'A');
        text[at] = static_cast<char>(byte);
        expect_same(text, 0, 0);
      }
    }
  }
}

TEST(Scan, SimdIsThePortableOneOnRandomText) {
  std::mt19937 random(7);
  constexpr char kLikely[] = "abcXYZ-_/.:%?# \t\r\n\\[]@09~";
  for (int i = 0; i < 40000; ++i) {
    std::string text(1 + random() % 80, 'x');
    for (char& c : text) {
      const auto r = static_cast<unsigned>(random());
      if (r % 16 == 0) c = static_cast<char>(r >> 8);
      if (r % 16 < 6) c = kLikely[(r >> 8) % (sizeof(kLikely) - 1)];
    }
    const size_t at = random() % (text.size() + 1);
    const size_t begin = at == 0 ? 0 : random() % (at + 1);
    expect_same(text, begin, at);
  }
}

TEST(Scan, AnEmptyWindowStopsAtOnce) {
  expect_same("0123456789abcdefghij", 0, 20);
  expect_same("", 0, 0);
}

#endif

TEST(Scan, ClassesAreThoseOfTheRfcs) {
  for (int b = 0; b < 256; ++b) {
    const char c = static_cast<char>(b);
    EXPECT_EQ(is_class(c, kTokenByte), std::isalnum(b) != 0
                                           ? b < 128
                                           : b != 0 && std::strchr("!#$%&'*+-.^_`|~", b) != nullptr)
        << b;
    EXPECT_EQ(is_class(c, kValueByte), b == '\t' || (b >= 0x20 && b != 0x7f)) << b;
    EXPECT_EQ(is_class(c, kTargetByte), b > 0x20 && b < 0x7f && b != '#') << b;
  }
}

}  // namespace
}  // namespace sluice::http
