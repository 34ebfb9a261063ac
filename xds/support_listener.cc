#include "xds/support.h"

namespace sluice::xds {

std::span<const TypeSupport> listener_support() {
  static const std::vector<TypeSupport> kTable = {
      {"envoy.config.listener.v3.Listener",
       "name address additional_addresses stat_prefix filter_chains default_filter_chain "
       "per_connection_buffer_limit_bytes deprecated_v1 bind_to_port reuse_port enable_reuse_port "
       "tcp_backlog_size connection_balance_config",
       R"(
metadata: nothing here reads it
drain_type: listeners drain when they change or go
listener_filters_timeout: there are no listener filters to wait for
continue_on_listener_filters_timeout: there are no listener filters to wait for
tcp_fast_open_queue_length: connections open without TCP Fast Open
traffic_direction: draining and tracing do not tell directions apart yet
access_log: connections without a request are not logged yet
max_connections_to_accept_per_socket_event: workers accept what is waiting
enable_mptcp: connections fall back to TCP
ignore_global_conn_limit: there is no global limit
bypass_overload_manager: there is no overload manager
)",
       "use_original_dst transparent freebind"},
      {"envoy.config.listener.v3.Listener.DeprecatedV1", "bind_to_port"},
      {"envoy.config.listener.v3.Listener.ConnectionBalanceConfig", "exact_balance"},
      {"envoy.config.listener.v3.Listener.ConnectionBalanceConfig.ExactBalance", ""},
      {"envoy.config.listener.v3.AdditionalAddress", "address"},
      {"envoy.config.listener.v3.FilterChain", "filter_chain_match filters transport_socket name",
       R"(
metadata: nothing here reads it
transport_socket_connect_timeout: there is no handshake to wait for
on_demand_configuration: chains are complete from the start
)",
       "use_proxy_proto"},
      {"envoy.config.listener.v3.FilterChainMatch", ""},
      {"envoy.config.listener.v3.Filter", "name typed_config config_discovery"},
      {"envoy.config.core.v3.TransportSocket", "name typed_config"},
      {"envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", ""},
      {"envoy.config.core.v3.Address", "socket_address pipe"},
      {"envoy.config.core.v3.SocketAddress", "protocol address port_value ipv4_compat"},
      {"envoy.config.core.v3.Pipe", "path mode"},

      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
       "codec_type stat_prefix rds route_config scoped_routes http_filters "
       "common_http_protocol_options "
       "http_protocol_options http2_protocol_options server_name server_header_transformation "
       "max_request_headers_kb "
       "stream_idle_timeout request_timeout request_headers_timeout drain_timeout "
       "delayed_close_timeout access_log use_remote_address xff_num_trusted_hops skip_xff_append "
       "via generate_request_id preserve_external_request_id always_set_request_id_in_response "
       "proxy_100_continue upgrade_configs normalize_path merge_slashes "
       "path_with_escaped_slashes_action request_id_extension strip_matching_host_port "
       "strip_any_host_port strip_trailing_host_dot "
       "forward_client_cert_details",
       R"(
tracing: no spans are made yet
http3_protocol_options: connections speak HTTP/1 and HTTP/2
access_log_flush_interval: requests are logged when they end
flush_access_log_on_new_request: requests are logged when they end
access_log_options: requests are logged when they end
set_current_client_cert_details: without TLS there is no client certificate
append_x_forwarded_port: x-forwarded-port is not sent to backends yet
add_proxy_protocol_connection_state: there is no PROXY protocol yet
)",
       "add_user_agent stream_error_on_invalid_http_message"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes",
       "name scope_key_builder rds_config_source scoped_route_configurations_list scoped_rds"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes.ScopeKeyBuilder",
       "fragments"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes.ScopeKeyBuilder."
       "FragmentBuilder",
       "header_value_extractor"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes.ScopeKeyBuilder."
       "FragmentBuilder.HeaderValueExtractor",
       "name element_separator index element"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRoutes.ScopeKeyBuilder."
       "FragmentBuilder.HeaderValueExtractor.KvElement",
       "separator key"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRouteConfigurationsList",
       "scoped_route_configurations"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.ScopedRds",
       "scoped_rds_config_source srds_resources_locator"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.Rds",
       "config_source route_config_name"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
       "name typed_config config_discovery is_optional disabled"},
      {"envoy.config.core.v3.ExtensionConfigSource",
       "config_source default_config apply_default_config_without_warming type_urls"},
      {"envoy.config.core.v3.TypedExtensionConfig", "name typed_config"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
       "UpgradeConfig",
       "upgrade_type enabled"},
      {"envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
       "typed_config"},
      {"envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", "", R"(
pack_trace_reason: no spans are made yet
use_request_id_for_trace_sampling: no spans are made yet
)"},
      {"envoy.config.core.v3.HttpProtocolOptions",
       "idle_timeout max_connection_duration max_headers_count headers_with_underscores_action "
       "max_requests_per_connection max_stream_duration"},
      {"envoy.config.core.v3.Http1ProtocolOptions",
       "allow_absolute_url accept_http_10 default_host_for_http_10 enable_trailers "
       "allow_chunked_length",
       R"(
use_balsa_parser: there is one parser
allow_custom_methods: any method that is a token is let through
)",
       "override_stream_error_on_invalid_http_message send_fully_qualified_url"},

      {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
       "stat_prefix cluster weighted_clusters idle_timeout access_log max_connect_attempts "
       "max_downstream_connection_duration",
       R"(
metadata_match: clusters with subsets, which read it, are refused
hash_policy: balancers that hash, which read it, are refused
downstream_idle_timeout: Envoy does not read it either; idle_timeout counts
upstream_idle_timeout: Envoy does not read it either; idle_timeout counts
access_log_flush_interval: connections are logged when they end
flush_access_log_on_connected: connections are logged when they end
access_log_options: connections are logged when they end
)"},
      {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster", "clusters"},
      {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
       "name weight", R"(
metadata_match: clusters with subsets, which read it, are refused
)"},

      {"envoy.extensions.filters.http.router.v3.Router", "dynamic_stats suppress_envoy_headers",
       R"(
start_child_span: no spans are made yet
upstream_log: upstream requests are not logged apart yet
upstream_log_options: upstream requests are not logged apart yet
suppress_grpc_request_failure_code_stats: gRPC status codes are not counted yet
)"},
      {"envoy.extensions.filters.http.on_demand.v3.OnDemand", "odcds"},
      {"envoy.extensions.filters.http.on_demand.v3.PerRouteConfig", "odcds"},
      {"envoy.extensions.filters.http.on_demand.v3.OnDemandCds",
       "source resources_locator timeout"},
      {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
       "mutations most_specific_header_mutations_wins"},
      {"envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute", "mutations"},
      {"envoy.extensions.filters.http.header_mutation.v3.Mutations",
       "request_mutations response_mutations"},
      {"envoy.config.common.mutation_rules.v3.HeaderMutation", "remove append"},

      {"envoy.config.accesslog.v3.AccessLog", "name filter typed_config"},
      {"envoy.config.accesslog.v3.AccessLogFilter",
       "status_code_filter duration_filter not_health_check_filter traceable_filter runtime_filter "
       "and_filter or_filter header_filter response_flag_filter grpc_status_filter metadata_filter "
       "log_type_filter"},
      {"envoy.config.accesslog.v3.StatusCodeFilter", "comparison"},
      {"envoy.config.accesslog.v3.DurationFilter", "comparison"},
      {"envoy.config.accesslog.v3.NotHealthCheckFilter", ""},
      {"envoy.config.accesslog.v3.TraceableFilter", ""},
      {"envoy.config.accesslog.v3.AndFilter", "filters"},
      {"envoy.config.accesslog.v3.OrFilter", "filters"},
      {"envoy.config.accesslog.v3.HeaderFilter", "header"},
      {"envoy.config.accesslog.v3.ResponseFlagFilter", "flags"},
      {"envoy.config.accesslog.v3.GrpcStatusFilter", "statuses exclude"},
      {"envoy.config.accesslog.v3.MetadataFilter", "match_if_key_not_found", R"(
matcher: nothing here sets dynamic metadata, so the key is never found
)"},
      {"envoy.config.accesslog.v3.LogTypeFilter", "types exclude"},
      {"envoy.config.accesslog.v3.ComparisonFilter", "op value"},
      {"envoy.config.accesslog.v3.RuntimeFilter",
       "runtime_key percent_sampled use_independent_randomness"},
      {"envoy.config.core.v3.RuntimeUInt32", "default_value runtime_key"},
      {"envoy.extensions.access_loggers.file.v3.FileAccessLog",
       "path format json_format typed_json_format log_format"},
      {"envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", "log_format"},
      {"envoy.extensions.access_loggers.stream.v3.StderrAccessLog", "log_format"},
      {"envoy.config.core.v3.SubstitutionFormatString",
       "text_format json_format text_format_source omit_empty_values", R"(
content_type: a log line has no content type
formatters: REQ_WITHOUT_QUERY and the like are built in; an operator that is not is refused
json_format_options: keys are always sorted
)"},
      {"envoy.config.core.v3.DataSource",
       "filename inline_bytes inline_string environment_variable", R"(
watched_directory: the file is read once
)"},
  };
  return kTable;
}

}  // namespace sluice::xds
