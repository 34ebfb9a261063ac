#include "http/h1_writer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/http/codec.h"

namespace sluice::http {
namespace {

size_t num_views(const base::Chain& chain) {
  size_t n = 0;
  chain.for_each([&n](const base::View&) { ++n; });
  return n;
}

// A head that was received into a block, ready to be changed and written.
template <typename Head>
struct Received {
  explicit Received(std::string_view text, Method method = Method::kGet)
      : arena(pool), block(base::BlockRef::adopt(pool.get_large())) {
    std::memcpy(block->data(), text.data(), text.size());
    block->fill(static_cast<uint32_t>(text.size()));
    head.fields.bind(&arena);
    HeadResult result;
    H1Options options;
    options.accept_http_10 = true;
    if constexpr (std::is_same_v<Head, RequestHead>) {
      result = parse_request_head(block->data(), text.size(), 0, options, &head);
    } else {
      result = parse_response_head(block->data(), text.size(), 0, options, method, &head);
    }
    EXPECT_EQ(result.status, HeadResult::Status::kDone);
  }
  std::string write() {
    chain.clear();
    ok = write_request_head(&head, block, arena, &chain);
    return text_of(chain);
  }
  std::string write(const ResponseWrite& how) {
    chain.clear();
    ok = write_response_head(&head, how, block, arena, &chain);
    return text_of(chain);
  }
  base::BlockPool pool;
  base::Arena arena;
  base::BlockRef block;
  Head head;
  base::Chain chain;
  bool ok = false;
};
using Request = Received<RequestHead>;
using Response = Received<ResponseHead>;

TEST(H1Writer, AnUntouchedRequestLeavesAsOneSlice) {
  Request r("GET /t HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n");
  EXPECT_EQ(r.write(), "GET /t HTTP/1.1\r\nhost: a\r\nx-one: 1\r\n\r\n");
  EXPECT_EQ(num_views(r.chain), 1u);
  EXPECT_EQ(r.chain.front().data, r.block->data());
}

TEST(H1Writer, AddedFieldsAreTheSecondAndLastView) {
  Request r("GET /t HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n");
  r.head.fields.add(HeaderId::kXForwardedFor, "1.2.3.4");
  r.arena.chars(40);  // something else in between
  r.head.fields.add(HeaderId::kXRequestId, "id");
  EXPECT_EQ(r.write(),
            "GET /t HTTP/1.1\r\nhost: a\r\nx-one: 1\r\nx-forwarded-for: 1.2.3.4\r\n"
            "x-request-id: id\r\n\r\n");
  EXPECT_EQ(num_views(r.chain), 2u);
}

TEST(H1Writer, RemovedLinesAreLeftOutAndOddLinesAreComposedAnew) {
  Request r("GET /t HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-Two:  2 \r\nX-Three: 3\r\n\r\n");
  r.head.fields.remove("x-one");
  EXPECT_EQ(r.write(), "GET /t HTTP/1.1\r\nhost: a\r\nx-two: 2\r\nx-three: 3\r\n\r\n");
}

TEST(H1Writer, AChangedPathOrHostIsComposed) {
  Request r("GET http://b.example/x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");
  EXPECT_EQ(r.write(), "GET /x HTTP/1.1\r\nhost: b.example\r\nx: y\r\n\r\n");
  Request s("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
  EXPECT_EQ(s.write(), "GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
  Request t("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
  EXPECT_EQ(t.write(), "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
}

// As heads that came by HTTP/2 have none.
TEST(H1Writer, AHostThatWasNoFieldComesFirst) {
  Request r("GET /x HTTP/1.0\r\nX: y\r\n\r\n");
  r.head.authority = "a.example:80";
  EXPECT_EQ(r.write(), "GET /x HTTP/1.1\r\nhost: a.example:80\r\nx: y\r\n\r\n");
  r.head.authority = "a\r\nb";
  r.write();
  EXPECT_FALSE(r.ok);
  EXPECT_TRUE(r.chain.empty());
}

TEST(H1Writer, FramingFieldsFollowTheFraming) {
  Request as_is("POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(as_is.write(), "POST /t HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
  EXPECT_EQ(num_views(as_is.chain), 1u);
  Request zeros("POST /t HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\n");
  EXPECT_EQ(zeros.write(), "POST /t HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n");
  Request none("POST /t HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(none.write(), "POST /t HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  Request get("GET /t HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(get.write(), "GET /t HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
  Request coded("POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n");
  EXPECT_EQ(coded.write(), "POST /t HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
  Request buffered("POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  buffered.head.framing.kind = Framing::Kind::kLength;
  buffered.head.framing.length = 12345;
  EXPECT_EQ(buffered.write(), "POST /t HTTP/1.1\r\nhost: a\r\ncontent-length: 12345\r\n\r\n");
}

TEST(H1Writer, NothingInvalidLeaves) {
  const auto refuses = [](auto&& change) {
    Request r("GET /t HTTP/1.1\r\nHost: a\r\n\r\n");
    change(r.head);
    EXPECT_EQ(r.write(), "");
    EXPECT_FALSE(r.ok);
  };
  refuses([](RequestHead& h) { h.path = "/a b"; });
  refuses([](RequestHead& h) { h.path = "/a\r\nX: y"; });
  refuses([](RequestHead& h) { h.path = ""; });
  refuses([](RequestHead& h) { h.path = "/a#b"; });
  refuses([](RequestHead& h) { h.authority = "a\r\nb"; });
  refuses([](RequestHead& h) { h.authority = ""; });
  refuses([](RequestHead& h) {
    h.path = "/other";
    h.method_text = "GET /";
  });
  refuses([](RequestHead& h) {
    Field f;
    f.name_data = "x";
    f.name_size = 1;
    f.value_data = "a\r\nb: c";
    f.value_size = 7;
    h.fields.push(f);
  });
  refuses([](RequestHead& h) {
    Field f;
    f.name_data = "x y";
    f.name_size = 3;
    h.fields.push(f);
  });
}

TEST(H1Writer, WhatWaitsInTheQueueStaysWhateverFollows) {
  constexpr std::string_view kWaiting = "waiting";
  for (const bool valid : {true, false}) {
    Request r("GET /t HTTP/1.1\r\nHost: a\r\n\r\n");
    if (!valid) {
      r.head.fields.add("x-one", "1");
      Field bad;
      bad.name_data = "x y";
      bad.name_size = 3;
      r.head.fields.push(bad);
    }
    r.chain.append(kWaiting);
    EXPECT_EQ(write_request_head(&r.head, r.block, r.arena, &r.chain), valid);
    EXPECT_EQ(text_of(r.chain), valid ? "waitingGET /t HTTP/1.1\r\nhost: a\r\n\r\n" : "waiting");
  }
}

TEST(H1Writer, NominatedFieldsGoHoweverConnectionIsWritten) {
  for (const std::string_view connection :
       {"Connection: X-Hop\r\n", "Connection: keep-alive\r\nConnection: x-hop\r\n",
        "Connection: x-hop\r\nConnection: keep-alive\r\n", "Connection: Keep-Alive ,X-HOP\r\n",
        "Connection: close, x-hop\r\n", "Connection: upgrade,,x-hop,\r\n"}) {
    SCOPED_TRACE(connection);
    const std::string fields = "X-Hop: 1\r\nX-Stays: 2\r\nContent-Length: 0\r\n\r\n";
    Request request("GET /t HTTP/1.1\r\nHost: a\r\n" + std::string(connection) + fields);
    strip_hop_by_hop(&request.head);
    EXPECT_EQ(request.write(),
              "GET /t HTTP/1.1\r\nhost: a\r\nx-stays: 2\r\ncontent-length: 0\r\n\r\n");
    Response response("HTTP/1.1 200 OK\r\n" + std::string(connection) + fields);
    strip_hop_by_hop(&response.head);
    EXPECT_EQ(response.write(ResponseWrite()),
              "HTTP/1.1 200 OK\r\nx-stays: 2\r\ncontent-length: 0\r\n\r\n");
  }
}

TEST(H1Writer, StripsWhatBelongsToTheConnection) {
  Request r(
      "GET /t HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, Host, Content-Length, "
      "X-Forwarded-For, traceparent, TE\r\nX-HOP: 1\r\nKeep-Alive: timeout=9\r\n"
      "Proxy-Connection: close\r\nTE: trailers, gzip\r\nX-Forwarded-For: 9.9.9.9\r\n"
      "Traceparent: t\r\nUpgrade: foo\r\nHTTP2-Settings: s\r\nContent-Length: 5\r\n\r\n");
  strip_hop_by_hop(&r.head);
  EXPECT_EQ(r.write(),
            "GET /t HTTP/1.1\r\nhost: a\r\nte: trailers\r\nx-forwarded-for: 9.9.9.9\r\n"
            "traceparent: t\r\ncontent-length: 5\r\n\r\n");
}

TEST(H1Writer, AnUpgradeKeepsItsTwoFieldsOnly) {
  Request r(
      "GET /t HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\n"
      "Upgrade: websocket\r\n\r\n");
  ASSERT_TRUE(r.head.upgrade);
  strip_hop_by_hop(&r.head);
  EXPECT_EQ(r.write(),
            "GET /t HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  Request s("GET /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  strip_hop_by_hop(&s.head);
  EXPECT_EQ(s.write(),
            "GET /t HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
  EXPECT_EQ(num_views(s.chain), 1u);
}

TEST(H1Writer, ResponsesLeaveAsReceivedWhenTheyMay) {
  Response r("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nX: y\r\n\r\nhello");
  ResponseWrite how;
  how.framing = framing_for(r.head, Method::kGet, 1);
  EXPECT_EQ(r.write(how), "HTTP/1.1 200 Fine\r\ncontent-length: 5\r\nx: y\r\n\r\n");
  EXPECT_EQ(num_views(r.chain), 1u);
  how.close = true;
  EXPECT_EQ(r.write(how),
            "HTTP/1.1 200 Fine\r\ncontent-length: 5\r\nx: y\r\nconnection: close\r\n\r\n");
  r.head.status = 503;
  how.close = false;
  EXPECT_EQ(r.write(how), "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nx: y\r\n\r\n");
}

TEST(H1Writer, ResponsesAreFramedForTheClientsVersion) {
  const struct {
    const char* text;
    uint8_t minor;
    Method method;
    const char* out;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, Method::kGet,
       "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\n"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0, Method::kGet,
       "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 1, Method::kHead,
       "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", 1, Method::kHead,
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 304 Not Modified\r\ncontent-length: 40\r\n\r\n"},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 204 No Content\r\n\r\n"},
      {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"},
      {"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", 1, Method::kGet,
       "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text);
    Response r(row.text, row.method);
    ResponseWrite how;
    how.framing = framing_for(r.head, row.method, row.minor);
    how.downstream_minor = row.minor;
    how.to_head = row.method == Method::kHead;
    how.close = how.framing.kind == Framing::Kind::kUntilClose;
    EXPECT_EQ(r.write(how), row.out);
    EXPECT_TRUE(r.ok);
  }
}

TEST(H1Writer, ALocalReplyIsComposedInOneView) {
  base::BlockPool pool;
  base::Arena arena(pool);
  ResponseHead head;
  head.fields.bind(&arena);
  head.status = 404;
  head.fields.add(HeaderId::kServer, "sluice");
  ResponseWrite how;
  how.framing.kind = Framing::Kind::kNone;
  base::Chain out;
  ASSERT_TRUE(write_response_head(&head, how, {}, arena, &out));
  EXPECT_EQ(text_of(out), "HTTP/1.1 404 Not Found\r\nserver: sluice\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(num_views(out), 1u);
}

TEST(H1Writer, ChunksNeedNoMoreMemoryThanWhatIsNotWrittenYet) {
  base::BlockPool pool;
  base::Arena arena(pool);
  ChunkWriter writer;
  base::Chain out;
  for (int i = 0; i < 20000; ++i) {
    base::Chain data;
    data.append(std::string_view("0123456789abcdef!"));
    writer.append_chunk(std::move(data), pool, &out);
    if (i == 0) {
      EXPECT_EQ(text_of(out), "11\r\n0123456789abcdef!\r\n");
    }
    if (i % 10 == 9) out.drain(out.bytes());
    ASSERT_LE(pool.num_out(), 2u);
  }
  base::Chain nothing;
  writer.append_chunk(std::move(nothing), pool, &out);
  EXPECT_TRUE(out.empty()) << "an empty chunk would end the body";
  ASSERT_TRUE(writer.append_last(nullptr, arena, &out));
  EXPECT_EQ(text_of(out), "0\r\n\r\n");
  writer.release();
  EXPECT_EQ(pool.num_out(), 0u);
}

TEST(H1Writer, TrailersFollowTheLastChunk) {
  base::BlockPool pool;
  base::Arena arena(pool);
  FieldList trailers(&arena);
  trailers.add("x-sum", "1");
  trailers.add(HeaderId::kContentLength, "5");
  trailers.add(HeaderId::kGrpcStatus, "0");
  ChunkWriter writer;
  base::Chain out;
  ASSERT_TRUE(writer.append_last(&trailers, arena, &out));
  EXPECT_EQ(text_of(out), "0\r\nx-sum: 1\r\ngrpc-status: 0\r\n\r\n");
  Field bad;
  bad.name_data = "y";
  bad.name_size = 1;
  bad.value_data = "\n";
  bad.value_size = 1;
  trailers.push(bad);
  out.clear();
  EXPECT_FALSE(writer.append_last(&trailers, arena, &out));
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace sluice::http
