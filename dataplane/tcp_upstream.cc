#include "dataplane/tcp_upstream.h"

#include <utility>

#include "dataplane/worker.h"

namespace sluice::dataplane {

using base::Reason;

Reason TcpUpstream::connect(const TcpConfig& config) noexcept {
  // Held until the next is found: a host that is not listed any more goes with its last hold.
  UpstreamCluster* const old_cluster = std::exchange(cluster_, nullptr);
  UpstreamHost* const old_host = std::exchange(host_, nullptr);
  const Reason refused = choose(config, old_host);
  if (old_host != nullptr) old_cluster->unhold(*old_host);
  if (old_cluster != nullptr) old_cluster->drop_user();
  return refused == Reason::kNone ? open() : refused;
}

Reason TcpUpstream::choose(const TcpConfig& config, const UpstreamHost* failed) noexcept {
  constexpr int kMostPicks = 4;
  const TcpConfig::Target& target = config.target(worker_.random().next());
  cluster_name_ = {};
  const upstream::ClusterEntry& entry = worker_.tables()->clusters.at(target.cluster.id());
  if (entry.cluster == nullptr) return Reason::kClusterNotFound;
  if (entry.endpoints == nullptr) return Reason::kClusterWarming;
  cluster_name_ = target.cluster.name();
  cluster_ = &worker_.cluster(entry);
  cluster_->add_user();
  base::ClusterCells& cells = cluster_->cells();
  base::Credit connection(cluster_->accounts(0).connections);
  if (!connection) {
    cells.upstream_cx_overflow.add();
    return Reason::kOverflowConnections;
  }
  base::Credit pending(cluster_->accounts(0).pending);
  if (!pending) {
    cells.upstream_rq_pending_overflow.add();
    return Reason::kOverflowPending;
  }
  cluster_->bind(entry);
  UpstreamHost* host = cluster_->pick(entry);
  for (int i = 1; i < kMostPicks && host != nullptr && host == failed; ++i) {
    host = cluster_->pick(entry);
  }
  if (host == nullptr) {
    cells.upstream_cx_none_healthy.add();
    return Reason::kNoHealthyUpstream;
  }
  host_ = host;
  cluster_->hold(*host);
  connection_credit_ = std::move(connection);
  pending_credit_ = std::move(pending);
  return Reason::kNone;
}

Reason TcpUpstream::open() noexcept {
  base::ClusterCells& cells = cluster_->cells();
  cells.upstream_cx_total.add();
  cells.upstream_cx_active.add();
  cells.upstream_rq_pending_total.add();
  cells.upstream_rq_pending_active.add();
  phase_ = Phase::kConnecting;
  connect_started_ = worker_.loop().now();
  const upstream::TransportValue& t = host_->transport->value;
  if (!stream_.connect(worker_.loop(), host_->address, upstream::connect_options(t))) {
    return Reason::kUpstreamConnectFailed;
  }
  stream_.set_marks(t.buffer_limit_bytes / 4, t.buffer_limit_bytes);
  return Reason::kNone;
}

int64_t TcpUpstream::connect_timeout_ns() const noexcept {
  return host_->transport->value.connect_timeout.count();
}

void TcpUpstream::connected() noexcept {
  base::ClusterCells& cells = cluster_->cells();
  phase_ = Phase::kConnected;
  error_ = 0;
  pending_credit_.reset();
  cells.upstream_rq_pending_active.sub();
  cells.upstream_rq_total.add();
  cells.upstream_rq_active.add();
  cells.upstream_cx_connect_ms.add(static_cast<uint64_t>(worker_.loop().now() - connect_started_));
}

void TcpUpstream::failed(Reason reason) noexcept {
  base::ClusterCells& cells = cluster_->cells();
  cells.upstream_cx_connect_fail.add();
  if (reason == Reason::kUpstreamConnectTimeout) cells.upstream_cx_connect_timeout.add();
  cells.upstream_rq_pending_failure_eject.add();
  error_ = stream_.error();
  end(false, reason != Reason::kUpstreamConnectTimeout);
}

void TcpUpstream::end(bool reset, bool by_peer) noexcept {
  if (phase_ == Phase::kNone) return;
  base::ClusterCells& cells = cluster_->cells();
  (phase_ == Phase::kConnected ? cells.upstream_rq_active : cells.upstream_rq_pending_active).sub();
  cells.upstream_cx_active.sub();
  base::count_end(cells, by_peer, phase_ == Phase::kConnected);
  phase_ = Phase::kNone;
  connection_credit_.reset();
  pending_credit_.reset();
  if (reset) {
    stream_.reset();
  } else {
    stream_.close_now();
  }
}

void TcpUpstream::let_go() noexcept {
  end(false, false);
  if (host_ != nullptr) cluster_->unhold(*std::exchange(host_, nullptr));
  if (cluster_ != nullptr) std::exchange(cluster_, nullptr)->drop_user();
}

}  // namespace sluice::dataplane
