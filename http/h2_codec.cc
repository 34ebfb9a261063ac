#include "http/h2_codec.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "http/h2_library.h"

namespace sluice::http {

namespace {

constexpr std::string_view kPrefaceText = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const uint8_t* bytes_of(const char* data) noexcept {
  return reinterpret_cast<const uint8_t*>(data);
}

H2Error error_of(int rv) noexcept {
  switch (rv) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      return H2Error::kEnhanceYourCalm;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
      return H2Error::kProtocol;
    default:
      return H2Error::kInternal;
  }
}

}  // namespace

H2Codec::H2Codec(Role role, const H2Options& options, base::Slab& slab, base::BlockPool& blocks,
                 base::H2Cells& cells) noexcept
    : role_(role),
      options_(options),
      slab_(slab),
      blocks_(blocks),
      cells_(cells),
      limits_(options) {
  if (role == Role::kServer) phase_ = Phase::kPreface;
}

H2Codec::~H2Codec() {
  while (news_ != nullptr) news_->leave_news();
  while (streams_ != nullptr) detach(streams_);
  nghttp2_session_del(session_);
  cells_.outbound_frames_active.sub(frames_noted_);
  cells_.outbound_control_frames_active.sub(control_noted_);
}

bool H2Codec::start() noexcept {
  const bool server = role_ == Role::kServer;
  session_ = new_h2_session(server, options_, slab_, this);
  if (session_ == nullptr) {
    alive_ = false;
    failure_ = {H2Error::kInternal, "no memory", false};
    return false;
  }
  nghttp2_settings_entry entries[8];
  size_t n = 0;
  const auto set = [&](nghttp2_settings_id id, uint32_t value) {
    entries[n++] = {static_cast<int32_t>(id), value};
  };
  if (options_.hpack_table_size != 4096) {
    set(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options_.hpack_table_size);
  }
  if (server) {
    set(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_concurrent_streams);
    if (options_.allow_connect) set(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    // No tree of priorities (RFC 9218 2.1); streams take turns, see share_evenly().
    set(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1);
  } else {
    set(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  }
  set(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.initial_stream_window);
  set(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options_.max_head_bytes);
  const auto window = static_cast<int32_t>(
      std::min<uint32_t>(options_.initial_connection_window, std::numeric_limits<int32_t>::max()));
  if (nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, entries, n) != 0 ||
      nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, window) != 0) {
    fatal(NGHTTP2_ERR_NOMEM);
    return false;
  }
  flush();
  return alive_;
}

// ---- Receiving.

H2Codec::Event H2Codec::feed(const char* data, uint32_t size, const base::BlockRef& block,
                             base::MonoNs now) noexcept {
  Event event;
  if (alive_) {
    now_ = now;
    event_ = &event;
    source_ = &block;
    if (phase_ == Phase::kPayload) {
      event.consumed = std::min(size, left_);
      if (watch_payload(data, event.consumed)) give(data, event.consumed, event.consumed);
    } else if (phase_ == Phase::kHeader) {
      event.consumed = take_header(data, size);
    } else {
      event.consumed = take_preface(data, size);
    }
    event_ = nullptr;
    source_ = nullptr;
    note_waiting();
  }
  if (!alive_) {
    event = Event();
    event.kind = Event::Kind::kFailed;
  }
  return event;
}

bool H2Codec::wants_input() const noexcept {
  return alive_ && frames_noted_ <= options_.max_outbound_control_frames;
}

uint32_t H2Codec::take_preface(const char* data, uint32_t size) noexcept {
  const uint32_t n =
      std::min(size, static_cast<uint32_t>(kPrefaceText.size()) - uint32_t{header_size_});
  if (std::memcmp(data, kPrefaceText.data() + header_size_, n) != 0) {
    die(H2Error::kProtocol, "no connection preface of HTTP/2", false);
    return 0;
  }
  header_size_ = static_cast<uint8_t>(header_size_ + n);
  if (header_size_ == kPrefaceText.size()) {
    phase_ = Phase::kHeader;
    header_size_ = 0;
  }
  return n;
}

uint32_t H2Codec::take_header(const char* data, uint32_t size) noexcept {
  const uint32_t n = std::min(size, H2Frame::kHeaderBytes - header_size_);
  std::memcpy(header_ + header_size_, data, n);
  if (header_size_ + n < H2Frame::kHeaderBytes) {
    header_size_ = static_cast<uint8_t>(header_size_ + n);
    return n;
  }
  if (!header_counted_) {
    frame_ = H2Frame::read(header_);
    if (!check_header()) return 0;
    header_counted_ = true;
    const bool begins = begins_request();
    if (!alive_) return 0;
    if (begins) {
      event_->kind = Event::Kind::kBegin;
      return 0;
    }
  }
  const uint32_t payload = std::min(size - n, frame_.length);
  const bool in_one_piece = header_size_ == 0;
  phase_ = Phase::kPayload;
  left_ = frame_.length;
  header_size_ = 0;
  header_counted_ = false;
  num_watched_ = 0;
  touched_ = false;
  if (payload != 0 && !watch_payload(data + n, payload)) return 0;
  if (in_one_piece) {
    give(data, n + payload, payload);
  } else {
    give(reinterpret_cast<const char*>(header_), H2Frame::kHeaderBytes, 0);
    if (alive_ && payload != 0) give(data + n, payload, payload);
  }
  return n + payload;
}

// Limits, before nghttp2 sees the frame.
bool H2Codec::check_header() noexcept {
  using Type = H2Frame::Type;
  H2Limits::Breach found = limits_.on_frame(frame_.type);
  if (frame_.is(Type::kReset) && role_ == Role::kServer) found = limits_.on_reset(now_);
  const bool content =
      frame_.is(Type::kData) || frame_.is(Type::kHeaders) || frame_.is(Type::kContinuation);
  if (content && (!frame_.has(H2Frame::kPadded) || frame_.is(Type::kContinuation))) {
    const bool end = frame_.has(H2Frame::kEndStream) && !frame_.is(Type::kContinuation);
    const H2Limits::Breach empty = limits_.on_content(frame_.length == 0, end);
    if (found == H2Limits::Breach::kNone) found = empty;
  }
  if (found != H2Limits::Breach::kNone) {
    breach(found);
  } else if (frame_.is(Type::kPriority) && frame_.stream_id == 0) {
    die(H2Error::kProtocol, "PRIORITY for stream 0", false);
  } else if (frame_.is(Type::kPushPromise)) {
    // Our SETTINGS came before any request that a promise could be for.
    die(H2Error::kProtocol, "PUSH_PROMISE though nobody may push", false);
  }
  return alive_;
}

// Does a new request begin with this frame, as far as can be seen? Once per frame.
bool H2Codec::begins_request() noexcept {
  if (!frame_.is(H2Frame::Type::kHeaders) || role_ != Role::kServer || in_head_ ||
      frame_.stream_id % 2 == 0 || frame_.stream_id <= last_begun_) {
    return false;
  }
  last_begun_ = frame_.stream_id;
  // For nghttp2 a stream is open until its reset was serialised.
  if (resets_queued_ != 0) flush();
  return alive_ && settled_ && !last_id_sent_ && frame_.length <= H2Frame::kMaxPayload &&
         num_streams_ < options_.max_concurrent_streams;
}

// What the first bytes of a payload say that nghttp2 does not look at.
bool H2Codec::watch_payload(const char* data, uint32_t size) noexcept {
  using Type = H2Frame::Type;
  const bool padded =
      frame_.has(H2Frame::kPadded) && (frame_.is(Type::kData) || frame_.is(Type::kHeaders));
  const uint32_t wanted = padded                           ? 1
                          : frame_.is(Type::kPriority)     ? 5
                          : frame_.is(Type::kWindowUpdate) ? 4
                                                           : 0;
  if (num_watched_ >= wanted) return true;
  while (size != 0 && num_watched_ < wanted) {
    watched_[num_watched_++] = static_cast<uint8_t>(*data++);
    --size;
  }
  if (num_watched_ < wanted) return true;
  if (padded) {
    const bool empty = frame_.length <= uint32_t{watched_[0]} + 1;
    const H2Limits::Breach found = limits_.on_content(empty, frame_.has(H2Frame::kEndStream));
    if (found != H2Limits::Breach::kNone) breach(found);
  } else if (frame_.is(Type::kWindowUpdate)) {
    // For a stream that is open nghttp2 says so too; one that just ended should not change that.
    if (H2Frame::read32(watched_) == 0) {
      die(H2Error::kProtocol, "WINDOW_UPDATE: increment 0", false);
    }
  } else if (H2Frame::read32(watched_) == static_cast<uint32_t>(frame_.stream_id)) {
    die(H2Error::kProtocol, "PRIORITY: a stream depends on itself", false);
  }
  return alive_;
}

// `payload` of the bytes are the frame's, the others its header.
void H2Codec::give(const char* data, uint32_t size, uint32_t payload) noexcept {
  const size_t queued = nghttp2_session_get_outbound_queue_size(session_);
  left_ -= payload;
  const ssize_t rv = nghttp2_session_mem_recv(session_, bytes_of(data), size);
  if (rv < 0) return fatal(static_cast<int>(rv));
  after_give(queued);
  if (alive_ && left_ == 0) end_of_frame();
}

void H2Codec::after_give(size_t queued_before) noexcept {
  reset_by_peer_ = 0;
  closed_by_goaway_ = false;
  // The answers that nghttp2 always gives to PING and SETTINGS wait for produce(). Whatever else
  // came into its queue is a reset or the end of the connection: serialised now, so that streams
  // and user learn of it with this frame.
  const bool answered = left_ == 0 && !frame_.has(H2Frame::kAck) &&
                        (frame_.is(H2Frame::Type::kPing) || frame_.is(H2Frame::Type::kSettings));
  if (nghttp2_session_get_outbound_queue_size(session_) > queued_before + (answered ? 1 : 0)) {
    flush();
  }
  if (breach_ != H2Limits::Breach::kNone) breach(breach_);
  if (!alive_) return;
  if (arrived_ != 0) {
    const size_t queued = nghttp2_session_get_outbound_queue_size(session_);
    if (nghttp2_session_consume_connection(session_, arrived_) != 0) {
      return fatal(NGHTTP2_ERR_NOMEM);
    }
    arrived_ = 0;
    if (nghttp2_session_get_outbound_queue_size(session_) > queued) ++updates_queued_;
  }
}

void H2Codec::end_of_frame() noexcept {
  using Type = H2Frame::Type;
  phase_ = Phase::kHeader;
  if (frame_.is(Type::kHeaders) || frame_.is(Type::kPushPromise) ||
      frame_.is(Type::kContinuation)) {
    in_head_ = !frame_.has(H2Frame::kEndHeaders);
    // nghttp2 did not take what looked like a request.
    if (pending_ != nullptr) close(pending_, H2Error::kRefusedStream, false);
  } else if (frame_.is(Type::kSettings)) {
    settled_ = true;
  }
  // RFC 9113 5.1: what the peer itself ended, or passed over, it may not go on with.
  const bool of_stream = frame_.is(Type::kHeaders) || frame_.is(Type::kData);
  if (of_stream && !touched_ && role_ == Role::kServer && !may_still_come(frame_.stream_id)) {
    die(H2Error::kStreamClosed, "a frame for a stream that its sender closed", false);
  }
}

void H2Codec::remember_reset(int32_t id) noexcept {
  int32_t& slot = reset_ids_[num_reset_ids_++ % kMaxResetIds];
  forgiven_ = std::max(forgiven_, slot);
  slot = id;
}

// May the peer have sent this before it knew that the stream is closed?
bool H2Codec::may_still_come(int32_t id) const noexcept {
  if (last_id_sent_ || id <= forgiven_ || nghttp2_session_find_stream(session_, id) != nullptr) {
    return true;
  }
  return std::find(std::begin(reset_ids_), std::end(reset_ids_), id) != std::end(reset_ids_);
}

void H2Codec::open(H2Stream* stream, RequestHead* head, base::Arena* arena) noexcept {
  *head = RequestHead();
  head->fields.bind(arena);
  stream->id_ = frame_.stream_id;
  stream->request_ = head;
  attach(stream, arena);
  pending_ = stream;
}

void H2Codec::consume(H2Stream& stream, uint32_t bytes) noexcept {
  if (stream.codec_ != this || stream.received_end_ || bytes == 0) return;
  const size_t queued = nghttp2_session_get_outbound_queue_size(session_);
  if (nghttp2_session_consume_stream(session_, stream.id_, bytes) != 0) {
    return fatal(NGHTTP2_ERR_NOMEM);
  }
  if (nghttp2_session_get_outbound_queue_size(session_) > queued) ++updates_queued_;
}

// ---- Streams.

H2Stream::~H2Stream() {
  if (codec_ != nullptr) codec_->destroyed(*this);
  leave_news();
}

void H2Stream::leave_news() noexcept {
  news_ = 0;
  if (news_at_ == nullptr) return;
  *news_at_ = next_news_;
  if (next_news_ != nullptr) next_news_->news_at_ = news_at_;
  news_at_ = nullptr;
}

void H2Codec::attach(H2Stream* stream, base::Arena* arena) noexcept {
  stream->arena_ = arena;
  stream->codec_ = this;
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->at_ = &stream->next_;
  stream->at_ = &streams_;
  streams_ = stream;
  ++num_streams_;
  cells_.streams_active.add();
}

void H2Codec::detach(H2Stream* stream) noexcept {
  *stream->at_ = stream->next_;
  if (stream->next_ != nullptr) stream->next_->at_ = stream->at_;
  stream->codec_ = nullptr;
  if (pending_ == stream) pending_ = nullptr;
  if (receiving_ == stream) receiving_ = nullptr;
  cells_.pending_send_bytes.sub(static_cast<int64_t>(stream->out_.bytes()));
  stream->out_.clear();
  --num_streams_;
  cells_.streams_active.sub();
}

void H2Codec::close(H2Stream* stream, H2Error error, bool by_peer) noexcept {
  stream->error_ = error;
  stream->by_peer_ = by_peer;
  stream->refused_ |= by_peer && role_ == Role::kClient && error == H2Error::kRefusedStream;
  detach(stream);
  tell(stream, H2Stream::kClosed);
}

void H2Codec::tell(H2Stream* stream, uint8_t news) noexcept {
  stream->news_ |= news;
  if (stream->news_at_ != nullptr) return;
  stream->next_news_ = news_;
  if (news_ != nullptr) news_->news_at_ = &stream->next_news_;
  stream->news_at_ = &news_;
  news_ = stream;
}

H2Stream* H2Codec::take_news(uint8_t* news) noexcept {
  H2Stream* const stream = news_;
  if (stream != nullptr) {
    *news = stream->news_;
    stream->leave_news();
  }
  return stream;
}

// All but bodies, into what goes first with the next produce().
void H2Codec::flush() noexcept {
  serialise(&ready_, std::numeric_limits<size_t>::max(), Until::kControl);
}

// An answer that was given is sent, though its stream is given up in the same turn. (A request is
// not: nghttp2 forgets it, and no harm is done.)
void H2Codec::flush_head(const H2Stream& stream) noexcept {
  if (alive_ && role_ == Role::kServer && stream.head_waits_) flush();
}

void H2Codec::reset(H2Stream& stream, H2Error code) noexcept {
  flush_head(stream);
  if (stream.codec_ == this) {
    const bool known = pending_ != &stream;
    detach(&stream);
    if (known && alive_) {
      nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
      if (nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_,
                                    static_cast<uint32_t>(code)) != 0) {
        fatal(NGHTTP2_ERR_NOMEM);
      }
      ++resets_queued_;
    }
  }
  stream.leave_news();
}

void H2Codec::destroyed(H2Stream& stream) noexcept {
  if (role_ == Role::kClient) return reset(stream, H2Error::kCancel);
  flush_head(stream);
  reset(stream, stream.sent_end_ ? H2Error::kNone : H2Error::kInternal);
}

// ---- Ends.

void H2Codec::announce_shutdown() noexcept {
  if (!alive_ || announced_) return;
  announced_ = true;
  if (role_ == Role::kServer && nghttp2_submit_shutdown_notice(session_) != 0) {
    fatal(NGHTTP2_ERR_NOMEM);
  }
}

void H2Codec::finish_shutdown() noexcept {
  if (!alive_ || last_id_sent_) return;
  announced_ = last_id_sent_ = true;
  if (nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                            nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                            nullptr, 0) != 0) {
    return fatal(NGHTTP2_ERR_NOMEM);
  }
  flush();  // from here on nghttp2 ignores new streams, and so do we
}

void H2Codec::fail(H2Error code, std::string_view detail) noexcept { die(code, detail, false); }

void H2Codec::breach(H2Limits::Breach found) noexcept {
  breach_ = H2Limits::Breach::kNone;
  if (alive_) die(H2Error::kEnhanceYourCalm, H2Limits::count(found, cells_), true);
}

// nghttp2 may not be asked anything any more.
void H2Codec::fatal(int rv) noexcept { die(error_of(rv), nghttp2_strerror(rv), false); }

// From here on nghttp2 is not called any more; what it had to send is forgotten but for what is
// ready, and GOAWAY follows that.
void H2Codec::die(H2Error code, std::string_view detail, bool limit) noexcept {
  if (!alive_) return;
  uint8_t goaway[H2Frame::kHeaderBytes + 8];
  const H2Frame frame{.length = 8, .type = static_cast<uint8_t>(H2Frame::Type::kGoaway)};
  frame.write(goaway);
  const int32_t last = role_ == Role::kServer ? last_begun_ : 0;
  H2Frame::write32(goaway + 9, static_cast<uint32_t>(last));
  H2Frame::write32(goaway + 13, static_cast<uint32_t>(code));
  put(&ready_, goaway, sizeof(goaway));
  cells_.goaway_sent.add();
  failure_ = {code, detail, limit};
  bury();
}

void H2Codec::bury() noexcept {
  alive_ = false;
  while (streams_ != nullptr) close(streams_, failure_.code, false);
}

void H2Codec::ping(uint64_t opaque) noexcept {
  if (!alive_) return;
  uint8_t data[8];
  std::memcpy(data, &opaque, sizeof(data));
  if (nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, data) != 0) fatal(NGHTTP2_ERR_NOMEM);
}

// ---- What is known.

bool H2Codec::finished() const noexcept {
  if (!alive_) return true;
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

uint32_t H2Codec::max_concurrent_streams() const noexcept {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool H2Codec::can_open() const noexcept {
  return alive_ && role_ == Role::kClient && !announced_ &&
         num_streams_ < max_concurrent_streams() &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

bool H2Codec::peer_allows_connect() const noexcept {
  return alive_ && nghttp2_session_get_remote_settings(
                       session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

}  // namespace sluice::http
