#include "xds/decode_routes.h"

namespace sluice::xds {
namespace {

using Code = route::RedirectAction;
using router::PathRewrite;

uint16_t not_found_status(const route::RouteAction& in) {
  switch (in.cluster_not_found_response_code()) {
    case route::RouteAction::NOT_FOUND:
      return 404;
    case route::RouteAction::INTERNAL_SERVER_ERROR:
      return 500;
    default:
      return 503;
  }
}

uint16_t redirect_status(const route::RedirectAction& in) {
  switch (in.response_code()) {
    case Code::FOUND:
      return 302;
    case Code::SEE_OTHER:
      return 303;
    case Code::TEMPORARY_REDIRECT:
      return 307;
    case Code::PERMANENT_REDIRECT:
      return 308;
    default:
      return 301;
  }
}

void set_regex(const ::envoy::type::matcher::v3::RegexMatchAndSubstitute& in, PathRewrite* out) {
  out->kind = PathRewrite::Kind::kRegex;
  out->regex = in.pattern().regex();
  out->substitution = in.substitution();
}

absl::Status decode_cluster_weight(const Context& context, const Path& at,
                                   const route::WeightedCluster::ClusterWeight& in,
                                   router::WeightedCluster* out) {
  if (in.name().empty()) {
    return context.error(Path(at, "name"), "is required; cluster_header is not supported here yet");
  }
  if (absl::Status s =
          decode_filter_settings(context, at, in.typed_per_filter_config(), &out->filters);
      !s.ok()) {
    return s;
  }
  out->cluster = normal_name(in.name());
  out->weight = in.weight().value();
  out->host_rewrite = in.host_rewrite_literal();
  absl::Status s = decode_header_edits(context, at, "request_headers_to_add",
                                       in.request_headers_to_add(), "request_headers_to_remove",
                                       in.request_headers_to_remove(), &out->request_headers);
  if (!s.ok()) return s;
  return decode_header_edits(context, at, "response_headers_to_add", in.response_headers_to_add(),
                             "response_headers_to_remove", in.response_headers_to_remove(),
                             &out->response_headers);
}

absl::Status decode_weights(const Context& context, const Path& at,
                            const route::WeightedCluster& in, router::ForwardAction* out) {
  uint64_t sum = 0;
  out->weighted.resize(static_cast<size_t>(in.clusters_size()));
  for (int i = 0; i < in.clusters_size(); ++i) {
    router::WeightedCluster& cluster = out->weighted[static_cast<size_t>(i)];
    absl::Status s =
        decode_cluster_weight(context, Path(at, "clusters", i), in.clusters(i), &cluster);
    if (!s.ok()) return s;
    sum += cluster.weight;
    if (!in.runtime_key_prefix().empty()) {
      cluster.runtime_key = base::cat(in.runtime_key_prefix(), ".", cluster.cluster);
    }
  }
  if (sum == 0) return context.error(at, "the weights' sum is 0; give one cluster a weight");
  if (sum > UINT32_MAX) {
    return context.error(at, "the weights' sum does not fit in 32 bits: ", sum);
  }
  if (in.has_total_weight() && in.total_weight().value() != sum) {
    return context.error(Path(at, "total_weight"),
                         "is not the weights' sum: ", in.total_weight().value(), ", the sum is ",
                         sum, "; remove total_weight, it is deprecated");
  }
  out->total_weight = static_cast<uint32_t>(sum);
  return absl::OkStatus();
}

absl::Status decode_target(const Context& context, const Path& at, const route::RouteAction& in,
                           router::ForwardAction* out) {
  switch (in.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      out->cluster = normal_name(in.cluster());
      return absl::OkStatus();
    case route::RouteAction::kClusterHeader:
      out->cluster_header = lower_case(in.cluster_header());
      return absl::OkStatus();
    case route::RouteAction::kWeightedClusters:
      return decode_weights(context, Path(at, "weighted_clusters"), in.weighted_clusters(), out);
    default:
      return context.error(at, "one of cluster, cluster_header, weighted_clusters is required");
  }
}

absl::Status decode_rewrites(const Context& context, const Path& at, const route::RouteAction& in,
                             router::ForwardAction* out) {
  using Kind = router::HostRewrite::Kind;
  if (!in.prefix_rewrite().empty() && in.has_regex_rewrite()) {
    return context.error(Path(at, "regex_rewrite"), "excludes prefix_rewrite; keep one");
  }
  if (in.has_regex_rewrite()) {
    set_regex(in.regex_rewrite(), &out->path_rewrite);
  } else if (!in.prefix_rewrite().empty()) {
    out->path_rewrite.kind = PathRewrite::Kind::kPrefix;
    out->path_rewrite.prefix = in.prefix_rewrite();
  }
  router::HostRewrite& host = out->host_rewrite;
  host.append_x_forwarded_host = in.append_x_forwarded_host();
  switch (in.host_rewrite_specifier_case()) {
    case route::RouteAction::kHostRewriteLiteral:
      host.kind = Kind::kLiteral, host.text = in.host_rewrite_literal();
      break;
    case route::RouteAction::kAutoHostRewrite:
      if (in.auto_host_rewrite().value()) host.kind = Kind::kUpstreamHost;
      break;
    case route::RouteAction::kHostRewriteHeader:
      host.kind = Kind::kHeader, host.text = lower_case(in.host_rewrite_header());
      break;
    case route::RouteAction::kHostRewritePathRegex:
      host.kind = Kind::kPathRegex, host.text = in.host_rewrite_path_regex().pattern().regex();
      host.substitution = in.host_rewrite_path_regex().substitution();
      break;
    default:
      break;
  }
  return absl::OkStatus();
}

// max_stream_duration, even an empty one, takes the place of the route's timeout and of the older
// fields about grpc-timeout, as in Envoy.
absl::Status decode_timeouts(const Context& context, const Path& at, const route::RouteAction& in,
                             router::ForwardAction* out) {
  const auto read = [&](const Path& field, const google::protobuf::Duration& duration,
                        std::optional<std::chrono::nanoseconds>* to) {
    std::chrono::nanoseconds value{0};
    absl::Status s = decode_duration(context, field, duration, &value);
    if (s.ok()) *to = value;
    return s;
  };
  using Sets = router::GrpcTimeout::Sets;
  router::GrpcTimeout& grpc = out->grpc_timeout;
  if (in.has_timeout()) {
    if (auto s = read(Path(at, "timeout"), in.timeout(), &out->timeout); !s.ok()) return s;
  }
  if (in.has_idle_timeout()) {
    auto s = read(Path(at, "idle_timeout"), in.idle_timeout(), &out->idle_timeout);
    if (!s.ok()) return s;
  }
  if (!in.has_max_stream_duration()) {
    if (!in.has_max_grpc_timeout()) return absl::OkStatus();
    grpc.sets = Sets::kTimeout;
    absl::Status s =
        decode_duration(context, Path(at, "max_grpc_timeout"), in.max_grpc_timeout(), &grpc.max);
    if (!s.ok()) return s;
    return decode_duration(context, Path(at, "grpc_timeout_offset"), in.grpc_timeout_offset(),
                           &grpc.offset);
  }
  if (out->timeout.value_or(std::chrono::nanoseconds(0)) != std::chrono::nanoseconds(0)) {
    context.warn(Path(at, "timeout"), "route timeout", "has no effect beside max_stream_duration");
  }
  out->timeout = std::chrono::nanoseconds(0);
  grpc.rewrites = true;
  const route::RouteAction::MaxStreamDuration& duration = in.max_stream_duration();
  const Path duration_at(at, "max_stream_duration");
  if (duration.has_max_stream_duration()) {
    absl::Status s = read(Path(duration_at, "max_stream_duration"), duration.max_stream_duration(),
                          &out->max_stream_duration);
    if (!s.ok()) return s;
  }
  if (!duration.has_grpc_timeout_header_max()) return absl::OkStatus();
  grpc.sets = Sets::kDuration;
  absl::Status s = decode_duration(context, Path(duration_at, "grpc_timeout_header_max"),
                                   duration.grpc_timeout_header_max(), &grpc.max);
  if (!s.ok()) return s;
  return decode_duration(context, Path(duration_at, "grpc_timeout_header_offset"),
                         duration.grpc_timeout_header_offset(), &grpc.offset);
}

}  // namespace

// Which conditions the exchange retries on today; the others are refused, since a client would see
// the failure that it was promised not to see.
absl::Status decode_retry(const Context& context, const Path& at, const route::RetryPolicy& in,
                          std::optional<router::RetryPolicy>* out) {
  if (in.retry_on().empty() || (in.has_num_retries() && in.num_retries().value() == 0)) {
    return absl::OkStatus();
  }
  for (Text rest = in.retry_on(); !rest.empty();) {
    const size_t end = std::min(rest.find(','), rest.size());
    Text condition = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (condition.starts_with(' ')) condition.remove_prefix(1);
    while (condition.ends_with(' ')) condition.remove_suffix(1);
    if (condition.empty() || condition == "reset-before-request") continue;
    return context.error(Path(at, "retry_on"),
                         "retries on this condition are not supported yet: \"", condition,
                         "\"; a request is repeated only when a reused connection turns out closed "
                         "(reset-before-request); set num_retries: 0");
  }
  router::RetryPolicy policy;
  policy.retry_on = in.retry_on();
  if (in.has_num_retries()) policy.num_retries = in.num_retries().value();
  if (in.has_per_try_timeout()) {
    absl::Status s = decode_duration(context, Path(at, "per_try_timeout"), in.per_try_timeout(),
                                     &policy.per_try_timeout);
    if (!s.ok()) return s;
  }
  policy.retriable_status_codes.assign(in.retriable_status_codes().begin(),
                                       in.retriable_status_codes().end());
  *out = std::move(policy);
  return absl::OkStatus();
}

namespace {

absl::Status decode_upgrade(const Context& context, const Path& at,
                            const route::RouteAction::UpgradeConfig& in,
                            router::ForwardAction* out) {
  const bool enabled = !in.has_enabled() || in.enabled().value();
  const std::string type = lower_case(in.upgrade_type());
  (enabled ? out->upgrades : out->upgrades_disabled).push_back(type);
  if (!in.has_connect_config()) return absl::OkStatus();
  if (type != "connect") {
    return context.error(Path(at, "connect_config"), "is for upgrade_type CONNECT, not for \"",
                         in.upgrade_type(), "\"; remove it");
  }
  out->connect_terminates = enabled;
  return absl::OkStatus();
}

}  // namespace

absl::Status decode_forward(const Context& context, const Path& at, const route::RouteAction& in,
                            router::ForwardAction* out) {
  if (absl::Status s = decode_target(context, at, in, out); !s.ok()) return s;
  if (absl::Status s = decode_rewrites(context, at, in, out); !s.ok()) return s;
  if (absl::Status s = decode_timeouts(context, at, in, out); !s.ok()) return s;
  out->cluster_not_found_status = not_found_status(in);
  out->priority = in.priority() == core::HIGH ? 1 : 0;
  for (int i = 0; i < in.upgrade_configs_size(); ++i) {
    const Path here(at, "upgrade_configs", i);
    if (absl::Status s = decode_upgrade(context, here, in.upgrade_configs(i), out); !s.ok()) {
      return s;
    }
  }
  if (!in.has_retry_policy()) return absl::OkStatus();
  return decode_retry(context, Path(at, "retry_policy"), in.retry_policy(), &out->retry);
}

namespace {

void decode_redirect(const route::RedirectAction& in, router::RedirectAction* out) {
  out->https = in.https_redirect();
  out->scheme = in.scheme_redirect();
  out->host = in.host_redirect();
  out->port = in.port_redirect();
  out->status = redirect_status(in);
  out->strip_query = in.strip_query();
  switch (in.path_rewrite_specifier_case()) {
    case route::RedirectAction::kPathRedirect:
      out->path = in.path_redirect();
      break;
    case route::RedirectAction::kPrefixRewrite:
      out->rewrite.kind = PathRewrite::Kind::kPrefix;
      out->rewrite.prefix = in.prefix_rewrite();
      break;
    case route::RedirectAction::kRegexRewrite:
      set_regex(in.regex_rewrite(), &out->rewrite);
      break;
    default:
      break;
  }
}

absl::Status decode_direct(const Context& context, const Path& at,
                           const route::DirectResponseAction& in, const RouteLimits& limits,
                           router::DirectResponseAction* out) {
  out->status = static_cast<uint16_t>(in.status());
  if (!in.has_body()) return absl::OkStatus();
  const Path body(at, "body");
  auto text = decode_data_source(context, body, in.body());
  if (!text.ok()) return text.status();
  if (text->size() > limits.max_direct_body_bytes) {
    return context.error(body, "too long: ", text->size(), " bytes, the limit is ",
                         limits.max_direct_body_bytes,
                         "; raise max_direct_response_body_size_bytes");
  }
  out->body = *std::move(text);
  return absl::OkStatus();
}

absl::Status decode_route_action(const Context& context, const Path& at, const route::Route& in,
                                 const RouteLimits& limits, router::RouteValue* out) {
  using Action = router::RouteValue::Action;
  switch (in.action_case()) {
    case route::Route::kRoute:
      out->action = Action::kForward;
      return decode_forward(context, Path(at, "route"), in.route(), &out->forward);
    case route::Route::kRedirect:
      out->action = Action::kRedirect;
      decode_redirect(in.redirect(), &out->redirect);
      return absl::OkStatus();
    case route::Route::kDirectResponse:
      out->action = Action::kDirect;
      return decode_direct(context, Path(at, "direct_response"), in.direct_response(), limits,
                           &out->direct);
    default:
      return context.error(at, "one of route, redirect, direct_response is required");
  }
}

}  // namespace

absl::Status decode_route(const Context& context, const Path& at, const route::Route& in,
                          const RouteLimits& limits, router::RouteValue* out) {
  out->name = in.name();
  out->stat_prefix = in.stat_prefix();
  out->source = at.str();
  if (absl::Status s = decode_match(context, Path(at, "match"), in.match(), &out->match); !s.ok()) {
    return s;
  }
  if (absl::Status s = decode_route_action(context, at, in, limits, out); !s.ok()) return s;
  absl::Status s = decode_filter_settings(context, at, in.typed_per_filter_config(), &out->filters);
  if (!s.ok()) return s;
  s = decode_header_edits(context, at, "request_headers_to_add", in.request_headers_to_add(),
                          "request_headers_to_remove", in.request_headers_to_remove(),
                          &out->request_headers);
  if (!s.ok()) return s;
  return decode_header_edits(context, at, "response_headers_to_add", in.response_headers_to_add(),
                             "response_headers_to_remove", in.response_headers_to_remove(),
                             &out->response_headers);
}

}  // namespace sluice::xds
