// Names of rules 150 to 153: between client and server, and from a name to who has the resource.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "tests/support/xds/client_fixture.h"
#include "tests/xds/messages.h"
#include "xds/bootstrap.h"
#include "xds/decode.h"
#include "xds/methods.h"
#include "xds/resource_name.h"
#include "xds/sources.h"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::string urn(Type type, std::string_view rest) {
  const std::string_view url = type_url_of(type);
  return base::cat("xdstp://a/", url.substr(url.rfind('/') + 1), "/", rest);
}

// ---- Names that are compared.

TEST_F(XdsClient, Rule150AnotherSpellingSatisfiesTheSubscription) {
  start().subscribe(kE, urn(kE, "x?k=1&l=2"));
  expect_request(next(), kE, "", "", {urn(kE, "x?k=1&l=2")});
  send(kE, "1", "n1", {resource(kE, urn(kE, "%78?l=2&k=1"))});
  expect_request(next(), kE, "1", "n1", {urn(kE, "x?k=1&l=2")});
  EXPECT_THAT(held(kE), ElementsAre(urn(kE, "x?k=1&l=2")));
  send(kE, "2", "n2", {resource(kE, urn(kE, "x?k=1&l=2"))});  // bytes differ, as the name does
  EXPECT_THAT(sink.updates, SizeIs(2));
}

TEST_F(XdsClient, Rule150OtherParametersAreAnotherResource) {
  start().subscribe(kE, urn(kE, "x?k=1"));
  next();
  send(kE, "1", "n1", {resource(kE, urn(kE, "x?k=2")), resource(kE, urn(kE, "x"))});
  EXPECT_THAT(held(kE), IsEmpty());
  EXPECT_EQ(client->stats(kE).resources_unasked, 2u);
}

class XdsNames : public XdsDeltaClient {
 protected:
  static constexpr Type kP = Type::kLbEndpoint;
  static WrappedResource point(std::string_view rest, std::string_view version) {
    return delta_resource(kP, urn(kP, rest), version);
  }
  // Asked for, with one member "g/a".
  void follow() {
    start().subscribe(kP, urn(kP, "g/*"));
    EXPECT_THAT(next().resource_names_subscribe(), ElementsAre(urn(kP, "g/*")));
    send(kP, "n1", {point("g/a", "1")});
    EXPECT_EQ(next().response_nonce(), "n1");
  }
};

TEST_F(XdsNames, Rule150OverDeltaToo) {
  start().subscribe(kE, urn(kE, "x?k=1&l=2"));
  next();
  send(kE, "n1", {delta_resource(kE, urn(kE, "x?l=2&k=1"), "1")});
  EXPECT_THAT(held(kE), ElementsAre(urn(kE, "x?k=1&l=2")));
  EXPECT_EQ(next().response_nonce(), "n1");
  send(kE, "n2", {}, {urn(kE, "%78?l=2&k=1")});
  EXPECT_THAT(sink.updates.back().removed, ElementsAre(urn(kE, "x?k=1&l=2")));
}

TEST_F(XdsNames, Rule151ACollectionBringsWhatIsInIt) {
  follow();
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/a")));
  EXPECT_THAT(sink.updates[0].answered, ElementsAre(urn(kP, "g/*")));
  send(kP, "n2",
       {point("g/b", "1"), point("g/a/x", "1"), point("h/a", "1"), point("g/c?k=v", "1")});
  EXPECT_EQ(next().response_nonce(), "n2");
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/a"), urn(kP, "g/b")));
  EXPECT_THAT(sink.updates[1].answered, IsEmpty());
  EXPECT_EQ(client->stats(kP).resources_unasked, 3u);
}

TEST_F(XdsNames, Rule151MembersComeAndGoOneByOne) {
  follow();
  send(kP, "n2", {point("g/b", "1")}, {urn(kP, "g/a")});
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/b")));
  next();
  send(kP, "n3", {}, {urn(kP, "g/unknown")});  // rule 68
  EXPECT_EQ(next().response_nonce(), "n3");
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/b")));
}

TEST_F(XdsNames, Rule151ACollectionThatGoesTakesAllWithIt) {
  follow();
  send(kP, "n2", {point("g/b", "1")});
  next();
  send(kP, "n3", {}, {urn(kP, "g/*")});
  EXPECT_THAT(held(kP), IsEmpty());
  EXPECT_EQ(next().response_nonce(), "n3");
  send(kP, "n4", {point("g/c", "1")});  // it may come back
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/c")));
}

TEST_F(XdsNames, Rule151AnEmptyCollectionIsAnAnswer) {
  for (const bool removed : {false, true}) {
    SCOPED_TRACE(removed);
    sink.updates.clear();
    start().subscribe(kP, urn(kP, "g/*"));
    next();
    send(kP, "n1", {}, removed ? std::vector{urn(kP, "g/*")} : std::vector<std::string>());
    ASSERT_THAT(sink.updates, SizeIs(1));
    EXPECT_THAT(sink.updates[0].answered, ElementsAre(urn(kP, "g/*")));
    EXPECT_EQ(next().response_nonce(), "n1");
    main.advance(60 * kSec);
    EXPECT_THAT(sink.timeouts, IsEmpty());
  }
}

TEST_F(XdsNames, Rule151ACollectionThatDoesNotComeTimesOut) {
  options.types[static_cast<size_t>(kP)].initial_fetch_timeout_ns = 3 * kSec;
  start().subscribe(kP, urn(kP, "g/*"));
  next();
  main.advance(3 * kSec);
  EXPECT_THAT(sink.timeouts, ElementsAre(std::pair(kP, urn(kP, "g/*"))));
}

TEST_F(XdsNames, Rule151AStreamThatIsOpenedAgainTellsWhatIsHeld) {
  follow();
  transport.close(absl::UnavailableError("x"));
  main.advance(kSec);
  const auto request = next();
  EXPECT_THAT(request.resource_names_subscribe(), ElementsAre(urn(kP, "g/*")));
  ASSERT_EQ(request.initial_resource_versions_size(), 1);
  EXPECT_EQ(request.initial_resource_versions().at(urn(kP, "g/a")), "1");
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/a")));
}

TEST_F(XdsNames, Rule151ACollectionThatNobodyWantsIsForgotten) {
  follow();
  client->unsubscribe(kP, urn(kP, "g/*"));
  EXPECT_THAT(next().resource_names_unsubscribe(), ElementsAre(urn(kP, "g/*")));
  EXPECT_FALSE(client->state(kP).holds(urn(kP, "g/a")));
  client->subscribe(kP, urn(kP, "g/*"));
  EXPECT_THAT(next().resource_names_subscribe(), ElementsAre(urn(kP, "g/*")));
  send(kP, "n2", {point("g/a", "1")});
  EXPECT_THAT(sink.updates.back().answered, ElementsAre(urn(kP, "g/*")));
  EXPECT_THAT(sink.updates.back().changed, SizeIs(1));
}

TEST_F(XdsNames, Rule151ABadMemberIsRejectedByItsName) {
  follow();
  sink.bad[urn(kP, "g/b")] = "bad";
  send(kP, "n2", {point("g/b", "1"), point("g/c", "1")});
  const auto request = next();
  EXPECT_EQ(request.response_nonce(), "n2");
  EXPECT_THAT(request.error_detail().message(),
              HasSubstr("\"" + urn(kP, "g/b") + "\": field: bad"));
  EXPECT_THAT(held(kP), ElementsAre(urn(kP, "g/a"), urn(kP, "g/c")));
}

// A collection of listeners or clusters is a full state: what goes is gone (rule 153).
TEST_F(XdsNames, Rule153ListenersAndClustersOfACollection) {
  for (const Type type : {kC, kL}) {
    SCOPED_TRACE(short_name_of(type));
    start().subscribe(type, urn(type, "g/*"));
    next();
    send(type, "n1",
         {delta_resource(type, urn(type, "g/a"), "1"), delta_resource(type, "plain", "1")});
    EXPECT_THAT(held(type), ElementsAre(urn(type, "g/a")));
    next();
    send(type, "n2", {}, {urn(type, "g/a")});
    EXPECT_THAT(held(type), IsEmpty());
    EXPECT_FALSE(client->state(type).holds(urn(type, "g/a")));
  }
}

// ---- From a name to who has it.

constexpr std::string_view kCluster = "envoy.config.cluster.v3.Cluster/";

std::string bootstrap_of(std::string_view more, std::string_view dynamic = "") {
  const auto server = [](std::string_view name) {
    return base::cat("{name: ", name, ", load_assignment: {cluster_name: ", name,
                     ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
                     "{address: 127.0.0.1, port_value: 1}}}}]}]}}");
  };
  return base::cat(
      "node: {id: n, cluster: c, metadata: {m: {x: 1}}, locality: {zone: z}}\n"
      "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: "
      "[{envoy_grpc: {cluster_name: main}}]}",
      dynamic, "}\nstatic_resources: {clusters: [", server("main"), ", ", server("one"), ", ",
      server("two"), "]}\n", more);
}
std::string source(std::string_view cluster, std::string_view authorities,
                   std::string_view type = "AGGREGATED_DELTA_GRPC") {
  return base::cat("{api_config_source: {api_type: ", type,
                   ", transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: ",
                   cluster, "}}]}, authorities: [", authorities, "]}");
}

class XdsAuthorities : public XdsClient {
 protected:
  absl::StatusOr<xds::Bootstrap> load(std::string_view more, std::string_view dynamic = "") {
    xds::Flags flags;
    flags.config_yaml = bootstrap_of(more, dynamic);
    auto out = xds::load_bootstrap(flags);
    if (out.ok()) decode.sources = out->sources;
    return out;
  }
  std::string refused(std::string_view more, std::string_view dynamic = "") {
    const auto out = load(more, dynamic);
    return out.ok() ? "accepted" : std::string(base::message_of(out.status()));
  }
  void two_authorities() {
    const auto got = load(base::cat("config_sources: [", source("one", "{name: a}, {name: b}"),
                                    ", ", source("two", "{name: c}, {name: a}"), "]\n"));
    ASSERT_TRUE(got.ok()) << got.status();
  }
  absl::StatusOr<upstream::ClusterValue> cluster(std::string_view name, std::string_view config) {
    xds::Warnings warnings;
    return xds::decode_cluster(
        xds::bytes_of(xds::kCluster,
                      base::cat("{name: x, type: EDS, eds_cluster_config: {", config,
                                config.empty() ? "" : ", ", "service_name: '", name, "'}}")),
        "1", decode, &warnings);
  }
  // "server: name", or the message.
  std::string where(std::string_view name, std::string_view config = "") {
    const auto value = cluster(name, config);
    if (!value.ok()) return std::string(base::message_of(value.status()));
    if (value->eds_source == xds::kAds) return base::cat("ads: ", value->eds_service_name);
    const auto& grpc = decode.sources->value(value->eds_source).grpc;
    return base::cat(grpc.servers[0].name, ": ", value->eds_service_name);
  }
  xds::DecodeOptions decode;
};

constexpr std::string_view kPeerAds = "eds_config: {ads: {}, resource_api_version: V3}";

TEST_F(XdsAuthorities, Rule152TheFirstSourceThatListsTheAuthorityHasIt) {
  two_authorities();
  const std::string type = "envoy.config.endpoint.v3.ClusterLoadAssignment";
  for (const std::string_view peer : {std::string_view(), kPeerAds}) {
    EXPECT_EQ(where("xdstp://a/" + type + "/x?k=2&j=1", peer),
              "one: xdstp://a/" + type + "/x?j=1&k=2");
    EXPECT_EQ(where("xdstp://b/" + type + "/x", peer), "one: xdstp://b/" + type + "/x");
    EXPECT_EQ(where("xdstp://c/" + type + "/x", peer), "two: xdstp://c/" + type + "/x");
  }
  EXPECT_EQ(where("plain", kPeerAds), "ads: plain");
}

TEST_F(XdsAuthorities, Rule152ThePeerGoesFirstTheDefaultLast) {
  ASSERT_TRUE(load(base::cat("config_sources: [", source("one", "{name: a}"),
                             "]\ndefault_config_source: ", source("two", ""), "\n"))
                  .ok());
  const std::string type = "envoy.config.endpoint.v3.ClusterLoadAssignment";
  const std::string a = "xdstp://a/" + type + "/x", z = "xdstp://z/" + type + "/x";
  EXPECT_EQ(where(a, base::cat("eds_config: ", source("main", "{name: a}", "GRPC"))), "main: " + a);
  EXPECT_EQ(where(a, base::cat("eds_config: ", source("main", "{name: b}", "GRPC"))), "one: " + a);
  EXPECT_EQ(where(z, base::cat("eds_config: ", source("main", "{name: b}", "GRPC"))), "two: " + z);
  EXPECT_EQ(where(z), "two: " + z);
}

TEST_F(XdsAuthorities, Rule152WithoutAnyOnlyThatResourceFails) {
  two_authorities();
  const std::string z = "xdstp://z/envoy.config.endpoint.v3.ClusterLoadAssignment/x";
  EXPECT_EQ(where(z, kPeerAds), "ads: " + z);  // as Envoy does: the peer lists no authority
  EXPECT_THAT(where(z), HasSubstr("cluster \"x\": eds_cluster_config.service_name: nobody is known "
                                  "to have what is of authority \"z\"; list it in one of the "
                                  "bootstrap's config_sources, or set default_config_source"));
  EXPECT_THAT(where(z, base::cat("eds_config: ", source("main", "{name: b}", "GRPC"))),
              HasSubstr("nobody is known"));
  EXPECT_THAT(where("plain"), HasSubstr("eds_config: is required"));
}

TEST_F(XdsAuthorities, BrokenNamesSayWhatIsWrong) {
  two_authorities();
  EXPECT_THAT(where("xdstp:x", kPeerAds), HasSubstr("service_name: must begin with xdstp://"));
  EXPECT_THAT(where("xdstp://a/envoy.config.cluster.v3.Cluster/x", kPeerAds),
              HasSubstr("names a resource of another type: \"envoy.config.cluster.v3.Cluster\""));
  const std::string type = "xdstp://a/envoy.config.endpoint.v3.ClusterLoadAssignment/";
  EXPECT_THAT(where(type + "*", kPeerAds), HasSubstr("is a collection; name one resource"));
  EXPECT_THAT(where(type + "x#entry=y", kPeerAds), HasSubstr("directives are not supported here"));
}

TEST_F(XdsAuthorities, MistakesInTheBootstrapNamePlaceAndRemedy) {
  EXPECT_THAT(refused(base::cat("config_sources: [", source("one", ""), "]\n")),
              HasSubstr("config_sources[0].authorities: is required"));
  EXPECT_THAT(refused(base::cat("config_sources: [", source("one", "{name: a}, {name: a}"), "]\n")),
              HasSubstr("config_sources[0].authorities: given twice: \"a\""));
  EXPECT_THAT(refused(base::cat("config_sources: [", source("none", "{name: a}"), "]\n")),
              HasSubstr("no such cluster: \"none\""));
  EXPECT_THAT(refused("node_context_params: [id, pid]\n"),
              HasSubstr("node_context_params[1]: no such field of the node: \"pid\""));
}

TEST_F(XdsAuthorities, Rule153LocatorsOfListenersAndClusters) {
  auto got = load(base::cat("config_sources: [", source("one", "{name: a}"),
                            "]\nnode_context_params: [id, locality.zone, metadata]\n"),
                  base::cat(", cds_resources_locator: 'xdstp://a/", kCluster, "g/*?id=1'",
                            ", lds_config: {ads: {}}, lds_resources_locator: "
                            "'xdstp://z/envoy.config.listener.v3.Listener/one'"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->sources->value(got->cds->source).grpc.servers[0].name, "one");
  EXPECT_EQ(got->cds_name, base::cat("xdstp://a/", kCluster,
                                     "g/*?id=1&xds.node.id=n&xds.node.locality.zone=z&"
                                     "xds.node.metadata.m={\"x\":1}"));
  EXPECT_EQ(got->lds->source, xds::kAds);
  EXPECT_EQ(got->lds_name, "xdstp://z/envoy.config.listener.v3.Listener/one");

  EXPECT_THAT(refused("", base::cat(", cds_config: {ads: {}}, cds_resources_locator: 'xdstp://a/",
                                    kCluster, "*'")),
              HasSubstr("dynamic_resources.cds_config: must be incremental (DELTA_GRPC)"));
  EXPECT_THAT(refused("", ", cds_config: {ads: {}}, cds_resources_locator: 'file:///a'"),
              HasSubstr("cds_resources_locator: must be an xdstp:// name: \"file:///a\""));
  EXPECT_THAT(refused("", ", cds_config: {ads: {}}, cds_resources_locator: 'xdstp://a/T/x'"),
              HasSubstr("names a resource of another type"));
}

// All types of an authority's server travel on one stream, which is not the one of ads_config.
TEST_F(XdsAuthorities, Rule152AnAuthorityHasAnAggregatedStreamOfItsOwn) {
  for (const bool delta : {false, true}) {
    SCOPED_TRACE(delta);
    const auto got = load(base::cat(
        "config_sources: [",
        source("one", "{name: a}", delta ? "AGGREGATED_DELTA_GRPC" : "AGGREGATED_GRPC"), "]\n"));
    ASSERT_TRUE(got.ok()) << got.status();
    const xds::SourceRef* at = got->sources->authorities().find("a");
    ASSERT_NE(at, nullptr);
    struct Borrowed final : xds::Transport {
      explicit Borrowed(xds::Transport& t) : real(t) {}
      std::unique_ptr<xds::Stream> open(std::string_view method, xds::StreamEvents& e) override {
        return real.open(method, e);
      }
      xds::Transport& real;
    };
    transport.delta = delta;
    transport.methods.clear();
    xds::Sources::Options all;
    all.client = options;
    all.connect = [this](const xds::ControlPlane& server, bool) {
      EXPECT_EQ(server.name, "one");
      return std::make_unique<Borrowed>(transport);
    };
    xds::Sources sources(std::move(all), got->sources, sink, main);
    sources.subscribe(kE, {at->source, urn(kE, "x")});
    sources.subscribe(kR, {at->source, urn(kR, "y")});
    main.run();
    EXPECT_THAT(transport.methods, ElementsAre(std::string(xds::ads_method(delta))));
    if (!delta) {
      EXPECT_EQ(transport.take_request().resource_names(0), urn(kE, "x"));
      EXPECT_EQ(transport.take_request().resource_names(0), urn(kR, "y"));
      continue;
    }
    EXPECT_EQ(transport.take_delta_request().resource_names_subscribe(0), urn(kE, "x"));
    EXPECT_EQ(transport.take_delta_request().resource_names_subscribe(0), urn(kR, "y"));
  }
}

}  // namespace
}  // namespace sluice::test
