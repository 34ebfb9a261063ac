// Both protocols without a network.

#include <envoy/service/discovery/v3/discovery.pb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/mock_cp/resources.h"
#include "tools/mock-cp/delta_stream.h"
#include "tools/mock-cp/sotw_stream.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class StreamTest : public ::testing::Test {
 protected:
  void serve(std::string_view text) {
    snapshot = next_snapshot(snapshot.get(), read(text), counter);
  }
  // Number of resources; -1: no response.
  int answer(Stream& stream) {
    last = Push();
    return stream.next(snapshot, &last) ? static_cast<int>(last.items.size()) : -1;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& item : last.items) out.push_back(item.name);
    return out;
  }

  std::shared_ptr<const Snapshot> snapshot;
  uint64_t counter = 0;
  Push last;
};

// --- State of the world.

class SotwStreamTest : public StreamTest {
 protected:
  struct Ask {
    std::vector<std::string> names = {};
    std::string nonce = {};
    std::string version = {};
    bool error = false;
    bool node = true;
  };
  Heard ask(const char* type, const Ask& what) {
    DiscoveryRequest request;
    if (what.node) request.mutable_node()->set_id("me");
    request.set_type_url(type);
    request.set_response_nonce(what.nonce);
    request.set_version_info(what.version);
    for (const auto& name : what.names) request.add_resource_names(name);
    if (what.error) request.mutable_error_detail()->set_message("no such thing");
    return stream->hear(request.SerializeAsString());
  }
  Heard ack(const char* type, std::vector<std::string> wanted = {}) {
    return ask(type, {.names = std::move(wanted), .nonce = last.nonce, .version = last.version});
  }
  int answer() { return StreamTest::answer(*stream); }

  std::unique_ptr<SotwStream> stream = std::make_unique<SotwStream>("s", "", false);
};

TEST_F(SotwStreamTest, NamedTypesGetWhatTheyNameWildcardsGetAll) {
  serve("clusters: [{name: a}, {name: b}]\nroutes: [{name: r}, {name: s}]");
  ask(kCds, {});
  EXPECT_EQ(answer(), 2);
  ack(kCds);
  ask(kRds, {.names = {"r"}});
  EXPECT_EQ(answer(), 1);
  EXPECT_EQ(last.type_url, kRds);
  EXPECT_EQ(answer(), -1);
}

TEST_F(SotwStreamTest, AcksAndNacksAreTold) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  const Heard ack = this->ack(kCds);
  EXPECT_EQ(ack.kind, Heard::Kind::kAck);
  EXPECT_EQ(ack.version, "1");
  EXPECT_THAT(ack.problems, IsEmpty());
  serve("clusters: [{name: b}]");
  answer();
  const Heard nack = ask(kCds, {.nonce = last.nonce, .version = "1", .error = true});
  EXPECT_EQ(nack.kind, Heard::Kind::kNack);
  EXPECT_EQ(nack.version, "2");
  EXPECT_EQ(nack.error, "no such thing");
  EXPECT_THAT(nack.problems, IsEmpty());
  EXPECT_EQ(answer(), -1);  // what was rejected is not sent again
  serve("clusters: [{name: c}]");
  EXPECT_EQ(answer(), 1);
}

TEST_F(SotwStreamTest, TheNextResponseWaitsForTheAnswer) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  const std::string nonce = last.nonce;
  serve("clusters: [{name: b}]");
  EXPECT_EQ(answer(), -1);
  const Heard wrong = ask(kCds, {.nonce = "wrong"});
  EXPECT_EQ(wrong.kind, Heard::Kind::kDropped);
  EXPECT_THAT(wrong.problems, ElementsAre(StartsWith("unknown_nonce: ")));
  EXPECT_EQ(answer(), -1);
  ask(kCds, {.nonce = nonce, .version = "1"});
  EXPECT_EQ(answer(), 1);
}

TEST_F(SotwStreamTest, ANewNameIsAnsweredAndAnUnchangedListIsNot) {
  serve("routes: [{name: r}, {name: s}]");
  ask(kRds, {.names = {"r"}});
  EXPECT_EQ(answer(), 1);
  const Push first = last;
  ack(kRds, {"r"});
  EXPECT_EQ(answer(), -1);
  last = first;
  ack(kRds, {"r", "s"});
  EXPECT_EQ(answer(), 2);
  ack(kRds, {"s"});
  EXPECT_EQ(answer(), -1);
}

TEST_F(SotwStreamTest, AChangeOfOtherResourcesIsNotPushed) {
  serve("routes: [{name: r}, {name: s}]");
  ask(kRds, {.names = {"r"}});
  answer();
  ack(kRds, {"r"});
  serve("routes: [{name: r}, {name: s, internal_only_headers: [x]}]");
  EXPECT_EQ(answer(), -1);
}

TEST_F(SotwStreamTest, ATouchedTypeIsSentAgain) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  ack(kCds);
  snapshot = next_snapshot(snapshot.get(), read("clusters: [{name: a}]"), counter, kCds);
  EXPECT_EQ(answer(), 1);
  EXPECT_EQ(last.version, "2");
}

TEST_F(SotwStreamTest, WhatDoesNotExistIsAnsweredWhenItDoes) {
  serve("routes: [{name: s}]");
  ask(kRds, {.names = {"r"}});
  EXPECT_EQ(answer(), -1);
  serve("routes: [{name: r}, {name: s}]");
  EXPECT_EQ(answer(), 1);
}

TEST_F(SotwStreamTest, AnEmptyListAfterNamesUnsubscribes) {
  serve("clusters: [{name: a}, {name: b}]");
  ask(kCds, {.names = {"a"}});
  EXPECT_EQ(answer(), 1);
  const Push first = last;
  ack(kCds);
  EXPECT_EQ(answer(), -1);
  last = first;
  ack(kCds, {"*", "a"});
  EXPECT_EQ(answer(), 2);
}

TEST_F(SotwStreamTest, SupersetRule) {
  stream = std::make_unique<SotwStream>("s", "", true);
  serve("routes: [{name: r}, {name: s}]");
  ask(kRds, {.names = {"r"}});
  EXPECT_EQ(answer(), -1);
  ask(kRds, {.names = {"r", "s", "more"}});
  EXPECT_EQ(answer(), 2);
}

constexpr char kTwoOfEach[] =
    "clusters: [{name: a}, {name: b}]\n"
    "endpoints: [{cluster_name: a}]\nlisteners: [{name: l}]\nroutes: [{name: r}]";

// Make before break: what refers to others comes when those are in, and they go when it is gone.
TEST_F(SotwStreamTest, ClustersEndpointsListenersRoutesComeInThisOrder) {
  serve(kTwoOfEach);
  for (const char* type : {kRds, kLds, kEds, kCds}) {
    ask(type, {.names = type == kRds   ? std::vector<std::string>{"r"}
                        : type == kEds ? std::vector<std::string>{"a"}
                                       : std::vector<std::string>{}});
  }
  for (const char* type : {kCds, kEds, kLds, kRds}) {
    SCOPED_TRACE(type);
    ASSERT_GE(answer(), 1);
    EXPECT_EQ(last.type_url, type);
    const Push sent = last;
    EXPECT_EQ(answer(), -1) << "did not wait for the ACK";
    last = sent;
    ack(type, type == kRds   ? std::vector<std::string>{"r"}
              : type == kEds ? std::vector<std::string>{"a"}
                             : std::vector<std::string>{});
  }
}

TEST_F(SotwStreamTest, AClusterIsRemovedAfterTheRoutesHaveChanged) {
  serve("clusters: [{name: a}]\nroutes: [{name: r}]");
  ask(kCds, {});
  ask(kRds, {.names = {"r"}});
  answer();
  ack(kCds);
  answer();
  ack(kRds, {"r"});
  serve("clusters: [{name: b}]\nroutes: [{name: r, internal_only_headers: [x]}]");
  EXPECT_EQ(answer(), 2);
  EXPECT_THAT(names(), ElementsAre("b", "a"));
  EXPECT_EQ(last.version, "2+");
  ack(kCds);
  EXPECT_EQ(answer(), 1);
  EXPECT_EQ(last.type_url, kRds);
  ack(kRds, {"r"});
  EXPECT_EQ(answer(), 1);
  EXPECT_THAT(names(), ElementsAre("b"));
  EXPECT_EQ(last.version, "2");
  ack(kCds);
  EXPECT_EQ(answer(), -1);
}

TEST_F(SotwStreamTest, WhatAClientMustNotDoIsNamed) {
  serve("clusters: [{name: a}]\nroutes: [{name: r}]");
  EXPECT_THAT(ask(kCds, {.node = false}).problems, ElementsAre(StartsWith("no_node: ")));
  answer();
  EXPECT_THAT(ack(kCds).problems, IsEmpty());
  EXPECT_THAT(ack(kCds).problems, ElementsAre(StartsWith("duplicate_ack: ")));
  EXPECT_THAT(ask(kCds, {.version = "1"}).problems, ElementsAre(StartsWith("lost_nonce: ")));
  EXPECT_THAT(ask(kCds, {.names = {"x"}, .nonce = last.nonce, .version = "9"}).problems,
              ElementsAre(StartsWith("wrong_version: ")));
  EXPECT_THAT(ask(kRds, {.names = {"r", "r"}}).problems,
              ElementsAre(StartsWith("duplicate_name: ")));
  EXPECT_THAT(stream->hear("\xff").problems, ElementsAre(StartsWith("garbage: ")));
  EXPECT_THAT(ask("", {}).problems, ElementsAre(StartsWith("no_type: ")));
  stream = std::make_unique<SotwStream>("t", kCds, false);
  EXPECT_THAT(ask(kRds, {.names = {"r"}}).problems, ElementsAre(StartsWith("wrong_type: ")));
}

TEST_F(SotwStreamTest, TheNodeDoesNotChangeWithinAStream) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  DiscoveryRequest request;
  request.mutable_node()->set_id("another");
  request.set_type_url(kLds);
  EXPECT_THAT(stream->hear(request.SerializeAsString()).problems,
              ElementsAre(StartsWith("node_changed: ")));
}

// Maps arrive in any order.
TEST_F(SotwStreamTest, ANodeWithMetadataIsTheSameInAnyOrder) {
  serve("clusters: [{name: a}]");
  for (int i = 0; i < 10; ++i) {
    DiscoveryRequest request;
    request.mutable_node()->set_id("me");
    request.set_type_url(i % 2 == 0 ? kCds : kLds);
    auto& fields = *request.mutable_node()->mutable_metadata()->mutable_fields();
    for (int k = 0; k < 20; ++k) fields[std::to_string(k * (i + 1) % 23)].set_bool_value(true);
    for (int k = 0; k < 23; ++k) fields[std::to_string(k)].set_bool_value(true);
    EXPECT_THAT(stream->hear(request.SerializeAsString()).problems, IsEmpty());
  }
}

TEST_F(SotwStreamTest, AnswersToARepeatedResponseAreBothWanted) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  stream->repeated(last);
  EXPECT_EQ(ack(kCds).kind, Heard::Kind::kAck);
  const Heard second = ack(kCds);
  EXPECT_EQ(second.kind, Heard::Kind::kAck);
  EXPECT_THAT(second.problems, IsEmpty());
}

// --- Incremental.

class DeltaStreamTest : public StreamTest {
 protected:
  struct Ask {
    std::vector<std::string> subscribe = {};
    std::vector<std::string> unsubscribe = {};
    std::map<std::string, std::string> has = {};
    std::string nonce = {};
    bool error = false;
  };
  Heard ask(const char* type, const Ask& what) {
    DeltaDiscoveryRequest request;
    request.mutable_node()->set_id("me");
    request.set_type_url(type);
    request.set_response_nonce(what.nonce);
    for (const auto& name : what.subscribe) request.add_resource_names_subscribe(name);
    for (const auto& name : what.unsubscribe) request.add_resource_names_unsubscribe(name);
    for (const auto& [name, version] : what.has) {
      (*request.mutable_initial_resource_versions())[name] = version;
    }
    if (what.error) request.mutable_error_detail()->set_message("no such thing");
    return stream.hear(request.SerializeAsString());
  }
  Heard ack(const char* type) { return ask(type, {.nonce = last.nonce}); }
  int answer() { return StreamTest::answer(stream); }

  DeltaStream stream{"d", ""};
};

TEST_F(DeltaStreamTest, OnlyWhatChangedIsSentAndWhatIsGoneIsNamed) {
  serve("clusters: [{name: a}, {name: b}, {name: c}]");
  ask(kCds, {});
  EXPECT_EQ(answer(), 3);
  EXPECT_EQ(ack(kCds).kind, Heard::Kind::kAck);
  serve("clusters: [{name: a}, {name: b, connect_timeout: 1s}, {name: d}]");
  EXPECT_EQ(answer(), 2);
  EXPECT_THAT(names(), ElementsAre("b", "d"));
  EXPECT_THAT(last.removed, ElementsAre("c"));
  ack(kCds);
  EXPECT_EQ(answer(), -1);
}

TEST_F(DeltaStreamTest, ATouchedTypeIsSentAgain) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  ack(kCds);
  snapshot = next_snapshot(snapshot.get(), read("clusters: [{name: a}]"), counter, kCds);
  EXPECT_EQ(answer(), 1);
  EXPECT_EQ(last.version, "2");
}

TEST_F(DeltaStreamTest, AnEmptyWildcardIsAnswered) {
  serve("routes: [{name: r}]");
  ask(kCds, {});
  EXPECT_EQ(answer(), 0);
  ack(kCds);
  EXPECT_EQ(answer(), -1);
}

TEST_F(DeltaStreamTest, WhatDoesNotExistIsSaidOnce) {
  serve("endpoints: [{cluster_name: a}]");
  ask(kEds, {.subscribe = {"a", "x"}});
  EXPECT_EQ(answer(), 1);
  EXPECT_THAT(last.removed, ElementsAre("x"));
  ack(kEds);
  EXPECT_EQ(answer(), -1);
  serve("endpoints: [{cluster_name: a}, {cluster_name: x}]");
  EXPECT_EQ(answer(), 1);
  EXPECT_THAT(names(), ElementsAre("x"));
  ack(kEds);
  serve("endpoints: [{cluster_name: a}]");
  EXPECT_EQ(answer(), 0);
  EXPECT_THAT(last.removed, ElementsAre("x"));
}

TEST_F(DeltaStreamTest, WhatTheClientHasIsNotSentAgainAndVersionsOutliveARestart) {
  serve("clusters: [{name: a}, {name: b}]");
  ask(kCds, {});
  answer();
  std::map<std::string, std::string> has;
  for (const auto& item : last.items) has[item.name] = item.version;
  has["gone"] = "1";
  snapshot = nullptr;
  serve("clusters: [{name: a}, {name: b, connect_timeout: 1s}]");
  DeltaStream again("e", "");
  DeltaDiscoveryRequest request;
  request.mutable_node()->set_id("me");
  request.set_type_url(kCds);
  for (const auto& [name, version] : has) {
    (*request.mutable_initial_resource_versions())[name] = version;
  }
  EXPECT_THAT(again.hear(request.SerializeAsString()).problems, IsEmpty());
  EXPECT_EQ(StreamTest::answer(again), 1);
  EXPECT_THAT(names(), ElementsAre("b"));
  EXPECT_THAT(last.removed, ElementsAre("gone"));
}

TEST_F(DeltaStreamTest, UnsubscribedNamesAreLeftAloneAndSubscribedOnesSentAgain) {
  serve("endpoints: [{cluster_name: a}, {cluster_name: b}]");
  ask(kEds, {.subscribe = {"a", "b"}});
  answer();
  ack(kEds);
  ask(kEds, {.unsubscribe = {"a"}});
  EXPECT_EQ(answer(), -1);
  serve("endpoints: [{cluster_name: a, policy: {drop_overloads: []}}, {cluster_name: b}]");
  EXPECT_EQ(answer(), -1);
  ask(kEds, {.subscribe = {"a", "b"}});
  EXPECT_EQ(answer(), 2);
}

TEST_F(DeltaStreamTest, ClustersAreRemovedAfterTheRoutesHaveChanged) {
  serve("clusters: [{name: a}]\nroutes: [{name: r}]");
  ask(kCds, {});
  ask(kRds, {.subscribe = {"r"}});
  answer();
  ack(kCds);
  answer();
  ack(kRds);
  serve("clusters: [{name: b}]\nroutes: [{name: r, internal_only_headers: [x]}]");
  EXPECT_EQ(answer(), 1);
  EXPECT_THAT(last.removed, IsEmpty());
  ack(kCds);
  EXPECT_EQ(answer(), 1);
  EXPECT_EQ(last.type_url, kRds);
  ack(kRds);
  EXPECT_EQ(answer(), 0);
  EXPECT_THAT(last.removed, ElementsAre("a"));
}

TEST_F(DeltaStreamTest, AVirtualHostIsFoundByItsDomain) {
  serve("virtual_hosts: [{name: r/one, domains: [one.example, uno.example]}]");
  ask(kVhds, {});
  answer();
  ack(kVhds);
  ask(kVhds, {.subscribe = {"r/uno.example", "r/none.example"}});
  ASSERT_EQ(answer(), 2);
  EXPECT_EQ(last.items[0].name, "r/none.example");
  EXPECT_FALSE(last.items[0].has_body);
  EXPECT_EQ(last.items[1].name, "r/one");
  EXPECT_THAT(last.items[1].aliases, ElementsAre("r/uno.example"));
}

TEST_F(DeltaStreamTest, WhatAClientMustNotDoIsNamed) {
  serve("clusters: [{name: a}]");
  ask(kCds, {});
  answer();
  EXPECT_THAT(ack(kCds).problems, IsEmpty());
  EXPECT_THAT(ack(kCds).problems, ElementsAre(StartsWith("duplicate_ack: ")));
  EXPECT_THAT(ask(kCds, {.nonce = "other"}).problems, ElementsAre(StartsWith("unknown_nonce: ")));
  EXPECT_THAT(ask(kCds, {.has = {{"a", "1"}}}).problems,
              ElementsAre(StartsWith("late_versions: ")));
  EXPECT_THAT(ask(kCds, {.error = true}).problems, ElementsAre(StartsWith("lost_nonce: ")));
  EXPECT_THAT(ask(kCds, {.subscribe = {"a"}, .unsubscribe = {"a"}}).problems,
              ElementsAre(StartsWith("subscribe_and_unsubscribe: ")));
}

// --- Types.

TEST(MockCpTypes, MethodsOfAllServices) {
  struct {
    const char* path;
    bool delta;
    const char* type;  // short name; "": ADS; null: nothing
  } rows[] = {
      {"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources", false,
       ""},
      {"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources", true, ""},
      {"/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners", false, "LDS"},
      {"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters", true, "CDS"},
      {"/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints", false, "EDS"},
      {"/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes", true, "RDS"},
      {"/envoy.service.route.v3.ScopedRoutesDiscoveryService/StreamScopedRoutes", false, "SRDS"},
      {"/envoy.service.route.v3.VirtualHostDiscoveryService/DeltaVirtualHosts", true, "VHDS"},
      {"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets", false, "SDS"},
      {"/envoy.service.runtime.v3.RuntimeDiscoveryService/StreamRuntime", false, "RTDS"},
      {"/envoy.service.extension.v3.ExtensionConfigDiscoveryService/DeltaExtensionConfigs", true,
       "ECDS"},
      {"/envoy.service.route.v3.RouteDiscoveryService/FetchRoutes", false, nullptr},
      {"/envoy.service.route.v3.RouteDiscoveryService/StreamClusters", false, nullptr},
      {"", false, nullptr},
      {"/", false, nullptr},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.path);
    const auto method = method_of(row.path);
    ASSERT_EQ(method.has_value(), row.type != nullptr);
    if (!method) continue;
    EXPECT_EQ(method->delta, row.delta);
    EXPECT_EQ(method->type_url.empty() ? "" : short_name(method->type_url), row.type);
  }
}

TEST(MockCpTypes, NamesOfTypes) {
  EXPECT_EQ(url_of("cds"), kCds);
  EXPECT_EQ(url_of("CDS"), kCds);
  EXPECT_EQ(url_of("envoy.config.cluster.v3.Cluster"), kCds);
  EXPECT_EQ(url_of(kCds), kCds);
  EXPECT_EQ(url_of("no.such.Type"), "");
}

}  // namespace
}  // namespace sluice::mock_cp
