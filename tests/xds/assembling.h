#pragma once

// What the tests of the assembler share: resources in YAML, and an assembler with real tables for
// which only the control plane and time are the test's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "tests/support/scripted_resolver.h"
#include "tests/support/xds/manual_executor.h"
#include "tests/support/xds/yaml_resource.h"
#include "upstream/endpoint_set.h"
#include "xds/assemble.h"

namespace sluice::xds {

inline constexpr Type kC = Type::kCluster, kE = Type::kEndpoint, kL = Type::kListener,
                      kR = Type::kRoute;
inline constexpr int64_t kSec = base::kNsPerSec;
inline constexpr int64_t kMs = base::kNsPerMs;

class FakeSubscriptions : public Subscriptions {
 public:
  void subscribe_all(Type type, SourceId) override { names[type].insert("*"); }
  void unsubscribe_all(Type type, SourceId) override { names[type].erase("*"); }
  void subscribe(Type type, const ResourceKey& key) override {
    EXPECT_TRUE(names[type].insert(key.name).second) << "twice: " << key.name;
  }
  void unsubscribe(Type type, const ResourceKey& key) override {
    EXPECT_EQ(names[type].erase(key.name), 1u) << "not subscribed: " << key.name;
  }
  void begin_batch() override { ++depth; }
  void end_batch() override { --depth; }

  std::map<Type, std::set<std::string>> names;
  int depth = 0;
};

inline std::string eds_cluster(std::string_view name, std::string_view more = "") {
  return base::cat("name: ", name,
                   "\ntype: EDS\n"
                   "eds_cluster_config: { eds_config: { ads: {}, resource_api_version: V3 } ",
                   more.empty() ? "" : ", ", more, "}\n");
}
inline std::string dns_cluster(std::string_view name, std::string_view host,
                               std::string_view more = "", std::string_view type = "STRICT_DNS") {
  return base::cat("name: ", name, "\ntype: ", type, "\nload_assignment: { cluster_name: ", name,
                   ", endpoints: [ { lb_endpoints: [ { endpoint: { address: { socket_address: { "
                   "address: ",
                   host, ", port_value: 80 } } } } ] } ] }\n", more);
}
inline std::string endpoints(std::string_view name, int port, int count = 1) {
  std::string text = base::cat("cluster_name: ", name, "\nendpoints:\n- lb_endpoints:\n");
  for (int i = 0; i < count; ++i) {
    base::cat_to(text,
                 "  - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ",
                 port + i, " } } }\n");
  }
  return text;
}
inline std::string routes(std::string_view name, std::string_view cluster,
                          std::string_view more = "") {
  return base::cat("name: ", name,
                   "\nvirtual_hosts:\n- name: all\n  domains: [\"*\"]\n  routes:\n"
                   "  - match: { prefix: / }\n    route: { cluster: ",
                   cluster, " }\n", more);
}
inline std::string listener(std::string_view name, std::string_view source, int port = 0) {
  return base::cat(
      "name: ", name, "\naddress: { socket_address: { address: 127.0.0.1, port_value: ", port,
      " } }\n"
      "filter_chains:\n- filters:\n  - name: hcm\n    typed_config:\n"
      "      \"@type\": type.googleapis.com/"
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
      "      stat_prefix: in\n",
      source,
      "      http_filters:\n"
      "      - name: router\n"
      "        typed_config:\n"
      "          \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n");
}
inline std::string rds_listener(std::string_view name, std::string_view routes, int port = 0) {
  return listener(name,
                  base::cat("      rds: { route_config_name: ", routes,
                            ", config_source: { ads: {}, resource_api_version: V3 } }\n"),
                  port);
}
inline std::string direct_listener(std::string_view name, int port = 0) {
  return listener(name,
                  "      route_config:\n        virtual_hosts:\n        - name: all\n"
                  "          domains: [\"*\"]\n          routes:\n"
                  "          - match: { prefix: / }\n"
                  "            direct_response: { status: 200, body: { inline_string: ok } }\n",
                  port);
}

class XdsAssembler : public ::testing::Test {
 protected:
  static dataplane::Server::Options two_workers() {
    dataplane::Server::Options options;
    options.concurrency = 2;
    return options;
  }
  XdsAssembler() : server(two_workers()) {
    options.has_cds = options.has_lds = true;
    options.resolver = &resolver;
    options.run_workers = false;
    options.on_live = [this] { live = true; };
    options.on_failure = [this](const absl::Status& status) { failure = status; };
  }

  Assembler& make() {
    assembler = std::make_unique<Assembler>(options, server, main);
    return *assembler;
  }
  void start() {
    if (!assembler) make();
    ASSERT_TRUE(assembler->start(&subscriptions).ok());
    main.run();
  }
  // What a control plane's response does; returns what was rejected.
  std::vector<Rejected> send(Type type, const std::vector<std::string>& texts,
                             std::vector<std::string> removed = {}) {
    Update update;
    update.type = type;
    update.version = base::cat("v", ++version);
    for (const std::string& text : texts) {
      update.changed.push_back(test::yaml_resource(type, update.version, text));
    }
    update.removed = std::move(removed);
    return send(std::move(update));
  }
  std::vector<Rejected> send(Update update) {
    std::vector<Rejected> out;
    bool done = false;
    assembler->apply(std::move(update), [&](std::vector<Rejected> rejected) {
      out = std::move(rejected);
      done = true;
    });
    EXPECT_TRUE(main.run_until([&] { return done; }));
    main.run();
    return out;
  }
  // Live with cluster "a" and listener "in" on routes "r".
  void go_live() {
    start();
    EXPECT_THAT(send(kC, {eds_cluster("a")}), ::testing::IsEmpty());
    EXPECT_THAT(send(kE, {endpoints("a", 80)}), ::testing::IsEmpty());
    EXPECT_THAT(send(kL, {rds_listener("in", "r")}), ::testing::IsEmpty());
    EXPECT_THAT(send(kR, {routes("r", "a")}), ::testing::IsEmpty());
    ASSERT_TRUE(live);
  }

  // What the last publish made of a cluster: -1 unknown, -2 warming, else how many endpoints.
  int published_endpoints(std::string_view name) {
    const auto* entry = server.builder().cluster(name);
    if (entry == nullptr) return -1;
    if (entry->endpoints == nullptr) return -2;
    return static_cast<int>(entry->endpoints->endpoints().size());
  }
  bool serves(std::string_view listener) { return server.builder().listener(listener) != nullptr; }
  uint64_t published() { return server.builder().version(); }
  bool pending() { return server.builder().changed(); }

  std::string first_address(std::string_view name) {
    const auto* entry = server.builder().cluster(name);
    const bool any =
        entry != nullptr && entry->endpoints != nullptr && !entry->endpoints->endpoints().empty();
    return any ? entry->endpoints->endpoints()[0].address.to_string() : "";
  }

  dataplane::Server server;
  testing::ScriptedResolver resolver;
  test::ManualExecutor main;
  FakeSubscriptions subscriptions;
  Assembler::Options options;
  std::unique_ptr<Assembler> assembler;
  bool live = false;
  absl::Status failure;
  int version = 0;
};

}  // namespace sluice::xds
