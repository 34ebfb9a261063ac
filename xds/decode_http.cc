#include "xds/decode_http.h"

#include <algorithm>

#include "envoy/extensions/request_id/uuid/v3/uuid.pb.h"
#include "xds/decode_http2.h"
#include "xds/decode_routes.h"
#include "xds/decode_scopes.h"

namespace sluice::xds {
namespace {

using dataplane::EscapedSlashes;
using dataplane::HttpValue;
using dataplane::ServerHeader;
using dataplane::Underscores;
using Hcm = hcm::HttpConnectionManager;
using Nanoseconds = std::chrono::nanoseconds;
using ::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;

EscapedSlashes escaped_slashes(const Hcm& in) {
  switch (in.path_with_escaped_slashes_action()) {
    case Hcm::REJECT_REQUEST:
      return EscapedSlashes::kReject;
    case Hcm::UNESCAPE_AND_REDIRECT:
      return EscapedSlashes::kRedirect;
    case Hcm::UNESCAPE_AND_FORWARD:
      return EscapedSlashes::kForward;
    default:
      return EscapedSlashes::kKeep;
  }
}

ServerHeader server_header(const Hcm& in) {
  switch (in.server_header_transformation()) {
    case Hcm::APPEND_IF_ABSENT:
      return ServerHeader::kAppendIfAbsent;
    case Hcm::PASS_THROUGH:
      return ServerHeader::kPassThrough;
    default:
      return ServerHeader::kOverwrite;
  }
}

Underscores underscores(const core::HttpProtocolOptions& in) {
  switch (in.headers_with_underscores_action()) {
    case core::HttpProtocolOptions::REJECT_REQUEST:
      return Underscores::kReject;
    case core::HttpProtocolOptions::DROP_HEADER:
      return Underscores::kDrop;
    default:
      return Underscores::kAllow;
  }
}

absl::Status decode_codec(const Context& context, const Path& at, const Hcm& in, HttpValue* out) {
  switch (in.codec_type()) {
    case Hcm::AUTO:
      out->codec = HttpValue::Codec::kAuto;
      return absl::OkStatus();
    case Hcm::HTTP1:
      out->codec = HttpValue::Codec::kHttp1;
      return absl::OkStatus();
    case Hcm::HTTP2:
      out->codec = HttpValue::Codec::kHttp2;
      return absl::OkStatus();
    default:
      return context.error(Path(at, "codec_type"),
                           "not supported yet: ", Hcm::CodecType_Name(in.codec_type()),
                           "; use AUTO, HTTP1 or HTTP2");
  }
}

absl::Status decode_http2(const Context& context, const Path& at, const Hcm& in, HttpValue* out) {
  return decode_http2_options(context, Path(at, "http2_protocol_options"),
                              in.http2_protocol_options(), &out->h2);
}

absl::Status decode_routes_of(const Context& context, const Path& at, const Hcm& in,
                              HttpValue* out) {
  if (in.has_rds()) {
    const Path rds(at, "rds");
    if (in.rds().route_config_name().empty()) {
      return context.error(Path(rds, "route_config_name"), "is required");
    }
    const Path name_at(rds, "route_config_name");
    const Path source_at(rds, "config_source");
    return decode_named_source(context,
                               {.type = Type::kRoute,
                                .name_at = name_at,
                                .name = in.rds().route_config_name(),
                                .source_at = source_at,
                                .source = &in.rds().config_source()},
                               &out->rds_name, &out->rds_source, &out->rds_initial_fetch_timeout);
  }
  if (in.has_scoped_routes()) {
    auto scoped = std::make_shared<dataplane::ScopedRoutesValue>();
    absl::Status s =
        decode_scoped_routes(context, Path(at, "scoped_routes"), in.scoped_routes(), scoped.get());
    out->scoped_routes = std::move(scoped);
    return s;
  }
  auto routes = decode_inline_routes(context, Path(at, "route_config"), in.route_config());
  if (!routes.ok()) return routes.status();
  out->inline_routes = std::make_shared<const router::RouteConfigValue>(*std::move(routes));
  return absl::OkStatus();
}

absl::Status decode_timeouts(const Context& context, const Path& at, const Hcm& in,
                             HttpValue* out) {
  const auto& common = in.common_http_protocol_options();
  const Path common_at(at, "common_http_protocol_options");
  struct Row {
    const Path& at;
    Text name;
    bool set;
    const google::protobuf::Duration& value;
    Nanoseconds* out;
  };
  const Row rows[] = {
      {at, "stream_idle_timeout", in.has_stream_idle_timeout(), in.stream_idle_timeout(),
       &out->stream_idle_timeout},
      {at, "request_timeout", in.has_request_timeout(), in.request_timeout(),
       &out->request_timeout},
      {at, "request_headers_timeout", in.has_request_headers_timeout(),
       in.request_headers_timeout(), &out->request_headers_timeout},
      {at, "drain_timeout", in.has_drain_timeout(), in.drain_timeout(), &out->drain_timeout},
      {at, "delayed_close_timeout", in.has_delayed_close_timeout(), in.delayed_close_timeout(),
       &out->delayed_close_timeout},
      {common_at, "idle_timeout", common.has_idle_timeout(), common.idle_timeout(),
       &out->idle_timeout},
      {common_at, "max_connection_duration", common.has_max_connection_duration(),
       common.max_connection_duration(), &out->max_connection_duration},
  };
  for (const Row& row : rows) {
    if (!row.set) continue;
    absl::Status s = decode_duration(context, Path(row.at, row.name), row.value, row.out);
    if (!s.ok()) return s;
  }
  if (common.has_max_stream_duration() &&
      (common.max_stream_duration().seconds() != 0 || common.max_stream_duration().nanos() != 0)) {
    return context.error(Path(common_at, "max_stream_duration"),
                         "not supported yet for a listener; set it on the routes");
  }
  return absl::OkStatus();
}

absl::Status decode_limits(const Context& context, const Path& at, const Hcm& in, HttpValue* out) {
  const auto& common = in.common_http_protocol_options();
  if (in.has_max_request_headers_kb()) {
    out->max_request_head_bytes = in.max_request_headers_kb().value() * 1024;
  }
  if (common.has_max_headers_count()) {
    const uint32_t count = common.max_headers_count().value();
    if (count > UINT16_MAX) {
      const Path options(at, "common_http_protocol_options");
      return context.error(Path(options, "max_headers_count"), "must be at most 65535: ", count);
    }
    out->max_request_headers = static_cast<uint16_t>(count);
  }
  if (common.has_max_requests_per_connection()) {
    out->max_requests_per_connection = common.max_requests_per_connection().value();
  }
  out->underscores = underscores(common);
  return absl::OkStatus();
}

absl::Status decode_http1(const Context& context, const Path& at, const Hcm& in, HttpValue* out) {
  const auto& options = in.http_protocol_options();
  const Path here(at, "http_protocol_options");
  if (options.has_allow_absolute_url() && !options.allow_absolute_url().value()) {
    return context.error(Path(here, "allow_absolute_url"),
                         "false is not supported: absolute URLs are always read, as RFC 9112 "
                         "section 3.2.2 asks; remove it");
  }
  const std::string& host = options.default_host_for_http_10();
  const bool printable =
      std::all_of(host.begin(), host.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable || host.find_first_of("/?#@") != std::string::npos) {
    return context.error(Path(here, "default_host_for_http_10"), "is not a host: \"", host, "\"");
  }
  out->default_host_for_http_10 = host;
  out->accept_http_10 = options.accept_http_10();
  out->allow_chunked_length = options.allow_chunked_length();
  return absl::OkStatus();
}

void decode_path_and_headers(const Hcm& in, HttpValue* out) {
  using Strip = HttpValue::StripPort;
  out->normalize_path = in.normalize_path().value();
  out->merge_slashes = in.merge_slashes();
  out->escaped_slashes = escaped_slashes(in);
  out->strip_port = in.strip_any_host_port()        ? Strip::kAny
                    : in.strip_matching_host_port() ? Strip::kMatching
                                                    : Strip::kNone;
  out->strip_trailing_host_dot = in.strip_trailing_host_dot();
  out->use_remote_address = in.use_remote_address().value();
  out->xff_num_trusted_hops = in.xff_num_trusted_hops();
  out->skip_xff_append = in.skip_xff_append();
  if (in.has_generate_request_id()) out->generate_request_id = in.generate_request_id().value();
  out->preserve_external_request_id = in.preserve_external_request_id();
  out->always_set_request_id_in_response = in.always_set_request_id_in_response();
  out->proxy_100_continue = in.proxy_100_continue();
  out->via = in.via();
  if (!in.server_name().empty()) out->server_name = in.server_name();
  out->server_header = server_header(in);
}

// Without TLS there is no client certificate, and all modes but this one remove the header.
absl::Status decode_client_certificate(const Context& context, const Path& at, const Hcm& in) {
  const Path mode(at, "forward_client_cert_details");
  if (in.forward_client_cert_details() == Hcm::ALWAYS_FORWARD_ONLY) {
    return context.error(mode,
                         "ALWAYS_FORWARD_ONLY is not supported yet; "
                         "x-forwarded-client-cert is always removed");
  }
  if (in.forward_client_cert_details() != Hcm::SANITIZE) {
    context.warn(mode, "forward_client_cert_details",
                 "without TLS there is no client certificate: same as SANITIZE");
  }
  return absl::OkStatus();
}

absl::Status decode_request_id(const Context& context, const Path& at, const Hcm& in) {
  if (!in.has_request_id_extension()) return absl::OkStatus();
  const Path extension(at, "request_id_extension");
  const Path config(extension, "typed_config");
  const auto& any = in.request_id_extension().typed_config();
  if (context.type_of(any) != UuidRequestIdConfig::descriptor()->full_name()) {
    return context.error(config, "unknown request id extension: \"", context.type_of(any),
                         "\"; only ", UuidRequestIdConfig::descriptor()->full_name(), " is there");
  }
  UuidRequestIdConfig uuid;
  return context.unpack(any, config, &uuid);
}

void decode_upgrades(const Hcm& in, HttpValue* out) {
  for (const Hcm::UpgradeConfig& upgrade : in.upgrade_configs()) {
    const bool enabled = !upgrade.has_enabled() || upgrade.enabled().value();
    if (enabled) out->upgrades.push_back(lower_case(upgrade.upgrade_type()));
  }
}

}  // namespace

absl::Status decode_http(const Context& context, const Path& at, const Hcm& in, HttpValue* out) {
  out->stat_prefix = in.stat_prefix();
  decode_path_and_headers(in, out);
  decode_upgrades(in, out);
  using Step = absl::Status (*)(const Context&, const Path&, const Hcm&, HttpValue*);
  for (const Step step : {decode_codec, decode_http2, decode_timeouts, decode_limits, decode_http1,
                          decode_routes_of}) {
    if (absl::Status s = step(context, at, in, out); !s.ok()) return s;
  }
  if (absl::Status s = decode_client_certificate(context, at, in); !s.ok()) return s;
  if (absl::Status s = decode_request_id(context, at, in); !s.ok()) return s;
  if (absl::Status s = decode_http_filters(context, at, in, &out->filters); !s.ok()) return s;
  return decode_access_logs(context, at, in.access_log(), &out->access_logs);
}

}  // namespace sluice::xds
