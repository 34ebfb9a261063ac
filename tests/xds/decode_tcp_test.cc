#include "xds/decode_tcp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/xds/messages.h"
#include "xds/decode.h"

namespace sluice::xds {
namespace {

using namespace std::chrono_literals;
using dataplane::TcpValue;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kChain = "filter_chains[0].filters[0].typed_config";

// Of a listener whose only filter is a tcp_proxy with these fields.
absl::StatusOr<TcpValue> relay_of(std::string_view fields,
                                  std::vector<std::string>* warned = nullptr) {
  const std::string yaml = base::cat(
      "{name: in, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, "
      "filter_chains: [{filters: [{name: any, typed_config: {\"@type\": "
      "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, ",
      fields, "}}]}]}");
  Warnings warnings;
  auto listener = decode_listener(bytes_of(kListener, yaml), "7", {}, &warnings);
  if (warned != nullptr) *warned = warnings.texts();
  if (!listener.ok()) return listener.status();
  EXPECT_TRUE(listener->tcp.has_value());
  return listener->tcp.value_or(TcpValue{});
}

TEST(DecodeTcp, OneClusterHasEnvoysDefaults) {
  std::vector<std::string> warned;
  const auto got = relay_of("stat_prefix: s, cluster: c", &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->stat_prefix, "s");
  ASSERT_EQ(got->clusters.size(), 1U);
  EXPECT_EQ(got->clusters[0].cluster, "c");
  EXPECT_EQ(got->idle_timeout, 1h);
  EXPECT_EQ(got->max_connection_duration, 0s);
  EXPECT_EQ(got->max_connect_attempts, 1U);
  EXPECT_THAT(got->access_logs, IsEmpty());
  EXPECT_THAT(warned, IsEmpty());
}

TEST(DecodeTcp, TakesEveryFieldThatItReads) {
  const auto got = relay_of(R"(stat_prefix: s, weighted_clusters: {clusters: [{name: a, weight: 1},
    {name: b, weight: 4294967295}]}, idle_timeout: 0s, max_connect_attempts: 3,
    max_downstream_connection_duration: 2.5s, access_log: [{name: f, typed_config: {"@type":
    type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/stdout}}])");
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->clusters.size(), 2U);
  EXPECT_EQ(got->clusters[0].cluster, "a");
  EXPECT_EQ(got->clusters[0].weight, 1U);
  EXPECT_EQ(got->clusters[1].weight, UINT32_MAX);
  EXPECT_EQ(got->idle_timeout, 0s);
  EXPECT_EQ(got->max_connection_duration, 2500ms);
  EXPECT_EQ(got->max_connect_attempts, 3U);
  ASSERT_EQ(got->access_logs.size(), 1U);
  EXPECT_EQ(got->access_logs[0].sink, dataplane::AccessLogValue::Sink::kStdout);
}

TEST(DecodeTcp, WhatItLacksIsRefusedByName) {
  struct Row {
    std::string_view fields;
    std::string_view message;
  };
  const Row kRows[] = {
      {"stat_prefix: s", ".cluster_specifier: one of cluster, weighted_clusters is required"},
      {"stat_prefix: s, cluster: ''", ".cluster: is required"},
      {"cluster: c", ".stat_prefix: must not be empty"},
      {"stat_prefix: s, weighted_clusters: {}", ".weighted_clusters.clusters: "},
      {"stat_prefix: s, weighted_clusters: {clusters: [{name: a}]}",
       ".weighted_clusters.clusters[0].weight: "},
      {"stat_prefix: s, cluster: c, max_connect_attempts: 0", ".max_connect_attempts"},
      {"stat_prefix: s, cluster: c, idle_timeout: -1s", ".idle_timeout: must be zero or more"},
      {"stat_prefix: s, cluster: c, tunneling_config: {hostname: 'a:1'}",
       ".tunneling_config: not supported yet, and not safe to ignore; remove it"},
      {"stat_prefix: s, cluster: c, on_demand: {}",
       ".on_demand: not supported yet, and not safe to ignore; remove it"},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.fields);
    const auto got = relay_of(row.fields);
    ASSERT_FALSE(got.ok());
    EXPECT_THAT(std::string(base::message_of(got.status())),
                HasSubstr(base::cat(kChain, row.message)));
  }
}

TEST(DecodeTcp, WhatDoesNoHarmIsAWarning) {
  std::vector<std::string> warned;
  const auto got = relay_of(R"(stat_prefix: s, cluster: c, hash_policy: [{source_ip: {}}],
    access_log_options: {flush_access_log_on_connected: true}, access_log: [{name: g, typed_config: {
    "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig,
    common_config: {log_name: l, grpc_service: {envoy_grpc: {cluster_name: c}}}}}])",
                            &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(got->access_logs, IsEmpty());
  EXPECT_THAT(warned, ElementsAre(HasSubstr("hash_policy"), HasSubstr("access_log_options"),
                                  HasSubstr("TcpGrpcAccessLogConfig")));
}

}  // namespace
}  // namespace sluice::xds
