#include "http/h2_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "http/h2_codec.h"
#include "tests/http/h2_peer.h"
#include "tests/http/h2_wire.h"

// Every flood of http-security is stopped at its limit, counted under its name, answered with
// GOAWAY(ENHANCE_YOUR_CALM), and costs bounded memory; one frame less does no harm.

namespace sluice::http {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace)
using Role = H2Codec::Role;

struct Flood {
  const char* name;
  base::Cell base::H2Cells::* counter;
  uint64_t allowed;                                 // frames that pass
  std::function<std::string(uint64_t nth)> frames;  // from 0
  bool reading = true;                              // the attacker takes our answers
  std::string first = {};
};

std::ostream& operator<<(std::ostream& out, const Flood& flood) { return out << flood.name; }

int32_t odd(uint64_t nth) { return static_cast<int32_t>(2 * nth + 1); }

std::vector<Flood> floods() {
  using Cells = base::H2Cells;
  const std::string malformed = request_block("GET", "/", {{"connection", "close"}});
  return {
      {"RapidReset", &Cells::too_many_resets, 1000,
       [](uint64_t n) { return get(odd(n)) + reset(odd(n), 8); }},
      {"MadeYouResetByMalformedHeads", &Cells::too_many_resets, 1000,
       [=](uint64_t n) { return headers(odd(n), true, malformed); }},
      {"MadeYouResetByTooMuchData", &Cells::too_many_resets, 1000,
       [](uint64_t n) {
         return post(odd(n), {{"content-length", "1"}}) + data(odd(n), false, "xx");
       }},
      {"MadeYouResetByWindowOverflow", &Cells::too_many_resets, 1000,
       [](uint64_t n) { return post(odd(n)) + window_update(odd(n), 0x7fffffff); }},
      {"MadeYouResetByOurOwnRules", &Cells::too_many_resets, 1000,
       [](uint64_t n) { return get(odd(n), {{"host", "other"}}); }},
      {"EmptyData", &Cells::inbound_empty_frames_flood, 1,
       [](uint64_t) { return data(1, false, ""); }, true, post(1)},
      {"EmptyPaddedData", &Cells::inbound_empty_frames_flood, 1,
       [](uint64_t) { return padded_data(1, false, "", 9); }, true, post(1)},
      {"Priority", &Cells::inbound_priority_frames_flood, 200,
       [](uint64_t) { return frame(Type::kPriority, 0, 3, std::string(5, '\0')); }, true, get(1)},
      {"PriorityUpdate", &Cells::inbound_priority_frames_flood, 100,
       [](uint64_t) { return frame(Type::kPriorityUpdate, 0, 0, u32(1) + "u=1"); }},
      {"WindowUpdate", &Cells::inbound_window_update_frames_flood, 7,
       [](uint64_t) { return window_update(0, 1); }, true, get(1)},
      {"UnknownFrames", &Cells::unknown_frames_flood, 10'000,
       [](uint64_t n) { return raw_frame(static_cast<uint8_t>(0x20 + n % 100), 0, 0, "xyz"); }},
      {"Continuation", &Cells::continuation_flood, 8,
       [](uint64_t) { return frame(Type::kContinuation, 0, 1, literal("x", "y")); }, true,
       frame(Type::kHeaders, 0, 1, request_block("GET", "/"))},
      {"EmptyContinuation", &Cells::inbound_empty_frames_flood, 1,
       [](uint64_t) { return frame(Type::kContinuation, 0, 1); }, true,
       frame(Type::kHeaders, 0, 1, request_block("GET", "/"))},
      {"PingWithoutReading", &Cells::outbound_control_flood, 1000, [](uint64_t) { return ping(); },
       false},
      {"SettingsWithoutReading", &Cells::outbound_control_flood, 1000,
       [](uint64_t) { return settings(setting(4, 70'000)); }, false},
      {"ResetsWithoutReading", &Cells::too_many_resets, 1000,
       [=](uint64_t n) { return headers(odd(n), true, malformed); }, false},
  };
}

class H2Floods : public testing::TestWithParam<Flood> {};

TEST_P(H2Floods, IsStoppedAtItsLimit) {
  const Flood& flood = GetParam();
  H2Peer server(Role::kServer);
  server.receive(hello() + settings_ack() + flood.first);
  server.produce();
  const size_t slab = server.slab.bytes_out();
  const uint64_t blocks = server.blocks.bytes_out();
  for (uint64_t n = 0; n < flood.allowed; ++n) {
    server.receive(flood.frames(n));
    ASSERT_FALSE(server.failed()) << "after " << n << ": " << server.codec->failure().detail;
    if (flood.reading) server.produce();
    while (server.messages.size() > 4) server.destroy(*server.messages.front());
  }
  EXPECT_EQ((server.cells.*flood.counter).get(), 0u);
  EXPECT_LE(server.slab.bytes_out(), slab + 512 * 1024);
  EXPECT_LE(server.blocks.bytes_out(), blocks + 256 * 1024);
  server.receive(flood.frames(flood.allowed));
  ASSERT_TRUE(server.failed());
  EXPECT_TRUE(server.codec->failure().limit);
  EXPECT_EQ(server.codec->failure().code, H2Error::kEnhanceYourCalm);
  EXPECT_EQ((server.cells.*flood.counter).get(), 1u);
  EXPECT_EQ(answer_of(server.produce()).goaway, 11);
  EXPECT_EQ(answer_of(server.produce()).num_goaways, 0);
  EXPECT_EQ(server.codec->num_streams(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Of, H2Floods, testing::ValuesIn(floods()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(H2Limits, OutboundFramesAreCountedOverAll) {
  H2Options options;
  options.max_outbound_frames = 500;
  options.max_concurrent_streams = 1000;
  H2Peer server(Role::kServer, options);
  server.receive(hello() + settings_ack());
  server.produce();
  for (int32_t id = 1; id < 1002; id += 2) {
    server.receive(get(id));
    ASSERT_FALSE(server.failed());
    server.respond(server.last(), 200, true);
  }
  EXPECT_TRUE(server.failed());
  EXPECT_EQ(server.cells.outbound_flood.get(), 1u);
}

TEST(H2Limits, InputIsNotWantedWhileTooMuchWaits) {
  H2Options options;
  options.max_outbound_control_frames = 50;
  options.max_concurrent_streams = 1000;
  H2Peer server(Role::kServer, options);
  server.receive(hello() + settings_ack());
  server.produce();
  EXPECT_TRUE(server.codec->wants_input());
  for (int32_t id = 1; server.codec->wants_input() && id < 1000; id += 2) {
    server.receive(get(id));
    server.respond(server.last(), 200, true);
  }
  EXPECT_EQ(server.messages.size(), 51u);
  EXPECT_FALSE(server.failed());
  EXPECT_EQ(server.cells.outbound_frames_active.get(), 51);
  EXPECT_EQ(server.cells.outbound_control_frames_active.get(), 0);
  server.produce();
  EXPECT_TRUE(server.codec->wants_input());
  EXPECT_EQ(server.cells.outbound_frames_active.get(), 0);
}

TEST(H2Limits, TheBucketOfResetsFillsAgain) {
  H2Options options;
  options.max_resets = 10;
  options.resets_per_second = 5;
  H2Limits limits(options);
  base::MonoNs now = 1;
  const auto passes = [&] { return limits.on_reset(now) == H2Limits::Breach::kNone; };
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(passes());
  EXPECT_FALSE(passes());
  now += 2 * base::kNsPerSec;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(passes()) << i;
  EXPECT_FALSE(passes());
  // In steps that are smaller than one token nothing is lost.
  for (int i = 0; i < 1000; ++i) {
    now += base::kNsPerSec / 1000;
    if (i % 200 == 199) {
      EXPECT_TRUE(passes()) << i;
    } else if (i % 50 == 0) {
      EXPECT_FALSE(passes()) << i;
    }
  }
  now += int64_t{100} * 365 * 86'400 * base::kNsPerSec;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(passes());
  EXPECT_FALSE(passes());
}

TEST(H2Limits, WithoutRefillTheBucketStaysEmpty) {
  H2Options options;
  options.max_resets = 1;
  options.resets_per_second = 0;
  H2Limits limits(options);
  EXPECT_EQ(limits.on_reset(1), H2Limits::Breach::kNone);
  EXPECT_EQ(limits.on_reset(int64_t{1} << 60), H2Limits::Breach::kResets);
}

TEST(H2Limits, WindowUpdatesGrowWithStreamsAndDataSent) {
  H2Options options;
  H2Limits limits(options);
  const auto run = [&limits] {
    int n = 0;
    while (limits.on_frame(8) == H2Limits::Breach::kNone) ++n;
    return n;
  };
  EXPECT_EQ(run(), 5);
  limits.opened_stream();  // 7 in all, 6 were asked
  EXPECT_EQ(run(), 1);
  limits.sent_data_frame();  // 27 in all, 8 were asked
  EXPECT_EQ(run(), 19);
}

TEST(H2Limits, ResetsOfTheUserDoNotCountAgainstTheClient) {
  H2Options options;
  options.max_resets = 5;
  H2Peer server(Role::kServer, options);
  server.receive(hello() + settings_ack());
  for (int32_t id = 1; id < 100; id += 2) {
    server.receive(get(id));
    server.codec->reset(server.last().stream, H2Error::kInternal);
    server.produce();
  }
  EXPECT_FALSE(server.failed());
}

TEST(H2Limits, AClientIsNotBoundByResetsOfItsServer) {
  H2Options options;
  options.max_resets = 5;
  H2Peer client(Role::kClient, options);
  H2Peer server(Role::kServer);
  for (int i = 0; i < 50; ++i) {
    client.request("GET", "/", true);
    pump(client, server);
    server.codec->reset(server.last().stream, H2Error::kInternal);
    pump(client, server);
  }
  EXPECT_FALSE(client.failed());
  EXPECT_EQ(client.cells.rx_reset.get(), 50u);
}

// 100 streams of single-byte references to a large entry, with a window of zero (CVE-2026-47774).
TEST(H2Limits, AHeaderBombIsHeldWithinBounds) {
  H2Peer server(Role::kServer);
  server.receive(std::string(kPreface) + settings(setting(4, 0)) + settings_ack());
  const size_t before = server.slab.bytes_out() + server.blocks.bytes_out();
  for (int32_t id = 1; id < 200; id += 2) {
    std::string fields = request_block("GET", "/");
    fields += id == 1 ? literal("cookie", "a", 0x40) : std::string();
    for (int i = 0; i < 4000; ++i) fields += indexed(62);
    server.receive(headers(id, true, fields));
    ASSERT_FALSE(server.failed());
    ASSERT_TRUE(server.last().too_large);
    server.respond(server.last(), 431, true);
  }
  EXPECT_LE(server.slab.bytes_out() + server.blocks.bytes_out(), before + 8 * 1024 * 1024);
  EXPECT_EQ(server.cells.header_overflow.get(), 100u);
}

}  // namespace
}  // namespace sluice::http
