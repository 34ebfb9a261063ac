#include <algorithm>

#include "dataplane/exchange.h"
#include "dataplane/worker.h"

// How long an exchange may take, and what happens when it takes longer. The session has the timer.
namespace sluice::dataplane {

using base::Reason;

void Exchange::arm_route_timeout() noexcept {
  if (timeout_ns_ == 0 || route_deadline_ != 0 || tunnel_) return;
  route_deadline_ = worker_.loop().now() + timeout_ns_;
  down_.deadline_changed();
}

base::MonoNs Exchange::deadline() const noexcept {
  base::MonoNs at = net::TimerWheel::kNever;
  if (route_deadline_ != 0 && !tunnel_) at = route_deadline_;
  if (idle_timeout_ns_ != 0) at = std::min(at, active_at_ + idle_timeout_ns_);
  if (max_duration_ns_ != 0) at = std::min(at, started_at_ + max_duration_ns_);
  if (config_->request_timeout_ns != 0 && !request_complete_) {
    at = std::min(at, started_at_ + config_->request_timeout_ns);
  }
  return at;
}

void Exchange::on_deadline(base::MonoNs now) noexcept {
  Reason reason = Reason::kNone;
  auto& cells = session().cells();
  if (route_deadline_ != 0 && !tunnel_ && now >= route_deadline_) {
    reason = Reason::kUpstreamTimeout;
    if (cluster_ != nullptr) cluster_->cells().upstream_rq_timeout.add();
    if (host_ != nullptr) ++host_->counts.rq_timeout;
  } else if (max_duration_ns_ != 0 && now >= started_at_ + max_duration_ns_) {
    reason = Reason::kMaxStreamDuration;
    cells.downstream_rq_max_duration_reached.add();
  } else if (config_->request_timeout_ns != 0 && !request_complete_ &&
             now >= started_at_ + config_->request_timeout_ns) {
    reason = Reason::kRequestTimeout;
    cells.downstream_rq_timeout.add();
  } else if (idle_timeout_ns_ != 0 && now >= active_at_ + idle_timeout_ns_) {
    reason = Reason::kStreamIdleTimeout;
    cells.downstream_rq_idle_timeout.add();
  } else {
    return;
  }
  if (response_began_) {
    abort(reason);
  } else if (request_complete_) {
    reply(reason);
  } else {  // Envoy: it was the client that let us wait
    reply(reason, 408, base::text_of(reason).body);
  }
}

}  // namespace sluice::dataplane
