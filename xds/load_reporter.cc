#include "xds/load_reporter.h"

#include <algorithm>
#include <random>
#include <tuple>

#include "base/text.h"
#include "envoy/service/load_stats/v3/lrs.pb.h"

namespace sluice::xds {
namespace {

constexpr std::string_view kMethod =
    "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

google::protobuf::Duration duration_of(int64_t ns) {
  google::protobuf::Duration out;
  out.set_seconds(ns / base::kNsPerSec);
  out.set_nanos(static_cast<int32_t>(ns % base::kNsPerSec));
  return out;
}

int64_t ns_of(const google::protobuf::Duration& in) {
  constexpr int64_t kMostSeconds = 86'400 * 365;
  return std::clamp<int64_t>(in.seconds(), 0, kMostSeconds) * base::kNsPerSec +
         std::clamp<int32_t>(in.nanos(), 0, 999'999'999);
}

void set_address(const base::Address& in, envoy::config::core::v3::Address* out) {
  if (in.is_unix()) {
    out->mutable_pipe()->set_path(std::string(in.path()));
    return;
  }
  out->mutable_socket_address()->set_address(in.ip().to_string());
  out->mutable_socket_address()->set_port_value(in.port());
}

uint64_t system_random() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// A sum that fell began again: its endpoint went and came back.
uint64_t since(uint64_t now, uint64_t before) { return now < before ? now : now - before; }

}  // namespace

LoadReporter::LoadReporter(Options options, std::vector<Transport*> transports, Executor& executor)
    : options_(std::move(options)),
      transports_(std::move(transports)),
      executor_(executor),
      backoff_(options_.backoff_base_ns, options_.backoff_max_ns,
               options_.random ? options_.random : system_random),
      self_(std::make_shared<LoadReporter*>(this)) {}

LoadReporter::~LoadReporter() {
  *self_ = nullptr;
  if (retry_timer_ != 0) executor_.cancel(retry_timer_);
  if (report_timer_ != 0) executor_.cancel(report_timer_);
}

// ---- The stream.

void LoadReporter::start() { open(); }

void LoadReporter::open() {
  retry_timer_ = 0;
  got_message_ = false;
  interval_ns_ = 0;
  stream_ = transports_[server_]->open(kMethod, *this);
  Request hello;
  if (!hello.mutable_node()->ParseFromString(options_.node)) hello.clear_node();
  hello.mutable_node()->add_client_features("envoy.lrs.supports_send_all_clusters");
  sending_ = true;
  stream_->send(hello.SerializeAsString());
  stream_->read();
}

void LoadReporter::on_sent() { sending_ = false; }

void LoadReporter::on_trouble(const absl::Status& status) {
  if (options_.log) options_.log(Severity::kWarning, base::message_of(status));
}

void LoadReporter::on_closed(const absl::Status& status) {
  if (stream_ == nullptr) return;  // given up before
  lost(status.ok() ? std::string_view("ended by the server") : base::message_of(status));
}

void LoadReporter::lost(std::string_view why) {
  ++stats_.errors;
  sending_ = false;
  if (report_timer_ != 0) executor_.cancel(std::exchange(report_timer_, 0));
  if (options_.log) options_.log(Severity::kInfo, base::cat("load reporting: stream lost: ", why));
  if (!got_message_) server_ = (server_ + 1) % transports_.size();
  retry_timer_ = executor_.call_at(executor_.now() + backoff_.next(), [this] {
    ++stats_.retries;
    open();
  });
  // Not at once: the stream itself may be calling.
  executor_.post([self = self_, stream = std::shared_ptr<Stream>(std::move(stream_))] {});
}

void LoadReporter::on_message(std::string bytes) {
  Response response;
  if (!response.ParseFromString(bytes)) return lost("an answer that cannot be read");
  got_message_ = true;
  backoff_.reset();
  ++stats_.requests;
  begin_period(response);
  stream_->read();
}

// ---- Periods.

void LoadReporter::begin_period(const Response& response) {
  all_clusters_ = response.send_all_clusters();
  by_endpoint_ = response.report_endpoint_granularity();
  wanted_ = {response.clusters().begin(), response.clusters().end()};
  std::erase_if(reported_, [this](const auto& entry) { return !wants(entry.first); });
  interval_ns_ = ns_of(response.load_reporting_interval());
  if (interval_ns_ < kShortestIntervalNs) {
    if (options_.log) {
      options_.log(Severity::kWarning,
                   base::cat("load reporting: load_reporting_interval: too short: ", interval_ns_,
                             " ns; reporting every ", kShortestIntervalNs / base::kNsPerMs, " ms"));
    }
    interval_ns_ = kShortestIntervalNs;
  }
  collect(false);
  arm();
}

bool LoadReporter::wants(const std::string& cluster) const {
  return all_clusters_ || wanted_.contains(cluster);
}

void LoadReporter::arm() {
  if (report_timer_ != 0) executor_.cancel(report_timer_);
  report_timer_ = executor_.call_at(executor_.now() + interval_ns_, [this] {
    report_timer_ = 0;
    collect(true);
    arm();
  });
}

// Without `report`: what was counted before the server asked is nobody's.
void LoadReporter::collect(bool report) {
  if (collecting_) {
    period_waits_ = period_waits_ || !report;
    return;
  }
  collecting_ = true;
  options_.collect([self = self_, report](std::vector<ClusterLoad> clusters) {
    LoadReporter* reporter = *self;
    if (reporter == nullptr) return;
    reporter->collecting_ = false;
    reporter->take(std::move(clusters), report);
    if (std::exchange(reporter->period_waits_, false)) reporter->collect(false);
  });
}

void LoadReporter::take(std::vector<ClusterLoad> clusters, bool report) {
  if (report && (stream_ == nullptr || sending_ || interval_ns_ == 0)) return;
  Request out;
  std::map<std::string, Reported> next;
  for (const ClusterLoad& cluster : clusters) {
    if (!wants(cluster.name)) continue;
    const auto known = reported_.find(cluster.name);
    if (known != reported_.end() && !report) {
      next[cluster.name] = std::move(known->second);
      continue;
    }
    Reported now{executor_.now(), cluster.dropped, {}};
    for (const EndpointLoad& e : cluster.endpoints) {
      now.endpoints[e.address.to_string()] = {e.issued, e.succeeded, e.failed};
    }
    if (known != reported_.end()) {
      add_cluster(cluster, known->second, &out);
    } else if (report) {  // it was not there when the last report was made
      add_cluster(cluster, {executor_.now() - interval_ns_, 0, {}}, &out);
    }
    next[cluster.name] = std::move(now);
  }
  reported_ = std::move(next);
  if (!report) return;
  ++stats_.responses;
  sending_ = true;
  stream_->send(out.SerializeAsString());
}

void LoadReporter::add_cluster(const ClusterLoad& cluster, const Reported& before,
                               Request* out) const {
  auto& to = *out->add_cluster_stats();
  to.set_cluster_name(cluster.name);
  to.set_cluster_service_name(cluster.service_name);
  to.set_total_dropped_requests(since(cluster.dropped, before.dropped));
  *to.mutable_load_report_interval() = duration_of(executor_.now() - before.since);
  using Place = std::tuple<uint32_t, std::string_view, std::string_view, std::string_view>;
  std::map<Place, envoy::config::endpoint::v3::UpstreamLocalityStats> places;
  for (const EndpointLoad& e : cluster.endpoints) {
    const auto known = before.endpoints.find(e.address.to_string());
    const Sums was = known == before.endpoints.end() ? Sums() : known->second;
    const uint64_t issued = since(e.issued, was.issued);
    const uint64_t succeeded = since(e.succeeded, was.succeeded);
    const uint64_t failed = since(e.failed, was.failed);
    if (issued == 0 && succeeded == 0 && failed == 0 && e.active == 0) continue;
    auto& place = places[{e.priority, e.region, e.zone, e.sub_zone}];
    place.mutable_locality()->set_region(e.region);
    place.mutable_locality()->set_zone(e.zone);
    place.mutable_locality()->set_sub_zone(e.sub_zone);
    place.set_priority(e.priority);
    place.set_total_issued_requests(place.total_issued_requests() + issued);
    place.set_total_successful_requests(place.total_successful_requests() + succeeded);
    place.set_total_error_requests(place.total_error_requests() + failed);
    place.set_total_requests_in_progress(place.total_requests_in_progress() + e.active);
    if (!by_endpoint_) continue;
    auto& endpoint = *place.add_upstream_endpoint_stats();
    set_address(e.address, endpoint.mutable_address());
    endpoint.set_total_issued_requests(issued);
    endpoint.set_total_successful_requests(succeeded);
    endpoint.set_total_error_requests(failed);
    endpoint.set_total_requests_in_progress(e.active);
  }
  for (auto& [key, place] : places) *to.add_upstream_locality_stats() = std::move(place);
}

}  // namespace sluice::xds
