#include "xds/config_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tests/admin/admin_site.h"
#include "tests/support/json.h"

namespace sluice::xds {
namespace {

using sluice::test::JsonReader;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr base::WallNs kAt = 1'600'000'000 * base::kNsPerSec + 5 * base::kNsPerMs;

std::string cluster(const std::string& name) {
  ::envoy::config::cluster::v3::Cluster out;
  out.set_name(name);
  out.mutable_connect_timeout()->set_seconds(1);
  out.mutable_load_assignment()->set_cluster_name(name);
  return out.SerializeAsString();
}

std::string listener(const std::string& name, bool inbound = false) {
  ::envoy::config::listener::v3::Listener out;
  out.set_name(name);
  if (inbound) out.set_traffic_direction(::envoy::config::core::v3::INBOUND);
  ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager http;
  http.set_stat_prefix("in");
  http.mutable_route_config()->set_name("inline");
  auto& filters = *out.add_filter_chains();
  filters.add_filters()->mutable_typed_config()->PackFrom(http);
  auto& strange = *filters.add_filters()->mutable_typed_config();
  strange.set_type_url("type.googleapis.com/acme.Strange");
  strange.set_value("abc");
  return out.SerializeAsString();
}

DumpInput input() {
  ::envoy::config::bootstrap::v3::Bootstrap bootstrap;
  bootstrap.mutable_node()->set_id("n1");
  bootstrap.mutable_node()->set_cluster("c1");
  DumpInput in;
  in.bootstrap = bootstrap.SerializeAsString();
  in.started_at = kAt;
  in.clusters_version = "v7";
  const auto add = [&](Type type, bool is_static, std::string name, std::string bytes) {
    in.resources.push_back({.type = type,
                            .is_static = is_static,
                            .name = std::move(name),
                            .version = is_static ? "" : "v7",
                            .bytes = std::move(bytes),
                            .updated_at = kAt});
  };
  add(Type::kCluster, true, "fixed", cluster("fixed"));
  add(Type::kCluster, false, "b", cluster("b"));
  add(Type::kCluster, false, "a", cluster("a"));
  add(Type::kListener, true, "l", listener("l"));
  add(Type::kListener, false, "d", listener("d"));
  in.resources.back().error =
      ErrorState{.details = "l: bad", .version = "v8", .bytes = listener("d"), .at = kAt};
  in.resources.push_back(
      {.type = Type::kCluster,
       .name = "never",
       .error = ErrorState{.details = "no", .version = "v8", .bytes = "", .at = kAt}});
  return in;
}

absl::StatusOr<std::string> dump(DumpQuery query) {
  auto made = ConfigDump::make(input(), std::move(query));
  if (!made.ok()) return made.status();
  std::string out;
  while (made->next(&out)) {
  }
  return out;
}

std::string names_of(const std::string& text) {
  std::string out;
  const auto json = JsonReader(text).read();
  for (const auto& config : json["configs"].items) {
    const std::string& type = config["@type"].text;
    out += type.substr(type.rfind('.') + 1) + " ";
    for (const auto& [key, value] : config.fields) {
      for (const auto& item : value.items) {
        out += key + ":";
        for (const char* field : {"cluster", "listener", "route_config", "endpoint_config"}) {
          if (!item.has(field)) continue;
          const auto& resource = item[field];
          if (resource.has("name")) out += resource["name"].text;
          if (resource.has("cluster_name")) out += resource["cluster_name"].text;
        }
        if (item.has("name")) out += item["name"].text;
        if (item.has("error_state")) out += "!" + item["error_state"]["details"].text;
        out += " ";
      }
    }
  }
  return out;
}

TEST(ConfigDump, ListsEverythingByName) {
  const auto text = dump({});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(names_of(*text),
            "BootstrapConfigDump ClustersConfigDump dynamic_active_clusters:a "
            "dynamic_active_clusters:b dynamic_warming_clusters:!no static_clusters:fixed "
            "ListenersConfigDump dynamic_listeners:d!l: bad static_listeners:l "
            "ScopedRoutesConfigDump RoutesConfigDump static_route_configs:inline "
            "SecretsConfigDump ");
}

// As Envoy prints it: one space a level, @type first, names as the proto spells them.
TEST(ConfigDump, LooksAsEnvoys) {
  const auto text = dump({.resource = "static_clusters", .mask = "", .wants = {}});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text,
            "{\n \"configs\": [\n  {\n   \"@type\": "
            "\"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster\",\n   "
            "\"cluster\": {\n    \"@type\": "
            "\"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\n    \"name\": \"fixed\",\n  "
            "  \"connect_timeout\": \"1s\",\n    \"load_assignment\": {\n     \"cluster_name\": "
            "\"fixed\"\n    }\n   },\n   \"last_updated\": \"2020-09-13T12:26:40.005Z\"\n  }\n "
            "]\n}\n");
}

// Wherever they are: in the bootstrap, in an extension's configuration, in what was refused.
TEST(ConfigDump, WhatIsSecretIsNotShown) {
  namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
  tls::DownstreamTlsContext context;
  auto& certificate = *context.mutable_common_tls_context()->add_tls_certificates();
  certificate.mutable_certificate_chain()->set_inline_string("PUBLIC");
  certificate.mutable_private_key()->set_inline_string("TOP-SECRET");
  certificate.mutable_password()->set_inline_bytes("TOP-SECRET");
  ::envoy::config::listener::v3::Listener out;
  out.set_name("l");
  out.add_filter_chains()->mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
  ::envoy::config::bootstrap::v3::Bootstrap bootstrap;
  auto& secrets = *bootstrap.mutable_static_resources();
  auto& generic = *secrets.add_secrets();
  generic.set_name("generic");
  generic.mutable_generic_secret()->mutable_secret()->set_inline_string("TOP-SECRET");
  *secrets.add_secrets()->mutable_tls_certificate() = certificate;
  secrets.add_secrets()->mutable_session_ticket_keys()->add_keys()->set_inline_bytes("TOP-SECRET");

  DumpInput in{.bootstrap = bootstrap.SerializeAsString()};
  in.resources.push_back({.type = Type::kListener, .name = "l", .bytes = out.SerializeAsString()});
  in.resources.push_back(
      {.type = Type::kListener,
       .name = "m",
       .error = ErrorState{
           .details = "no", .version = "1", .bytes = out.SerializeAsString(), .at = kAt}});
  auto made = ConfigDump::make(std::move(in), {});
  ASSERT_TRUE(made.ok()) << made.status();
  std::string text;
  while (made->next(&text)) {
  }
  EXPECT_THAT(text, Not(HasSubstr("TOP-SECRET")));
  EXPECT_THAT(text, Not(HasSubstr("VE9QLVNFQ1JFV")));  // the same in base64
  EXPECT_THAT(text, HasSubstr("PUBLIC"));
  EXPECT_THAT(text, HasSubstr("\"generic\""));
  EXPECT_THAT(text, HasSubstr("\"inline_string\": \"[redacted]\""));
}

// ---- What comes in parts.

std::string scoped_listener(const std::string& name, const std::string& set, bool subscribed) {
  ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager http;
  http.mutable_scoped_routes()->set_name(set);
  if (subscribed) {
    http.mutable_scoped_routes()->mutable_scoped_rds();
  } else {
    auto& list = *http.mutable_scoped_routes()->mutable_scoped_route_configurations_list();
    list.add_scoped_route_configurations()->set_name("inside");
  }
  ::envoy::config::listener::v3::Listener out;
  out.set_name(name);
  out.add_filter_chains()->add_filters()->mutable_typed_config()->PackFrom(http);
  return out.SerializeAsString();
}

sluice::test::Json list_of_parts(std::vector<DumpResource> resources, const char* list) {
  DumpInput in;
  in.resources = std::move(resources);
  auto made = ConfigDump::make(std::move(in),
                               {.resource = list, .mask = "", .include_eds = true, .wants = {}});
  EXPECT_TRUE(made.ok()) << made.status();
  std::string text;
  while (made->next(&text)) {
  }
  return JsonReader(text).read()["configs"];
}

TEST(ConfigDump, ScopesAreShownAsTheSetsOfTheirListeners) {
  const auto scope = [](const std::string& name, const std::string& version) {
    ::envoy::config::route::v3::ScopedRouteConfiguration out;
    out.set_name(name);
    return DumpResource{.type = Type::kScopedRoute,
                        .name = name,
                        .version = version,
                        .bytes = out.SerializeAsString(),
                        .updated_at = kAt};
  };
  std::vector<DumpResource> all = {
      {.type = Type::kListener, .name = "l", .bytes = scoped_listener("l", "set", true)},
      {.type = Type::kListener, .name = "m", .bytes = scoped_listener("m", "set", true)},
      {.type = Type::kListener,
       .is_static = true,
       .name = "n",
       .bytes = scoped_listener("n", "own", false),
       .updated_at = kAt},
      scope("b", "v2"),
      scope("a", "v2"),
  };
  const auto dynamic = list_of_parts(all, "dynamic_scoped_route_configs");
  ASSERT_EQ(dynamic.items.size(), 1u);
  EXPECT_EQ(dynamic.items[0]["name"].text, "set");
  EXPECT_EQ(dynamic.items[0]["version_info"].text, "v2");
  EXPECT_EQ(dynamic.items[0]["client_status"].text, "ACKED");
  EXPECT_EQ(dynamic.items[0]["last_updated"].text, "2020-09-13T12:26:40.005Z");
  ASSERT_EQ(dynamic.items[0]["scoped_route_configs"].items.size(), 2u);
  EXPECT_EQ(dynamic.items[0]["scoped_route_configs"].items[0]["name"].text, "a");
  const auto own = list_of_parts(all, "inline_scoped_route_configs");
  ASSERT_EQ(own.items.size(), 1u);
  EXPECT_EQ(own.items[0]["name"].text, "own");
  EXPECT_EQ(own.items[0]["scoped_route_configs"].items[0]["name"].text, "inside");
}

TEST(ConfigDump, VirtualHostsOfVhdsAreShownInTheirRoutes) {
  ::envoy::config::route::v3::RouteConfiguration routes;
  routes.set_name("r");
  routes.mutable_vhds();
  routes.add_virtual_hosts()->set_name("own");
  const auto host = [](const std::string& resource, const std::string& name) {
    ::envoy::config::route::v3::VirtualHost out;
    out.set_name(name);
    return DumpResource{
        .type = Type::kVirtualHost, .name = resource, .bytes = out.SerializeAsString()};
  };
  const auto shown =
      list_of_parts({{.type = Type::kRoute, .name = "r", .bytes = routes.SerializeAsString()},
                     host("r/one", "one"),
                     host("other/two", "two"),
                     host("r/x/y", "three")},
                    "dynamic_route_configs");
  ASSERT_EQ(shown.items.size(), 1u);
  const auto& hosts = shown.items[0]["route_config"]["virtual_hosts"];
  ASSERT_EQ(hosts.items.size(), 2u);
  EXPECT_EQ(hosts.items[0]["name"].text, "own");
  EXPECT_EQ(hosts.items[1]["name"].text, "one");
}

TEST(ConfigDump, EndpointsOfLedsAreShownInTheirLocality) {
  const std::string type = "xdstp://a/envoy.config.endpoint.v3.LbEndpoint/";
  ::envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  assignment.set_cluster_name("c");
  assignment.add_endpoints()->mutable_leds_cluster_locality_config()->set_leds_collection_name(
      type + "%67/*");
  const auto point = [&](const std::string& name, const std::string& endpoint) {
    ::envoy::config::endpoint::v3::LbEndpoint out;
    out.set_endpoint_name(endpoint);
    return DumpResource{
        .type = Type::kLbEndpoint, .name = type + name, .bytes = out.SerializeAsString()};
  };
  const auto shown = list_of_parts(
      {{.type = Type::kEndpoint, .name = "c", .bytes = assignment.SerializeAsString()},
       point("g/b", "b"),
       point("g/a", "a"),
       point("h/a", "no")},
      "dynamic_endpoint_configs");
  ASSERT_EQ(shown.items.size(), 1u);
  const auto& points = shown.items[0]["endpoint_config"]["endpoints"].items[0]["lb_endpoints"];
  ASSERT_EQ(points.items.size(), 2u);
  EXPECT_EQ(points.items[0]["endpoint_name"].text, "a");
  EXPECT_EQ(points.items[1]["endpoint_name"].text, "b");
}

TEST(ConfigDump, QueriesNarrowIt) {
  struct Row {
    const char* resource;
    const char* mask;
    const char* name;  // the only one
    bool eds;
    const char* expected;
  };
  for (const Row& row : {
           Row{"dynamic_active_clusters", "", "", false, "DynamicCluster DynamicCluster "},
           Row{"", "static_clusters", "", false, "ClustersConfigDump static_clusters:fixed "},
           Row{"", "bootstrap", "", false, "BootstrapConfigDump "},
           Row{"static_endpoint_configs", "", "", true, "StaticEndpointConfig "},
           Row{"static_secrets", "", "", false, ""},
           Row{"", "", "b", false,
               "BootstrapConfigDump ClustersConfigDump dynamic_active_clusters:b "
               "ListenersConfigDump ScopedRoutesConfigDump RoutesConfigDump SecretsConfigDump "},
       }) {
    SCOPED_TRACE(base::cat(row.resource, " ", row.mask, " ", row.name));
    DumpQuery query{
        .resource = row.resource, .mask = row.mask, .include_eds = row.eds, .wants = {}};
    if (row.name[0] != '\0') {
      query.wants = [&](std::string_view name) { return name == row.name; };
    }
    const auto text = dump(std::move(query));
    ASSERT_TRUE(text.ok());
    EXPECT_EQ(names_of(*text), row.expected);
  }
}

TEST(ConfigDump, MaskReachesIntoResources) {
  const auto text =
      dump({.resource = "dynamic_active_clusters", .mask = "cluster.name", .wants = {}});
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("\"name\": \"a\""));
  EXPECT_THAT(*text, Not(HasSubstr("connect_timeout")));
  EXPECT_THAT(*text, Not(HasSubstr("last_updated")));
}

TEST(ConfigDump, UnknownTypesAreExplained) {
  const auto text = dump({.resource = "static_listeners", .mask = "", .wants = {}});
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("type.googleapis.com/acme.Strange: 3 bytes of a type that this "
                               "build does not know"));
  EXPECT_THAT(*text, HasSubstr("\"stat_prefix\": \"in\""));
}

TEST(ConfigDump, WrongQueriesAreRefused) {
  EXPECT_EQ(dump({.resource = "nope", .mask = "", .wants = {}}).status().ToString(),
            "NOT_FOUND: nope not found in config dump");
  EXPECT_TRUE(
      absl::IsInvalidArgument(dump({.resource = "bootstrap", .mask = "", .wants = {}}).status()));
}

TEST(ConfigDump, InboundListeners) {
  EXPECT_TRUE(is_inbound_listener(listener("a", true)));
  EXPECT_FALSE(is_inbound_listener(listener("a")));
  EXPECT_FALSE(is_inbound_listener("\xff"));
}

TEST(ConfigDump, IsServed) {
  admin::Sources sources;
  sources.config = [] { return input(); };
  sluice::testing::AdminSite site(std::move(sources));
  const auto all = site.get("/config_dump?include_eds");
  EXPECT_EQ(all.field("content-type"), "application/json");
  EXPECT_THAT(names_of(all.body), HasSubstr("EndpointsConfigDump static_endpoint_configs:fixed"));
  EXPECT_EQ(site.get("/config_dump?resource=nope").status(), 404);
  EXPECT_EQ(site.get("/config_dump?resource=bootstrap").status(), 400);
  EXPECT_EQ(site.get("/config_dump?name_regex=[").status(), 400);
  EXPECT_THAT(site.get("/config_dump?name_regex=^a$").body, Not(HasSubstr("\"fixed\"")));
}

}  // namespace
}  // namespace sluice::xds
