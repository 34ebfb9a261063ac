#pragma once

#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "dataplane/exchange.h"
#include "dataplane/session.h"
#include "http/h2_codec.h"
#include "net/loop.h"
#include "net/timer.h"
#include "upstream/h2_keepalive.h"
#include "upstream/h2_reader.h"

namespace sluice::dataplane {

class H2Session;

// H2Request is one stream of an HTTP/2 session as its exchange has it: the codec's handle, the
// body bytes whose window is not given back yet, and the exchange's timer. In the exchange's arena;
// the session destroys it when the exchange ends.
class H2Request : public net::Link {
 public:
  H2Request(H2Session& session, Exchange& exchange) noexcept;

  H2Session& session() noexcept { return session_; }
  Exchange& exchange() noexcept { return exchange_; }
  http::H2Stream& stream() noexcept { return stream_; }

 private:
  friend class H2Session;
  void on_timer() noexcept;

  http::H2Stream stream_;
  H2Session& session_;
  Exchange& exchange_;
  uint32_t held_bytes_ = 0;  // received, but the stream's window is not opened for them yet
  bool head_done_ = false;
  net::Timer timer_ = net::Timer::of<&H2Request::on_timer>(this);
};

// H2Session is one downstream connection that speaks HTTP/2 (RFC 9113): it feeds received blocks to
// the codec, gives each request to an Exchange of its own, and lets the codec make its frames once
// per turn, right before the stream's gathered write.
//
// Worker-local. Idle it holds neither a block nor an exchange; nghttp2's state stays (docs/
// hot_path.md). How much is taken in a turn: upstream/h2_reader.h.
// One bad stream ends alone; what ends the connection is told to the client by GOAWAY and counted.
// Deadlines: of the connection for its first head, when it is idle and when it is silent (pings),
// of each exchange by its own timer. draining(): GOAWAY in two steps (RFC 9113 6.8), drain_timeout
// apart.
class H2Session : public HttpSession {
 public:
  H2Session(Worker& worker, WorkerListener& listener, const base::Address& peer, uint64_t id);
  ~H2Session();

  // Takes over the descriptor, with what was received of it: `block` from `at` on. False: it could
  // not be attached and is closed.
  bool start(int fd, base::BlockRef block, uint32_t at) noexcept;
  void drain() noexcept;
  void close(base::Reason reason) noexcept;

  // ---- For Downstream.
  http::H2Codec& codec() noexcept { return codec_; }
  // The codec has something to send.
  void mark_dirty() noexcept { stream_.mark_dirty(); }
  // There is room again for the body: opens the stream's window.
  void resume_body(H2Request& request) noexcept;
  void deadline_changed(H2Request& request) noexcept;
  void reset(H2Request& request, http::H2Error code) noexcept;
  // See H2Codec::reset_behind_body(); the exchange learns that it is gone.
  bool reset_behind_body(H2Request& request) noexcept;
  // The exchange is over; *request ends here.
  void exchange_done(H2Request& request) noexcept;

 private:
  void on_stream(uint8_t events) noexcept;
  void on_fill() noexcept;
  void on_written() noexcept;
  void on_timer() noexcept;
  // From the reader.
  friend class upstream::H2Reader<H2Session>;
  void on_event(http::H2Codec::Event& event) noexcept;
  void on_end(const net::Stream::Read&) noexcept { on_lost(); }
  void on_read() noexcept;

  void on_lost() noexcept;
  void on_failed() noexcept;
  void begin_to_close() noexcept;
  void begin_request() noexcept;
  void take_head(H2Request& request, const http::H2Codec::Event& event) noexcept;
  void take_data(H2Request& request, http::H2Codec::Event& event) noexcept;
  void take_news() noexcept;
  void take_news_of(H2Request& request, uint8_t news) noexcept;
  void fail_all(base::Reason reason) noexcept;
  void give_up(http::H2Error code, std::string_view detail, base::Reason reason) noexcept;
  void start_drain() noexcept;
  void close_if_finished() noexcept;
  void end() noexcept;
  base::MonoNs deadline() const noexcept;
  void arm() noexcept;

  http::H2Codec codec_;
  upstream::H2Reader<H2Session> reader_;
  bool closed_ = false;
  bool closing_ = false;  // flush, then close
  bool head_pending_ = false;
  uint32_t num_open_ = 0;
  H2Request* current_ = nullptr;  // being handled; null when it ended meanwhile
  net::List requests_;
  base::MonoNs since_ = 0;  // idle, or the pending head's first byte
  base::MonoNs goaway_at_ = 0;
  upstream::H2Keepalive keepalive_;
  net::Timer timer_ = net::Timer::of<&H2Session::on_timer>(this);
};

}  // namespace sluice::dataplane
