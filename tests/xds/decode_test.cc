#include "xds/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/xds/messages.h"

namespace sluice::xds {
namespace {

using namespace std::chrono_literals;
using dataplane::HttpValue;
using dataplane::ListenerValue;
using router::RouteValue;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using upstream::ClusterValue;

constexpr std::string_view kManager =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
    "HttpConnectionManager";
constexpr std::string_view kRouter =
    R"({name: r, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}})";

// A listener whose connection manager has these fields beside its filters.
std::string listener_with(std::string_view manager, std::string_view listener = {},
                          std::string_view filters = {}) {
  return base::cat("{name: in, address: {socket_address: {address: 127.0.0.1, port_value: 80}}",
                   listener,
                   ", filter_chains: [{filters: [{name: hcm, typed_config: {\"@type\": ", kManager,
                   ", stat_prefix: s", manager, ", http_filters: [", filters, kRouter, "]}}]}]}");
}
constexpr std::string_view kRds =
    ", rds: {route_config_name: r, config_source: {ads: {}, initial_fetch_timeout: 0s}}";

struct Warned {
  std::vector<std::string> texts;
};

absl::StatusOr<ListenerValue> listener_of(std::string_view yaml, Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_listener(bytes_of(kListener, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
absl::StatusOr<ClusterValue> cluster_of(std::string_view yaml, Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_cluster(bytes_of(kCluster, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
absl::StatusOr<router::RouteConfigValue> routes_of(std::string_view yaml,
                                                   Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_routes(bytes_of(kRoutes, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
absl::StatusOr<upstream::EndpointsValue> endpoints_of(std::string_view yaml,
                                                      Warned* warned = nullptr) {
  Warnings warnings;
  auto out = decode_endpoints(bytes_of(kEndpoints, yaml), "7", {}, &warnings);
  if (warned != nullptr) warned->texts = warnings.texts();
  return out;
}
template <typename T>
std::string message_of(const absl::StatusOr<T>& result) {
  return std::string(base::message_of(result.status()));
}

HttpValue http_of(std::string_view manager) {
  auto listener = listener_of(listener_with(base::cat(kRds, manager)));
  EXPECT_TRUE(listener.ok()) << listener.status();
  return listener.ok() ? listener->http : HttpValue{};
}

// One route of the only virtual host.
RouteValue route_of(std::string_view route) {
  auto routes = routes_of(
      base::cat("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [", route, "]}]}"));
  EXPECT_TRUE(routes.ok()) << routes.status();
  if (routes.ok()) return routes->virtual_hosts[0]->routes[0];
  RouteValue none;  // with room for what tests look at
  none.forward.weighted.resize(2);
  none.match.headers.resize(6);
  none.request_headers.add.resize(1);
  none.response_headers.add.resize(1);
  return none;
}
std::string route_refused(std::string_view route) {
  return message_of(routes_of(
      base::cat("{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [", route, "]}]}")));
}

// ---------------------------------------------------------------------------------------------
// Listeners.

TEST(DecodeListener, TakesSocketAndAddresses) {
  const auto got = listener_of(listener_with(
      kRds,
      ", stat_prefix: p, additional_addresses: [{address: {pipe: {path: /run/a}}}], bind_to_port: "
      "false, enable_reuse_port: false, tcp_backlog_size: 9, per_connection_buffer_limit_bytes: "
      "4096"));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->name, "in");
  EXPECT_EQ(got->version, "7");
  EXPECT_EQ(got->source, "listener \"in\"");
  ASSERT_EQ(got->addresses.size(), 2U);
  EXPECT_EQ(got->addresses[0].to_string(), "127.0.0.1:80");
  EXPECT_EQ(got->addresses[1].to_string(), "/run/a");
  EXPECT_EQ(got->stat_name, "p");
  EXPECT_FALSE(got->bind_to_port);
  EXPECT_FALSE(got->reuse_port);
  EXPECT_EQ(got->tcp_backlog, 9U);
  EXPECT_EQ(got->buffer_limit_bytes, 4096U);
  EXPECT_EQ(got->http.rds_name, "r");
  EXPECT_EQ(got->http.rds_initial_fetch_timeout, 0s);
}

TEST(DecodeListener, TakesEveryOptionOfTheConnectionManager) {
  const HttpValue got = http_of(R"(,
    codec_type: HTTP1, server_name: me, server_header_transformation: PASS_THROUGH,
    max_request_headers_kb: 96, stream_idle_timeout: 1s, request_timeout: 2s,
    request_headers_timeout: 3s, drain_timeout: 4s, delayed_close_timeout: 5s,
    use_remote_address: true, xff_num_trusted_hops: 2, skip_xff_append: true, via: v,
    generate_request_id: false, preserve_external_request_id: true,
    always_set_request_id_in_response: true, proxy_100_continue: true, normalize_path: true,
    merge_slashes: true, path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD,
    strip_any_host_port: true, strip_trailing_host_dot: true,
    upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: x, enabled: false}],
    common_http_protocol_options: {idle_timeout: 6s, max_connection_duration: 7s,
      max_headers_count: 50, max_requests_per_connection: 8,
      headers_with_underscores_action: REJECT_REQUEST},
    http_protocol_options: {accept_http_10: true,
      allow_chunked_length: true})");
  EXPECT_EQ(got.codec, HttpValue::Codec::kHttp1);
  EXPECT_EQ(got.server_name, "me");
  EXPECT_EQ(got.server_header, dataplane::ServerHeader::kPassThrough);
  EXPECT_EQ(got.max_request_head_bytes, 96U * 1024);
  EXPECT_EQ(got.stream_idle_timeout, 1s);
  EXPECT_EQ(got.request_timeout, 2s);
  EXPECT_EQ(got.request_headers_timeout, 3s);
  EXPECT_EQ(got.drain_timeout, 4s);
  EXPECT_EQ(got.delayed_close_timeout, 5s);
  EXPECT_EQ(got.idle_timeout, 6s);
  EXPECT_EQ(got.max_connection_duration, 7s);
  EXPECT_EQ(got.max_request_headers, 50U);
  EXPECT_EQ(got.max_requests_per_connection, 8U);
  EXPECT_EQ(got.underscores, dataplane::Underscores::kReject);
  EXPECT_TRUE(got.use_remote_address && got.skip_xff_append && !got.generate_request_id);
  EXPECT_TRUE(got.preserve_external_request_id && got.always_set_request_id_in_response);
  EXPECT_TRUE(got.proxy_100_continue && got.normalize_path && got.merge_slashes);
  EXPECT_EQ(got.xff_num_trusted_hops, 2U);
  EXPECT_EQ(got.via, "v");
  EXPECT_EQ(got.escaped_slashes, dataplane::EscapedSlashes::kForward);
  EXPECT_EQ(got.strip_port, HttpValue::StripPort::kAny);
  EXPECT_TRUE(got.strip_trailing_host_dot);
  EXPECT_THAT(got.upgrades, ElementsAre("websocket"));
  EXPECT_TRUE(got.accept_http_10 && got.allow_chunked_length);
}

TEST(DecodeListener, KeepsDefaultsOfWhatIsNotSet) {
  const HttpValue got = http_of("");
  const HttpValue defaults;
  EXPECT_EQ(got.idle_timeout, defaults.idle_timeout);
  EXPECT_EQ(got.request_headers_timeout, defaults.request_headers_timeout);
  EXPECT_EQ(got.server_name, "sluice");
  EXPECT_EQ(got.max_request_headers, 100U);
  EXPECT_TRUE(got.generate_request_id);
}

TEST(DecodeListener, TakesFiltersByTypeNotByName) {
  const auto got = listener_of(listener_with(kRds, {}, R"({name: anything, typed_config: {"@type":
    type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation,
    mutations: {request_mutations: [{remove: X-A}, {append: {header: {key: X-B, value: b},
    append_action: OVERWRITE_IF_EXISTS_OR_ADD}}],
    response_mutations: [{append: {header: {key: c, value: '%PROTOCOL%'}}}]}}},
    {name: opt, is_optional: true, typed_config: {"@type":
    type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}, )"));
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->http.filters.size(), 2U);  // the optional one is left out
  const auto& mutation = std::get<filters::FilterHeaderMutation>(got->http.filters[0].config);
  EXPECT_EQ(got->http.filters[0].name, "anything");
  EXPECT_THAT(mutation.request_remove, ElementsAre("x-a"));
  ASSERT_EQ(mutation.request_add.size(), 1U);
  EXPECT_EQ(mutation.request_add[0].name, "x-b");
  EXPECT_EQ(mutation.request_add[0].action, http::HeaderMutation::Action::kOverwrite);
  EXPECT_EQ(mutation.response_add[0].value, "%PROTOCOL%");
  EXPECT_TRUE(std::holds_alternative<filters::FilterRouter>(got->http.filters[1].config));
}

TEST(DecodeListener, UnwrapsTypedStructOfBothPackages) {
  for (const std::string_view package : {"xds.type.v3", "udpa.type.v1"}) {
    SCOPED_TRACE(package);
    const auto wrap = [&](std::string_view field) {
      return base::cat(
          R"({name: in, address: {pipe: {path: /a}}, filter_chains: [{filters: [{name: hcm,
          typed_config: {"@type": type.googleapis.com/)",
          package, ".TypedStruct, type_url: ", kManager, ", value: {stat_prefix: s, ", field,
          R"(: {routeConfigName: r, config_source: {ads: {}}}, http_filters: [{name: r,
          typed_config: {"@type": type.googleapis.com/)",
          package,
          R"(.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.http.router.v3.Router,
          value: {suppressEnvoyHeaders: true}}}]}}}]}]})");
    };
    const auto got = listener_of(wrap("rds"));
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->http.rds_name, "r");
    EXPECT_TRUE(
        std::get<filters::FilterRouter>(got->http.filters[0].config).suppress_envoy_headers);
    EXPECT_THAT(message_of(listener_of(wrap("scoped_routez"))),
                HasSubstr("listener \"in\": filter_chains[0].filters[0].typed_config.value"));
  }
}

TEST(DecodeListener, TakesAccessLoggers) {
  const HttpValue got = http_of(R"(, access_log: [
    {name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog,
      path: /tmp/a, format: "%PROTOCOL%"}},
    {name: o, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog,
      log_format: {json_format: {b: "%PROTOCOL%", a: x}, omit_empty_values: true}},
      filter: {status_code_filter: {comparison: {op: GE, value: {default_value: 400, runtime_key: k}}}}},
    {name: e, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog,
      path: /dev/stderr, log_format: {text_format_source: {inline_string: t}}}}])");
  using Sink = dataplane::AccessLogValue::Sink;
  ASSERT_EQ(got.access_logs.size(), 3U);
  EXPECT_EQ(got.access_logs[0].sink, Sink::kFile);
  EXPECT_EQ(got.access_logs[0].path, "/tmp/a");
  EXPECT_EQ(got.access_logs[0].text_format, "%PROTOCOL%");
  EXPECT_EQ(got.access_logs[1].sink, Sink::kStdout);
  EXPECT_TRUE(got.access_logs[1].json && got.access_logs[1].omit_empty_values);
  EXPECT_THAT(got.access_logs[1].json_format,
              ElementsAre(std::pair<std::string, std::string>("a", "x"),
                          std::pair<std::string, std::string>("b", "%PROTOCOL%")));
  EXPECT_EQ(got.access_logs[1].min_status, 400U);
  EXPECT_EQ(got.access_logs[2].sink, Sink::kStderr);
  EXPECT_EQ(got.access_logs[2].text_format, "t");
}

TEST(DecodeListener, RefusesWithPathAndRemedy) {
  constexpr std::string_view kChain = "filter_chains[0].filters[0].typed_config";
  const struct {
    std::string yaml;
    std::string message;
  } kRows[] = {
      {listener_with(kRds, ", use_original_dst: true"),
       "use_original_dst: not supported yet, and not safe to ignore; remove it"},
      {listener_with(kRds, ", listener_filters: [{name: t}]"),
       "listener_filters: not supported yet, and not safe to ignore; remove it"},
      {"{name: in, filter_chains: [{}]}", "address: is required"},
      {"{name: in, address: {socket_address: {address: localhost, port_value: 1}}}",
       "address.socket_address.address: not an IP address: \"localhost\"; write an IPv4 or IPv6 "
       "address; only clusters of type STRICT_DNS and LOGICAL_DNS may have host names"},
      {"{name: in, address: {socket_address: {address: 1.2.3.4, port_value: 70000}}}",
       "address.socket_address.port_value: must be <= 65535, is 70000"},
      {"{name: in, address: {pipe: {path: /a}}}", "filter_chains: one filter chain is required"},
      {"{name: in, address: {pipe: {path: /a}}, filter_chains: [{}, {}]}",
       "filter_chains: choosing between filter chains is not supported yet; keep one"},
      {"{name: in, address: {pipe: {path: /a}}, filter_chains: [{filter_chain_match: "
       "{server_names: [a]}}]}",
       "filter_chains[0].filter_chain_match.server_names: not supported yet, and not safe to "
       "ignore; remove it"},
      {"{name: in, address: {pipe: {path: /a}}, filter_chains: [{filters: [{name: "
       "envoy.filters.network.echo}]}]}",
       "filter_chains[0].filters[0].typed_config: this network filter is not supported yet: "
       "\"envoy.filters.network.echo\"; use envoy.extensions.filters.network."
       "http_connection_manager.v3.HttpConnectionManager or "
       "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"},
      {R"({name: in, address: {pipe: {path: /a}}, filter_chains: [{transport_socket: {name: tls,
       typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}}]})",
       "filter_chains[0].transport_socket.typed_config: TLS is not supported yet: "
       "\"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\"; without "
       "transport_socket connections are plaintext"},
      {listener_with(base::cat(kRds, ", codec_type: HTTP3")),
       base::cat(kChain, ".codec_type: not supported yet: HTTP3; use AUTO, HTTP1 or HTTP2")},
      {listener_with(base::cat(kRds, ", http2_protocol_options: {allow_metadata: true}")),
       base::cat(kChain,
                 ".http2_protocol_options.allow_metadata: METADATA frames are not "
                 "supported; remove it")},
      {listener_with(base::cat(kRds, ", request_timeout: -1s")),
       base::cat(kChain, ".request_timeout: must be zero or more: -1s 0ns")},
      {listener_with(base::cat(kRds, ", local_reply_config: {}")),
       base::cat(kChain,
                 ".local_reply_config: not supported yet, and not safe to ignore; "
                 "remove it")},
      {listener_with(""), base::cat(kChain,
                                    ".route_specifier: one of rds, route_config, "
                                    "scoped_routes is required")},
      {listener_with(
           ", rds: {route_config_name: r, config_source: {path_config_source: {path: /a}}}"),
       base::cat(kChain,
                 ".rds.config_source.path_config_source: no such file: \"/a\"; it must be there "
                 "from the beginning")},
      {listener_with(
           kRds, {},
           R"({name: jwt, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}, )"),
       base::cat(kChain,
                 ".http_filters[0].typed_config: this filter is not supported yet: "
                 "\"envoy.extensions.filters.http.cors.v3.Cors\"; remove it, or set "
                 "is_optional: true")},
      {listener_with(kRds, {}, "{name: envoy.filters.http.router}, "),
       base::cat(kChain,
                 ".http_filters[0].typed_config: is required; a filter is found by the "
                 "type of its typed_config, not by its name \"envoy.filters.http.router\"")},
      {listener_with(kRds, {}, base::cat(kRouter, ", ")),
       base::cat(kChain,
                 ".http_filters[0]: the router must be the last filter; move it to the "
                 "end")},
      {listener_with(
           R"(, route_config: {name: r, virtual_hosts: [{name: v, domains: [a], routes: [{match: {prefix: /}}]}]})"),
       base::cat(kChain,
                 ".route_config.virtual_hosts[0].routes[0].action: one of route, "
                 "redirect, direct_response, filter_action, non_forwarding_action is "
                 "required")},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(message_of(listener_of(row.yaml)), base::cat("listener \"in\": ", row.message));
  }
  EXPECT_EQ(message_of(decode_listener("\xFF\xFF", "", {}, nullptr)),
            "listener: not a serialised Listener");
}

TEST(DecodeListener, WarnsOfWhatIsHarmless) {
  Warned warned;
  const auto got =
      listener_of(listener_with(base::cat(kRds, ", tracing: {}"),
                                ", traffic_direction: INBOUND, use_original_dst: false"),
                  &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(warned.texts,
              ElementsAre("listener \"in\": traffic_direction: not supported yet: draining and "
                          "tracing do not tell directions apart yet",
                          "listener \"in\": filter_chains[0].filters[0].typed_config.tracing: not "
                          "supported yet: no spans are made yet"));
}

// ---------------------------------------------------------------------------------------------
// Routes.

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
    upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: y, enabled: false}]},
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
  EXPECT_THAT(got.forward.upgrades, ElementsAre("websocket"));
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
       "typed_per_filter_config[\"x\"]: settings of a filter per route are not supported yet: "
       "\"envoy.extensions.filters.http.cors.v3.CorsPolicy\"; remove them"},
      {"{match: {prefix: /}, direct_response: {status: 99}}",
       "direct_response.status: must be >= 200 and < 600, is 99"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(route_refused(row.route),
              base::cat("route configuration \"r\": virtual_hosts[0].routes[0].", row.message));
  }
  EXPECT_EQ(
      message_of(routes_of("{name: r, vhds: {config_source: {ads: {}}}}")),
      "route configuration \"r\": vhds: not supported yet, and not safe to ignore; remove it");
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

// ---------------------------------------------------------------------------------------------
// Clusters.

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

TEST(DecodeCluster, RefusesWithPathAndRemedy) {
  const std::string host(kOneHost);
  const struct {
    std::string yaml;
    std::string_view message;
  } kRows[] = {
      {"{name: c}", "load_assignment: is required for a cluster of type STATIC"},
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

// ---------------------------------------------------------------------------------------------
// Endpoints.

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

// ---------------------------------------------------------------------------------------------
// DNS clusters.

std::string named(std::string_view address, std::string_view more = "", int port = 80) {
  return base::cat("{endpoint: {address: {socket_address: {address: ", address,
                   ", port_value: ", port, "}}}", more, "}");
}
std::string dns_cluster(std::string_view endpoints, std::string_view more = "",
                        std::string_view type = "STRICT_DNS") {
  return base::cat("{name: c, type: ", type, ", ", more,
                   "load_assignment: {cluster_name: c, endpoints: [", endpoints, "]}}");
}
std::string one_name(std::string_view more = "", std::string_view type = "STRICT_DNS") {
  return dns_cluster(base::cat("{lb_endpoints: [", named("a.test"), "]}"), more, type);
}

TEST(DecodeDns, NamesKeepTheirPlaces) {
  Warned warned;
  const auto got =
      cluster_of(dns_cluster(base::cat("{lb_endpoints: [", named("a.test"), ", ", named("10.0.0.1"),
                                       ", ", named("b.test.", ", load_balancing_weight: 3", 81),
                                       "]}, {priority: 1, lb_endpoints: [", named("a.test"), "]}")),
                 &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->discovery, ClusterValue::Discovery::kDns);
  EXPECT_THAT(warned.texts, IsEmpty());
  const upstream::DnsValue& dns = *got->dns;
  EXPECT_FALSE(dns.assignment.one_host);
  ASSERT_EQ(dns.assignment.localities.size(), 2u);
  ASSERT_EQ(dns.assignment.localities[0].endpoints.size(), 3u);
  EXPECT_EQ(dns.assignment.localities[0].endpoints[1].address.to_string(), "10.0.0.1:80");
  EXPECT_EQ(dns.assignment.localities[0].endpoints[2].weight, 3u);
  using Name = upstream::DnsValue::Name;
  EXPECT_EQ(dns.names,
            (std::vector<Name>{{0, 0, "a.test", 80}, {0, 2, "b.test.", 81}, {1, 0, "a.test", 80}}));
  upstream::DnsValue defaults;
  defaults.assignment = dns.assignment;
  defaults.names = dns.names;
  EXPECT_EQ(dns, defaults);
}

TEST(DecodeDns, TakesTimesAndFamily) {
  const auto got = cluster_of(one_name(
      "dns_refresh_rate: 60s, respect_dns_ttl: true, dns_jitter: 0.1s, dns_lookup_family: "
      "V4_PREFERRED, dns_failure_refresh_rate: {base_interval: 2s}, wait_for_warm_on_init: false, ",
      "LOGICAL_DNS"));
  ASSERT_TRUE(got.ok()) << got.status();
  const upstream::DnsValue& dns = *got->dns;
  EXPECT_TRUE(dns.assignment.one_host);
  EXPECT_EQ(dns.refresh, 60s);
  EXPECT_TRUE(dns.respect_ttl);
  EXPECT_EQ(dns.jitter, 100ms);
  EXPECT_EQ(dns.family, net::LookupFamily::kV4First);
  EXPECT_EQ(dns.failure_base, 2s);
  EXPECT_EQ(dns.failure_max, 20s);
  EXPECT_FALSE(dns.wait_for_warm);
  EXPECT_FALSE(dns.resolver.has_value());
  const std::pair<const char*, net::LookupFamily> kFamilies[] = {
      {"AUTO", net::LookupFamily::kAuto},
      {"V4_ONLY", net::LookupFamily::kV4Only},
      {"V6_ONLY", net::LookupFamily::kV6Only},
      {"ALL", net::LookupFamily::kAll}};
  for (const auto& [name, family] : kFamilies) {
    const auto one = cluster_of(one_name(base::cat("dns_lookup_family: ", name, ", ")));
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_EQ(one->dns->family, family) << name;
  }
}

constexpr std::string_view kServer =
    "{socket_address: {protocol: UDP, address: 10.0.0.53, port_value: 5353}}";

TEST(DecodeDns, TheNewestWayToNameResolversCounts) {
  const std::string cares = base::cat(
      R"(typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {"@type":
       type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,
       resolvers: [)",
      kServer,
      "], use_resolvers_as_fallback: true, filter_unroutable_families: true, dns_resolver_options: "
      "{use_tcp_for_dns_lookups: true, no_default_search_domain: true}}}, ");
  const std::string older = base::cat("dns_resolution_config: {resolvers: [", kServer, ", ",
                                      "{socket_address: {address: '::1', port_value: 0}}]}, ");
  const std::string oldest =
      base::cat("dns_resolvers: [", kServer, "], use_tcp_for_dns_lookups: true, ");
  const auto typed = cluster_of(one_name(cares + older + oldest));
  ASSERT_TRUE(typed.ok()) << typed.status();
  net::ResolverConfig wanted;
  wanted.servers = {*base::Address::ip("10.0.0.53", 5353)};
  wanted.servers_as_fallback = wanted.filter_unroutable = wanted.use_tcp =
      wanted.no_search_domains = true;
  EXPECT_EQ(typed->dns->resolver, wanted);
  const auto second = cluster_of(one_name(older + oldest));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->dns->resolver->servers.size(), 2u);
  EXPECT_FALSE(second->dns->resolver->use_tcp);
  const auto third = cluster_of(one_name(oldest));
  ASSERT_TRUE(third.ok()) << third.status();
  EXPECT_TRUE(third->dns->resolver->use_tcp);
  EXPECT_EQ(third->dns->resolver->servers.size(), 1u);
}

// istiod names a resolver, but no servers: the system's, whatever the bootstrap says.
TEST(DecodeDns, AResolverWithoutServersIsTheSystems) {
  Warned warned;
  const auto got = cluster_of(
      one_name(
          R"(typed_dns_resolver_config: {name: envoy.network.dns_resolver.cares, typed_config: {
    "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,
    udp_max_queries: 100}}, )"),
      &warned);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->dns->resolver, net::ResolverConfig{});
  EXPECT_THAT(warned.texts, ElementsAre(HasSubstr("udp_max_queries")));
}

TEST(DecodeDns, RefusesWithPathAndRemedy) {
  const std::string at =
      "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address";
  const std::string two =
      base::cat("{lb_endpoints: [", named("a.test"), ", ", named("b.test"), "]}");
  const struct {
    std::string yaml;
    std::string message;
  } kRows[] = {
      {"{name: c, type: STRICT_DNS}",
       "load_assignment: is required for a cluster of type STRICT_DNS"},
      {dns_cluster(two, "", "LOGICAL_DNS"),
       "load_assignment.endpoints: a cluster of type LOGICAL_DNS has one locality with one "
       "endpoint; use STRICT_DNS for more"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {pipe: {path: /x}}}}]}"),
       at + ": is required: endpoints of DNS clusters have names or IP addresses"},
      {dns_cluster(base::cat("{lb_endpoints: [", named("'a b'"), "]}")),
       at + ".address: neither an IP address nor a DNS name: \"a b\""},
      {dns_cluster(base::cat("{lb_endpoints: [", named("a..b"), "]}")),
       at + ".address: neither an IP address nor a DNS name: \"a..b\""},
      {dns_cluster(base::cat("{lb_endpoints: [", named("a.test", "", 0), "]}")),
       at + ".port_value: 0 is not a port to connect to"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, "
                   "named_port: http}}}}]}"),
       at + ".named_port: not supported yet, and not safe to ignore; remove it"},
      {dns_cluster("{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.test, "
                   "resolver_name: r, port_value: 1}}}}]}"),
       at + ".resolver_name: not supported yet, and not safe to ignore; remove it"},
      {one_name("dns_failure_refresh_rate: {base_interval: 2s, max_interval: 1s}, "),
       "dns_failure_refresh_rate.max_interval: must not be below base_interval"},
      {one_name("dns_jitter: -1s, "), "dns_jitter: must be zero or more: -1s 0ns"},
      {one_name("dns_resolvers: [{socket_address: {address: ns.test, port_value: 53}}], "),
       "dns_resolvers[0].socket_address.address: not an IP address: \"ns.test\"; a DNS server has "
       "no name"},
      {one_name("dns_resolution_config: {resolvers: [{pipe: {path: /x}}]}, "),
       "dns_resolution_config.resolvers[0].socket_address: is required"},
      {one_name(R"(typed_dns_resolver_config: {name: apple, typed_config: {"@type":
       type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}, )"),
       "typed_dns_resolver_config.typed_config: not supported yet: "
       "\"envoy.extensions.filters.http.router.v3.Router\"; use envoy.network.dns_resolver.cares"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.yaml);
    const auto got = cluster_of(row.yaml);
    EXPECT_EQ(message_of(got), base::cat("cluster \"c\": ", row.message));
  }
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
       "endpoints[0].leds_cluster_locality_config: not supported yet, and not safe to ignore; "
       "remove it"},
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
