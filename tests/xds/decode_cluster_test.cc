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

constexpr std::string_view kOneHost =
    "load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: "
    "{socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}";

TEST(DecodeCluster, IsStaticWithoutAType) {
  const auto got = cluster_of(base::cat("{name: c, ", kOneHost, "}"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->discovery, ClusterValue::Discovery::kStatic);
  EXPECT_EQ(got->balancer, ClusterValue::Balancer::kRoundRobin);
  ASSERT_EQ(got->static_endpoints->localities.size(), 1U);
  EXPECT_EQ(got->static_endpoints->localities[0].endpoints[0].address.to_string(), "127.0.0.1:1");
  EXPECT_EQ(got->transport, upstream::TransportValue{});
  EXPECT_EQ(got->source, "cluster \"c\"");
}

TEST(DecodeCluster, TakesWhatEdsClustersSay) {
  const auto got = cluster_of(R"({name: c, alt_stat_name: a, type: EDS, eds_cluster_config: {
    service_name: s, eds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 2s}},
    connect_timeout: 0.25s, per_connection_buffer_limit_bytes: 32768, lb_policy: LEAST_REQUEST,
    least_request_lb_config: {choice_count: 4},
    common_lb_config: {healthy_panic_threshold: {value: 20}},
    circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 2, max_requests: 3,
      max_retries: 4}, {priority: HIGH, max_requests: 9}]},
    upstream_connection_options: {tcp_keepalive: {keepalive_time: 300}},
    upstream_bind_config: {source_address: {address: 127.0.0.6, port_value: 0}},
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
      common_http_protocol_options: {idle_timeout: 9s, max_requests_per_connection: 7},
      explicit_http_config: {http_protocol_options: {}}}}})");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->discovery, ClusterValue::Discovery::kEds);
  EXPECT_EQ(got->eds_service_name, "s");
  EXPECT_EQ(got->eds_initial_fetch_timeout, 2s);
  EXPECT_EQ(got->alt_stat_name, "a");
  EXPECT_EQ(got->balancer, ClusterValue::Balancer::kLeastRequest);
  EXPECT_EQ(got->choice_count, 4U);
  EXPECT_EQ(got->healthy_panic_threshold_pct, 20U);
  EXPECT_EQ(got->breakers_default.max_connections, 1U);
  EXPECT_EQ(got->breakers_default.max_retries, 4U);
  EXPECT_EQ(got->breakers_high.max_requests, 9U);
  EXPECT_EQ(got->breakers_high.max_connections, 1024U);
  EXPECT_EQ(got->transport.connect_timeout, 250ms);
  EXPECT_EQ(got->transport.buffer_limit_bytes, 32768U);
  EXPECT_EQ(got->transport.idle_timeout, 9s);
  EXPECT_EQ(got->transport.max_requests_per_connection, 7U);
  EXPECT_TRUE(got->transport.tcp_keepalive);
  EXPECT_EQ(got->transport.keepalive_time_s, 300U);
  EXPECT_EQ(got->transport.bind->to_string(), "127.0.0.6:0");
}

TEST(DecodeCluster, TakesDeprecatedFieldsAndTypedPolicies) {
  const auto old =
      cluster_of(base::cat("{name: c, max_requests_per_connection: 3, "
                           "common_http_protocol_options: {idle_timeout: 4s}, ",
                           kOneHost, "}"));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->transport.max_requests_per_connection, 3U);
  EXPECT_EQ(old->transport.idle_timeout, 4s);
  const auto typed = cluster_of(base::cat(R"({name: c, load_balancing_policy: {policies: [
    {typed_extension_config: {name: a, typed_config: {"@type":
     type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev}}},
    {typed_extension_config: {name: b, typed_config: {"@type":
     type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random}}}]}, )",
                                          kOneHost, "}"));
  ASSERT_TRUE(typed.ok()) << typed.status();
  EXPECT_EQ(typed->balancer, ClusterValue::Balancer::kRandom);
}

// As meshes send it for what must not be reached.
TEST(DecodeCluster, AStaticOneMayHaveNoEndpoints) {
  const auto got = cluster_of("{name: BlackHoleCluster, type: STATIC, connect_timeout: 10s}");
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_TRUE(got->static_endpoints.has_value());
  EXPECT_TRUE(got->static_endpoints->localities.empty());
}

TEST(DecodeCluster, RefusesWithPathAndRemedy) {
  const std::string host(kOneHost);
  const struct {
    std::string yaml;
    std::string_view message;
  } kRows[] = {
      {"{name: c, type: EDS}", "eds_cluster_config: is required for a cluster of type EDS"},
      {"{name: c, type: ORIGINAL_DST}",
       "type: not supported yet: ORIGINAL_DST; use STATIC, STRICT_DNS, LOGICAL_DNS or EDS"},
      {base::cat("{name: c, lb_policy: RING_HASH, ", host, "}"),
       "lb_policy: not supported yet: RING_HASH; use ROUND_ROBIN, LEAST_REQUEST or RANDOM"},
      {base::cat(R"({name: c, transport_socket: {name: tls, typed_config: {"@type":
       type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}, )",
                 host, "}"),
       "transport_socket.typed_config: TLS is not supported yet: "
       "\"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\"; without transport_socket "
       "connections are plaintext"},
      {base::cat("{name: c, connect_timeout: 0s, ", host, "}"),
       "connect_timeout: must be > 0, is 0"},
      {base::cat("{name: c, lb_subset_config: {}, ", host, "}"),
       "lb_subset_config: not supported yet, and not safe to ignore; remove it"},
      {base::cat("{name: c, common_lb_config: {locality_weighted_lb_config: {}}, ", host, "}"),
       "common_lb_config.locality_weighted_lb_config: not supported yet, and not safe to ignore; "
       "remove it"},
      {"{name: c, type: EDS, eds_cluster_config: {eds_config: {api_config_source: {api_type: GRPC, "
       "transport_api_version: V3, grpc_services: {envoy_grpc: {cluster_name: x}}}}}}",
       "eds_cluster_config.eds_config.api_config_source.grpc_services[0].envoy_grpc.cluster_name: "
       "no such cluster: \"x\"; add it to static_resources.clusters"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(message_of(cluster_of(row.yaml)), base::cat("cluster \"c\": ", row.message));
  }
}

TEST(DecodeCluster, WarnsOfHealthChecksAndOutliers) {
  Warned warned;
  const auto got = cluster_of(
      base::cat("{name: c, outlier_detection: {}, health_checks: [{timeout: 1s, interval: 1s, "
                "unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}], ",
                kOneHost, "}"),
      &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(
      warned.texts,
      ElementsAre("cluster \"c\": health_checks: not supported yet: there are no active health "
                  "checks yet: every endpoint counts as its health_status says, at once",
                  "cluster \"c\": outlier_detection: not supported yet: no endpoint is ejected "
                  "yet"));
}

std::string host(std::string_view address, int port, std::string_view more = {}) {
  return base::cat("{endpoint: {address: {socket_address: {address: ", address,
                   ", port_value: ", port, "}}}", more, "}");
}

TEST(DecodeEndpoints, TakesLocalitiesPrioritiesWeightsAndHealth) {
  const auto got = endpoints_of(base::cat(
      "{cluster_name: c, policy: {overprovisioning_factor: 200}, endpoints: [{locality: {region: "
      "r, zone: z, sub_zone: s}, load_balancing_weight: 5, lb_endpoints: [",
      host("10.0.0.1", 1, ", load_balancing_weight: 3, health_status: DRAINING"), ", ",
      host("::1", 2), "]}, {priority: 1, lb_endpoints: [", host("10.0.0.2", 1), "]}]}"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->cluster_name, "c");
  EXPECT_EQ(got->version, "7");
  EXPECT_EQ(got->overprovisioning_factor_pct, 200U);
  ASSERT_EQ(got->localities.size(), 2U);
  EXPECT_EQ(got->localities[0].zone, "z");
  EXPECT_EQ(got->localities[0].weight, 5U);
  EXPECT_EQ(got->localities[0].endpoints[0].weight, 3U);
  EXPECT_EQ(got->localities[0].endpoints[0].health, upstream::Health::kDraining);
  EXPECT_EQ(got->localities[0].endpoints[1].address.to_string(), "[::1]:2");
  EXPECT_EQ(got->localities[1].priority, 1U);
}

TEST(DecodeEndpoints, KeepsTheFirstOfDuplicateHosts) {
  Warned warned;
  const auto got =
      endpoints_of(base::cat("{cluster_name: c, endpoints: [{lb_endpoints: [", host("10.0.0.1", 1),
                             ", ", host("10.0.0.1", 1, ", load_balancing_weight: 9"), "]}]}"),
                   &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->localities[0].endpoints.size(), 1U);
  EXPECT_EQ(got->localities[0].endpoints[0].weight, 1U);
  EXPECT_THAT(warned.texts,
              ElementsAre("endpoints \"c\": endpoints[0].lb_endpoints[1]: the endpoint is there "
                          "already, the first counts: 10.0.0.1:1"));
}

TEST(DecodeEndpoints, RefusesWithPathAndRemedy) {
  const struct {
    std::string yaml;
    std::string_view message;
  } kRows[] = {
      {base::cat("{cluster_name: c, endpoints: [{lb_endpoints: [",
                 host("10.0.0.1", 1, ", load_balancing_weight: 4294967295"), ", ",
                 host("10.0.0.2", 1), "]}]}"),
       "endpoints[0].lb_endpoints[1].load_balancing_weight: the weights' sum of priority 0 does "
       "not fit in 32 bits; use smaller weights"},
      {base::cat("{cluster_name: c, endpoints: [{lb_endpoints: [", host("a.b", 1), "]}]}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: not an IP address: "
       "\"a.b\"; write an IPv4 or IPv6 address; only clusters of type STRICT_DNS and LOGICAL_DNS "
       "may have host names"},
      {base::cat("{cluster_name: c, endpoints: [{lb_endpoints: [", host("1.1.1.1", 0), "]}]}"),
       "endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: 0 is not a port "
       "to connect to"},
      {"{cluster_name: c, endpoints: [{lb_endpoints: [{}]}]}",
       "endpoints[0].lb_endpoints[0].endpoint.address: is required"},
      {"{cluster_name: c, policy: {drop_overloads: [{category: a}]}}",
       "policy.drop_overloads: not supported yet, and not safe to ignore; remove it"},
      {"{cluster_name: c, endpoints: [{leds_cluster_locality_config: {}}]}",
       "endpoints[0].leds_cluster_locality_config: is for endpoints that come by EDS; write "
       "lb_endpoints"},
      {"{cluster_name: c, endpoints: [{priority: 129}]}",
       "endpoints[0].priority: must be <= 128, is 129"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(message_of(endpoints_of(row.yaml)), base::cat("endpoints \"c\": ", row.message));
  }
}

TEST(Decode, TreatsUnknownFieldsAsTold) {
  // Field 2000, a varint.
  const std::string bytes = bytes_of(kEndpoints, "{cluster_name: c}") + "\x80\x7D\x01";
  Warnings warnings;
  EXPECT_TRUE(decode_endpoints(bytes, "", {}, &warnings).ok());
  EXPECT_THAT(warnings.texts(),
              ElementsAre("endpoints \"c\": unknown field: "
                          "envoy.config.endpoint.v3.ClusterLoadAssignment number 2000: ignored; it "
                          "is newer than the API that this build knows"));
  DecodeOptions reject;
  reject.reject_unknown_fields = true;
  EXPECT_THAT(message_of(decode_endpoints(bytes, "", reject, &warnings)),
              HasSubstr("number 2000; --reject-unknown-dynamic-fields refuses it"));
  DecodeOptions ignore;
  ignore.ignore_unknown_fields = true;
  Warnings none;
  EXPECT_TRUE(decode_endpoints(bytes, "", ignore, &none).ok());
  EXPECT_THAT(none.texts(), IsEmpty());
}

}  // namespace
}  // namespace sluice::xds
