#include "tests/support/test_proxy.h"

#include <future>

namespace sluice::testing {

ScriptedOrigin::ScriptedOrigin(Script script)
    : script_(std::move(script)), listening_(Socket::listen(&port_)) {
  acceptor_ = std::thread([this] {
    while (!stop_) {
      auto socket = std::make_shared<Socket>(listening_.accept());
      if (!socket->ok() || stop_) continue;
      const int nth = ++connections_;
      const std::lock_guard lock(mutex_);
      threads_.emplace_back([this, socket, nth] { script_(*socket, nth); });
    }
  });
}

ScriptedOrigin::~ScriptedOrigin() {
  stop_ = true;
  Socket::connect(port_);  // wakes the acceptor
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
}

EchoOrigin::EchoOrigin(std::string answer) : answer_(std::move(answer)) {
  origin_ = std::make_unique<ScriptedOrigin>([this](Socket& socket, int) {
    std::string rest;
    for (;;) {
      Message request = read_message(socket, &rest);
      if (!request.complete) return;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(request);
      }
      if (!socket.send(answer_)) return;
    }
  });
}

std::vector<Message> EchoOrigin::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

Message EchoOrigin::last_request() {
  const std::lock_guard lock(mutex_);
  return requests_.empty() ? Message() : requests_.back();
}

TestProxy::TestProxy(Config config) {
  base::calibrate_ticks();
  dataplane::Server::Options options;
  options.concurrency = config.workers;
  server_ = std::make_unique<dataplane::Server>(options);
  for (const auto& cluster : config.clusters) {
    if (!server_->builder().put_cluster(cluster).ok()) std::abort();
  }
  if (config.http.filters.empty()) {
    dataplane::FilterValue filter;
    filter.name = "router";
    config.http.filters.push_back(filter);
  }
  auto host = std::make_shared<router::VirtualHostValue>();
  host->name = "all";
  host->domains = {"*"};
  host->routes = config.routes;
  auto routes = std::make_shared<router::RouteConfigValue>();
  routes->virtual_hosts.push_back(host);
  dataplane::ListenerValue& listener = listener_;
  listener.name = "in";
  listener.addresses = {*base::Address::ip("127.0.0.1", 0)};
  listener.buffer_limit_bytes = config.buffer_limit_bytes;
  listener.exact_balance = config.exact_balance;
  listener.tcp = config.tcp;
  listener.http = config.http;
  listener.http.stat_prefix = "in";
  listener.http.inline_routes = routes;
  const absl::Status put = server_->builder().put_listener(listener);
  if (!put.ok()) {
    std::fprintf(stderr, "%s\n", put.ToString().c_str());
    std::abort();
  }
  port_ = server_->builder().listener("in")->sockets[0]->address.port();
  server_->publish();
  server_->start();
  main_ = std::thread([this] { server_->run(); });
}

TestProxy::~TestProxy() {
  server_->stop();
  main_.join();
  server_.reset();
}

void TestProxy::on_main(const std::function<void()>& task) {
  std::promise<void> done;
  server_->main().post_task([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

uint64_t TestProxy::stat(std::string_view name) {
  uint64_t value = 0;
  on_main([&] { value = server_->stats().value(name); });
  return value;
}

bool TestProxy::wait_stat(std::string_view name, uint64_t value) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    if (stat(name) >= value) return true;
    std::this_thread::yield();
  }
  return false;
}

router::RouteValue forward_route(std::string prefix, std::string cluster) {
  router::RouteValue route;
  route.match.path.text = std::move(prefix);
  route.forward.cluster = std::move(cluster);
  return route;
}

upstream::ClusterValue static_cluster(std::string name, const std::vector<uint16_t>& ports) {
  upstream::ClusterValue cluster;
  cluster.name = std::move(name);
  upstream::EndpointsValue endpoints;
  auto& locality = endpoints.localities.emplace_back();
  for (const uint16_t port : ports) {
    locality.endpoints.emplace_back().address = *base::Address::ip("127.0.0.1", port);
  }
  cluster.static_endpoints = endpoints;
  return cluster;
}

}  // namespace sluice::testing
