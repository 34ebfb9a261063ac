#include "xds/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "envoy/config/core/v3/config_source.pb.h"
#include "tests/support/xds/client_fixture.h"
#include "tests/xds/messages.h"
#include "xds/decode_context.h"
#include "xds/methods.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using xds::ConfigSources;
using xds::kAds;
using xds::SourceId;
using xds::Sources;

using Source = envoy::config::core::v3::ConfigSource;

Source source_of(std::string_view yaml) {
  Source out;
  out.ParseFromString(xds::bytes_of("envoy.config.core.v3.ConfigSource", yaml));
  return out;
}

std::string api(std::string_view type, std::string_view cluster, std::string_view more = "") {
  return base::cat("{api_config_source: {api_type: ", type,
                   ", transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: ",
                   cluster, "}}]", more, "}}");
}

constexpr std::string_view kServer =
    "{name: cp, load_assignment: {cluster_name: cp, endpoints: [{lb_endpoints: [{endpoint: "
    "{address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}}";

class XdsSources : public XdsClient {
 protected:
  XdsSources() : catalogue(std::make_shared<ConfigSources>(servers())) {}
  static std::vector<std::string> servers() {
    std::string second(kServer);
    second.replace(7, 2, "c2");
    return {xds::bytes_of(xds::kCluster, kServer), xds::bytes_of(xds::kCluster, second)};
  }
  absl::StatusOr<SourceId> try_number(std::string_view yaml, SourceId self = kAds) {
    xds::Warnings warnings;
    const xds::Context context(decode_options, &warnings, "");
    return catalogue->number_of(context, xds::Path(), source_of(yaml), self);
  }
  SourceId number(std::string_view yaml, SourceId self = kAds) {
    const auto id = try_number(yaml, self);
    EXPECT_TRUE(id.ok()) << id.status();
    return id.value_or(kAds);
  }
  std::string refused(std::string_view yaml) {
    return std::string(base::message_of(try_number(yaml).status()));
  }
  Sources& make() {
    Sources::Options all;
    all.client = options;
    all.connect = [this](const xds::ControlPlane& server, bool) {
      connected.push_back(server.name);
      return std::make_unique<Borrowed>(transport);
    };
    sources = std::make_unique<Sources>(std::move(all), catalogue, sink, main);
    return *sources;
  }

  struct Borrowed final : xds::Transport {
    explicit Borrowed(xds::Transport& t) : real(t) {}
    std::unique_ptr<xds::Stream> open(std::string_view method, xds::StreamEvents& e) override {
      return real.open(method, e);
    }
    xds::Transport& real;
  };
  xds::DecodeOptions decode_options;
  std::shared_ptr<ConfigSources> catalogue;
  std::vector<std::string> connected;
  std::unique_ptr<Sources> sources;
};

TEST(XdsMethods, Rule2Paths) {
  EXPECT_EQ(xds::ads_method(false),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
  EXPECT_EQ(xds::ads_method(true),
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources");
  const std::pair<Type, std::pair<std::string, std::string>> kRows[] = {
      {kC, {"cluster.v3.ClusterDiscoveryService", "Clusters"}},
      {kE, {"endpoint.v3.EndpointDiscoveryService", "Endpoints"}},
      {kL, {"listener.v3.ListenerDiscoveryService", "Listeners"}},
      {kR, {"route.v3.RouteDiscoveryService", "Routes"}},
      {Type::kScopedRoute, {"route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes"}},
      {Type::kVirtualHost, {"route.v3.VirtualHostDiscoveryService", "VirtualHosts"}},
      {Type::kExtensionConfig,
       {"extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs"}},
      {Type::kRuntime, {"runtime.v3.RuntimeDiscoveryService", "Runtime"}},
      {Type::kLbEndpoint, {"endpoint.v3.LocalityEndpointDiscoveryService", "LocalityEndpoints"}},
      {Type::kSecret, {"secret.v3.SecretDiscoveryService", "Secrets"}},
  };
  ASSERT_EQ(std::size(kRows), xds::kNumTypes);
  for (const auto& [type, names] : kRows) {
    const bool delta_only = xds::traits_of(type).delta_only;
    EXPECT_EQ(xds::method_of(type, false),
              delta_only ? "" : "/envoy.service." + names.first + "/Stream" + names.second);
    EXPECT_EQ(xds::method_of(type, true),
              "/envoy.service." + names.first + "/Delta" + names.second);
  }
}

// The generated code knows better than a table.
TEST(XdsMethods, Rule2PathsAndTypesAreThoseOfTheProtos) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (size_t i = 0; i < xds::kNumTypes; ++i) {
    const Type type = static_cast<Type>(i);
    SCOPED_TRACE(short_name_of(type));
    const std::string any_url(type_url_of(type));
    EXPECT_NE(pool->FindMessageTypeByName(any_url.substr(any_url.find('/') + 1)), nullptr);
    for (const bool delta : {false, true}) {
      std::string path(xds::method_of(type, delta));
      if (path.empty()) continue;
      std::replace(path.begin(), path.end(), '/', '.');
      const auto* method = pool->FindMethodByName(path.substr(1));
      ASSERT_NE(method, nullptr) << path;
      EXPECT_EQ(method->input_type()->name(), delta ? "DeltaDiscoveryRequest" : "DiscoveryRequest");
    }
    EXPECT_EQ(xds::rest_path_of(type).empty(), xds::traits_of(type).delta_only);
  }
  EXPECT_EQ(xds::rest_path_of(Type::kScopedRoute), "/v3/discovery:scoped-routes");
  EXPECT_EQ(xds::rest_path_of(Type::kExtensionConfig), "/v3/discovery:extension_configs");
  EXPECT_EQ(xds::method_of(Type::kCount, true), "");
}

TEST_F(XdsSources, Rule1SourcesAreNumberedByWhatTheySay) {
  EXPECT_EQ(number("{ads: {}}"), kAds);
  const SourceId a = number(api("GRPC", "cp"));
  EXPECT_NE(a, kAds);
  EXPECT_EQ(number("{self: {}}", a), a);
  EXPECT_EQ(number(api("GRPC", "cp")), a);
  auto slower = source_of(api("GRPC", "cp"));
  slower.mutable_initial_fetch_timeout()->set_seconds(3);
  xds::Warnings warnings;
  const xds::Context context(decode_options, &warnings, "");
  EXPECT_EQ(*catalogue->number_of(context, xds::Path(), slower, kAds), a);
  EXPECT_NE(number(api("DELTA_GRPC", "cp")), a);
  EXPECT_NE(number(api("GRPC", "c2")), a);
  EXPECT_TRUE(catalogue->value(number(api("DELTA_GRPC", "cp"))).grpc.delta);
}

TEST_F(XdsSources, Rule4OtherApisAreRefusedByName) {
  EXPECT_THAT(refused(api("AGGREGATED_GRPC", "cp")), HasSubstr("AGGREGATED_GRPC"));
  EXPECT_THAT(refused(api("GRPC", "unknown")), HasSubstr("no such cluster: \"unknown\""));
  EXPECT_THAT(refused("{api_config_source: {api_type: GRPC, transport_api_version: V2}}"),
              HasSubstr("must be V3"));
  EXPECT_THAT(refused("{path: /nowhere}"), HasSubstr("no such file"));  // rule 163
  EXPECT_THAT(refused("{path_config_source: {path: /tmp}}"), HasSubstr("not a file"));
  EXPECT_THAT(refused("{path_config_source: {path: /proc/self/stat, "
                      "watched_directory: {path: /nowhere}}}"),
              HasSubstr("no such directory"));
}

TEST_F(XdsSources, Rule5AThousandNamesOfOneSourceShareOneStreamAndOneRequest) {
  for (const bool delta : {false, true}) {
    SCOPED_TRACE(delta);
    transport.delta = delta;
    transport.methods.clear();
    const SourceId id = number(api(delta ? "DELTA_GRPC" : "GRPC", "cp"));
    make().begin_batch();
    for (int i = 0; i < 1000; ++i) sources->subscribe(kE, {id, "c" + std::to_string(i)});
    sources->end_batch();
    main.run();
    EXPECT_THAT(transport.methods, ElementsAre(std::string(xds::method_of(kE, delta))));
    if (delta) {
      EXPECT_EQ(transport.take_delta_request().resource_names_subscribe_size(), 1000);
    } else {
      EXPECT_EQ(transport.take_request().resource_names_size(), 1000);
    }
    expect_quiet();
  }
}

TEST_F(XdsSources, Rules3And5EachTypeOfASourceHasItsStreamAndTheServerOneConnection) {
  const SourceId id = number(api("GRPC", "cp"));
  make().subscribe_all(kC, id);
  sources->subscribe(kE, {id, "a"});
  main.run();
  EXPECT_THAT(transport.methods, ElementsAre(std::string(xds::method_of(kC, false)),
                                             std::string(xds::method_of(kE, false))));
  EXPECT_THAT(connected, ElementsAre("cp"));
}

TEST_F(XdsSources, UpdatesSayWhereTheyAreFrom) {
  const SourceId id = number(api("GRPC", "cp"));
  make().subscribe(kE, {id, "a"});
  main.run();
  transport.send(response(kE, "1", "n1", {resource(kE, "a")}));
  main.run();
  ASSERT_THAT(sink.updates, SizeIs(1));
  EXPECT_EQ(sink.updates[0].source, id);
  EXPECT_EQ(sources->stats(kE).update_success, 1u);
  EXPECT_EQ(sources->stats(kC).update_success, 0u);
}

TEST_F(XdsSources, ASourceThatNobodyNeedsIsLeft) {
  const SourceId id = number(api("GRPC", "cp"));
  make().subscribe(kE, {id, "a"});
  sources->subscribe(kE, {id, "b"});
  main.run();
  sources->unsubscribe(kE, {id, "a"});
  main.run();
  EXPECT_TRUE(transport.is_open());
  sources->unsubscribe(kE, {id, "b"});
  main.run();
  EXPECT_FALSE(transport.is_open());
  EXPECT_TRUE(sources->empty());
  EXPECT_EQ(main.num_timers(), 0u);
}

TEST_F(XdsSources, TheNumberOfSourcesIsBounded) {
  const auto nth = [](size_t i) {
    return api("GRPC", "cp", base::cat(", rate_limit_settings: {max_tokens: ", i, "}"));
  };
  for (size_t i = 1; i < ConfigSources::kMaxSources; ++i) ASSERT_TRUE(try_number(nth(i)).ok()) << i;
  EXPECT_THAT(refused(nth(ConfigSources::kMaxSources)), HasSubstr("more than 4096"));
  EXPECT_TRUE(try_number(nth(7)).ok());  // the same again is no new one
}

}  // namespace
}  // namespace sluice::test
