#include "xds/bootstrap.h"

#include <gmock/gmock.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>

#include "base/text.h"
#include "tests/xds/messages.h"
#include "xds/support.h"

namespace sluice::xds {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Flags flags_for(std::string_view file) {
  Flags flags;
  flags.config_path = base::cat("tests/xds/data/", file);
  return flags;
}

Flags flags_with(std::string_view yaml) {
  Flags flags;
  flags.config_yaml = std::string(yaml);
  return flags;
}

std::string refused(const Flags& flags) {
  const auto bootstrap = load_bootstrap(flags);
  EXPECT_FALSE(bootstrap.ok());
  return std::string(base::message_of(bootstrap.status()));
}

std::string node_text(const Bootstrap& bootstrap) {
  const auto node = new_message("envoy.config.core.v3.Node");
  EXPECT_TRUE(node->ParseFromString(bootstrap.node.bytes));
  return text_of(*node);
}

const GrpcSource& ads_of(const Bootstrap& bootstrap) { return bootstrap.sources->value(kAds).grpc; }

TEST(Bootstrap, ReadsTheShapeOfTheQuickStart) {
  const auto got = load_bootstrap(flags_for("quick_start_static.yaml"));
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_TRUE(got->admin.has_value());
  EXPECT_EQ(got->admin->address.to_string(), "127.0.0.1:9901");
  ASSERT_EQ(got->listeners.size(), 1U);
  EXPECT_EQ(got->listeners[0].value.name, "listener_0");
  EXPECT_EQ(got->listeners[0].value.addresses[0].to_string(), "0.0.0.0:10000");
  EXPECT_EQ(got->listeners[0].value.http.inline_routes->virtual_hosts[0]->routes[0].forward.cluster,
            "service_a");
  EXPECT_FALSE(got->listeners[0].bytes.empty());
  ASSERT_EQ(got->clusters.size(), 1U);
  EXPECT_FALSE(got->has_ads || got->lds.has_value() || got->cds.has_value());
  EXPECT_TRUE(got->warnings.empty());
  EXPECT_THAT(got->locate("static_resources.listeners[0].address"),
              HasSubstr("quick_start_static.yaml:8:5"));
}

TEST(Bootstrap, ReadsTheShapeOfGoControlPlanesSample) {
  const auto got = load_bootstrap(flags_for("go_control_plane.yaml"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->node.id, "test-id");
  ASSERT_TRUE(got->has_ads && got->lds.has_value() && got->cds.has_value());
  ASSERT_EQ(ads_of(*got).servers.size(), 1U);
  const ControlPlane& server = ads_of(*got).servers[0];
  EXPECT_EQ(server.target, "dns:///control-plane.local:18000");
  EXPECT_EQ(server.authority, "xds_cluster");
  EXPECT_EQ(server.keepalive_interval, 30s);
  EXPECT_EQ(server.keepalive_timeout, 5s);
  EXPECT_EQ(server.backoff_base, 500ms);
  EXPECT_EQ(server.backoff_max, 30s);
  EXPECT_FALSE(ads_of(*got).set_node_on_first_message_only || ads_of(*got).rate_limit.has_value());
  EXPECT_EQ(got->lds->initial_fetch_timeout, 15s);
  ASSERT_EQ(got->clusters.size(), 1U);  // by name and over HTTP/2: fit for traffic, too
  EXPECT_EQ(got->clusters[0].value.name, "xds_cluster");
  EXPECT_TRUE(got->control_plane_clusters.empty());
  EXPECT_EQ(got->admin->access_logs[0].path, "/dev/null");
}

TEST(Bootstrap, ReadsTheShapeOfASidecars) {
  const auto got = load_bootstrap(flags_for("istio_like.json"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->node.zone, "eu-1");
  const std::string node = node_text(*got);
  EXPECT_THAT(node, HasSubstr("user_agent_name: \"sluice\""));
  EXPECT_THAT(node, HasSubstr("key: \"ISTIO_VERSION\" value { string_value: \"1.29.0\" }"));
  EXPECT_THAT(node, HasSubstr("key: \"ENVOY_PROMETHEUS_PORT\" value { number_value: 15090 }"));
  EXPECT_THAT(node, Not(HasSubstr("does_not_support_overprovisioning")));
  const ControlPlane& server = ads_of(*got).servers[0];
  EXPECT_EQ(server.target, "unix:./etc/istio/proxy/XDS");
  EXPECT_THAT(server.metadata, ElementsAre(std::pair<std::string, std::string>("x-tenant", "a")));
  EXPECT_TRUE(ads_of(*got).set_node_on_first_message_only);
  EXPECT_EQ(got->lds->initial_fetch_timeout, 0s);
  EXPECT_EQ(got->cds->initial_fetch_timeout, 0s);
  ASSERT_EQ(got->listeners.size(), 1U);
  EXPECT_EQ(got->listeners[0].value.name, "0.0.0.0:15090");  // has none of its own
  EXPECT_FALSE(got->warnings.empty());
}

TEST(Bootstrap, ReadsTheShapeOfAGateways) {
  const auto got = load_bootstrap(flags_for("envoy_gateway_like.yaml"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(ads_of(*got).servers[0].target, "ipv4:127.0.0.1:18000,127.0.0.2:18000");
  EXPECT_EQ(ads_of(*got).servers[0].backoff_base, 1s);
  EXPECT_EQ(ads_of(*got).servers[0].backoff_max, 20s);
  EXPECT_EQ(ads_of(*got).servers[0].connect_timeout, 10s);
  EXPECT_EQ(ads_of(*got).servers[0].keepalive_interval, 30s);
  EXPECT_EQ(ads_of(*got).rate_limit->max_tokens, 50U);
  EXPECT_EQ(ads_of(*got).rate_limit->tokens_per_second, 10);
  EXPECT_EQ(got->stats_flush_interval, 2000ms);
  EXPECT_EQ(got->local_cluster_name, "local");
  ASSERT_EQ(got->clusters.size(), 2U);  // the control plane's own, over HTTP/2, and a local one
}

TEST(Bootstrap, MergesTextOverTheFileAndFlagsOverBoth) {
  Flags flags = flags_for("go_control_plane.yaml");
  flags.config_yaml =
      R"({"node": {"id": "other"}, "staticResources": {"clusters": {"name": "c", "load_assignment":
      {"cluster_name": "c"}}}, "admin": {"address": {"socket_address": {"address": "127.0.0.1",
      "port_value": 1}}}})";
  flags.service_cluster = "from-flag";
  flags.service_zone = "z9";
  const auto got = load_bootstrap(flags);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->node.id, "other");
  EXPECT_EQ(got->node.cluster, "from-flag");
  EXPECT_EQ(got->node.zone, "z9");
  EXPECT_EQ(got->admin->address.port(), 1);
  ASSERT_EQ(got->clusters.size(), 2U);
  EXPECT_EQ(got->clusters[1].value.name, "c");
  EXPECT_THAT(got->locate("static_resources.clusters[1].name"), HasSubstr("--config-yaml:1:"));
  EXPECT_THAT(got->locate("static_resources.clusters[0].name"), HasSubstr(".yaml:22:5"));
}

// A cluster, a listener and a route in one line each.
constexpr std::string_view kCluster1 = "{name: c, load_assignment: {cluster_name: c}}";
std::string listener1(std::string_view name, std::string_view cluster) {
  return base::cat(
      "{name: ", name,
      ", address: {socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: {filters: "
      "{name: h, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
      "HttpConnectionManager, stat_prefix: s, http_filters: {name: r, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}, route_config: {name: "
      "x, virtual_hosts: {name: v, domains: a, routes: {match: {prefix: /}, route: {cluster: ",
      cluster, "}}}}}}}}");
}
std::string with_static(std::string_view listeners, std::string_view clusters) {
  return base::cat("static_resources:\n  listeners: [", listeners, "]\n  clusters: [", clusters,
                   "]\n");
}
std::string with_ads(std::string_view ads, std::string_view cluster) {
  return base::cat("node: {id: a, cluster: b}\ndynamic_resources: {ads_config: {", ads,
                   "}}\nstatic_resources: {clusters: [", cluster, "]}\n");
}

TEST(Bootstrap, NamesPlacePathAndRemedy) {
  constexpr std::string_view kGrpc =
      "api_type: GRPC, transport_api_version: V3, grpc_services: {envoy_grpc: {cluster_name: x}}";
  const struct {
    std::string yaml;
    std::string_view message;
  } kRows[] = {
      {"static_resources: {clusters: [{nam: c}]}",
       "--config-yaml:1:32: static_resources.clusters[0].nam: no such field in "
       "envoy.config.cluster.v3.Cluster; did you mean \"name\"?"},
      {with_static("", base::cat(kCluster1, ", ", kCluster1)),
       "--config-yaml:3:62: static_resources.clusters[1].name: given twice: \"c\"; rename one of "
       "them"},
      {with_static(listener1("a", "c") + ",\n" + listener1("a", "c"), kCluster1),
       "--config-yaml:3:2: static_resources.listeners[1].name: given twice: \"a\"; rename one of "
       "them"},
      {with_static(listener1("a", "nowhere"), kCluster1),
       "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config."
       "virtual_hosts[0].routes[0]: no such cluster: \"nowhere\"; add it to "
       "static_resources.clusters, or set validate_clusters: false"},
      {with_static("", "{name: c, lb_policy: MAGLEV, load_assignment: {cluster_name: c}}"),
       "--config-yaml:3:24: cluster \"c\": lb_policy: not supported yet: MAGLEV; use ROUND_ROBIN, "
       "LEAST_REQUEST or RANDOM"},
      {with_ads("api_type: REST, transport_api_version: V3", ""),
       "--config-yaml:2:34: dynamic_resources.ads_config.api_type: REST carries no aggregated "
       "stream; set api_type: GRPC"},
      {with_ads("api_type: AGGREGATED_GRPC, transport_api_version: V3", ""),
       "dynamic_resources.ads_config.api_type: not a way to reach a server: AGGREGATED_GRPC"},
      {with_ads("api_type: GRPC", ""),
       "dynamic_resources.ads_config.transport_api_version: must be V3: AUTO; version 2 of the API "
       "is gone"},
      {with_ads(kGrpc, ""),
       "dynamic_resources.ads_config.grpc_services[0].envoy_grpc.cluster_name: no such cluster: "
       "\"x\"; add it to static_resources.clusters"},
      {with_ads(kGrpc, "{name: x, load_assignment: {cluster_name: x}}"),
       "static_resources.clusters[0].load_assignment: the cluster has no endpoint"},
      {with_ads(kGrpc,
                R"({name: x, transport_socket: {name: t, typed_config: {"@type":
 type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}},
 load_assignment: {cluster_name: x, endpoints: {lb_endpoints: {endpoint: {address: {pipe: {path: /a}}}}}}})"),
       "static_resources.clusters[0].transport_socket.typed_config: TLS is not supported yet"},
      {"dynamic_resources: {lds_config: {ads: {}}}",
       "node.id: is required with dynamic_resources; write it here, or give it by --service-node"},
      {"node: {id: a, cluster: b}\ndynamic_resources: {lds_config: {ads: {}}}",
       "--config-yaml:2:21: dynamic_resources.lds_config: refers to the aggregated stream, but "
       "dynamic_resources.ads_config is missing; add it"},
      {"node: {id: a, cluster: b}\ndynamic_resources: {lds_config: {path: /a}}",
       "--config-yaml:2:34: dynamic_resources.lds_config.path: no such file: \"/a\"; it must be "
       "there from the beginning"},
      {"node: {id: a, cluster: b}\ndynamic_resources: {lds_config: {resource_api_version: V3}}",
       "dynamic_resources.lds_config.config_source_specifier: one of path, path_config_source, "
       "api_config_source, ads, self is required"},
      {"node: {id: a, cluster: b}\ndynamic_resources: {cds_config: {api_config_source: {api_type: "
       "GRPC, transport_api_version: V3, grpc_services: {envoy_grpc: {cluster_name: x}}}}}",
       "dynamic_resources.cds_config.api_config_source.grpc_services[0].envoy_grpc.cluster_name: "
       "no such cluster: \"x\""},
      {"bootstrap_extensions: {name: a, typed_config: {'@type': type.googleapis.com/a.B}}",
       "--config-yaml:1:33: bootstrap_extensions[0].typed_config: this extension is not supported "
       "yet: \"a.B\"; remove it"},
      {"admin: {address: {socket_address: {address: here, port_value: 1}}}",
       "--config-yaml:1:36: admin.address.socket_address.address: not an IP address: \"here\""},
      {"stats_flush_interval: 400s", "--config-yaml:1:1: stats_flush_interval: must be"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(refused(flags_with(row.yaml)), HasSubstr(std::string(row.message))) << row.yaml;
  }
  EXPECT_EQ(refused({}), "no bootstrap; give one by -c FILE or --config-yaml TEXT");
  EXPECT_THAT(refused(flags_for("none.yaml")),
              HasSubstr("none.yaml: cannot be read: No such file or directory; check the path"));
}

TEST(Bootstrap, AllowsUnknownFieldsWhenTold) {
  Flags flags = flags_with(
      "new_field: 1\nstatic_resources: {clusters: [{name: c, later: {}, "
      "load_assignment: {cluster_name: c}}]}");
  EXPECT_THAT(refused(flags), HasSubstr("--config-yaml:1:1: new_field: no such field"));
  flags.allow_unknown_static_fields = true;
  const auto got = load_bootstrap(flags);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->warnings.texts().size(), 2U);
}

TEST(Bootstrap, NamesTheResolverOfClustersThatSayNothing) {
  const auto got = load_bootstrap(flags_with(
      "dns_resolution_config: { resolvers: [ { socket_address: { address: 10.0.0.53, "
      "port_value: 53 } } ], dns_resolver_options: { use_tcp_for_dns_lookups: true } }"));
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->resolver.servers.size(), 1U);
  EXPECT_EQ(got->resolver.servers[0].to_string(), "10.0.0.53:53");
  EXPECT_TRUE(got->resolver.use_tcp);
  const auto none = load_bootstrap(flags_with("node: { id: a }"));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->resolver, net::ResolverConfig{});
  EXPECT_THAT(refused(flags_with("dns_resolution_config: { resolvers: [ { socket_address: { "
                                 "address: ns.test, port_value: 53 } } ] }")),
              HasSubstr("dns_resolution_config.resolvers[0].socket_address.address: not an IP"));
}

TEST(Bootstrap, RoutesToClustersOfTheControlPlaneAreNotItsToCheck) {
  const auto got = load_bootstrap(flags_with(base::cat(
      R"({node: {id: a, cluster: b}, dynamic_resources: {cds_config: {ads: {}}, ads_config: {
      api_type: GRPC, transport_api_version: V3, grpc_services: {google_grpc: {target_uri: "x:1",
      stat_prefix: x}}}}, static_resources: {listeners: )",
      listener1("a", "later"), "}}")));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(ads_of(*got).servers[0].target, "x:1");
}

// docs/config_support.md is printed from the table. SLUICE_UPDATE_DOCS=1 writes it.
TEST(Support, DocumentIsTrueToTheTable) {
  const std::string path = "docs/config_support.md";
  const std::string wanted = support_markdown();
  if (getenv("SLUICE_UPDATE_DOCS") != nullptr) std::ofstream(path) << wanted;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), wanted) << "run test_xds with SLUICE_UPDATE_DOCS=1 and commit the file";
}

}  // namespace
}  // namespace sluice::xds
