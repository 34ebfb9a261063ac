#include "xds/decode_tcp.h"

namespace sluice::xds {

absl::Status decode_tcp(const Context& context, const Path& at, const tcp_proxy::TcpProxy& in,
                        dataplane::TcpValue* out) {
  out->stat_prefix = in.stat_prefix();
  if (in.has_weighted_clusters()) {
    for (const auto& cluster : in.weighted_clusters().clusters()) {
      out->clusters.push_back({normal_name(cluster.name()), cluster.weight()});
    }
  } else if (in.cluster().empty()) {
    return context.error(Path(at, "cluster"), "is required");
  } else {
    out->clusters.push_back({normal_name(in.cluster()), 1});
  }
  if (in.has_idle_timeout()) {
    absl::Status s =
        decode_duration(context, Path(at, "idle_timeout"), in.idle_timeout(), &out->idle_timeout);
    if (!s.ok()) return s;
  }
  if (in.has_max_downstream_connection_duration()) {
    absl::Status s =
        decode_duration(context, Path(at, "max_downstream_connection_duration"),
                        in.max_downstream_connection_duration(), &out->max_connection_duration);
    if (!s.ok()) return s;
  }
  if (in.has_max_connect_attempts()) {
    out->max_connect_attempts = in.max_connect_attempts().value();
  }
  return decode_access_logs(context, at, in.access_log(), &out->access_logs);
}

}  // namespace sluice::xds
