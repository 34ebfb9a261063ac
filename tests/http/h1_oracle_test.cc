#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/http/h1_compare.h"

namespace sluice::http {
namespace {

constexpr const char* kSeeds[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /t?x=1 HTTP/1.1\r\nHost: a.example:8080\r\nContent-Length: 5\r\nX-Y:  z \r\n\r\nhello",
    "PUT /t HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: Chunked\r\nConnection: Close, "
    "x\r\n\r\n",
    "\r\nGET http://u.example?q HTTP/1.1\r\nhost: u.example\r\nUser-Agent: a long enough "
    "value\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nAccept:\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nExpect: 100-continue\r\n\r\n",
};

// Pieces that matter more than random bytes.
constexpr const char* kPieces[] = {
    "\r\n",
    "\r",
    "\n",
    " ",
    "\t",
    ":",
    "\r\n ",
    "Host: b\r\n",
    "\r\n\r\n",
    "#",
    "\x7f",
    "\x80",
    "%",
    "http://",
    "HTTP/1.1",
    "Content-Length: 5\r\n",
    "HTTP/1.0",
    "@",
    "[",
    "]",
    "/",
    "*",
    "chunked",
    "Transfer-Encoding: chunked\r\n",
    "close",
    ",",
    "_",
    "0",
    "CONNECT",
    "Expect: x\r\n",
    "Connection: close\r\n",
    "99999999999999999999",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

std::string mutated(std::mt19937& random) {
  std::string text = kSeeds[random() % std::size(kSeeds)];
  const unsigned rounds = random() % 4;
  for (unsigned i = 0; i < rounds && !text.empty(); ++i) {
    const size_t at = random() % text.size();
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 2:
        text.erase(at, 1 + random() % 4);
        break;
      case 3:
        text.insert(at, text.substr(random() % text.size(), random() % 24));
        break;
      default:
        text.insert(at, 1, static_cast<char>(random()));
        break;
    }
  }
  return text;
}

TEST(H1Oracle, AgreesOnTheSeeds) {
  base::BlockPool pool;
  for (const char* seed : kSeeds) {
    EXPECT_EQ(disagreement(seed, pool), "") << seed;
    EXPECT_TRUE(test::H1Oracle::read(seed).has_value()) << seed;
  }
}

TEST(H1Oracle, AgreesOnMutatedHeads) {
  base::BlockPool pool;
  std::mt19937 random(20240611);
  unsigned accepted = 0;
  for (int i = 0; i < 60000; ++i) {
    const std::string text = mutated(random);
    ASSERT_EQ(disagreement(text, pool), "")
        << "input " << i << ": " << testing::PrintToString(text);
    accepted += test::H1Oracle::read(text).has_value() ? 1 : 0;
  }
  EXPECT_GT(accepted, 5000u);  // the comparison is worth something
}

TEST(H1Oracle, AgreesOnEveryByteAtEveryPlace) {
  base::BlockPool pool;
  for (const char* seed : kSeeds) {
    const std::string text = seed;
    for (size_t at = 0; at < text.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = text;
        changed[at] = static_cast<char>(byte);
        ASSERT_EQ(disagreement(changed, pool), "") << testing::PrintToString(changed);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::http
