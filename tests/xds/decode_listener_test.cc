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
using dataplane::HttpValue;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(DecodeListener, TakesSocketAndAddresses) {
  const auto got = listener_of(listener_with(
      kRds,
      ", stat_prefix: p, additional_addresses: [{address: {pipe: {path: /run/a}}}], bind_to_port: "
      "false, enable_reuse_port: false, tcp_backlog_size: 9, per_connection_buffer_limit_bytes: "
      "4096, connection_balance_config: {exact_balance: {}}"));
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
  EXPECT_TRUE(got->exact_balance);
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
    http_protocol_options: {accept_http_10: true, default_host_for_http_10: "d.example:80",
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
  EXPECT_EQ(got.default_host_for_http_10, "d.example:80");
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

TEST(DecodeListener, TakesPingsToClients) {
  const auto got = listener_of(listener_with(
      base::cat(kRds,
                ", http2_protocol_options: {connection_keepalive: {interval: 30s, timeout: 5s, "
                "interval_jitter: {value: 50}, connection_idle_interval: 9s}}")));
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->http.h2.keepalive_interval, 30s);
  EXPECT_EQ(got->http.h2.keepalive_timeout, 5s);
  EXPECT_EQ(got->http.h2.keepalive_jitter_ppm, 500'000U);
  EXPECT_EQ(got->http.h2.keepalive_idle_interval, 9s);
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

// The expected lines are Envoy 1.40's, for the same configuration and a request that it answered
// itself.
TEST(DecodeListener, JsonFormatsAreWrittenAsEnvoyDoes) {
  for (const bool omit : {false, true}) {
    SCOPED_TRACE(omit);
    const HttpValue got = http_of(base::cat(
        R"(, access_log: [{name: f, typed_config: {"@type":
        type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /tmp/a,
        log_format: {omit_empty_values: )",
        omit ? "true" : "false",
        R"(, json_format: {top: 3, f: 1.5, big: 12345678901234, neg: -0.25, tt: true, z: null,
        s: "plain", pct: "100%%", o: {}, l: [], ll: [[1,[2]],[]], lb: [true, null, 3, 2.5, {},
        {a: 1}, "%RESPONSE_CODE%", "%REQ(NO)%", "x %REQ(NO)%"], deep: {a: {b: {c: "%REQ(NO)%"}}},
        two: "%RESPONSE_CODE%%RESPONSE_CODE%", flags: "%RESPONSE_FLAGS%", "B": 1, "a": 2,
        n1: 2147483647, n2: 2147483648, n3: 1e20, n4: 1e-7, n5: 123456.789, n6: -3}}}}])"));
    ASSERT_EQ(got.access_logs.size(), 1U);
    const auto format = http::Format::parse_json(got.access_logs[0].json_format, omit);
    ASSERT_TRUE(format.ok()) << format.status();
    http::Facts facts;
    facts.response_code = 203;
    char room[2048];
    http::Sink sink(room, sizeof(room));
    format->render(facts, sink);
    EXPECT_EQ(
        sink.text(),
        omit ? R"({"B":1,"a":2,"big":"12345678901234","f":"1.5","flags":"-","l":[],)"
               R"("lb":[true,3,"2.5",{"a":1},203,"x "],"ll":[[1,[2]],[]],"n1":2147483647,)"
               R"("n2":"2147483648","n3":"1e20","n4":"1e-7","n5":"123456.789","n6":-3,)"
               R"("neg":"-0.25","pct":"100%","s":"plain","top":3,"tt":true,"two":"203203"})"
               "\n"
             : R"({"B":1,"a":2,"big":"12345678901234","deep":{"a":{"b":{"c":null}}},"f":"1.5",)"
               R"("flags":"-","l":[],"lb":[true,null,3,"2.5",{},{"a":1},203,null,"x -"],)"
               R"("ll":[[1,[2]],[]],"n1":2147483647,"n2":"2147483648","n3":"1e20","n4":"1e-7",)"
               R"("n5":"123456.789","n6":-3,"neg":"-0.25","o":{},"pct":"100%","s":"plain",)"
               R"("top":3,"tt":true,"two":"203203","z":null})"
               "\n");
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
  ASSERT_EQ(got.access_logs[1].json_format.size(), 2U);
  EXPECT_EQ(got.access_logs[1].json_format[0].first, "a");
  EXPECT_EQ(got.access_logs[1].json_format[1].second.text, "%PROTOCOL%");
  EXPECT_EQ(got.access_logs[0].filter.kind, dataplane::LogFilterValue::Kind::kAll);
  EXPECT_EQ(got.access_logs[1].filter.number, 400U);
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

}  // namespace
}  // namespace sluice::xds
