#include "router/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/router/request.h"

namespace sluice::router {
namespace {

using ::testing::HasSubstr;

class RouteTableTest : public ::testing::Test {
 protected:
  void load(const RouteConfigValue& config) {
    auto compiled = RouteTable::compile(config, clusters_, table_.get(), options_);
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    table_ = *compiled;
  }
  void load(std::vector<RouteValue> routes) { load(config_of({host({"*"}, std::move(routes))})); }

  // Name of the cluster that a request goes to, or "-".
  std::string cluster_for(oracle::LinearRequest values) {
    const TestRequest request(std::move(values));
    const Match match = table_->match(request.head(), request.input());
    if (match.route == nullptr) return "-";
    const Target& target = match.route->target(request.input().random, request.input().runtime);
    const ClusterId id = match.route->cluster_of(target);
    for (const char* name : {"a", "b", "c", "d"}) {
      if (const ClusterRef ref = clusters_.find(name); ref.id() == id) return name;
    }
    return "?";
  }
  std::string cluster_on(std::string path) {
    oracle::LinearRequest values;
    values.path = std::move(path);
    return cluster_for(std::move(values));
  }
  std::string cluster_at(std::string authority) {
    oracle::LinearRequest values;
    values.authority = std::move(authority);
    return cluster_for(std::move(values));
  }
  std::string error_of(const RouteConfigValue& config) {
    const auto compiled = RouteTable::compile(config, clusters_, nullptr);
    return compiled.ok() ? "" : std::string(base::message_of(compiled.status()));
  }
  std::string error_of(RouteValue route) {
    return error_of(config_of({host({"*"}, {std::move(route)})}));
  }

  ClusterIds clusters_;
  CompileOptions options_;
  std::shared_ptr<const RouteTable> table_;
};

TEST_F(RouteTableTest, RuntimeKeysOverrideFractionsAndWeightsWithoutCompilingAgain) {
  base::RuntimeKeys keys;
  options_.runtime = &keys;
  RouteValue off = prefix("/", "a");
  off.match.fraction = RuntimeFraction{0, "share.a"};
  RouteValue always = prefix("/always", "c");
  always.match.fraction = RuntimeFraction{1'000'000, "share.c"};
  RouteValue weighted = prefix("/", "");
  weighted.forward.cluster.clear();
  weighted.forward.weighted = {{"b", 100, {}, {}, "", "w.b"}, {"d", 0, {}, {}, "", "w.d"}};
  load({off, always, weighted});
  base::RuntimeValues values;
  const auto cluster = [&](std::string path, uint64_t random) {
    oracle::LinearRequest request;
    request.path = std::move(path);
    const TestRequest head(request);
    MatchInput input = head.input();
    input.random = random;
    input.runtime = &values;
    const Match match = table_->match(head.head(), input);
    const Target& target = match.route->target(random, &values);
    for (const char* name : {"a", "b", "c", "d"}) {
      const ClusterRef ref = clusters_.find(name);
      if (ref && ref.id() == match.route->cluster_of(target)) return std::string(name);
    }
    return std::string("?");
  };
  constexpr uint64_t kLow = 0, kHigh = ~uint64_t{0};
  EXPECT_EQ(cluster("/x", kLow), "b");
  EXPECT_EQ(cluster("/x", kHigh), "b");
  EXPECT_EQ(cluster("/always", kHigh), "c");
  const auto set = [&](base::RuntimeKeys::Values now) {
    keys.set(std::move(now));
    values = values.with(keys.take_changes());
  };
  const auto share = [](uint32_t ppm) {
    return base::RuntimeValue{.ppm = ppm, .number = {}, .flag = {}};
  };
  const auto number = [](uint64_t n) {
    return base::RuntimeValue{.ppm = {}, .number = n, .flag = {}};
  };
  set({{"share.a", share(500'000)}, {"share.c", share(0)}});
  EXPECT_EQ(cluster("/x", kLow), "a");
  EXPECT_EQ(cluster("/x", kHigh), "b");
  EXPECT_EQ(cluster("/always", kHigh), "b");
  set({{"w.b", number(1)}, {"w.d", number(3)}});
  EXPECT_EQ(cluster("/x", kLow), "b");
  EXPECT_EQ(cluster("/x", uint64_t{1} << 62), "d") << "a quarter from the left";
  EXPECT_EQ(cluster("/x", kHigh), "d");
  set({{"w.b", number(0)}});
  EXPECT_EQ(cluster("/x", kHigh), "b") << "nothing to share out: as configured";
  set({{"w.b", number(~uint64_t{0})}, {"w.d", number(1)}});
  EXPECT_EQ(cluster("/x", kHigh), "b") << "more than weights can be: as configured";
  table_.reset();
}

TEST_F(RouteTableTest, FirstMatchInListOrderWinsOverLongerPrefix) {
  load({prefix("/a", "a"), prefix("/a/b", "b")});
  EXPECT_EQ(cluster_on("/a/b/c"), "a");
}

TEST_F(RouteTableTest, EarlierPrefixWinsOverLaterExactPath) {
  load({prefix("/a", "a"), exact("/a/b", "b")});
  EXPECT_EQ(cluster_on("/a/b"), "a");
}

TEST_F(RouteTableTest, EarlierExactPathWinsOverLaterPrefix) {
  load({exact("/a/b", "b"), prefix("/a", "a")});
  EXPECT_EQ(cluster_on("/a/b"), "b");
  EXPECT_EQ(cluster_on("/a/bc"), "a");
}

TEST_F(RouteTableTest, PrefixIsOfBytesNotOfSegments) {
  load({prefix("/ab", "a")});
  EXPECT_EQ(cluster_on("/abc"), "a");
  EXPECT_EQ(cluster_on("/a"), "-");
}

TEST_F(RouteTableTest, SeparatedPrefixEndsAtASlashOrTheEnd) {
  load({separated("/ab", "a")});
  EXPECT_EQ(cluster_on("/ab"), "a");
  EXPECT_EQ(cluster_on("/ab/c"), "a");
  EXPECT_EQ(cluster_on("/ab?c"), "a");
  EXPECT_EQ(cluster_on("/abc"), "-");
}

TEST_F(RouteTableTest, QueryAndFragmentAreNoPartOfThePath) {
  load({exact("/a", "a"), prefix("/", "b")});
  EXPECT_EQ(cluster_on("/a?x=/b"), "a");
  EXPECT_EQ(cluster_on("/a#b"), "a");
  EXPECT_EQ(cluster_on("/b?/a"), "b");
}

TEST_F(RouteTableTest, ConditionThatFailsLeavesItToTheNextRoute) {
  load({with(prefix("/a/b", "a"), header_is("k", "1")), prefix("/a", "b")});
  EXPECT_EQ(cluster_for({.path = "/a/b", .headers = {{"k", "1"}}}), "a");
  EXPECT_EQ(cluster_for({.path = "/a/b", .headers = {{"k", "2"}}}), "b");
}

TEST_F(RouteTableTest, ConditionalShorterPrefixWinsWhenItComesFirst) {
  load({with(prefix("/", "a"), header_is("k", "1")), prefix("/x/y", "b")});
  EXPECT_EQ(cluster_for({.path = "/x/y/z", .headers = {{"k", "1"}}}), "a");
  EXPECT_EQ(cluster_for({.path = "/x/y/z"}), "b");
}

TEST_F(RouteTableTest, MethodsTellRoutesApart) {
  load({with(exact("/a", "a"), header_is(":method", "GET")),
        with(exact("/a", "b"), header_is(":method", "BREW")), exact("/a", "c")});
  EXPECT_EQ(cluster_for({.method = "GET", .path = "/a"}), "a");
  EXPECT_EQ(cluster_for({.method = "BREW", .path = "/a"}), "b");
  EXPECT_EQ(cluster_for({.method = "POST", .path = "/a"}), "c");
}

TEST_F(RouteTableTest, OneOfTheLinesOfAHeaderIsEnough) {
  load(
      {with(prefix("/", "a"), header_is("k", "2")), with(prefix("/", "b"), header_is("k", "1,2"))});
  EXPECT_EQ(cluster_for({.headers = {{"k", "1"}, {"other", "x"}, {"k", "2"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"k", "1"}, {"k", "3"}}}), "-");
  EXPECT_EQ(cluster_for({.headers = {{"k", "3"}, {"k", "1,2"}}}), "b");
}

TEST_F(RouteTableTest, InvertedNoneOfTheLinesMayMatch) {
  HeaderMatch not_one = header_is("k", "1");
  not_one.invert = true;
  load({with(prefix("/", "a"), not_one)});
  EXPECT_EQ(cluster_for({.headers = {{"k", "2"}, {"k", "3"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"k", "2"}, {"k", "1"}}}), "-");
}

// Routes that only a header tells apart are found by a hash of its value; each line is looked up,
// and the first route in list order wins, whichever line it was for.
TEST_F(RouteTableTest, EachLineIsLookedUpAmongManyRoutesOfOneHeader) {
  std::vector<RouteValue> routes;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    routes.push_back(with(prefix("/", i == 7 ? "a" : i == 39 ? "b" : "c"), header_is("k", n)));
  }
  load(routes);
  EXPECT_EQ(cluster_for({.headers = {{"k", "30"}, {"k", "7"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"k", "7"}, {"k", "30"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"k", "x"}, {"k", "39"}}}), "b");
}

TEST_F(RouteTableTest, SomeHeadersAreOneLineHoweverManyCame) {
  load({with(prefix("/", "a"), header_is("accept", "1,2"))});
  EXPECT_EQ(cluster_for({.headers = {{"accept", "1"}, {"other", "x"}, {"accept", "2"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"accept", ""}, {"accept", "1,2"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"accept", "1"}}}), "-");
}

TEST_F(RouteTableTest, JoinedValueMayBeLong) {
  HeaderMatch ends = header_is("accept", "z");
  ends.string.kind = StringMatch::Kind::kSuffix;
  load({with(prefix("/", "a"), ends)});
  const std::string big(3000, 'x');
  EXPECT_EQ(cluster_for({.headers = {{"accept", big}, {"accept", big + "z"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"accept", big + "z"}, {"accept", big}}}), "-");
}

TEST_F(RouteTableTest, RegexMatchesTheWholePathWithoutQuery) {
  load({regex("/a/[0-9]+", "a"), regex(".*\\.png", "b")});
  EXPECT_EQ(cluster_on("/a/12?x"), "a");
  EXPECT_EQ(cluster_on("/a/12/"), "-");
  EXPECT_EQ(cluster_on("/z/x.png"), "b");
}

TEST_F(RouteTableTest, CaseBlindPathsMatchAnyCase) {
  RouteValue blind = exact("/AbC", "a");
  blind.match.path.ignore_case = true;
  RouteValue blind_prefix = prefix("/X/", "b");
  blind_prefix.match.path.ignore_case = true;
  load({blind, blind_prefix, exact("/abc", "c")});
  EXPECT_EQ(cluster_on("/aBc"), "a");
  EXPECT_EQ(cluster_on("/x/y"), "b");
}

TEST_F(RouteTableTest, ConnectMatcherTakesOnlyConnect) {
  load({route_to(PathMatch::Kind::kConnect, "", "a"), prefix("/", "b")});
  EXPECT_EQ(cluster_for({.method = "CONNECT", .path = ""}), "a");
  EXPECT_EQ(cluster_for({.path = "/"}), "b");
}

TEST_F(RouteTableTest, RequestWithoutPathNeverMatchesAPrefix) {
  load({prefix("", "a")});
  EXPECT_EQ(cluster_for({.method = "CONNECT", .path = ""}), "-");
}

TEST_F(RouteTableTest, HostsExactBeforeSuffixBeforePrefixBeforeAny) {
  load(config_of({host({"*"}, {prefix("/", "d")}), host({"www.*"}, {prefix("/", "c")}),
                  host({"*.com"}, {prefix("/", "b")}), host({"www.x.com"}, {prefix("/", "a")})}));
  EXPECT_EQ(cluster_at("www.X.com"), "a");
  EXPECT_EQ(cluster_at("www.y.com"), "b");
  EXPECT_EQ(cluster_at("www.y.org"), "c");
  EXPECT_EQ(cluster_at("x.org"), "d");
}

TEST_F(RouteTableTest, LongestSuffixWins) {
  load(config_of({host({"*.com"}, {prefix("/", "a")}), host({"*-b.x.com"}, {prefix("/", "b")}),
                  host({"*.x.com"}, {prefix("/", "c")})}));
  EXPECT_EQ(cluster_at("a-b.x.com"), "b");
  EXPECT_EQ(cluster_at("a.x.com"), "c");
  EXPECT_EQ(cluster_at("x.com"), "a");
}

TEST_F(RouteTableTest, WildcardStandsForAtLeastOneCharacter) {
  load(config_of({host({"*.x.com"}, {prefix("/", "a")}), host({"y.*"}, {prefix("/", "b")})}));
  EXPECT_EQ(cluster_at(".x.com"), "-");
  EXPECT_EQ(cluster_at("y."), "-");
}

TEST_F(RouteTableTest, PortCountsUnlessItIsIgnored) {
  RouteConfigValue config = config_of(
      {host({"x.com", "[::1]"}, {prefix("/", "a")}), host({"x.com:81"}, {prefix("/", "b")})});
  load(config);
  EXPECT_EQ(cluster_at("x.com:80"), "-");
  EXPECT_EQ(cluster_at("x.com:81"), "b");
  config.ignore_port_in_host_matching = true;
  load(config);
  EXPECT_EQ(cluster_at("x.com:80"), "a");
  EXPECT_EQ(cluster_at("[::1]:80"), "a");
  EXPECT_EQ(cluster_at("[::1]"), "a");
}

TEST_F(RouteTableTest, ReasonTellsHostFromRoute) {
  load(config_of({host({"x"}, {prefix("/a", "a")})}));
  const TestRequest other({.authority = "y"});
  EXPECT_EQ(table_->match(other.head(), {}).reason, base::Reason::kVirtualHostNotFound);
  const TestRequest here({.path = "/b", .authority = "x"});
  EXPECT_EQ(table_->match(here.head(), {}).reason, base::Reason::kRouteNotFound);
}

TEST_F(RouteTableTest, RequireTlsAsksForHttps) {
  auto value = host({"*"}, {prefix("/", "a")});
  value->require_tls = VirtualHostValue::RequireTls::kExternalOnly;
  load(config_of({value}));
  const TestRequest request({});
  EXPECT_EQ(table_->match(request.head(), {}).reason, base::Reason::kHttpsRequired);
  MatchInput internal;
  internal.is_internal = true;
  EXPECT_NE(table_->match(request.head(), internal).route, nullptr);
  MatchInput tls;
  tls.is_tls = true;
  EXPECT_NE(table_->match(request.head(), tls).route, nullptr);
}

TEST_F(RouteTableTest, ManyRoutesOfOnePathAreToldApartByTheirHeader) {
  std::vector<RouteValue> routes;
  for (int i = 0; i < 1000; ++i) {
    routes.push_back(with(prefix("/", i == 777 ? "b" : "a"), header_is("t", std::to_string(i))));
  }
  HeaderMatch begins = header_is("t", "77");
  begins.string.kind = StringMatch::Kind::kPrefix;
  routes.insert(routes.begin() + 500, with(prefix("/", "c"), begins));
  routes.push_back(prefix("/", "d"));
  load(std::move(routes));
  EXPECT_EQ(cluster_for({.headers = {{"t", "778"}}}), "c");  // comes before the exact one
  EXPECT_EQ(cluster_for({.headers = {{"t", "77"}}}), "a");   // comes after it
  EXPECT_EQ(cluster_for({.headers = {{"t", "999"}}}), "a");
  EXPECT_EQ(cluster_for({.headers = {{"t", "1000"}}}), "d");
  EXPECT_EQ(cluster_for(oracle::LinearRequest{}), "d");
}

TEST_F(RouteTableTest, WeightsShareOutTheRandomNumbers) {
  RouteValue split = prefix("/");
  split.forward.cluster.clear();
  split.forward.weighted = {
      {"a", 1, {}, {}, "", ""}, {"b", 0, {}, {}, "", ""}, {"c", 3, {}, {}, "", ""}};
  load({split});
  int a = 0;
  constexpr uint64_t kSteps = 1000;
  for (uint64_t i = 0; i < kSteps; ++i) {
    oracle::LinearRequest values;
    values.random = (i * (uint64_t{1} << 32) / kSteps) << 32;
    const std::string got = cluster_for(values);
    EXPECT_NE(got, "b");
    a += got == "a";
  }
  EXPECT_EQ(a, 250);
}

TEST_F(RouteTableTest, TimeoutsHaveEnvoysDefaults) {
  RouteValue off = exact("/off");
  off.forward.timeout = std::chrono::nanoseconds(0);
  load({off, prefix("/")});
  const auto& routes = table_->virtual_hosts()[0]->routes();
  EXPECT_EQ(routes[0].policy().timeout_ns, 0);
  EXPECT_EQ(routes[1].policy().timeout_ns, 15'000'000'000);
  EXPECT_EQ(routes[1].policy().idle_timeout_ns, RoutePolicy::kInherit);
}

TEST_F(RouteTableTest, RoutesThatSayTheSameShareAPolicy) {
  load({prefix("/a", "a"), prefix("/b", "b")});
  const auto& routes = table_->virtual_hosts()[0]->routes();
  EXPECT_EQ(&routes[0].policy(), &routes[1].policy());
}

TEST_F(RouteTableTest, VirtualHostsThatAddTheSameShareAPolicy) {
  auto other = host({"c"}, {prefix("/", "b")});
  other->retry = RetryPolicy{"5xx", 1, {}, {}};
  load(config_of({host({"a"}, {prefix("/", "a")}), host({"b"}, {prefix("/", "b")}), other}));
  const auto policy = [this](size_t i) {
    return &table_->virtual_hosts()[i]->routes()[0].policy();
  };
  EXPECT_EQ(policy(0), policy(1));
  EXPECT_NE(policy(0), policy(2));
}

TEST_F(RouteTableTest, HeaderEditsComeInEnvoysOrder) {
  const auto add = [](std::string value) {
    return HeaderEdits{{{"x", std::move(value), HeaderMutation::Action::kAppend, false}}, {}};
  };
  auto value = host({"*"}, {prefix("/", "a")});
  value->routes[0].request_headers = add("route");
  value->request_headers = add("host");
  RouteConfigValue config = config_of({value});
  config.request_headers = add("config");
  const auto order = [this] {
    std::string out;
    const Route& route = table_->virtual_hosts()[0]->routes()[0];
    for (const http::HeaderEdit& edit : route.target(0, nullptr).request_edits)
      out += edit.value + " ";
    return out;
  };
  load(config);
  EXPECT_EQ(order(), "route host config ");
  config.most_specific_header_mutations_wins = true;
  load(config);
  EXPECT_EQ(order(), "config host route ");
}

TEST_F(RouteTableTest, VirtualHostRetryIsTakenOverUnlessTheRouteHasItsOwn) {
  auto value = host({"*"}, {prefix("/a"), prefix("/b")});
  value->retry = RetryPolicy{"5xx, reset,unheard-of", 3, std::chrono::nanoseconds(5), {}};
  value->routes[1].forward.retry = RetryPolicy{"gateway-error", 7, {}, {404}};
  load(config_of({value}));
  const auto& routes = table_->virtual_hosts()[0]->routes();
  EXPECT_EQ(routes[0].policy().retry->on, RetryRule::k5xx | RetryRule::kReset);
  EXPECT_EQ(routes[0].policy().retry->num_retries, 3u);
  EXPECT_EQ(routes[1].policy().retry->num_retries, 7u);
  EXPECT_TRUE(routes[1].policy().retry->has_status(404));
}

TEST_F(RouteTableTest, UnchangedVirtualHostsAreTakenOver) {
  RouteConfigValue config =
      config_of({host({"a"}, {prefix("/", "a")}), host({"b"}, {prefix("/")})});
  load(config);
  const auto before = table_;
  config.virtual_hosts[1] = host({"b"}, {prefix("/new")});
  load(config);
  EXPECT_EQ(table_->virtual_hosts()[0], before->virtual_hosts()[0]);
  EXPECT_NE(table_->virtual_hosts()[1], before->virtual_hosts()[1]);
  EXPECT_EQ(table_->num_reused(), 1u);
}

TEST_F(RouteTableTest, NothingIsTakenOverWhenWhatIsInheritedChanges) {
  RouteConfigValue config = config_of({host({"a"}, {prefix("/", "a")})});
  load(config);
  config.request_headers.remove = {"x"};
  EXPECT_FALSE(table_->inherits_like(config));
  load(config);
  EXPECT_EQ(table_->num_reused(), 0u);
  EXPECT_TRUE(table_->inherits_like(config));
}

TEST_F(RouteTableTest, VirtualHostIsKnownByItsDigest) {
  auto value = host({"a"}, {prefix("/", "a")});
  value->digest = {1, 2};
  load(config_of({value}));
  EXPECT_TRUE(table_->knows({1, 2}));
  EXPECT_FALSE(table_->knows({2, 1}));
  auto left_out = std::make_shared<VirtualHostValue>();
  left_out->digest = {1, 2};
  left_out->left_out = true;
  load(config_of({left_out}));
  EXPECT_EQ(cluster_at("a"), "a");
  left_out->digest = {9, 9};
  EXPECT_THAT(error_of(config_of({left_out})), HasSubstr("virtual_hosts[0]: left out"));
}

TEST_F(RouteTableTest, TableHoldsTheSlotsOfItsClusters) {
  load({prefix("/", "a")});
  const ClusterId slot = clusters_.find("a").id();
  EXPECT_NE(slot, kNoCluster);
  EXPECT_NE(clusters_.acquire("b").id(), slot);
  load({prefix("/", "c")});
  EXPECT_FALSE(clusters_.find("a"));
  EXPECT_EQ(clusters_.size(), 1u);
}

TEST_F(RouteTableTest, DuplicateDomainIsAnErrorInAnyCase) {
  EXPECT_THAT(error_of(config_of({host({"x.com"}, {}), host({"y", "X.com"}, {})})),
              HasSubstr("virtual_hosts[1].domains[1]: only unique values for domains are "
                        "permitted, virtual_hosts[0].domains[0] has it already"));
}

TEST_F(RouteTableTest, SecondWildcardDomainIsAnError) {
  EXPECT_THAT(error_of(config_of({host({"*"}, {}), host({"*"}, {})})),
              HasSubstr("virtual_hosts[1].domains[0]: only a single wildcard domain"));
}

TEST_F(RouteTableTest, BadRegularExpressionIsAnErrorWithItsPath) {
  EXPECT_THAT(error_of(regex("/(a")),
              HasSubstr("virtual_hosts[0].routes[0].match.safe_regex: bad regular expression"));
  HeaderMatch header = header_is("k", "[");
  header.string.kind = StringMatch::Kind::kRegex;
  EXPECT_THAT(error_of(with(prefix("/"), header)), HasSubstr(".match.headers[0]: bad regular"));
}

TEST_F(RouteTableTest, WeightsThatDoNotAddUpAreErrors) {
  RouteValue split = prefix("/");
  split.forward.cluster.clear();
  split.forward.weighted = {{"a", 0, {}, {}, "", ""}};
  EXPECT_THAT(error_of(split), HasSubstr("weighted_clusters: the weights add up to 0"));
  split.forward.weighted = {{"a", 4294967295, {}, {}, "", ""}, {"b", 1, {}, {}, "", ""}};
  EXPECT_THAT(error_of(split), HasSubstr("more than 4294967295"));
  split.forward.weighted = {{"a", 5, {}, {}, "", ""}};
  split.forward.total_weight = 100;
  EXPECT_THAT(error_of(split), HasSubstr("add up to 5, not to 100"));
}

TEST_F(RouteTableTest, ExactlyOneKindOfClusterIsWanted) {
  RouteValue none = prefix("/", "");
  EXPECT_THAT(error_of(none), HasSubstr("routes[0].route: none of cluster"));
  none.forward.cluster = "a";
  none.forward.cluster_header = "b";
  EXPECT_THAT(error_of(none), HasSubstr("routes[0].route: more than one of cluster"));
}

TEST_F(RouteTableTest, ExplainNamesTheNearestMissAndWhatFailed) {
  load(config_of({host({"x"}, {prefix("/other"), with(prefix("/a/b"), header_is("k", "1"))})}));
  const TestRequest request({.path = "/a/b/c", .authority = "x", .headers = {{"k", "2"}}});
  const std::string told = table_->explain(request.head(), {});
  EXPECT_THAT(told, HasSubstr("virtual host 0 \"x\": found by its exact domain"));
  EXPECT_THAT(told, HasSubstr("nearest miss: route 1 (prefix \"/a/b\"): header k: is \"1\"; the "
                              "request has \"2\"; virtual_hosts[0].routes[1]"));
}

}  // namespace
}  // namespace sluice::router
