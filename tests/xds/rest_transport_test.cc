#include "xds/rest_transport.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers one POST per connection with what a test has put down; the last of it again and again.
class RestServer {
 public:
  RestServer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~RestServer() {
    stop_ = true;
    thread_.join();
    close(listener_);
  }
  std::string target() const { return "ipv4:127.0.0.1:" + std::to_string(port_); }
  // Raw bytes of a response.
  void answer(std::string raw) {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(raw));
  }
  void answer_json(int status, const std::string& json) {
    answer("HTTP/1.1 " + std::to_string(status) +
           " X\r\nContent-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json);
  }
  void forget_answers() {
    const std::lock_guard lock(mutex_);
    answers_.clear();
  }
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void run() {
    while (!stop_) {
      pollfd fd{listener_, POLLIN, 0};
      if (::poll(&fd, 1, 10) <= 0) continue;
      const int connection = accept(listener_, nullptr, nullptr);
      serve(connection);
      close(connection);
    }
  }
  void serve(int connection) {
    std::string in;
    char buffer[4096];
    size_t wanted = std::string::npos;
    while (in.size() < wanted) {
      const ssize_t size = recv(connection, buffer, sizeof(buffer), 0);
      if (size <= 0) return;
      in.append(buffer, static_cast<size_t>(size));
      const size_t end = in.find("\r\n\r\n");
      const size_t length = in.find("content-length: ");
      if (end != std::string::npos) wanted = end + 4 + std::stoul(in.substr(length + 16));
    }
    std::string out;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(in);
      if (answers_.empty()) return;
      out = answers_.front();
      if (answers_.size() > 1) answers_.pop_front();
    }
    send(connection, out.data(), out.size(), MSG_NOSIGNAL);
  }

  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::deque<std::string> answers_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

std::string clusters_json(std::string_view version, std::string_view name) {
  return base::cat(R"({"version_info": ")", version,
                   R"(", "resources": [{"@type": "type.googleapis.com/)"
                   R"(envoy.config.cluster.v3.Cluster", "name": ")",
                   name, R"(", "alt_stat_name": "x", "connectTimeout": "2s"}]})");
}

std::string endpoints_json(std::string_view version, std::string_view name) {
  return base::cat(R"({"version_info": ")", version,
                   R"(", "resources": [{"@type": "type.googleapis.com/)"
                   R"(envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": ")",
                   name, R"("}]})");
}

DiscoveryRequest body_of(const std::string& request) {
  DiscoveryRequest out;
  const auto status = google::protobuf::util::JsonStringToMessage(
      request.substr(request.find("\r\n\r\n") + 4), &out);
  EXPECT_TRUE(status.ok()) << request;
  return out;
}

class XdsRest : public XdsClient {
 protected:
  ~XdsRest() override {
    client.reset();
    rest.reset();
  }
  Client& poll(const std::vector<std::string>& targets, Type type = kC) {
    xds::RestSource source;
    for (const std::string& target : targets) {
      xds::ControlPlane server;
      server.name = server.authority = "cp";
      server.target = target;
      source.servers.push_back(server);
    }
    source.refresh_delay = std::chrono::milliseconds(5);
    source.request_timeout = std::chrono::seconds(5);
    rest = std::make_unique<xds::RestTransport>(source, type, main);
    client = std::make_unique<Client>(options, *rest, sink, main);
    return *client;
  }
  bool arrives(Type type, const std::set<std::string>& names) {
    return main.run_until([&] { return held(type) == names; });
  }
  std::unique_ptr<xds::RestTransport> rest;
};

TEST_F(XdsRest, Rule170PostsTheRequestAsJsonWithTheNodeEachTimeAndNoNonce) {
  RestServer server;
  options.node_on_first_message_only = true;
  server.answer_json(200, clusters_json("1", "a"));
  poll({server.target()}).subscribe_all(kC);
  ASSERT_TRUE(main.run_until([&] { return server.requests().size() > 2; }));
  const auto requests = server.requests();
  EXPECT_THAT(requests[0], HasSubstr("POST /v3/discovery:clusters HTTP/1.1\r\nhost: cp\r\n"
                                     "content-type: application/json\r\n"));
  const DiscoveryRequest last = body_of(requests[2]);
  EXPECT_EQ(body_of(requests[0]).version_info(), "");
  EXPECT_EQ(last.version_info(), "1");
  EXPECT_EQ(last.node().id(), "node-1");
  EXPECT_EQ(last.response_nonce(), "");
  EXPECT_EQ(last.type_url(), type_url_of(kC));
}

TEST_F(XdsRest, Rule171BothSpellingsChunksAndNoNews) {
  RestServer server;
  const std::string json = clusters_json("1", "a");
  char size[20];
  snprintf(size, sizeof(size), "%zx", json.size());
  server.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(size) +
                "\r\n" + json + "\r\n0\r\n\r\n");
  server.answer("HTTP/1.1 304 Not Modified\r\n\r\n");
  server.answer("HTTP/1.0 200 OK\r\n\r\n" + clusters_json("2", "b"));
  poll({server.target()}).subscribe_all(kC);
  EXPECT_TRUE(arrives(kC, {"b"}));
  EXPECT_EQ(client->stats(kC).update_failure, 0u);
}

TEST_F(XdsRest, Rule172AFailureIsCountedAndTheNextServerAsked) {
  RestServer bad, good;
  bad.answer_json(500, "no snapshot");
  good.answer_json(200, clusters_json("1", "a"));
  poll({bad.target(), good.target()}).subscribe_all(kC);
  EXPECT_TRUE(arrives(kC, {"a"}));
  EXPECT_EQ(client->stats(kC).update_failure, 1u);
  EXPECT_THAT(client->control_plane().last_error, HasSubstr("status 500"));
}

TEST_F(XdsRest, Rule172WhatIsNoAnswerIsAFailureNotAnEnd) {
  RestServer server;
  for (const char* raw : {"", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n["}) {
    server.answer(raw);
  }
  server.answer_json(200, clusters_json("1", "a"));
  poll({server.target()}).subscribe_all(kC);
  EXPECT_TRUE(arrives(kC, {"a"}));
  EXPECT_EQ(client->stats(kC).update_failure, 5u);
}

TEST_F(XdsRest, NewNamesAreAskedForWithoutAVersionUntilAnAnswerCame) {
  RestServer server;
  server.answer_json(200, endpoints_json("1", "a"));
  poll({server.target()}, kE).subscribe(kE, "a");
  ASSERT_TRUE(main.run_until([&] { return client->state(kE).version() == "1"; }));
  server.forget_answers();
  server.answer_json(500, "not now");
  client->subscribe(kE, "b");
  const auto with_both = [&] {
    std::vector<std::string> versions;
    for (const std::string& request : server.requests()) {
      const DiscoveryRequest body = body_of(request);
      if (body.resource_names_size() == 2) versions.push_back(body.version_info());
    }
    return versions;
  };
  ASSERT_TRUE(main.run_until([&] { return with_both().size() > 3; }));
  EXPECT_THAT(with_both(), testing::Each(""));
  server.forget_answers();
  server.answer_json(200, endpoints_json("1", "b"));
  EXPECT_TRUE(main.run_until([&] { return with_both().back() == "1"; }));
  EXPECT_TRUE(arrives(kE, {"a", "b"}));
}

TEST_F(XdsRest, Rule173ARejectedResponseKeepsTheOldVersion) {
  RestServer server;
  server.answer_json(200, clusters_json("1", "a"));
  server.answer_json(200, clusters_json("2", "bad"));
  sink.bad["bad"] = "wrong";
  poll({server.target()}).subscribe_all(kC);
  ASSERT_TRUE(main.run_until([&] { return client->stats(kC).update_rejected > 1; }));
  EXPECT_EQ(body_of(server.requests().back()).version_info(), "1");
  EXPECT_EQ(client->state(kC).version(), "1");
}

}  // namespace
}  // namespace sluice::test
