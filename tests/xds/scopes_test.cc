// Scoped routes (rule 133), from SRDS to answers.
#include "tests/xds/serving.h"

namespace sluice::xds {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kS = Type::kScopedRoute;

class XdsScopes : public XdsServing {
 protected:
  static std::string scoped(std::string_view scopes, std::string_view filters = "") {
    return listener_of_filters(
        "in",
        base::cat("      scoped_routes:\n        name: s\n"
                  "        scope_key_builder: {fragments: [{header_value_extractor: {name: x-vip, "
                  "element_separator: ';', element: {separator: '=', key: vip}}}]}\n",
                  scopes),
        filters);
  }
  static std::string srds_listener(std::string_view filters = "") {
    return scoped(
        "        rds_config_source: {ads: {}}\n"
        "        scoped_rds: {scoped_rds_config_source: {ads: {}}}\n",
        filters);
  }
  static std::string scope(std::string_view name, std::string_view key, std::string_view routes,
                           std::string_view more = "") {
    return base::cat("{name: ", name, ", route_configuration_name: ", routes,
                     ", key: {fragments: [{string_key: ", key, "}]}", more, "}");
  }
  std::string get(std::string_view vip) {
    return XdsServing::get("in", "a.test", base::cat("x-vip: a=b;vip=", vip, "\r\n"));
  }
};

TEST_F(XdsScopes, Rule133AListenerWaitsForItsScopesAndTheirRoutes) {
  start();
  EXPECT_THAT(send(kL, {srds_listener()}), IsEmpty());
  EXPECT_EQ(subscriptions.names[kS], std::set<std::string>{"*"});
  EXPECT_FALSE(serves("in"));
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].for_type, kS);
  EXPECT_THAT(send(kS, {scope("a", "1", "ra"), scope("b", "2", "rb", ", on_demand: true")}),
              IsEmpty());
  EXPECT_EQ(subscriptions.names[kR], std::set<std::string>{"ra"});
  EXPECT_FALSE(serves("in"));
  EXPECT_THAT(send(kR, {saying("ra", "one")}), IsEmpty());
  ASSERT_TRUE(serves("in"));
  EXPECT_EQ(get("1"), "200 one");
  EXPECT_EQ(get("2"), "404 ");  // on demand, and nothing asks
  EXPECT_EQ(get("3"), "404 ");
  EXPECT_EQ(XdsServing::get("in", "a.test"), "404 ");
}

TEST_F(XdsScopes, Rule133ScopesComeAndGo) {
  start();
  send(kL, {srds_listener()});
  send(kS, {scope("a", "1", "ra"), scope("b", "2", "rb")});
  send(kR, {saying("ra", "one"), saying("rb", "two")});
  EXPECT_EQ(get("2"), "200 two");
  EXPECT_THAT(send(kS, {scope("c", "3", "ra")}, {"b"}), IsEmpty());
  EXPECT_EQ(subscriptions.names[kR], std::set<std::string>{"ra"});
  EXPECT_EQ(get("2"), "404 ");
  EXPECT_EQ(get("3"), "200 one");
  EXPECT_THAT(send(kR, {saying("ra", "more")}), IsEmpty());
  EXPECT_EQ(get("3"), "200 more");
  EXPECT_THAT(send(kL, {}, {"in"}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kR], IsEmpty());
  // The scopes are kept: another listener has them.
  std::string other = srds_listener();
  other.replace(0, std::string_view("name: in").size(), "name: other");
  EXPECT_THAT(send(kL, {other}), IsEmpty());
  EXPECT_EQ(subscriptions.names[kR], std::set<std::string>{"ra"});
  EXPECT_THAT(send(kR, {saying("ra", "again")}), IsEmpty());
  EXPECT_EQ(XdsServing::get("other", "a.test", "x-vip: vip=3\r\n"), "200 again");
}

TEST_F(XdsScopes, Rule133AScopeServesItsOldRoutesUntilTheNewOnesAreThere) {
  start();
  send(kL, {srds_listener()});
  send(kS, {scope("a", "1", "ra")});
  send(kR, {saying("ra", "old")});
  EXPECT_THAT(send(kS, {scope("a", "1", "rn")}), IsEmpty());
  EXPECT_EQ(subscriptions.names[kR], (std::set<std::string>{"ra", "rn"}));
  EXPECT_EQ(get("1"), "200 old");
  EXPECT_THAT(send(kR, {saying("rn", "new")}), IsEmpty());
  EXPECT_EQ(get("1"), "200 new");
  EXPECT_EQ(subscriptions.names[kR], std::set<std::string>{"rn"});
}

TEST_F(XdsScopes, Rule133KeysAreUniqueAndTheOtherScopesStay) {
  start();
  send(kL, {srds_listener()});
  const auto rejected = send(kS, {scope("a", "1", "ra"), scope("b", "1", "rb")});
  ASSERT_THAT(rejected, SizeIs(1));
  EXPECT_EQ(rejected[0].name, "b");
  EXPECT_THAT(std::string(base::message_of(rejected[0].status)),
              HasSubstr("scope \"a\" has the same"));
  send(kR, {saying("ra", "one")});
  EXPECT_EQ(get("1"), "200 one");
  // Two scopes that trade their keys in one update do not collide.
  EXPECT_THAT(send(kS, {scope("b", "2", "ra")}), IsEmpty());
  EXPECT_THAT(send(kS, {scope("a", "2", "ra"), scope("b", "1", "ra")}), IsEmpty());
}

TEST_F(XdsScopes, Rule133WaitsEnd) {
  start();
  send(kL, {srds_listener()});
  main.advance(15 * kSec);
  ASSERT_TRUE(serves("in"));
  EXPECT_EQ(get("1"), "404 ");
  send(kS, {scope("a", "1", "ra")});
  send(kR, {saying("ra", "one")});
  EXPECT_EQ(get("1"), "200 one");
}

TEST_F(XdsScopes, InlineScopesNeedNoControlPlane) {
  start();
  const std::string list =
      "        scoped_route_configurations_list:\n          scoped_route_configurations:\n";
  const auto inline_scope = [](std::string_view name, std::string_view key, std::string_view word) {
    return base::cat("          - {name: ", name, ", key: {fragments: [{string_key: ", key,
                     "}]}, route_configuration: ", saying("i", word), "}\n");
  };
  EXPECT_THAT(
      send(kL, {scoped(list + inline_scope("a", "1", "one") + inline_scope("b", "2", "two"))}),
      IsEmpty());
  ASSERT_TRUE(serves("in"));
  EXPECT_THAT(subscriptions.names[kS], IsEmpty());
  EXPECT_EQ(get("1"), "200 one");
  EXPECT_EQ(get("2"), "200 two");
  EXPECT_EQ(get("3"), "404 ");
  EXPECT_THAT(send(kL, {scoped(list + inline_scope("a", "3", "three"))}), IsEmpty());
  EXPECT_EQ(get("3"), "200 three");
  EXPECT_EQ(get("1"), "404 ");
  const auto twice =
      send(kL, {scoped(list + inline_scope("a", "1", "x") + inline_scope("b", "1", "y"))});
  ASSERT_THAT(twice, SizeIs(1));
  EXPECT_THAT(std::string(base::message_of(twice[0].status)), HasSubstr("same key"));
  EXPECT_EQ(get("3"), "200 three");
}

TEST_F(XdsScopes, Rule133RoutesOfAScopeOnDemandAreAskedForByTheFirstRequest) {
  start();
  send(kL, {srds_listener(kOnDemandFilter)});
  send(kS, {scope("b", "2", "rb", ", on_demand: true")});
  ASSERT_TRUE(serves("in"));
  EXPECT_THAT(subscriptions.names[kR], IsEmpty());
  std::vector<std::shared_ptr<Request>> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(ask(port_of("in"), "a.test", "x-vip: vip=2\r\n"));
  }
  ASSERT_TRUE(turn_until([&] { return subscriptions.names[kR].contains("rb"); }));
  EXPECT_EQ(get("3"), "404 ");
  send(kR, {saying("rb", "two")});
  for (const auto& request : requests) EXPECT_EQ(answer_of(request), "200 two");
  EXPECT_EQ(get("2"), "200 two");
  EXPECT_EQ(assembler->demands().stats().asked, 1u);
}

}  // namespace
}  // namespace sluice::xds
