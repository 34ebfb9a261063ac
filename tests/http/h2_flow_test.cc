#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "http/h2_codec.h"
#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"

// Windows, back-pressure, and bodies that are moved and not copied.

namespace sluice::http {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Role = H2Codec::Role;

TEST(H2Flow, AStreamThatIsNotConsumedStopsAtItsWindow) {
  H2Peer client(Role::kClient);
  H2Peer server(Role::kServer);
  server.consume = false;
  H2Message& sent = client.request("POST", "/", false);
  H2Message& other = client.request("POST", "/", false);
  client.send_text(sent, std::string(300'000, 'a'));
  pump(client, server);
  H2Message& got = *server.messages[0];
  EXPECT_EQ(got.body.size(), server.options.initial_stream_window);
  EXPECT_EQ(sent.stream.queued(), 300'000u - server.options.initial_stream_window);
  EXPECT_EQ(client.cells.pending_send_bytes.get(), static_cast<int64_t>(sent.stream.queued()));

  // It stops no other stream: the connection's window opens on arrival.
  server.consume = true;
  client.send_text(other, std::string(3'000'000, 'b'));
  client.codec->send_end(other.stream, nullptr);
  pump(client, server);
  EXPECT_EQ(server.messages[1]->body.size(), 3'000'000u);
  EXPECT_EQ(got.body.size(), server.options.initial_stream_window);

  // What is consumed opens it again.
  server.codec->consume(got.stream, server.options.initial_stream_window);
  pump(client, server);
  EXPECT_EQ(got.body.size(), 300'000u);
  client.codec->send_end(sent.stream, nullptr);
  pump(client, server);
  EXPECT_TRUE(got.ended);
  EXPECT_EQ(client.cells.pending_send_bytes.get(), 0);
}

TEST(H2Flow, DrainedIsToldOnceBetweenTheMarks) {
  H2Peer client(Role::kClient);
  H2Peer server(Role::kServer);
  H2Message& sent = client.request("POST", "/", false);
  sent.stream.set_marks(10'000, 50'000);
  client.send_text(sent, std::string(49'999, 'a'));
  EXPECT_FALSE(sent.stream.congested());
  client.send_text(sent, std::string(1, 'a'));
  EXPECT_TRUE(sent.stream.congested());
  pump(client, server);
  EXPECT_FALSE(sent.stream.congested());
  EXPECT_EQ(sent.stream.queued(), 0u);
  EXPECT_NE(sent.news & H2Stream::kDrained, 0);
  sent.news = 0;
  client.send_text(sent, std::string(40'000, 'a'));
  pump(client, server);
  EXPECT_EQ(sent.news & H2Stream::kDrained, 0);
}

TEST(H2Flow, ProduceStopsNearItsBound) {
  H2Peer client(Role::kClient);
  H2Peer server(Role::kServer);
  pump(client, server);
  H2Message& sent = client.request("POST", "/", false);
  client.send_text(sent, std::string(60'000, 'a'));
  std::string all;
  for (int i = 0; i < 100 && client.codec->wants_output(); ++i) {
    const std::string piece = client.produce(1000);
    EXPECT_LE(piece.size(), 1000u + 16'384 + 9);
    all += piece;
  }
  EXPECT_FALSE(client.codec->wants_output());
  server.receive(all);
  EXPECT_EQ(server.last().body.size(), 60'000u);
  // With nothing but room for none, nothing moves.
  client.send_text(sent, "x");
  EXPECT_EQ(client.produce(0), "");
  EXPECT_TRUE(client.codec->wants_output());
  EXPECT_NE(client.produce(), "");
}

// Server and client role: neither lets one stream go before the others.
TEST(H2Flow, BodiesTakeTurns) {
  for (const bool up : {false, true}) {
    SCOPED_TRACE(up);
    H2Peer client(Role::kClient);
    H2Peer server(Role::kServer);
    H2Options wide;
    wide.initial_stream_window = 1 << 20;
    client.options = server.options = wide;
    client.restart(Role::kClient);
    server.restart(Role::kServer);
    for (int i = 0; i < 4; ++i) client.request("POST", "/", !up);
    pump(client, server);
    H2Peer& sender = up ? client : server;
    for (auto& m : sender.messages) {
      if (!up) {
        ASSERT_TRUE(server.respond(*m, 200, false));
      }
      sender.send_text(*m, std::string(200'000, 'd'));
    }
    const std::vector<WireFrame> frames = frames_of(sender.produce(400'000));
    std::map<int32_t, size_t> sizes;
    for (const WireFrame& f : frames) {
      if (f.head.is(Type::kData)) sizes[f.head.stream_id] += f.head.length;
    }
    ASSERT_EQ(sizes.size(), 4u);
    for (const auto& [id, size] : sizes) {
      EXPECT_NEAR(static_cast<double>(size), 100'000, 16'384) << id;
    }
  }
}

TEST(H2Flow, BodiesAreMovedAndNeverCopied) {
  H2Peer client(Role::kClient);
  H2Peer server(Role::kServer);
  H2Message& sent = client.request("POST", "/", false);
  pump(client, server);
  const base::BlockRef block = base::BlockRef::adopt(client.blocks.get_large());
  std::memset(block->data(), 'b', 40'000);
  block->fill(40'000);
  client.codec->send_data(sent.stream, base::View(block->data(), 40'000, block));
  base::Chain out;
  const uint64_t heads = base::copies().head_bytes;
  client.codec->produce(&out, 1 << 20);
  EXPECT_EQ(base::copies().head_bytes - heads, 3 * H2Frame::kHeaderBytes);
  size_t in_place = 0;
  out.for_each([&](const base::View& v) {
    if (v.data >= block->data() && v.data < block->data() + 40'000) in_place += v.size;
  });
  EXPECT_EQ(in_place, 40'000u);
  EXPECT_EQ(base::copies().body_bytes, 0u);

  // Received: views of the block that was fed.
  const base::BlockRef fed = base::BlockRef::adopt(server.blocks.get_large());
  out.for_each([&fed](const base::View& v) {
    std::memcpy(fed->tail(), v.data, v.size);
    fed->fill(v.size);
  });
  H2Codec::Event event;
  for (uint32_t at = 0; at < fed->filled(); at += event.consumed) {
    event = server.codec->feed(fed->data() + at, fed->filled() - at, fed, server.now);
    if (event.kind != H2Codec::Event::Kind::kData) continue;
    EXPECT_EQ(event.data.block.get(), fed.get());
    EXPECT_EQ(event.data.data, fed->data() + at + H2Frame::kHeaderBytes);
  }
}

TEST(H2Flow, PaddingIsNoBodyAndCostsNoWindow) {
  H2Peer server(Role::kServer);
  server.receive(hello() + settings_ack() + post(1));
  std::string body;
  // Far beyond the window, were padding not given back.
  for (int i = 0; i < 1000; ++i) {
    server.receive(padded_data(1, false, "xy", 200));
    body += "xy";
  }
  server.receive(padded_data(1, true, "", 0));
  EXPECT_FALSE(server.failed());
  EXPECT_EQ(server.last().body, body);
  EXPECT_TRUE(server.last().ended);
}

TEST(H2Flow, PaddingInEverySplit) {
  const std::string bytes = hello() + settings_ack() + post(1) + padded_data(1, false, "hello", 7) +
                            padded_data(1, false, " world", 0) + padded_data(1, true, "!", 255);
  for (size_t piece = 1; piece < 40; ++piece) {
    H2Peer server(Role::kServer);
    server.receive(bytes, piece);
    ASSERT_EQ(server.messages.size(), 1u);
    EXPECT_EQ(server.last().body, "hello world!");
    EXPECT_TRUE(server.last().ended);
  }
}

TEST(H2Flow, DataBeyondTheWindowEndsTheStream) {
  H2Peer server(Role::kServer);
  server.consume = false;
  server.receive(hello() + settings_ack() + post(1));
  for (int i = 0; i < 5; ++i) server.receive(data(1, false, std::string(16'000, 'x')));
  EXPECT_EQ(server.last().stream.error(), H2Error::kFlowControl);
  EXPECT_FALSE(server.failed());
  EXPECT_LE(server.last().body.size(), 5u * 16'000);
}

TEST(H2Flow, AWindowThatOverflowsEndsTheStream) {
  H2Peer server(Role::kServer);
  server.receive(hello() + settings_ack() + get(1) + window_update(1, 0x7fffffff));
  EXPECT_EQ(server.last().stream.error(), H2Error::kFlowControl);
  H2Peer other(Role::kServer);
  other.receive(hello() + settings_ack() + window_update(0, 0x7fffffff));
  EXPECT_EQ(other.codec->failure().code, H2Error::kFlowControl);
}

TEST(H2Flow, AZeroWindowHoldsNoMoreThanWasQueued) {
  H2Peer server(Role::kServer);
  server.receive(std::string(kPreface) + settings(setting(4, 0)) + settings_ack());
  for (int32_t id = 1; id < 200; id += 2) {
    server.receive(get(id));
    ASSERT_TRUE(server.respond(server.last(), 200, false));
    server.send_text(server.last(), std::string(64 * 1024, 'x'));
  }
  for (const WireFrame& f : frames_of(server.produce())) EXPECT_FALSE(f.head.is(Type::kData));
  EXPECT_TRUE(server.messages[0]->stream.congested());
  EXPECT_EQ(server.cells.pending_send_bytes.get(), 100 * 64 * 1024);
  EXPECT_FALSE(server.codec->wants_output());
  // One window opens: that stream goes on.
  server.receive(window_update(5, 100));
  const std::vector<WireFrame> frames = frames_of(server.produce());
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].head.stream_id, 5);
  EXPECT_EQ(frames[0].head.length, 100u);
}

TEST(H2Flow, SettingsOpenAndCloseWindowsOfOpenStreams) {
  H2Peer server(Role::kServer);
  server.receive(std::string(kPreface) + settings(setting(4, 10)) + settings_ack() + get(1));
  server.respond(server.last(), 200, false);
  server.send_text(server.last(), std::string(100, 'x'));
  const auto sent = [&server] {
    size_t n = 0;
    for (const WireFrame& f : frames_of(server.produce())) {
      if (f.head.is(Type::kData)) n += f.head.length;
    }
    return n;
  };
  EXPECT_EQ(sent(), 10u);
  server.receive(settings(setting(4, 5)));
  EXPECT_EQ(server.num_settings, 2);
  EXPECT_EQ(sent(), 0u);
  server.receive(settings(setting(4, 30)));
  EXPECT_EQ(sent(), 20u);
}

}  // namespace
}  // namespace sluice::http
