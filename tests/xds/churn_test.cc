// Names that come and go: what is kept of them is nothing. In each round every cluster, listener,
// route configuration, virtual host, runtime key, scope and filter has a name that was never there
// before, and those of the round before are removed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>

#include "tests/xds/assembling.h"

namespace sluice::xds {
namespace {

using base::cat;
using ::testing::IsEmpty;

class XdsChurn : public XdsAssembler {
 protected:
  static constexpr int kClusters = 60, kListeners = 4, kHosts = 30, kScopes = 20;

  struct Counts {
    size_t scopes_of_statistics = 0, cluster_names = 0, runtime_keys = 0;
  };
  Counts counts() {
    server.stats().sweep();
    return {server.stats().num_scopes(), server.builder().cluster_ids().size(),
            server.builder().runtime_keys().size()};
  }
  static size_t heap_bytes() { return mallinfo2().uordblks; }

  static std::string route_configuration(int round, int i) {
    std::string text = cat("name: routes-", round, "-", i, "\nvirtual_hosts:\n");
    for (int h = 0; h < kHosts; ++h) {
      base::cat_to(
          text, "- name: host-", round, "-", i, "-", h, "\n  domains: [\"host-", round, "-", h,
          ".test\"]\n  routes:\n  - match: { prefix: /, runtime_fraction: { default_value: { ",
          "numerator: 50 }, runtime_key: key-", round, "-", i, "-", h,
          " } }\n    route: { cluster: cluster-", round, "-", h, " }\n  - match: { prefix: / }",
          "\n    route: { cluster: unknown-", round, "-", i, "-", h, " }\n");
    }
    return text;
  }
  static std::string one_listener(int round, int i) {
    std::string text = rds_listener(cat("listener-", round, "-", i), cat("routes-", round, "-", i));
    const std::string_view prefix = "stat_prefix: in";
    text.replace(text.find(prefix), prefix.size(), cat("stat_prefix: in-", round, "-", i));
    const std::string_view filters = "      http_filters:\n";
    return text.insert(
        text.find(filters) + filters.size(),
        cat("      - name: filter-", round, "-", i,
            "\n        config_discovery: { config_source: { ads: {}, resource_api_version: V3 }, "
            "type_urls: [ ",
            kMutation, " ] }\n"));
  }
  static std::string scoped_listener(int round) {
    return listener(
        cat("scoped-", round),
        cat("      scoped_routes:\n        name: scopes-", round,
            "\n        scope_key_builder: {fragments: [{header_value_extractor: {name: x-", round,
            ", element: {separator: '=', key: vip}}}]}\n        rds_config_source: {ads: {}}\n"
            "        scoped_rds: {scoped_rds_config_source: {ads: {}}}\n"));
  }
  static std::string extension(int round, int i) {
    return cat("name: filter-", round, "-", i, "\ntyped_config: { \"@type\": ", kMutation,
               ", mutations: { request_mutations: [ { append: { header: { key: x-", round,
               ", value: x } } } ] } }\n");
  }

  void round(int n) {
    std::vector<std::string> clusters, assignments, listeners, configs, extensions, scopes;
    std::vector<std::string> old_clusters, old_listeners, old_scopes;
    for (int i = 0; i < kClusters; ++i) {
      clusters.push_back(eds_cluster(cat("cluster-", n, "-", i)));
      assignments.push_back(endpoints(cat("cluster-", n, "-", i), 80, 2));
      old_clusters.push_back(cat("cluster-", n - 1, "-", i));
    }
    for (int i = 0; i < kListeners; ++i) {
      listeners.push_back(one_listener(n, i));
      configs.push_back(route_configuration(n, i));
      extensions.push_back(extension(n, i));
      old_listeners.push_back(cat("listener-", n - 1, "-", i));
    }
    for (int i = 0; i < kScopes; ++i) {
      scopes.push_back(cat("{name: scope-", n, "-", i, ", route_configuration_name: routes-", n,
                           "-", i % kListeners, ", key: {fragments: [{string_key: key-", n, "-", i,
                           "}]}}"));
      old_scopes.push_back(cat("scope-", n - 1, "-", i));
    }
    listeners.push_back(scoped_listener(n));
    old_listeners.push_back(cat("scoped-", n - 1));
    const bool first = n == 0;
    const auto gone = [&](std::vector<std::string>& names) {
      return first ? std::vector<std::string>() : std::move(names);
    };
    ASSERT_THAT(send(kC, clusters, gone(old_clusters)), IsEmpty());
    ASSERT_THAT(send(kE, assignments), IsEmpty());
    ASSERT_THAT(send(kL, listeners, gone(old_listeners)), IsEmpty());
    ASSERT_THAT(send(Type::kScopedRoute, scopes, gone(old_scopes)), IsEmpty());
    ASSERT_THAT(send(kR, configs), IsEmpty());
    ASSERT_THAT(send(Type::kExtensionConfig, extensions), IsEmpty());
    ASSERT_TRUE(serves(cat("listener-", n, "-0")));
    ASSERT_TRUE(serves(cat("scoped-", n)));
    ASSERT_EQ(published_endpoints(cat("cluster-", n, "-1")), 2);
    ASSERT_EQ(published_endpoints(cat("cluster-", n - 1, "-1")), -1);
    main.advance(20 * kSec);  // deadlines of waits are over
  }

  static constexpr std::string_view kMutation =
      "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
};

TEST_F(XdsChurn, NothingIsKeptOfNamesThatWent) {
  start();
  constexpr int kWarm = 8, kRounds = 32;
  int n = 0;
  for (; n < kWarm; ++n) round(n);
  // What is retired is destroyed in the compile pool, a moment later, and what only that held goes
  // with the change after it.
  const auto eventually = [&](auto&& condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (int port = 81; !condition() && std::chrono::steady_clock::now() < until; port ^= 1) {
      send(kE, {endpoints(cat("cluster-", n - 1, "-0"), port, 2)});
    }
    return condition();
  };
  const auto steady = [&] {  // the last round's names
    const Counts now = counts();
    return now.cluster_names == kClusters + kListeners * kHosts &&
           now.runtime_keys == kListeners * kHosts;
  };
  ASSERT_TRUE(eventually(steady));
  const Counts before = counts();
  const size_t bytes = heap_bytes();
  for (; n < kRounds; ++n) round(n);
  EXPECT_TRUE(eventually([&] {
    return steady() && counts().scopes_of_statistics <= before.scopes_of_statistics;
  })) << "statistics "
      << before.scopes_of_statistics << " -> " << counts().scopes_of_statistics << ", clusters "
      << before.cluster_names << " -> " << counts().cluster_names << ", runtime keys "
      << before.runtime_keys << " -> " << counts().runtime_keys;
  // 24 rounds of some 450 names: 12 bytes for each would be more than this.
  constexpr size_t kSlack = 120 * 1024;
  EXPECT_TRUE(eventually([&] { return heap_bytes() < bytes + kSlack; }))
      << bytes << " -> " << heap_bytes();
}

}  // namespace
}  // namespace sluice::xds
