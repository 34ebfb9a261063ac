#include "xds/support.h"

namespace sluice::xds {

std::span<const TypeSupport> bootstrap_support() {
  static const std::vector<TypeSupport> kTable = {
      {"envoy.config.bootstrap.v3.Bootstrap",
       "node static_resources dynamic_resources cluster_manager admin stats_flush_interval "
       "stats_flush_on_admin layered_runtime bootstrap_extensions use_tcp_for_dns_lookups "
       "dns_resolution_config typed_dns_resolver_config config_sources default_config_source "
       "node_context_params",
       R"(
flags_path: nothing is read from there
stats_sinks: statistics are pulled from admin
deferred_stat_options: statistics are made when they are first counted
stats_config: names and tags of statistics are fixed yet
watchdog: there is no watchdog yet
watchdogs: there is no watchdog yet
tracing: no spans are made yet
overload_manager: there is no overload manager yet
enable_dispatcher_stats: statistics only
stats_server_version_override: statistics only
fatal_actions: a crash ends the process
default_socket_interface: sockets are the operating system's
inline_headers: headers need no registration
perf_tracing_file_path: there is no such trace
default_regex_engine: patterns are RE2's
xds_config_tracker_extension: an observer of configuration only
listener_manager: there is one kind
application_log_config: the format of log lines is set by --log-format
grpc_async_client_manager_config: there is no such cache
memory_allocator_manager: the allocator manages itself
certificate_provider_instances: read only by TLS contexts, which are refused
)"},
      {"envoy.config.core.v3.Node",
       "id cluster metadata locality user_agent_name user_agent_version user_agent_build_version "
       "extensions client_features listening_addresses dynamic_parameters"},
      {"envoy.config.core.v3.BuildVersion", "version metadata"},
      {"envoy.type.v3.SemanticVersion", "major_number minor_number patch"},
      {"envoy.config.core.v3.Extension",
       "name category type_descriptor version disabled type_urls"},
      {"envoy.config.bootstrap.v3.Bootstrap.StaticResources", "listeners clusters", R"(
secrets: read only by TLS contexts, which are refused
)"},
      {"envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
       "lds_config cds_config ads_config lds_resources_locator cds_resources_locator"},
      {"envoy.config.core.v3.ConfigSource",
       "ads self path path_config_source api_config_source initial_fetch_timeout "
       "resource_api_version authorities"},
      {"xds.core.v3.Authority", "name"},
      {"envoy.config.core.v3.AggregatedConfigSource", ""},
      {"envoy.config.core.v3.SelfConfigSource", "transport_api_version"},
      {"envoy.config.core.v3.PathConfigSource", "path watched_directory"},
      {"envoy.config.core.v3.WatchedDirectory", "path"},
      {"envoy.config.core.v3.ApiConfigSource",
       "api_type transport_api_version grpc_services rate_limit_settings "
       "set_node_on_first_message_only cluster_names refresh_delay request_timeout",
       R"(
config_validators: they only refuse
)"},
      {"envoy.config.core.v3.RateLimitSettings", "max_tokens fill_rate"},
      {"envoy.config.core.v3.GrpcService", "envoy_grpc google_grpc initial_metadata retry_policy",
       R"(
timeout: a stream has no end
)"},
      {"envoy.config.core.v3.GrpcService.EnvoyGrpc",
       "cluster_name authority retry_policy max_receive_message_length", R"(
skip_envoy_headers: none are sent
)"},
      {"envoy.config.core.v3.RetryPolicy", "retry_back_off", R"(
num_retries: a stream is reopened for ever
retry_on: a stream is reopened whatever ended it
retry_priority: see retry_on
retry_host_predicate: see retry_on
host_selection_retry_max_attempts: see retry_on
)"},
      {"envoy.config.core.v3.BackoffStrategy", "base_interval max_interval"},
      {"envoy.config.core.v3.GrpcService.GoogleGrpc", "target_uri stat_prefix", R"(
per_stream_buffer_limit_bytes: gRPC's own flow control is used
channel_args: gRPC's own defaults are used
)"},
      {"envoy.config.bootstrap.v3.Admin", "access_log access_log_path address profile_path", R"(
socket_options: admin's socket is a plain one
ignore_global_conn_limit: there is no global limit
)"},
      {"envoy.config.bootstrap.v3.ClusterManager", "local_cluster_name load_stats_config", R"(
outlier_detection: no endpoint is ejected yet
enable_deferred_cluster_creation: workers open pools when they are first used
)"},
      {"envoy.config.bootstrap.v3.LayeredRuntime", "layers"},
      {"envoy.config.bootstrap.v3.RuntimeLayer",
       "name static_layer disk_layer admin_layer rtds_layer"},
      {"envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
       "symlink_root subdirectory append_service_cluster"},
      {"envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer", ""},
      {"envoy.config.bootstrap.v3.RuntimeLayer.RtdsLayer", "name rtds_config"},
      {"envoy.service.runtime.v3.Runtime", "name layer"},
  };
  return kTable;
}

}  // namespace sluice::xds
