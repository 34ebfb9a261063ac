#include "dataplane/tcp_session.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "dataplane/worker.h"
#include "http/facts.h"

namespace sluice::dataplane {

using base::Reason;

namespace {

constexpr uint32_t kLeastRoom = 512;

// The connection was reset, or is lost otherwise. Without reading, which a full target forbids.
bool is_lost(const net::Stream& stream) noexcept {
  if (!stream.hung_up() || !stream.is_open()) return false;
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(stream.fd(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error != 0;
}

// Why we ended it, in Envoy's words; else empty.
std::string_view termination_details(Reason reason) noexcept {
  switch (reason) {
    case Reason::kConnectionIdleTimeout:
      return "tcp_session_idle_timeout";
    case Reason::kMaxConnectionDuration:
      return "max_connection_duration_reached";
    case Reason::kDraining:
      return "drain_time_over";
    default:
      return {};
  }
}

}  // namespace

TcpSession::TcpSession(Worker& worker, WorkerListener& listener, const base::Address& peer,
                       uint64_t id)
    : Session(
          Kind::kTcp, [](Deferred* self) noexcept { delete static_cast<TcpSession*>(self); },
          worker, listener, peer, id),
      upstream_(worker),
      config_(listener.tcp),
      cells_(listener.tcp_cells) {
  stream_.set_owner<&TcpSession::on_downstream>(this);
  upstream_.stream().set_owner<&TcpSession::on_upstream>(this);
}

TcpSession::~TcpSession() = default;

bool TcpSession::start(int fd) noexcept {
  if (!attach(fd)) return false;
  cells().downstream_cx_total.add();
  return true;
}

// ---- To an endpoint.

void TcpSession::connect() noexcept {
  phase_ = Phase::kConnecting;
  attempt_at_ = worker_.loop().now();
  const Reason refused = upstream_.connect(*config_);
  if (upstream_.host() != nullptr) ++attempts_;
  if (refused == Reason::kNone) return arm();
  if (refused == Reason::kUpstreamConnectFailed) return attempt_failed(refused);
  if (base::text_of(refused).flag == base::ResponseFlag::kNC) cells().downstream_cx_no_route.add();
  finish(refused, false);
}

// Again in the next turn, then with pauses: however many attempts are allowed, one client must not
// keep the worker busy with them.
void TcpSession::attempt_failed(Reason reason) noexcept {
  upstream_.failed(reason);
  if (attempts_ >= config_->value.max_connect_attempts) {
    attempts_exceeded_ = true;
    upstream_.give_up();
    return finish(reason, false);
  }
  phase_ = Phase::kWaiting;
  attempt_at_ = worker_.loop().now() + (attempts_ > 1 ? kRetryPauseNs : 0);
  arm();
}

// ---- Events.

void TcpSession::on_downstream(uint8_t events) noexcept {
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kRelay) return on_events(to_upstream_, to_downstream_, events);
  if (is_lost(stream_)) finish(Reason::kDownstreamGone, false);
}

void TcpSession::on_upstream(uint8_t events) noexcept {
  if (phase_ == Phase::kConnecting) {
    if (events & net::kBroken) return attempt_failed(Reason::kUpstreamConnectFailed);
    if ((events & net::kConnected) == 0) return;
    upstream_.connected();
    phase_ = Phase::kRelay;
    active_at_ = worker_.loop().now();
    arm();
    if (!relay(to_upstream_)) return;
  }
  if (phase_ == Phase::kRelay) on_events(to_downstream_, to_upstream_, events);
}

// Of one stream: `in` comes from it, `out` goes to it.
void TcpSession::on_events(Way& in, Way& out, uint8_t events) noexcept {
  if (events & net::kBroken) return lost(in);
  if ((events & net::kFlushed) && out.to.buffered() == 0) out.block.reset();
  if (events & net::kDrained) {
    resume(out);
    if (!relay(out)) return;
  }
  if ((events & (net::kReadable | net::kPeerClosed)) && !relay(in)) return;
  account();
  end_if_done();
}

// ---- Bytes.

void TcpSession::make_room(Way& way) noexcept {
  if (way.block) {
    if (way.block->sole_owner()) way.block->clear();
    // A kept block is filled to its end, so that what waits for a slow reader lies close together.
    if (way.block->room() >= kLeastRoom) return;
  }
  base::BlockPool& pool = worker_.blocks();
  way.block = base::BlockRef::adopt(way.large ? pool.get_large() : pool.get_small());
}

net::Stream::Read TcpSession::take(Way& way) noexcept {
  make_room(way);
  base::Block& block = *way.block.get();
  const char* const at = block.tail();
  const uint32_t room = block.room();
  const net::Stream::Read read = way.from.read_some(block);
  if (read.bytes > 0) {
    way.to.out().append(at, read.bytes, &block);
    way.to.mark_dirty();
    if (read.bytes == room) {
      way.large = true;
    } else if (read.bytes < base::Block::kSmallBytes) {
      way.large = false;
    }
  }
  return read;
}

// What can be read is read and written at once: waiting for the end of the turn would save no
// system call, and the bytes would leave the cache. False: the session is over.
bool TcpSession::relay(Way& way) noexcept {
  for (int i = 0; i < kReadsPerTurn && !way.ended && way.from.readable(); ++i) {
    if (way.to.congested()) {
      pause(way);
      break;
    }
    const net::Stream::Read read = take(way);
    if (read.bytes > 0 && !way.to.flush()) {
      lost(&way == &to_upstream_ ? to_downstream_ : to_upstream_);
      return false;
    }
    if (read.fault) {
      lost(way);
      return false;
    }
    if (read.eof) {
      way.ended = true;
      ended_by_endpoint_ = &way == &to_downstream_;
      way.to.shutdown_write();
      way.to.want_flushed();
    }
    if (read.drained) break;
  }
  if ((way.ended || way.paused) && is_lost(way.from)) {
    lost(way);
    return false;
  }
  if (way.block) {
    if (way.to.buffered() == 0 || way.block->room() < kLeastRoom) {
      way.block.reset();
    } else {
      way.to.want_flushed();
    }
  }
  if (!way.ended && !way.paused) way.from.read_again();
  return true;
}

void TcpSession::pause(Way& way) noexcept {
  if (std::exchange(way.paused, true)) return;
  if (&way == &to_upstream_) {
    cells().downstream_flow_control_paused_reading_total.add();
  } else {
    upstream_.cells().upstream_flow_control_paused_reading_total.add();
  }
}

void TcpSession::resume(Way& way) noexcept {
  if (!std::exchange(way.paused, false)) return;
  if (&way == &to_upstream_) {
    cells().downstream_flow_control_resumed_reading_total.add();
  } else {
    upstream_.cells().upstream_flow_control_resumed_reading_total.add();
  }
}

// ---- The end.

// The side that `way` comes from was reset. What it said before is passed on as far as the other
// side takes it now; then the other side is reset, too.
void TcpSession::lost(Way& way) noexcept {
  while (!way.ended && !way.to.congested() && way.from.readable() && take(way).bytes > 0) {
  }
  way.to.flush();
  finish(&way == &to_upstream_ ? Reason::kRelayClientReset : Reason::kRelayUpstreamReset, true);
}

void TcpSession::end_if_done() noexcept {
  if (!to_upstream_.ended || !to_downstream_.ended || to_downstream_.to.buffered() != 0) return;
  if (to_upstream_.to.buffered() == 0) return finish(Reason::kNone, false);
  if (std::exchange(flushing_, true)) return;
  cells().upstream_flush_total.add();
  cells().upstream_flush_active.add();
}

// Statistics are up to date while a session lives: it may live for days.
void TcpSession::account() noexcept {
  const net::Stream& up = upstream_.stream();
  const Moved moved{stream_.bytes_received(), stream_.bytes_sent(), up.bytes_received(),
                    up.bytes_sent()};
  if (moved == counted_) return;
  active_at_ = worker_.loop().now();
  cells().downstream_cx_rx_bytes_total.add(moved.down_received - counted_.down_received);
  cells().downstream_cx_tx_bytes_total.add(moved.down_sent - counted_.down_sent);
  base::ClusterCells& cluster = upstream_.cells();
  cluster.upstream_cx_rx_bytes_total.add(moved.up_received - counted_.up_received);
  cluster.upstream_cx_tx_bytes_total.add(moved.up_sent - counted_.up_sent);
  counted_ = moved;
}

void TcpSession::finish(Reason reason, bool reset) noexcept {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  timer_.cancel();
  account();
  log(reason);
  if (flushing_) cells().upstream_flush_active.sub();
  if (reset) {
    stream_.reset();
  } else {
    stream_.close_now();
  }
  // Of two ends the one that came last ended it.
  upstream_.end(reset, reason == Reason::kRelayUpstreamReset ||
                           (reason == Reason::kNone && ended_by_endpoint_));
  upstream_.let_go();
  to_upstream_.block.reset();
  to_downstream_.block.reset();
  worker_.session_closed(*this);
  worker_.loop().defer_destroy(this);
}

void TcpSession::log(Reason reason) noexcept {
  if (config_->access_logs.empty() || worker_.access_log() == nullptr) return;
  base::Stamps stamps;
  stamps.set(base::Stamp::kAccepted, accepted_ticks_);
  stamps.set(base::Stamp::kReceived, accepted_ticks_);
  stamps.mark(base::Stamp::kFlushed);
  http::Facts facts;
  facts.stamps = &stamps;
  facts.start_wall = worker_.loop().clock().wall() - (worker_.loop().now() - accepted_at_);
  facts.connection_id = id_;
  facts.downstream_remote = facts.downstream_direct_remote = &peer_;
  facts.downstream_local = &local();
  facts.cluster_name = upstream_.cluster_name();
  facts.bytes_received = facts.downstream_wire_received = stream_.bytes_received();
  facts.bytes_sent = facts.downstream_wire_sent = stream_.bytes_sent();
  net::Stream& up = upstream_.stream();
  facts.upstream_wire_received = up.bytes_received();
  facts.upstream_wire_sent = up.bytes_sent();
  facts.attempts = attempts_;
  facts.reason = reason;
  facts.connection_termination_details = termination_details(reason);
  if (reason == Reason::kMaxConnectionDuration) facts.add_flag(base::ResponseFlag::kDT);
  if (attempts_exceeded_) facts.add_flag(base::ResponseFlag::kURX);
  base::Address upstream_local;
  if (const UpstreamHost* host = upstream_.host()) {
    facts.upstream_remote = &host->address;
    facts.upstream_hostname = host->hostname;
    if (up.connected()) {
      upstream_local = up.local();
      facts.upstream_local = &upstream_local;
    }
  }
  char text[128];
  if (upstream_.error() != 0) {
    facts.upstream_transport_failure = strerror_r(upstream_.error(), text, sizeof(text));
  }
  const LogChance chance{&worker_.tables()->runtime, worker_.random().next() >> 32,
                         worker_.index()};
  for (const auto& logger : config_->access_logs) {
    worker_.access_log()->log(*logger, facts, chance);
  }
  if (worker_.access_log()->pending()) worker_.note_log_line();
}

// ---- Deadlines.

base::MonoNs TcpSession::deadline() const noexcept {
  base::MonoNs at = net::TimerWheel::kNever;
  if (phase_ == Phase::kWaiting) at = attempt_at_;
  if (phase_ == Phase::kConnecting) at = attempt_at_ + upstream_.connect_timeout_ns();
  if (phase_ == Phase::kRelay && config_->idle_timeout_ns != 0) {
    at = active_at_ + config_->idle_timeout_ns;
  }
  const int64_t longest = config_->max_connection_duration_ns;
  return longest == 0 ? at : std::min(at, accepted_at_ + longest);
}

void TcpSession::arm() noexcept {
  const base::MonoNs at = deadline();
  if (at != net::TimerWheel::kNever) timer_.arm(worker_.loop().timers(), at);
}

void TcpSession::on_timer() noexcept {
  account();
  const base::MonoNs now = worker_.loop().now();
  if (deadline() > now) return arm();
  const int64_t longest = config_->max_connection_duration_ns;
  if (longest != 0 && now >= accepted_at_ + longest) {
    cells().max_downstream_connection_duration.add();
    return finish(Reason::kMaxConnectionDuration, false);
  }
  if (phase_ == Phase::kWaiting) return connect();
  if (phase_ == Phase::kConnecting) return attempt_failed(Reason::kUpstreamConnectTimeout);
  cells().idle_timeout.add();
  finish(Reason::kConnectionIdleTimeout, false);
}

}  // namespace sluice::dataplane
