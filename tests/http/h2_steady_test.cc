#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/h2_codec.h"
#include "tests/http/count_news.h"
#include "tests/http/h2_wire.h"

// In steady state a codec asks the global allocator for nothing, and the slab does not grow.

namespace sluice::http {
namespace {

using Role = H2Codec::Role;
using Kind = H2Codec::Event::Kind;

struct Side {
  explicit Side(Role role) : codec(role, options, slab, blocks, cells) { codec.start(); }
  H2Options options;
  base::Slab slab;
  base::BlockPool blocks;
  base::H2Cells cells;
  H2Codec codec;
};

// An exchange in memory that is used again and again.
struct Exchange {
  explicit Exchange(base::BlockPool& blocks) : arena(blocks) {}
  void start() {
    stream.reset();
    arena.reset();
    request = RequestHead();
    response = ResponseHead();
    stream.emplace(this);
  }
  base::Arena arena;
  RequestHead request;
  ResponseHead response;
  std::optional<H2Stream> stream;
};

class Relay {
 public:
  // One request with a body and trailers, one answer with a body, over both codecs.
  void round(int nth) {
    up_.start();
    RequestHead& head = up_.request;
    head.fields.bind(&up_.arena);
    head.method_text = "POST";
    head.path = nth % 2 == 0 ? "/one/path" : "/another";
    head.scheme = "http";
    head.authority = "example.com";
    head.fields.add("user-agent", "steady/1.0");
    head.fields.add("x-request-id", std::to_string(100'000'000 + nth % 100));
    ASSERT_TRUE(client_.codec.send_request(&*up_.stream, &head, false, &up_.response, &up_.arena));
    client_.codec.send_data(*up_.stream, base::View(body_));
    client_.codec.send_end(*up_.stream, nullptr);
    move(client_, server_);
    ASSERT_TRUE(got_request_);
    down_.response.status = 200;
    down_.response.fields.bind(&down_.arena);
    down_.response.fields.add("server", "steady");
    ASSERT_TRUE(server_.codec.send_response(*down_.stream, &down_.response, false, down_.arena));
    server_.codec.send_data(*down_.stream, base::View(body_));
    server_.codec.send_end(*down_.stream, nullptr);
    move(server_, client_);
    ASSERT_TRUE(got_response_);
    move(client_, server_);
    move(server_, client_);
    got_request_ = got_response_ = false;
    ASSERT_EQ(up_.stream->codec(), nullptr);
    ASSERT_EQ(down_.stream->codec(), nullptr);
  }
  Side client_{Role::kClient};
  Side server_{Role::kServer};

 private:
  void move(Side& from, Side& to) {
    base::Chain out;
    from.codec.produce(&out, 1 << 20);
    take_news(from);
    if (out.empty()) return;
    const base::BlockRef block = base::BlockRef::adopt(to.blocks.get_large());
    out.for_each([&block](const base::View& v) {
      std::memcpy(block->tail(), v.data, v.size);
      block->fill(v.size);
    });
    for (uint32_t at = 0; at < block->filled();) {
      const H2Codec::Event event =
          to.codec.feed(block->data() + at, block->filled() - at, block, 1);
      ASSERT_NE(event.kind, Kind::kFailed);
      at += event.consumed;
      if (event.kind == Kind::kBegin) {
        down_.start();
        to.codec.open(&*down_.stream, &down_.request, &down_.arena);
      } else if (event.kind == Kind::kData) {
        to.codec.consume(*event.stream, event.data.size);
        (&to == &server_ ? got_request_ : got_response_) |= event.end;
      }
      take_news(to);
    }
  }
  static void take_news(Side& side) {
    uint8_t news = 0;
    while (side.codec.take_news(&news) != nullptr) {
    }
  }

  const std::string body_ = std::string(20'000, 'b');
  Exchange up_{client_.blocks};
  Exchange down_{server_.blocks};
  bool got_request_ = false;
  bool got_response_ = false;
};

TEST(H2Steady, NothingIsAllocated) {
  Relay relay;
  for (int i = 0; i < 300; ++i) ASSERT_NO_FATAL_FAILURE(relay.round(i));
  if (!test::counts_news()) GTEST_SKIP() << "a sanitizer's allocator";
  const uint64_t news = test::num_news();
  const uint64_t refills = relay.client_.slab.num_refills() + relay.server_.slab.num_refills();
  const size_t out = relay.client_.slab.bytes_out() + relay.server_.slab.bytes_out();
  for (int i = 0; i < 2000; ++i) relay.round(i);
  EXPECT_EQ(test::num_news(), news);
  EXPECT_EQ(relay.client_.slab.num_refills() + relay.server_.slab.num_refills(), refills);
  EXPECT_NEAR(static_cast<double>(relay.client_.slab.bytes_out() + relay.server_.slab.bytes_out()),
              static_cast<double>(out), 4096);
  EXPECT_EQ(base::copies().body_bytes, 0u);
  ::operator delete(::operator new(8));
  EXPECT_GT(test::num_news(), news) << "the count counts";
}

// What 100 idle connections hold (http-security, row 6: 32 KiB each).
TEST(H2Steady, AnIdleConnectionHoldsLittle) {
  base::Slab slab;
  base::BlockPool blocks;
  base::H2Cells cells;
  const H2Options options;
  const std::string bytes = test::hello() + test::settings_ack();
  std::vector<std::unique_ptr<H2Codec>> codecs;
  for (int i = 0; i < 100; ++i) {
    codecs.push_back(std::make_unique<H2Codec>(Role::kServer, options, slab, blocks, cells));
    H2Codec& codec = *codecs.back();
    ASSERT_TRUE(codec.start());
    base::Chain out;
    const base::BlockRef block = base::BlockRef::adopt(blocks.get_large());
    std::memcpy(block->data(), bytes.data(), bytes.size());
    for (uint32_t at = 0; at < bytes.size();) {
      at += codec.feed(block->data() + at, static_cast<uint32_t>(bytes.size()) - at, block, 1)
                .consumed;
    }
    codec.produce(&out, 1 << 20);
  }
  EXPECT_LE(slab.bytes_out() / 100, 32u * 1024);
  EXPECT_EQ(blocks.num_out(), 0u);
  RecordProperty("slab_bytes_per_connection", static_cast<int>(slab.bytes_out() / 100));
  RecordProperty("codec_bytes", static_cast<int>(sizeof(H2Codec)));
  RecordProperty("stream_bytes", static_cast<int>(sizeof(H2Stream)));
}

}  // namespace
}  // namespace sluice::http
