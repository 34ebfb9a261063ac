#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/sockets.h"
#include "tests/xds/assembling.h"

// An assembler whose workers run: requests go through real sockets, main is turned by the test.

namespace sluice::xds {

class XdsServing : public XdsAssembler {
 protected:
  XdsServing() {
    options.run_workers = true;
    options.has_cds = false;
  }
  ~XdsServing() override {
    for (std::thread& thread : threads) thread.join();
    assembler.reset();
  }

  // Turns main until `done`; false after twenty seconds.
  bool turn_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + testing::kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      server.main().poll_once();
      main.run();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  uint16_t port_of(std::string_view name) {
    return server.builder().listener(name)->sockets[0]->address.port();
  }

  // A request under way, on a thread of its own.
  struct Request {
    std::atomic<bool> done{false};
    testing::Message answer;
  };
  std::shared_ptr<Request> ask(uint16_t port, std::string_view host, std::string_view headers = "",
                               std::string_view body = "") {
    auto request = std::make_shared<Request>();
    const std::string text =
        base::cat("GET / HTTP/1.1\r\nhost: ", host, "\r\n", headers,
                  body.empty() ? std::string() : base::cat("content-length: ", body.size(), "\r\n"),
                  "connection: close\r\n\r\n", body);
    threads.emplace_back([request, port, text] {
      testing::Socket socket = testing::Socket::connect(port);
      socket.send(text);
      std::string rest;
      request->answer = testing::read_message(socket, &rest);
      request->done = true;
    });
    return request;
  }
  // "200 body", once it is there.
  std::string answer_of(const std::shared_ptr<Request>& request) {
    if (!turn_until([&] { return request->done.load(); })) return "nothing";
    return base::cat(request->answer.status(), " ", request->answer.body);
  }
  std::string get(std::string_view listener, std::string_view host, std::string_view headers = "") {
    return answer_of(ask(port_of(listener), host, headers));
  }
  // Update with names of their own, as incremental responses have them.
  std::vector<Rejected> send_named(Type type,
                                   const std::vector<std::pair<std::string, std::string>>& texts,
                                   std::vector<std::string> removed = {},
                                   std::vector<std::string> answered = {}) {
    Update update;
    update.type = type;
    for (const auto& [name, text] : texts) {
      update.changed.push_back(test::yaml_resource(type, "1", text));
      update.changed.back().name = name;
    }
    update.removed = std::move(removed);
    update.answered = std::move(answered);
    return send(std::move(update));
  }

  std::vector<std::thread> threads;
};

inline constexpr std::string_view kOnDemandFilter =
    "      - name: od\n        typed_config: {\"@type\": type.googleapis.com/"
    "envoy.extensions.filters.http.on_demand.v3.OnDemand}\n";

// `routes` is the connection manager's source of routes; `filters` come before the router.
inline std::string listener_of_filters(std::string_view name, std::string_view routes,
                                       std::string_view filters) {
  std::string text = listener(name, routes);
  const std::string_view mark = "      http_filters:\n";
  text.insert(text.find(mark) + mark.size(), filters);
  return text;
}
inline std::string saying(std::string_view name, std::string_view word) {
  return base::cat("{name: ", name,
                   ", virtual_hosts: [{name: all, domains: ['*'], routes: "
                   "[{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: ",
                   word, "}}}]}]}");
}

}  // namespace sluice::xds
