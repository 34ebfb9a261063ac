#include "dataplane/balance.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/text.h"
#include "tests/dataplane/relay.h"
#include "tests/support/http_pair.h"

// Which worker serves a connection. Clients' ports decide to which worker the kernel gives one, so
// the tests connect until enough have come to the same.

namespace sluice::testing {
namespace {

constexpr uint32_t kWorkers = 4;
constexpr std::string_view kHandedOver = "sluice.worker.connections_handed_over";

class Balanced {
 public:
  explicit Balanced(TestProxy::Config config) : proxy_(with_workers(std::move(config))) {}
  TestProxy& proxy() { return proxy_; }
  uint16_t port() const { return proxy_.port(); }

  uint64_t stat(uint32_t worker, std::string_view name) {
    return proxy_.stat(
        base::cat("listener.127.0.0.1_", proxy_.port(), ".worker_", worker, ".", name));
  }
  std::vector<uint64_t> all(std::string_view name) {
    std::vector<uint64_t> values;
    for (uint32_t i = 0; i < kWorkers; ++i) values.push_back(stat(i, name));
    return values;
  }
  std::vector<uint64_t> active() { return all("downstream_cx_active"); }
  uint64_t total() {
    uint64_t sum = 0;
    for (const uint64_t n : all("downstream_cx_total")) sum += n;
    return sum;
  }
  uint64_t handed_over() { return proxy_.stat(kHandedOver); }
  // The old worker may count later than the new one answers.
  bool come_to(const std::vector<uint64_t>& wanted) {
    return until([&] { return active() == wanted; });
  }
  bool come_to(uint64_t each) { return come_to(std::vector<uint64_t>(kWorkers, each)); }
  // What the workers count for each other.
  std::vector<uint32_t> counted() {
    std::vector<uint32_t> values;
    proxy_.on_main([&] {
      const auto& sockets = *proxy_.server().builder().listener("in")->sockets[0];
      for (uint32_t i = 0; i < kWorkers; ++i) values.push_back(sockets.balance.num(i));
    });
    return values;
  }

  // `num` connections that the kernel gave to worker 0; others are closed again.
  std::vector<Socket> pile(size_t num) {
    std::vector<Socket> kept;
    while (kept.size() < num) {
      const uint64_t before = total();
      const uint64_t first = stat(0, "downstream_cx_total");
      Socket socket = Socket::connect(port());
      if (!until([&] { return total() == before + 1; })) break;
      if (stat(0, "downstream_cx_total") > first) kept.push_back(std::move(socket));
    }
    EXPECT_TRUE(come_to({num, 0, 0, 0}));
    return kept;
  }

 private:
  static TestProxy::Config with_workers(TestProxy::Config config) {
    config.workers = kWorkers;
    return config;
  }
  TestProxy proxy_;
};

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

TEST(Balance, GoesToWhoHasFewestAndStaysWhereNobodyHasFewer) {
  dataplane::Balance balance(3);
  struct alignas(dataplane::Worker) Place {
    char byte;
  } places[3];  // only their addresses count
  const auto worker = [&](int i) { return reinterpret_cast<dataplane::Worker*>(&places[i]); };
  for (uint32_t i = 0; i < 3; ++i) balance.open(i, worker(static_cast<int>(i)));
  EXPECT_EQ(&balance.choose(0, *worker(0)), worker(0));
  EXPECT_EQ(&balance.choose(0, *worker(0)), worker(1));
  EXPECT_EQ(&balance.choose(0, *worker(0)), worker(2));
  EXPECT_EQ(&balance.choose(2, *worker(2)), worker(2));
  balance.close(0);
  EXPECT_EQ(&balance.choose(2, *worker(2)), worker(1)) << "who does not accept is passed over";
  balance.leave(2);
  balance.leave(2);
  EXPECT_EQ(&balance.choose(1, *worker(1)), worker(2));
  EXPECT_EQ(balance.num(2), 1u);
}

TEST(Balance, Http2ConnectionsThatPileUpAreSpread) {
  EchoOrigin origin;
  Balanced balanced(pair_config(Http::k1, origin.port()));
  std::vector<std::unique_ptr<H2Peer>> clients;
  for (Socket& socket : balanced.pile(16)) {
    clients.push_back(std::make_unique<H2Peer>(std::move(socket), H2Peer::Role::kClient));
    const int32_t id = clients.back()->get("/");
    ASSERT_TRUE(clients.back()->run_until_ended(id));
    EXPECT_EQ(clients.back()->stream(id).body, "ok");
  }
  EXPECT_TRUE(balanced.come_to(4));
  EXPECT_TRUE(balanced.proxy().wait_stat(kHandedOver, 12));
  for (auto& client : clients) {
    const int32_t id = client->get("/");
    ASSERT_TRUE(client->run_until_ended(id));
    EXPECT_EQ(client->stream(id).status(), 200);
  }
  EXPECT_EQ(balanced.proxy().stat("http.in.downstream_cx_http2_total"), 16u);
  EXPECT_EQ(balanced.proxy().stat("http.in.downstream_cx_active"), 16u);
  clients.clear();
  EXPECT_TRUE(balanced.come_to(0));
  EXPECT_TRUE(until([&] { return balanced.counted() == std::vector<uint32_t>(kWorkers, 0); }));
  EXPECT_EQ(balanced.proxy().stat("http.in.downstream_cx_active"), 0u);
  EXPECT_EQ(balanced.proxy().stat("http.in.downstream_cx_http2_active"), 0u);
}

TEST(Balance, PrefaceInPiecesIsHandedOverWhole) {
  EchoOrigin origin;
  Balanced balanced(pair_config(Http::k1, origin.port()));
  std::vector<Socket> sockets = balanced.pile(2);
  const Fields get = {{":method", "GET"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}};
  const std::string all = base::cat(kH2Preface, h2_frame(NGHTTP2_SETTINGS, 0, 0, ""),
                                    h2_frame(NGHTTP2_HEADERS, 5, 1, h2_block(get)));
  uint64_t answered = 0;
  for (Socket& socket : sockets) {
    for (size_t at = 0; at < all.size(); at += 7) {
      ASSERT_TRUE(socket.send(std::string_view(all).substr(at, 7)));
    }
    EXPECT_TRUE(balanced.proxy().wait_stat("http.in.downstream_rq_2xx", ++answered));
  }
  EXPECT_TRUE(balanced.proxy().wait_stat(kHandedOver, 1));
}

TEST(Balance, Http1ConnectionsStayWhereTheyWereAccepted) {
  EchoOrigin origin;
  Balanced balanced(pair_config(Http::k1, origin.port()));
  std::vector<Socket> sockets = balanced.pile(6);
  std::string rest;
  for (Socket& socket : sockets) {
    socket.send(kGet);
    EXPECT_EQ(read_message(socket, &rest).status(), 200);
  }
  EXPECT_TRUE(balanced.come_to({6, 0, 0, 0}));
  EXPECT_EQ(balanced.handed_over(), 0u);
}

TEST(Balance, ExactBalanceSpreadsAllConnections) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.exact_balance = true;
  Balanced balanced(std::move(config));
  std::vector<Socket> sockets;
  std::string rest;
  for (uint64_t i = 1; i <= 20; ++i) {
    sockets.push_back(Socket::connect(balanced.port()));
    sockets.back().send(kGet);
    EXPECT_EQ(read_message(sockets.back(), &rest).status(), 200);
  }
  EXPECT_TRUE(balanced.come_to(5));
  // HTTP/2 found in one of them is counted already and stays.
  const uint64_t handed_over = balanced.handed_over();
  sockets.resize(16);
  EXPECT_TRUE(until([&] {
    uint64_t sum = 0;
    for (const uint32_t n : balanced.counted()) sum += n;
    return sum == 16;
  }));
  H2Peer client(Socket::connect(balanced.port()), H2Peer::Role::kClient);
  ASSERT_TRUE(client.run_until_ended(client.get("/")));
  EXPECT_LE(balanced.handed_over(), handed_over + 1);
  sockets.clear();
  client.socket().close();
  EXPECT_TRUE(balanced.come_to(0));
  EXPECT_TRUE(until([&] { return balanced.counted() == std::vector<uint32_t>(kWorkers, 0); }));
  EXPECT_EQ(balanced.proxy().stat(
                base::cat("listener.127.0.0.1_", balanced.port(), ".downstream_cx_total")),
            21u);
}

TEST(Balance, ListenersThatTakeHttp2AloneSpreadAtAccept) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.codec = dataplane::HttpValue::Codec::kHttp2;
  Balanced balanced(std::move(config));
  std::vector<Socket> sockets;
  for (uint64_t i = 1; i <= 12; ++i) {
    sockets.push_back(Socket::connect(balanced.port()));
    ASSERT_TRUE(until([&] { return balanced.total() == i; }));
  }
  EXPECT_TRUE(balanced.come_to(3));
}

TEST(Balance, ExactBalanceSpreadsTcpRelaysToo) {
  ScriptedOrigin origin([](Socket& socket, int) { socket.receive_all(); });
  auto config = relay_to({origin.port()});
  config.exact_balance = true;
  Balanced balanced(std::move(config));
  std::vector<Socket> sockets;
  for (uint64_t i = 1; i <= 8; ++i) {
    sockets.push_back(Socket::connect(balanced.port()));
    ASSERT_TRUE(until([&] { return balanced.total() == i; }));
  }
  EXPECT_TRUE(balanced.come_to(2));
  sockets.clear();
  EXPECT_TRUE(balanced.come_to(0));
  EXPECT_TRUE(until([&] { return balanced.counted() == std::vector<uint32_t>(kWorkers, 0); }));
}

TEST(Balance, ConnectionsThatWereHandedOverDrainAsOthers) {
  EchoOrigin origin;
  auto config = pair_config(Http::k1, origin.port());
  config.http.drain_timeout = std::chrono::milliseconds(20);
  Balanced balanced(std::move(config));
  std::vector<std::unique_ptr<H2Peer>> clients;
  for (Socket& socket : balanced.pile(4)) {
    clients.push_back(std::make_unique<H2Peer>(std::move(socket), H2Peer::Role::kClient));
    ASSERT_TRUE(clients.back()->run_until_ended(clients.back()->get("/")));
  }
  EXPECT_TRUE(balanced.proxy().wait_stat(kHandedOver, 3));
  std::promise<void> drained;
  balanced.proxy().on_main(
      [&] { balanced.proxy().server().drain(20 * base::kNsPerSec, [&] { drained.set_value(); }); });
  for (auto& client : clients) {
    EXPECT_TRUE(client->run_until_closed());
    EXPECT_GE(client->goaways().size(), 1u);  // idle, it leaves at the first
  }
  EXPECT_EQ(drained.get_future().wait_for(kPatience), std::future_status::ready);
}

}  // namespace
}  // namespace sluice::testing
