#include "bench/gate_driver/proxy.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/text.h"

// As long as the scenario's list of routes, for the planted walk; see plants.h.
namespace sluice::base {
extern uint32_t plant_list_size;
uint32_t plant_list_size = 1;
}  // namespace sluice::base

namespace sluice::gate {

namespace {

constexpr uint32_t kManyRoutes = 10'000;

const Scenario kScenarios[] = {
    {.name = "get"},
    {.name = "get-edge", .edge = true},
    {.name = "post-16k", .edge = true, .request_body_bytes = 16 * 1024},
    {.name = "response-16k", .edge = true, .response_body_bytes = 16 * 1024},
    {.name = "chunked", .edge = true, .response_body_bytes = 4096, .chunked_response = true},
    {.name = "routes-10000", .edge = true, .num_routes = kManyRoutes},
    {.name = "access-log", .edge = true, .access_log = true},
    {.name = "h2-h1", .edge = true, .h2_clients = true},
    {.name = "h2-h2", .edge = true, .h2_clients = true, .h2_origin = true},
    {.name = "h1-h2", .edge = true, .h2_origin = true},
    {.name = "h2-h2-16k",
     .edge = true,
     .request_body_bytes = 16 * 1024,
     .response_body_bytes = 16 * 1024,
     .h2_clients = true,
     .h2_origin = true},
};

void check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "gate_driver: %s\n", status.ToString().c_str());
  std::exit(1);
}

std::string service_path(uint32_t i) { return base::cat("/service/", i, "/"); }

router::RouteValue forward(std::string prefix) {
  router::RouteValue route;
  route.match.path.text = std::move(prefix);
  route.forward.cluster = "origin";
  return route;
}

upstream::ClusterValue origin_cluster(const Scenario& scenario, uint16_t port) {
  upstream::ClusterValue cluster;
  cluster.name = "origin";
  cluster.breakers_default.max_connections = cluster.breakers_default.max_pending_requests =
      cluster.breakers_default.max_requests = 1'000'000;
  upstream::EndpointsValue endpoints;
  endpoints.localities.emplace_back().endpoints.emplace_back().address =
      *base::Address::ip("127.0.0.1", port);
  cluster.static_endpoints = endpoints;
  if (scenario.h2_origin) cluster.transport.http = upstream::TransportValue::Http::kHttp2;
  return cluster;
}

dataplane::ListenerValue listener_of(const Scenario& scenario) {
  dataplane::ListenerValue listener;
  listener.name = "in";
  listener.addresses = {*base::Address::ip("127.0.0.1", 0)};
  listener.http.stat_prefix = "in";
  if (scenario.edge) {
    listener.http.use_remote_address = listener.http.normalize_path = listener.http.merge_slashes =
        true;
  }
  if (scenario.access_log) {
    dataplane::AccessLogValue log;
    log.path = "/dev/null";
    listener.http.access_logs.push_back(log);
  }
  auto host = std::make_shared<router::VirtualHostValue>();
  host->name = "all";
  host->domains = {"*"};
  for (uint32_t i = 1; i < scenario.num_routes; ++i) {
    host->routes.push_back(forward(service_path(i)));
  }
  host->routes.push_back(forward("/"));
  auto routes = std::make_shared<router::RouteConfigValue>();
  routes->virtual_hosts.push_back(std::move(host));
  listener.http.inline_routes = std::move(routes);
  dataplane::FilterValue filter;
  filter.name = "router";
  listener.http.filters.push_back(filter);
  return listener;
}

}  // namespace

const Scenario* find_scenario(const std::string& name) {
  for (const Scenario& scenario : kScenarios) {
    if (name == scenario.name) return &scenario;
  }
  return nullptr;
}

// Connection n always asks for the same path: one of the last routes where there are many, and
// where there is one the same text, so that only the routes make a difference.
std::string service_path_of(uint32_t nth) {
  return service_path(kManyRoutes - 1 - nth) + "orders/17";
}

std::string request_of(const Scenario& scenario, uint32_t nth) {
  std::string text =
      base::cat(scenario.request_body_bytes > 0 ? "POST " : "GET ", service_path_of(nth),
                " HTTP/1.1\r\nhost: www.example.com\r\nuser-agent: gate/1.0\r\n"
                "accept: */*\r\naccept-encoding: gzip, br\r\n");
  if (scenario.request_body_bytes > 0) {
    text += base::cat("content-length: ", scenario.request_body_bytes, "\r\n");
  }
  text += "\r\n";
  text.append(scenario.request_body_bytes, 'q');
  return text;
}

// Five fields, as nginx sends them.
std::string response_of(const Scenario& scenario) {
  std::string text =
      "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      "Content-Type: application/octet-stream\r\nConnection: keep-alive\r\n";
  if (!scenario.chunked_response) {
    text += base::cat("Content-Length: ", scenario.response_body_bytes, "\r\n\r\n");
    return text.append(scenario.response_body_bytes, 'r');
  }
  text += "Transfer-Encoding: chunked\r\n\r\n";
  for (uint32_t left = scenario.response_body_bytes; left > 0; left -= 1024) {
    text.append("400\r\n").append(1024, 'r').append("\r\n");
  }
  return text + "0\r\n\r\n";
}

uint16_t configure(dataplane::TablesBuilder& builder, const Scenario& scenario,
                   uint16_t origin_port) {
  base::plant_list_size = scenario.num_routes;
  check(builder.put_cluster(origin_cluster(scenario, origin_port)));
  check(builder.put_listener(listener_of(scenario)));
  return builder.listener("in")->sockets[0]->address.port();
}

LoneWorker::LoneWorker(const Scenario& scenario, uint16_t origin_port, base::Clock::Kind clock)
    : flusher_(stats_, {}),
      builder_({.num_workers = 1}, stats_, &flusher_),
      main_({.clock = base::Clock::Kind::kManual}) {
  const dataplane::Worker::Shared shared{
      .main = main_.mailbox(),
      .tables = tables_,
      .stats = stats_,
      .drop = {[](void*, std::shared_ptr<const void>&&) noexcept {}, nullptr},
      .reclaim = {[](void*) noexcept {}, nullptr},
      .ask = {},
      .flusher = &flusher_};
  worker_ = std::make_unique<dataplane::Worker>(
      dataplane::Worker::Options{.index = 0, .num_workers = 1, .clock = clock}, shared);
  port_ = configure(builder_, scenario, origin_port);
  tables_.publish(builder_.build(), main_.now());
}

LoneWorker::~LoneWorker() {
  worker_->close_all();
  worker_.reset();
  main_.poll_once();
  std::vector<std::unique_ptr<const dataplane::Tables>> free;
  tables_.reclaim(free);
}

}  // namespace sluice::gate
