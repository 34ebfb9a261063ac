#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "net/loop.h"

namespace sluice::upstream {

template <class User>
class H2Connection;

// HostQueue is what waits at a host for a connection that speaks one protocol, and how many
// connections are on their way to it. Worker-local.
struct HostQueue {
  net::List users;  // without a connection, first come first served
  uint32_t num = 0;
  uint32_t num_connecting = 0;
};

// H2Pool is a host's HTTP/2 connections, of which one serves many: those that take one more stream,
// all others (connecting, full, draining), and what waits for a stream. num_connecting counts a
// connection until its SETTINGS came: only they say how many streams it takes (RFC 9113 6.5.2).
//
// Worker-local; links its connections, which the loop destroys. ClusterState opens them and gives
// them to users.
template <class User>
struct H2Pool : HostQueue {
  using Connection = H2Connection<User>;
  // What a connection is expected to take where the endpoint said nothing yet, or allows more.
  static constexpr uint32_t kAssumedStreams = 100;
  static constexpr uint32_t kUnknownLimit = UINT32_MAX;

  net::List ready;
  net::List others;
  // Streams that the endpoint allowed on the last connection that said so; until a connection's own
  // SETTINGS come it is held to that, or to one.
  uint32_t stream_limit = kUnknownLimit;

  // More wait than the connections that are being opened will take. An endpoint that allows no
  // stream at all gets no second connection.
  bool needs_connection(uint32_t num_connections) const noexcept {
    if (num == 0 || (stream_limit == 0 && num_connections > 0)) return false;
    const uint64_t each = std::clamp(stream_limit, 1U, kAssumedStreams);
    return num_connecting * each < num;
  }
  // Null: none takes a stream.
  Connection* first_ready() const noexcept { return static_cast<Connection*>(ready.next(nullptr)); }
  void set_ready(Connection& c, bool takes) noexcept {
    if (std::exchange(c.ready_, takes) != takes) (takes ? ready : others).push_back(c);
  }
  // Its SETTINGS came, or never will.
  void settle(Connection& c) noexcept {
    if (!std::exchange(c.settled_, true)) --num_connecting;
  }
  // No new streams, but for those that wait on connections that are being opened.
  void drain() noexcept {
    net::List all;
    all.take(ready);
    all.take(others);
    while (net::Link* l = all.pop()) {
      Connection& c = *static_cast<Connection*>(l);
      others.push_back(c);
      c.ready_ = false;
      if (!c.connecting() || num == 0) c.drain();
    }
  }
};

}  // namespace sluice::upstream
