#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/test_proxy.h"

// What the tests of the TCP relay share: endpoints that the test plays itself, and plain words for
// what a socket says. Every wait has a deadline.
namespace sluice::testing {

// An endpoint that the test plays itself.
struct Endpoint {
  uint16_t port = 0;
  Socket listening = Socket::listen(&port);
  Socket accept() { return listening.accept(); }
};

inline TestProxy::Config relay_to(const std::vector<uint16_t>& ports) {
  TestProxy::Config config;
  config.tcp.emplace().stat_prefix = "t";
  config.tcp->clusters = {{"c", 1}};
  config.clusters = {static_cluster("c", ports)};
  return config;
}

inline std::string receive_exactly(Socket& socket, size_t bytes) {
  std::string all;
  while (all.size() < bytes) {
    const std::string more = socket.receive(bytes - all.size());
    if (more.empty()) break;
    all += more;
  }
  return all;
}

enum class End { kFin, kReset, kBytes, kNothing };

// What comes next, within the deadline.
inline End end_of(Socket& socket) {
  pollfd p{socket.fd(), POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  if (::poll(&p, 1, static_cast<int>(ms)) != 1) return End::kNothing;
  char c;
  const ssize_t n = ::recv(socket.fd(), &c, 1, 0);
  return n > 0                 ? End::kBytes
         : n == 0              ? End::kFin
         : errno == ECONNRESET ? End::kReset
                               : End::kNothing;
}

// Waits until `what` holds; false at the deadline.
template <typename Fn>
bool until(Fn&& what) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!what()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

inline dataplane::Worker::Census census(TestProxy& proxy) {
  std::promise<std::vector<dataplane::Worker::Census>> all;
  proxy.on_main([&] {
    proxy.server().take_census(
        [&](std::vector<dataplane::Worker::Census> c) { all.set_value(std::move(c)); });
  });
  dataplane::Worker::Census sum;
  for (const auto& c : all.get_future().get()) {
    sum.sessions += c.sessions;
    sum.block_bytes_out += c.block_bytes_out;
    sum.loop.receives += c.loop.receives;
    sum.loop.empty_receives += c.loop.empty_receives;
    sum.loop.sends += c.loop.sends;
    sum.loop.controls += c.loop.controls;
  }
  return sum;
}

inline std::string pattern(size_t bytes, unsigned seed) {
  std::string out(bytes, '\0');
  uint32_t x = seed;
  for (char& c : out) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return out;
}

// Sends without waiting until neither a byte goes out nor `moves` says that any moves on.
inline size_t send_until_stuck(Socket& socket, std::string_view bytes) {
  ::fcntl(socket.fd(), F_SETFL, O_NONBLOCK);
  size_t sent = 0;
  for (;;) {
    const ssize_t n = ::send(socket.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
      continue;
    }
    pollfd p{socket.fd(), POLLOUT, 0};
    if (::poll(&p, 1, 500) != 1) break;
  }
  ::fcntl(socket.fd(), F_SETFL, 0);
  return sent;
}

inline void expect_nothing_left(TestProxy& proxy) {
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
  EXPECT_TRUE(until([&] { return census(proxy).block_bytes_out == 0; }));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_active"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_pending_active"), 0u);
  EXPECT_EQ(proxy.stat("tcp.t.upstream_flush_active"), 0u);
}

// A port that nobody listens on.
inline uint16_t dead_port() {
  uint16_t port = 0;
  Socket::listen(&port);
  return port;
}

}  // namespace sluice::testing
