// Routing: instructions of RouteTable::match() alone, on a table of N routes, half of them exact
// and half prefixes, with requests drawn at random over all of them (contract T2).

#include <valgrind/callgrind.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/text.h"
#include "bench/gate_driver/modes.h"
#include "bench/gate_driver/peers.h"
#include "router/table.h"

namespace sluice::gate {

namespace {

constexpr uint32_t kMatches = 2000;

std::string path_of(uint32_t i) { return base::cat("/api/v", i % 3, "/service-", i, "/"); }

router::RouteConfigValue config_of(uint32_t num_routes) {
  auto host = std::make_shared<router::VirtualHostValue>();
  host->name = "example";
  host->domains = {"example.com"};
  for (uint32_t i = 0; i < num_routes; ++i) {
    router::RouteValue route;
    route.match.path.kind =
        i % 2 == 0 ? router::PathMatch::Kind::kExact : router::PathMatch::Kind::kPrefix;
    route.match.path.text = path_of(i);
    route.forward.cluster = base::cat("cluster_", i % 100);
    host->routes.push_back(std::move(route));
  }
  router::RouteConfigValue config;
  config.virtual_hosts.push_back(std::move(host));
  return config;
}

}  // namespace

int run_routing(uint32_t num_routes) {
  router::ClusterIds clusters;
  const auto table = router::RouteTable::compile(config_of(num_routes), clusters, nullptr);
  if (!table.ok()) die(table.status().ToString().c_str());
  base::BlockPool pool;
  base::Arena arena(pool);
  std::mt19937 random(7);
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < kMatches; ++i) {
    const auto at = static_cast<uint32_t>(random() % num_routes);
    paths.push_back(at % 2 == 0 ? path_of(at) : path_of(at) + "orders/17?page=2");
  }
  uint32_t num_found = 0;
  CALLGRIND_START_INSTRUMENTATION;
  for (const std::string& path : paths) {
    http::RequestHead head;
    head.fields.bind(&arena);
    head.method = http::Method::kGet;
    head.method_text = "GET";
    head.authority = "example.com";
    head.path = path;
    CALLGRIND_TOGGLE_COLLECT;
    const router::Match match = (*table)->match(head, {});
    CALLGRIND_TOGGLE_COLLECT;
    if (match.route != nullptr) ++num_found;
  }
  CALLGRIND_STOP_INSTRUMENTATION;
  if (num_found != kMatches) die("a request without a route");
  std::printf("{\"requests\": %u}\n", kMatches);
  return 0;
}

}  // namespace sluice::gate
