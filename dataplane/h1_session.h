#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/buffer.h"
#include "dataplane/exchange.h"
#include "dataplane/session.h"
#include "http/h1_body.h"
#include "net/timer.h"

namespace sluice::dataplane {

// H1Session is one downstream connection that speaks HTTP/1: it takes requests out of received
// blocks, one after the other, and gives each to an Exchange, which writes to stream().
//
// Worker-local. Idle it holds neither a block nor an exchange. Pipelined requests wait, unread or
// in the block, until the response before them has left (RFC 9112 9.3.2); one request per loop
// turn, so that a pipeline of thousands does not keep others waiting.
// Deadlines belong to the connection and are replaced, never removed: for the head from accept or
// from its first byte on (request_headers_timeout), then those of the exchange, then idle_timeout.
class H1Session : public HttpSession {
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
  enum class Guess : uint8_t { kUnknown, kHttp1, kHttp2 };
  Guess guess_codec() noexcept;
  void become_http2() noexcept;
  base::MonoNs deadline() const noexcept;
  void count_idle_end(base::MonoNs now) noexcept;
  size_t unread() const noexcept { return block_ ? block_->filled() - at_ : 0; }
  bool reads_now() const noexcept;
  // Then there is an exchange.
  bool in_exchange() const noexcept { return phase_ != Phase::kIdle && phase_ != Phase::kClosed; }
  void destroy_later() noexcept;

  enum class Phase : uint8_t { kIdle, kHead, kBody, kResponse, kTunnel, kClosed };

  // Read for every request.
  Exchange* exchange_ = nullptr;
  base::BlockRef block_;
  uint32_t at_ = 0;
  uint32_t scanned_ = 0;
  Phase phase_ = Phase::kIdle;
  bool keep_alive_ = true;
  base::MonoNs since_ = 0;               // idle, or the head's first byte
  http::H1BodyDecoder* body_ = nullptr;  // in the exchange's arena, while there is a body
  net::Timer timer_ = net::Timer::of<&H1Session::on_timer>(this);
  net::Call again_ = net::Call::of<&H1Session::on_again>(this);
};

}  // namespace sluice::dataplane
