#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/buffer.h"
#include "base/credit.h"
#include "base/fault.h"
#include "base/reason.h"
#include "http/h2_codec.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"
#include "upstream/h2_keepalive.h"
#include "upstream/h2_reader.h"
#include "upstream/host.h"

namespace sluice::upstream {

template <class User>
class H2Connection;

// H2Call is one stream to an endpoint as its User (an exchange's attempt) has it, in the user's
// arena. The user ends it with end(); the connection tells it everything before that.
template <class User>
class H2Call : public net::Link {
 public:
  H2Call(H2Connection<User>& connection, User* user) noexcept
      : stream_(this, user->response_held()), connection_(connection), user_(user) {}

  http::H2Stream& stream() noexcept { return stream_; }
  H2Connection<User>& connection() noexcept { return connection_; }
  bool response_done() const noexcept { return response_done_; }

  // The user has no room for more of the response; resume() when it has.
  void pause() noexcept { paused_ = true; }
  void resume() noexcept {
    paused_ = false;
    connection_.give_window(*this);
  }

 private:
  friend class H2Connection<User>;
  http::H2Stream stream_;
  H2Connection<User>& connection_;
  User* user_;
  uint32_t held_bytes_ = 0;  // received, but the stream's window is not opened for them yet
  bool paused_ = false;
  bool response_done_ = false;
  bool interim_seen_ = false;
  uint8_t num_interim_ = 0;
};

// H2Connection is one HTTP/2 connection to an endpoint, shared by as many users as the endpoint
// allows streams: it feeds received blocks to the codec and tells each user what concerns it; the
// codec makes its frames once per turn, right before the stream's gathered write.
//
// Worker-local; owned by its host's lists and destroyed by the loop after the turn in which it
// closed. Allocates nothing in steady state; idle it holds no block. User is a template parameter
// as with H1Connection, and has to offer the same calls. A stream that the endpoint refused, or
// that lies above the last id of its GOAWAY, breaks replay-safe (RFC 9113 8.7): the user may try
// elsewhere. After GOAWAY, max_requests_per_connection, or when its host was removed, it takes no
// new streams and closes with the last one.
template <class User>
class H2Connection : public net::Deferred, public net::Link {
 public:
  using HostT = Host<User>;
  using Call = H2Call<User>;
  using Pool = H2Pool<User>;
  static constexpr int kMaxInterim = 16;

  H2Connection(HostT& host, net::Loop& loop, base::BlockPool& blocks, base::Slab& slab,
               base::H2Cells& cells, base::Random& random) noexcept
      : Deferred([](Deferred* self) noexcept { delete static_cast<H2Connection*>(self); }),
        host_(host),
        loop_(loop),
        random_(random),
        codec_(http::H2Codec::Role::kClient, host.transport->h2_options, slab, blocks, cells),
        reader_(*this, stream_, codec_, loop, blocks) {
    stream_.template set_owner<&H2Connection::on_stream>(this);
    stream_.template set_filler<&H2Connection::on_fill, H2Connection>();
  }

  net::Stream& stream() noexcept { return stream_; }
  http::H2Codec& codec() noexcept { return codec_; }
  static constexpr PoolKind kind() noexcept { return PoolKind::kHttp2; }
  HostT& host() noexcept { return host_; }
  bool used_before() const noexcept { return num_requests_ > 1; }
  base::MonoNs connect_started() const noexcept { return connect_started_; }
  uint64_t id() const noexcept { return id_; }  // 0: not given yet
  void set_id(uint64_t id) noexcept { id_ = id; }
  // Our end; asks the kernel when first called.
  const base::Address& local() { return local_ ? *local_ : local_.emplace(stream_.local()); }
  uint32_t num_calls() const noexcept { return num_calls_; }

  bool connect(base::Credit credit) noexcept;
  // It takes one more stream now.
  bool can_open() const noexcept {
    if (phase_ != Phase::kOpen || draining_ || stream_.peer_closed()) return false;
    if (!codec_.can_open()) return false;
    return settled_ ||
           num_calls_ < (host_.h2.stream_limit == Pool::kUnknownLimit ? 1 : host_.h2.stream_limit);
  }
  bool connecting() const noexcept { return phase_ == Phase::kConnecting; }

  // ---- For the user.
  // Begins a stream; the user then sends its request with codec(). Counts towards can_open().
  void add(Call& call) noexcept {
    calls_.push_back(call);
    ++num_calls_;
    ++num_requests_;
    const uint32_t most = host_.transport->value.max_requests_per_connection;
    if (most != 0 && num_requests_ >= most) {
      draining_ = true;
      host_.cluster->cells().upstream_cx_max_requests.add();
    }
    if (keepalive_.stale(loop_.now())) ping();
  }
  void mark_dirty() noexcept { stream_.mark_dirty(); }
  void give_window(Call& call) noexcept {
    const uint32_t bytes = std::exchange(call.held_bytes_, 0);
    if (bytes == 0 || closed_) return;
    codec_.consume(call.stream_, bytes);
    stream_.mark_dirty();
  }
  // The user is done with the stream; *call ends here. True: it was cut short.
  bool end(Call& call, bool request_sent) noexcept;

  // Take no new streams; close with the last.
  void drain() noexcept {
    draining_ = true;
    if (num_calls_ == 0) close();
  }
  void close() noexcept;

 private:
  friend class ClusterState<User>;
  friend struct H2Pool<User>;
  enum class Phase : uint8_t { kConnecting, kOpen };
  using Event = http::H2Codec::Event;

  void on_stream(uint8_t events) noexcept;
  void on_fill() noexcept {
    constexpr size_t kMostUnsent = 256 * 1024;
    if (phase_ != Phase::kOpen || stream_.buffered() >= kMostUnsent) return;
    codec_.produce(&stream_.out(), kMostUnsent);
  }
  void on_written() noexcept;
  void on_timer() noexcept;
  void ping() noexcept;
  void arm() noexcept;
  base::MonoNs deadline() const noexcept;
  // From the reader.
  friend class H2Reader<H2Connection>;
  void on_event(Event& event) noexcept;
  void on_end(const net::Stream::Read& r) noexcept;
  void on_read() noexcept {
    if (keepalive_.heard(loop_.now())) arm();
    if (draining_ && num_calls_ == 0) close();
  }
  void take_head(Call& call, const Event& event) noexcept;
  void take_interim(Call& call) noexcept;
  void take_data(Call& call, Event& event) noexcept;
  void take_news() noexcept;
  void finish(Call& call, http::FieldList* trailers) noexcept;
  void break_call(Call& call) noexcept;
  void fail_all(base::Reason reason, base::Fault fault, int error) noexcept;

  net::Stream stream_;
  HostT& host_;
  net::Loop& loop_;
  base::Random& random_;
  http::H2Codec codec_;
  H2Reader<H2Connection> reader_;
  Phase phase_ = Phase::kConnecting;
  bool draining_ = false;
  bool closed_ = false;
  bool by_peer_ = false;  // the endpoint ended it
  bool cut_ = false;      // it ended with requests under way
  bool settled_ = false;  // the endpoint's SETTINGS came
  bool ready_ = false;    // stands in its host's list of those that take streams
  uint32_t num_calls_ = 0;
  uint64_t num_requests_ = 0;
  uint64_t id_ = 0;
  Call* current_ = nullptr;  // being handled; null when it ended meanwhile
  net::List calls_;
  base::MonoNs idle_since_ = 0;
  base::MonoNs connect_started_ = 0;
  std::optional<base::Address> local_;
  H2Keepalive keepalive_;
  base::Credit credit_;
  net::Timer timer_ = net::Timer::of<&H2Connection::on_timer>(this);
};

// --- implementation: one instantiation, in dataplane/exchange.cc ---

template <class User>
bool H2Connection<User>::connect(base::Credit credit) noexcept {
  credit_ = std::move(credit);
  const TransportValue& t = host_.transport->value;
  connect_started_ = loop_.now();
  if (!stream_.connect(loop_, host_.address, connect_options(t))) return false;
  stream_.set_marks(t.buffer_limit_bytes / 4, t.buffer_limit_bytes);
  loop_.arm_in(timer_, t.connect_timeout.count());
  return codec_.start();
}

template <class User>
void H2Connection<User>::on_stream(uint8_t events) noexcept {
  if (closed_) return;
  if (phase_ == Phase::kConnecting) {
    if (events & net::kBroken) {
      return host_.cluster->on_connect_failed(*this, base::Reason::kUpstreamConnectFailed);
    }
    if ((events & net::kConnected) == 0) return;
    timer_.cancel();
    phase_ = Phase::kOpen;
    idle_since_ = loop_.now();
    keepalive_.start(host_.transport->value.h2, loop_.now(), random_);
    host_.cluster->on_connected(*this);
    if (closed_) return;
    stream_.mark_dirty();
    arm();
  }
  if (events & net::kBroken) {
    by_peer_ = true;
    const base::Fault fault = stream_.fault();
    fail_all(base::Reason::kUpstreamReset, fault, stream_.error());
    return close();
  }
  if (events & net::kWritten) on_written();
  if (closed_) return;
  if (events & (net::kReadable | net::kPeerClosed)) reader_.read();
}

template <class User>
void H2Connection<User>::on_written() noexcept {
  take_news();
  if (closed_) return;
  if (codec_.finished() && stream_.buffered() == 0 && num_calls_ == 0) return close();
  if (codec_.wants_output() && stream_.buffered() == 0) stream_.mark_dirty();
  reader_.go_on();
}

template <class User>
void H2Connection<User>::on_end(const net::Stream::Read& r) noexcept {
  by_peer_ = true;
  const base::Fault fault{r.fault ? r.fault.kind : base::Fault::Kind::kClosed,
                          base::Fault::Side::kBackend, false};
  fail_all(r.fault ? base::Reason::kUpstreamReset : base::Reason::kUpstreamClosed, fault,
           stream_.error());
  close();
}

template <class User>
void H2Connection<User>::on_event(Event& event) noexcept {
  using Kind = typename Event::Kind;
  Call* call = event.stream == nullptr ? nullptr : static_cast<Call*>(event.stream->owner());
  switch (event.kind) {
    case Kind::kInterim:
      return take_interim(*call);
    case Kind::kHead:
      return take_head(*call, event);
    case Kind::kData:
      return take_data(*call, event);
    case Kind::kTrailers:
      return finish(*call, &call->stream_.trailers());
    case Kind::kGoaway:
      host_.cluster->on_goaway(*this);
      return;
    case Kind::kSettings:
      host_.h2.stream_limit = std::min(codec_.max_concurrent_streams(), Pool::kUnknownLimit - 1);
      host_.cluster->on_more_streams(*this);
      return;
    case Kind::kFailed:
      host_.cluster->cells().upstream_cx_protocol_error.add();
      fail_all(base::Reason::kUpstreamProtocolError,
               {base::Fault::Kind::kProtocol, base::Fault::Side::kBackend, false}, 0);
      if (closed_) return;
      if (stream_.connected()) {  // our GOAWAY says why
        codec_.produce(&stream_.out(), 4096);
        stream_.flush();
      }
      return close();
    case Kind::kBegin:
    case Kind::kPong:
    case Kind::kNone:
      return;
  }
}

template <class User>
void H2Connection<User>::take_interim(Call& call) noexcept {
  if (++call.num_interim_ > kMaxInterim) {
    codec_.reset(call.stream_, http::H2Error::kEnhanceYourCalm);
    stream_.mark_dirty();
    call.user_->on_upstream_broken(
        base::Reason::kUpstreamProtocolError,
        {base::Fault::Kind::kProtocol, base::Fault::Side::kBackend, false}, 0);
    return;
  }
  call.user_->on_upstream_informational({});
}

template <class User>
void H2Connection<User>::take_head(Call& call, const Event& event) noexcept {
  current_ = &call;
  call.user_->on_upstream_head({});
  if (current_ != nullptr && event.end) finish(call, nullptr);
  current_ = nullptr;
}

template <class User>
void H2Connection<User>::take_data(Call& call, Event& event) noexcept {
  call.held_bytes_ += event.data.size;
  current_ = &call;
  if (event.data.size > 0) call.user_->on_upstream_data(std::move(event.data));
  if (current_ != nullptr && !call.paused_) give_window(call);
  if (current_ != nullptr && event.end) finish(call, nullptr);
  current_ = nullptr;
}

template <class User>
void H2Connection<User>::finish(Call& call, http::FieldList* trailers) noexcept {
  call.response_done_ = true;
  call.user_->on_upstream_end(trailers);
}

template <class User>
void H2Connection<User>::take_news() noexcept {
  uint8_t news = 0;
  while (http::H2Stream* stream = codec_.take_news(&news)) {
    Call& call = *static_cast<Call*>(stream->owner());
    current_ = &call;
    if (news & http::H2Stream::kDrained) call.user_->on_upstream_drained();
    if (current_ != nullptr && (news & (http::H2Stream::kClosed | http::H2Stream::kUnsent))) {
      break_call(call);
    }
    current_ = nullptr;
    if (closed_) return;
  }
}

// The stream is over before its response was.
template <class User>
void H2Connection<User>::break_call(Call& call) noexcept {
  if (call.response_done_) return;
  const http::H2Stream& s = call.stream_;
  base::Fault fault{base::Fault::Kind::kReset, base::Fault::Side::kBackend, s.refused()};
  base::Reason reason = base::Reason::kUpstreamRemoteReset;
  if (s.refused()) {
    reason = base::Reason::kUpstreamRefusedStream;
  } else if (!s.by_peer()) {
    reason = base::Reason::kUpstreamProtocolError;
    fault.kind = base::Fault::Kind::kProtocol;
  }
  call.user_->on_upstream_broken(reason, fault, 0);
}

template <class User>
void H2Connection<User>::fail_all(base::Reason reason, base::Fault fault, int error) noexcept {
  draining_ = true;
  cut_ = num_calls_ != 0;
  host_.cluster->on_no_more_streams(*this);
  ++host_.holds;
  net::List calls;
  calls.take(calls_);
  while (net::Link* link = calls.next(nullptr)) {
    Call& call = *static_cast<Call*>(link);
    base::Fault own = fault;
    own.replay_safe = call.stream_.id() == 0;  // not a byte of it was sent
    call.user_->on_upstream_broken(reason, own, error);
  }
  --host_.holds;
}

template <class User>
bool H2Connection<User>::end(Call& call, bool request_sent) noexcept {
  if (current_ == &call) current_ = nullptr;
  const bool whole = call.response_done_ && request_sent;
  if (!closed_ && call.stream_.codec() != nullptr && !whole) {
    codec_.reset(call.stream_, call.response_done_ ? http::H2Error::kNone : http::H2Error::kCancel);
    stream_.mark_dirty();
  }
  const bool cut = !call.response_done_;
  call.~Call();
  --num_calls_;
  if (closed_) return cut;
  if (num_calls_ == 0) {
    idle_since_ = loop_.now();
    arm();
  }
  host_.cluster->on_call_over(*this);
  return cut;
}

template <class User>
base::MonoNs H2Connection<User>::deadline() const noexcept {
  const int64_t idle = host_.transport->value.idle_timeout.count();
  const base::MonoNs at = keepalive_.deadline();
  return num_calls_ == 0 && idle > 0 ? std::min(at, idle_since_ + idle) : at;
}

template <class User>
void H2Connection<User>::arm() noexcept {
  const base::MonoNs at = deadline();
  if (!closed_ && at != net::TimerWheel::kNever) loop_.arm(timer_, at);
}

template <class User>
void H2Connection<User>::on_timer() noexcept {
  if (phase_ == Phase::kConnecting) {
    return host_.cluster->on_connect_failed(*this, base::Reason::kUpstreamConnectTimeout);
  }
  const base::MonoNs now = loop_.now();
  if (deadline() > now) return arm();
  const int64_t idle = host_.transport->value.idle_timeout.count();
  if (num_calls_ == 0 && idle > 0 && now >= idle_since_ + idle) {
    host_.cluster->cells().upstream_cx_idle_timeout.add();
    return close();
  }
  switch (keepalive_.step(now, random_)) {
    case H2Keepalive::Step::kNothing:
      return arm();
    case H2Keepalive::Step::kPing:
      return ping();
    case H2Keepalive::Step::kDead:
      host_.cluster->h2_cells().keepalive_timeout.add();
      fail_all(base::Reason::kUpstreamReset,
               {base::Fault::Kind::kTimeout, base::Fault::Side::kBackend, false}, 0);
      return close();
  }
}

template <class User>
void H2Connection<User>::ping() noexcept {
  keepalive_.sent(loop_.now());
  codec_.ping(num_requests_);
  stream_.mark_dirty();
  arm();
}

template <class User>
void H2Connection<User>::close() noexcept {
  if (closed_) return;
  closed_ = true;
  reader_.stop();
  timer_.cancel();
  host_.cluster->count_bytes(stream_.bytes_received(), stream_.bytes_sent());
  stream_.close_now();
  host_.cluster->on_closed(*this);
  loop_.defer_destroy(this);
}

}  // namespace sluice::upstream
