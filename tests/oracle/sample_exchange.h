#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "base/arena.h"
#include "base/stamps.h"
#include "http/facts.h"
#include "http/message.h"

namespace sluice::oracle {

// SampleExchange is an exchange as tests and benches of formats, edits and filters want one: a GET
// that was answered, with every fact filled. One millisecond is a million ticks of `stamps` if
// base::internal::tick_factor is set so (use_plain_ticks()).
struct SampleExchange {
  base::BlockPool pool;
  base::Arena arena{pool};
  http::RequestHead request;
  http::ResponseHead response;
  http::FieldList trailers{&arena};
  base::Stamps stamps;
  base::Address client = *base::Address::ip("203.0.113.7", 0);
  base::Address peer = *base::Address::ip("192.0.2.1", 40000);
  base::Address local = *base::Address::ip("10.0.0.1", 8080);
  base::Address endpoint = *base::Address::ip("2001:db8::5", 9090);
  base::Address upstream_local = *base::Address::ip("10.0.0.1", 51234);
  http::Facts facts;

  // One tick is one nanosecond, so that durations are what the stamps say.
  static void use_plain_ticks() { base::internal::tick_factor = uint64_t{1} << 24; }

  SampleExchange() {
    request.fields.bind(&arena);
    response.fields.bind(&arena);
    request.method = http::Method::kGet;
    request.method_text = "GET";
    request.target = request.path = "/a/b?x=1&y=two&z";
    request.authority = "example.com:8080";
    request.scheme = "http";
    add(request.fields, {{"host", "example.com:8080"},
                         {"user-agent", "curl/8.0"},
                         {"x-forwarded-for", "203.0.113.7"},
                         {"x-request-id", "0f1e2d3c-0000-4000-8000-000000000001"},
                         {"x-custom", "first"},
                         {"x-custom", "second"},
                         {"x-empty", ""}});
    response.status = 200;
    add(response.fields, {{"content-type", "text/plain"},
                          {"x-envoy-upstream-service-time", "12"},
                          {"x-back", "end"}});
    add(trailers, {{"x-sum", "abc"}});
    facts.request = &request;
    facts.response = &response;
    facts.response_trailers = &trailers;
    facts.stamps = &stamps;
    facts.route_name = "to-backend";
    facts.virtual_host_name = "all";
    facts.cluster_name = "backend";
    facts.filter_chain_name = "plain";
    facts.downstream_remote = &client;
    facts.downstream_direct_remote = &peer;
    facts.downstream_local = &local;
    facts.upstream_remote = &endpoint;
    facts.upstream_local = &upstream_local;
    facts.request_id = "0f1e2d3c-0000-4000-8000-000000000001";
    facts.start_wall = 1'526'108'584'123'456'789;  // 2018-05-12T07:03:04.123456789Z, a Saturday
    facts.connection_id = 17;
    facts.upstream_connection_id = 4;
    facts.bytes_received = 5;
    facts.bytes_sent = 1234;
    facts.request_head_bytes = 150;
    facts.response_head_bytes = 90;
    facts.upstream_head_sent = 160;
    facts.upstream_head_received = 80;
    facts.attempts = 1;
    facts.response_code = 200;
    facts.protocol = http::Protocol::kHttp11;
    facts.upstream_protocol = http::Protocol::kHttp11;
    const base::Ticks ms = 1'000'000;
    stamps.set(base::Stamp::kReceived, 100 * ms);
    stamps.set(base::Stamp::kHeadParsed, 100 * ms + 700);
    stamps.set(base::Stamp::kRequestReceived, 101 * ms);
    stamps.set(base::Stamp::kHeadSent, 102 * ms);
    stamps.set(base::Stamp::kRequestSent, 103 * ms);
    stamps.set(base::Stamp::kResponseFirst, 115 * ms);
    stamps.set(base::Stamp::kFlushed, 121 * ms + 999'999);
  }

  static void add(http::FieldList& fields,
                  std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
    for (const auto& [name, value] : list) fields.add(name, value);
  }
};

}  // namespace sluice::oracle
