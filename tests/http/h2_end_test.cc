#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "http/h2_codec.h"
#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"

// How streams and connections end: resets, refusals, GOAWAY in its two steps, and owners that go.

namespace sluice::http {
namespace {

using testing::ElementsAre;
using testing::Pair;
using namespace test;  // NOLINT(google-build-using-namespace)
using Role = H2Codec::Role;

constexpr uint8_t kClosed = H2Stream::kClosed;

class H2End : public testing::Test {
 protected:
  H2Peer client{Role::kClient};
  H2Peer server{Role::kServer};
};

TEST_F(H2End, AResetOfTheClientIsToldToTheServer) {
  H2Message& sent = client.request("POST", "/", false);
  pump(client, server);
  H2Message& got = server.last();
  client.codec->reset(sent.stream, H2Error::kCancel);
  EXPECT_EQ(sent.stream.codec(), nullptr);
  pump(client, server);
  EXPECT_EQ(sent.news & kClosed, 0) << "a stream that was given up tells nothing";
  EXPECT_NE(got.news & kClosed, 0);
  EXPECT_EQ(got.stream.error(), H2Error::kCancel);
  EXPECT_TRUE(got.stream.by_peer());
  EXPECT_FALSE(got.stream.refused());
  EXPECT_EQ(server.cells.rx_reset.get(), 1u);
  EXPECT_EQ(client.cells.tx_reset.get(), 1u);
  // What comes for it afterwards does no harm.
  EXPECT_FALSE(server.respond(got, 200, true));
  server.send_text(got, "x");
  server.codec->consume(got.stream, 1);
  server.codec->reset(got.stream, H2Error::kInternal);
  EXPECT_EQ(server.produce(), "");
}

TEST_F(H2End, AnEarlyAnswerMayStopTheRequest) {
  H2Message& sent = client.request("POST", "/", false);
  client.send_text(sent, std::string(1000, 'x'));
  pump(client, server);
  H2Message& got = server.last();
  ASSERT_TRUE(server.respond(got, 413, true));
  server.produce();
  EXPECT_NE(got.news & H2Stream::kSentEnd, 0);
  EXPECT_EQ(got.news & kClosed, 0);

  server.restart(Role::kServer);
  client.restart(Role::kClient);
  H2Message& again = client.request("POST", "/", false);
  pump(client, server);
  ASSERT_TRUE(server.respond(server.last(), 413, true));
  const std::string head = server.produce();
  server.codec->reset(server.last().stream, H2Error::kNone);
  client.receive(head + server.produce());
  EXPECT_TRUE(again.has_head);
  EXPECT_TRUE(again.ended);
  EXPECT_NE(again.news & kClosed, 0);
  EXPECT_EQ(again.stream.error(), H2Error::kNone);
}

TEST_F(H2End, RefusedStreamsSaySo) {
  server.open = false;
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  EXPECT_EQ(server.num_begun, 1);
  EXPECT_NE(sent.news & kClosed, 0);
  EXPECT_EQ(sent.stream.error(), H2Error::kRefusedStream);
  EXPECT_TRUE(sent.stream.refused());
  // HPACK's table has what the refused head brought.
  server.open = true;
  H2Message& next = client.request("GET", "/", true);
  pump(client, server);
  ASSERT_EQ(server.messages.size(), 1u);
  EXPECT_TRUE(server.last().has_head);
  EXPECT_EQ(server.last().request.authority, "example.com");
  EXPECT_EQ(next.news & kClosed, 0);
}

TEST_F(H2End, AnOwnerThatGoesResetsItsStream) {
  H2Message& sent = client.request("POST", "/", false);
  pump(client, server);
  client.send_text(sent, std::string(100'000, 'x'));
  server.destroy(server.last());
  EXPECT_THAT(answer_of(server.produce()).resets,
              ElementsAre(Pair(1, static_cast<uint32_t>(H2Error::kInternal))));
  client.destroy(sent);
  EXPECT_EQ(client.cells.pending_send_bytes.get(), 0);
  const Answer answer = answer_of(client.produce());
  EXPECT_THAT(answer.resets, ElementsAre(Pair(1, static_cast<uint32_t>(H2Error::kCancel))));
  for (const WireFrame& f : answer.frames) EXPECT_FALSE(f.head.is(Type::kData));
  EXPECT_EQ(client.codec->num_streams(), 0u);
}

// A head that waits points into its owner's memory: it is written before that goes, or never.
TEST_F(H2End, HeadsOfOwnersThatWent) {
  pump(client, server);
  client.request("GET", "/one", true);
  H2Message& two = client.request("GET", "/two", true);
  client.destroy(*client.messages[0]);
  pump(client, server);
  ASSERT_EQ(server.messages.size(), 1u);
  EXPECT_EQ(server.last().request.path, "/two");
  server.respond(server.last(), 200, false, {{"x", "y"}});
  server.send_text(server.last(), "a body that is not sent any more");
  server.destroy(server.last());
  const std::string bytes = server.produce();
  const Answer answer = answer_of(bytes);
  EXPECT_EQ(answer.frames.size(), 2u);
  EXPECT_TRUE(answer.frames[0].head.is(Type::kHeaders));
  EXPECT_THAT(answer.resets, ElementsAre(Pair(two.stream.id(), 2u)));
  client.receive(bytes);
  EXPECT_TRUE(two.has_head);
  EXPECT_EQ(two.response.fields.find("x")->value(), "y");
}

TEST_F(H2End, AnAnswerAndAResetInOneTurnAreBothSent) {
  H2Message& sent = client.request("POST", "/", false);
  pump(client, server);
  ASSERT_TRUE(server.respond(server.last(), 413, true));
  server.codec->reset(server.last().stream, H2Error::kNone);
  pump(client, server);
  EXPECT_TRUE(sent.has_head);
  EXPECT_TRUE(sent.ended);
  EXPECT_EQ(sent.stream.error(), H2Error::kNone);
  EXPECT_TRUE(sent.stream.by_peer());
}

TEST_F(H2End, AResetBehindABodyLetsItOutFirst) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  H2Message& answer = server.last();
  ASSERT_TRUE(server.respond(answer, 200, false));
  EXPECT_FALSE(server.codec->reset_behind_body(answer.stream));  // none waits
  const size_t window = client.options.initial_stream_window;
  server.send_text(answer, std::string(window + 10, 'a'));
  EXPECT_TRUE(server.codec->reset_behind_body(answer.stream));
  server.send_text(answer, "too late");
  client.consume = false;
  pump(client, server);
  EXPECT_EQ(sent.body.size(), window);
  EXPECT_EQ(sent.news & H2Stream::kClosed, 0);
  EXPECT_EQ(answer.news & H2Stream::kClosed, 0);

  client.codec->consume(sent.stream, static_cast<uint32_t>(window));
  pump(client, server);
  EXPECT_EQ(sent.body, std::string(window + 10, 'a'));
  EXPECT_FALSE(sent.ended);
  EXPECT_EQ(sent.stream.error(), H2Error::kInternal);
  EXPECT_TRUE(sent.stream.by_peer());
  EXPECT_NE(answer.news & H2Stream::kClosed, 0);
  EXPECT_EQ(answer.news & H2Stream::kSentEnd, 0);
  EXPECT_EQ(server.cells.pending_send_bytes.get(), 0);
  EXPECT_FALSE(server.failed());
}

TEST_F(H2End, AnOwnerMayGoWhileItsResetWaitsBehindABody) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  ASSERT_TRUE(server.respond(server.last(), 200, false));
  server.send_text(server.last(), "half");
  ASSERT_TRUE(server.codec->reset_behind_body(server.last().stream));
  server.destroy(server.last());
  pump(client, server);
  EXPECT_TRUE(sent.has_head);
  EXPECT_EQ(sent.stream.error(), H2Error::kInternal);
  EXPECT_EQ(server.cells.pending_send_bytes.get(), 0);
}

// A complete request and an answer without body: nothing is left to reset.
TEST_F(H2End, AnAnsweredStreamMayGoAtOnce) {
  client.request("GET", "/", true);
  pump(client, server);
  ASSERT_TRUE(server.respond(server.last(), 204, true));
  server.destroy(server.last());
  pump(client, server);
  EXPECT_TRUE(client.last().has_head);
  EXPECT_EQ(client.last().stream.error(), H2Error::kNone);
  EXPECT_EQ(client.cells.rx_reset.get(), 0u);
}

TEST_F(H2End, OwnersMayGoWhileTheirNewsWait) {
  for (int i = 0; i < 5; ++i) client.request("GET", "/", true);
  pump(client, server);
  client.codec->fail(H2Error::kInternal, "");
  // All five have news; taking the first destroys others.
  uint8_t news = 0;
  H2Stream* const first = client.codec->take_news(&news);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(news, kClosed);
  auto* const kept = static_cast<H2Message*>(first->owner());
  for (size_t i = 0; client.messages.size() > 2;) {
    if (client.messages[i].get() == kept) ++i;
    client.destroy(*client.messages[i]);
  }
  int left = 0;
  while (client.codec->take_news(&news) != nullptr) ++left;
  EXPECT_EQ(left, 1);
}

// What was reset makes room at once, not only when the reset is written.
TEST_F(H2End, ResetStreamsMakeRoomForTheNext) {
  H2Options few;
  few.max_concurrent_streams = 2;
  H2Peer strict(Role::kServer, few);
  strict.receive(hello() + settings_ack() + get(1) + get(3));
  strict.codec->reset(strict.messages[0]->stream, H2Error::kInternal);
  strict.receive(get(5));
  EXPECT_FALSE(strict.failed());
  EXPECT_TRUE(strict.last().has_head);
  EXPECT_EQ(strict.codec->num_streams(), 2u);
}

TEST_F(H2End, AStreamMayGoWhileItsHeadArrives) {
  server.receive(hello() + settings_ack());
  const std::string bytes = continued(1, false, request_block("POST", "/"), 10);
  server.receive(bytes.substr(0, 40));
  ASSERT_EQ(server.messages.size(), 1u);
  server.destroy(server.last());
  server.receive(bytes.substr(40) + data(1, true, "hello") + get(3));
  ASSERT_EQ(server.messages.size(), 1u);
  EXPECT_TRUE(server.last().has_head);
  EXPECT_FALSE(server.failed());
}

TEST_F(H2End, AStreamMayGoBeforeItsHeadIsReadAtAll) {
  server.repent = true;
  for (const size_t piece : {size_t{3}, size_t{1000}}) {
    server.restart(Role::kServer);
    server.receive(hello() + settings_ack() + get(1), piece);
    EXPECT_TRUE(server.messages.empty());
    EXPECT_THAT(answer_of(server.produce()).resets, ElementsAre(Pair(1, 7u)));
    EXPECT_EQ(server.codec->num_streams(), 0u);
  }
}

TEST_F(H2End, ACodecThatGoesLeavesStreamsBehind) {
  H2Message& sent = client.request("POST", "/", false, {{"x-long", std::string(100, 'a')}});
  client.send_text(sent, "queued");
  pump(client, server);
  H2Message& got = server.last();
  server.codec.reset();
  client.codec.reset();
  EXPECT_EQ(got.stream.codec(), nullptr);
  EXPECT_EQ(got.request.fields.find("x-long")->value().size(), 100u);
  server.messages.clear();
  EXPECT_EQ(server.slab.bytes_out(), 0u);
  client.messages.clear();
  EXPECT_EQ(client.slab.bytes_out(), 0u);
}

TEST_F(H2End, GoawayInTwoSteps) {
  H2Message& one = client.request("GET", "/1", true);
  pump(client, server);
  server.codec->announce_shutdown();
  EXPECT_FALSE(server.codec->shutting_down());
  // What is under way in that round trip is still served.
  H2Message& two = client.request("GET", "/2", true);
  const std::string late = client.produce();
  client.receive(server.produce());
  EXPECT_EQ(client.num_goaways, 1);
  EXPECT_FALSE(client.codec->can_open());
  EXPECT_FALSE(client.codec->finished());
  server.receive(late);
  ASSERT_EQ(server.messages.size(), 2u);
  server.codec->finish_shutdown();
  EXPECT_TRUE(server.codec->shutting_down());
  const std::string last = server.produce();
  EXPECT_EQ(answer_of(last).goaway_last_id, 3);
  EXPECT_EQ(answer_of(last).goaway, 0);
  client.receive(last);
  EXPECT_FALSE(server.codec->finished());
  for (auto& m : server.messages) ASSERT_TRUE(server.respond(*m, 200, true));
  pump(client, server);
  for (const H2Message* m : {&one, &two}) {
    EXPECT_TRUE(m->has_head);
    EXPECT_EQ(m->stream.error(), H2Error::kNone);
  }
  EXPECT_TRUE(server.codec->finished());
  EXPECT_TRUE(client.codec->finished());
  EXPECT_EQ(server.cells.goaway_sent.get(), 2u);
}

TEST_F(H2End, StreamsAboveTheLastIdAreRefused) {
  H2Message& one = client.request("GET", "/1", true);
  pump(client, server);
  server.codec->finish_shutdown();
  H2Message& two = client.request("GET", "/2", true);
  const std::string late = client.produce();
  client.receive(server.produce());
  EXPECT_NE(two.news & kClosed, 0);
  EXPECT_TRUE(two.stream.refused());
  EXPECT_EQ(one.news & kClosed, 0);
  // The server ignores them, and does not even begin.
  server.receive(late);
  EXPECT_EQ(server.messages.size(), 1u);
  EXPECT_EQ(server.num_begun, 1);
  ASSERT_TRUE(server.respond(server.last(), 200, true));
  pump(client, server);
  EXPECT_TRUE(one.has_head);
}

TEST_F(H2End, ARequestThatGoawayOvertookIsRefused) {
  pump(client, server);
  H2Message& sent = client.request("GET", "/", true);
  server.codec->finish_shutdown();
  client.receive(server.produce());
  client.produce();
  EXPECT_NE(sent.news & H2Stream::kUnsent, 0);
  EXPECT_NE(sent.news & kClosed, 0);
  EXPECT_TRUE(sent.stream.refused());
}

TEST_F(H2End, TheClientKeepsToTheServersNumberOfStreams) {
  server.options.max_concurrent_streams = 3;
  server.restart(Role::kServer);
  pump(client, server);
  EXPECT_EQ(client.codec->max_concurrent_streams(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client.codec->can_open());
    client.request("GET", "/", true);
  }
  EXPECT_FALSE(client.codec->can_open());
  pump(client, server);
  ASSERT_TRUE(server.respond(*server.messages[1], 200, true));
  pump(client, server);
  EXPECT_TRUE(client.codec->can_open());
}

TEST_F(H2End, StreamsBeyondTheNumberAreRefusedUntilTheSettingIsKnown) {
  H2Options few;
  few.max_concurrent_streams = 2;
  H2Peer strict(Role::kServer, few);
  strict.receive(hello() + get(1) + get(3) + get(5));
  EXPECT_EQ(strict.messages.size(), 2u);
  EXPECT_THAT(answer_of(strict.produce()).resets, ElementsAre(Pair(5, 7u)));
  strict.receive(settings_ack() + get(7));
  EXPECT_TRUE(strict.failed());
  EXPECT_EQ(strict.codec->failure().code, H2Error::kProtocol);
}

TEST_F(H2End, AConnectionErrorClosesAllStreamsAndSaysGoaway) {
  H2Message& sent = client.request("GET", "/", true);
  pump(client, server);
  H2Message& got = server.last();
  server.receive(data(0, false, "x"));
  EXPECT_TRUE(server.failed());
  EXPECT_EQ(server.codec->failure().code, H2Error::kProtocol);
  EXPECT_THAT(server.codec->failure().detail, testing::HasSubstr("DATA: stream_id == 0"));
  EXPECT_FALSE(server.codec->failure().limit);
  EXPECT_NE(got.news & kClosed, 0);
  EXPECT_EQ(got.stream.error(), H2Error::kProtocol);
  EXPECT_TRUE(server.codec->finished());
  EXPECT_TRUE(server.codec->wants_output());
  const std::string bytes = server.produce();
  EXPECT_EQ(answer_of(bytes).goaway, 1);
  EXPECT_EQ(answer_of(bytes).num_goaways, 1);
  EXPECT_FALSE(server.codec->wants_output());
  client.receive(bytes);
  EXPECT_EQ(client.num_goaways, 1);
  EXPECT_EQ(sent.news & kClosed, 0) << "stream 1 was processed: its answer may still come";
  // Everything further is refused in peace.
  server.receive(get(3));
  EXPECT_FALSE(server.respond(got, 200, true));
  server.codec->ping(1);
  server.codec->fail(H2Error::kInternal, "again");
  EXPECT_EQ(server.codec->failure().code, H2Error::kProtocol);
  EXPECT_EQ(server.produce(), "");
}

TEST_F(H2End, TheUserMayEndTheConnection) {
  client.request("GET", "/", true);
  pump(client, server);
  server.codec->fail(H2Error::kInternal, "why not");
  EXPECT_EQ(server.codec->failure().detail, "why not");
  const Answer answer = answer_of(server.produce());
  EXPECT_EQ(answer.goaway, 2);
  EXPECT_EQ(answer.goaway_last_id, 1);
  EXPECT_NE(server.last().news & kClosed, 0);
}

TEST_F(H2End, NothingButTheRightPrefaceIsTaken) {
  for (const std::string_view bytes :
       {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"}) {
    for (const size_t piece : {size_t{1}, size_t{100}}) {
      H2Peer fresh(Role::kServer);
      fresh.receive(bytes, piece);
      EXPECT_EQ(fresh.codec->failure().code, H2Error::kProtocol);
      const std::vector<WireFrame> frames = frames_of(fresh.produce());
      ASSERT_GE(frames.size(), 2u);
      EXPECT_TRUE(frames.front().head.is(Type::kSettings));
      EXPECT_TRUE(frames.back().head.is(Type::kGoaway));
    }
  }
  // SETTINGS must follow.
  H2Peer fresh(Role::kServer);
  fresh.receive(std::string(kPreface) + get(1));
  EXPECT_TRUE(fresh.failed());
  EXPECT_EQ(fresh.num_begun, 0);
}

// RFC 9113 5.1: only what we reset may still be spoken to.
TEST_F(H2End, WhatThePeerClosedStaysClosed) {
  const auto closed_by_itself = [](const std::string& then) {
    H2Peer fresh(Role::kServer);
    fresh.receive(hello() + settings_ack() + get(1) + post(5) + reset(5, 8));
    fresh.respond(*fresh.messages[0], 200, true);
    fresh.produce();
    EXPECT_NE(fresh.messages[0]->news & kClosed, 0);
    EXPECT_FALSE(fresh.failed());
    fresh.receive(then);
    return fresh.codec->failure().code;
  };
  for (const int32_t id : {1, 3, 5}) {
    SCOPED_TRACE(id);
    EXPECT_EQ(closed_by_itself(data(id, true, "x")), H2Error::kStreamClosed);
    EXPECT_EQ(closed_by_itself(data(id, false, "")), H2Error::kStreamClosed);
    EXPECT_EQ(closed_by_itself(get(id)), H2Error::kStreamClosed);
    EXPECT_EQ(closed_by_itself(reset(id, 8)), H2Error::kNone);
    EXPECT_EQ(closed_by_itself(window_update(id, 1)), H2Error::kNone);
    EXPECT_EQ(closed_by_itself(window_update(id, 0)), H2Error::kProtocol);
  }
  H2Peer fresh(Role::kServer);
  fresh.receive(hello() + settings_ack());
  // Many resets of ours: no matter how late, none of these frames is a mistake.
  std::string late;
  for (int32_t id = 1; id < 200; id += 2) {
    fresh.receive(post(id));
    fresh.codec->reset(fresh.last().stream, H2Error::kInternal);
    late += data(id, false, "x") + headers(id, true, block({{"x-trailer", "1"}}));
    if (id % 3 == 0) fresh.produce();
  }
  fresh.receive(late);
  fresh.produce();
  fresh.receive(late);
  EXPECT_FALSE(fresh.failed());
}

TEST_F(H2End, PingsAreAnsweredAndAnswersTold) {
  pump(client, server);
  client.codec->ping(42);
  pump(client, server);
  EXPECT_EQ(client.num_pongs, 1);
  EXPECT_EQ(server.num_pongs, 0);
}

TEST_F(H2End, AServerMayNotPush) {
  client.request("GET", "/", true);
  client.produce();
  client.receive(settings() + frame(Type::kPushPromise, H2Frame::kEndHeaders, 1,
                                    u32(2) + request_block("GET", "/pushed")));
  EXPECT_EQ(client.codec->failure().code, H2Error::kProtocol);
}

// Only the memory's end is left to fear: every allocation of nghttp2 may fail.
TEST_F(H2End, WithoutMemoryTheConnectionEndsInOrder) {
  for (size_t limit = 64 * 1024; limit < 1024 * 1024; limit += 64 * 1024) {
    base::Slab small(limit);
    base::BlockPool blocks;
    base::H2Cells cells;
    const H2Options options;
    H2Codec codec(Role::kServer, options, small, blocks, cells);
    if (!codec.start()) {
      EXPECT_EQ(codec.failure().code, H2Error::kInternal);
      continue;
    }
    std::string bytes = hello();
    for (int32_t id = 1; id < 2000; id += 2) bytes += get(id, {{"x", std::string(3000, 'x')}});
    std::vector<std::unique_ptr<H2Message>> held;
    bool failed = false;
    for (size_t at = 0; at < bytes.size() && !failed;) {
      const base::BlockRef block = base::BlockRef::adopt(blocks.get_large());
      const size_t n = std::min<size_t>(block->room(), bytes.size() - at);
      std::memcpy(block->tail(), bytes.data() + at, n);
      for (uint32_t used = 0; used < n && !failed;) {
        const auto event =
            codec.feed(block->data() + used, static_cast<uint32_t>(n) - used, block, 1);
        used += event.consumed;
        failed = event.kind == H2Codec::Event::Kind::kFailed;
        if (event.kind == H2Codec::Event::Kind::kBegin) {
          held.push_back(std::make_unique<H2Message>(blocks));
          codec.open(&held.back()->stream, &held.back()->request, &held.back()->arena);
        }
      }
      at += n;
    }
    base::Chain out;
    codec.produce(&out, 1 << 20);
    EXPECT_FALSE(out.empty());
    held.clear();
  }
}

}  // namespace
}  // namespace sluice::http
