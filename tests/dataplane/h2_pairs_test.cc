#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "base/text.h"
#include "tests/support/http_pair.h"

// What must be the same whatever client and endpoint speak: h1 or h2, on either side.

namespace sluice::testing {
namespace {

using ::testing::ElementsAre;

class H2Pairs : public ::testing::TestWithParam<std::tuple<Http, Http>> {
 protected:
  Http down() const { return std::get<0>(GetParam()); }
  Http up() const { return std::get<1>(GetParam()); }
  // Runs one exchange; got: what the endpoint received.
  HttpMessage run(const HttpMessage& request, const HttpMessage& answer,
                  const std::function<void(TestProxy::Config*)>& change = {}) {
    AnyOrigin origin(up(), [&](const HttpMessage&) { return answer; });
    auto config = pair_config(up(), origin.port());
    if (change) change(&config);
    TestProxy proxy(std::move(config));
    HttpMessage reply = ask(down(), proxy.port(), request);
    got = origin.last_request();
    rx_resets = proxy.stat("http.in.downstream_rq_rx_reset");
    tx_resets = proxy.stat("cluster.c.upstream_rq_tx_reset");
    return reply;
  }
  static HttpMessage body(std::string text, bool with_length = true) {
    HttpMessage m;
    m.body = std::move(text);
    m.with_length = with_length;
    return m;
  }
  HttpMessage got;
  uint64_t rx_resets = 0, tx_resets = 0;
};

INSTANTIATE_TEST_SUITE_P(, H2Pairs,
                         ::testing::Combine(::testing::Values(Http::k1, Http::k2),
                                            ::testing::Values(Http::k1, Http::k2)),
                         [](const auto& pair) {
                           return testing::pair_name(std::get<0>(pair.param),
                                                     std::get<1>(pair.param));
                         });

TEST_P(H2Pairs, Get) {
  HttpMessage request;
  request.path = "/p?q=1";
  request.fields = {{"x-a", "b"}, {"cookie", "a=1; b=2"}};
  HttpMessage answer = body("hello");
  answer.fields = {{"x-b", "c"}};
  const HttpMessage reply = run(request, answer);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(*reply.body, "hello");
  EXPECT_EQ(reply.field("x-b"), "c");
  EXPECT_EQ(reply.field("server"), "sluice");
  EXPECT_EQ(reply.field("content-length"), "5");
  EXPECT_EQ(got.method, "GET");
  EXPECT_EQ(got.path, "/p?q=1");
  EXPECT_EQ(got.field(up() == Http::k2 ? ":authority" : "host"), "h");
  EXPECT_EQ(got.field("x-a"), "b");
  EXPECT_EQ(got.field("cookie"), "a=1; b=2");
  EXPECT_EQ(rx_resets, 0u);
  EXPECT_EQ(tx_resets, 0u);
}

TEST_P(H2Pairs, HeadKeepsTheLength) {
  HttpMessage request;
  request.method = "HEAD";
  HttpMessage answer;
  answer.fields = {{"content-length", "1234"}};
  const HttpMessage reply = run(request, answer);
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.field("content-length"), "1234");
  EXPECT_EQ(*reply.body, "");
}

TEST_P(H2Pairs, StatusesWithoutBody) {
  for (const int status : {204, 304}) {
    SCOPED_TRACE(status);
    HttpMessage answer;
    answer.status = status;
    const HttpMessage reply = run(HttpMessage(), answer);
    EXPECT_EQ(reply.status, status);
    EXPECT_TRUE(reply.complete);
  }
}

TEST_P(H2Pairs, PostWithAndWithoutLength) {
  for (const bool with_length : {true, false}) {
    SCOPED_TRACE(with_length);
    HttpMessage request = body("abc", with_length);
    request.method = "POST";
    const HttpMessage reply = run(request, body("defg", with_length));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(*reply.body, "defg");
    EXPECT_EQ(got.method, "POST");
    EXPECT_EQ(*got.body, "abc");
    EXPECT_EQ(got.field("content-length"), with_length ? "3" : "");
    EXPECT_EQ(reply.field("content-length"), with_length ? "4" : "");
  }
}

TEST_P(H2Pairs, BigBodiesStayIntact) {
  std::string big;
  for (int i = 0; big.size() < 300 * 1024; ++i) big += base::cat(i, ",");
  for (const bool with_length : {true, false}) {
    SCOPED_TRACE(with_length);
    HttpMessage request = body(big, with_length);
    request.method = "POST";
    const HttpMessage reply = run(request, body(big, with_length));
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.complete);
    EXPECT_TRUE(*reply.body == big) << reply.body->size();
    EXPECT_TRUE(*got.body == big) << got.body->size();
  }
}

TEST_P(H2Pairs, TrailersPassBothWays) {
  HttpMessage request = body("abc", false);
  request.method = "POST";
  request.trailers = {{"x-sum", "9"}};
  HttpMessage answer = body("ok", false);
  answer.trailers = {{"x-t", "1"}};
  const HttpMessage reply = run(request, answer);
  EXPECT_EQ(*reply.body, "ok");
  EXPECT_EQ(reply.field("x-t"), "1");
  EXPECT_EQ(*got.body, "abc");
  EXPECT_EQ(got.field("x-sum"), "9");
}

TEST_P(H2Pairs, InterimResponsesPass) {
  HttpMessage answer = body("ok");
  answer.interims = {103, 103};
  const HttpMessage reply = run(HttpMessage(), answer);
  EXPECT_THAT(reply.interims, ElementsAre(103, 103));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(*reply.body, "ok");
}

TEST_P(H2Pairs, ContinueIsOurs) {
  HttpMessage request = body("abc");
  request.method = "POST";
  request.fields = {{"expect", "100-continue"}};
  const HttpMessage reply = run(request, body("ok"));
  EXPECT_THAT(reply.interims, ElementsAre(100));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(got.field("expect"), "");
}

TEST_P(H2Pairs, ContinueIsTheEndpoints) {
  HttpMessage request = body("abc");
  request.method = "POST";
  request.fields = {{"expect", "100-continue"}};
  HttpMessage answer = body("ok");
  answer.interims = {100};
  const HttpMessage reply =
      run(request, answer, [](TestProxy::Config* c) { c->http.proxy_100_continue = true; });
  EXPECT_THAT(reply.interims, ElementsAre(100));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(got.field("expect"), "100-continue");
}

TEST_P(H2Pairs, ManyRequestsShareConnections) {
  AnyOrigin origin(up(), [](const HttpMessage& r) {
    HttpMessage answer;
    answer.body = r.path;
    return answer;
  });
  TestProxy proxy(pair_config(up(), origin.port()));
  for (int i = 0; i < 30; ++i) {
    HttpMessage request;
    request.path = base::cat("/", i);
    const HttpMessage reply = ask(down(), proxy.port(), request);
    ASSERT_EQ(reply.status, 200);
    ASSERT_EQ(*reply.body, request.path);
  }
  EXPECT_EQ(origin.connections(), 1);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_total"), 30u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_active"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_rx_reset"), 0u);
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_tx_reset"), 0u);
  EXPECT_TRUE(proxy.wait_stat("http.in.downstream_cx_destroy", 30));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_active"), 0u);
  EXPECT_EQ(proxy.stat("http.in.downstream_cx_protocol_error"), 0u);
}

// An endpoint that ends the request's stream before it read all of it.
TEST_P(H2Pairs, EarlyAnswerToARefusedUpload) {
  ScriptedOrigin origin([this](Socket& socket, int) {
    if (up() == Http::k1) {
      socket.receive_until("\r\n\r\n");
      socket.send("HTTP/1.1 413 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
      socket.receive_all();
      return;
    }
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve(
        [&](int32_t id) {
          peer.respond(id, {{":status", "413"}, {"content-length", "2"}}, false);
          peer.data(id, "no", true);
          peer.flush();
          peer.reset(id, NGHTTP2_NO_ERROR);
        },
        true);
  });
  TestProxy proxy(pair_config(up(), origin.port()));
  if (down() == Http::k1) {
    Socket client = Socket::connect(proxy.port());
    ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9000\r\n\r\nabc"));
    std::string rest;
    const Message m = read_message(client, &rest);
    EXPECT_EQ(m.status(), 413);
    EXPECT_EQ(m.body, "no");
    return;
  }
  H2Peer peer(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = peer.request(
      {{":method", "POST"}, {":scheme", "http"}, {":authority", "h"}, {":path", "/"}}, false);
  peer.data(id, "abc", false);
  ASSERT_TRUE(peer.run_until([&] { return peer.stream(id).closed; }));
  EXPECT_EQ(peer.stream(id).status(), 413);
  EXPECT_EQ(peer.stream(id).body, "no");
  EXPECT_TRUE(peer.stream(id).ended);
  EXPECT_EQ(peer.stream(id).reset, uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_FALSE(peer.closed());
}

// A response that has no body, whose end comes later than its head: the client's stream is over
// before the endpoint's, and nobody was reset.
TEST(H2Response, EmptyOneWhoseEndComesLater) {
  TestProxy* at = nullptr;
  ScriptedOrigin origin([&](Socket& socket, int) {
    H2Peer peer(std::move(socket), H2Peer::Role::kServer);
    peer.serve([&](int32_t id) {
      peer.respond(id, {{":status", "200"}, {"content-length", "0"}}, false);
      peer.flush();
      at->wait_stat("http.in.downstream_rq_completed", 1);
      peer.data(id, "", true);
    });
  });
  TestProxy proxy(pair_config(Http::k2, origin.port()));
  at = &proxy;
  H2Peer client(Socket::connect(proxy.port()), H2Peer::Role::kClient);
  const int32_t id = client.get("/");
  ASSERT_TRUE(client.run_until_ended(id));
  EXPECT_EQ(client.stream(id).status(), 200);
  ASSERT_TRUE(client.run_until([&] { return proxy.stat("http.in.downstream_rq_active") == 0; }));
  EXPECT_EQ(proxy.stat("cluster.c.upstream_rq_tx_reset"), 0u);
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_rx_reset"), 0u);
  EXPECT_FALSE(client.closed());
}

}  // namespace
}  // namespace sluice::testing
