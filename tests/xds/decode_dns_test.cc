#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/xds/decoding.h"
#include "xds/decode.h"

namespace sluice::xds {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using upstream::ClusterValue;

std::string named(std::string_view address, std::string_view more = "", int port = 80) {
  return base::cat("{endpoint: {address: {socket_address: {address: ", address,
                   ", port_value: ", port, "}}}", more, "}");
}
std::string dns_cluster(std::string_view endpoints, std::string_view more = "",
                        std::string_view type = "STRICT_DNS") {
  return base::cat("{name: c, type: ", type, ", ", more,
                   "load_assignment: {cluster_name: c, endpoints: [", endpoints, "]}}");
}
std::string one_name(std::string_view more = "", std::string_view type = "STRICT_DNS") {
  return dns_cluster(base::cat("{lb_endpoints: [", named("a.test"), "]}"), more, type);
}

TEST(DecodeDns, NamesKeepTheirPlaces) {
  Warned warned;
  const auto got =
      cluster_of(dns_cluster(base::cat("{lb_endpoints: [", named("a.test"), ", ", named("10.0.0.1"),
                                       ", ", named("b.test.", ", load_balancing_weight: 3", 81),
                                       "]}, {priority: 1, lb_endpoints: [", named("a.test"), "]}")),
                 &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->discovery, ClusterValue::Discovery::kDns);
  EXPECT_THAT(warned.texts, IsEmpty());
  const upstream::DnsValue& dns = *got->dns;
  EXPECT_FALSE(dns.assignment.one_host);
  ASSERT_EQ(dns.assignment.localities.size(), 2u);
  ASSERT_EQ(dns.assignment.localities[0].endpoints.size(), 3u);
  EXPECT_EQ(dns.assignment.localities[0].endpoints[1].address.to_string(), "10.0.0.1:80");
  EXPECT_EQ(dns.assignment.localities[0].endpoints[2].weight, 3u);
  using Name = upstream::DnsValue::Name;
  EXPECT_EQ(dns.names,
            (std::vector<Name>{{0, 0, "a.test", 80}, {0, 2, "b.test.", 81}, {1, 0, "a.test", 80}}));
  upstream::DnsValue defaults;
  defaults.assignment = dns.assignment;
  defaults.names = dns.names;
  EXPECT_EQ(dns, defaults);
}

TEST(DecodeDns, TakesTimesAndFamily) {
  const auto got = cluster_of(one_name(
      "dns_refresh_rate: 60s, respect_dns_ttl: true, dns_jitter: 0.1s, dns_lookup_family: "
      "V4_PREFERRED, dns_failure_refresh_rate: {base_interval: 2s}, wait_for_warm_on_init: false, ",
      "LOGICAL_DNS"));
  ASSERT_TRUE(got.ok()) << got.status();
  const upstream::DnsValue& dns = *got->dns;
  EXPECT_TRUE(dns.assignment.one_host);
  EXPECT_EQ(dns.refresh, 60s);
  EXPECT_TRUE(dns.respect_ttl);
  EXPECT_EQ(dns.jitter, 100ms);
  EXPECT_EQ(dns.family, net::LookupFamily::kV4First);
  EXPECT_EQ(dns.failure_base, 2s);
  EXPECT_EQ(dns.failure_max, 20s);
  EXPECT_FALSE(dns.wait_for_warm);
  EXPECT_FALSE(dns.resolver.has_value());
  const std::pair<const char*, net::LookupFamily> kFamilies[] = {
      {"AUTO", net::LookupFamily::kAuto},
      {"V4_ONLY", net::LookupFamily::kV4Only},
      {"V6_ONLY", net::LookupFamily::kV6Only},
      {"ALL", net::LookupFamily::kAll}};
  for (const auto& [name, family] : kFamilies) {
    const auto one = cluster_of(one_name(base::cat("dns_lookup_family: ", name, ", ")));
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_EQ(one->dns->family, family) << name;
  }
}

constexpr std::string_view kServer =
    "{socket_address: {protocol: UDP, address: 10.0.0.53, port_value: 5353}}";

TEST(DecodeDns, TheNewestWayToNameResolversCounts) {
  const std::string cares = base::cat(
      R"(typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {"@type":
       type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,
       resolvers: [)",
      kServer,
      "], use_resolvers_as_fallback: true, filter_unroutable_families: true, dns_resolver_options: "
      "{use_tcp_for_dns_lookups: true, no_default_search_domain: true}}}, ");
  const std::string older = base::cat("dns_resolution_config: {resolvers: [", kServer, ", ",
                                      "{socket_address: {address: '::1', port_value: 0}}]}, ");
  const std::string oldest =
      base::cat("dns_resolvers: [", kServer, "], use_tcp_for_dns_lookups: true, ");
  const auto typed = cluster_of(one_name(cares + older + oldest));
  ASSERT_TRUE(typed.ok()) << typed.status();
  net::ResolverConfig wanted;
  wanted.servers = {*base::Address::ip("10.0.0.53", 5353)};
  wanted.servers_as_fallback = wanted.filter_unroutable = wanted.use_tcp =
      wanted.no_search_domains = true;
  EXPECT_EQ(typed->dns->resolver, wanted);
  const auto second = cluster_of(one_name(older + oldest));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->dns->resolver->servers.size(), 2u);
  EXPECT_FALSE(second->dns->resolver->use_tcp);
  const auto third = cluster_of(one_name(oldest));
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(third->dns->resolver->use_tcp);
  EXPECT_EQ(third->dns->resolver->servers.size(), 1u);
}

// istiod names a resolver, but no servers: the system's, whatever the bootstrap says.
TEST(DecodeDns, AResolverWithoutServersIsTheSystems) {
  Warned warned;
  const auto got = cluster_of(
      one_name(
          R"(typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {
    "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,
    udp_max_queries: 100}}, )"),
      &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->dns->resolver, net::ResolverConfig{});
  EXPECT_THAT(warned.texts, ElementsAre(HasSubstr("udp_max_queries")));
}

TEST(DecodeDns, RefusesWithPathAndRemedy) {
  const std::string at =
      "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address";
  const std::string two =
      base::cat("{lb_endpoints: [", named("a.test"), ", ", named("b.test"), "]}");
  const struct {
    std::string yaml;
    std::string message;
  } kRows[] = {
      {"{name: c, type: STRICT_DNS}",
       "load_assignment: is required for a cluster of type STRICT_DNS"},
      {dns_cluster(two, "", "LOGICAL_DNS"),
       "load_assignment.endpoints: a cluster of type LOGICAL_DNS has one locality with one "
       "endpoint; use STRICT_DNS for more"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {pipe: {path: /x}}}}]}"),
       at + ": is required: endpoints of DNS clusters have names or IP addresses"},
      {dns_cluster(base::cat("{lb_endpoints: [", named("'a b'"), "]}")),
       at + ".address: neither an IP address nor a DNS name: \"a b\""},
      {dns_cluster(base::cat("{lb_endpoints: [", named("a..b"), "]}")),
       at + ".address: neither an IP address nor a DNS name: \"a..b\""},
      {dns_cluster(base::cat("{lb_endpoints: [", named("a.test", "", 0), "]}")),
       at + ".port_value: 0 is not a port to connect to"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, "
                   "named_port: http}}}}]}"),
       at + ".named_port: not supported yet, and not safe to ignore; remove it"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, "
                   "resolver_name: r, port_value: 1}}}}]}"),
       at + ".resolver_name: not supported yet, and not safe to ignore; remove it"},
      {one_name("dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}, "),
       "dns_failure_refresh_rate.max_interval: must not be below base_interval"},
      {one_name("dns_jitter: -1s, "), "dns_jitter: must be zero or more: -1s 0ns"},
      {one_name("dns_resolvers: [{socket_address: {address: ns.test, port_value: 53}}], "),
       "dns_resolvers[0].socket_address.address: not an IP address: \"ns.test\"; a DNS server has "
       "no name"},
      {one_name("dns_resolution_config: {resolvers: [{pipe: {path: /x}}]}, "),
       "dns_resolution_config.resolvers[0].socket_address: is required"},
      {one_name(R"(typed_dns_resolver_config: {name: apple, typed_config: {"@type":
       type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}, )"),
       "typed_dns_resolver_config.typed_config: not supported yet: "
       "\"envoy.extensions.filters.http.router.v3.Router\"; use envoy.network.dns_resolver.cares"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.yaml);
    const auto got = cluster_of(row.yaml);
    EXPECT_EQ(message_of(got), base::cat("cluster \"c\": ", row.message));
  }
}

}  // namespace
}  // namespace sluice::xds
