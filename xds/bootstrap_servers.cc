#include "xds/bootstrap_servers.h"

#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace sluice::xds {
namespace {

using ApiType = core::ApiConfigSource;
using HttpOptions = ::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
using Endpoints = ::envoy::config::endpoint::v3::ClusterLoadAssignment;

// Every address of a STATIC cluster in one target, so that gRPC goes on to the next by itself.
absl::StatusOr<std::string> static_target(const Context& context, const Path& at,
                                          const Endpoints& in) {
  std::string target, scheme;
  for (int i = 0; i < in.endpoints_size(); ++i) {
    const Path locality(at, "endpoints", i);
    for (int j = 0; j < in.endpoints(i).lb_endpoints_size(); ++j) {
      const Path host(locality, "lb_endpoints", j);
      const Path endpoint(host, "endpoint");
      const auto& proto = in.endpoints(i).lb_endpoints(j).endpoint().address();
      auto address = decode_address(context, Path(endpoint, "address"), proto);
      if (!address.ok()) return address.status();
      std::string name = address->to_string();
      std::string kind = address->is_ip() ? (address->ip().v4 ? "ipv4:" : "ipv6:") : "unix:";
      if (name.starts_with('@')) kind = "unix-abstract:", name.erase(0, 1);
      if (target.empty()) {
        scheme = kind;
        target = name;
      } else if (kind == scheme && address->is_ip()) {
        base::cat_to(target, ",", name);
      } else {
        return context.error(host,
                             "the addresses of a control plane must be of one kind; split "
                             "the cluster");
      }
    }
  }
  if (target.empty()) return context.error(at, "the cluster has no endpoint");
  return scheme + target;
}

absl::StatusOr<std::string> dns_target(const Context& context, const Path& at,
                                       const Endpoints& in) {
  for (const auto& locality : in.endpoints()) {
    for (const auto& host : locality.lb_endpoints()) {
      const auto& address = host.endpoint().address().socket_address();
      if (address.address().empty() || address.port_value() == 0) continue;
      const bool v6 = address.address().find(':') != std::string::npos;
      return base::cat("dns:///", v6 ? "[" : "", address.address(), v6 ? "]" : "", ":",
                       address.port_value());
    }
  }
  return context.error(at, "the cluster has no endpoint with an address and a port");
}

absl::StatusOr<std::string> target_of(const Context& context, const Path& at, const Cluster& in) {
  const Path assignment(at, "load_assignment");
  switch (in.type()) {
    case Cluster::STATIC:
      return static_target(context, assignment, in.load_assignment());
    case Cluster::STRICT_DNS:
    case Cluster::LOGICAL_DNS:
      return dns_target(context, assignment, in.load_assignment());
    default:
      return context.error(Path(at, "type"), "a control plane's cluster must be known without it: ",
                           Cluster::DiscoveryType_Name(in.type()),
                           "; use STATIC, STRICT_DNS or LOGICAL_DNS");
  }
}

absl::Status decode_keepalive(const Context& context, const Path& at,
                              const core::Http2ProtocolOptions& in, ControlPlane* out) {
  if (!in.has_connection_keepalive()) return absl::OkStatus();
  const Path keepalive(at, "connection_keepalive");
  if (in.connection_keepalive().has_interval()) {
    absl::Status s =
        decode_duration(context, Path(keepalive, "interval"), in.connection_keepalive().interval(),
                        &out->keepalive_interval);
    if (!s.ok()) return s;
  }
  return decode_duration(context, Path(keepalive, "timeout"), in.connection_keepalive().timeout(),
                         &out->keepalive_timeout);
}

absl::Status decode_connection(const Context& context, const Path& at, const Cluster& in,
                               ControlPlane* out) {
  if (in.has_transport_socket()) {
    absl::Status s =
        require_plaintext(context, Path(at, "transport_socket"), in.transport_socket());
    if (!s.ok()) return s;
  }
  if (in.has_connect_timeout()) {
    absl::Status s = decode_duration(context, Path(at, "connect_timeout"), in.connect_timeout(),
                                     &out->connect_timeout);
    if (!s.ok()) return s;
  }
  for (const auto& [name, any] : in.typed_extension_protocol_options()) {
    if (context.type_of(any) != HttpOptions::descriptor()->full_name()) continue;
    HttpOptions options;
    const Path entry = Path::entry(at, "typed_extension_protocol_options", name);
    if (Context::is_typed_struct(any) || !options.ParseFromString(any.value())) continue;
    const Path config(entry, "explicit_http_config");
    return decode_keepalive(context, Path(config, "http2_protocol_options"),
                            options.explicit_http_config().http2_protocol_options(), out);
  }
  return decode_keepalive(context, Path(at, "http2_protocol_options"), in.http2_protocol_options(),
                          out);
}

absl::Status decode_back_off(const Context& context, const Path& at, const core::RetryPolicy& in,
                             ControlPlane* out) {
  if (!in.has_retry_back_off()) return absl::OkStatus();
  const Path back_off(at, "retry_back_off");
  absl::Status s = decode_duration(context, Path(back_off, "base_interval"),
                                   in.retry_back_off().base_interval(), &out->backoff_base);
  if (!s.ok()) return s;
  out->backoff_max = 10 * out->backoff_base;
  if (in.retry_back_off().has_max_interval()) {
    s = decode_duration(context, Path(back_off, "max_interval"), in.retry_back_off().max_interval(),
                        &out->backoff_max);
    if (!s.ok()) return s;
  }
  if (out->backoff_max >= out->backoff_base) return absl::OkStatus();
  return context.error(Path(back_off, "max_interval"), "must not be below base_interval");
}

absl::Status decode_envoy_grpc(const Context& context, const Path& at,
                               const core::GrpcService::EnvoyGrpc& in,
                               const Repeated<Cluster>& clusters, ControlPlane* out) {
  int index = 0;
  while (index < clusters.size() && clusters[index].name() != in.cluster_name()) ++index;
  if (index == clusters.size()) {
    return context.error(Path(at, "cluster_name"), "no such cluster: \"", in.cluster_name(),
                         "\"; add it to static_resources.clusters");
  }
  const Path root;
  const Path resources(root, "static_resources");
  const Path cluster(resources, "clusters", index);
  auto target = target_of(context, cluster, clusters[index]);
  if (!target.ok()) return target.status();
  out->name = in.cluster_name();
  out->target = *std::move(target);
  out->authority = in.authority().empty() ? in.cluster_name() : in.authority();
  if (in.has_max_receive_message_length()) {
    out->max_receive_bytes = in.max_receive_message_length().value();
  }
  absl::Status s = decode_connection(context, cluster, clusters[index], out);
  if (!s.ok()) return s;
  return decode_back_off(context, Path(at, "retry_policy"), in.retry_policy(), out);
}

absl::Status decode_service(const Context& context, const Path& at, const core::GrpcService& in,
                            const Repeated<Cluster>& clusters, ControlPlane* out) {
  for (const core::HeaderValue& header : in.initial_metadata()) {
    out->metadata.emplace_back(lower_case(header.key()),
                               header.raw_value().empty() ? header.value() : header.raw_value());
  }
  absl::Status s = decode_back_off(context, Path(at, "retry_policy"), in.retry_policy(), out);
  if (!s.ok()) return s;
  if (in.has_envoy_grpc()) {
    return decode_envoy_grpc(context, Path(at, "envoy_grpc"), in.envoy_grpc(), clusters, out);
  }
  out->name = in.google_grpc().stat_prefix();
  out->target = in.google_grpc().target_uri();
  return absl::OkStatus();
}

}  // namespace

bool leads_to(const core::ApiConfigSource& in, const std::string& cluster) {
  for (const core::GrpcService& service : in.grpc_services()) {
    if (service.envoy_grpc().cluster_name() == cluster) return true;
  }
  return false;
}

absl::StatusOr<GrpcSource> decode_grpc_source(const Context& context, const Path& at,
                                              const core::ApiConfigSource& in,
                                              const Repeated<Cluster>& clusters) {
  if (in.grpc_services().empty()) {
    return context.error(Path(at, "grpc_services"), "is required; name the control plane");
  }
  GrpcSource out;
  out.aggregated =
      in.api_type() == ApiType::AGGREGATED_GRPC || in.api_type() == ApiType::AGGREGATED_DELTA_GRPC;
  out.delta =
      in.api_type() == ApiType::DELTA_GRPC || in.api_type() == ApiType::AGGREGATED_DELTA_GRPC;
  out.set_node_on_first_message_only = in.set_node_on_first_message_only();
  out.servers.resize(static_cast<size_t>(in.grpc_services_size()));
  for (int i = 0; i < in.grpc_services_size(); ++i) {
    absl::Status s = decode_service(context, Path(at, "grpc_services", i), in.grpc_services(i),
                                    clusters, &out.servers[static_cast<size_t>(i)]);
    if (!s.ok()) return s;
  }
  if (in.has_rate_limit_settings()) {
    RateLimit limit;
    const auto& settings = in.rate_limit_settings();
    if (settings.has_max_tokens()) limit.max_tokens = settings.max_tokens().value();
    if (settings.has_fill_rate()) limit.tokens_per_second = settings.fill_rate().value();
    out.rate_limit = limit;
  }
  return out;
}

absl::StatusOr<RestSource> decode_rest_source(const Context& context, const Path& at,
                                              const core::ApiConfigSource& in,
                                              const Repeated<Cluster>& clusters) {
  RestSource out;
  if (in.cluster_names().empty()) {
    return context.error(Path(at, "cluster_names"), "is required; name the control plane");
  }
  if (!in.has_refresh_delay()) {
    return context.error(Path(at, "refresh_delay"), "is required; say how often to ask");
  }
  absl::Status s =
      decode_duration(context, Path(at, "refresh_delay"), in.refresh_delay(), &out.refresh_delay);
  if (!s.ok()) return s;
  if (in.has_request_timeout()) {
    s = decode_duration(context, Path(at, "request_timeout"), in.request_timeout(),
                        &out.request_timeout);
    if (!s.ok()) return s;
  }
  for (int i = 0; i < in.cluster_names_size(); ++i) {
    core::GrpcService::EnvoyGrpc named;
    named.set_cluster_name(in.cluster_names(i));
    s = decode_envoy_grpc(context, Path(at, "cluster_names", i), named, clusters,
                          &out.servers.emplace_back());
    if (!s.ok()) return s;
  }
  return out;
}

}  // namespace sluice::xds
