#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/buffer.h"
#include "base/credit.h"
#include "base/fault.h"
#include "base/reason.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"
#include "http/message.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"
#include "upstream/host.h"

namespace sluice::upstream {

// H1Connection is one HTTP/1.1 connection to an endpoint: connecting, idle in its host's pool, or
// serving one User (an exchange's attempt) from request head to the end of the response.
//
// Worker-local; owned by its host's list and destroyed by the loop after the turn in which it
// closed. It takes the bytes of the response out of received blocks and hands them on as views:
// head, body, end. It allocates nothing in steady state but blocks from the worker's pool; idle it
// holds none. User is the exchange: a template parameter instead of an interface, so that the calls
// are direct. What User has to offer (each call may drop or reset the connection; it is then not
// touched again):
//   http::ResponseHead* response_head(): where to parse into, bound to the exchange's arena
//   http::Method request_method();
//   const http::H1Options& response_options();
//   void on_upstream_informational(), on_upstream_head(), on_upstream_data(View&&),
//   on_upstream_end(http::FieldList* trailers), on_upstream_drained(),
//   on_upstream_broken(Reason, Fault, int error): before or inside the response
// Rules kept here (RFC 9112 6.3, 9.2; http-security R): at most 16 interim responses; a connection
// is used again only if exactly the framed bytes were read, the request was sent whole, both sides
// want it, and nothing else lies in the buffer; bytes on an idle connection close it.
template <class User>
class H1Connection : public net::Deferred, public net::Link {
 public:
  using HostT = Host<User>;
  static constexpr int kMaxInterim = 16;
  static constexpr int kReadsPerTurn = 8;

  // kTcp: it carries a tunnel from its first byte on, for the one user that it gets.
  H1Connection(PoolKind kind, HostT& host, net::Loop& loop, base::BlockPool& blocks) noexcept
      : Deferred([](Deferred* self) noexcept { delete static_cast<H1Connection*>(self); }),
        kind_(kind),
        host_(host),
        loop_(loop),
        blocks_(blocks) {
    stream_.template set_owner<&H1Connection::on_stream>(this);
  }

  net::Stream& stream() noexcept { return stream_; }
  HostT& host() noexcept { return host_; }
  PoolKind kind() const noexcept { return kind_; }
  User* user() noexcept { return user_; }
  bool used_before() const noexcept { return num_requests_ > 1; }
  uint64_t num_requests() const noexcept { return num_requests_; }
  base::MonoNs connect_started() const noexcept { return connect_started_; }
  uint64_t id() const noexcept { return id_; }  // 0: not given yet
  void set_id(uint64_t id) noexcept { id_ = id; }
  // Our end; asks the kernel when first called.
  const base::Address& local() { return local_ ? *local_ : local_.emplace(stream_.local()); }
  // Of the last response, interim ones included.
  uint32_t response_head_bytes() const noexcept { return head_bytes_; }

  bool connect(base::Credit credit) noexcept {
    credit_ = std::move(credit);
    const TransportValue& t = host_.transport->value;
    connect_started_ = loop_.now();
    if (!stream_.connect(loop_, host_.address, connect_options(t))) return false;
    stream_.set_marks(t.buffer_limit_bytes / 4, t.buffer_limit_bytes);
    loop_.arm_in(timer_, t.connect_timeout.count());
    return true;
  }

  // Begins a request; the user then writes it to stream().
  void begin(User* user) noexcept {
    user_ = user;
    ++num_requests_;
    phase_ = Phase::kHead;
    scanned_ = 0;
    head_bytes_ = 0;
    num_interim_ = 0;
    response_done_ = false;
    paused_ = false;
  }

  // The user has no room for more of the response; resume() when it has.
  void pause() noexcept { paused_ = true; }
  void resume() noexcept {
    if (!paused_) return;
    paused_ = false;
    if (user_ == nullptr) return;
    loop_.again(again_);
  }

  // After 101 or a 2xx to CONNECT, or at once: everything from here on is the tunnel's.
  void become_tunnel(base::Arena* arena) noexcept {
    phase_ = Phase::kBody;
    body_.start({http::Framing::Kind::kUntilClose, 0}, arena);
    tunnel_ = true;
    loop_.again(again_);  // the endpoint may have spoken first
  }

  // The user is done with it. Back to the pool if it may be used again, else closed.
  void release(bool reusable) noexcept {
    user_ = nullptr;
    if (reusable && may_reuse()) {
      block_.reset();
      at_ = 0;
      become_idle();
    } else {
      cut_ = !reusable;
      count_last_use();
      close();
    }
  }

  // RST instead of FIN: the request was not sent whole, the backend must not take it for one.
  void abort() noexcept {
    user_ = nullptr;
    cut_ = true;
    host_.cluster->count_bytes(stream_.bytes_received(), stream_.bytes_sent());
    stream_.reset();
    close();
  }

  void close() noexcept;

  bool response_done() const noexcept { return response_done_; }
  uint64_t response_body_bytes() const noexcept { return body_.body_bytes(); }

 private:
  friend class ClusterState<User>;
  enum class Phase : uint8_t { kConnecting, kIdle, kHead, kBody };

  bool may_reuse() const noexcept {
    const uint32_t most = host_.transport->value.max_requests_per_connection;
    return response_done_ && keep_alive_ && !tunnel_ && stream_.is_open() &&
           !stream_.peer_closed() && stream_.buffered() == 0 && unread() == 0 && !host_.removed &&
           (most == 0 || num_requests_ < most);
  }
  size_t unread() const noexcept { return block_ ? block_->filled() - at_ : 0; }
  // Why it is not used again, where that is a rule and no fault.
  void count_last_use() noexcept {
    const uint32_t most = host_.transport->value.max_requests_per_connection;
    base::ClusterCells& cells = host_.cluster->cells();
    if (most != 0 && num_requests_ >= most) cells.upstream_cx_max_requests.add();
    if (!keep_alive_ && !by_peer_ && !tunnel_) cells.upstream_cx_close_notify.add();
  }

  void become_idle() noexcept;
  void on_stream(uint8_t events) noexcept;
  void on_again() noexcept { read(); }
  void on_timer() noexcept;
  void read() noexcept;
  bool make_room() noexcept;
  // False: stop, the user is gone or waits.
  bool process() noexcept;
  bool process_head() noexcept;
  bool process_body() noexcept;
  void on_eof() noexcept;
  // Not a byte of a response has come.
  bool unanswered() const noexcept {
    return phase_ == Phase::kHead && unread() == 0 && num_interim_ == 0;
  }
  void fail_reset(base::Fault fault) noexcept {
    by_peer_ = true;
    fault.replay_safe = unanswered();
    fail(phase_ == Phase::kBody ? base::Reason::kUpstreamTruncated : base::Reason::kUpstreamReset,
         fault, stream_.error());
  }
  void fail(base::Reason reason, base::Fault fault, int error) noexcept;
  void finish(http::FieldList* trailers) noexcept;

  // Read for every response.
  const PoolKind kind_;
  net::Stream stream_;
  HostT& host_;
  net::Loop& loop_;
  base::BlockPool& blocks_;
  User* user_ = nullptr;
  base::BlockRef block_;
  uint32_t at_ = 0;       // bytes of block_ that were taken
  uint32_t scanned_ = 0;  // bytes behind at_ that were looked at for the end of the head
  uint32_t head_bytes_ = 0;
  Phase phase_ = Phase::kConnecting;
  uint8_t num_interim_ = 0;
  bool paused_ = false;
  bool response_done_ = false;
  bool keep_alive_ = true;
  bool tunnel_ = false;
  bool closed_ = false;
  bool by_peer_ = false;  // the endpoint ended it
  bool cut_ = false;      // it ended with a request under way
  uint64_t num_requests_ = 0;
  uint64_t id_ = 0;
  http::H1BodyDecoder body_;
  // Touched when it becomes idle, connects or closes.
  H1Connection* next_idle_ = nullptr;
  H1Connection* previous_idle_ = nullptr;
  base::MonoNs idle_since_ = 0;
  base::MonoNs connect_started_ = 0;
  base::Credit credit_;
  std::optional<base::Address> local_;
  net::Timer timer_ = net::Timer::of<&H1Connection::on_timer>(this);
  net::Call again_ = net::Call::of<&H1Connection::on_again>(this);
};

// --- implementation: one instantiation, in dataplane/exchange.cc ---

template <class User>
void H1Connection<User>::on_stream(uint8_t events) noexcept {
  if (phase_ == Phase::kConnecting) {
    if (events & net::kBroken) {
      host_.cluster->on_connect_failed(*this, base::Reason::kUpstreamConnectFailed);
      return;
    }
    if ((events & net::kConnected) == 0) return;
    timer_.cancel();
    host_.cluster->on_connected(*this);
    return;
  }
  if (phase_ == Phase::kIdle) {  // a byte, a FIN or a reset: of no use any more
    by_peer_ = (events & (net::kPeerClosed | net::kBroken)) != 0;
    close();
    return;
  }
  if (events & net::kDrained) {
    user_->on_upstream_drained();
    if (user_ == nullptr || closed_) return;
  }
  if (events & (net::kReadable | net::kPeerClosed | net::kBroken)) {
    if (stream_.readable()) {
      read();
    } else if (events & net::kBroken) {
      fail_reset(stream_.fault());
    }
  }
}

template <class User>
void H1Connection<User>::on_timer() noexcept {
  if (phase_ == Phase::kConnecting) {
    host_.cluster->on_connect_failed(*this, base::Reason::kUpstreamConnectTimeout);
    return;
  }
  if (phase_ != Phase::kIdle) return;
  const int64_t idle = host_.transport->value.idle_timeout.count();
  if (loop_.now() - idle_since_ >= idle) {
    host_.cluster->cells().upstream_cx_idle_timeout.add();
    close();
  } else {
    loop_.arm(timer_, idle_since_ + idle);
  }
}

template <class User>
bool H1Connection<User>::make_room() noexcept {
  constexpr uint32_t kLeast = 512;
  const bool body = phase_ == Phase::kBody;
  const uint64_t wanted = body ? body_.remaining_hint() : 0;
  if (block_) {
    if (unread() == 0 && block_->sole_owner()) {
      block_->clear();
      at_ = 0;
    }
    if (block_->room() >= kLeast && (!body || wanted <= block_->room())) return true;
    if (block_->room() >= 16 * 1024) return true;
  }
  const bool large = body ? wanted > base::Block::kSmallBytes : host_.large_answers || block_;
  auto next = base::BlockRef::adopt(large ? blocks_.get_large() : blocks_.get_small());
  const size_t left = unread();
  if (left > 0) {  // the beginning of a head that outgrew its block
    if (left >= next->capacity()) return false;
    std::memcpy(next->data(), block_->data() + at_, left);
    next->fill(static_cast<uint32_t>(left));
    base::copies().head_bytes += left;
  }
  block_ = std::move(next);
  at_ = 0;
  return true;
}

template <class User>
void H1Connection<User>::read() noexcept {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    if (user_ == nullptr || closed_ || paused_) return;
    if (unread() > 0 && phase_ == Phase::kBody) {
      if (!process()) return;
    }
    if (!stream_.readable()) return;
    if (!make_room()) {
      fail(base::Reason::kUpstreamHeadTooLarge,
           {base::Fault::Kind::kOverflow, base::Fault::Side::kBackend, false}, 0);
      return;
    }
    const net::Stream::Read r = stream_.read_some(*block_.get());
    if (r.bytes > 0) {
      if (!process()) return;
    } else if (r.fault) {
      fail_reset(r.fault);
      return;
    } else if (r.eof) {
      on_eof();
      return;
    }
    if (r.drained) return;
  }
  stream_.read_again();
}

template <class User>
bool H1Connection<User>::process() noexcept {
  if (phase_ == Phase::kHead && !process_head()) return false;
  if (phase_ == Phase::kBody) return process_body();
  return true;
}

template <class User>
bool H1Connection<User>::process_head() noexcept {
  for (;;) {
    http::ResponseHead* head = user_->response_head();
    const http::HeadResult r =
        http::parse_response_head(block_->data() + at_, unread(), scanned_,
                                  user_->response_options(), user_->request_method(), head);
    if (r.status == http::HeadResult::Status::kMore) {
      scanned_ = static_cast<uint32_t>(unread());
      return true;
    }
    if (r.status == http::HeadResult::Status::kBad) {
      fail(r.reason, {base::Fault::Kind::kProtocol, base::Fault::Side::kBackend, false}, 0);
      return false;
    }
    at_ += r.consumed;
    head_bytes_ += r.consumed;
    scanned_ = 0;
    if (head->status >= 200 || head->status == 101) {
      keep_alive_ = head->keep_alive;
      phase_ = Phase::kBody;
      body_.start(head->framing, head->fields.arena());
      user_->on_upstream_head(block_);
      return user_ != nullptr && !closed_;
    }
    if (++num_interim_ > kMaxInterim) {
      fail(base::Reason::kUpstreamProtocolError,
           {base::Fault::Kind::kProtocol, base::Fault::Side::kBackend, false}, 0);
      return false;
    }
    user_->on_upstream_informational(block_);
    if (user_ == nullptr || closed_) return false;
    if (unread() == 0) return true;
  }
}

template <class User>
bool H1Connection<User>::process_body() noexcept {
  for (;;) {
    if (paused_) return false;
    const auto step = body_.next(block_->data() + at_, unread());
    at_ += step.skip;
    if (step.size > 0) {
      base::View view(block_->data() + at_, step.size, block_);
      at_ += step.size;
      user_->on_upstream_data(std::move(view));
      if (user_ == nullptr || closed_) return false;
    }
    switch (step.kind) {
      case http::H1BodyDecoder::Step::Kind::kData:
        break;
      case http::H1BodyDecoder::Step::Kind::kMore:
        return true;
      case http::H1BodyDecoder::Step::Kind::kEnd:
        finish(body_.has_trailers() ? &body_.trailers() : nullptr);
        return false;
      case http::H1BodyDecoder::Step::Kind::kBad:
        fail(base::Reason::kUpstreamProtocolError,
             {base::Fault::Kind::kProtocol, base::Fault::Side::kBackend, false}, 0);
        return false;
    }
  }
}

template <class User>
void H1Connection<User>::finish(http::FieldList* trailers) noexcept {
  response_done_ = true;
  host_.large_answers = body_.body_bytes() > base::Block::kSmallBytes - 512;
  user_->on_upstream_end(trailers);
}

template <class User>
void H1Connection<User>::on_eof() noexcept {
  by_peer_ = true;
  if (phase_ == Phase::kBody && body_.on_eof()) {
    keep_alive_ = false;
    finish(nullptr);
    return;
  }
  const bool answered = phase_ == Phase::kBody;
  fail(answered ? base::Reason::kUpstreamTruncated : base::Reason::kUpstreamClosed,
       {base::Fault::Kind::kClosed, base::Fault::Side::kBackend, unanswered()}, 0);
}

template <class User>
void H1Connection<User>::fail(base::Reason reason, base::Fault fault, int error) noexcept {
  User* user = std::exchange(user_, nullptr);
  cut_ = user != nullptr;
  close();
  if (user != nullptr) user->on_upstream_broken(reason, fault, error);
}

template <class User>
void H1Connection<User>::become_idle() noexcept {
  phase_ = Phase::kIdle;
  idle_since_ = loop_.now();
  const int64_t idle = host_.transport->value.idle_timeout.count();
  if (idle > 0 && !timer_.armed()) loop_.arm(timer_, idle_since_ + idle);
  host_.cluster->on_idle(*this);
}

template <class User>
void H1Connection<User>::close() noexcept {
  if (closed_) return;
  closed_ = true;
  again_.unlink();
  timer_.cancel();
  user_ = nullptr;
  block_.reset();
  host_.cluster->count_bytes(stream_.bytes_received(), stream_.bytes_sent());
  stream_.close_now();
  host_.cluster->on_closed(*this);
  loop_.defer_destroy(this);
}

}  // namespace sluice::upstream
