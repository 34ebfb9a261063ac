#pragma once

#include <cstdint>
#include <string_view>

#include "base/credit.h"
#include "base/reason.h"
#include "base/stat_groups.h"
#include "dataplane/attempt.h"
#include "dataplane/listener.h"
#include "net/stream.h"

namespace sluice::dataplane {

class Worker;

// TcpUpstream is the endpoint's side of a TCP session: which cluster, which host, the connection to
// it, and what is counted for it. One connection per session; none is pooled.
//
// Part of its session. Worker-local, allocates nothing in steady state (a worker's first use of a
// cluster or host does). connect() looks at the tables of the turn in which it is called and keeps
// nothing of them: afterwards it holds its Host, which the worker owns and which outlives endpoint
// sets and clusters, and credits of the breakers max_connections and, while it connects,
// max_pending_requests. So a session never keeps a version of the tables, however long it lives.
class TcpUpstream {
 public:
  explicit TcpUpstream(Worker& worker) noexcept : worker_(worker) {}
  TcpUpstream(const TcpUpstream&) = delete;
  TcpUpstream& operator=(const TcpUpstream&) = delete;
  ~TcpUpstream() { let_go(); }

  net::Stream& stream() noexcept { return stream_; }

  // Chooses by weight and balancer, another host than the one that failed before if there is one,
  // and begins to connect. kNone: the stream will tell. kUpstreamConnectFailed: call failed().
  // Anything else: there is nobody to connect to, or not now.
  base::Reason connect(const TcpConfig& config) noexcept;
  int64_t connect_timeout_ns() const noexcept;
  void connected() noexcept;
  void failed(base::Reason reason) noexcept;
  // As many attempts as are allowed have failed.
  void give_up() noexcept { cluster_->cells().upstream_cx_connect_attempts_exceeded.add(); }
  // Ends the connection, if there is one; `by_peer`: it did so first. What the log shows stays
  // until let_go().
  void end(bool reset, bool by_peer) noexcept;
  // Gives the host back.
  void let_go() noexcept;

  // ---- Once connect() found a host.
  base::ClusterCells& cells() noexcept { return cluster_->cells(); }
  // ---- For the log.
  const UpstreamHost* host() const noexcept { return host_; }
  std::string_view cluster_name() const noexcept { return cluster_name_; }
  // errno of the last attempt that failed; 0: none did.
  int error() const noexcept { return error_; }

 private:
  enum class Phase : uint8_t { kNone, kConnecting, kConnected };

  base::Reason choose(const TcpConfig& config, const UpstreamHost* failed) noexcept;
  base::Reason open() noexcept;

  Worker& worker_;
  net::Stream stream_;
  UpstreamCluster* cluster_ = nullptr;
  UpstreamHost* host_ = nullptr;
  std::string_view cluster_name_;  // the configuration's
  base::Credit connection_credit_;
  base::Credit pending_credit_;
  base::MonoNs connect_started_ = 0;
  int error_ = 0;
  Phase phase_ = Phase::kNone;
};

}  // namespace sluice::dataplane
