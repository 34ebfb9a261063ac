#include <new>

#include "dataplane/exchange.h"
#include "dataplane/worker.h"

// The exchange's connection to the endpoint: asked for, had, lost, given back.
namespace sluice::dataplane {

using base::Reason;
using base::Stamp;

namespace {

constexpr uint8_t kMaxStaleAttempts = 3;

bool is_idempotent(http::Method method) noexcept {  // RFC 9110 9.2.2
  switch (method) {
    case http::Method::kGet:
    case http::Method::kHead:
    case http::Method::kPut:
    case http::Method::kDelete:
    case http::Method::kOptions:
    case http::Method::kTrace:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Exchange::ask_for_connection() noexcept {
  ++facts_.attempts;
  waiting_for_pool_ = true;
  const uint8_t priority = match_.route->policy().priority;
  Reason refused = Reason::kInternal;
  switch (pool_) {
    case upstream::PoolKind::kHttp1:
      refused = cluster_->acquire(*host_, this, priority);
      break;
    case upstream::PoolKind::kHttp2:
      refused = cluster_->acquire_h2(*host_, this, priority);
      break;
    case upstream::PoolKind::kTcp:
      refused = cluster_->acquire_tcp(*host_, this, priority);
      break;
  }
  if (refused == Reason::kNone) return;
  waiting_for_pool_ = false;
  cluster_->cells().upstream_rq_pending_overflow.add();
  reply(refused);
}

void Exchange::on_pool_failed(Reason reason, base::Fault, int error) noexcept {
  waiting_for_pool_ = false;
  facts_.upstream_transport_failure = describe_errno(error);
  base::ClusterCells& cells = cluster_->cells();
  cells.upstream_rq_pending_failure_eject.add();
  reply(reason);
}

void Exchange::on_pool_ready(UpstreamConnection& connection) noexcept {
  up_.attach(connection, this);
  on_attached();
}

void Exchange::on_pool_ready(UpstreamH2Connection& connection) noexcept {
  waiting_for_pool_ = false;
  if (!up_.attach(connection, this, arena_)) return reply(Reason::kInternal);
  on_attached();
}

void Exchange::on_attached() noexcept {
  waiting_for_pool_ = false;
  stamps_.mark(Stamp::kPoolReady);
  if (!up_.used_before()) stamps_.set(Stamp::kConnected, stamps_.get(Stamp::kPoolReady));
  base::ClusterCells& cells = cluster_->cells();
  cells.upstream_rq_total.add();
  cells.upstream_rq_active.add();
  ++host_->counts.rq_total;
  if (!config_->access_logs.empty()) note_connection();
  if (pool_ == upstream::PoolKind::kTcp) return answer_connect();
  facts_.upstream_protocol = up_.protocol();
  const bool no_body = !has_body_ && !upgrade_asked_;
  if (!up_.send_head(&request_, no_body, &response_, request_block_, arena_)) {
    return reply(Reason::kInternal);
  }
  stamps_.mark(Stamp::kHeadSent);
  head_sent_ = true;
  end_sent_ = !has_body_;
  if (!early_body_.empty() && !upgrade_asked_) send_body(std::exchange(early_body_, {}));
  if (has_body_ && request_complete_) send_request_end();
  const bool waited = body_congested_;
  update_body_flow();
  if (waited && !body_congested_) down_.resume_body();
}

// What only a log line shows of the connection, which may be gone when it is written.
void Exchange::note_connection() noexcept {
  if (up_.connection_id() == 0) up_.set_connection_id(worker_.next_id());
  facts_.upstream_connection_id = up_.connection_id();
  if (!config_->logs_upstream_local) return;
  const base::Address& local = up_.local();
  if (!local.is_ip()) return;
  void* const room = arena_.alloc(sizeof(base::Address), alignof(base::Address));
  if (room == nullptr) return;
  facts_.upstream_local = new (room) base::Address(base::Address::ip(local.ip(), local.port()));
}

void Exchange::on_detached() noexcept {
  cluster_->cells().upstream_rq_active.sub();
  facts_.upstream_head_sent += up_.head_bytes();
  facts_.upstream_wire_sent += up_.head_bytes();
}

// ---- When things go wrong upstream.

// Safe only where the backend cannot have begun the work (RFC 9110 9.2.2): the connection had
// served before and died before the first byte of an answer, and the request may be repeated as it
// is.
bool Exchange::may_try_again(Reason reason, const base::Fault& fault,
                             bool used_before) const noexcept {
  if (!fault.replay_safe || response_began_ || has_body_ || upgrade_asked_) return false;
  if (facts_.attempts > kMaxStaleAttempts) return false;
  // The endpoint itself says that it did nothing with it (RFC 9113 8.7): any method.
  if (reason == Reason::kUpstreamRefusedStream) return true;
  return used_before && is_idempotent(request_.method);
}

void Exchange::on_upstream_broken(Reason reason, base::Fault fault, int error) noexcept {
  const bool used_before = up_.used_before();
  on_detached();
  up_.forget();
  base::ClusterCells& cells = cluster_->cells();
  facts_.upstream_transport_failure = describe_errno(error);
  if (may_try_again(reason, fault, used_before)) {
    cells.upstream_rq_retry.add();
    head_sent_ = false;
    ask_for_connection();
    return;
  }
  if (fault.kind == base::Fault::Kind::kProtocol) cells.upstream_cx_protocol_error.add();
  cells.upstream_rq_rx_reset.add();
  if (response_began_) {
    truncate(Reason::kUpstreamTruncated);
  } else {
    reply(reason);
  }
}

void Exchange::drop_upstream() noexcept {
  early_body_.clear();
  if (waiting_for_pool_) {
    waiting_for_pool_ = false;
    cluster_->forget(*host_, this, pool_);
    pending_credit_.reset();
    cluster_->cells().upstream_rq_cancelled.add();
  }
  if (up_.attached()) {
    on_detached();
    if (up_.end(end_sent_)) cluster_->cells().upstream_rq_tx_reset.add();
  }
  if (host_ != nullptr) {
    UpstreamHost* host = std::exchange(host_, nullptr);
    // The address may go with the host: the log line needs it.
    if (host->removed) {
      kept_address_ = host->address;
      facts_.upstream_remote = &kept_address_;
      facts_.upstream_hostname = arena_.dup(host->hostname);
    }
    cluster_->unhold(*host);
  }
  request_credit_.reset();
}

}  // namespace sluice::dataplane
