#pragma once

#include <cstdint>

#include "base/credit.h"
#include "base/stats.h"

// The groups of statistics, each a list in the order of names: C counter, G gauge, H histogram.
// Names and meanings are Envoy's (its docs: cluster manager, HTTP connection manager, listener,
// access log statistics). Times are kept in nanoseconds; admin renders milliseconds where the name
// says so. S is a counter per status, A another name for what stands in the list already: no
// request is an internal one here, so all that Envoy counts twice is external.

namespace sluice::base {

// Prefix "cluster.<name>.", written by workers.
// clang-format off
#define SLUICE_CLUSTER_STATS(C, G, H, S, A)                                  \
  C(bind_errors, "bind_errors")                                        \
  A(kStatuses, upstream_rq_by_status, "external.upstream_rq_")         \
  A(kCounter, upstream_rq_1xx, "external.upstream_rq_1xx")             \
  A(kCounter, upstream_rq_2xx, "external.upstream_rq_2xx")             \
  A(kCounter, upstream_rq_3xx, "external.upstream_rq_3xx")             \
  A(kCounter, upstream_rq_4xx, "external.upstream_rq_4xx")             \
  A(kCounter, upstream_rq_5xx, "external.upstream_rq_5xx")             \
  A(kCounter, upstream_rq_completed, "external.upstream_rq_completed") \
  A(kHistogram, upstream_rq_time, "external.upstream_rq_time")         \
  C(lb_healthy_panic, "lb_healthy_panic")                              \
  C(retry_or_shadow_abandoned, "retry_or_shadow_abandoned")            \
  G(upstream_cx_active, "upstream_cx_active")                          \
  C(upstream_cx_close_notify, "upstream_cx_close_notify")              \
  C(upstream_cx_connect_attempts_exceeded, "upstream_cx_connect_attempts_exceeded") \
  C(upstream_cx_connect_fail, "upstream_cx_connect_fail")              \
  H(upstream_cx_connect_ms, "upstream_cx_connect_ms")                  \
  C(upstream_cx_connect_timeout, "upstream_cx_connect_timeout")        \
  C(upstream_cx_destroy, "upstream_cx_destroy")                        \
  C(upstream_cx_destroy_local, "upstream_cx_destroy_local")            \
  C(upstream_cx_destroy_local_with_active_rq, "upstream_cx_destroy_local_with_active_rq")   \
  C(upstream_cx_destroy_remote, "upstream_cx_destroy_remote")          \
  C(upstream_cx_destroy_remote_with_active_rq, "upstream_cx_destroy_remote_with_active_rq") \
  C(upstream_cx_destroy_with_active_rq, "upstream_cx_destroy_with_active_rq")               \
  C(upstream_cx_http1_total, "upstream_cx_http1_total")                \
  C(upstream_cx_http2_total, "upstream_cx_http2_total")                \
  C(upstream_cx_idle_timeout, "upstream_cx_idle_timeout")              \
  H(upstream_cx_length_ms, "upstream_cx_length_ms")                    \
  C(upstream_cx_max_duration_reached, "upstream_cx_max_duration_reached") \
  C(upstream_cx_max_requests, "upstream_cx_max_requests")              \
  C(upstream_cx_none_healthy, "upstream_cx_none_healthy")              \
  C(upstream_cx_overflow, "upstream_cx_overflow")                      \
  C(upstream_cx_pool_overflow, "upstream_cx_pool_overflow")            \
  C(upstream_cx_protocol_error, "upstream_cx_protocol_error")          \
  G(upstream_cx_rx_bytes_buffered, "upstream_cx_rx_bytes_buffered")    \
  C(upstream_cx_rx_bytes_total, "upstream_cx_rx_bytes_total")          \
  C(upstream_cx_total, "upstream_cx_total")                            \
  G(upstream_cx_tx_bytes_buffered, "upstream_cx_tx_bytes_buffered")    \
  C(upstream_cx_tx_bytes_total, "upstream_cx_tx_bytes_total")          \
  C(upstream_flow_control_paused_reading_total, "upstream_flow_control_paused_reading_total")   \
  C(upstream_flow_control_resumed_reading_total, "upstream_flow_control_resumed_reading_total") \
  S(upstream_rq_by_status, "upstream_rq_")                             \
  C(upstream_rq_1xx, "upstream_rq_1xx")                                \
  C(upstream_rq_2xx, "upstream_rq_2xx")                                \
  C(upstream_rq_3xx, "upstream_rq_3xx")                                \
  C(upstream_rq_4xx, "upstream_rq_4xx")                                \
  C(upstream_rq_5xx, "upstream_rq_5xx")                                \
  G(upstream_rq_active, "upstream_rq_active")                          \
  C(upstream_rq_cancelled, "upstream_rq_cancelled")                    \
  C(upstream_rq_completed, "upstream_rq_completed")                    \
  C(upstream_rq_max_duration_reached, "upstream_rq_max_duration_reached") \
  G(upstream_rq_pending_active, "upstream_rq_pending_active")          \
  C(upstream_rq_pending_failure_eject, "upstream_rq_pending_failure_eject") \
  C(upstream_rq_pending_overflow, "upstream_rq_pending_overflow")      \
  C(upstream_rq_pending_total, "upstream_rq_pending_total")            \
  C(upstream_rq_per_try_timeout, "upstream_rq_per_try_timeout")        \
  C(upstream_rq_retry, "upstream_rq_retry")                            \
  C(upstream_rq_retry_limit_exceeded, "upstream_rq_retry_limit_exceeded") \
  C(upstream_rq_retry_overflow, "upstream_rq_retry_overflow")          \
  C(upstream_rq_retry_success, "upstream_rq_retry_success")            \
  C(upstream_rq_rx_reset, "upstream_rq_rx_reset")                      \
  H(upstream_rq_time, "upstream_rq_time")                              \
  C(upstream_rq_timeout, "upstream_rq_timeout")                        \
  C(upstream_rq_total, "upstream_rq_total")                            \
  C(upstream_rq_tx_reset, "upstream_rq_tx_reset")                      \
  C(upstream_rq_unknown, "upstream_rq_unknown")

// Beside those, in the same scope, written by main.
#define SLUICE_MEMBERSHIP_STATS(C, G, H, ...)                               \
  C(membership_change, "membership_change")                            \
  G(membership_degraded, "membership_degraded")                        \
  G(membership_excluded, "membership_excluded")                        \
  G(membership_healthy, "membership_healthy")                          \
  G(membership_total, "membership_total")                              \
  C(update_attempt, "update_attempt")                                  \
  C(update_empty, "update_empty")                                      \
  C(update_failure, "update_failure")                                  \
  C(update_no_rebuild, "update_no_rebuild")                            \
  C(update_success, "update_success")

// Prefix "http.<stat_prefix>.".
#define SLUICE_HTTP_STATS(C, G, H, ...)                                     \
  G(downstream_cx_active, "downstream_cx_active")                      \
  C(downstream_cx_delayed_close_timeout, "downstream_cx_delayed_close_timeout") \
  C(downstream_cx_destroy, "downstream_cx_destroy")                    \
  C(downstream_cx_destroy_active_rq, "downstream_cx_destroy_active_rq") \
  C(downstream_cx_destroy_local, "downstream_cx_destroy_local")        \
  C(downstream_cx_destroy_local_active_rq, "downstream_cx_destroy_local_active_rq")   \
  C(downstream_cx_destroy_remote, "downstream_cx_destroy_remote")      \
  C(downstream_cx_destroy_remote_active_rq, "downstream_cx_destroy_remote_active_rq") \
  C(downstream_cx_drain_close, "downstream_cx_drain_close")            \
  G(downstream_cx_http1_active, "downstream_cx_http1_active")          \
  C(downstream_cx_http1_total, "downstream_cx_http1_total")            \
  G(downstream_cx_http2_active, "downstream_cx_http2_active")          \
  C(downstream_cx_http2_total, "downstream_cx_http2_total")            \
  C(downstream_cx_idle_timeout, "downstream_cx_idle_timeout")          \
  H(downstream_cx_length_ms, "downstream_cx_length_ms")                \
  C(downstream_cx_max_duration_reached, "downstream_cx_max_duration_reached") \
  C(downstream_cx_max_requests_reached, "downstream_cx_max_requests_reached") \
  C(downstream_cx_overload_disable_keepalive, "downstream_cx_overload_disable_keepalive") \
  C(downstream_cx_protocol_error, "downstream_cx_protocol_error")      \
  G(downstream_cx_rx_bytes_buffered, "downstream_cx_rx_bytes_buffered") \
  C(downstream_cx_rx_bytes_total, "downstream_cx_rx_bytes_total")      \
  G(downstream_cx_ssl_active, "downstream_cx_ssl_active")              \
  C(downstream_cx_ssl_total, "downstream_cx_ssl_total")                \
  C(downstream_cx_total, "downstream_cx_total")                        \
  G(downstream_cx_tx_bytes_buffered, "downstream_cx_tx_bytes_buffered") \
  C(downstream_cx_tx_bytes_total, "downstream_cx_tx_bytes_total")      \
  G(downstream_cx_upgrades_active, "downstream_cx_upgrades_active")    \
  C(downstream_cx_upgrades_total, "downstream_cx_upgrades_total")      \
  C(downstream_flow_control_paused_reading_total, "downstream_flow_control_paused_reading_total")   \
  C(downstream_flow_control_resumed_reading_total, "downstream_flow_control_resumed_reading_total") \
  C(downstream_rq_1xx, "downstream_rq_1xx")                            \
  C(downstream_rq_2xx, "downstream_rq_2xx")                            \
  C(downstream_rq_3xx, "downstream_rq_3xx")                            \
  C(downstream_rq_4xx, "downstream_rq_4xx")                            \
  C(downstream_rq_5xx, "downstream_rq_5xx")                            \
  G(downstream_rq_active, "downstream_rq_active")                      \
  C(downstream_rq_completed, "downstream_rq_completed")                \
  C(downstream_rq_failed_path_normalization, "downstream_rq_failed_path_normalization") \
  C(downstream_rq_header_timeout, "downstream_rq_header_timeout")      \
  C(downstream_rq_http1_total, "downstream_rq_http1_total")            \
  C(downstream_rq_http2_total, "downstream_rq_http2_total")            \
  C(downstream_rq_idle_timeout, "downstream_rq_idle_timeout")          \
  C(downstream_rq_max_duration_reached, "downstream_rq_max_duration_reached") \
  C(downstream_rq_non_relative_path, "downstream_rq_non_relative_path") \
  C(downstream_rq_overload_close, "downstream_rq_overload_close")      \
  C(downstream_rq_redirected_with_normalized_path, "downstream_rq_redirected_with_normalized_path") \
  C(downstream_rq_response_before_rq_complete, "downstream_rq_response_before_rq_complete") \
  C(downstream_rq_rx_reset, "downstream_rq_rx_reset")                  \
  H(downstream_rq_time, "downstream_rq_time")                          \
  C(downstream_rq_timeout, "downstream_rq_timeout")                    \
  C(downstream_rq_too_large, "downstream_rq_too_large")                \
  C(downstream_rq_total, "downstream_rq_total")                        \
  C(downstream_rq_tx_reset, "downstream_rq_tx_reset")                  \
  C(downstream_rq_ws_on_non_ws_route, "downstream_rq_ws_on_non_ws_route") \
  C(no_cluster, "no_cluster")                                          \
  C(no_route, "no_route")                                              \
  C(rq_direct_response, "rq_direct_response")                          \
  C(rq_redirect, "rq_redirect")                                        \
  C(rq_reset_after_downstream_response_started, "rq_reset_after_downstream_response_started") \
  C(rq_total, "rq_total")

// Prefix "tcp.<stat_prefix>.".
#define SLUICE_TCP_STATS(C, G, H, ...)                                      \
  C(downstream_cx_no_route, "downstream_cx_no_route")                  \
  G(downstream_cx_rx_bytes_buffered, "downstream_cx_rx_bytes_buffered") \
  C(downstream_cx_rx_bytes_total, "downstream_cx_rx_bytes_total")      \
  C(downstream_cx_total, "downstream_cx_total")                        \
  G(downstream_cx_tx_bytes_buffered, "downstream_cx_tx_bytes_buffered") \
  C(downstream_cx_tx_bytes_total, "downstream_cx_tx_bytes_total")      \
  C(downstream_flow_control_paused_reading_total, "downstream_flow_control_paused_reading_total")   \
  C(downstream_flow_control_resumed_reading_total, "downstream_flow_control_resumed_reading_total") \
  C(early_data_received_count_total, "early_data_received_count_total") \
  C(idle_timeout, "idle_timeout")                                      \
  C(max_downstream_connection_duration, "max_downstream_connection_duration") \
  G(upstream_flush_active, "upstream_flush_active")                    \
  C(upstream_flush_total, "upstream_flush_total")

// Prefix "listener.<address>.".
#define SLUICE_LISTENER_STATS(C, G, H, ...)                                 \
  G(downstream_cx_active, "downstream_cx_active")                      \
  C(downstream_cx_destroy, "downstream_cx_destroy")                    \
  H(downstream_cx_length_ms, "downstream_cx_length_ms")                \
  C(downstream_cx_overflow, "downstream_cx_overflow")                  \
  C(downstream_cx_overload_reject, "downstream_cx_overload_reject")    \
  C(downstream_cx_total, "downstream_cx_total")                        \
  C(downstream_cx_transport_socket_connect_timeout, "downstream_cx_transport_socket_connect_timeout") \
  C(downstream_global_cx_overflow, "downstream_global_cx_overflow")    \
  G(downstream_pre_cx_active, "downstream_pre_cx_active")              \
  C(downstream_pre_cx_timeout, "downstream_pre_cx_timeout")            \
  C(network_extension_config_missing, "network_extension_config_missing") \
  C(no_filter_chain_match, "no_filter_chain_match")

// Prefix "listener.<address>.worker_<n>.": where a listener's connections are.
#define SLUICE_LISTENER_WORKER_STATS(C, G, H, ...)                      \
  G(downstream_cx_active, "downstream_cx_active")                      \
  C(downstream_cx_total, "downstream_cx_total")

// Prefix "listener.<address>.http.<stat_prefix>.".
#define SLUICE_LISTENER_HTTP_STATS(C, G, H, ...)                            \
  C(downstream_rq_1xx, "downstream_rq_1xx")                            \
  C(downstream_rq_2xx, "downstream_rq_2xx")                            \
  C(downstream_rq_3xx, "downstream_rq_3xx")                            \
  C(downstream_rq_4xx, "downstream_rq_4xx")                            \
  C(downstream_rq_5xx, "downstream_rq_5xx")                            \
  C(downstream_rq_completed, "downstream_rq_completed")

// Prefix "filesystem.": the access log's workers and flusher.
#define SLUICE_FILESYSTEM_STATS(C, G, H, ...)                               \
  C(flushed_by_timer, "flushed_by_timer")                              \
  C(reopen_failed, "reopen_failed")                                    \
  C(write_buffered, "write_buffered")                                  \
  C(write_completed, "write_completed")                                \
  C(write_dropped, "write_dropped")                                    \
  C(write_failed, "write_failed")                                      \
  G(write_total_buffered, "write_total_buffered")

// Prefix "dns.cares.", written by main.
#define SLUICE_RESOLVER_STATS(C, G, H, ...)                                 \
  C(get_addr_failure, "get_addr_failure")                              \
  C(not_found, "not_found")                                            \
  G(pending_resolutions, "pending_resolutions")                        \
  C(resolve_total, "resolve_total")                                    \
  C(timeouts, "timeouts")

// Prefix "sluice.worker.": what a worker does besides requests.
#define SLUICE_TURN_STATS(C, G, H, ...)                                     \
  C(accept_failed, "accept_failed")                                    \
  C(connections_handed_over, "connections_handed_over")                \
  C(exchanges_handed_over, "exchanges_handed_over")                    \
  C(header_edits_refused, "header_edits_refused")                      \
  C(internal_errors, "internal_errors")                                \
  H(table_adoption, "table_adoption")                                  \
  C(tables_adopted, "tables_adopted")

// Prefix "http2.": the codec of every connection, either side. Names are Envoy's; it has none for
// continuation_flood, too_many_resets and unknown_frames_flood.
#define SLUICE_H2_STATS(C, G, H, ...)                                       \
  C(continuation_flood, "continuation_flood")                          \
  C(dropped_headers_with_underscores, "dropped_headers_with_underscores") \
  C(goaway_sent, "goaway_sent")                                        \
  C(header_overflow, "header_overflow")                                \
  C(headers_cb_no_stream, "headers_cb_no_stream")                      \
  C(inbound_empty_frames_flood, "inbound_empty_frames_flood")          \
  C(inbound_priority_frames_flood, "inbound_priority_frames_flood")    \
  C(inbound_window_update_frames_flood, "inbound_window_update_frames_flood") \
  C(keepalive_timeout, "keepalive_timeout")                            \
  C(metadata_empty_frames, "metadata_empty_frames")                    \
  C(outbound_control_flood, "outbound_control_flood")                  \
  G(outbound_control_frames_active, "outbound_control_frames_active")  \
  C(outbound_flood, "outbound_flood")                                  \
  G(outbound_frames_active, "outbound_frames_active")                  \
  G(pending_send_bytes, "pending_send_bytes")                          \
  C(requests_rejected_with_underscores_in_headers, "requests_rejected_with_underscores_in_headers") \
  C(rx_messaging_error, "rx_messaging_error")                          \
  C(rx_reset, "rx_reset")                                              \
  C(stream_refused_errors, "stream_refused_errors")                    \
  G(streams_active, "streams_active")                                  \
  C(too_many_resets, "too_many_resets")                                \
  C(trailers, "trailers")                                              \
  C(tx_flush_timeout, "tx_flush_timeout")                              \
  C(tx_reset, "tx_reset")                                              \
  C(unknown_frames_flood, "unknown_frames_flood")
// clang-format on

SLUICE_STAT_GROUP(ClusterCells, SLUICE_CLUSTER_STATS);
// Main's cells of a cluster. Its circuit breakers are here as well: their gauges
// (circuit_breakers.default.cx_open) are reckoned when somebody asks.
struct MembershipCells {
  SLUICE_MEMBERSHIP_STATS(SLUICE_STAT_MEMBER_C, SLUICE_STAT_MEMBER_G, SLUICE_STAT_MEMBER_H,
                          SLUICE_STAT_MEMBER_S, SLUICE_STAT_MEMBER_A)
  // Of the default priority: connections, pending requests, requests, retries; then of the high.
  CreditPools breakers;
  static const StatGroup kGroup;
};
SLUICE_STAT_GROUP(HttpCells, SLUICE_HTTP_STATS);
SLUICE_STAT_GROUP(TcpCells, SLUICE_TCP_STATS);
SLUICE_STAT_GROUP(ListenerCells, SLUICE_LISTENER_STATS);
SLUICE_STAT_GROUP(ListenerHttpCells, SLUICE_LISTENER_HTTP_STATS);
SLUICE_STAT_GROUP(ListenerWorkerCells, SLUICE_LISTENER_WORKER_STATS);
SLUICE_STAT_GROUP(FilesystemCells, SLUICE_FILESYSTEM_STATS);
SLUICE_STAT_GROUP(ResolverCells, SLUICE_RESOLVER_STATS);
SLUICE_STAT_GROUP(TurnCells, SLUICE_TURN_STATS);
SLUICE_STAT_GROUP(H2Cells, SLUICE_H2_STATS);

// The cell of a status' class, of five neighbours that begin with `first` (..._1xx); null for a
// status outside 100 to 599.
inline Cell* class_cell(Cell& first, uint16_t status) noexcept {
  const unsigned nth = status / 100u;
  return nth < 1 || nth > 5 ? nullptr : &first + (nth - 1);
}

// Of the connection manager, and of it on one listener.
inline void count_downstream(HttpCells& all, ListenerHttpCells& here, uint16_t status) noexcept {
  const auto count = [status](auto& cells) {
    cells.downstream_rq_completed.add();
    if (Cell* cell = class_cell(cells.downstream_rq_1xx, status)) cell->add();
  };
  count(all);
  count(here);
}
// A connection to an endpoint ended; `cut`: requests were under way on it.
inline void count_end(ClusterCells& cells, bool by_peer, bool cut) noexcept {
  cells.upstream_cx_destroy.add();
  (by_peer ? cells.upstream_cx_destroy_remote : cells.upstream_cx_destroy_local).add();
  if (!cut) return;
  cells.upstream_cx_destroy_with_active_rq.add();
  (by_peer ? cells.upstream_cx_destroy_remote_with_active_rq
           : cells.upstream_cx_destroy_local_with_active_rq)
      .add();
}
// The same of a client's.
inline void count_end(HttpCells& cells, bool by_peer, bool cut) noexcept {
  cells.downstream_cx_destroy.add();
  (by_peer ? cells.downstream_cx_destroy_remote : cells.downstream_cx_destroy_local).add();
  if (!cut) return;
  cells.downstream_cx_destroy_active_rq.add();
  (by_peer ? cells.downstream_cx_destroy_remote_active_rq
           : cells.downstream_cx_destroy_local_active_rq)
      .add();
}
inline void count_upstream(ClusterCells& cells, uint16_t status) noexcept {
  cells.upstream_rq_completed.add();
  if (Cell* cell = class_cell(cells.upstream_rq_1xx, status)) {
    cell->add();
    cells.upstream_rq_by_status.add(status);
  } else {
    cells.upstream_rq_unknown.add();
  }
}

}  // namespace sluice::base
