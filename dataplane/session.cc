#include "dataplane/session.h"

#include "dataplane/h1_session.h"
#include "dataplane/h2_session.h"
#include "dataplane/tcp_session.h"
#include "dataplane/worker.h"

namespace sluice::dataplane {

Session::Session(Kind kind, void (*end)(net::Deferred*) noexcept, Worker& worker,
                 WorkerListener& listener, const base::Address& peer, uint64_t id)
    : Deferred(end), worker_(worker), listener_(listener), kind_(kind), id_(id), peer_(peer) {
  peer_ip_size_ = peer.is_ip() ? static_cast<uint8_t>(peer.ip().format(peer_ip_)) : uint8_t{0};
}

Session::~Session() = default;

bool Session::attach(int fd) noexcept {
  if (!stream_.attach(worker_.loop(), fd)) return false;
  stream_.set_marks(listener_.buffer_limit_bytes / 4, listener_.buffer_limit_bytes);
  if (accepted_at_ == 0) accepted_at_ = worker_.loop().now();
  accepted_ticks_ = base::ticks_now();
  const base::Address& bound = listener_.sockets->address;
  const bool any_v6 = bound.is_ip() && bound.ip() == base::IpAddress{.bytes = {}, .v4 = false};
  const bool any_v4 = bound.is_ip() && bound.ip().v4 && bound.ip().bytes[12] == 0;
  if (any_v6 || any_v4) local_ = std::make_unique<base::Address>(stream_.local());
  return true;
}

const base::Address& Session::local() const noexcept {
  return local_ != nullptr ? *local_ : listener_.sockets->address;
}

uint64_t Session::length_ns() const noexcept {
  return static_cast<uint64_t>(worker_.loop().now() - accepted_at_);
}

void Session::drain() noexcept {
  switch (kind_) {
    case Kind::kHttp1:
      return static_cast<H1Session*>(this)->drain();
    case Kind::kHttp2:
      return static_cast<H2Session*>(this)->drain();
    case Kind::kTcp:
      return static_cast<TcpSession*>(this)->drain();
  }
}

void Session::close(base::Reason reason) noexcept {
  switch (kind_) {
    case Kind::kHttp1:
      return static_cast<H1Session*>(this)->close(reason);
    case Kind::kHttp2:
      return static_cast<H2Session*>(this)->close(reason);
    case Kind::kTcp:
      return static_cast<TcpSession*>(this)->close(reason);
  }
}

HttpSession::HttpSession(Kind kind, void (*end)(net::Deferred*) noexcept, Worker& worker,
                         WorkerListener& listener, const base::Address& peer, uint64_t id)
    : Session(kind, end, worker, listener, peer, id),
      config_(listener.config),
      cells_(listener.http_cells) {}

bool HttpSession::draining() const noexcept {
  const auto most = config_->value.max_requests_per_connection;
  const int64_t longest = config_->max_connection_duration_ns;
  return draining_ || (most != 0 && num_requests_ >= most) ||
         (longest != 0 && worker_.loop().now() - accepted_at_ >= longest);
}

void HttpSession::count_drain() noexcept {
  const auto most = config_->value.max_requests_per_connection;
  if (draining_) {
    cells().downstream_cx_drain_close.add();
  } else if (most != 0 && num_requests_ >= most) {
    cells().downstream_cx_max_requests_reached.add();
  } else {
    cells().downstream_cx_max_duration_reached.add();
  }
}

void HttpSession::count_codec() noexcept {
  codec_known_ = true;
  if (kind_ == Kind::kHttp2) {
    cells().downstream_cx_http2_total.add();
    cells().downstream_cx_http2_active.add();
  } else {
    cells().downstream_cx_http1_total.add();
    cells().downstream_cx_http1_active.add();
  }
}

void HttpSession::count_bytes() noexcept {
  cells().downstream_cx_rx_bytes_total.add(stream_.bytes_received());
  cells().downstream_cx_tx_bytes_total.add(stream_.bytes_sent());
}

void HttpSession::leave() noexcept {
  if (codec_known_ && kind_ == Kind::kHttp1) cells().downstream_cx_http1_active.sub();
  if (codec_known_ && kind_ == Kind::kHttp2) cells().downstream_cx_http2_active.sub();
  cells().downstream_cx_active.sub();
  base::count_end(cells(), ended_by_peer_, cut_);
  cells().downstream_cx_length_ms.add(length_ns());
  worker_.session_closed(*this);
  worker_.loop().defer_destroy(this);
}

}  // namespace sluice::dataplane
