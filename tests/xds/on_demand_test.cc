// What requests lack and wait for: virtual hosts (rule 134) and clusters (rule 135).
#include "xds/demands.h"

#include "tests/support/test_proxy.h"
#include "tests/xds/decoding.h"
#include "tests/xds/serving.h"
#include "xds/config_source.h"

namespace sluice::xds {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kV = Type::kVirtualHost;

class XdsOnDemand : public XdsServing {
 protected:
  static std::string vhds_routes(std::string_view own = "") {
    return base::cat("{name: r, vhds: {config_source: {ads: {}}}, virtual_hosts: [", own, "]}");
  }
  static std::string host(std::string_view domain, std::string_view word) {
    return base::cat("{name: v, domains: [", domain,
                     "], routes: [{match: {prefix: /}, "
                     "direct_response: {status: 200, body: {inline_string: ",
                     word, "}}}]}");
  }
  static std::string rds() {
    return "      rds: {route_config_name: r, config_source: {ads: {}}}\n";
  }
  void go_on_demand() {
    start();
    EXPECT_THAT(send(kL, {listener_of_filters("in", rds(), kOnDemandFilter)}), IsEmpty());
    EXPECT_THAT(send(kR, {vhds_routes(host("own.test", "own"))}), IsEmpty());
    EXPECT_EQ(subscriptions.names[kV], std::set<std::string>{"*"});
    EXPECT_FALSE(serves("in"));  // its virtual hosts have not been told
    EXPECT_THAT(send_named(kV, {{"r/base", host("base.test", "base")}}), IsEmpty());
    ASSERT_TRUE(serves("in"));
  }
  bool asks_for(std::string_view name) {
    return turn_until([&] { return subscriptions.names[kV].contains(std::string(name)); });
  }
  std::string get(std::string_view host) { return XdsServing::get("in", host); }
  uint64_t asked() { return assembler->demands().stats().asked; }
};

TEST_F(XdsOnDemand, Rule134VirtualHostsComeOneByOne) {
  go_on_demand();
  EXPECT_EQ(get("own.test"), "200 own");
  EXPECT_EQ(get("base.test"), "200 base");
  EXPECT_THAT(
      send_named(kV, {{"r/base", host("base.test", "changed")}, {"r/b", host("b.test", "b")}}),
      IsEmpty());
  EXPECT_EQ(get("base.test"), "200 changed");
  EXPECT_EQ(get("b.test"), "200 b");
  EXPECT_EQ(get("own.test"), "200 own");
  // Of route configurations that nobody names, or under no route configuration.
  EXPECT_THAT(send_named(kV, {{"other/x", host("x.test", "x")}}), IsEmpty());
  EXPECT_THAT(send_named(kV, {{"x", host("x.test", "x")}}), SizeIs(1));
  // The route configuration changes: what came apart stays.
  EXPECT_THAT(send(kR, {vhds_routes(host("own.test", "again"))}), IsEmpty());
  EXPECT_EQ(get("own.test"), "200 again");
  EXPECT_EQ(get("b.test"), "200 b");
  EXPECT_THAT(send_named(kV, {}, {"r/b"}), IsEmpty());
  const auto gone = ask(port_of("in"), "b.test");
  ASSERT_TRUE(asks_for("r/b.test"));
  EXPECT_THAT(send_named(kV, {}, {"r/b.test"}), IsEmpty());
  EXPECT_EQ(answer_of(gone), "404 ");
}

TEST_F(XdsOnDemand, Rule134AVirtualHostThatContradictsOthersIsRefusedAndTheTableStays) {
  go_on_demand();
  const auto rejected = send_named(kV, {{"r/x", host("own.test", "x")}});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected[0].name, "r/x");
  EXPECT_THAT(std::string(base::message_of(rejected[0].status)), HasSubstr("own.test"));
  EXPECT_EQ(get("own.test"), "200 own");
  EXPECT_EQ(get("base.test"), "200 base");
}

TEST_F(XdsOnDemand, Rule134RequestsWaitForTheirVirtualHostAndOneIsAskedFor) {
  go_on_demand();
  std::vector<std::shared_ptr<Request>> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(ask(port_of("in"), "New.Test"));
  ASSERT_TRUE(asks_for("r/new.test"));
  EXPECT_EQ(get("own.test"), "200 own");  // others do not wait
  EXPECT_THAT(send_named(kV, {{"r/n", host("new.test", "new")}}, {}, {"r/new.test"}), IsEmpty());
  for (const auto& request : requests) EXPECT_EQ(answer_of(request), "200 new");
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(get("new.test"), "200 new");
}

TEST_F(XdsOnDemand, Rule134AHostThatCouldNotBeResolvedIs404AndNotAskedForAgainAtOnce) {
  go_on_demand();
  const auto first = ask(port_of("in"), "no.test");
  ASSERT_TRUE(asks_for("r/no.test"));
  EXPECT_THAT(send_named(kV, {}, {"r/no.test"}), IsEmpty());
  EXPECT_EQ(answer_of(first), "404 ");
  EXPECT_FALSE(subscriptions.names[kV].contains("r/no.test"));
  EXPECT_EQ(get("no.test"), "404 ");
  EXPECT_EQ(asked(), 1u);
  main.advance(kSec);
  const auto again = ask(port_of("in"), "no.test");
  ASSERT_TRUE(asks_for("r/no.test"));
  EXPECT_THAT(send_named(kV, {{"r/no.test", host("no.test", "now")}}), IsEmpty());
  EXPECT_EQ(answer_of(again), "200 now");
}

TEST_F(XdsOnDemand, Rule134NobodyWaitsForEver) {
  go_on_demand();
  const auto request = ask(port_of("in"), "slow.test");
  ASSERT_TRUE(asks_for("r/slow.test"));
  main.advance(5 * kSec);
  EXPECT_EQ(answer_of(request), "503 ");
  EXPECT_FALSE(subscriptions.names[kV].contains("r/slow.test"));
}

TEST_F(XdsOnDemand, AClientThatLeavesLeavesNothingBehind) {
  go_on_demand();
  testing::Socket socket = testing::Socket::connect(port_of("in"));
  socket.send("GET / HTTP/1.1\r\nhost: left.test\r\n\r\n");
  ASSERT_TRUE(asks_for("r/left.test"));
  socket.reset();
  EXPECT_THAT(send_named(kV, {{"r/left.test", host("left.test", "left")}}), IsEmpty());
  EXPECT_EQ(get("left.test"), "200 left");
  EXPECT_EQ(assembler->demands().num_pending(), 0u);
}

TEST_F(XdsOnDemand, NamesAreBounded) {
  go_on_demand();
  Demands::Options limits;
  limits.max_pending = 3;
  std::map<uint64_t, Demands::Answer> answers;
  limits.answer = [&](uint32_t, uint64_t id, Demands::Answer answer) { answers[id] = answer; };
  WarmingListeners& listeners = const_cast<WarmingListeners&>(assembler->listeners());
  Demands demands(limits, server.builder(), main, listeners);
  demands.set_subscriptions(&subscriptions);
  for (uint64_t id = 0; id < 5; ++id) {
    demands.ask({0, id, dataplane::OnDemand::Lack::kVirtualHost, base::cat("h", id), "r"});
  }
  EXPECT_EQ(demands.num_pending(), 3u);
  EXPECT_EQ(answers, (std::map<uint64_t, Demands::Answer>{{3, Demands::Answer::kRefused},
                                                          {4, Demands::Answer::kRefused}}));
  main.advance(5 * kSec);
  EXPECT_EQ(demands.num_pending(), 0u);
  EXPECT_EQ(answers.size(), 5u);
  EXPECT_EQ(answers[0], Demands::Answer::kTimedOut);
  EXPECT_EQ(subscriptions.names[kV], std::set<std::string>{"*"});
}

// Only the incremental protocol can ask for one thing.
TEST(DecodeOnDemand, RefusesWhatCannotWork) {
  const auto message = [](std::string_view manager, std::string_view filters = "") {
    DecodeOptions decode;
    decode.sources = std::make_shared<ConfigSources>(std::vector<std::string>());
    Warnings warnings;
    const auto out = decode_listener(bytes_of(kListener, listener_with(manager, "", filters)), "1",
                                     decode, &warnings);
    return std::string(base::message_of(out.status()));
  };
  const std::string od =
      "{name: od, typed_config: {\"@type\": type.googleapis.com/"
      "envoy.extensions.filters.http.on_demand.v3.OnDemand, odcds: {";
  EXPECT_THAT(message(kRds, od + "source: {path_config_source: {path: /dev/null}}}}},"),
              HasSubstr("odcds.source"));
  EXPECT_THAT(message(", route_config: {name: r, vhds: {config_source: {ads: {}}}}"),
              HasSubstr("vhds: needs a route configuration that comes over RDS"));
  const std::string scoped =
      ", scoped_routes: {name: s, scope_key_builder: {fragments: [{header_value_extractor: {name: "
      "x, index: ";
  EXPECT_THAT(message(scoped + "1}}]}, scoped_rds: {scoped_rds_config_source: {ads: {}}}}"),
              HasSubstr("index: must be 0"));
}

// ---- Clusters.

class XdsOdcds : public XdsOnDemand {
 protected:
  static std::string filter(std::string_view more = "") {
    return base::cat(
        "      - name: od\n        typed_config: {\"@type\": type.googleapis.com/"
        "envoy.extensions.filters.http.on_demand.v3.OnDemand, odcds: {source: {ads: "
        "{}}",
        more, "}}\n");
  }
  void go_odcds(std::string_view more = "") {
    start();
    EXPECT_THAT(
        send(kL, {direct_listener("origin"), listener_of_filters("in", rds(), filter(more))}),
        IsEmpty());
    EXPECT_THAT(send(kR, {"{name: r, virtual_hosts: [{name: all, domains: ['*'], routes: ["
                          "{match: {prefix: /, headers: [{name: x-to, present_match: true}]}, "
                          "route: {cluster_header: x-to}}, {match: {prefix: /}, route: {cluster: "
                          "late}}]}]}"}),
                IsEmpty());
    ASSERT_TRUE(serves("in"));
  }
  std::string cluster(std::string_view name) {
    return base::cat("{name: ", name, ", load_assignment: ", endpoints_of_origin(name), "}");
  }
  static std::string endpoints_at(std::string_view name, uint16_t port) {
    return base::cat("{cluster_name: ", name,
                     ", endpoints: [{lb_endpoints: [{endpoint: {address: "
                     "{socket_address: {address: 127.0.0.1, port_value: ",
                     port, "}}}}]}]}");
  }
  std::string endpoints_of_origin(std::string_view name) {
    return endpoints_at(name, port_of("origin"));
  }
  bool asks_for(std::string_view name) {
    return turn_until([&] { return subscriptions.names[kC].contains(std::string(name)); });
  }
};

TEST_F(XdsOdcds, Rule135RequestsWaitForTheirClusterAndOneIsAskedFor) {
  go_odcds();
  std::vector<std::shared_ptr<Request>> requests;
  for (int i = 0; i < 8; ++i) requests.push_back(ask(port_of("in"), "a.test"));
  ASSERT_TRUE(asks_for("late"));
  EXPECT_THAT(send(kC, {cluster("late")}), IsEmpty());
  for (const auto& request : requests) EXPECT_EQ(answer_of(request), "200 ok");
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(get("a.test"), "200 ok");
}

TEST_F(XdsOdcds, Rule135ClustersThatHeadersNameAndTheirEndpoints) {
  go_odcds();
  const auto request = ask(port_of("in"), "a.test", "x-to: c7\r\n");
  ASSERT_TRUE(asks_for("c7"));
  EXPECT_THAT(send(kC, {eds_cluster("c7")}), IsEmpty());
  EXPECT_FALSE(request->done);  // it is warming
  EXPECT_THAT(send(kE, {endpoints_of_origin("c7")}), IsEmpty());
  EXPECT_EQ(answer_of(request), "200 ok");
}

TEST_F(XdsOdcds, Rule135AClusterThatThereIsNotAndOneThatGoes) {
  go_odcds();
  const auto request = ask(port_of("in"), "a.test");
  ASSERT_TRUE(asks_for("late"));
  EXPECT_THAT(send(kC, {}, {"late"}), IsEmpty());
  EXPECT_EQ(answer_of(request), "503 ");
  EXPECT_FALSE(subscriptions.names[kC].contains("late"));
  main.advance(kSec);
  const auto second = ask(port_of("in"), "a.test");
  ASSERT_TRUE(asks_for("late"));
  EXPECT_THAT(send(kC, {cluster("late")}), IsEmpty());
  EXPECT_EQ(answer_of(second), "200 ok");
  EXPECT_THAT(send(kC, {}, {"late"}), IsEmpty());
  main.advance(kSec);
  const auto third = ask(port_of("in"), "a.test");
  ASSERT_TRUE(turn_until([&] { return asked() == 3; }));
  EXPECT_THAT(send(kC, {cluster("late")}), IsEmpty());
  EXPECT_EQ(answer_of(third), "200 ok");
}

TEST_F(XdsOdcds, ABodyThatComesMeanwhileIsKept) {
  go_odcds();
  testing::EchoOrigin origin("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
  const auto request = ask(port_of("in"), "a.test", "", std::string(300'000, 'x'));
  ASSERT_TRUE(asks_for("late"));
  EXPECT_THAT(
      send(kC,
           {base::cat("{name: late, load_assignment: ", endpoints_at("late", origin.port()), "}")}),
      IsEmpty());
  EXPECT_EQ(answer_of(request), "200 ok");
  EXPECT_EQ(origin.last_request().body.size(), 300'000u);
}

// What a route says stands in for what the chain's filter says.
TEST_F(XdsOdcds, Rule135RoutesMayAskOrNot) {
  constexpr std::string_view kOf =
      "typed_per_filter_config: {od: {\"@type\": type.googleapis.com/"
      "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig";
  start();
  EXPECT_THAT(send(kL, {direct_listener("origin"), listener_of_filters("in", rds(), filter())}),
              IsEmpty());
  EXPECT_THAT(
      send(kR,
           {base::cat(
               "{name: r, virtual_hosts: [{name: off, domains: [off.test], ", kOf,
               "}}, routes: [{match: {prefix: /, headers: [{name: x-on, present_match: true}]}, "
               "route: {cluster: late}, ",
               kOf,
               ", odcds: {source: {ads: {}}, timeout: 2s}}}}, "
               "{match: {prefix: /}, route: {cluster: late}}]}]}")}),
      IsEmpty());
  ASSERT_TRUE(serves("in"));
  EXPECT_EQ(get("off.test"), "503 ");
  EXPECT_EQ(asked(), 0u);
  const auto request = ask(port_of("in"), "off.test", "x-on: 1\r\n");
  ASSERT_TRUE(asks_for("late"));
  main.advance(2 * kSec);
  EXPECT_EQ(answer_of(request), "503 ");
  EXPECT_EQ(assembler->demands().stats().timed_out, 1u);
}

TEST_F(XdsOdcds, Rule135TheTimeoutIsTheFilters) {
  go_odcds(", timeout: 2s");
  const auto request = ask(port_of("in"), "a.test");
  ASSERT_TRUE(asks_for("late"));
  main.advance(2 * kSec);
  EXPECT_EQ(answer_of(request), "503 ");
  EXPECT_EQ(assembler->demands().stats().timed_out, 1u);
}

}  // namespace
}  // namespace sluice::xds
