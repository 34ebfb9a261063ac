#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/buffer.h"
#include "base/lease.h"
#include "dataplane/exchange.h"
#include "http/h1_body.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"

namespace sluice::dataplane {

class Worker;
struct WorkerListener;

// H1Session is one downstream connection that speaks HTTP/1: it takes requests out of received
// blocks, one after the other, and gives each to an Exchange, which writes to stream().
//
// Worker-local; made at accept, destroyed by the loop after the turn in which it closed. It leases
// its listener's HttpConfig, so a change of the listener concerns new connections only. Idle it
// holds neither a block nor an exchange. Pipelined requests wait, unread or in the block, until the
// response before them has left (RFC 9112 9.3.2); one request per loop turn, so that a pipeline of
// thousands does not keep others waiting.
// Deadlines belong to the connection and are replaced, never removed: for the head from accept or
// from its first byte on (request_headers_timeout), then those of the exchange, then idle_timeout.
class H1Session : public net::Deferred, public net::Link {
 public:
  static constexpr int kReadsPerTurn = 8;

  H1Session(Worker& worker, WorkerListener& listener, const base::Address& peer, uint64_t id);
  ~H1Session();

  // Takes over the accepted descriptor. False: it could not be attached and is closed.
  bool start(int fd) noexcept;
  // Stop taking requests: the next response says `connection: close`. An idle connection is not
  // closed at once, which would race with a request on its way, but when drain_timeout has passed
  // without one.
  void drain() noexcept;
  // The drain deadline: closed whatever it does.
  void close(base::Reason reason) noexcept;

  // ---- For its exchange.
  net::Stream& stream() noexcept { return stream_; }
  const HttpConfig& config() const noexcept { return *config_; }
  WorkerListener& listener() noexcept { return listener_; }
  base::HttpCells& cells() noexcept { return **cells_; }
  const base::Address& peer() const noexcept { return peer_; }
  const base::Address& local() const noexcept;
  std::string_view peer_ip_text() noexcept;
  uint64_t id() const noexcept { return id_; }
  bool first_exchange() const noexcept { return num_requests_ <= 1; }
  base::Ticks accepted_ticks() const noexcept { return accepted_ticks_; }
  bool draining() const noexcept;
  // There is room again for the request's body.
  void resume_body() noexcept;
  // 101 or 2xx to CONNECT was sent: from now on bytes go both ways as they are.
  void become_tunnel() noexcept;
  // The response was queued to its end. on_flushed() comes when it left.
  void finish_response() noexcept { stream_.want_flushed(); }
  // The exchange is over and may be recycled. `close`: so is the connection; `unread_request`:
  // bytes of the request may still be on their way (read and discard for a moment, so that the
  // response is not destroyed by a RST).
  void exchange_done(bool close, bool unread_request) noexcept;
  // The response cannot be completed: cut the connection so that the client notices.
  void cut() noexcept;
  void deadline_changed() noexcept;

  bool idle() const noexcept { return exchange_ == nullptr; }
  Exchange* exchange() noexcept { return exchange_; }

 private:
  void on_stream(uint8_t events) noexcept;
  void on_again() noexcept { read(); }
  void on_timer() noexcept;
  void read() noexcept;
  bool make_room() noexcept;
  bool process() noexcept;
  bool process_head() noexcept;
  bool process_body() noexcept;
  bool process_tunnel() noexcept;
  void on_eof() noexcept;
  void refuse(base::Reason reason) noexcept;
  base::MonoNs deadline() const noexcept;
  size_t unread() const noexcept { return block_ ? block_->filled() - at_ : 0; }
  bool reads_now() const noexcept;
  void destroy_later() noexcept;
  // Before the stream is closed, which forgets them.
  void count_bytes() noexcept;

  enum class Phase : uint8_t { kIdle, kHead, kBody, kResponse, kTunnel, kClosed };

  // Read for every request.
  net::Stream stream_;
  Worker& worker_;
  Exchange* exchange_ = nullptr;
  base::Lease<HttpConfig> config_;
  base::BlockRef block_;
  uint32_t at_ = 0;
  uint32_t scanned_ = 0;
  Phase phase_ = Phase::kIdle;
  bool draining_ = false;
  bool keep_alive_ = true;
  uint32_t num_requests_ = 0;
  base::MonoNs since_ = 0;               // idle, or the head's first byte
  http::H1BodyDecoder* body_ = nullptr;  // in the exchange's arena, while there is a body
  net::Timer timer_ = net::Timer::of<&H1Session::on_timer>(this);
  net::Call again_ = net::Call::of<&H1Session::on_again>(this);
  WorkerListener& listener_;
  std::shared_ptr<base::WorkerCells<base::HttpCells>> cells_;
  uint64_t id_;
  base::MonoNs accepted_at_ = 0;
  base::MonoNs drained_at_ = 0;
  base::Ticks accepted_ticks_ = 0;
  base::Address peer_;
  std::unique_ptr<base::Address> local_;  // only where the listener's address is a wildcard
  uint8_t peer_ip_size_ = 0;
  char peer_ip_[base::IpAddress::kMaxText];
};

}  // namespace sluice::dataplane
