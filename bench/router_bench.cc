// How long does it take to find a route, and does the number of routes matter? (contract T1, T2,
// T13, T15)
//
// Each table is matched with requests drawn at random over all of its routes. `p50_ns` and `p99_ns`
// are single matches, the cost of the two time stamps taken off; Warm/ repeats them back to back,
// Cold/ reads 64 MiB of other memory before each. Instructions per match, free of noise:
//   valgrind --tool=callgrind --toggle-collect='sluice::router::RouteTable::match(*' router_bench
//   ...
#include <benchmark/benchmark.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/clock.h"
#include "router/table.h"

namespace sluice::router {
namespace {

struct Scenario {
  RouteConfigValue config;
  std::vector<std::pair<std::string, std::string>> requests;  // authority, path
  std::vector<std::string> tenants;                           // x-tenant of each, if any
};

RouteValue route(PathMatch::Kind kind, std::string path, size_t i) {
  RouteValue out;
  out.match.path.kind = kind;
  out.match.path.text = std::move(path);
  out.forward.cluster = "cluster_" + std::to_string(i % 1000);
  return out;
}

std::string service_path(size_t i) {
  return "/api/v" + std::to_string(i % 3) + "/service-" + std::to_string(i) + "/";
}

std::shared_ptr<VirtualHostValue> host(std::string domain) {
  auto out = std::make_shared<VirtualHostValue>();
  out->name = domain;
  out->domains.push_back(std::move(domain));
  return out;
}

enum class Kind { kExact, kPrefix, kMixed, kLengths, kTenants, kHosts, kWildcards, kManyHosts };

void add_routes(Kind kind, size_t n, VirtualHostValue* to, Scenario* out) {
  std::mt19937_64 random(n);
  std::string longest;
  for (size_t i = 0; i < 1000; ++i) longest += static_cast<char>('a' + random() % 26);
  for (size_t i = 0; i < n; ++i) {
    const bool exact = kind == Kind::kExact || (kind == Kind::kMixed && i % 2 == 0);
    std::string path = service_path(i);
    if (kind == Kind::kLengths) {
      path = "/" + longest.substr(0, random() % 980) + std::to_string(i) + "/";
    }
    if (kind == Kind::kTenants) path = "/";
    to->routes.push_back(
        route(exact ? PathMatch::Kind::kExact : PathMatch::Kind::kPrefix, path, i));
    if (kind == Kind::kTenants) {
      HeaderMatch header;
      header.name = "x-tenant";
      header.kind = HeaderMatch::Kind::kString;
      header.string.text = "tenant-" + std::to_string(i);
      to->routes.back().match.headers.push_back(header);
      out->tenants.push_back(header.string.text);
    }
    out->requests.emplace_back(to->domains[0], exact ? path : path + "orders/17?page=2");
  }
}

Scenario make(Kind kind, size_t n) {
  Scenario out;
  if (kind == Kind::kHosts || kind == Kind::kWildcards) {
    for (size_t i = 0; i < n; ++i) {
      const std::string name = "service-" + std::to_string(i) + ".example.com";
      auto value = host(kind == Kind::kHosts ? name : "*." + name);
      value->routes.push_back(route(PathMatch::Kind::kPrefix, "/", i));
      out.requests.emplace_back(kind == Kind::kHosts ? name : "www." + name, "/index.html");
      out.config.virtual_hosts.push_back(std::move(value));
    }
  } else if (kind == Kind::kManyHosts) {
    for (size_t v = 0; v < n / 100; ++v) {
      auto value = host("host-" + std::to_string(v) + ".example.com");
      add_routes(Kind::kMixed, 100, value.get(), &out);
      out.config.virtual_hosts.push_back(std::move(value));
    }
  } else {
    auto value = host("*");
    value->domains[0] = "example.com";
    add_routes(kind, n, value.get(), &out);
    out.config.virtual_hosts.push_back(std::move(value));
  }
  return out;
}

ClusterIds& clusters() {
  static auto* const ids = new ClusterIds;  // outlives the tables
  return *ids;
}

// A scenario with its table and ready heads; made once.
struct Prepared {
  explicit Prepared(Scenario from) : scenario(std::move(from)), arena(pool) {
    auto compiled = RouteTable::compile(scenario.config, clusters(), nullptr);
    if (!compiled.ok()) std::abort();
    table = *compiled;
    std::mt19937_64 random(7);
    for (size_t i = 0; i < 20'000; ++i) {
      const size_t at = random() % scenario.requests.size();
      http::RequestHead head;
      head.fields.bind(&arena);
      head.method = http::Method::kGet;
      head.method_text = "GET";
      head.authority = scenario.requests[at].first;
      head.path = scenario.requests[at].second;
      if (!scenario.tenants.empty()) {
        http::Field field;
        field.name_data = "x-tenant";
        field.name_size = 8;
        field.value_data = scenario.tenants[at].data();
        field.value_size = static_cast<uint32_t>(scenario.tenants[at].size());
        head.fields.push(field);
      }
      heads.push_back(head);
    }
  }
  Scenario scenario;
  base::BlockPool pool;
  base::Arena arena;
  std::shared_ptr<const RouteTable> table;
  std::vector<http::RequestHead> heads;
};

Prepared& prepared(Kind kind, size_t n) {
  static std::map<std::pair<Kind, size_t>, std::unique_ptr<Prepared>> all;
  auto& slot = all[{kind, n}];
  if (slot == nullptr) {
    for (auto& [key, other] : all) other.reset();  // one at a time: memory
    slot = std::make_unique<Prepared>(make(kind, n));
  }
  return *slot;
}

void sweep_caches() {
  static std::vector<uint64_t> other(8 << 20);
  uint64_t sum = 0;
  for (size_t i = 0; i < other.size(); i += 8) sum += ++other[i];
  benchmark::DoNotOptimize(sum);
}

void measure(benchmark::State& state, Kind kind, bool cold) {
  base::calibrate_ticks();
  Prepared& p = prepared(kind, static_cast<size_t>(state.range(0)));
  std::vector<int64_t> stamps;
  std::vector<int64_t> samples;
  for (int i = 0; i < 1000; ++i) {
    const base::Ticks start = base::ticks_now();
    stamps.push_back(base::ns_of_ticks(base::ticks_now() - start));
  }
  std::nth_element(stamps.begin(), stamps.begin() + 500, stamps.end());
  size_t i = 0;
  for (auto _ : state) {
    if (cold) sweep_caches();
    const http::RequestHead& head = p.heads[i++ % p.heads.size()];
    benchmark::DoNotOptimize(*static_cast<const volatile char*>(head.path.data()));
    const base::Ticks start = base::ticks_now();
    const Match match = p.table->match(head, {});
    const base::Ticks end = base::ticks_now();
    if (match.route == nullptr) return state.SkipWithError("no route");
    samples.push_back(std::max<int64_t>(0, base::ns_of_ticks(end - start) - stamps[500]));
  }
  std::sort(samples.begin(), samples.end());
  state.counters["p50_ns"] = static_cast<double>(samples[samples.size() / 2]);
  state.counters["p99_ns"] = static_cast<double>(samples[samples.size() * 99 / 100]);
  state.counters["B_per_route"] =
      static_cast<double>(p.table->memory_bytes()) / static_cast<double>(p.table->num_routes());
}

void compile_all(benchmark::State& state, Kind kind) {
  const Scenario scenario = make(kind, static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    auto table = RouteTable::compile(scenario.config, clusters(), nullptr);
    if (!table.ok()) return state.SkipWithError("bad table");
    benchmark::DoNotOptimize(table);
  }
}

// T13's part of the router: one of 100 routes in one of 1,000 virtual hosts changed.
void compile_change(benchmark::State& state) {
  Scenario scenario = make(Kind::kManyHosts, static_cast<size_t>(state.range(0)));
  std::shared_ptr<const RouteTable> table =
      *RouteTable::compile(scenario.config, clusters(), nullptr);
  size_t i = 0;
  for (auto _ : state) {
    auto& slot = scenario.config.virtual_hosts[i++ % scenario.config.virtual_hosts.size()];
    auto changed = std::make_shared<VirtualHostValue>(*slot);
    changed->routes[i % changed->routes.size()].forward.cluster = "changed_" + std::to_string(i);
    slot = std::move(changed);
    table = *RouteTable::compile(scenario.config, clusters(), table.get());
    if (table->num_reused() + 1 != table->virtual_hosts().size()) {
      return state.SkipWithError("not reused");
    }
  }
}

void register_all() {
  const std::pair<const char*, Kind> kinds[] = {
      {"Exact", Kind::kExact},         {"Prefix", Kind::kPrefix},      {"Mixed", Kind::kMixed},
      {"Lengths", Kind::kLengths},     {"Tenants", Kind::kTenants},    {"Hosts", Kind::kHosts},
      {"Wildcards", Kind::kWildcards}, {"ManyHosts", Kind::kManyHosts}};
  for (const auto& entry : kinds) {
    const Kind kind = entry.second;
    for (const int64_t n : {1, 10, 1'000, 10'000, 100'000}) {
      if (kind == Kind::kManyHosts && n < 1000) continue;
      const auto warm = [kind](benchmark::State& s) { measure(s, kind, false); };
      benchmark::RegisterBenchmark((std::string("Warm/") + entry.first).c_str(), warm)
          ->Arg(n)
          ->Iterations(100'000);
      if (n < 1000) continue;
      const auto cold = [kind](benchmark::State& s) { measure(s, kind, true); };
      benchmark::RegisterBenchmark((std::string("Cold/") + entry.first).c_str(), cold)
          ->Arg(n)
          ->Iterations(300)
          ->Unit(benchmark::kMicrosecond);
    }
    const auto compile = [kind](benchmark::State& s) { compile_all(s, kind); };
    benchmark::RegisterBenchmark((std::string("Compile/") + entry.first).c_str(), compile)
        ->Arg(100'000)
        ->Iterations(2)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("CompileOneChange", compile_change)
      ->Arg(100'000)
      ->Iterations(50)
      ->Unit(benchmark::kMicrosecond);
}

const bool kRegistered = (register_all(), true);

}  // namespace
}  // namespace sluice::router
