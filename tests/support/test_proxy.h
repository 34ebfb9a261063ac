#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/server.h"
#include "tests/support/sockets.h"

namespace sluice::testing {

// A server whose behaviour is a function: called on a thread of its own for every connection that
// it accepts. Counts connections.
class ScriptedOrigin {
 public:
  using Script = std::function<void(Socket&, int nth_connection)>;
  explicit ScriptedOrigin(Script script);
  ~ScriptedOrigin();
  uint16_t port() const { return port_; }
  int connections() const { return connections_; }

 private:
  uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> stop_{false};
  Script script_;
  Socket listening_;
  std::thread acceptor_;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

// An origin that answers every request with `answer` and remembers what it got.
class EchoOrigin {
 public:
  explicit EchoOrigin(std::string answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  uint16_t port() const { return origin_->port(); }
  int connections() const { return origin_->connections(); }
  std::vector<Message> requests();
  Message last_request();

 private:
  std::string answer_;
  std::mutex mutex_;
  std::vector<Message> requests_;
  std::unique_ptr<ScriptedOrigin> origin_;
};

// The data plane in this process, with tables from values: one listener on a free port, its routes,
// clusters. Everything real but the control plane.
class TestProxy {
 public:
  struct Config {
    uint32_t workers = 1;
    dataplane::HttpValue http;  // router filter added when there is none
    std::optional<dataplane::TcpValue> tcp = std::nullopt;  // a TCP relay instead
    uint32_t buffer_limit_bytes = 1024 * 1024;
    bool exact_balance = false;
    std::vector<router::RouteValue> routes;  // in one virtual host for *
    std::vector<upstream::ClusterValue> clusters;
  };
  explicit TestProxy(Config config);
  ~TestProxy();

  uint16_t port() const { return port_; }
  dataplane::Server& server() { return *server_; }
  // The listener as it was put at first; on_main(), to put it changed.
  const dataplane::ListenerValue& listener() const { return listener_; }
  // Runs `task` on main's thread and waits for it.
  void on_main(const std::function<void()>& task);
  // Statistics by full name.
  uint64_t stat(std::string_view name);
  // Waits until the statistic is at least `value`; false at the deadline.
  bool wait_stat(std::string_view name, uint64_t value);

 private:
  std::unique_ptr<dataplane::Server> server_;
  std::thread main_;
  dataplane::ListenerValue listener_;
  uint16_t port_ = 0;
};

router::RouteValue forward_route(std::string prefix, std::string cluster);
upstream::ClusterValue static_cluster(std::string name, const std::vector<uint16_t>& ports);

}  // namespace sluice::testing
