#include <algorithm>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "xds/decode_dns.h"
#include "xds/decode_endpoints.h"
#include "xds/decode_http2.h"

namespace sluice::xds {
namespace {

namespace cluster = ::envoy::config::cluster::v3;
namespace lb = ::envoy::extensions::load_balancing_policies;
using cluster::Cluster;
using upstream::ClusterValue;
using upstream::TransportValue;
using HttpOptions = ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

absl::Status decode_discovery(const Context& context, const Path& at, const Cluster& in,
                              ClusterValue* out) {
  switch (in.type()) {
    case Cluster::STATIC: {
      // Without one it has no endpoint, ever: meshes send such to have requests refused.
      const Path assignment(at, "load_assignment");
      auto endpoints = decode_load_assignment(context, assignment, in.load_assignment());
      if (!endpoints.ok()) return endpoints.status();
      out->discovery = ClusterValue::Discovery::kStatic;
      out->static_endpoints = *std::move(endpoints);
      return absl::OkStatus();
    }
    case Cluster::EDS: {
      const Path config(at, "eds_cluster_config");
      if (!in.has_eds_cluster_config()) {
        return context.error(config, "is required for a cluster of type EDS");
      }
      if (in.has_load_assignment()) {
        return context.error(Path(at, "load_assignment"),
                             "is for clusters of type STATIC; this one is EDS, remove it");
      }
      out->discovery = ClusterValue::Discovery::kEds;
      const auto& eds = in.eds_cluster_config();
      const Path name_at(config, "service_name");
      const Path source_at(config, "eds_config");
      return decode_named_source(context,
                                 {.type = Type::kEndpoint,
                                  .name_at = name_at,
                                  .name = eds.service_name(),
                                  .source_at = source_at,
                                  .source = eds.has_eds_config() ? &eds.eds_config() : nullptr},
                                 &out->eds_service_name, &out->eds_source,
                                 &out->eds_initial_fetch_timeout);
    }
    case Cluster::STRICT_DNS:
    case Cluster::LOGICAL_DNS: {
      auto dns = decode_dns(context, at, in);
      if (!dns.ok()) return dns.status();
      out->discovery = ClusterValue::Discovery::kDns;
      out->dns = std::make_shared<const upstream::DnsValue>(*std::move(dns));
      return absl::OkStatus();
    }
    default:
      return context.error(Path(at, "type"),
                           "not supported yet: ", Cluster::DiscoveryType_Name(in.type()),
                           "; use STATIC, STRICT_DNS, LOGICAL_DNS or EDS");
  }
}

// A least-request balancer that is told nothing takes the better of two.
void set_least_request(bool given, uint32_t choice_count, ClusterValue* out) {
  out->balancer = ClusterValue::Balancer::kLeastRequest;
  if (given) out->choice_count = choice_count;
}

// The first policy of the list that we have, as the API says.
absl::Status decode_policies(const Context& context, const Path& at,
                             const cluster::LoadBalancingPolicy& in, ClusterValue* out) {
  using RoundRobin = lb::round_robin::v3::RoundRobin;
  using LeastRequest = lb::least_request::v3::LeastRequest;
  using Random = lb::random::v3::Random;
  std::string seen;
  for (int i = 0; i < in.policies_size(); ++i) {
    const Path policy(at, "policies", i);
    const Path extension(policy, "typed_extension_config");
    const Path config(extension, "typed_config");
    const auto& any = in.policies(i).typed_extension_config().typed_config();
    const std::string type = context.type_of(any);
    if (type == RoundRobin::descriptor()->full_name()) {
      out->balancer = ClusterValue::Balancer::kRoundRobin;
      return context.unpack_as<RoundRobin>(any, config).status();
    }
    if (type == Random::descriptor()->full_name()) {
      out->balancer = ClusterValue::Balancer::kRandom;
      return context.unpack_as<Random>(any, config).status();
    }
    if (type == LeastRequest::descriptor()->full_name()) {
      auto policy_value = context.unpack_as<LeastRequest>(any, config);
      if (!policy_value.ok()) return policy_value.status();
      set_least_request(policy_value->has_choice_count(), policy_value->choice_count().value(),
                        out);
      return absl::OkStatus();
    }
    base::cat_to(seen, seen.empty() ? "" : ", ", type);
  }
  return context.error(Path(at, "policies"), "none of these is supported yet: \"", seen,
                       "\"; add round_robin, least_request or random");
}

absl::Status decode_balancer(const Context& context, const Path& at, const Cluster& in,
                             ClusterValue* out) {
  if (in.has_load_balancing_policy()) {
    return decode_policies(context, Path(at, "load_balancing_policy"), in.load_balancing_policy(),
                           out);
  }
  switch (in.lb_policy()) {
    case Cluster::ROUND_ROBIN:
      out->balancer = ClusterValue::Balancer::kRoundRobin;
      return absl::OkStatus();
    case Cluster::RANDOM:
      out->balancer = ClusterValue::Balancer::kRandom;
      return absl::OkStatus();
    case Cluster::LEAST_REQUEST:
      set_least_request(in.least_request_lb_config().has_choice_count(),
                        in.least_request_lb_config().choice_count().value(), out);
      return absl::OkStatus();
    default:
      return context.error(Path(at, "lb_policy"),
                           "not supported yet: ", Cluster::LbPolicy_Name(in.lb_policy()),
                           "; use ROUND_ROBIN, LEAST_REQUEST or RANDOM");
  }
}

void decode_common_balancing(const Cluster& in, ClusterValue* out) {
  const auto& common = in.common_lb_config();
  if (common.has_healthy_panic_threshold()) {
    out->healthy_panic_threshold_pct =
        static_cast<uint32_t>(common.healthy_panic_threshold().value());
  }
  out->ignore_new_hosts_until_first_hc = common.ignore_new_hosts_until_first_hc();
}

void decode_breakers(const Cluster& in, ClusterValue* out) {
  for (const auto& threshold : in.circuit_breakers().thresholds()) {
    upstream::BreakerLimits& limits =
        threshold.priority() == core::HIGH ? out->breakers_high : out->breakers_default;
    limits = {};
    if (threshold.has_max_connections())
      limits.max_connections = threshold.max_connections().value();
    if (threshold.has_max_pending_requests()) {
      limits.max_pending_requests = threshold.max_pending_requests().value();
    }
    if (threshold.has_max_requests()) limits.max_requests = threshold.max_requests().value();
    if (threshold.has_max_retries()) limits.max_retries = threshold.max_retries().value();
  }
}

absl::Status decode_common_options(const Context& context, const Path& at,
                                   const core::HttpProtocolOptions& in, TransportValue* out) {
  absl::Status s;
  if (in.has_idle_timeout()) {
    s = decode_duration(context, Path(at, "idle_timeout"), in.idle_timeout(), &out->idle_timeout);
  }
  if (s.ok() && in.has_max_connection_duration()) {
    s = decode_duration(context, Path(at, "max_connection_duration"), in.max_connection_duration(),
                        &out->max_connection_duration);
  }
  if (!s.ok()) return s;
  if (in.has_max_stream_duration()) {
    return context.error(Path(at, "max_stream_duration"),
                         "not supported yet for a cluster; set it on the routes");
  }
  if (in.headers_with_underscores_action() != core::HttpProtocolOptions::ALLOW) {
    return context.error(Path(at, "headers_with_underscores_action"),
                         "is for listeners; responses are let through, remove it");
  }
  if (in.has_max_headers_count()) {
    if (in.max_headers_count().value() > UINT16_MAX) {
      return context.error(Path(at, "max_headers_count"),
                           "must be at most 65535: ", in.max_headers_count().value());
    }
    out->max_response_headers = static_cast<uint16_t>(in.max_headers_count().value());
  }
  if (in.has_max_requests_per_connection()) {
    out->max_requests_per_connection = in.max_requests_per_connection().value();
  }
  return absl::OkStatus();
}

// What a client of HTTP/1 can be told and we are not.
absl::Status decode_http1_options(const Context& context, const Path& at,
                                  const core::Http1ProtocolOptions& in) {
  if (in.accept_http_10()) {
    context.warn(Path(at, "accept_http_10"), "cluster accept_http_10",
                 "is for listeners: responses in HTTP/1.0 are always read");
  }
  return absl::OkStatus();
}

absl::Status decode_upstream_filters(const Context& context, const Path& at,
                                     const HttpOptions& in) {
  constexpr Text kCodec = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";
  for (int i = 0; i < in.http_filters_size(); ++i) {
    const Path filter(at, "http_filters", i);
    const std::string type = context.type_of(in.http_filters(i).typed_config());
    if (type == kCodec) continue;
    if (in.http_filters(i).is_optional() || in.http_filters(i).disabled()) {
      context.warn(filter, type,
                   base::cat("upstream filters are not supported yet: left out: ", type));
      continue;
    }
    return context.error(Path(filter, "typed_config"), "upstream filters are not supported yet: \"",
                         type, "\"; remove it");
  }
  return absl::OkStatus();
}

absl::Status decode_http_options(const Context& context, const Path& at, const HttpOptions& in,
                                 TransportValue* out) {
  absl::Status s = decode_common_options(context, Path(at, "common_http_protocol_options"),
                                         in.common_http_protocol_options(), out);
  if (!s.ok()) return s;
  if (s = decode_upstream_filters(context, at, in); !s.ok()) return s;
  if (in.has_use_downstream_protocol_config()) {
    out->http = TransportValue::Http::kUseDownstream;
    const Path config(at, "use_downstream_protocol_config");
    const auto& both = in.use_downstream_protocol_config();
    s = decode_http2_options(context, Path(config, "http2_protocol_options"),
                             both.http2_protocol_options(), &out->h2);
    if (!s.ok()) return s;
    return decode_http1_options(context, Path(config, "http_protocol_options"),
                                both.http_protocol_options());
  }
  if (in.has_auto_config()) {
    out->http = TransportValue::Http::kAuto;
    const Path config(at, "auto_config");
    s = decode_http2_options(context, Path(config, "http2_protocol_options"),
                             in.auto_config().http2_protocol_options(), &out->h2);
    if (!s.ok()) return s;
    return decode_http1_options(context, Path(config, "http_protocol_options"),
                                in.auto_config().http_protocol_options());
  }
  const Path config(at, "explicit_http_config");
  if (in.explicit_http_config().has_http2_protocol_options()) {
    out->http = TransportValue::Http::kHttp2;
    return decode_http2_options(context, Path(config, "http2_protocol_options"),
                                in.explicit_http_config().http2_protocol_options(), &out->h2);
  }
  return decode_http1_options(context, Path(config, "http_protocol_options"),
                              in.explicit_http_config().http_protocol_options());
}

absl::Status decode_protocol(const Context& context, const Path& at, const Cluster& in,
                             TransportValue* out) {
  constexpr Text kField = "typed_extension_protocol_options";
  bool found = false;
  for (const auto& [name, any] : in.typed_extension_protocol_options()) {
    const Path entry = Path::entry(at, kField, name);
    if (context.type_of(any) != HttpOptions::descriptor()->full_name()) {
      return context.error(entry, "not supported yet: \"", context.type_of(any), "\"; remove it");
    }
    auto options = context.unpack_as<HttpOptions>(any, entry);
    if (!options.ok()) return options.status();
    absl::Status s = decode_http_options(context, Context::inside(any, entry), *options, out);
    if (!s.ok()) return s;
    found = true;
  }
  if (found) return absl::OkStatus();
  // The deprecated fields count only without the above, as in Envoy.
  if (in.has_http2_protocol_options()) {
    out->http = TransportValue::Http::kHttp2;
    absl::Status s = decode_http2_options(context, Path(at, "http2_protocol_options"),
                                          in.http2_protocol_options(), &out->h2);
    if (!s.ok()) return s;
  }
  if (in.protocol_selection() == Cluster::USE_DOWNSTREAM_PROTOCOL) {
    out->http = TransportValue::Http::kUseDownstream;
  }
  absl::Status s =
      decode_http1_options(context, Path(at, "http_protocol_options"), in.http_protocol_options());
  if (!s.ok()) return s;
  return decode_common_options(context, Path(at, "common_http_protocol_options"),
                               in.common_http_protocol_options(), out);
}

absl::Status decode_connection(const Context& context, const Path& at, const Cluster& in,
                               TransportValue* out) {
  if (in.has_connect_timeout()) {
    absl::Status s = decode_duration(context, Path(at, "connect_timeout"), in.connect_timeout(),
                                     &out->connect_timeout);
    if (!s.ok()) return s;
  }
  if (in.has_per_connection_buffer_limit_bytes()) {
    out->buffer_limit_bytes = in.per_connection_buffer_limit_bytes().value();
  }
  if (in.has_max_requests_per_connection() && out->max_requests_per_connection == 0) {
    out->max_requests_per_connection = in.max_requests_per_connection().value();
  }
  if (in.upstream_connection_options().has_tcp_keepalive()) {
    const auto& keepalive = in.upstream_connection_options().tcp_keepalive();
    out->tcp_keepalive = true;
    out->keepalive_probes = keepalive.keepalive_probes().value();
    out->keepalive_time_s = keepalive.keepalive_time().value();
    out->keepalive_interval_s = keepalive.keepalive_interval().value();
  }
  if (in.upstream_bind_config().has_source_address()) {
    const Path bind(at, "upstream_bind_config");
    auto address = decode_socket_address(context, Path(bind, "source_address"),
                                         in.upstream_bind_config().source_address());
    if (!address.ok()) return address.status();
    out->bind = *std::move(address);
  }
  if (!in.has_transport_socket()) return absl::OkStatus();
  return require_plaintext(context, Path(at, "transport_socket"), in.transport_socket());
}

}  // namespace

absl::StatusOr<ClusterValue> decode_cluster(std::string_view bytes, std::string_view version,
                                            const DecodeOptions& options, Warnings* warnings) {
  Context context(options, warnings, "cluster");
  const Path root;
  Cluster in;
  if (!parse_message(bytes, &in)) {
    return context.error(root, "not a serialised Cluster");
  }
  const std::string label = base::cat("cluster \"", in.name(), "\"");
  context.set_label(label);
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  ClusterValue out;
  out.name = in.name();
  out.version = std::string(version);
  out.source = label;
  out.alt_stat_name = in.alt_stat_name();
  decode_common_balancing(in, &out);
  decode_breakers(in, &out);
  if (absl::Status s = decode_protocol(context, root, in, &out.transport); !s.ok()) return s;
  if (absl::Status s = decode_connection(context, root, in, &out.transport); !s.ok()) return s;
  if (absl::Status s = decode_discovery(context, root, in, &out); !s.ok()) return s;
  if (absl::Status s = decode_balancer(context, root, in, &out); !s.ok()) return s;
  return out;
}

}  // namespace sluice::xds
