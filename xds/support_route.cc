#include "xds/support.h"

namespace sluice::xds {

std::span<const TypeSupport> route_support() {
  static const std::vector<TypeSupport> kTable = {
      {"envoy.config.route.v3.RouteConfiguration",
       "name virtual_hosts response_headers_to_add "
       "response_headers_to_remove "
       "request_headers_to_add request_headers_to_remove most_specific_header_mutations_wins "
       "validate_clusters max_direct_response_body_size_bytes ignore_port_in_host_matching "
       "typed_per_filter_config vhds",
       R"(
metadata: nothing here reads it
)"},
      {"envoy.config.route.v3.Vhds", "config_source"},
      {"envoy.config.route.v3.ScopedRouteConfiguration",
       "on_demand name route_configuration_name route_configuration key"},
      {"envoy.config.route.v3.ScopedRouteConfiguration.Key", "fragments"},
      {"envoy.config.route.v3.ScopedRouteConfiguration.Key.Fragment", "string_key"},
      {"envoy.config.route.v3.VirtualHost",
       "name domains routes require_tls request_headers_to_add request_headers_to_remove "
       "response_headers_to_add response_headers_to_remove retry_policy typed_per_filter_config",
       R"(
virtual_clusters: no statistics by virtual cluster
rate_limits: the rate limit filter, which reads it, is refused
include_request_attempt_count: x-envoy-attempt-count is not sent to backends yet
include_is_timeout_retry_header: there are no such retries
hedge_policy: requests are not hedged yet
per_request_buffer_limit_bytes: nothing is buffered for retries
metadata: nothing here reads it
)"},
      {"envoy.config.route.v3.Route",
       "name match route redirect direct_response request_headers_to_add request_headers_to_remove "
       "response_headers_to_add response_headers_to_remove stat_prefix typed_per_filter_config",
       R"(
metadata: nothing here reads it
decorator: no spans are made yet
tracing: no spans are made yet
per_request_buffer_limit_bytes: nothing is buffered for retries
)"},
      {"envoy.config.route.v3.RouteMatch",
       "prefix path safe_regex connect_matcher path_separated_prefix case_sensitive "
       "runtime_fraction headers query_parameters grpc"},
      {"envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions", ""},
      {"envoy.config.route.v3.RouteMatch.ConnectMatcher", ""},
      {"envoy.config.core.v3.RuntimeFractionalPercent", "default_value runtime_key"},
      {"envoy.type.v3.FractionalPercent", "numerator denominator"},
      {"envoy.config.route.v3.HeaderMatcher",
       "name exact_match safe_regex_match range_match present_match prefix_match suffix_match "
       "contains_match string_match invert_match treat_missing_header_as_empty"},
      {"envoy.config.route.v3.QueryParameterMatcher", "name string_match present_match"},
      {"envoy.type.v3.Int64Range", "start end"},
      {"envoy.type.matcher.v3.StringMatcher",
       "exact prefix suffix safe_regex contains ignore_case"},
      {"envoy.type.matcher.v3.RegexMatcher", "regex google_re2"},
      {"envoy.type.matcher.v3.RegexMatcher.GoogleRE2", "", R"(
max_program_size: patterns are bounded by memory
)"},
      {"envoy.type.matcher.v3.RegexMatchAndSubstitute", "pattern substitution"},

      {"envoy.config.route.v3.RouteAction",
       "cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite "
       "regex_rewrite host_rewrite_literal auto_host_rewrite host_rewrite_header "
       "host_rewrite_path_regex append_x_forwarded_host timeout idle_timeout retry_policy priority "
       "upgrade_configs max_stream_duration max_grpc_timeout grpc_timeout_offset",
       R"(
metadata_match: clusters with subsets, which read it, are refused
early_data_policy: there is no TLS early data
rate_limits: the rate limit filter, which reads it, is refused
include_vh_rate_limits: the rate limit filter, which reads it, is refused
hash_policy: balancers that hash, which read it, are refused
max_internal_redirects: internal redirects are refused
hedge_policy: requests are not hedged yet
)"},
      {"envoy.config.route.v3.RouteAction.UpgradeConfig", "upgrade_type enabled connect_config"},
      {"envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig", "", {}, "allow_post"},
      {"envoy.config.route.v3.RouteAction.MaxStreamDuration",
       "max_stream_duration grpc_timeout_header_max grpc_timeout_header_offset"},
      {"envoy.config.route.v3.WeightedCluster", "clusters total_weight runtime_key_prefix"},
      {"envoy.config.route.v3.WeightedCluster.ClusterWeight",
       "name weight request_headers_to_add request_headers_to_remove response_headers_to_add "
       "response_headers_to_remove host_rewrite_literal typed_per_filter_config",
       R"(
metadata_match: clusters with subsets, which read it, are refused
)"},
      {"envoy.config.route.v3.RetryPolicy",
       "retry_on num_retries per_try_timeout retriable_status_codes", R"(
retry_priority: see retry_on
retry_host_predicate: see retry_on
retry_options_predicates: see retry_on
host_selection_retry_max_attempts: see retry_on
retry_back_off: see retry_on
rate_limited_retry_back_off: see retry_on
retriable_headers: see retry_on
retriable_request_headers: see retry_on
per_try_idle_timeout: see retry_on
)"},
      {"envoy.config.route.v3.RedirectAction",
       "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite "
       "regex_rewrite response_code strip_query"},
      {"envoy.config.route.v3.DirectResponseAction", "status body"},
      {"envoy.config.route.v3.FilterConfig", "config is_optional disabled"},

      {"envoy.config.core.v3.HeaderValueOption", "header append append_action keep_empty_value"},
      {"envoy.config.core.v3.HeaderValue", "key value raw_value"},
  };
  return kTable;
}

}  // namespace sluice::xds
