#include "http/h1_body.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>

namespace sluice::http {
namespace {

using base::Reason;
using Kind = H1BodyDecoder::Step::Kind;

struct Decoded {
  std::string body;
  std::string trailers;
  Kind last = Kind::kMore;
  Reason reason = Reason::kNone;
  size_t used = 0;
};

Framing framing_of(Framing::Kind kind, uint64_t length = 0) {
  Framing framing;
  framing.kind = kind;
  framing.length = length;
  return framing;
}

// Decodes `bytes` in pieces of `piece` bytes, each in memory of exactly its size.
Decoded decode(const std::string& bytes, size_t piece, const Framing& framing,
               H1BodyDecoder::Limits limits = {}) {
  base::BlockPool pool;
  base::Arena arena(pool);
  H1BodyDecoder decoder;
  decoder.start(framing, &arena, limits);
  Decoded out;
  for (size_t begin = 0; begin < bytes.size() && out.last != Kind::kEnd; begin += piece) {
    const size_t size = std::min(piece, bytes.size() - begin);
    const auto exact = std::make_unique<char[]>(size);
    std::memcpy(exact.get(), bytes.data() + begin, size);
    for (size_t at = 0;;) {
      const auto step = decoder.next(exact.get() + at, size - at);
      EXPECT_LE(at + step.skip + step.size, size);
      out.last = step.kind;
      out.reason = step.reason;
      if (step.kind == Kind::kBad) return out;
      out.body.append(exact.get() + at + step.skip, step.size);
      at += step.skip + step.size;
      out.used += step.skip + step.size;
      if (step.kind == Kind::kEnd) break;
      if (step.kind == Kind::kMore) {
        EXPECT_EQ(at, size);
      }
      if (at == size) break;
    }
  }
  for (const Field& f : decoder.trailers()) {
    if (!f.removed()) {
      out.trailers += std::string(f.name()) + "=" + std::string(f.value()) + ";";
    }
  }
  return out;
}

const Framing kChunked = framing_of(Framing::Kind::kChunked);

TEST(H1Body, ChunksAtAnySplit) {
  const std::string text =
      "5\r\nhello\r\nA;n=v ; q=\"a \\\" b\";x\r\n0123456789\r\n3 ;e\r\n\r\n0\r\n"
      "000\r\nX-T: 1\r\nGrpc-Status: 0\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    SCOPED_TRACE(piece);
    const Decoded d = decode(text + "GET / next", piece, kChunked);
    EXPECT_EQ(d.last, Kind::kEnd);
    EXPECT_EQ(d.body, "hello0123456789\r\n0");
    EXPECT_EQ(d.trailers, "x-t=1;grpc-status=0;");
    EXPECT_EQ(d.used, text.size());
  }
}

TEST(H1Body, RefusesMalformedChunksAtAnySplit) {
  const struct {
    const char* text;
    Reason reason;
  } rows[] = {
      {"\r\nhello", Reason::kBadChunk},
      {"0x5\r\nhello", Reason::kBadChunk},
      {"+5\r\n", Reason::kBadChunk},
      {"-1\r\n", Reason::kBadChunk},
      {" 5\r\n", Reason::kBadChunk},
      {"5 \r\n", Reason::kBadChunk},
      {"5_0\r\n", Reason::kBadChunk},
      {"g\r\n", Reason::kBadChunk},
      {"5\nhello", Reason::kBadChunk},
      {"5\rXhello", Reason::kBadChunk},
      {"5\r\nhello\n0\r\n", Reason::kBadChunk},
      {"5\r\nhelloX\r\n", Reason::kBadChunk},
      {"5\r\nhello\r0\r\n", Reason::kBadChunk},
      {"5;\r\nhello", Reason::kBadChunk},
      {"5;b[d=x\r\n", Reason::kBadChunk},
      {"5;a=\r\n", Reason::kBadChunk},
      {"5;a \r\n", Reason::kBadChunk},
      {"5;a=\"x\r\n", Reason::kBadChunk},
      {"5;a=\"x\"y\r\n", Reason::kBadChunk},
      {"5;a=\"x\\\r\n", Reason::kBadChunk},
      {"5;a\n", Reason::kBadChunk},
      {"5;a\rb", Reason::kBadChunk},
      {"1000000000000000\r\n", Reason::kBadChunk},
      {"ffffffffffffffff\r\n", Reason::kBadChunk},
      {"10000000000000005\r\n", Reason::kBadChunk},
      {"000000000000000000001\r\n", Reason::kBadChunk},
      {"0\r\nX-T: 1\n\r\n", Reason::kBadTrailer},
      {"0\r\n\n", Reason::kBadTrailer},
      {"0\r\n\rX", Reason::kBadTrailer},
      {"0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nX T: 1\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nX: 1\r\n y\r\n\r\n", Reason::kBadTrailer},
      {"0\r\n: 1\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nX: \x01\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nContent-Length: 1\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::kBadTrailer},
      {"0\r\nHost: b\r\n\r\n", Reason::kBadTrailer},
  };
  for (const auto& row : rows) {
    for (const size_t piece : {1u, 2u, 3u, 1000u}) {
      SCOPED_TRACE(testing::PrintToString(row.text) + " by " + std::to_string(piece));
      const Decoded d = decode(row.text, piece, kChunked);
      EXPECT_EQ(d.last, Kind::kBad);
      EXPECT_EQ(base::text_of(d.reason).code, base::text_of(row.reason).code);
    }
  }
}

TEST(H1Body, TheLargestChunkIsBelowTwoToTheSixty) {
  base::BlockPool pool;
  base::Arena arena(pool);
  H1BodyDecoder decoder;
  decoder.start(kChunked, &arena);
  const std::string text = "fffffffffffffff\r\nx";
  const auto step = decoder.next(text.data(), text.size());
  EXPECT_EQ(step.kind, Kind::kData);
  EXPECT_EQ(step.size, 1u);
  EXPECT_EQ(decoder.remaining_hint(), (uint64_t{1} << 60) - 2);
}

TEST(H1Body, ExtensionsAreBoundedButALongBodyEarnsMore) {
  std::string flood;
  for (int i = 0; i < 2000; ++i) flood += "1;aaaaaaaaaaaaaaaa\r\nx\r\n";
  EXPECT_EQ(decode(flood, 1000, kChunked).reason, Reason::kBadChunk);
  std::string fair;
  for (int i = 0; i < 2000; ++i)
    fair += "200;aaaaaaaaaaaaaaaa\r\n" + std::string(512, 'x') + "\r\n";
  EXPECT_EQ(decode(fair + "0\r\n\r\n", 1000, kChunked).last, Kind::kEnd);
  EXPECT_EQ(decode("1;" + std::string(20000, 'a'), 1000, kChunked).reason, Reason::kBadChunk);
}

TEST(H1Body, TrailersAreBoundedInBytesAndNumber) {
  H1BodyDecoder::Limits limits;
  limits.trailer_bytes = 100;
  limits.trailer_fields = 3;
  const std::string three = "0\r\nA: 1\r\nB: 2\r\nC: 3\r\n";
  EXPECT_EQ(decode(three + "\r\n", 7, kChunked, limits).last, Kind::kEnd);
  EXPECT_EQ(decode(three + "D: 4\r\n\r\n", 7, kChunked, limits).reason, Reason::kBadTrailer);
  const std::string fits = "0\r\nA: " + std::string(95, 'x') + "\r\n\r\n";
  EXPECT_EQ(decode(fits, 7, kChunked, limits).last, Kind::kEnd);
  EXPECT_EQ(decode("0\r\nA: " + std::string(96, 'x') + "\r\n\r\n", 7, kChunked, limits).reason,
            Reason::kBadTrailer);
}

TEST(H1Body, ForbiddenTrailersAreDropped) {
  const Decoded d = decode(
      "0\r\nConnection: x\r\nAuthorization: y\r\nContent-Type: z\r\nX-Forwarded-For: 1\r\n"
      "X-Envoy-Foo: 1\r\nSet-Cookie: a\r\nX-Checksum: 9\r\n\r\n",
      1000, kChunked);
  EXPECT_EQ(d.last, Kind::kEnd);
  EXPECT_EQ(d.trailers, "x-checksum=9;");
}

TEST(H1Body, LengthEndsWithTheLastRun) {
  const Framing framing = framing_of(Framing::Kind::kLength, 5);
  for (size_t piece = 1; piece < 9; ++piece) {
    const Decoded d = decode("helloGET /", piece, framing);
    EXPECT_EQ(d.body, "hello");
    EXPECT_EQ(d.last, Kind::kEnd);
    EXPECT_EQ(d.used, 5u);
  }
  EXPECT_EQ(decode("hell", 3, framing).last, Kind::kData);
}

TEST(H1Body, EndOfStreamCompletesOnlyWhatLastsUntilClose) {
  base::BlockPool pool;
  base::Arena arena(pool);
  H1BodyDecoder decoder;
  decoder.start(framing_of(Framing::Kind::kUntilClose), &arena);
  EXPECT_EQ(decoder.next("abc", 3).size, 3u);
  EXPECT_EQ(decoder.next("", 0).kind, Kind::kMore);
  EXPECT_FALSE(decoder.done());
  EXPECT_TRUE(decoder.on_eof());
  EXPECT_TRUE(decoder.done());
  decoder.start(framing_of(Framing::Kind::kLength, 5), &arena);
  decoder.next("abc", 3);
  EXPECT_EQ(decoder.remaining_hint(), 2u);
  EXPECT_FALSE(decoder.on_eof());
  decoder.start(kChunked, &arena);
  decoder.next("3\r\nabc\r\n0\r\n", 11);
  EXPECT_FALSE(decoder.on_eof());
  decoder.start(framing_of(Framing::Kind::kNone), &arena);
  EXPECT_EQ(decoder.next("x", 1).kind, Kind::kEnd);
  EXPECT_TRUE(decoder.on_eof());
}

TEST(H1Body, RandomChunksComeOutAsTheyWentIn) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    std::string body;
    for (unsigned n = static_cast<unsigned>(random() % 8); n > 0; --n) {
      std::string data(1 + random() % 300, 'x');
      for (char& c : data) c = static_cast<char>(random());
      char size[16];
      std::snprintf(size, sizeof(size), random() % 2 == 0 ? "%zx" : "%zX", data.size());
      text += size + std::string(random() % 3 == 0 ? ";ext" : "") + "\r\n" + data + "\r\n";
      body += data;
    }
    text += "0\r\n\r\n";
    const Decoded d = decode(text, 1 + random() % 64, kChunked);
    ASSERT_EQ(d.last, Kind::kEnd);
    ASSERT_EQ(d.body, body);
    ASSERT_EQ(d.used, text.size());
  }
}

}  // namespace
}  // namespace sluice::http
