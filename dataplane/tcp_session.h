#pragma once

#include <cstdint>
#include <memory>

#include "base/buffer.h"
#include "dataplane/session.h"
#include "dataplane/tcp_upstream.h"
#include "net/timer.h"

namespace sluice::dataplane {

// TcpSession relays one downstream connection to one of its own upstream: Envoy's tcp_proxy.
//
// Worker-local. Bytes stay in the block into which they were received until they are written to the
// other side; idle, a session holds no block. A side whose stream is at its high mark stops the
// reading of the other (buffer limits of listener and cluster), so at most the limit and one block
// wait per direction. The client is not read before there is a connection to an endpoint.
// An end of stream is passed on and the other direction goes on; a reset is passed on as a reset,
// behind what came before it. Both ends passed on and written: the session is over.
// It leases its configuration at accept, and keeps no version of the tables (TcpUpstream).
// One timer for connect_timeout, idle_timeout and the longest duration. Bytes that leave in the
// background, while their reader is slow, are only noticed when the idle timer looks, so such a
// session ends between one and two idle_timeouts after its last byte.
class TcpSession : public Session {
 public:
  static constexpr int kReadsPerTurn = 8;
  static constexpr int64_t kRetryPauseNs = 25 * base::kNsPerMs;

  TcpSession(Worker& worker, WorkerListener& listener, const base::Address& peer, uint64_t id);
  ~TcpSession();

  // Takes over the accepted descriptor. False: it could not be attached and is closed.
  bool start(int fd) noexcept;
  // Once the worker knows the session: begins. May end it.
  void connect() noexcept;
  // As in Envoy, what is open goes on until the drain's deadline.
  void drain() noexcept { draining_ = true; }
  void close(base::Reason reason) noexcept { finish(reason, false); }

 private:
  // One direction. `block` is kept only while some of it waits to be written, to be filled further.
  struct Way {
    net::Stream& from;
    net::Stream& to;
    base::BlockRef block;
    bool large = false;   // reads filled what they were given
    bool ended = false;   // the end of stream was passed on
    bool paused = false;  // `to` is full
  };
  // What the streams had moved when it was last counted.
  struct Moved {
    uint64_t down_received = 0, down_sent = 0, up_received = 0, up_sent = 0;
    bool operator==(const Moved&) const = default;
  };
  enum class Phase : uint8_t { kWaiting, kConnecting, kRelay, kClosed };

  void on_downstream(uint8_t events) noexcept;
  void on_upstream(uint8_t events) noexcept;
  void on_events(Way& in, Way& out, uint8_t events) noexcept;
  void attempt_failed(base::Reason reason) noexcept;
  net::Stream::Read take(Way& way) noexcept;
  void make_room(Way& way) noexcept;
  bool relay(Way& way) noexcept;
  void pause(Way& way) noexcept;
  void resume(Way& way) noexcept;
  void lost(Way& way) noexcept;
  void end_if_done() noexcept;
  void account() noexcept;
  void finish(base::Reason reason, bool reset) noexcept;
  void log(base::Reason reason) noexcept;
  base::MonoNs deadline() const noexcept;
  void arm() noexcept;
  void on_timer() noexcept;
  base::TcpCells& cells() noexcept { return **cells_; }

  TcpUpstream upstream_;
  Way to_upstream_{.from = stream_, .to = upstream_.stream(), .block = {}};
  Way to_downstream_{.from = upstream_.stream(), .to = stream_, .block = {}};
  Phase phase_ = Phase::kWaiting;
  bool attempts_exceeded_ = false;
  bool ended_by_endpoint_ = false;  // its end of stream came, and none of the client's after it
  bool flushing_ = false;           // counted as upstream_flush_active
  uint32_t attempts_ = 0;
  base::MonoNs attempt_at_ = 0;  // begun, or kWaiting: when it is to begin
  base::MonoNs active_at_ = 0;
  Moved counted_;
  net::Timer timer_ = net::Timer::of<&TcpSession::on_timer>(this);
  base::Lease<TcpConfig> config_;
  std::shared_ptr<base::WorkerCells<base::TcpCells>> cells_;
};

}  // namespace sluice::dataplane
