#include "xds/network_filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tables.h"
#include "tests/xds/assembling.h"

// ECDS: network filters that come by themselves (rule 136).
namespace sluice::xds {
namespace {

using base::cat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kX = Type::kExtensionConfig;
constexpr std::string_view kTcp =
    "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
constexpr std::string_view kHcm =
    "type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
constexpr std::string_view kRouter =
    "http_filters: [ { name: router, typed_config: { \"@type\": "
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]";

std::string relay(std::string_view cluster) {
  return cat("{ \"@type\": ", kTcp, ", stat_prefix: t, cluster: ", cluster, " }");
}
// Routes over RDS.
std::string manager(std::string_view routes) {
  return cat("{ \"@type\": ", kHcm, ", stat_prefix: in, rds: { route_config_name: ", routes,
             ", config_source: { ads: {}, resource_api_version: V3 } }, ", kRouter, " }");
}
std::string extension(std::string_view name, std::string_view config) {
  return cat("name: ", name, "\ntyped_config: ", config, "\n");
}
std::string discovering(std::string_view name, std::string_view filter, std::string_view more = "",
                        int port = 0) {
  return cat("name: ", name,
             "\naddress: { socket_address: { address: 127.0.0.1, port_value: ", port,
             " } }\nfilter_chains:\n- name: only\n  filters:\n  - name: ", filter,
             "\n    config_discovery: { config_source: { ads: {}, resource_api_version: V3 }, "
             "type_urls: [ ",
             kTcp, ", ", kHcm, " ]", more, " }\n");
}
std::string with_default(std::string_view cluster) {
  return cat(", default_config: ", relay(cluster));
}

class XdsNetworkFilters : public XdsAssembler {
 protected:
  void go() {
    start();
    send(kC, {});
  }
  // What connections to the listener get.
  std::string what(std::string_view name) {
    const dataplane::ListenerEntry* entry = server.builder().listener(name);
    if (entry == nullptr) return "not there";
    if (entry->tcp != nullptr) return cat("relay to ", entry->tcp->value.clusters[0].cluster);
    return entry->http != nullptr ? "http" : "closed";
  }
};

TEST_F(XdsNetworkFilters, Rule136TheListenerWaitsForItsNetworkFilter) {
  go();
  EXPECT_THAT(send(kL, {discovering("in", "n")}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("n"));
  EXPECT_EQ(what("in"), "not there");
  EXPECT_FALSE(live);
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].name, "in");
  EXPECT_EQ(assembler->waits()[0].for_type, kX);
  EXPECT_EQ(assembler->waits()[0].for_name, "n");
  EXPECT_FALSE(assembler->waits()[0].serves_old);
  EXPECT_THAT(send(kX, {extension("n", relay("c"))}), IsEmpty());
  EXPECT_EQ(what("in"), "relay to c");
  EXPECT_TRUE(live);
  EXPECT_THAT(assembler->waits(), IsEmpty());
}

TEST_F(XdsNetworkFilters, Rule136AConnectionManagerThenWaitsForItsRoutes) {
  go();
  send(kL, {discovering("in", "n")});
  EXPECT_THAT(send(kX, {extension("n", manager("r"))}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kR], ElementsAre("r"));
  EXPECT_EQ(what("in"), "not there");
  send(kR, {routes("r", "c")});
  EXPECT_EQ(what("in"), "http");
  EXPECT_EQ(server.builder().listener("in")->http->value.filter_chain_name, "only");
  // Another kind of filter, and its routes are let go.
  send(kX, {extension("n", relay("c"))});
  EXPECT_EQ(what("in"), "relay to c");
  EXPECT_THAT(subscriptions.names[kR], IsEmpty());
}

TEST_F(XdsNetworkFilters, Rule136WhatDoesNotComeLeavesTheDefaultOrConnectionsThatAreClosed) {
  go();
  send(kL, {discovering("none", "n"), discovering("default", "d", with_default("c"))});
  EXPECT_EQ(what("default"), "not there");
  main.advance(15 * kSec);
  EXPECT_EQ(what("none"), "closed");
  EXPECT_EQ(what("default"), "relay to c");
  EXPECT_TRUE(live);
  send(kX, {extension("n", relay("n")), extension("d", relay("d"))});
  EXPECT_EQ(what("none"), "relay to n");
  EXPECT_EQ(what("default"), "relay to d");
  send(kX, {}, {"n", "d"});
  EXPECT_EQ(what("none"), "closed");
  EXPECT_EQ(what("default"), "relay to c");
}

TEST_F(XdsNetworkFilters, Rule136ADefaultMayServeWithoutWarming) {
  go();
  const std::string more = cat(", apply_default_config_without_warming: true", with_default("c"));
  send(kL, {discovering("in", "n", more)});
  EXPECT_EQ(what("in"), "relay to c");
  EXPECT_TRUE(live);
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("n"));
}

TEST_F(XdsNetworkFilters, Rule136OneFilterIsAskedForOnceAndAllItsListenersChange) {
  go();
  send(kL, {discovering("a", "n"), discovering("b", "n")});
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("n"));
  send(kX, {extension("n", relay("c"))});
  const uint64_t before = published();
  const auto sockets = server.builder().listener("a")->sockets;
  send(kX, {extension("n", relay("d"))});
  EXPECT_EQ(what("a"), "relay to d");
  EXPECT_EQ(what("b"), "relay to d");
  EXPECT_EQ(published(), before + 1);
  EXPECT_EQ(server.builder().listener("a")->sockets, sockets) << "not bound anew";
}

TEST_F(XdsNetworkFilters, Rule136TheOldListenerServesUntilTheNewOnesFilterIsThere) {
  go();
  send(kL, {direct_listener("in")});
  send(kL, {discovering("in", "n")});
  EXPECT_EQ(what("in"), "http");
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_TRUE(assembler->waits()[0].serves_old);
  send(kX, {extension("n", relay("c"))});
  EXPECT_EQ(what("in"), "relay to c");
  send(kL, {direct_listener("in")});
  EXPECT_EQ(what("in"), "http");
  EXPECT_THAT(subscriptions.names[kX], IsEmpty());
  send(kL, {discovering("in", "n")});
  send(kL, {}, {"in"});
  EXPECT_THAT(subscriptions.names[kX], IsEmpty());
  EXPECT_THAT(assembler->waits(), IsEmpty());
}

TEST_F(XdsNetworkFilters, Rule136ABadFilterIsRefusedAndTheGoodOneKept) {
  go();
  send(kL, {discovering("in", "n")});
  send(kX, {extension("n", relay("c"))});
  // Bad in itself, of a type that the listener does not take, and of no use to the listener.
  const auto bad = send(kX, {extension("n", cat("{ \"@type\": ", kTcp, ", stat_prefix: t }"))});
  ASSERT_THAT(bad, SizeIs(1));
  EXPECT_THAT(base::message_of(bad[0].status), HasSubstr("extension \"n\": typed_config"));
  const auto other =
      send(kX, {extension("n",
                          "{ \"@type\": type.googleapis.com/"
                          "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation }")});
  ASSERT_THAT(other, SizeIs(1));
  EXPECT_THAT(base::message_of(other[0].status), HasSubstr("type_urls do not name"));
  const auto log = cat("{ \"@type\": ", kHcm, ", stat_prefix: in, ", kRouter,
                       ", route_config: { virtual_hosts: [ { name: v, domains: [a, a] } ] } }");
  const auto useless = send(kX, {extension("n", log)});
  ASSERT_THAT(useless, SizeIs(1));
  EXPECT_EQ(useless[0].name, "n");
  EXPECT_EQ(what("in"), "relay to c");
  send(kX, {extension("n", relay("d"))});
  EXPECT_EQ(what("in"), "relay to d");
}

TEST_F(XdsNetworkFilters, Rule136AFirstBadFilterEndsTheWait) {
  go();
  send(kL, {discovering("in", "n")});
  EXPECT_THAT(send(kX, {extension("n", cat("{ \"@type\": ", kTcp, ", stat_prefix: t }"))}),
              SizeIs(1));
  EXPECT_EQ(what("in"), "closed");
  EXPECT_TRUE(live);
}

TEST_F(XdsNetworkFilters, MistakesNamePlaceAndRemedy) {
  go();
  const auto refused = [&](std::string_view text) {
    const auto got = send(kL, {std::string(text)});
    EXPECT_THAT(got, SizeIs(1));
    return got.empty() ? "" : std::string(base::message_of(got[0].status));
  };
  std::string text = discovering("in", "n");
  text.replace(text.find(kTcp), kTcp.size(), "a/b.Unknown");
  EXPECT_THAT(refused(text), HasSubstr("config_discovery.type_urls[0]: this network filter is not "
                                       "supported yet: \"b.Unknown\""));
  EXPECT_THAT(refused(discovering("in", "n", ", apply_default_config_without_warming: true")),
              HasSubstr("there is no default_config; write one"));
  EXPECT_THAT(refused(discovering("in", "n",
                                  ", default_config: { \"@type\": "
                                  "type.googleapis.com/google.protobuf.Duration, value: 1s }")),
              HasSubstr("default_config: its type is not among type_urls"));
  EXPECT_THAT(subscriptions.names[kX], IsEmpty());
}

}  // namespace
}  // namespace sluice::xds
