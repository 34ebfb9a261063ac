#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "admin/server.h"
#include "base/text.h"
#include "tests/support/sockets.h"
#include "tests/support/test_proxy.h"

namespace sluice::testing {

// A data plane with one cluster ("c") and an admin on a free port, for tests that speak to it as an
// operator does.
class AdminSite {
 public:
  explicit AdminSite(admin::Sources sources = {}, admin::AdminServer::Options options = {})
      : proxy_({.http = {},
                .routes = {forward_route("/", "c")},
                .clusters = {static_cluster("c", {origin_.port()})}}) {
    if (options.address.family() == base::Address::Family::kNone) {
      options.address = *base::Address::ip("127.0.0.1", 0);
    }
    proxy_.on_main([&] {
      auto started = admin::AdminServer::start(options, proxy_.server(), std::move(sources));
      if (!started.ok()) std::abort();
      admin_ = *std::move(started);
      address_ = admin_->local();
    });
  }
  ~AdminSite() {
    proxy_.on_main([&] { admin_.reset(); });
  }

  const base::Address& address() const { return address_; }
  Socket connect() const { return Socket::connect(address_.port()); }
  TestProxy& proxy() { return proxy_; }
  uint16_t origin_port() const { return origin_.port(); }
  admin::AdminServer& admin() { return *admin_; }  // on main only

  // One request on a connection of its own.
  Message ask(std::string_view method, std::string_view target, std::string_view more = {},
              std::string_view body = {}) const {
    Socket socket = connect();
    std::string text(method);
    text.append(" ").append(target).append(" HTTP/1.1\r\nhost: a\r\n").append(more);
    text.append("\r\n").append(body);
    socket.send(text);
    std::string rest;
    return read_message(socket, &rest, method == "HEAD");
  }
  Message get(std::string_view target) const { return ask("GET", target); }
  Message post(std::string_view target) const {
    return ask("POST", target, "content-length: 0\r\n");
  }
  // A request through the proxy; waits until its connection is counted as gone.
  int send_traffic() {
    ++num_sent_;
    Socket socket = Socket::connect(proxy_.port());
    socket.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    std::string rest;
    const int status = read_message(socket, &rest).status();
    const std::string scope = base::cat("listener.127.0.0.1_", proxy_.port(), ".");
    if (!proxy_.wait_stat(base::cat(scope, "downstream_cx_destroy"), num_sent_)) return 0;
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (proxy_.stat(base::cat(scope, "downstream_cx_active")) != 0) {
      if (std::chrono::steady_clock::now() > until) return 0;
    }
    return status;
  }

 private:
  uint64_t num_sent_ = 0;
  EchoOrigin origin_;
  TestProxy proxy_;
  base::Address address_;
  std::unique_ptr<admin::AdminServer> admin_;
};

}  // namespace sluice::testing
