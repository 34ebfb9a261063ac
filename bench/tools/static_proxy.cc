// static_proxy PORT UPSTREAM_PORT [WORKERS] [options]: the data plane from tables written by hand,
// no protobuf and no gRPC in the process (contract F10). What the gate and the comparison with the
// floor measure; options: edge (forwarded headers, path normalisation), routes=N, log=FILE,
// swaps=N (SIGUSR1 begins to publish new tables N times a second, SIGUSR2 ends it; how many came
// is printed at the end).

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/clock.h"
#include "base/text.h"
#include "dataplane/server.h"

namespace {

sluice::dataplane::Server* server = nullptr;
void on_signal(int) { server->stop(); }
std::atomic<bool> swapping{false};
void on_swaps(int signal) { swapping = signal == SIGUSR1; }

// New tables at a fixed rate while `swapping`: the cluster's endpoints change their weight, so that
// each worker has a set to adopt and hosts to look up again.
class Swaps {
 public:
  Swaps(sluice::upstream::ClusterValue cluster, int per_second)
      : cluster_(std::move(cluster)), every_ns_(sluice::base::kNsPerSec / per_second) {
    at_ = server->main().now();
    again();
  }
  unsigned long count() const { return count_; }

 private:
  void again() {
    at_ += every_ns_;
    server->main().arm(timer_, at_);
  }
  void swap() noexcept {
    if (swapping) {
      cluster_.static_endpoints->localities[0].endpoints[0].weight = 1 + ++count_ % 2;
      if (server->builder().put_cluster(cluster_).ok()) server->publish();
    }
    again();
  }

  sluice::upstream::ClusterValue cluster_;
  int64_t every_ns_;
  int64_t at_ = 0;
  unsigned count_ = 0;
  sluice::net::Timer timer_ = sluice::net::Timer::of<&Swaps::swap>(this);
};

}  // namespace

int main(int argc, char** argv) {
  using namespace sluice;
  if (argc < 3) {
    std::fprintf(stderr, "usage: static_proxy PORT UPSTREAM_PORT [WORKERS] [edge] [routes=N]\n");
    return 2;
  }
  base::calibrate_ticks();
  dataplane::Server::Options options;
  int num_routes = 1;
  int swaps_per_second = 0;
  dataplane::ListenerValue listener;
  for (int i = 3; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg == "edge") {
      listener.http.use_remote_address = true;
      listener.http.normalize_path = true;
      listener.http.merge_slashes = true;
    } else if (arg.starts_with("routes=")) {
      num_routes = std::atoi(argv[i] + 7);
    } else if (arg.starts_with("swaps=")) {
      swaps_per_second = std::atoi(argv[i] + 6);
    } else if (arg.starts_with("log=")) {
      dataplane::AccessLogValue log;
      log.path = arg.substr(4);
      listener.http.access_logs.push_back(log);
    } else {
      options.concurrency = static_cast<uint32_t>(std::atoi(argv[i]));
    }
  }
  dataplane::Server proxy(options);
  server = &proxy;

  upstream::ClusterValue cluster;
  cluster.name = "origin";
  cluster.breakers_default.max_connections = cluster.breakers_default.max_pending_requests =
      cluster.breakers_default.max_requests = 1'000'000;
  upstream::EndpointsValue endpoints;
  const auto port = static_cast<uint16_t>(std::atoi(argv[2]));
  upstream::EndpointValue endpoint;
  endpoint.address = *base::Address::ip("127.0.0.1", port);
  endpoints.localities.emplace_back().endpoints.push_back(endpoint);
  cluster.static_endpoints = endpoints;
  if (const auto s = proxy.builder().put_cluster(cluster); !s.ok()) {
    std::fprintf(stderr, "%s\n", s.ToString().c_str());
    return 1;
  }

  auto routes = std::make_shared<router::RouteConfigValue>();
  auto host = std::make_shared<router::VirtualHostValue>();
  host->name = "all";
  host->domains = {"*"};
  for (int i = 1; i < num_routes; ++i) {
    router::RouteValue route;
    route.match.path.text = base::cat("/service/", i, "/");
    route.forward.cluster = "origin";
    host->routes.push_back(route);
  }
  router::RouteValue route;
  route.match.path.text = "/";
  route.forward.cluster = "origin";
  host->routes.push_back(route);
  routes->virtual_hosts.push_back(host);

  listener.name = "in";
  listener.addresses = {*base::Address::ip("127.0.0.1", static_cast<uint16_t>(std::atoi(argv[1])))};
  listener.http.stat_prefix = "in";
  listener.http.inline_routes = routes;
  dataplane::FilterValue filter;
  filter.name = "router";
  listener.http.filters.push_back(filter);
  if (const auto s = proxy.builder().put_listener(listener); !s.ok()) {
    std::fprintf(stderr, "%s\n", s.ToString().c_str());
    return 1;
  }
  proxy.publish();
  proxy.start();
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  if (swaps_per_second == 0) {
    proxy.run();
    return 0;
  }
  Swaps swaps(cluster, swaps_per_second);
  std::signal(SIGUSR1, on_swaps);
  std::signal(SIGUSR2, on_swaps);
  proxy.run();
  std::printf("%lu swaps\n", swaps.count());
  return 0;
}
