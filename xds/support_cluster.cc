#include "xds/support.h"

namespace sluice::xds {

std::span<const TypeSupport> cluster_support() {
  static const std::vector<TypeSupport> kTable = {
      {"envoy.config.cluster.v3.Cluster",
       "name alt_stat_name type eds_cluster_config connect_timeout "
       "per_connection_buffer_limit_bytes lb_policy load_assignment max_requests_per_connection "
       "circuit_breakers common_http_protocol_options http_protocol_options http2_protocol_options "
       "typed_extension_protocol_options upstream_bind_config least_request_lb_config "
       "round_robin_lb_config common_lb_config transport_socket upstream_connection_options "
       "load_balancing_policy protocol_selection dns_refresh_rate dns_failure_refresh_rate "
       "respect_dns_ttl dns_jitter dns_lookup_family dns_resolvers use_tcp_for_dns_lookups "
       "dns_resolution_config typed_dns_resolver_config wait_for_warm_on_init",
       R"(
health_checks: there are no active health checks yet: every endpoint counts as its health_status says, at once
outlier_detection: no endpoint is ejected yet
upstream_http_protocol_options: without TLS there is no SNI and no certificate to check
cleanup_interval: for clusters that forget hosts, which are refused
ring_hash_lb_config: read only with lb_policy RING_HASH, which is refused
maglev_lb_config: read only with lb_policy MAGLEV, which is refused
original_dst_lb_config: read only with type ORIGINAL_DST, which is refused
metadata: nothing here reads it
close_connections_on_host_health_failure: there are no active health checks yet
ignore_health_on_host_removal: hosts go when they are removed
lrs_server: load reports go where cluster_manager.load_stats_config says
lrs_report_endpoint_metrics: load reports have no metrics of endpoints yet
track_timeout_budgets: statistics only
track_cluster_stats: statistics only
preconnect_policy: connections are opened when they are needed
)"},
      {"envoy.config.cluster.v3.Cluster.EdsClusterConfig", "eds_config service_name"},
      {"envoy.config.cluster.v3.Cluster.RefreshRate", "base_interval max_interval"},
      {"envoy.config.core.v3.DnsResolutionConfig", "resolvers dns_resolver_options"},
      {"envoy.config.core.v3.DnsResolverOptions",
       "use_tcp_for_dns_lookups no_default_search_domain"},
      {"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
       "resolvers use_resolvers_as_fallback filter_unroutable_families dns_resolver_options", R"(
udp_max_queries: a socket is closed when its questions are answered
)"},
      {"envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig", ""},
      {"envoy.config.cluster.v3.Cluster.RoundRobinLbConfig", "", R"(
slow_start_config: new endpoints get their full share at once
)"},
      {"envoy.config.cluster.v3.Cluster.LeastRequestLbConfig", "choice_count", R"(
active_request_bias: read only with different weights; the default, 1, is used
slow_start_config: new endpoints get their full share at once
)"},
      {"envoy.config.cluster.v3.Cluster.CommonLbConfig",
       "healthy_panic_threshold ignore_new_hosts_until_first_hc", R"(
zone_aware_lb_config: zone-aware routing needs a local cluster
update_merge_window: updates of one loop turn are merged
close_connections_on_host_set_change: connections to hosts that stay are kept
consistent_hashing_lb_config: balancers that hash are refused
override_host_status: no filter overrides the host
)"},
      {"envoy.type.v3.Percent", "value"},
      {"envoy.config.cluster.v3.LoadBalancingPolicy", "policies"},
      {"envoy.config.cluster.v3.LoadBalancingPolicy.Policy", "typed_extension_config"},
      {"envoy.config.core.v3.TypedExtensionConfig", "name typed_config"},
      {"envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin", "", R"(
slow_start_config: new endpoints get their full share at once
)"},
      {"envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest", "choice_count", R"(
active_request_bias: read only with different weights; the default, 1, is used
slow_start_config: new endpoints get their full share at once
)",
       "enable_full_scan"},
      {"envoy.extensions.load_balancing_policies.random.v3.Random", ""},
      {"envoy.config.cluster.v3.CircuitBreakers", "thresholds"},
      {"envoy.config.cluster.v3.CircuitBreakers.Thresholds",
       "priority max_connections max_pending_requests max_requests max_retries", R"(
retry_budget: max_retries is used
track_remaining: statistics only
max_connection_pools: there is one pool per host and worker
)"},
      {"envoy.config.cluster.v3.UpstreamConnectionOptions", "tcp_keepalive", R"(
set_local_interface_name_on_upstream_connections: for filters that read it
happy_eyeballs_config: endpoints have one address
)"},
      {"envoy.config.core.v3.TcpKeepalive", "keepalive_probes keepalive_time keepalive_interval"},
      {"envoy.config.core.v3.BindConfig", "source_address", {}, "freebind"},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
       "common_http_protocol_options explicit_http_config use_downstream_protocol_config "
       "auto_config "
       "http_filters",
       R"(
upstream_http_protocol_options: without TLS there is no SNI and no certificate to check
)"},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
       "http_protocol_options http2_protocol_options"},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
       "http_protocol_options http2_protocol_options", R"(
http3_protocol_options: downstream connections speak HTTP/1 and HTTP/2
)"},
      {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
       "http_protocol_options http2_protocol_options", R"(
http3_protocol_options: without QUIC the choice is between HTTP/2 and HTTP/1.1
)"},
      {"envoy.config.core.v3.Http2ProtocolOptions",
       "hpack_table_size max_concurrent_streams initial_stream_window_size "
       "initial_connection_window_size allow_connect allow_metadata max_outbound_frames "
       "max_outbound_control_frames max_consecutive_inbound_frames_with_empty_payload "
       "max_inbound_priority_frames_per_stream "
       "max_inbound_window_update_frames_per_data_frame_sent connection_keepalive",
       R"(
stream_error_on_invalid_http_messaging: a bad message always ends its stream alone
override_stream_error_on_invalid_http_message: a bad message always ends its stream alone
use_oghttp2_codec: there is one codec
custom_settings_parameters: no setting beside those of RFC 9113 is sent
)"},
      {"envoy.config.core.v3.KeepaliveSettings",
       "interval timeout interval_jitter connection_idle_interval"},
      {"envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec", ""},

      {"envoy.config.endpoint.v3.ClusterLoadAssignment", "cluster_name endpoints policy"},
      {"envoy.config.endpoint.v3.ClusterLoadAssignment.Policy", "overprovisioning_factor", R"(
endpoint_stale_after: endpoints stay until the control plane removes them
)"},
      {"envoy.config.endpoint.v3.LocalityLbEndpoints",
       "locality lb_endpoints load_balancing_weight priority leds_cluster_locality_config", R"(
metadata: nothing here reads it
proximity: zone-aware routing needs a local cluster
)"},
      {"envoy.config.endpoint.v3.LedsClusterLocalityConfig", "leds_config leds_collection_name"},
      {"envoy.config.core.v3.Locality", "region zone sub_zone"},
      {"envoy.config.endpoint.v3.LbEndpoint", "endpoint health_status load_balancing_weight", R"(
metadata: clusters with subsets, which read it, are refused
)"},
      {"envoy.config.endpoint.v3.Endpoint", "address hostname", R"(
health_check_config: there are no active health checks yet
additional_addresses: the first address is used
)"},
  };
  return kTable;
}

}  // namespace sluice::xds
