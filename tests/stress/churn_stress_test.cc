// The whole data plane with real threads and sockets: every kind of client at once while main
// changes clusters, routes and listeners, reads statistics, asks for censuses and reopens logs. No
// request may fail, no version may stay. Made for the thread sanitizer, true without it.
// SLUICE_STRESS=N in the environment makes it N times as long.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/support/h2_peer.h"
#include "tests/support/test_proxy.h"

namespace sluice::testing {
namespace {

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";

int rounds(int n) {
#ifdef __SANITIZE_THREAD__
  n /= 4;  // it makes each system call ten times as dear
#endif
  const char* times = std::getenv("SLUICE_STRESS");
  return n * std::max(1, times == nullptr ? 1 : std::atoi(times));
}

// Clients that count what did not go as it should.
class Clients {
 public:
  explicit Clients(uint16_t port) : port_(port) {}
  ~Clients() { join(); }

  void start(int num, const std::function<void()>& what) {
    for (int i = 0; i < num; ++i) {
      ++running_;
      threads_.emplace_back([this, what] {
        what();
        --running_;
      });
    }
  }
  bool running() const { return running_ > 0; }
  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  void keeps_alive(int num) {
    Socket socket = Socket::connect(port_);
    std::string rest;
    for (int i = 0; i < num; ++i) {
      if (!expect_200(socket, kGet, &rest)) socket = Socket::connect(port_);
    }
  }
  void connects_anew(int num) {
    for (int i = 0; i < num; ++i) {
      Socket socket = Socket::connect(port_);
      std::string rest;
      expect_200(socket, kGet, &rest);
    }
  }
  void posts(int num) {
    Socket socket = Socket::connect(port_);
    const std::string body(70'000, 'b');
    std::string rest;
    for (int i = 0; i < num; ++i) {
      expect_200(socket,
                 base::cat("POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: ", body.size(),
                           "\r\n\r\n", body),
                 &rest);
    }
  }
  void pipelines(int num) {
    Socket socket = Socket::connect(port_);
    std::string rest;
    for (int i = 0; i < num; ++i) {
      socket.send(base::cat(kGet, kGet, kGet));
      for (int n = 0; n < 3; ++n) expect_200(socket, "", &rest);
    }
  }
  // HTTP/2: a few streams at once, every eighth of them reset, and every 50th connection left.
  void multiplexes(int num, std::string_view path) {
    std::unique_ptr<H2Peer> peer;
    for (int i = 0; i < num; i += 4) {
      if (peer == nullptr || peer->closed() || !peer->goaways().empty() || i % 200 == 0) {
        peer = std::make_unique<H2Peer>(Socket::connect(port_), H2Peer::Role::kClient);
      }
      int32_t ids[4];
      for (int32_t& id : ids) id = peer->get(path);
      const int32_t given_up = peer->request({{":method", "POST"},
                                              {":scheme", "http"},
                                              {":authority", "h"},
                                              {":path", std::string(path)}},
                                             false);
      peer->data(given_up, "part", false);
      for (const int32_t id : ids) {
        const bool ended = peer->run_until_ended(id);
        const H2Peer::Stream& s = peer->stream(id);
        ++(ended && s.status() == 200 && s.body == "ok" ? served : failed);
      }
      peer->reset(given_up, NGHTTP2_CANCEL);
      peer->flush();
    }
  }
  // Leaves in the middle of whatever it is.
  void leaves(int num) {
    for (int i = 0; i < num; ++i) {
      Socket socket = Socket::connect(port_);
      socket.send(kGet.substr(0, static_cast<size_t>(i) % kGet.size()));
      if (i % 3 == 0) socket.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nx");
      if (i % 2 == 0) socket.reset();
    }
  }
  // Tunnels that live as long as the others run.
  void tunnels(int num) {
    std::deque<Socket> open;
    for (int i = 0; i < num; ++i) {
      open.push_back(Socket::connect(port_));
      open.back().send(
          "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      if (!open.back().receive_until("\r\n\r\n").starts_with("HTTP/1.1 101")) ++failed;
    }
    for (int i = 0; running_ > 1; ++i) {
      for (Socket& socket : open) {
        const std::string text = base::cat("[", i, "]");
        if (!socket.send(text) || !socket.receive_until("]").ends_with(text)) ++failed;
      }
    }
  }

  std::atomic<int> failed{0}, served{0};

 private:
  bool expect_200(Socket& socket, std::string_view request, std::string* rest) {
    socket.send(request);
    const Message answer = read_message(socket, rest);
    const bool ok = answer.complete && answer.status() == 200 && answer.body == "ok";
    ++(ok ? served : failed);
    return ok;
  }

  const uint16_t port_;
  std::atomic<int> running_{0};
  std::vector<std::thread> threads_;
};

ScriptedOrigin::Script serve() {
  return [](Socket& socket, int) {
    std::string rest;
    for (;;) {
      const Message request = read_message(socket, &rest);
      if (!request.complete) return;
      if (!request.field("upgrade").empty()) break;
      if (!socket.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")) return;
    }
    socket.send("HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
    for (std::string got = socket.receive(); !got.empty(); got = socket.receive()) {
      socket.send(got);
    }
  };
}

// The same in HTTP/2; a connection is left by GOAWAY after 40 requests.
ScriptedOrigin::Script serve_h2() {
  return [](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    int num = 0;
    peer.serve([&](int32_t id) {
      peer.respond(id, {{":status", "200"}}, false);
      peer.data(id, "ok", true);
      if (++num == 40) peer.goaway(id);
    });
  };
}

// One change of each kind; `n` says to what.
void change(TestProxy& proxy, int n, uint16_t a, uint16_t b, uint16_t h2) {
  dataplane::Server& server = proxy.server();
  dataplane::TablesBuilder& builder = server.builder();
  switch (n % 7) {
    case 0: {  // endpoints: one, the other, both
      const std::vector<uint16_t> ports = n % 21 == 0   ? std::vector<uint16_t>{a}
                                          : n % 21 == 7 ? std::vector<uint16_t>{b}
                                                        : std::vector<uint16_t>{a, b};
      ASSERT_TRUE(builder.put_cluster(static_cluster("c", ports)).ok());
      break;
    }
    case 1: {  // a transport part: pools are opened anew
      auto cluster = static_cluster("c", {a, b});
      cluster.transport.max_requests_per_connection = static_cast<uint32_t>(1 + n % 50);
      cluster.balancer = upstream::ClusterValue::Balancer::kLeastRequest;
      ASSERT_TRUE(builder.put_cluster(cluster).ok());
      break;
    }
    case 2: {  // the listener's configuration and routes, on the same socket
      auto listener = proxy.listener();
      listener.http.server_name = base::cat("s", n);
      auto routes = std::make_shared<router::RouteConfigValue>(*listener.http.inline_routes);
      auto host = std::make_shared<router::VirtualHostValue>(*routes->virtual_hosts[0]);
      host->name = base::cat("all", n);
      routes->virtual_hosts[0] = host;
      listener.http.inline_routes = routes;
      ASSERT_TRUE(builder.put_listener(listener).ok());
      break;
    }
    case 3:  // a cluster and a listener that nobody uses come and go
      if (n % 14 == 3) {
        ASSERT_TRUE(builder.put_cluster(static_cluster("x", {a})).ok());
        auto listener = proxy.listener();
        listener.name = "x";
        listener.addresses = {*base::Address::ip("127.0.0.1", 0)};
        listener.reuse_port = false;
        ASSERT_TRUE(builder.put_listener(listener).ok());
      } else {
        builder.remove_cluster("x");
        builder.remove_listener("x");
      }
      break;
    case 4:
      server.access_log().reopen();
      server.take_census([](const std::vector<dataplane::Worker::Census>&) {});
      break;
    case 5: {  // the endpoint of HTTP/2 comes and goes with its pool
      auto cluster = static_cluster("h2", {h2});
      cluster.transport.http = upstream::TransportValue::Http::kHttp2;
      cluster.transport.max_requests_per_connection = static_cast<uint32_t>(n % 3 * 20);
      ASSERT_TRUE(builder.put_cluster(cluster).ok());
      break;
    }
    default:
      server.stats().visit({.counter = [](std::string_view, uint64_t) {},
                            .gauge = [](std::string_view, int64_t) {},
                            .histogram = [](std::string_view, const base::HistogramSnapshot&) {}});
      server.stats().sweep();
      server.costs();
      server.tables().live();
      break;
  }
  server.publish();
}

TEST(ChurnStress, NothingFailsWhileEverythingChanges) {
  ScriptedOrigin a(serve()), b(serve()), h2(serve_h2());
  TestProxy::Config config;
  config.workers = 3;
  config.http.upgrades = {"websocket"};
  dataplane::AccessLogValue log;
  log.path = "/dev/null";
  config.http.access_logs = {log};
  config.routes = {forward_route("/h2/", "h2"), forward_route("/", "c")};
  for (auto& route : config.routes) route.forward.timeout = std::chrono::seconds(60);
  config.clusters = {static_cluster("c", {a.port(), b.port()}), static_cluster("h2", {h2.port()})};
  config.clusters[1].transport.http = upstream::TransportValue::Http::kHttp2;
  TestProxy proxy(std::move(config));

  Clients clients(proxy.port());
  clients.start(3, [&] { clients.keeps_alive(rounds(1000)); });
  clients.start(1, [&] { clients.connects_anew(rounds(500)); });
  clients.start(1, [&] { clients.posts(rounds(300)); });
  clients.start(1, [&] { clients.pipelines(rounds(200)); });
  clients.start(1, [&] { clients.leaves(rounds(500)); });
  clients.start(2, [&] { clients.multiplexes(rounds(800), "/a"); });
  clients.start(2, [&] { clients.multiplexes(rounds(800), "/h2/a"); });
  clients.start(1, [&] { clients.tunnels(20); });  // last: ends when nobody else runs
  int versions = 0;
  while (clients.running() || versions < 100) {
    proxy.on_main([&] { change(proxy, versions, a.port(), b.port(), h2.port()); });
    ++versions;
  }
  clients.join();
  EXPECT_EQ(clients.failed, 0) << "of " << clients.served << " over " << versions << " changes";
  EXPECT_EQ(clients.served,
            3 * rounds(1000) + rounds(500) + rounds(300) + 3 * rounds(200) + 4 * rounds(800));
  EXPECT_EQ(proxy.stat("sluice.worker.internal_errors"), 0u);

  size_t live = 0;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  do {
    proxy.on_main([&] { live = proxy.server().tables().live().size(); });
  } while (live > 1 && std::chrono::steady_clock::now() < until);
  EXPECT_EQ(live, 1u) << "old versions are still pinned";

  std::atomic<bool> drained{false};
  proxy.on_main([&] { proxy.server().drain(base::kNsPerSec, [&] { drained = true; }); });
  while (!drained && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(drained);
}

}  // namespace
}  // namespace sluice::testing
