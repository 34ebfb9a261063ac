// An endpoint that answers while the request's body is still on its way and closes at once: its
// kernel sends a reset behind the answer, because bytes of ours were not read. The answer must
// reach the client whole all the same, whichever of our reads and writes meets the reset.
//
// Was: a write that met the reset before epoll had told of the answer dropped the answer (503).

#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <thread>

#include "base/text.h"
#include "tests/support/test_proxy.h"

namespace sluice::testing {
namespace {

constexpr int kRounds = 60;

// Sends pieces of a body until nobody takes them any more, and reads the answer.
Message post_until_answered(uint16_t port, bool chunked) {
  Socket client = Socket::connect(port);
  const std::string piece(16'000, 'b');
  const std::string framed = chunked ? base::cat("3e80\r\n", piece, "\r\n") : piece;
  const std::string_view length =
      chunked ? "transfer-encoding: chunked" : "content-length: 1000000000";
  if (!client.send(base::cat("POST /up HTTP/1.1\r\nhost: h\r\n", length, "\r\n\r\n"))) return {};
  for (int i = 0; i < 2000; ++i) {
    pollfd readable{client.fd(), POLLIN, 0};
    if (::poll(&readable, 1, 0) == 1 || !client.send(framed)) break;
  }
  std::string rest;
  return read_message(client, &rest);
}

void answers_arrive_whole(const std::string& answer, const std::string& body) {
  ScriptedOrigin origin([&](Socket& socket, int) {
    socket.receive_until("bbbb");
    socket.send(answer);
    socket.close();  // with bytes unread: RST
  });
  TestProxy::Config config;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {origin.port()})};
  TestProxy proxy(std::move(config));
  for (int i = 0; i < kRounds; ++i) {
    const Message got = post_until_answered(proxy.port(), i % 2 == 0);
    ASSERT_EQ(got.status(), 413) << "round " << i << ": " << got.head << got.body;
    ASSERT_TRUE(got.complete) << "round " << i;
    ASSERT_EQ(got.body.size(), body.size()) << "round " << i;
    ASSERT_TRUE(got.body == body) << "round " << i;
  }
}

TEST(EarlyAnswer, WithLengthArrivesWhole) {
  for (const size_t size : {0u, 30u, 50'000u}) {
    SCOPED_TRACE(size);
    const std::string body(size, 'a');
    answers_arrive_whole(
        base::cat("HTTP/1.1 413 Too Large\r\ncontent-length: ", size, "\r\n\r\n", body), body);
  }
}

TEST(EarlyAnswer, ChunkedArrivesWhole) {
  const std::string body(20'000, 'a');
  answers_arrive_whole(base::cat("HTTP/1.1 413 Too Large\r\ntransfer-encoding: chunked\r\n\r\n",
                                 "4e20\r\n", body, "\r\n0\r\n\r\n"),
                       body);
}

}  // namespace
}  // namespace sluice::testing
