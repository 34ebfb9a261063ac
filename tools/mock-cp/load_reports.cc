#include "tools/mock-cp/load_reports.h"

#include "base/text.h"
#include "envoy/service/load_stats/v3/lrs.pb.h"

namespace sluice::mock_cp {
namespace {

using envoy::service::load_stats::v3::LoadStatsRequest;
using envoy::service::load_stats::v3::LoadStatsResponse;

template <typename Stats>
void add(const Stats& in, LoadReports::Sums* out) {
  out->issued += in.total_issued_requests();
  out->successful += in.total_successful_requests();
  out->error += in.total_error_requests();
  out->in_progress = in.total_requests_in_progress();
}

}  // namespace

void LoadReports::set_interval_ms(uint64_t ms) {
  const std::lock_guard lock(mutex_);
  interval_ms_ = ms;
}

bool LoadReports::serves() const {
  const std::lock_guard lock(mutex_);
  return interval_ms_ != 0;
}

std::string LoadReports::question() const {
  const std::lock_guard lock(mutex_);
  LoadStatsResponse out;
  out.set_send_all_clusters(true);
  out.set_report_endpoint_granularity(true);
  out.mutable_load_reporting_interval()->set_seconds(static_cast<int64_t>(interval_ms_ / 1000));
  out.mutable_load_reporting_interval()->set_nanos(static_cast<int32_t>(interval_ms_ % 1000) *
                                                   1'000'000);
  return out.SerializeAsString();
}

bool LoadReports::take(std::string_view bytes, std::string* line) {
  LoadStatsRequest in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  const std::lock_guard lock(mutex_);
  if (!in.has_node()) ++reports_;
  for (const auto& stats : in.cluster_stats()) {
    Cluster& cluster = clusters_[stats.cluster_name()];
    ++cluster.reports;
    cluster.dropped += stats.total_dropped_requests();
    Sums all;
    for (const auto& place : stats.upstream_locality_stats()) {
      const auto& l = place.locality();
      add(place, &cluster.localities[base::cat(l.region(), "/", l.zone(), "/", l.sub_zone())]);
      add(place, &all);
      for (const auto& one : place.upstream_endpoint_stats()) {
        const auto& at = one.address().socket_address();
        add(one, &cluster.endpoints[base::cat(at.address(), ":", at.port_value())]);
      }
    }
    if (all.issued == 0 && stats.total_dropped_requests() == 0) continue;
    base::cat_to(*line, line->empty() ? "load of " : ", ", stats.cluster_name(), ": ", all.issued,
                 " issued, ", all.successful, " successful, ", all.error, " errors, ",
                 stats.total_dropped_requests(), " dropped");
  }
  return true;
}

uint64_t LoadReports::reports() const {
  const std::lock_guard lock(mutex_);
  return reports_;
}

std::map<std::string, LoadReports::Cluster> LoadReports::clusters() const {
  const std::lock_guard lock(mutex_);
  return clusters_;
}

void LoadReports::clear() {
  const std::lock_guard lock(mutex_);
  reports_ = 0;
  clusters_.clear();
}

}  // namespace sluice::mock_cp
