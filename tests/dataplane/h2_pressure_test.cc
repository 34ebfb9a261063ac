#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <tuple>
#include <vector>

#include "tests/dataplane/relay.h"
#include "tests/support/http_pair.h"

// Who does not read holds back who sends, and nobody else: what waits in between is bounded.

namespace sluice::testing {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr size_t kMiB = 1024 * 1024;

dataplane::Worker::Census worker_of(TestProxy& proxy) {
  std::promise<dataplane::Worker::Census> only;
  proxy.on_main([&] {
    proxy.server().take_census(
        [&](const std::vector<dataplane::Worker::Census>& all) { only.set_value(all[0]); });
  });
  return only.get_future().get();
}

// True once nothing has come in for a while, so that whoever sends is held back.
class Quiet {
 public:
  explicit Quiet(TestProxy& proxy) : proxy_(proxy) {}
  bool operator()() {
    const uint64_t bytes = worker_of(proxy_).loop.bytes_received;
    if (bytes != bytes_) since_ = Clock::now();
    bytes_ = bytes;
    return Clock::now() - since_ > milliseconds(300);
  }

 private:
  TestProxy& proxy_;
  uint64_t bytes_ = 0;
  Clock::time_point since_ = Clock::now();
};

// The 99th percentile of requests on a connection of their own.
microseconds p99(TestProxy& proxy) {
  constexpr int kRequests = 400;
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  std::vector<microseconds> took;
  for (int i = 0; i < kRequests; ++i) {
    const auto from = Clock::now();
    const int32_t id = client.get("/small");
    EXPECT_TRUE(client.run_until_ended(id));
    EXPECT_EQ(client.stream(id).body, "ok");
    took.push_back(std::chrono::duration_cast<microseconds>(Clock::now() - from));
  }
  std::sort(took.begin(), took.end());
  return took[kRequests * 99 / 100];
}

class H2Pressure : public ::testing::TestWithParam<Http> {};

INSTANTIATE_TEST_SUITE_P(, H2Pressure, ::testing::Values(Http::k1, Http::k2),
                         [](const auto& up) { return up.param == Http::k1 ? "to_h1" : "to_h2"; });

TEST_P(H2Pressure, HundredStreamsOfAReaderThatStops) {
  constexpr size_t kStreams = 100;
  AnyOrigin origin(GetParam(), [](const HttpMessage& r) {
    HttpMessage m;
    m.body = r.path == "/small" ? std::string("ok") : std::string(kMiB, 'x');
    return m;
  });
  TestProxy proxy(pair_config(GetParam(), origin.port()));
  const microseconds alone = p99(proxy);
  H2Peer::Options options;
  options.gives_window = false;
  H2Peer stopped(Socket::connect(proxy.port()), H2Peer::Role::kClient, options);
  for (size_t i = 0; i < kStreams; ++i) stopped.get("/big");
  ASSERT_TRUE(stopped.run_until([&] {
    return proxy.stat("http.in.downstream_flow_control_paused_reading_total") >= kStreams;
  }));
  ASSERT_TRUE(stopped.run_until(Quiet(proxy)));
  // Per stream what may wait for its window, and the block that the last of it arrived in.
  EXPECT_LE(proxy.stat("http2.pending_send_bytes"), kStreams * 2 * 64 * 1024);
  EXPECT_LE(worker_of(proxy).block_bytes_out, kStreams * 4 * 64 * 1024);
  const microseconds beside = p99(proxy);
  // Deadlines of a busy machine, not a benchmark: ten times as much, and a time slice.
  EXPECT_LE(beside, alone * 10 + milliseconds(50));
  EXPECT_TRUE(until([&] { return proxy.stat("http.in.downstream_rq_active") == kStreams; }));
  stopped.socket().close();
  EXPECT_TRUE(until([&] { return proxy.stat("http.in.downstream_rq_active") == 0; }));
  EXPECT_TRUE(until([&] { return proxy.stat("http2.pending_send_bytes") == 0; }));
  EXPECT_LT(p99(proxy), std::chrono::seconds(5));
}

// An upload, and an endpoint that begins to read it only when it is told.
class Upload : public ::testing::TestWithParam<std::tuple<Http, Http>> {
 protected:
  Http down() const { return std::get<0>(GetParam()); }
  Http up() const { return std::get<1>(GetParam()); }

  void read_h1(Socket& socket) {
    received_ = socket.receive_until("\r\n\r\n");
    received_.erase(0, received_.find("\r\n\r\n") + 4);
    while (!go_) std::this_thread::yield();
    received_ += receive_exactly(socket, body_.size() - received_.size());
    socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    socket.receive_all();
  }
  // A window that is never opened holds as well as a socket that is not read.
  void read_h2(Socket& socket) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.run_until(
        [&] { return !peer.streams().empty() && peer.streams().begin()->second.head_done; });
    while (!go_) std::this_thread::yield();
    peer.serve([&](int32_t id) {
      received_ = peer.stream(id).body;
      peer.respond(id, {{":status", "200"}}, false);
      peer.data(id, "ok", true);
    });
  }

  const std::string body_ = pattern(24 * kMiB, 7);
  std::atomic<bool> go_{false};
  std::string received_;
};

INSTANTIATE_TEST_SUITE_P(, Upload,
                         ::testing::Combine(::testing::Values(Http::k1, Http::k2),
                                            ::testing::Values(Http::k1, Http::k2)),
                         [](const auto& pair) {
                           return pair_name(std::get<0>(pair.param), std::get<1>(pair.param));
                         });

TEST_P(Upload, WaitsForASlowEndpoint) {
  ScriptedOrigin origin(
      [this](Socket& socket, int) { up() == Http::k1 ? read_h1(socket) : read_h2(socket); });
  auto config = pair_config(up(), origin.port());
  config.routes[0].forward.timeout = std::chrono::seconds(60);
  TestProxy proxy(std::move(config));
  const auto expect_held = [&] {
    const auto census = worker_of(proxy);
    // The buffer limit of 1 MiB, in blocks of which only parts may wait.
    EXPECT_LT(census.block_bytes_out, 4 * kMiB);
    EXPECT_LT(census.loop.bytes_received, body_.size()) << "the client was not held back";
    go_ = true;
  };
  if (down() == Http::k1) {
    Socket client = Socket::connect(proxy.port());
    auto sender = std::async(std::launch::async, [&] {
      client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: " + std::to_string(body_.size()) +
                  "\r\n\r\n");
      client.send(body_);
    });
    EXPECT_TRUE(until(Quiet(proxy)));
    expect_held();
    sender.get();
    std::string rest;
    EXPECT_EQ(read_message(client, &rest).status(), 200);
  } else {
    H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
    const int32_t id = client.request({{":method", "POST"},
                                       {":scheme", "http"},
                                       {":authority", "h"},
                                       {":path", "/"},
                                       {"content-length", std::to_string(body_.size())}},
                                      false);
    client.data(id, body_, true);
    EXPECT_TRUE(client.run_until(Quiet(proxy)));
    expect_held();
    ASSERT_TRUE(client.run_until_ended(id));
    EXPECT_EQ(client.stream(id).status(), 200);
  }
  EXPECT_TRUE(received_ == body_) << received_.size();
}

}  // namespace
}  // namespace sluice::testing
