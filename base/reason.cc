#include "base/reason.h"

#include <array>
#include <cstddef>

namespace sluice::base {

namespace {

using F = ResponseFlag;

// clang-format off
constexpr ReasonText kTexts[] = {
    {"none", 0, F::kNone, "via_upstream", "", "the answer came from upstream"},
    {"bad_request_line", 400, F::kDPE, "http1.codec_error", "Bad Request", "the client's request line is not `METHOD target HTTP/1.x`"},
    {"bad_target", 400, F::kDPE, "http1.invalid_url", "Bad Request", "the client's request target has a form or a character that RFC 9112 3.2 does not allow"},
    {"bad_version", 400, F::kDPE, "http1.codec_error", "Bad Request", "the client's protocol name or version cannot be read"},
    {"bad_header_name", 400, F::kDPE, "http1.invalid_characters", "Bad Request", "a field name of the client has a character outside RFC 9110's token"},
    {"bad_header_value", 400, F::kDPE, "http1.invalid_characters", "Bad Request", "a field value of the client has a control character"},
    {"bad_header_line", 400, F::kDPE, "http1.codec_error", "Bad Request", "a field line of the client is folded, lacks its colon, or does not end in CRLF"},
    {"bad_host", 400, F::kDPE, "http1.codec_error", "Bad Request", "the client's Host or authority is not a valid host with optional port"},
    {"missing_host", 400, F::kNone, "missing_host_header", "", "an HTTP/1.1 request must carry Host"},
    {"bad_framing", 400, F::kDPE, "http1.content_length_and_chunked_not_allowed", "Bad Request", "Content-Length and Transfer-Encoding together are a smuggling attempt"},
    {"bad_content_length", 400, F::kDPE, "http1.codec_error", "Bad Request", "Content-Length is not one decimal number, or is given more than once"},
    {"bad_transfer_encoding", 501, F::kDPE, "http1.invalid_transfer_encoding", "Not Implemented", "the only transfer coding that is understood is `chunked`, once"},
    {"bad_chunk", 400, F::kDPE, "http1.codec_error", "Bad Request", "a chunk of the client's body is malformed"},
    {"bad_trailer", 400, F::kDPE, "http1.codec_error", "Bad Request", "a trailer of the client is malformed, or a field that may not be a trailer"},
    {"head_too_large", 431, F::kDPE, "http1.headers_too_large", "Request Header Fields Too Large", "the request head is larger than max_request_headers_kb"},
    {"too_many_headers", 431, F::kDPE, "http1.too_many_headers", "Request Header Fields Too Large", "the request has more fields than max_headers_count"},
    {"target_too_long", 414, F::kDPE, "http1.headers_too_large", "URI Too Long", "the request target alone is larger than the limit for heads"},
    {"h2_head_too_large", 431, F::kDPE, "http2.header_list_size_too_large", "Request Header Fields Too Large", "the request's fields together, each with 32 bytes more, are larger than max_request_headers_kb"},
    {"h2_too_many_headers", 431, F::kDPE, "http2.too_many_headers", "Request Header Fields Too Large", "the request has more fields than max_headers_count, crumbs of cookies counted"},
    {"underscore_header", 400, F::kDPE, "http1.unexpected_underscore", "Bad Request", "a field name has an underscore and headers_with_underscores_action is REJECT_REQUEST"},
    {"version_not_supported", 505, F::kDPE, "http1.codec_error", "HTTP Version Not Supported", "only HTTP/1.0 and HTTP/1.1 are spoken on this connection"},
    {"http10_not_accepted", 426, F::kDPE, "low_version", "Upgrade Required", "HTTP/1.0 is not accepted here (accept_http_10)"},
    {"path_rejected", 400, F::kNone, "path_normalization_failed", "", "the path cannot be normalised"},
    {"path_escaped_slash", 400, F::kNone, "path_normalization_failed", "", "the path has an escaped slash and the policy is to reject it"},
    {"upgrade_refused", 403, F::kNone, "upgrade_failed", "", "this route does not allow the upgrade that was asked for"},
    {"method_not_allowed", 405, F::kNone, "method_not_allowed", "", "the method is not forwarded by policy"},
    {"expectation_failed", 417, F::kNone, "expectation_failed", "", "the only expectation that is understood is 100-continue"},
    {"body_truncated", 400, F::kDPE, "http1.codec_error", "Bad Request", "the client closed before its body was complete"},
    {"protocol_mismatch", 400, F::kDPE, "http1.codec_error", "Bad Request", "the bytes on the connection belong to another protocol"},

    {"request_header_timeout", 408, F::kNone, "request_header_timeout", "request timeout", "the client did not finish its request head in request_headers_timeout"},
    {"request_timeout", 408, F::kNone, "request_overall_timeout", "request timeout", "the client did not finish its request in request_timeout"},
    {"stream_idle_timeout", 504, F::kSI, "stream_idle_timeout", "stream timeout", "nothing moved on the exchange for stream_idle_timeout"},
    {"max_stream_duration", 504, F::kNone, "max_duration_timeout", "downstream duration timeout", "the exchange lasted longer than max_stream_duration"},
    {"connection_idle_timeout", 0, F::kNone, "", "", "the connection had no request, or as a TCP relay not a byte, for idle_timeout"},
    {"max_connection_duration", 0, F::kNone, "", "", "the connection reached max_connection_duration"},

    {"route_not_found", 404, F::kNR, "route_not_found", "", "no route of the virtual host matches the request"},
    {"virtual_host_not_found", 404, F::kNR, "route_not_found", "", "no virtual host has a domain that matches the request's authority"},
    {"cluster_not_found", 503, F::kNC, "cluster_not_found", "", "the route names a cluster that does not exist"},
    {"cluster_warming", 503, F::kNC, "cluster_not_found", "", "the route's cluster was announced but has no endpoints yet"},
    {"no_route_config", 404, F::kNR, "route_not_found", "", "the listener's route configuration has not arrived"},
    {"scope_not_found", 404, F::kNR, "route_not_found", "", "no route scope (scoped_routes) has the key that the request's headers make"},
    {"on_demand_route_timeout", 503, F::kNR, "route_not_found", "", "routes were asked for on demand, and the control plane did not say in time whether there are any"},
    {"on_demand_cluster_timeout", 503, F::kNC, "cluster_not_found", "", "the route's cluster was asked for on demand, and the control plane did not send it in time"},
    {"on_demand_overflow", 503, F::kUO, "on_demand_overflow", "", "too many names were being asked for on demand, or this one is too long"},
    {"direct_response", 200, F::kNone, "direct_response", "", "the route answers by itself"},
    {"redirect", 301, F::kNone, "direct_response", "", "the route redirects"},
    {"https_required", 301, F::kNone, "direct_response", "", "the virtual host requires TLS"},
    {"filter_response", 200, F::kNone, "filter_response", "", "a filter answered"},
    {"filter_config_missing", 500, F::kNFCF, "filter_config_missing", "", "the configuration of a filter has not come (ECDS) and it has no default; see /why-not-ready"},

    {"no_healthy_upstream", 503, F::kUH, "no_healthy_upstream", "no healthy upstream", "the cluster has no endpoint that may take requests"},
    {"upstream_connect_failed", 503, F::kUF, "upstream_reset_before_response_started{remote_connection_failure}", "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure", "no connection to the endpoint could be made"},
    {"upstream_connect_timeout", 503, F::kUF, "upstream_reset_before_response_started{connection_timeout}", "upstream connect error or disconnect/reset before headers. reset reason: connection timeout", "the endpoint did not accept a connection within connect_timeout"},
    {"upstream_reset", 503, F::kUC, "upstream_reset_before_response_started{connection_termination}", "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "the endpoint reset the connection before it answered"},
    {"upstream_remote_reset", 503, F::kUR, "upstream_reset_before_response_started{remote_reset}", "upstream connect error or disconnect/reset before headers. reset reason: remote reset", "the endpoint reset the stream before it answered"},
    {"upstream_refused_stream", 503, F::kUR, "upstream_reset_before_response_started{remote_refused_stream_reset}", "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset", "the endpoint refused the stream, or closed before it took it"},
    {"upstream_closed", 503, F::kUC, "upstream_reset_before_response_started{connection_termination}", "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "the endpoint closed the connection before it answered"},
    {"upstream_protocol_error", 502, F::kUPE, "upstream_reset_before_response_started{protocol_error}", "upstream connect error or disconnect/reset before headers. reset reason: protocol error", "the endpoint's response breaks HTTP"},
    {"upstream_head_too_large", 502, F::kUPE, "upstream_reset_before_response_started{protocol_error}", "upstream connect error or disconnect/reset before headers. reset reason: protocol error", "the endpoint's response head is larger than the limit"},
    {"upstream_truncated", 0, F::kUC, "upstream_reset_after_response_started{connection_termination}", "", "the endpoint closed in the middle of its response; the client's connection was cut so that it notices"},
    {"upstream_timeout", 504, F::kUT, "response_timeout", "upstream request timeout", "the endpoint did not answer within the route's timeout"},
    {"per_try_timeout", 504, F::kUT, "upstream_per_try_timeout", "upstream request timeout", "an attempt did not answer within per_try_timeout"},
    {"upstream_idle_timeout", 504, F::kSI, "stream_idle_timeout", "stream timeout", "nothing moved on the exchange for the route's idle_timeout"},
    {"retry_limit", 503, F::kURX, "upstream_reset_before_response_started{connection_termination}", "upstream connect error or disconnect/reset before headers. reset reason: connection termination", "every attempt that was allowed has failed"},

    {"overflow_connections", 503, F::kUO, "upstream_reset_before_response_started{overflow}", "upstream connect error or disconnect/reset before headers. reset reason: overflow", "the cluster's circuit breaker max_connections is reached and nothing is idle"},
    {"overflow_pending", 503, F::kUO, "upstream_reset_before_response_started{overflow}", "upstream connect error or disconnect/reset before headers. reset reason: overflow", "the cluster's circuit breaker max_pending_requests is reached"},
    {"overflow_requests", 503, F::kUO, "upstream_reset_before_response_started{overflow}", "upstream connect error or disconnect/reset before headers. reset reason: overflow", "the cluster's circuit breaker max_requests is reached"},
    {"overflow_retries", 503, F::kUO, "upstream_reset_before_response_started{overflow}", "upstream connect error or disconnect/reset before headers. reset reason: overflow", "the cluster's circuit breaker max_retries is reached"},
    {"overload", 503, F::kOM, "overload", "envoy overloaded", "the proxy sheds load"},
    {"connection_limit", 0, F::kNone, "", "", "the limit of downstream connections is reached"},

    {"downstream_gone", 0, F::kDC, "downstream_remote_disconnect", "", "the client closed before the response was complete"},
    {"downstream_reset", 0, F::kDR, "http2.remote_reset", "", "the client reset the stream before the response was complete"},
    {"downstream_protocol_error", 0, F::kDPE, "http2.violation.of.messaging.rule", "", "the client broke HTTP/2; the stream or the connection was ended"},
    {"downstream_write_failed", 0, F::kDC, "downstream_local_disconnect", "", "writing to the client failed"},
    {"relay_client_reset", 0, F::kNone, "", "", "the client reset its connection; the endpoint's was reset too"},
    {"relay_upstream_reset", 0, F::kUR, "", "", "the endpoint reset its connection; the client's was reset too"},
    {"draining", 0, F::kNone, "", "", "the listener is draining"},
    {"internal", 500, F::kNone, "internal_error", "", "an invariant of the proxy was broken; this exchange was ended and counted"},
};
// clang-format on
static_assert(std::size(kTexts) == static_cast<size_t>(Reason::kCount));
struct FlagName {
  std::string_view brief;
  std::string_view full;
};

constexpr FlagName kFlags[] = {
    {"-", "-"},
    {"LH", "FailedLocalHealthCheck"},
    {"UH", "NoHealthyUpstream"},
    {"UT", "UpstreamRequestTimeout"},
    {"LR", "LocalReset"},
    {"UR", "UpstreamRemoteReset"},
    {"UF", "UpstreamConnectionFailure"},
    {"UC", "UpstreamConnectionTermination"},
    {"UO", "UpstreamOverflow"},
    {"NR", "NoRouteFound"},
    {"DI", "DelayInjected"},
    {"FI", "FaultInjected"},
    {"RL", "RateLimited"},
    {"UAEX", "UnauthorizedExternalService"},
    {"RLSE", "RateLimitServiceError"},
    {"DC", "DownstreamConnectionTermination"},
    {"URX", "UpstreamRetryLimitExceeded"},
    {"SI", "StreamIdleTimeout"},
    {"IH", "InvalidEnvoyRequestHeaders"},
    {"DPE", "DownstreamProtocolError"},
    {"UMSDR", "UpstreamMaxStreamDurationReached"},
    {"NFCF", "NoFilterConfigFound"},
    {"NC", "NoClusterFound"},
    {"DT", "DurationTimeout"},
    {"UPE", "UpstreamProtocolError"},
    {"OM", "OverloadManagerTerminated"},
    {"DF", "DnsResolutionFailed"},
    {"DR", "DownstreamRemoteReset"},
};
static_assert(std::size(kFlags) == static_cast<size_t>(ResponseFlag::kCount));

}  // namespace

const ReasonText& text_of(Reason reason) noexcept { return kTexts[static_cast<size_t>(reason)]; }

std::string_view short_name(ResponseFlag flag) noexcept {
  return kFlags[static_cast<size_t>(flag)].brief;
}

std::string_view long_name(ResponseFlag flag) noexcept {
  return kFlags[static_cast<size_t>(flag)].full;
}

}  // namespace sluice::base
