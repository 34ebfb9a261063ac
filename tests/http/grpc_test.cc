#include "http/grpc.h"

#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>

namespace sluice::http {
namespace {

// By the words of PROTOCOL-HTTP2.md, in rational arithmetic.
int64_t slow_timeout_ms(const std::string& text) {
  static const std::regex kForm("([0-9]{1,8})([HMSmun])");
  std::smatch parts;
  if (!std::regex_match(text, parts, kForm)) return -1;
  const long double ns_of_unit[] = {3600e9L, 60e9L, 1e9L, 1e6L, 1e3L, 1};
  const size_t unit = std::string("HMSmun").find(parts[2].str());
  const auto ns =
      static_cast<__int128>(std::stoll(parts[1].str())) * static_cast<__int128>(ns_of_unit[unit]);
  return static_cast<int64_t>((ns + 999'999) / 1'000'000);
}

std::string written(uint64_t ms) {
  char out[kGrpcTimeoutSize];
  return std::string(write_grpc_timeout(ms, out));
}

TEST(GrpcTimeout, IsDigitsAndAUnitAndRoundedUp) {
  EXPECT_EQ(grpc_timeout_ms("1S"), 1000);
  EXPECT_EQ(grpc_timeout_ms("00000002M"), 120'000);
  EXPECT_EQ(grpc_timeout_ms("99999999H"), 99'999'999 * int64_t{3'600'000});
  EXPECT_EQ(grpc_timeout_ms("250001u"), 251);
  EXPECT_EQ(grpc_timeout_ms("1n"), 1);
  EXPECT_EQ(grpc_timeout_ms("0n"), 0);
  for (const char* bad : {"", "S", "1", "1 S", " 1S", "+1S", "-1S", "1s", "1h", "1x", "1.5S",
                          "123456789m", "000000001m", "1SS", "0x1S"}) {
    EXPECT_EQ(grpc_timeout_ms(bad), -1) << bad;
  }
}

TEST(GrpcTimeout, OracleOverRandomTexts) {
  constexpr std::string_view kAlphabet = "0123456789HMSmun 0x+-sh";
  std::mt19937 random(7);
  int valid = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const size_t size = random() % 11;
    while (text.size() < size) text += kAlphabet[random() % (i % 4 == 0 ? kAlphabet.size() : 10)];
    if (i % 4 != 0) text += "HMSmun"[random() % 6];
    const int64_t want = slow_timeout_ms(text);
    valid += want >= 0 ? 1 : 0;
    ASSERT_EQ(grpc_timeout_ms(text), want) << text;
  }
  EXPECT_GT(valid, 5000);
}

TEST(GrpcTimeout, IsWrittenInTheUnitThatFits) {
  EXPECT_EQ(written(0), "0m");
  EXPECT_EQ(written(99'999'999), "99999999m");
  EXPECT_EQ(written(100'000'999), "100000S");
  EXPECT_EQ(written(100'000'000'000), "1666666M");
  EXPECT_EQ(written(99'999'999ULL * 3'600'000), "99999999H");
  EXPECT_EQ(written(UINT64_MAX), "99999999H");
}

// What is written is never more than it was, and less by under one of its units.
TEST(GrpcTimeout, WrittenAndReadIsTheSameRoundedDown) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t ms = random() >> (16 + random() % 48);  // below 99999999 H
    const int64_t back = grpc_timeout_ms(written(ms));
    ASSERT_LE(back, static_cast<int64_t>(ms)) << ms;
    ASSERT_GE(back + back / 1'600'000 + 999, static_cast<int64_t>(ms) - 60'000) << ms;
    if (ms <= 99'999'999) {
      ASSERT_EQ(back, static_cast<int64_t>(ms));
    }
  }
}

}  // namespace
}  // namespace sluice::http
