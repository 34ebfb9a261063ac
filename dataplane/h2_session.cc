#include "dataplane/h2_session.h"

#include <algorithm>
#include <utility>

#include "dataplane/worker.h"

namespace sluice::dataplane {

using http::H2Codec;
using http::H2Error;
using http::H2Stream;
using Event = http::H2Codec::Event;

namespace {

// What may wait in the stream beside what the codec keeps back.
constexpr size_t kMostUnsent = 256 * 1024;

}  // namespace

H2Request::H2Request(H2Session& session, Exchange& exchange) noexcept
    : stream_(this), session_(session), exchange_(exchange) {}

void H2Request::on_timer() noexcept {
  const base::MonoNs now = session_.worker().loop().now();
  const base::MonoNs at = exchange_.deadline();
  if (at <= now) {
    exchange_.on_deadline(now);  // may end *this
  } else if (at != net::TimerWheel::kNever) {
    timer_.arm(session_.worker().loop().timers(), at);
  }
}

H2Session::H2Session(Worker& worker, WorkerListener& listener, const base::Address& peer,
                     uint64_t id)
    : HttpSession(
          Kind::kHttp2, [](Deferred* self) noexcept { delete static_cast<H2Session*>(self); },
          worker, listener, peer, id),
      codec_(H2Codec::Role::kServer, config_->h2, worker.slab(), worker.blocks(),
             worker.h2_cells()),
      reader_(*this, stream_, codec_, worker.loop(), worker.blocks()) {
  stream_.set_owner<&H2Session::on_stream>(this);
  stream_.set_filler<&H2Session::on_fill, H2Session>();
}

H2Session::~H2Session() = default;

bool H2Session::start(int fd, base::BlockRef block, uint32_t at) noexcept {
  if (!attach(fd)) return false;
  since_ = accepted_at_;
  if (!codec_.start()) {
    stream_.close_now();
    return false;
  }
  count_codec();
  keepalive_.start(config_->value.h2, worker_.loop().now(), worker_.random());
  stream_.mark_dirty();
  reader_.start(std::move(block), at);
  arm();
  return true;
}

// ---- Events of the stream.

void H2Session::on_stream(uint8_t events) noexcept {
  if (closed_) return;
  if (events & net::kBroken) return on_lost();
  if (events & net::kWritten) on_written();
  if (closed_) return;
  if (events & (net::kReadable | net::kPeerClosed)) reader_.read();
}

void H2Session::on_fill() noexcept {
  if (stream_.buffered() >= kMostUnsent) return;
  codec_.produce(&stream_.out(), kMostUnsent);
}

void H2Session::on_written() noexcept {
  take_news();
  close_if_finished();
  if (closed_) return;
  if (codec_.wants_output() && stream_.buffered() == 0) stream_.mark_dirty();
  reader_.go_on();
}

// ---- Receiving.

void H2Session::on_event(Event& event) noexcept {
  if (event.kind == Event::Kind::kBegin) return begin_request();
  if (event.kind == Event::Kind::kFailed) return on_failed();
  if (event.stream == nullptr) return;  // of the connection, and nothing for us
  H2Request& request = *static_cast<H2Request*>(event.stream->owner());
  if (event.kind == Event::Kind::kHead) return take_head(request, event);
  if (event.kind == Event::Kind::kData) return take_data(request, event);
  if (event.kind == Event::Kind::kTrailers) {
    request.exchange_.on_request_end(&request.stream_.trailers());
  }
}

void H2Session::on_failed() noexcept {
  cells().downstream_cx_protocol_error.add();
  begin_to_close();
  stream_.mark_dirty();  // GOAWAY
  fail_all(base::Reason::kDownstreamProtocolError);
  arm();
}

void H2Session::begin_request() noexcept {
  Exchange* exchange = worker_.take_exchange();
  void* const room = exchange->arena().alloc(sizeof(H2Request), alignof(H2Request));
  auto* request = new (room) H2Request(*this, *exchange);
  request->stream_.set_marks(config_->h2_low_mark_bytes, config_->h2_high_mark_bytes);
  requests_.push_back(*request);
  ++num_open_;
  ++num_requests_;
  exchange->begin(*request);
  codec_.open(&request->stream_, &exchange->request(), &exchange->arena());
  head_pending_ = true;
  since_ = worker_.loop().now();
  arm();
}

void H2Session::take_head(H2Request& request, const Event& event) noexcept {
  head_pending_ = false;
  request.head_done_ = true;
  if (HttpSession::draining()) start_drain();
  current_ = &request;
  if (event.too_large) {
    request.exchange_.refuse(event.too_many ? base::Reason::kH2TooManyHeaders
                                            : base::Reason::kH2HeadTooLarge);
  } else {
    request.exchange_.start({}, !event.end, request.stream_.head_bytes_received());
  }
  if (current_ != nullptr) deadline_changed(request);
  current_ = nullptr;
}

void H2Session::take_data(H2Request& request, Event& event) noexcept {
  const uint32_t size = event.data.size;
  request.held_bytes_ += size;
  current_ = &request;
  if (size > 0) request.exchange_.on_request_data(std::move(event.data));
  if (current_ != nullptr && request.held_bytes_ > 0 && request.exchange_.wants_body()) {
    resume_body(request);
  }
  if (current_ != nullptr && event.end) request.exchange_.on_request_end(nullptr);
  current_ = nullptr;
}

void H2Session::resume_body(H2Request& request) noexcept {
  const uint32_t bytes = std::exchange(request.held_bytes_, 0);
  if (bytes == 0) return;
  codec_.consume(request.stream_, bytes);
  stream_.mark_dirty();
}

void H2Session::on_read() noexcept {
  if (keepalive_.heard(worker_.loop().now())) arm();
  close_if_finished();
}

// ---- News of streams.

void H2Session::take_news() noexcept {
  uint8_t news = 0;
  while (H2Stream* stream = codec_.take_news(&news)) {
    take_news_of(*static_cast<H2Request*>(stream->owner()), news);
  }
}

void H2Session::take_news_of(H2Request& request, uint8_t news) noexcept {
  current_ = &request;
  Exchange& exchange = request.exchange_;
  if (news & H2Stream::kDrained) exchange.on_downstream_drained();
  if (current_ != nullptr && (news & H2Stream::kSentEnd)) exchange.on_flushed();
  // Ended well with the response's head, and the endpoint's end is still to come: no loss.
  const bool whole = request.stream_.sent_end() && request.stream_.error() == H2Error::kNone;
  if (current_ != nullptr && !whole && (news & (H2Stream::kClosed | H2Stream::kUnsent))) {
    if (!request.head_done_) head_pending_ = false;
    exchange.on_downstream_gone(request.stream_.by_peer() ? base::Reason::kDownstreamReset
                                                          : base::Reason::kDownstreamProtocolError);
  }
  current_ = nullptr;
}

void H2Session::reset(H2Request& request, H2Error code) noexcept {
  if (request.stream_.codec() == nullptr) return;
  codec_.reset(request.stream_, code);
  stream_.mark_dirty();
}

bool H2Session::reset_behind_body(H2Request& request) noexcept {
  if (!codec_.reset_behind_body(request.stream_)) return false;
  stream_.mark_dirty();
  return true;
}

void H2Session::exchange_done(H2Request& request) noexcept {
  if (current_ == &request) current_ = nullptr;
  if (!request.head_done_) head_pending_ = false;
  // What was serialised of it may lie in its arena, or in tables that it pinned.
  if (stream_.is_open() && stream_.buffered() > 0) stream_.own_waiting_bytes(worker_.blocks());
  // Early answer: the rest of the request is not wanted (RFC 9113 8.1).
  if (request.stream_.codec() != nullptr && !request.stream_.received_end()) {
    reset(request, H2Error::kNone);
  }
  request.~H2Request();
  --num_open_;
  if (num_open_ != 0 || closed_) return;
  since_ = worker_.loop().now();
  arm();
}

void H2Session::deadline_changed(H2Request& request) noexcept {
  const base::MonoNs at = request.exchange_.deadline();
  if (at != net::TimerWheel::kNever) request.timer_.arm(worker_.loop().timers(), at);
}

// ---- The end.

void H2Session::on_lost() noexcept {
  ended_by_peer_ = true;
  close(base::Reason::kDownstreamGone);
}

// Every exchange hears that its client is gone.
void H2Session::fail_all(base::Reason reason) noexcept {
  cut_ = cut_ || num_open_ != 0;
  while (net::Link* link = requests_.next(nullptr)) {
    static_cast<H2Request*>(link)->exchange_.on_downstream_gone(reason);
  }
}

// What comes behind the end of the connection is of no interest.
void H2Session::begin_to_close() noexcept {
  closing_ = true;
  since_ = worker_.loop().now();
  reader_.stop();
}

// We end the connection: GOAWAY says why, and no stream survives.
void H2Session::give_up(H2Error code, std::string_view detail, base::Reason reason) noexcept {
  codec_.fail(code, detail);
  begin_to_close();
  stream_.mark_dirty();
  fail_all(reason);
}

void H2Session::drain() noexcept {
  if (draining_) return;
  draining_ = true;
  drained_at_ = worker_.loop().now();
  start_drain();
}

void H2Session::start_drain() noexcept {
  if (goaway_at_ != 0 || closed_) return;
  goaway_at_ = worker_.loop().now() + config_->drain_timeout_ns;
  count_drain();
  codec_.announce_shutdown();
  stream_.mark_dirty();
  arm();
}

void H2Session::close(base::Reason reason) noexcept {
  if (closed_) return;
  closed_ = true;
  count_bytes();
  stream_.close_now();
  fail_all(reason);
  end();
}

void H2Session::close_if_finished() noexcept {
  if (closed_ || num_open_ != 0 || stream_.buffered() != 0) return;
  if (!codec_.finished() || codec_.wants_output()) return;
  closed_ = true;
  count_bytes();
  stream_.close_after_flush(net::Linger::kYes, config_->delayed_close_timeout_ns);
  end();
}

void H2Session::end() noexcept {
  timer_.cancel();
  reader_.stop();
  leave();
}

// ---- Time.

base::MonoNs H2Session::deadline() const noexcept {
  if (closing_) return since_ + config_->delayed_close_timeout_ns;
  base::MonoNs at = net::TimerWheel::kNever;
  if (head_pending_ || num_requests_ == 0) {
    const int64_t limit = config_->request_headers_timeout_ns;
    if (limit != 0) at = since_ + limit;
  } else if (num_open_ == 0 && config_->idle_timeout_ns != 0) {
    at = since_ + config_->idle_timeout_ns;
  }
  if (goaway_at_ != 0 && !codec_.shutting_down()) at = std::min(at, goaway_at_);
  const int64_t longest = config_->max_connection_duration_ns;
  if (longest != 0 && goaway_at_ == 0) at = std::min(at, accepted_at_ + longest);
  return std::min(at, keepalive_.deadline());
}

void H2Session::arm() noexcept {
  const base::MonoNs at = deadline();
  if (!closed_ && at != net::TimerWheel::kNever) timer_.arm(worker_.loop().timers(), at);
}

void H2Session::on_timer() noexcept {
  const base::MonoNs now = worker_.loop().now();
  if (deadline() > now) return arm();
  const int64_t longest = config_->max_connection_duration_ns;
  if (closing_) return close(base::Reason::kDownstreamGone);  // it does not take our last words
  if (goaway_at_ != 0 && now >= goaway_at_ && !codec_.shutting_down()) {
    codec_.finish_shutdown();
    stream_.mark_dirty();
  } else if (longest != 0 && goaway_at_ == 0 && now >= accepted_at_ + longest) {
    start_drain();
  } else if (const auto step = keepalive_.step(now, worker_.random());
             step == upstream::H2Keepalive::Step::kDead) {
    worker_.h2_cells().keepalive_timeout.add();
    return close(base::Reason::kDownstreamGone);
  } else if (step == upstream::H2Keepalive::Step::kPing) {
    codec_.ping(num_requests_);
    stream_.mark_dirty();
  } else if (head_pending_) {
    cells().downstream_rq_header_timeout.add();
    give_up(H2Error::kEnhanceYourCalm, "a head took longer than request_headers_timeout",
            base::Reason::kRequestHeaderTimeout);
  } else {
    cells().downstream_cx_idle_timeout.add();
    give_up(H2Error::kNone, "idle_timeout", base::Reason::kConnectionIdleTimeout);
  }
  arm();
}

}  // namespace sluice::dataplane
