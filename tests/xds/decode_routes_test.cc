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
using router::RouteValue;
using testing::ElementsAre;

TEST(DecodeRoutes, TakesPathMatches) {
  using Kind = router::PathMatch::Kind;
  const struct {
    std::string_view match;
    Kind kind;
    std::string_view text;
    bool ignore_case;
  } kRows[] = {
      {"{prefix: /a}", Kind::kPrefix, "/a", false},
      {"{path: /a, case_sensitive: false}", Kind::kExact, "/a", true},
      {"{path_separated_prefix: /a/b}", Kind::kSeparatedPrefix, "/a/b", false},
      {"{safe_regex: {google_re2: {}, regex: '/a.*'}}", Kind::kRegex, "/a.*", false},
      {"{connect_matcher: {}}", Kind::kConnect, "", false},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.match);
    const RouteValue got = route_of(base::cat("{match: ", row.match, ", route: {cluster: c}}"));
    EXPECT_EQ(got.match.path.kind, row.kind);
    EXPECT_EQ(got.match.path.text, row.text);
    EXPECT_EQ(got.match.path.ignore_case, row.ignore_case);
    EXPECT_EQ(got.source, "virtual_hosts[0].routes[0]");
  }
}

TEST(DecodeRoutes, TakesPredicates) {
  const RouteValue got = route_of(R"({match: {prefix: /, grpc: {},
    runtime_fraction: {default_value: {numerator: 25, denominator: TEN_THOUSAND}, runtime_key: k},
    headers: [{name: X-A, exact_match: v}, {name: b, range_match: {start: 1, end: 5}},
      {name: c, present_match: false}, {name: d},
      {name: e, string_match: {contains: q, ignore_case: true}, invert_match: true,
       treat_missing_header_as_empty: true}, {name: f, safe_regex_match: {regex: x+}}],
    query_parameters: [{name: p}, {name: q, string_match: {prefix: z}},
      {name: s, present_match: false}]}, route: {cluster: c}})");
  const auto& headers = got.match.headers;
  using Kind = router::HeaderMatch::Kind;
  ASSERT_EQ(headers.size(), 6U);
  EXPECT_EQ(headers[0].name, "x-a");
  EXPECT_EQ(headers[0].kind, Kind::kString);
  EXPECT_EQ(headers[0].string.text, "v");
  EXPECT_EQ(headers[1].kind, Kind::kRange);
  EXPECT_EQ(headers[1].range_to, 5);
  EXPECT_FALSE(headers[2].present);
  EXPECT_EQ(headers[3].kind, Kind::kPresent);
  EXPECT_TRUE(headers[3].present);
  EXPECT_EQ(headers[4].string.kind, router::StringMatch::Kind::kContains);
  EXPECT_TRUE(headers[4].string.ignore_case && headers[4].invert);
  EXPECT_TRUE(headers[4].treat_missing_as_empty);
  EXPECT_EQ(headers[5].string.kind, router::StringMatch::Kind::kRegex);
  ASSERT_EQ(got.match.query.size(), 3U);
  EXPECT_FALSE(got.match.query[0].value.has_value());
  EXPECT_EQ(got.match.query[1].value->text, "z");
  EXPECT_FALSE(got.match.query[2].present);
  EXPECT_EQ(got.match.fraction->ppm, 2500U);
  EXPECT_EQ(got.match.fraction->runtime_key, "k");
  EXPECT_TRUE(got.match.grpc_only);
}

TEST(DecodeRoutes, TakesWhatGrpcTimeoutDoes) {
  using Sets = router::GrpcTimeout::Sets;
  const auto forward = [](const std::string& fields) {
    return route_of("{match: {prefix: /}, route: {cluster: c, timeout: 9s, " + fields + "}}")
        .forward;
  };
  const router::ForwardAction none = forward("priority: HIGH");
  EXPECT_EQ(none.grpc_timeout.sets, Sets::kNothing);
  EXPECT_FALSE(none.grpc_timeout.rewrites);
  const router::ForwardAction duration = forward(
      "max_stream_duration: {grpc_timeout_header_max: 2s, grpc_timeout_header_offset: 0.5s}, "
      "max_grpc_timeout: 7s");
  EXPECT_EQ(duration.timeout, 0s);
  EXPECT_FALSE(duration.max_stream_duration.has_value());
  EXPECT_EQ(duration.grpc_timeout.sets, Sets::kDuration);
  EXPECT_EQ(duration.grpc_timeout.max, 2s);
  EXPECT_EQ(duration.grpc_timeout.offset, 500ms);
  EXPECT_TRUE(duration.grpc_timeout.rewrites);
  const router::ForwardAction empty =
      forward("max_stream_duration: {grpc_timeout_header_offset: 1s}, max_grpc_timeout: 7s");
  EXPECT_EQ(empty.timeout, 0s);
  EXPECT_EQ(empty.grpc_timeout.sets, Sets::kNothing);
  EXPECT_TRUE(empty.grpc_timeout.rewrites);
  const router::ForwardAction older = forward("max_grpc_timeout: 0s, grpc_timeout_offset: 0.1s");
  EXPECT_EQ(older.timeout, 9s);
  EXPECT_EQ(older.grpc_timeout.sets, Sets::kTimeout);
  EXPECT_EQ(older.grpc_timeout.max, 0s);
  EXPECT_EQ(older.grpc_timeout.offset, 100ms);
  EXPECT_FALSE(older.grpc_timeout.rewrites);
}

TEST(DecodeRoutes, TakesForwardActions) {
  const RouteValue got = route_of(R"({name: n, stat_prefix: sp, match: {prefix: /}, route: {
    cluster: c, cluster_not_found_response_code: NOT_FOUND, prefix_rewrite: /x,
    host_rewrite_literal: h, append_x_forwarded_host: true, timeout: 1s, idle_timeout: 0s,
    priority: HIGH, max_stream_duration: {max_stream_duration: 3s},
    upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: y, enabled: false},
      {upgrade_type: CONNECT, connect_config: {}}]},
    request_headers_to_add: [{header: {key: A, value: b}, append_action: ADD_IF_ABSENT,
      keep_empty_value: true}], request_headers_to_remove: X-Q,
    response_headers_to_add: {header: {key: c, value: d}, append: false}})");
  EXPECT_EQ(got.name, "n");
  EXPECT_EQ(got.stat_prefix, "sp");
  EXPECT_EQ(got.forward.cluster, "c");
  EXPECT_EQ(got.forward.cluster_not_found_status, 404U);
  EXPECT_EQ(got.forward.path_rewrite.kind, router::PathRewrite::Kind::kPrefix);
  EXPECT_EQ(got.forward.path_rewrite.prefix, "/x");
  EXPECT_EQ(got.forward.host_rewrite.kind, router::HostRewrite::Kind::kLiteral);
  EXPECT_TRUE(got.forward.host_rewrite.append_x_forwarded_host);
  EXPECT_EQ(got.forward.timeout, 0s);  // max_stream_duration has its place
  EXPECT_EQ(got.forward.idle_timeout, 0s);
  EXPECT_EQ(got.forward.max_stream_duration, 3s);
  EXPECT_EQ(got.forward.priority, 1);
  EXPECT_THAT(got.forward.upgrades, ElementsAre("websocket", "connect"));
  EXPECT_TRUE(got.forward.connect_terminates);
  EXPECT_THAT(got.forward.upgrades_disabled, ElementsAre("y"));
  using Action = http::HeaderMutation::Action;
  EXPECT_EQ(got.request_headers.add[0].name, "a");
  EXPECT_EQ(got.request_headers.add[0].action, Action::kAddIfAbsent);
  EXPECT_TRUE(got.request_headers.add[0].keep_empty);
  EXPECT_THAT(got.request_headers.remove, ElementsAre("x-q"));
  EXPECT_EQ(got.response_headers.add[0].action, Action::kOverwrite);
}

TEST(DecodeRoutes, TakesWeightsRewritesRedirectsAndDirectResponses) {
  const RouteValue weighted = route_of(R"({match: {prefix: /}, route: {weighted_clusters: {
    clusters: [{name: a, weight: 1}, {name: b, weight: 3, host_rewrite_literal: h}],
    total_weight: 4}, regex_rewrite: {pattern: {regex: x}, substitution: y}}})");
  EXPECT_EQ(weighted.forward.total_weight, 4U);
  EXPECT_EQ(weighted.forward.weighted[1].cluster, "b");
  EXPECT_EQ(weighted.forward.weighted[1].host_rewrite, "h");
  EXPECT_EQ(weighted.forward.path_rewrite.regex, "x");
  const RouteValue redirect = route_of(R"({match: {prefix: /}, redirect: {https_redirect: true,
    host_redirect: h, port_redirect: 8, prefix_rewrite: /p, response_code: FOUND,
    strip_query: true}})");
  EXPECT_EQ(redirect.action, RouteValue::Action::kRedirect);
  EXPECT_TRUE(redirect.redirect.https && redirect.redirect.strip_query);
  EXPECT_EQ(redirect.redirect.port, 8U);
  EXPECT_EQ(redirect.redirect.status, 302U);
  EXPECT_EQ(redirect.redirect.rewrite.prefix, "/p");
  const RouteValue direct =
      route_of("{match: {prefix: /}, direct_response: {status: 201, body: {inline_string: hi}}}");
  EXPECT_EQ(direct.action, RouteValue::Action::kDirect);
  EXPECT_EQ(direct.direct.status, 201U);
  EXPECT_EQ(direct.direct.body, "hi");
}

TEST(DecodeRoutes, TakesHostAndConfigurationLevels) {
  const auto got = routes_of(
      R"({name: r, most_specific_header_mutations_wins: true, ignore_port_in_host_matching: true,
    validate_clusters: true, request_headers_to_add: {header: {key: a, value: b}},
    virtual_hosts: [{name: v, domains: [a.com, '*.b.com'], require_tls: ALL,
      response_headers_to_remove: [Q]}, {name: w, domains: '*'}]})");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->version, "7");
  EXPECT_TRUE(got->most_specific_header_mutations_wins && got->ignore_port_in_host_matching);
  EXPECT_EQ(got->validate_clusters, true);
  ASSERT_EQ(got->virtual_hosts.size(), 2U);
  EXPECT_THAT(got->virtual_hosts[0]->domains, ElementsAre("a.com", "*.b.com"));
  EXPECT_EQ(got->virtual_hosts[0]->require_tls, router::VirtualHostValue::RequireTls::kAll);
  EXPECT_THAT(got->virtual_hosts[0]->response_headers.remove, ElementsAre("q"));
  EXPECT_EQ(got->virtual_hosts[1]->source, "virtual_hosts[1]");
  EXPECT_NE(got->virtual_hosts[0]->digest, got->virtual_hosts[1]->digest);
}

TEST(DecodeRoutes, TakesVhds) {
  const auto routes =
      routes_of("{name: r, vhds: {config_source: {ads: {}, initial_fetch_timeout: 2s}}}");
  ASSERT_TRUE(routes.ok()) << routes.status();
  ASSERT_TRUE(routes->vhds);
  EXPECT_EQ(routes->vhds->initial_fetch_timeout_ns, 2'000'000'000);
  EXPECT_FALSE(routes_of("{name: r}")->vhds);
}

TEST(DecodeRoutes, RefusesWithPathAndRemedy) {
  const struct {
    std::string_view route;
    std::string_view message;
  } kRows[] = {
      {"{match: {prefix: /}}",
       "action: one of route, redirect, direct_response, filter_action, non_forwarding_action is "
       "required"},
      {"{match: {}, route: {cluster: c}}",
       "match.path_specifier: one of prefix, path, safe_regex, connect_matcher, "
       "path_separated_prefix, path_match_policy is required"},
      {"{match: {prefix: /}, route: {cluster: c, request_mirror_policies: [{cluster: d}]}}",
       "route.request_mirror_policies: not supported yet, and not safe to ignore; remove it"},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a}]}}}",
       "route.weighted_clusters: the weights' sum is 0; give one cluster a weight"},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 4294967295}, "
       "{name: b, weight: 1}]}}}",
       "route.weighted_clusters: the weights' sum does not fit in 32 bits: 4294967296"},
      {"{match: {prefix: /}, route: {cluster: c, retry_policy: {retry_on: 5xx}}}",
       "route.retry_policy.retry_on: retries on this condition are not supported yet: \"5xx\"; a "
       "request is repeated only when a reused connection turns out closed (reset-before-request); "
       "set num_retries: 0"},
      {"{match: {prefix: /}, route: {cluster: c}, request_headers_to_add: {header: {key: ':path', "
       "value: a}}}",
       "request_headers_to_add[0].header.key: this header cannot be edited: \":path\"; use the "
       "route's rewrites"},
      {"{match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: {x: {'@type': "
       "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy}}}",
       "typed_per_filter_config[\"x\"]: settings of this filter per route are not supported yet: "
       "\"envoy.extensions.filters.http.cors.v3.CorsPolicy\"; remove them"},
      {"{match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: {x: {'@type': "
       "type.googleapis.com/envoy.config.route.v3.FilterConfig}}}",
       "typed_per_filter_config[\"x\"]: has neither disabled: true nor a config"},
      {"{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 1, "
       "typed_per_filter_config: {x: {'@type': type.googleapis.com/envoy.config.route.v3."
       "FilterConfig}}}]}}}",
       "route.weighted_clusters.clusters[0].typed_per_filter_config[\"x\"]: has neither disabled: "
       "true nor a config"},
      {"{match: {prefix: /}, route: {cluster: c, upgrade_configs: [{upgrade_type: CONNECT}, "
       "{upgrade_type: websocket, connect_config: {}}]}}",
       "route.upgrade_configs[1].connect_config: is for upgrade_type CONNECT, not for "
       "\"websocket\"; remove it"},
      {"{match: {prefix: /}, direct_response: {status: 99}}",
       "direct_response.status: must be >= 200 and < 600, is 99"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(route_refused(row.route),
              base::cat("route configuration \"r\": virtual_hosts[0].routes[0].", row.message));
  }
  EXPECT_EQ(message_of(routes_of("{name: r, internal_only_headers: a}")),
            "route configuration \"r\": internal_only_headers: not supported yet, and not safe to "
            "ignore; remove it");
  EXPECT_EQ(
      message_of(routes_of("{name: r, virtual_hosts: [{name: v}]}")),
      "route configuration \"r\": virtual_hosts[0].domains: must have at least 1 items, has 0");
}

TEST(DecodeRoutes, CountsTheSameWarningOnce) {
  Warned warned;
  ASSERT_TRUE(routes_of(R"({name: r, virtual_hosts: [{name: v, domains: [a], routes: [
    {match: {prefix: /a}, route: {cluster: c}, decorator: {operation: x}},
    {match: {prefix: /b}, route: {cluster: c}, decorator: {operation: x}}]}]})",
                        &warned)
                  .ok());
  EXPECT_THAT(warned.texts,
              ElementsAre("route configuration \"r\": virtual_hosts[0].routes[0].decorator: not "
                          "supported yet: no spans are made yet (and at 1 more places)"));
}

TEST(DecodeRoutes, TakesSettingsOfFiltersOnEveryLevel) {
  constexpr std::string_view kMutation = R"({'@type':
    type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute,
    mutations: {request_mutations: [{remove: X-A}, {append: {header: {key: b, value: c}}}],
    response_mutations: [{append: {header: {key: d, value: e}}}]}})";
  const auto wrapped = [](std::string_view more) {
    return base::cat("{'@type': type.googleapis.com/envoy.config.route.v3.FilterConfig, ", more,
                     "}");
  };
  Warned warned;
  const auto got = routes_of(
      base::cat(
          "{name: r, typed_per_filter_config: {t: ", wrapped("disabled: true"),
          "}, virtual_hosts: [{name: v, domains: ['*'], typed_per_filter_config: {h: ", kMutation,
          "}, routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: c, "
          "weight: 1, typed_per_filter_config: {w: ",
          wrapped("disabled: true"), "}}]}}, ", "typed_per_filter_config: {z: ",
          wrapped(base::cat("config: ", kMutation)), ", a: ", wrapped("config: {}"), ", o: ",
          wrapped("is_optional: true, config: {'@type': "
                  "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy}"),
          "}}]}]}"),
      &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->filters.size(), 1U);
  EXPECT_EQ(got->filters[0].name, "t");
  EXPECT_TRUE(got->filters[0].disabled);
  const auto& host = *got->virtual_hosts[0];
  ASSERT_EQ(host.filters.size(), 1U);
  const auto& mutation = std::get<filters::RouteHeaderMutation>(host.filters[0].config);
  EXPECT_THAT(mutation.request_remove, ElementsAre("x-a"));
  EXPECT_EQ(mutation.request_add.at(0).name, "b");
  EXPECT_EQ(mutation.response_add.at(0).value, "e");
  const auto& route = host.routes[0].filters;
  ASSERT_EQ(route.size(), 2U);  // by name; the optional one is left out
  EXPECT_EQ(route[0].name, "a");
  EXPECT_FALSE(route[0].disabled);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(route[0].config));
  EXPECT_EQ(route[1].name, "z");
  EXPECT_TRUE(std::holds_alternative<filters::RouteHeaderMutation>(route[1].config));
  const auto& cluster = host.routes[0].forward.weighted.at(0).filters;
  ASSERT_EQ(cluster.size(), 1U);
  EXPECT_EQ(cluster[0].name, "w");
  EXPECT_TRUE(cluster[0].disabled);
}

TEST(DecodeRoutes, TenThousandRoutesTakeAMomentOnly) {
  std::string yaml = "name: r\nvirtual_hosts:\n";
  for (int host = 0; host < 100; ++host) {
    base::cat_to(yaml, "- name: v", host, "\n  domains: [h", host, ".example.com]\n  routes:\n");
    for (int i = 0; i < 100; ++i) {
      base::cat_to(yaml, "  - match: {prefix: /api/", i,
                   ", headers: [{name: x-a, exact_match: b}]}\n    route: {cluster: c", i,
                   ", timeout: 1s}\n");
    }
  }
  const auto at = [] { return std::chrono::steady_clock::now(); };
  const auto ms = [](auto d) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
  };
  const auto t0 = at();
  const std::string bytes = bytes_of(kRoutes, yaml);
  const auto t1 = at();
  const auto got = decode_routes(bytes, "1", {}, nullptr);
  const auto t2 = at();
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->virtual_hosts.size(), 100U);
  printf("10,000 routes: YAML %lld ms, decode %lld ms, %zu bytes\n",
         static_cast<long long>(ms(t1 - t0)), static_cast<long long>(ms(t2 - t1)), bytes.size());
  EXPECT_LT(ms(t2 - t1), 5000);  // far above any machine's; the figure is printed
}

}  // namespace
}  // namespace sluice::xds
