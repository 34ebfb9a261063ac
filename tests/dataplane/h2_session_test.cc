#include "dataplane/h2_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>

#include "base/text.h"
#include "tests/support/http_pair.h"

// One downstream connection that speaks HTTP/2, and what clients do to it.

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;

const Fields kRequest = {
    {":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}};

Fields with(Fields more) {
  Fields all = kRequest;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// Bytes of blocks in use.
uint64_t block_bytes(TestProxy& proxy) {
  std::promise<uint64_t> bytes;
  proxy.server().main().post_task([&] {
    proxy.server().take_census([&](const std::vector<dataplane::Worker::Census>& all) {
      bytes.set_value(all[0].block_bytes_out);
    });
  });
  return bytes.get_future().get();
}

TEST(H2Session, ManyStreamsAtOnce) {
  EchoOrigin origin;
  TestProxy proxy(pair_config(Http::k1, origin.port()));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  for (int i = 0; i < 90; ++i) client.get("/");
  for (int32_t id = 1; id < 180; id += 2) {
    ASSERT_TRUE(client.run_until_ended(id));
    EXPECT_EQ(client.stream(id).body, "ok");
  }
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_http2_total"), 1u);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_2xx"), 90u);
}

TEST(H2Session, TooLargeHeadsAre431AndOthersGoOn) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  Fields many;
  for (int i = 0; i < 200; ++i) many.emplace_back(base::cat("x-", i), "v");
  const int32_t big = client.request(with(many));
  const int32_t good = client.get("/");
  ASSERT_TRUE(client.run_until_ended(big));
  ASSERT_TRUE(client.run_until_ended(good));
  EXPECT_EQ(client.stream(big).status(), 431);
  EXPECT_EQ(client.stream(good).status(), 200);
}

// What came of it is the client's, also one that reads slowly.
TEST(H2Session, AnAnswerThatBreaksOffIsPassedOnAndThenReset) {
  ScriptedOrigin origin([](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  });
  TestProxy proxy(pair_config(Http::k1, origin.port()));
  H2Peer fast(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t one = fast.get("/");
  ASSERT_TRUE(fast.run_until_ended(one));
  EXPECT_EQ(fast.stream(one).body, "half");
  EXPECT_EQ(fast.stream(one).reset, uint32_t{NGHTTP2_INTERNAL_ERROR});

  H2Peer slow(Socket::connect(proxy.port()), H2Peer::Role::kClient,
              {.settings = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1}}, .gives_window = false});
  const int32_t two = slow.get("/");
  ASSERT_TRUE(slow.run_until([&] { return slow.stream(two).body == "h"; }));
  // The endpoint has gone by now, and is not held.
  ASSERT_TRUE(proxy.wait_stat("cluster.c.upstream_rq_active", 0));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 1u);
  slow.raw(h2_frame(NGHTTP2_WINDOW_UPDATE, 0, two, std::string("\0\0\0\x10", 4)));
  ASSERT_TRUE(slow.run_until_ended(two));
  EXPECT_EQ(slow.stream(two).body, "half");
  EXPECT_EQ(slow.stream(two).reset, uint32_t{NGHTTP2_INTERNAL_ERROR});
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_rq_active", 0));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_tx_reset"), 2u);
}

TEST(H2Session, MalformedRequestResetsOnlyItsStream) {
  EchoOrigin origin;
  TestProxy proxy(pair_config(Http::k1, origin.port()));
  const Fields bad[] = {
      with({{"X-Upper", "1"}}),    with({{"connection", "close"}}),
      with({{":path", "/again"}}), {{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}},
      with({{"te", "gzip"}}),      with({{"host", "other"}}),
  };
  uint64_t good = 0;
  for (const Fields& fields : bad) {
    SCOPED_TRACE(fields.back().first);
    H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    const int32_t first = client.get("/");
    ASSERT_TRUE(client.run_until_ended(first));
    client.raw(h2_frame(NGHTTP2_HEADERS, 5, 5, h2_block(fields)) +
               h2_frame(NGHTTP2_HEADERS, 5, 7, h2_block(kRequest)));
    good += 2;  // the first and the one behind the bad one
    EXPECT_TRUE(proxy.wait_stat("http.in.downstream_rq_2xx", good));
  }
}

// Answers a request when it is told to, at the latest when it goes.
class HeldOrigin {
 public:
  HeldOrigin()
      : origin_([this](Socket& socket, int) {
          socket.receive_until("\r\n\r\n");
          held_.wait(true);
          socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
          socket.receive_all();
        }) {}
  ~HeldOrigin() { release(); }
  uint16_t port() const { return origin_.port(); }
  void release() {
    held_ = false;
    held_.notify_all();
  }

 private:
  std::atomic<bool> held_{true};
  ScriptedOrigin origin_;
};

// The one request that is under way is answered, behind both GOAWAYs.
void expect_drain(H2Peer& client, HeldOrigin& origin, int32_t id) {
  ASSERT_TRUE(client.run_until([&] { return client.goaways().size() == 2; }));
  EXPECT_EQ(client.goaways()[0].last_id, INT32_MAX);
  EXPECT_EQ(client.goaways()[1].last_id, id);
  EXPECT_EQ(client.goaways()[1].code, uint32_t{NGHTTP2_NO_ERROR});
  origin.release();
  ASSERT_TRUE(client.run_until_ended(id));
  EXPECT_EQ(client.stream(id).body, "ok");
  EXPECT_TRUE(client.run_until_closed());
}

TEST(H2Session, DrainSaysGoawayTwiceAndStreamsFinish) {
  HeldOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.drain_timeout = milliseconds(20);
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until(
      [&] { return client.settled() && proxy.stat("cluster.c.upstream_rq_active") == 1; }));
  proxy.on_main([&] { proxy.server().drain(30 * base::kNsPerSec, [] {}); });
  expect_drain(client, origin, id);
}

TEST(H2Session, MaxConnectionDurationDrains) {
  HeldOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.max_connection_duration = milliseconds(500);
  config.http.drain_timeout = milliseconds(20);
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  expect_drain(client, origin, id);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_max_duration_reached"), 1u);
  // As Envoy: that is another reason.
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_drain_close"), 0u);
}

TEST(H2Session, HeadThatNeverEndsTimesOut) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.request_headers_timeout = milliseconds(300);
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  constexpr uint8_t kEndStream = 1;  // and no END_HEADERS
  ASSERT_TRUE(client.send(base::cat(kH2Preface, h2_frame(NGHTTP2_SETTINGS, 0, 0, ""),
                                    h2_frame(NGHTTP2_HEADERS, kEndStream, 1, h2_block(kRequest)))));
  ASSERT_TRUE(proxy.wait_stat("http.in.downstream_rq_header_timeout", 1));
  EXPECT_TRUE(proxy.wait_stat("http2.goaway_sent", 1));
  client.half_close();
  // The last stream, and ENHANCE_YOUR_CALM.
  const std::string goaway = h2_frame(NGHTTP2_GOAWAY, 0, 0, std::string("\0\0\0\1\0\0\0\x0b", 8));
  EXPECT_THAT(client.receive_all(), ::testing::HasSubstr(goaway));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
}

TEST(H2Session, SilentClientsArePingedAndStayWhileTheyAnswer) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.h2.keepalive_interval = milliseconds(20);
  config.http.h2.keepalive_timeout = std::chrono::seconds(20);
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(client.run_until([&] { return client.pings() >= 3; }));
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until_ended(id));
  EXPECT_EQ(client.stream(id).status(), 200);
  EXPECT_EQ(proxy.stat("http2.keepalive_timeout"), 0u);
}

// With a request under way, too: its endpoint hears of it.
TEST(H2Session, ClientsThatAnswerNoPingAreGone) {
  std::atomic<bool> gone{false};
  ScriptedOrigin origin([&](Socket& socket, int) {
    socket.receive_until("\r\n\r\n");
    gone = socket.closed_by_peer();
  });
  auto config = pair_config(Http::k1, origin.port());
  config.http.h2.keepalive_interval = milliseconds(20);
  config.http.h2.keepalive_timeout = milliseconds(20);
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(base::cat(kH2Preface, h2_frame(NGHTTP2_SETTINGS, 0, 0, ""),
                                    h2_frame(NGHTTP2_HEADERS, 5, 1, h2_block(kRequest)))));
  EXPECT_TRUE(proxy.wait_stat("http2.keepalive_timeout", 1));
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 1));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_rx_reset"), 1u);
  EXPECT_TRUE(client.receive_all().find("HTTP") == std::string::npos);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!gone && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_TRUE(gone);
}

TEST(H2Session, IdleTimeoutSaysGoaway) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.idle_timeout = milliseconds(30);
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(client.run_until_ended(client.get("/")));
  EXPECT_TRUE(client.run_until_closed());
  ASSERT_EQ(client.goaways().size(), 1u);
  EXPECT_EQ(client.goaways()[0].code, uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_idle_timeout"), 1u);
}

// 20 responses of 1 MiB for a client that opens no window: what waits is bounded by the marks, and
// another connection is served.
TEST(H2Session, ReaderWithoutWindowHoldsLittleMemory) {
  for (const Http up : {Http::k1, Http::k2}) {
    SCOPED_TRACE(up == Http::k1 ? "h1" : "h2");
    AnyOrigin origin(up, [](const HttpMessage& r) {
      HttpMessage m;
      m.body = r.path == "/small" ? std::string("ok") : std::string(1024 * 1024, 'x');
      return m;
    });
    TestProxy proxy(pair_config(up, origin.port()));
    H2Peer::Options options;
    options.gives_window = false;
    options.settings = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}};
    H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient, options);
    for (int i = 0; i < 20; ++i) client.get("/big");
    ASSERT_TRUE(client.run_until(
        [&] { return proxy.stat("http.in.downstream_flow_control_paused_reading_total") >= 20; }));
    HttpMessage small;
    small.path = "/small";
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(*ask(Http::k2, proxy.port(), small).body, "ok");
    }
    EXPECT_LT(block_bytes(proxy), 20u * 256 * 1024);
    client.socket().close();
    EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 11));
    EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
  }
}

// Floods, with a client that does not read.
struct Flood {
  const char* name;
  const char* counter;
  std::string (*piece)(int32_t nth);
};

class H2Flood : public ::testing::TestWithParam<Flood> {};

const Flood kFloods[] = {
    {"Ping", "outbound_control_flood",
     [](int32_t) { return h2_frame(NGHTTP2_PING, 0, 0, "12345678"); }},
    {"Settings", "outbound_control_flood",
     [](int32_t) { return h2_frame(NGHTTP2_SETTINGS, 0, 0, ""); }},
    {"EmptyData", "inbound_empty_frames_flood",
     [](int32_t nth) {
       if (nth > 0) return h2_frame(NGHTTP2_DATA, 0, 1, "");
       Fields post = kRequest;
       post[0].second = "POST";
       return h2_frame(NGHTTP2_HEADERS, 4, 1, h2_block(post));
     }},
    {"RapidReset", "too_many_resets",
     [](int32_t nth) {
       return h2_frame(NGHTTP2_HEADERS, 5, nth * 2 + 1, h2_block(kRequest)) +
              h2_frame(NGHTTP2_RST_STREAM, 0, nth * 2 + 1, std::string("\0\0\0\x08", 4));
     }},
};

INSTANTIATE_TEST_SUITE_P(, H2Flood, ::testing::ValuesIn(kFloods),
                         [](const auto& flood) { return std::string(flood.param.name); });

TEST_P(H2Flood, EndsTheConnectionWithItsCounter) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.request_headers_timeout = {};  // it would end a flood without requests before
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  ASSERT_TRUE(client.send(std::string(kH2Preface) + h2_frame(NGHTTP2_SETTINGS, 0, 0, "")));
  uint64_t most = 0;
  int32_t nth = 0;
  bool open = true;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int round = 0; open && round < 20'000; ++round) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::string many;
    for (int i = 0; i < 200; ++i) many += GetParam().piece(nth++);
    for (size_t at = 0; open && at < many.size();) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      const ssize_t n =
          ::send(client.fd(), many.data() + at, many.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        at += static_cast<size_t>(n);
      } else if (proxy.stat("http.in.downstream_cx_destroy") > 0) {
        open = false;
      }
    }
    if (round % 50 == 0) most = std::max(most, block_bytes(proxy));
    open = open && proxy.stat("http.in.downstream_cx_destroy") == 0;
  }
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 1));
  EXPECT_EQ(proxy.stat(base::cat("http2.", GetParam().counter)), 1u);
  EXPECT_LT(most, 8u * 1024 * 1024);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
}

TEST(H2Grpc, LocalRepliesAreTrailersOnly) {
  auto config = pair_config(Http::k1, 1);
  config.routes = {forward_route("/c.S", "empty")};
  config.clusters.push_back(static_cluster("empty", {}));
  TestProxy proxy(std::move(config));
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const struct {
    std::string path, status;
  } rows[] = {{"/none.S/M", "12"}, {"/c.S/M", "14"}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.path);
    const int32_t id = client.request({{":method", "POST"},
                                       {":scheme", "http"},
                                       {":authority", "h"},
                                       {":path", row.path},
                                       {"te", "trailers"},
                                       {"content-type", "application/grpc"}},
                                      false);
    client.data(id, std::string("\0\0\0\0\0", 5), true);
    ASSERT_TRUE(client.run_until_ended(id));
    auto& s = client.stream(id);
    EXPECT_EQ(s.status(), 200);
    EXPECT_EQ(value_of(s.head, "content-type"), "application/grpc");
    EXPECT_EQ(value_of(s.head, "grpc-status"), row.status);
    EXPECT_TRUE(s.trailers.empty());
    EXPECT_EQ(s.body, "");
  }
}

}  // namespace
}  // namespace sluice::testing
