#include "dataplane/h1_session.h"

#include <algorithm>

#include "dataplane/worker.h"

namespace sluice::dataplane {

namespace {
constexpr uint32_t kLeastRoom = 512;

// RFC 9113 3.4: what a client begins HTTP/2 with that knows the server to speak it.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
}  // namespace

H1Session::H1Session(Worker& worker, WorkerListener& listener, const base::Address& peer,
                     uint64_t id)
    : HttpSession(
          Kind::kHttp1, [](Deferred* self) noexcept { delete static_cast<H1Session*>(self); },
          worker, listener, peer, id) {
  stream_.set_owner<&H1Session::on_stream>(this);
}

H1Session::~H1Session() = default;

bool H1Session::start(int fd) noexcept {
  if (!attach(fd)) return false;
  since_ = accepted_at_;
  deadline_changed();
  return true;
}

void H1Session::drain() noexcept {
  if (draining_) return;
  draining_ = true;
  drained_at_ = worker_.loop().now();
  deadline_changed();
}

void H1Session::on_stream(uint8_t events) noexcept {
  if (phase_ == Phase::kClosed) return;
  if (events & net::kBroken) {
    close(base::Reason::kDownstreamGone);
    return;
  }
  if ((events & net::kDrained) && in_exchange()) exchange_->on_downstream_drained();
  if ((events & net::kFlushed) && in_exchange()) exchange_->on_flushed();
  if (phase_ == Phase::kClosed) return;
  if (events & (net::kReadable | net::kPeerClosed)) {
    if (reads_now()) {
      read();
    } else if (events & net::kPeerClosed) {
      on_eof();
    }
  }
}

bool H1Session::reads_now() const noexcept {
  switch (phase_) {
    case Phase::kIdle:
    case Phase::kHead:
      return true;
    case Phase::kBody:
      return exchange_->wants_body();
    case Phase::kTunnel:
      return exchange_->wants_body();
    case Phase::kResponse:
    case Phase::kClosed:
      return false;
  }
  return false;
}

bool H1Session::make_room() noexcept {
  if (block_) {
    if (unread() == 0 && block_->sole_owner()) {
      block_->clear();
      at_ = 0;
    }
    if (block_->room() >= kLeastRoom) return true;
  }
  const bool body = phase_ == Phase::kTunnel || phase_ == Phase::kBody;
  const uint64_t wanted = phase_ == Phase::kBody ? body_->remaining_hint() : 0;
  // A head that outgrew a small block continues in a large one.
  const bool large =
      (block_ && !body) || phase_ == Phase::kTunnel || wanted > base::Block::kSmallBytes;
  base::BlockPool& pool = worker_.blocks();
  auto next = base::BlockRef::adopt(large ? pool.get_large() : pool.get_small());
  const size_t left = unread();
  if (left > 0) {
    if (left >= next->capacity()) return false;
    std::memcpy(next->data(), block_->data() + at_, left);
    next->fill(static_cast<uint32_t>(left));
    base::copies().head_bytes += left;
  }
  block_ = std::move(next);
  at_ = 0;
  return true;
}

void H1Session::read() noexcept {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (unread() > 0 && !process()) return;
    if (!reads_now() || !stream_.readable()) return;
    if (!make_room()) {
      refuse(base::Reason::kHeadTooLarge);
      return;
    }
    const net::Stream::Read r = stream_.read_some(*block_.get());
    if (r.bytes > 0) {
      if (!process()) return;
    } else if (r.fault || r.eof) {
      on_eof();
      return;
    }
    if (r.drained) {
      if (phase_ == Phase::kIdle && unread() == 0) block_.reset();
      return;
    }
  }
  stream_.read_again();
}

// False: nothing more to do with what was received now.
bool H1Session::process() noexcept {
  switch (phase_) {
    case Phase::kIdle:
    case Phase::kHead:
      return process_head();
    case Phase::kBody:
      return process_body();
    case Phase::kTunnel:
      return process_tunnel();
    default:
      return false;
  }
}

// The first bytes decide what is spoken where the listener takes both.
H1Session::Guess H1Session::guess_codec() noexcept {
  if (config_->value.codec != HttpValue::Codec::kAuto) return Guess::kHttp1;
  const size_t size = std::min(unread(), kPreface.size());
  if (std::memcmp(block_->data() + at_, kPreface.data(), size) != 0) return Guess::kHttp1;
  return size < kPreface.size() ? Guess::kUnknown : Guess::kHttp2;
}

void H1Session::become_http2() noexcept {
  phase_ = Phase::kClosed;
  timer_.cancel();
  again_.unlink();
  count_bytes();
  worker_.become_http2(*this, stream_.release_fd(), std::move(block_), at_);
}

bool H1Session::process_head() noexcept {
  if (phase_ == Phase::kIdle) {
    if (!codec_known_) {
      const Guess guess = guess_codec();
      if (guess == Guess::kUnknown) return true;
      if (guess == Guess::kHttp2) return become_http2(), false;
      count_codec();
    }
    phase_ = Phase::kHead;
    since_ = worker_.loop().now();
    scanned_ = 0;
    exchange_ = worker_.take_exchange();
    exchange_->begin(*this);
  }
  const http::HeadResult r = http::parse_request_head(block_->data() + at_, unread(), scanned_,
                                                      config_->h1, &exchange_->request());
  if (r.status == http::HeadResult::Status::kMore) {
    scanned_ = static_cast<uint32_t>(unread());
    deadline_changed();
    return true;
  }
  ++num_requests_;
  if (r.status == http::HeadResult::Status::kBad) {
    refuse(r.reason);
    return false;
  }
  at_ += r.consumed;
  http::RequestHead& head = exchange_->request();
  keep_alive_ = head.keep_alive;
  const bool has_body = head.framing.kind != http::Framing::Kind::kNone;
  phase_ = has_body ? Phase::kBody : Phase::kResponse;
  if (has_body) {
    body_ = new (exchange_->arena().alloc(sizeof(http::H1BodyDecoder))) http::H1BodyDecoder();
    body_->start(head.framing, &exchange_->arena());
  }
  exchange_->start(block_, has_body, r.consumed);
  if (phase_ == Phase::kBody) return process_body();
  return false;
}

bool H1Session::process_body() noexcept {
  while (phase_ == Phase::kBody) {
    if (!exchange_->wants_body()) return false;
    const auto step = body_->next(block_->data() + at_, unread());
    at_ += step.skip;
    base::View view(block_->data() + at_, step.size, step.size > 0 ? block_ : base::BlockRef());
    at_ += step.size;
    if (step.size > 0) exchange_->on_request_data(std::move(view));
    if (phase_ != Phase::kBody) return false;
    switch (step.kind) {
      case http::H1BodyDecoder::Step::Kind::kData:
        break;
      case http::H1BodyDecoder::Step::Kind::kMore:
        return true;
      case http::H1BodyDecoder::Step::Kind::kEnd:
        phase_ = Phase::kResponse;
        exchange_->on_request_end(body_->has_trailers() ? &body_->trailers() : nullptr);
        return false;
      case http::H1BodyDecoder::Step::Kind::kBad:
        refuse(step.reason);
        return false;
    }
  }
  return false;
}

bool H1Session::process_tunnel() noexcept {
  const auto size = static_cast<uint32_t>(unread());
  if (size == 0) return true;
  base::View view(block_->data() + at_, size, block_);
  at_ += size;
  exchange_->on_request_data(std::move(view));
  return phase_ == Phase::kTunnel;
}

void H1Session::refuse(base::Reason reason) noexcept {
  keep_alive_ = false;
  phase_ = Phase::kResponse;
  exchange_->refuse(reason);
}

void H1Session::on_eof() noexcept {
  if (phase_ == Phase::kTunnel) {
    ended_by_peer_ = true;
    phase_ = Phase::kResponse;
    exchange_->on_request_end(nullptr);
    return;
  }
  close(base::Reason::kDownstreamGone);
}

void H1Session::resume_body() noexcept {
  if (phase_ == Phase::kBody || phase_ == Phase::kTunnel) worker_.loop().again(again_);
}

void H1Session::become_tunnel() noexcept {
  phase_ = Phase::kTunnel;
  keep_alive_ = false;
  worker_.loop().again(again_);
}

void H1Session::exchange_done(bool close_now, bool unread_request) noexcept {
  exchange_ = nullptr;
  body_ = nullptr;
  if (close_now || !keep_alive_ || !stream_.is_open()) {
    phase_ = Phase::kClosed;
    count_bytes();
    if (stream_.is_open()) {
      stream_.close_after_flush(unread_request ? net::Linger::kYes : net::Linger::kNo,
                                config_->delayed_close_timeout_ns);
    }
    destroy_later();
    return;
  }
  phase_ = Phase::kIdle;
  since_ = worker_.loop().now();
  if (unread() == 0) {
    block_.reset();
    at_ = 0;
  }
  deadline_changed();
  if (block_ || stream_.readable() || stream_.peer_closed()) worker_.loop().again(again_);
}

void H1Session::close(base::Reason reason) noexcept {
  if (phase_ == Phase::kClosed) return;
  const bool in_exchange = this->in_exchange();
  phase_ = Phase::kClosed;
  ended_by_peer_ = reason == base::Reason::kDownstreamGone;
  cut_ = exchange_ != nullptr && !exchange_->response_done();
  count_bytes();
  stream_.close_now();
  if (in_exchange) {
    exchange_->on_downstream_gone(reason);  // ends in exchange_done()
  } else {
    destroy_later();
  }
}

void H1Session::cut() noexcept {
  stream_.flush();  // what came before is the client's, as far as it fits in the socket
  count_bytes();
  stream_.reset();
  keep_alive_ = false;
}

void H1Session::destroy_later() noexcept {
  phase_ = Phase::kClosed;
  timer_.cancel();
  again_.unlink();
  block_.reset();
  leave();
}

base::MonoNs H1Session::deadline() const noexcept {
  constexpr auto kNever = net::TimerWheel::kNever;
  switch (phase_) {
    case Phase::kIdle: {
      // Until the first request the head's deadline counts, from accept on.
      const int64_t limit = num_requests_ == 0 && config_->request_headers_timeout_ns != 0
                                ? config_->request_headers_timeout_ns
                                : config_->idle_timeout_ns;
      base::MonoNs at = limit == 0 ? kNever : since_ + limit;
      const int64_t longest = config_->max_connection_duration_ns;
      if (longest != 0) {
        at = std::min(at, accepted_at_ + longest + config_->drain_timeout_ns);
      }
      if (draining_) at = std::min(at, drained_at_ + config_->drain_timeout_ns);
      return at;
    }
    case Phase::kHead:
      return config_->request_headers_timeout_ns == 0
                 ? kNever
                 : since_ + config_->request_headers_timeout_ns;
    case Phase::kClosed:
      return kNever;
    default:
      return exchange_->deadline();
  }
}

void H1Session::deadline_changed() noexcept {
  const base::MonoNs at = deadline();
  if (at != net::TimerWheel::kNever) timer_.arm(worker_.loop().timers(), at);
}

// By the longest duration or by silence.
void H1Session::count_idle_end(base::MonoNs now) noexcept {
  const int64_t longest = config_->max_connection_duration_ns;
  (longest != 0 && now >= accepted_at_ + longest ? cells().downstream_cx_max_duration_reached
                                                 : cells().downstream_cx_idle_timeout)
      .add();
}

void H1Session::on_timer() noexcept {
  const base::MonoNs at = deadline();
  const base::MonoNs now = worker_.loop().now();
  if (at > now) {
    if (at != net::TimerWheel::kNever) timer_.arm(worker_.loop().timers(), at);
    return;
  }
  if (phase_ == Phase::kIdle) {
    if (!draining_) count_idle_end(now);
    close(draining_            ? base::Reason::kDraining
          : num_requests_ == 0 ? base::Reason::kRequestHeaderTimeout
                               : base::Reason::kConnectionIdleTimeout);
  } else if (phase_ == Phase::kHead) {
    cells().downstream_rq_header_timeout.add();
    refuse(base::Reason::kRequestHeaderTimeout);
  } else {
    exchange_->on_deadline(now);
    if (phase_ != Phase::kClosed) deadline_changed();
  }
}

}  // namespace sluice::dataplane
