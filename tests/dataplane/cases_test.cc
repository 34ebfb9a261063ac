#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/support/json.h"
#include "tests/support/test_proxy.h"

// The malformed and smuggling cases of tests/cases over real sockets: client, proxy and origin each
// see what the others wrote. tests/http/cases_test.cc cuts the same bytes at every offset.

namespace sluice {
namespace {

using test::Json;
using testing::forward_route;
using testing::Message;
using testing::read_message;
using testing::ScriptedOrigin;
using testing::Socket;
using testing::static_cluster;
using testing::TestProxy;

constexpr std::string_view kValid = "GET /valid HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kProbe = "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n";

std::string unhex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

Json read_cases(const char* name) {
  return test::JsonReader::read_file(std::string("tests/cases/") + name);
}

// Answers with the target of the request, so that an answer tells whose it is; keeps what it got.
class TargetOrigin {
 public:
  TargetOrigin() {
    origin_ = std::make_unique<ScriptedOrigin>([this](Socket& socket, int) {
      std::string rest;
      for (;;) {
        Message request = read_message(socket, &rest);
        if (!request.complete) return;
        const std::string line = request.first_line();
        const size_t begin = std::min(line.find(' '), line.size() - 1) + 1;
        const std::string target = line.substr(begin, line.find(' ', begin) - begin);
        {
          const std::lock_guard lock(mutex_);
          requests_.push_back(std::move(request));
        }
        if (!socket.send(base::cat("HTTP/1.1 200 OK\r\ncontent-length: ", target.size(), "\r\n\r\n",
                                   target))) {
          return;
        }
      }
    });
  }
  uint16_t port() const { return origin_->port(); }
  // Every complete request, once the proxy is gone: nothing can still be on its way.
  std::vector<Message> finish() {
    origin_.reset();
    return std::move(requests_);
  }

 private:
  std::mutex mutex_;
  std::vector<Message> requests_;
  std::unique_ptr<ScriptedOrigin> origin_;
};

TestProxy::Config config_for(uint16_t origin_port) {
  TestProxy::Config config;
  config.http.codec = dataplane::HttpValue::Codec::kHttp1;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {origin_port})};
  return config;
}

enum class Sending { kWhole, kByteByByte };

void send_as(Socket& client, std::string_view bytes, Sending how) {
  if (how == Sending::kWhole) {
    client.send(bytes);
    return;
  }
  for (const char& c : bytes) {
    if (!client.send(std::string_view(&c, 1))) return;
  }
}

struct Outcome {
  std::vector<Message> answers;   // to the case, in order
  bool kept = false;              // a probe behind it was answered
  std::vector<Message> upstream;  // what the origin got of the case
};

// `wanted` answers, then what comes, with a probe behind them to see if the connection lives on.
// `leaves`: the client ends its side before the last of them.
void read_answers(Socket& client, int wanted, bool leaves, Outcome* out) {
  std::string rest;
  for (;;) {
    if (leaves && wanted == 1) client.half_close();
    Message answer = read_message(client, &rest);
    if (!answer.complete) break;
    if (answer.status() < 200) {
      out->answers.push_back(std::move(answer));
      continue;
    }
    if (answer.body == "/probe") {
      out->kept = true;
      return;
    }
    out->answers.push_back(std::move(answer));
    if (--wanted == 0) client.send(kProbe);
  }
  EXPECT_EQ(rest, "");
}

Outcome run_case(const Json& c, Sending how, bool behind_valid) {
  Outcome out;
  TargetOrigin origin;
  {
    auto config = config_for(origin.port());
    config.http.normalize_path = true;  // as at an edge; the rows about paths want it
    // What waits for more bytes is over when its time is; all others have plenty.
    if (c["expect"]["status"].contains(408)) {
      config.http.request_headers_timeout = std::chrono::milliseconds(200);
    }
    TestProxy proxy(std::move(config));
    Socket client = Socket::connect(proxy.port());
    const std::string bytes = unhex(c["hex"].text);
    send_as(client, (behind_valid ? std::string(kValid) : std::string()) + bytes, how);
    read_answers(client, behind_valid ? 2 : 1, c["id"].text == "A39", &out);
  }
  out.upstream = origin.finish();
  std::erase_if(out.upstream, [](const Message& m) {
    return m.first_line().starts_with("GET /probe ") || m.first_line().starts_with("GET /valid ");
  });
  return out;
}

// The patterns are written with flags in front, (?i) or (?is).
bool matches(const std::string& text, std::string pattern) {
  auto flags = std::regex::ECMAScript;
  if (pattern.starts_with("(?")) {
    const size_t end = pattern.find(')');
    flags = std::regex::icase;
    const bool dot_is_any = pattern.substr(0, end).find('s') != std::string::npos;
    pattern = pattern.substr(end + 1);
    if (dot_is_any) pattern = std::regex_replace(pattern, std::regex("\\."), "[\\s\\S]");
  }
  return std::regex_search(text, std::regex(pattern, flags));
}

void check_patterns(const Json& expect, const std::vector<Message>& upstream) {
  for (const Message& request : upstream) {
    for (const Json& p : expect["must"].items) {
      EXPECT_TRUE(matches(request.raw, p.text)) << p.text << "\n" << request.raw;
    }
    for (const Json& p : expect["mustnot"].items) {
      // A body may hold anything; a request line may not come out of one.
      const std::string text = p.text == "/smuggled" ? request.first_line() : request.raw;
      EXPECT_FALSE(matches(text, p.text)) << p.text << "\n" << request.raw;
    }
  }
}

void check_case(const Json& c, Outcome out, bool behind_valid) {
  const Json& expect = c["expect"];
  if (behind_valid) {
    ASSERT_FALSE(out.answers.empty());
    EXPECT_EQ(out.answers[0].status(), 200);
    EXPECT_EQ(out.answers[0].body, "/valid");
    out.answers.erase(out.answers.begin());
  }
  // A client that ends its side inside a request has left; no answer is as good as a 400.
  const bool left = c["id"].text == "A39" && out.answers.empty();
  ASSERT_TRUE(left || !out.answers.empty());
  if (!left) {
    EXPECT_TRUE(expect["status"].contains(out.answers[0].status())) << out.answers[0].raw;
  }
  EXPECT_TRUE(expect["up"].contains(static_cast<int>(out.upstream.size())))
      << out.upstream.size() << " requests reached the origin";
  if (expect["conn"].text == "keep") {
    EXPECT_TRUE(out.kept);
    EXPECT_EQ(out.answers.size(), out.upstream.size());
  } else if (expect["conn"].text == "close") {
    EXPECT_FALSE(out.kept);
    EXPECT_LE(out.answers.size(), 1u);
    if (!left) {
      EXPECT_EQ(out.answers[0].field("connection"), "close");
    }
  }
  check_patterns(expect, out.upstream);
}

void run_all(Sending how, bool behind_valid) {
  const Json cases = read_cases("h1_cases.json");
  ASSERT_GE(cases.items.size(), 111u);
  for (const Json& c : cases.items) {
    SCOPED_TRACE(c["id"].text + ": " + c["title"].text);
    check_case(c, run_case(c, how, behind_valid), behind_valid);
  }
}

TEST(H1CasesOverSockets, WholeInOnePiece) { run_all(Sending::kWhole, false); }
TEST(H1CasesOverSockets, OneBytePerSend) { run_all(Sending::kByteByByte, false); }
TEST(H1CasesOverSockets, BehindAValidRequest) { run_all(Sending::kWhole, true); }

// ---- Answers of hostile origins.

// Gives the first request the case's bytes and every other one "second".
ScriptedOrigin::Script hostile(const Json& c, Sending how, std::atomic<int>* num_requests) {
  return [&c, how, num_requests](Socket& socket, int) {
    std::string rest;
    while (read_message(socket, &rest).complete) {
      if (num_requests->fetch_add(1) == 0) {
        send_as(socket, unhex(c["hex"].text), how);
        if (c["close_after"].number != 0) return socket.close();
      } else if (!socket.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond")) {
        return;
      }
    }
  };
}

Message final_answer(Socket& client, std::string* rest) {
  for (;;) {
    Message answer = read_message(client, rest);
    if (!answer.complete || answer.status() >= 200) return answer;
  }
}

void check_response_case(const Json& c, Sending how) {
  std::atomic<int> num_requests{0};
  ScriptedOrigin origin(hostile(c, how, &num_requests));
  TestProxy proxy(config_for(origin.port()));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  ASSERT_TRUE(client.send(c["method"].text + " /first HTTP/1.1\r\nHost: a\r\n\r\n"));
  const Message first = final_answer(client, &rest);
  EXPECT_TRUE(first.complete) << first.raw;
  EXPECT_TRUE(c["status"].contains(first.status())) << first.raw;
  if (c["id"].text == "R28") {
    EXPECT_FALSE(matches(first.head, "(?i)\r\n(x-hop|keep-alive|proxy-connection):"));
  }
  // Nothing that the origin sent beyond the frame is there for the next one to read.
  EXPECT_EQ(rest, "");
  ASSERT_TRUE(client.send(kProbe));
  const Message second = final_answer(client, &rest);
  EXPECT_EQ(second.status(), 200);
  EXPECT_EQ(second.body, "second");
  EXPECT_EQ(rest, "");
}

TEST(H1CasesOverSockets, HostileOrigins) {
  const Json cases = read_cases("resp_cases.json");
  ASSERT_GE(cases.items.size(), 14u);
  for (const Json& c : cases.items) {
    for (const Sending how : {Sending::kWhole, Sending::kByteByByte}) {
      SCOPED_TRACE(base::cat(c["id"].text, ": ", c["title"].text,
                             how == Sending::kWhole ? "" : ", byte by byte"));
      check_response_case(c, how);
    }
  }
}

// ---- Clients that take their time, or all of ours.

TEST(HostileClients, SlowHeadsAreAllClosedAndDisturbNobody) {
  constexpr int kClients = 200;
  TargetOrigin origin;
  auto config = config_for(origin.port());
  config.http.request_headers_timeout = std::chrono::milliseconds(400);
  TestProxy proxy(std::move(config));
  const auto began = std::chrono::steady_clock::now();
  std::vector<Socket> slow;
  for (int i = 0; i < kClients; ++i) {
    slow.push_back(Socket::connect(proxy.port()));
    // A third never says a word, the others trickle.
    if (i % 3 != 0) {
      ASSERT_TRUE(slow.back().send("GET / HTTP/1.1\r\nHost: a\r\nX"));
    }
  }
  Socket canary = Socket::connect(proxy.port());
  std::string rest;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(canary.send(kProbe));
    ASSERT_EQ(read_message(canary, &rest).status(), 200);
    // A byte more does not buy more time.
    for (int n = 1; n < kClients; n += 3) slow[static_cast<size_t>(n)].send("y");
  }
  for (int i = 0; i < kClients; ++i) {
    const std::string answer = slow[static_cast<size_t>(i)].receive_all();
    if (i % 3 == 0) {
      EXPECT_EQ(answer, "");
    } else {
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 408 ")) << answer;
    }
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  EXPECT_EQ(proxy.stat("http.in.downstream_rq_4xx"), 2u * kClients / 3);
}

TEST(HostileClients, APipelineOfThousandsDoesNotStarveOthers) {
  constexpr int kPipelined = 100'000;
  TargetOrigin origin;
  TestProxy proxy(config_for(origin.port()));
  Socket greedy = Socket::connect(proxy.port());
  std::thread sender([&] {
    std::string all;
    for (int i = 0; i < 1000; ++i) all += kValid;
    for (int i = 0; i < kPipelined / 1000; ++i) greedy.send(all);
  });
  std::atomic<int> answered{0};
  std::thread receiver([&] {
    std::string tail;  // an answer may be cut by the end of what came
    while (answered < kPipelined) {
      const std::string got = tail + greedy.receive();
      if (got.size() == tail.size()) return;
      size_t at = 0;
      for (size_t end; (end = got.find("\r\n\r\n/valid", at)) != got.npos; at = end + 10) {
        ++answered;
      }
      tail = got.substr(at);
    }
  });
  while (answered < 1000) std::this_thread::yield();
  Socket canary = Socket::connect(proxy.port());
  std::string rest;
  const int before = answered;
  constexpr int kCanaries = 100;
  for (int i = 0; i < kCanaries; ++i) {
    ASSERT_TRUE(canary.send(kProbe));
    EXPECT_EQ(read_message(canary, &rest).body, "/probe");
  }
  // Fairness in what the proxy served meanwhile, not in time: a turn may carry one of each.
  const int now = answered;
  EXPECT_LT(now - before, kCanaries * 50);
  EXPECT_LT(now, kPipelined);  // it was there all the time
  ::shutdown(greedy.fd(), SHUT_RDWR);
  sender.join();
  receiver.join();
  ASSERT_TRUE(canary.send(kProbe));
  EXPECT_EQ(read_message(canary, &rest).body, "/probe");
}

}  // namespace
}  // namespace sluice
