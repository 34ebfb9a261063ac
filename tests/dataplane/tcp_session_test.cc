#include "dataplane/tcp_session.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/dataplane/relay.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;
using testing::census;
using testing::dead_port;
using testing::End;
using testing::end_of;
using testing::Endpoint;
using testing::expect_nothing_left;
using testing::pattern;
using testing::receive_exactly;
using testing::relay_to;
using testing::send_until_stuck;
using testing::Socket;
using testing::static_cluster;
using testing::TestProxy;
using testing::until;

// One connection through a proxy, both ends of it in hand. `change` may change the configuration.
struct Relayed {
  explicit Relayed(const std::function<void(TestProxy::Config&)>& change = {})
      : proxy(changed(relay_to({endpoint.port}), change)),
        client(Socket::connect(proxy.port())),
        server(endpoint.accept()) {}
  Endpoint endpoint;
  TestProxy proxy;
  Socket client, server;

 private:
  static TestProxy::Config changed(TestProxy::Config config,
                                   const std::function<void(TestProxy::Config&)>& change) {
    if (change) change(config);
    return config;
  }
};

TEST(TcpSession, RelaysBothWaysAndCounts) {
  Relayed relayed;
  TestProxy& proxy = relayed.proxy;
  Socket& client = relayed.client;
  Socket& server = relayed.server;
  ASSERT_TRUE(server.send("220 first\n"));  // a server may speak first
  EXPECT_EQ(receive_exactly(client, 10), "220 first\n");
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(client.send("ping"));
    ASSERT_EQ(receive_exactly(server, 4), "ping");
    ASSERT_TRUE(server.send("pong!"));
    ASSERT_EQ(receive_exactly(client, 5), "pong!");
  }
  // While it lives, and without a block although bytes have passed.
  EXPECT_TRUE(proxy.wait_stat("tcp.t.downstream_cx_rx_bytes_total", 40));
  EXPECT_TRUE(proxy.wait_stat("tcp.t.downstream_cx_tx_bytes_total", 60));
  EXPECT_EQ(proxy.stat("tcp.t.downstream_cx_total"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_total"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_active"), 1u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_tx_bytes_total"), 40u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_rx_bytes_total"), 60u);
  EXPECT_EQ(census(proxy).block_bytes_out, 0u);
  client.close();
  EXPECT_EQ(end_of(server), End::kFin);
  server.close();
  expect_nothing_left(proxy);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_cx_destroy"), 1u);
}

// One receive and one send per message and direction, and none that finds nothing.
TEST(TcpSession, ARoundTripCostsFourSystemCallsBesideWaiting) {
  EXPECT_LE(sizeof(dataplane::TcpSession), 1024u);  // all that an idle one costs here
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  ASSERT_TRUE(client.send("1"));
  ASSERT_EQ(receive_exactly(server, 1), "1");
  const auto before = census(proxy).loop;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.send("ping"));
    ASSERT_EQ(receive_exactly(server, 4), "ping");
    ASSERT_TRUE(server.send("pong"));
    ASSERT_EQ(receive_exactly(client, 4), "pong");
  }
  const auto after = census(proxy).loop;
  EXPECT_EQ(after.receives - before.receives, 200u);
  EXPECT_EQ(after.empty_receives - before.empty_receives, 0u);
  EXPECT_EQ(after.sends - before.sends, 200u);
  EXPECT_EQ(after.controls - before.controls, 0u);
}

TEST(TcpSession, MuchBothWaysAtOnceArrivesWhole) {
  for (const uint32_t limit : {4096u, 100'000u, 1024u * 1024u}) {
    SCOPED_TRACE(limit);
    Relayed relayed([&](TestProxy::Config& config) {
      config.buffer_limit_bytes = limit;
      config.clusters[0].transport.buffer_limit_bytes = limit;
    });
    auto& [endpoint, proxy, client, server] = relayed;
    const std::string there = pattern(6'000'000, 1);
    const std::string back = pattern(5'000'000, 2);
    std::thread one([&] {
      client.send(there);
      client.half_close();
    });
    std::thread two([&] {
      server.send(back);
      server.half_close();
    });
    std::string got_back;
    std::thread three([&] { got_back = client.receive_all(); });
    const std::string got = server.receive_all();
    one.join();
    two.join();
    three.join();
    EXPECT_TRUE(got == there);
    EXPECT_TRUE(got_back == back);
    expect_nothing_left(proxy);
  }
}

TEST(TcpSession, HalfCloseOfTheClientLeavesTheOtherWayOpen) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  ASSERT_TRUE(client.send("request"));
  client.half_close();
  EXPECT_EQ(server.receive_all(), "request");
  ASSERT_TRUE(server.send("the answer"));
  EXPECT_EQ(receive_exactly(client, 10), "the answer");
  ASSERT_TRUE(server.send(", and more"));
  server.close();
  EXPECT_EQ(client.receive_all(), ", and more");
  expect_nothing_left(proxy);
}

TEST(TcpSession, HalfCloseOfTheEndpointLeavesTheOtherWayOpen) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  ASSERT_TRUE(server.send("bye"));
  server.half_close();
  EXPECT_EQ(client.receive_all(), "bye");
  ASSERT_TRUE(client.send("still here"));
  EXPECT_EQ(receive_exactly(server, 10), "still here");
  client.close();
  EXPECT_EQ(end_of(server), End::kFin);
  expect_nothing_left(proxy);
}

TEST(TcpSession, AResetIsPassedOnAsAReset) {
  for (const bool of_client : {true, false}) {
    SCOPED_TRACE(of_client);
    Relayed relayed;
    auto& [endpoint, proxy, client, server] = relayed;
    ASSERT_TRUE(client.send("a"));
    ASSERT_EQ(receive_exactly(server, 1), "a");
    Socket& dies = of_client ? client : server;
    Socket& stays = of_client ? server : client;
    dies.reset();
    EXPECT_EQ(end_of(stays), End::kReset);
    expect_nothing_left(proxy);
  }
}

TEST(TcpSession, AResetAfterAHalfCloseIsPassedOnToo) {
  Relayed relayed;
  TestProxy& proxy = relayed.proxy;
  Socket& client = relayed.client;
  Socket& server = relayed.server;
  client.half_close();
  ASSERT_EQ(end_of(server), End::kFin);
  client.reset();
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
  server.send("x");
  EXPECT_TRUE(until([&] {
    int error = 0;
    socklen_t length = sizeof(error);
    ::getsockopt(server.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
    return error == ECONNRESET || error == EPIPE || !server.send("x");
  }));
}

// The reader reads nothing, so the sender's reset cannot be found by reading on.
TEST(TcpSession, AResetIsNoticedWhileTheOtherSideIsFull) {
  Relayed relayed([&](TestProxy::Config& config) {
    config.clusters[0].transport.buffer_limit_bytes = 64 * 1024;
  });
  auto& [endpoint, proxy, client, server] = relayed;
  send_until_stuck(client, pattern(64'000'000, 3));
  EXPECT_TRUE(proxy.wait_stat("tcp.t.downstream_flow_control_paused_reading_total", 1));
  client.reset();
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
  expect_nothing_left(proxy);
}

TEST(TcpSession, ASlowReaderStopsTheSender) {
  constexpr uint32_t kLimit = 64 * 1024;
  for (const bool to_endpoint : {true, false}) {
    SCOPED_TRACE(to_endpoint);
    Relayed relayed([&](TestProxy::Config& config) {
      config.buffer_limit_bytes = kLimit;
      config.clusters[0].transport.buffer_limit_bytes = kLimit;
    });
    auto& [endpoint, proxy, client, server] = relayed;
    Socket& sender = to_endpoint ? client : server;
    Socket& reader = to_endpoint ? server : client;
    const std::string all = pattern(64'000'000, 4);
    const size_t sent = send_until_stuck(sender, all);
    ASSERT_LT(sent, all.size());  // kernel buffers and ours are full
    EXPECT_LE(census(proxy).block_bytes_out, kLimit + 2 * base::Block::kLargeBytes);
    const std::string paused = to_endpoint ? "tcp.t.downstream_flow_control_paused_reading_total"
                                           : "cluster.c.upstream_flow_control_paused_reading_total";
    EXPECT_GE(proxy.stat(paused), 1u);
    EXPECT_TRUE(receive_exactly(reader, sent) == all.substr(0, sent));
    ASSERT_TRUE(sender.send("tail"));
    EXPECT_EQ(receive_exactly(reader, 4), "tail");
    EXPECT_EQ(census(proxy).block_bytes_out, 0u);
    client.close();
    server.close();
    expect_nothing_left(proxy);
  }
}

// Single bytes for a reader that does not read: what is kept of them must not be a block each.
TEST(TcpSession, SmallPiecesForASlowReaderShareABlock) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  // Fill the kernel's buffers first.
  size_t sent = 0;
  const std::string filling = pattern(32'000'000, 5);
  while (census(proxy).block_bytes_out == 0 && sent < filling.size()) {
    ASSERT_TRUE(client.send(std::string_view(filling).substr(sent, 100'000)));
    sent += 100'000;
    proxy.wait_stat("tcp.t.downstream_cx_rx_bytes_total", sent);
  }
  ASSERT_GT(census(proxy).block_bytes_out, 0u);
  const uint64_t before = census(proxy).block_bytes_out;
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(client.send("x"));
    ASSERT_TRUE(proxy.wait_stat("tcp.t.downstream_cx_rx_bytes_total", sent + 1u));
    ++sent;
  }
  EXPECT_LE(census(proxy).block_bytes_out, before + base::Block::kLargeBytes);
  EXPECT_EQ(receive_exactly(server, sent).size(), sent);
  EXPECT_TRUE(until([&] { return census(proxy).block_bytes_out == 0; }));
}

TEST(TcpSession, WhatIsLeftForTheEndpointIsWrittenAfterTheClientHasGone) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  const std::string all = pattern(64'000'000, 6);
  const size_t sent = send_until_stuck(client, all);
  server.half_close();
  EXPECT_EQ(end_of(client), End::kFin);
  client.close();
  std::string got = receive_exactly(server, 100'000);
  got += server.receive_all();
  EXPECT_TRUE(got == all.substr(0, sent));
  expect_nothing_left(proxy);
}

TEST(TcpSession, IdleTimeoutCountsFromTheLastByte) {
  Relayed relayed([&](TestProxy::Config& config) { config.tcp->idle_timeout = 300ms; });
  auto& [endpoint, proxy, client, server] = relayed;
  const auto begun = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begun < 900ms) {  // longer than the timeout
    ASSERT_TRUE(client.send("x"));
    ASSERT_EQ(receive_exactly(server, 1), "x");
  }
  const auto last = std::chrono::steady_clock::now();
  EXPECT_EQ(end_of(client), End::kFin);
  EXPECT_GE(std::chrono::steady_clock::now() - last, 250ms);
  EXPECT_EQ(end_of(server), End::kFin);
  EXPECT_EQ(proxy.stat("tcp.t.idle_timeout"), 1u);
  expect_nothing_left(proxy);
}

TEST(TcpSession, LongestDurationEndsABusyConnection) {
  Relayed relayed([&](TestProxy::Config& config) { config.tcp->max_connection_duration = 200ms; });
  auto& [endpoint, proxy, client, server] = relayed;
  EXPECT_TRUE(until([&] { return !client.send("x"); }));
  EXPECT_EQ(proxy.stat("tcp.t.max_downstream_connection_duration"), 1u);
  expect_nothing_left(proxy);
}

TEST(TcpSession, TimesAsLongAsTheDecoderLetsThroughNeverCome) {
  Endpoint endpoint;
  auto config = relay_to({endpoint.port});
  config.tcp->idle_timeout = config.tcp->max_connection_duration =
      std::chrono::hours(24 * 365 * 285);
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  Socket server = endpoint.accept();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("x"));
    ASSERT_EQ(receive_exactly(server, 1), "x");
  }
  EXPECT_EQ(census(proxy).sessions, 1u);
}

TEST(TcpSession, ADrainLetsConnectionsGoOn) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  std::atomic<bool> drained{false};
  proxy.on_main([&] { proxy.server().drain(3600 * base::kNsPerSec, [&] { drained = true; }); });
  EXPECT_TRUE(until([&] { return !Socket::connect(proxy.port()).ok(); }));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(client.send("x"));
    ASSERT_EQ(receive_exactly(server, 1), "x");
  }
  EXPECT_FALSE(drained);
  client.close();
  server.close();
  endpoint.listening.close();  // and what came while the drain began
  EXPECT_TRUE(until([&] { return drained.load(); }));
}

TEST(TcpSession, ServesOnWhenItsListenerAndItsClusterGo) {
  Relayed relayed;
  TestProxy& proxy = relayed.proxy;
  Socket& client = relayed.client;
  Socket& server = relayed.server;
  proxy.on_main([&] {
    proxy.server().builder().remove_cluster("c");
    proxy.server().builder().remove_listener("in");
    proxy.server().publish();
  });
  EXPECT_TRUE(until([&] { return !Socket::connect(proxy.port()).ok(); }));
  const std::string much = pattern(1'000'000, 7);
  std::thread sender([&] { client.send(much); });
  EXPECT_TRUE(receive_exactly(server, much.size()) == much);
  sender.join();
  ASSERT_TRUE(server.send("back"));
  EXPECT_EQ(receive_exactly(client, 4), "back");
  client.close();
  EXPECT_EQ(end_of(server), End::kFin);
  server.close();
  relayed.endpoint.listening.close();  // and what came before the listener went
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
}

// Its network filter comes by itself, and is not there.
TEST(TcpSession, AListenerWithoutItsFilterClosesAndCountsWhileOldConnectionsGoOn) {
  Relayed relayed;
  TestProxy& proxy = relayed.proxy;
  dataplane::ListenerValue fixed = proxy.listener();
  fixed.addresses = {*base::Address::ip("127.0.0.1", proxy.port())};
  dataplane::ListenerValue missing = fixed;
  missing.tcp.reset();
  missing.filter_missing = true;
  const auto put = [&](const dataplane::ListenerValue& value) {
    proxy.on_main([&] {
      ASSERT_TRUE(proxy.server().builder().put_listener(value).ok());
      proxy.server().publish();
    });
  };
  put(missing);
  const std::string closed =
      base::cat("listener.127.0.0.1_", proxy.port(), ".network_extension_config_missing");
  // Until the worker has the new tables, connections are relayed; both end when we close them.
  EXPECT_TRUE(until([&] {
    Socket late = Socket::connect(proxy.port());
    return proxy.stat(closed) > 0;
  }));
  Socket refused = Socket::connect(proxy.port());
  EXPECT_NE(end_of(refused), End::kBytes);
  ASSERT_TRUE(relayed.client.send("old"));
  EXPECT_EQ(receive_exactly(relayed.server, 3), "old");
  put(fixed);
  EXPECT_TRUE(until([&] {
    Socket served = Socket::connect(proxy.port());
    pollfd p{served.fd(), POLLIN, 0};
    return served.ok() && ::poll(&p, 1, 50) == 0;  // it stays open
  }));
}

// Whoever held its sockets must not be taken for a listener that has them.
TEST(TcpSession, AListenerThatComesBackAcceptsWhileItsOldConnectionsGoOn) {
  Relayed relayed;
  auto& [endpoint, proxy, client, server] = relayed;
  dataplane::ListenerValue fixed = proxy.listener();
  fixed.addresses = {*base::Address::ip("127.0.0.1", proxy.port())};
  std::vector<Socket> old, ends;
  for (int i = 0; i < 2; ++i) {
    SCOPED_TRACE(i);
    proxy.on_main([&] {
      proxy.server().builder().remove_listener("in");
      proxy.server().publish();
    });
    ASSERT_TRUE(until([&] { return !Socket::connect(proxy.port()).ok(); }));
    proxy.on_main([&] {
      ASSERT_TRUE(proxy.server().builder().put_listener(fixed).ok());
      proxy.server().publish();
    });
    ASSERT_TRUE(until([&] {
      old.push_back(Socket::connect(proxy.port()));
      if (!old.back().ok()) old.pop_back();
      return !old.empty() && old.size() == static_cast<size_t>(i) + 1;
    }));
    Socket accepted = endpoint.accept();
    ASSERT_TRUE(old.back().send("new"));
    EXPECT_EQ(receive_exactly(accepted, 3), "new");
    ASSERT_TRUE(client.send("old"));  // as it began
    EXPECT_EQ(receive_exactly(server, 3), "old");
    ends.push_back(std::move(accepted));
  }
}

TEST(TcpSession, AListenerMayBecomeARelayAndBack) {
  Endpoint endpoint;
  auto config = relay_to({endpoint.port});
  const dataplane::TcpValue tcp = *config.tcp;
  config.tcp.reset();
  TestProxy proxy(std::move(config));
  const auto put = [&](bool relay) {
    proxy.on_main([&] {
      dataplane::ListenerValue listener;
      listener.name = "in";
      listener.addresses = {*base::Address::ip("127.0.0.1", 0)};
      if (relay) listener.tcp = tcp;
      dataplane::FilterValue filter;
      filter.name = "router";
      listener.http.filters.push_back(filter);
      listener.http.rds_name = "none";
      ASSERT_TRUE(proxy.server().builder().put_listener(listener).ok());
      proxy.server().publish();
    });
    ASSERT_TRUE(until([&] {
      int64_t ns = -1;
      proxy.on_main([&] { ns = proxy.server().publish_to_effect_ns(); });
      return ns >= 0;
    }));
  };
  put(true);
  Socket relayed = Socket::connect(proxy.port());
  Socket server = endpoint.accept();
  put(false);
  Socket http = Socket::connect(proxy.port());
  ASSERT_TRUE(http.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  std::string rest;
  EXPECT_EQ(read_message(http, &rest).status(), 404);
  ASSERT_TRUE(relayed.send("on"));  // as it began
  EXPECT_EQ(receive_exactly(server, 2), "on");
}

// Long connections must not keep old tables, or memory grows with every update.
TEST(TcpSession, AThousandConnectionsKeepNoVersionOfTheTables) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  Endpoint endpoint;
  Endpoint other;
  auto config = relay_to({endpoint.port});
  config.workers = 2;
  const auto cluster_at = [](uint16_t port) {
    auto cluster = static_cluster("c", {port});
    cluster.breakers_default.max_connections = 4096;
    return cluster;
  };
  config.clusters = {cluster_at(endpoint.port)};
  TestProxy proxy(std::move(config));
  std::vector<Socket> clients, servers;
  size_t most_live = 0;
  for (int version = 0; version < 100; ++version) {
    for (int i = 0; i < 10; ++i) {
      clients.push_back(Socket::connect(proxy.port()));
      ASSERT_TRUE(clients.back().ok());
    }
    for (int i = 0; i < 10; ++i) {
      Endpoint& now = version % 2 == 0 ? endpoint : other;
      servers.push_back(now.accept());
      ASSERT_TRUE(servers.back().ok());
    }
    proxy.on_main([&] {
      const uint16_t port = version % 2 == 0 ? other.port : endpoint.port;
      ASSERT_TRUE(proxy.server().builder().put_cluster(cluster_at(port)).ok());
      proxy.server().publish();
    });
    ASSERT_TRUE(until([&] {
      int64_t ns = -1;
      proxy.on_main([&] { ns = proxy.server().publish_to_effect_ns(); });
      return ns >= 0;
    }));
    proxy.on_main([&] { most_live = std::max(most_live, proxy.server().tables().live().size()); });
  }
  EXPECT_LE(most_live, 4u);
  EXPECT_EQ(census(proxy).sessions, 1000u);
  EXPECT_EQ(census(proxy).block_bytes_out, 0u);
  EXPECT_TRUE(until([&] {
    size_t live = 0;
    proxy.on_main([&] { live = proxy.server().tables().live().size(); });
    return live == 1;
  }));
  for (Socket& client : clients) ASSERT_TRUE(client.send("x"));
  for (Socket& server : servers) ASSERT_EQ(receive_exactly(server, 1), "x");
  clients.clear();
  servers.clear();
  EXPECT_TRUE(until([&] { return census(proxy).sessions == 0; }));
}

TEST(TcpSession, WritesItsLineWhenItIsOver) {
  const std::string path = base::cat(::testing::TempDir(), "tcp_session_log");
  ::unlink(path.c_str());
  dataplane::AccessLogValue log;
  log.path = path;
  log.text_format =
      "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% "
      "%UPSTREAM_CLUSTER% %UPSTREAM_HOST% %PROTOCOL% %REASON% %CONNECTION_TERMINATION_DETAILS% "
      "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %REQ(:PATH)%\n";
  Endpoint endpoint;
  const uint16_t dead = dead_port();
  {
    auto config = relay_to({endpoint.port});
    config.tcp->access_logs = {log};
    config.tcp->idle_timeout = 200ms;
    TestProxy proxy(config);
    Socket client = Socket::connect(proxy.port());
    Socket server = endpoint.accept();
    ASSERT_TRUE(client.send("12345"));
    ASSERT_EQ(receive_exactly(server, 5), "12345");
    ASSERT_TRUE(server.send("123"));
    ASSERT_EQ(receive_exactly(client, 3), "123");
    client.close();
    server.close();
    expect_nothing_left(proxy);
    Socket second = Socket::connect(proxy.port());
    Socket resets = endpoint.accept();
    ASSERT_TRUE(second.send("1"));
    ASSERT_EQ(receive_exactly(resets, 1), "1");
    resets.reset();
    EXPECT_EQ(end_of(second), End::kReset);
    Socket third = Socket::connect(proxy.port());
    Socket idle = endpoint.accept();
    EXPECT_EQ(end_of(third), End::kFin);
    proxy.on_main([&] {
      EXPECT_TRUE(proxy.server().builder().put_cluster(static_cluster("c", {dead})).ok());
      proxy.server().publish();
    });
    EXPECT_TRUE(Socket::connect(proxy.port()).closed_by_peer());
    proxy.on_main([&] {
      proxy.server().builder().remove_cluster("c");
      proxy.server().publish();
    });
    EXPECT_TRUE(Socket::connect(proxy.port()).closed_by_peer());
  }
  std::ifstream file(path);
  std::stringstream lines;
  lines << file.rdbuf();
  const std::string host = base::cat("127.0.0.1:", endpoint.port);
  EXPECT_EQ(lines.str(),
            base::cat("0 - - 5 3 c ", host, " - none - 1 -\n",                   //
                      "0 UR - 1 0 c ", host, " - relay_upstream_reset - 1 -\n",  //
                      "0 - - 0 0 c ", host,
                      " - connection_idle_timeout tcp_session_idle_timeout 1 -\n",  //
                      "0 UF,URX - 0 0 c 127.0.0.1:", dead, " - upstream_connect_failed - 1 -\n",
                      "0 NC - 0 0 - - - cluster_not_found - 0 -\n"));
  ::unlink(path.c_str());
}

TEST(TcpSession, AConfigurationWithoutAClusterIsRefused) {
  base::StatsStore stats;
  dataplane::TablesBuilder builder({}, stats, nullptr);
  dataplane::ListenerValue listener;
  listener.name = "in";
  listener.addresses = {*base::Address::ip("127.0.0.1", 0)};
  listener.tcp.emplace().stat_prefix = "t";
  EXPECT_EQ(base::message_of(builder.put_listener(listener)),
            "listeners[\"in\"].tcp_proxy.cluster: missing");
  EXPECT_EQ(builder.listener("in"), nullptr);
}

}  // namespace
}  // namespace sluice
