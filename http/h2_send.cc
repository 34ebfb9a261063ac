// Sent messages: heads as arrays of name and value for nghttp2, bodies as chains of views, and
// everything into the chain that is written to the socket.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "http/h2_codec.h"
#include "http/h2_library.h"

namespace sluice::http {

namespace {

constexpr uint64_t bit(HeaderId id) noexcept { return uint64_t{1} << static_cast<unsigned>(id); }
// What ends with a connection of HTTP/1, or has become a pseudo field.
constexpr uint64_t kNotSent = bit(HeaderId::kConnection) | bit(HeaderId::kTransferEncoding) |
                              bit(HeaderId::kUpgrade) | bit(HeaderId::kKeepAlive) |
                              bit(HeaderId::kProxyConnection);

// Another value in every message: kept out of the peer's table, where it would only push out what
// repeats, at the cost of an entry at both ends (RFC 7541 6.2.3).
constexpr uint64_t kNeverTheSame = bit(HeaderId::kXRequestId) | bit(HeaderId::kTraceparent) |
                                   bit(HeaderId::kXClientTraceId) |
                                   bit(HeaderId::kXEnvoyUpstreamServiceTime);

constexpr bool is_one_of(uint64_t set, HeaderId id) noexcept {
  return static_cast<unsigned>(id) < 64 && (set & bit(id)) != 0;
}

// The fields of one head on their way to nghttp2, which copies the array but not what it points to.
class Fields {
 public:
  // Makes room for `n`; false: no memory.
  bool reserve(size_t n, base::Arena& arena) noexcept {
    if (n > kInline) at_ = arena.array<nghttp2_nv>(n);
    return at_ != nullptr;
  }
  void add(std::string_view name, std::string_view value, bool index = true) noexcept {
    constexpr uint8_t kViews = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    constexpr uint8_t kUnindexed = kViews | NGHTTP2_NV_FLAG_NO_INDEX;
    at_[size_++] = {
        reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
        reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
        name.size(),
        value.size(),
        index ? kViews : kUnindexed,
    };
    bytes_ += name.size() + value.size();
  }
  // A pseudo field of a head that anybody may have changed: the second validation.
  bool add_checked(std::string_view name, std::string_view value) noexcept {
    if (value.empty() || !is_field_value(value)) return false;
    add(name, value);
    return true;
  }
  // All fields but those of `skip`; false: one that is not clean.
  bool add_all(const FieldList& fields, uint64_t skip) noexcept {
    for (const Field& f : fields) {
      if (f.removed() || is_one_of(skip, f.id)) continue;
      if (f.id == HeaderId::kTe && f.value() != "trailers") continue;
      if (f.id == HeaderId::kOther && f.name() == "http2-settings") continue;
      if (!f.line() && (!is_token(f.name()) || !is_field_value(f.value()))) return false;
      add(f.name(), f.value(), !is_one_of(kNeverTheSame, f.id));
    }
    return true;
  }
  // Content-Length, where the framing has one that the fields lack.
  bool add_length(const Framing& framing, const FieldList& fields, base::Arena& arena) noexcept {
    if (framing.kind != Framing::Kind::kLength || fields.has(HeaderId::kContentLength)) return true;
    constexpr size_t kDigits = std::numeric_limits<uint64_t>::digits10 + 1;
    char* const digits = arena.chars(kDigits);
    if (digits == nullptr) return false;
    const char* const end = std::to_chars(digits, digits + kDigits, framing.length).ptr;
    add("content-length", {digits, static_cast<size_t>(end - digits)});
    return true;
  }

  const nghttp2_nv* data() const noexcept { return at_; }
  size_t size() const noexcept { return size_; }
  uint64_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr size_t kInline = 64;
  nghttp2_nv inline_[kInline];
  nghttp2_nv* at_ = inline_;
  size_t size_ = 0;
  uint64_t bytes_ = 0;
};

// Without it nghttp2 would send the bodies of a server one after the other, and whoever streams
// without end would stop all others.
void share_evenly(nghttp2_session* session, int32_t stream_id) noexcept {
  const nghttp2_extpri in_turns{.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
  nghttp2_session_change_extpri_stream_priority(session, stream_id, &in_turns, 1);
}

constexpr size_t kOwnFields = 6;  // pseudo fields and Content-Length

// A length that does not fit the framing is not sent.
uint64_t skipped(const Framing& framing) noexcept {
  const bool open_ended =
      framing.kind == Framing::Kind::kChunked || framing.kind == Framing::Kind::kUntilClose;
  return kNotSent | (open_ended ? bit(HeaderId::kContentLength) : 0);
}

// An upgrade inside is an extended CONNECT on the wire (RFC 8441 5).
bool add_upgrade(const RequestHead& head, Fields* fields) noexcept {
  fields->add(":method", "CONNECT");
  return fields->add_checked(":scheme", head.scheme.empty() ? "http" : head.scheme) &&
         fields->add_checked(":path", head.path) &&
         fields->add_checked(":protocol", head.fields.value(HeaderId::kUpgrade)) &&
         fields->add_checked(":authority", head.authority);
}

bool add_pseudo(const RequestHead& head, Fields* fields) noexcept {
  if (head.upgrade) return add_upgrade(head, fields);
  if (!is_token(head.method_text)) return false;
  fields->add(":method", head.method_text);
  if (head.method != Method::kConnect || !head.protocol.empty()) {
    if (!fields->add_checked(":scheme", head.scheme.empty() ? "http" : head.scheme) ||
        !fields->add_checked(":path", head.path)) {
      return false;
    }
  }
  if (!head.protocol.empty() && !fields->add_checked(":protocol", head.protocol)) return false;
  return head.authority.empty() || fields->add_checked(":authority", head.authority);
}

}  // namespace

bool H2Codec::send_request(H2Stream* stream, RequestHead* head, bool end, ResponseHead* response,
                           base::Arena* arena) noexcept {
  if (!alive_ || stream->codec_ != nullptr) return false;
  Fields fields;
  if (!fields.reserve(head->fields.size() + kOwnFields, *arena) || !add_pseudo(*head, &fields) ||
      !fields.add_all(head->fields, skipped(head->framing) | bit(HeaderId::kHost)) ||
      !fields.add_length(head->framing, head->fields, *arena)) {
    return false;
  }
  const nghttp2_data_provider body = body_of(stream);
  const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                            end ? nullptr : &body, stream);
  if (id < 0) {
    if (nghttp2_is_fatal(id) != 0) fatal(id);
    return false;
  }
  ++heads_queued_;
  limits_.opened_stream();
  stream->head_bytes_out_ += fields.bytes();
  stream->id_ = id;
  stream->method_ = head->upgrade ? Method::kConnect : head->method;
  stream->end_queued_ = end;
  stream->response_ = response;
  response->fields.bind(arena);
  attach(stream, arena);
  note_waiting();
  return true;
}

// One head of a response; false: refused, and nothing was queued.
bool H2Codec::submit(H2Stream& stream, const ResponseHead& head, Last last,
                     base::Arena& arena) noexcept {
  if (!alive_ || stream.codec_ != this || stream.end_queued_) return false;
  Fields fields;
  if (head.status < 100 || head.status > 999 ||
      !fields.reserve(head.fields.size() + kOwnFields, arena)) {
    return false;
  }
  char* const status = arena.chars(3);
  if (status == nullptr) return false;
  std::to_chars(status, status + 3, head.status);
  fields.add(":status", {status, 3});
  const bool no_length = head.status < 200 || head.status == 204;
  const uint64_t skip = no_length ? bit(HeaderId::kContentLength) : 0;
  if (!fields.add_all(head.fields, skipped(head.framing) | skip) ||
      (!no_length && !fields.add_length(head.framing, head.fields, arena))) {
    return false;
  }
  int rv;
  if (last == Last::kInterim) {
    rv = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr, fields.data(),
                                fields.size(), nullptr);
  } else {
    const nghttp2_data_provider body = body_of(&stream);
    rv = nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(),
                                 last == Last::kEnd ? nullptr : &body);
    if (last == Last::kBody) share_evenly(session_, stream.id_);
    if (rv == 0) stream.end_queued_ = last == Last::kEnd;
  }
  if (rv != 0) {
    if (nghttp2_is_fatal(rv) != 0) fatal(rv);
    return false;
  }
  ++heads_queued_;
  stream.head_waits_ = true;
  stream.head_bytes_out_ += fields.bytes();
  note_waiting();
  return true;
}

bool H2Codec::send_interim(H2Stream& stream, ResponseHead* head, base::Arena& arena) noexcept {
  return submit(stream, *head, Last::kInterim, arena);
}

bool H2Codec::send_response(H2Stream& stream, ResponseHead* head, bool end,
                            base::Arena& arena) noexcept {
  return submit(stream, *head, end ? Last::kEnd : Last::kBody, arena);
}

void H2Codec::send_data(H2Stream& stream, base::Chain&& data) noexcept {
  if (stream.codec_ != this || stream.end_queued_) return data.clear();
  cells_.pending_send_bytes.add(static_cast<int64_t>(data.bytes()));
  stream.out_.append(std::move(data));
  if (stream.out_.bytes() >= stream.high_) stream.congested_ = true;
  resume(stream);
}

void H2Codec::send_data(H2Stream& stream, base::View&& data) noexcept {
  base::Chain chain;
  chain.append(std::move(data));
  send_data(stream, std::move(chain));
}

void H2Codec::send_end(H2Stream& stream, const FieldList* trailers) noexcept {
  if (stream.codec_ != this || stream.end_queued_) return;
  stream.end_queued_ = true;
  if (trailers != nullptr) {
    for (const Field& f : *trailers) {
      if (!f.removed() && may_be_trailer(f)) stream.trailers_out_ = trailers;
    }
  }
  resume(stream);
}

bool H2Codec::reset_behind_body(H2Stream& stream) noexcept {
  if (stream.codec_ != this || stream.end_queued_ || stream.out_.empty()) return false;
  stream.end_queued_ = stream.cut_ = true;
  return true;
}

void H2Codec::resume(H2Stream& stream) noexcept {
  if (!stream.deferred_) return;
  stream.deferred_ = false;
  if (nghttp2_is_fatal(nghttp2_session_resume_data(session_, stream.id_)) != 0) {
    fatal(NGHTTP2_ERR_NOMEM);
  }
}

// From nghttp2's question for data, whose last was just named. False: reset the stream instead.
bool H2Codec::submit_trailers(H2Stream& stream) noexcept {
  Fields fields;
  if (!fields.reserve(stream.trailers_out_->size(), *stream.arena_)) return false;
  for (const Field& f : *stream.trailers_out_) {
    if (f.removed() || !may_be_trailer(f)) continue;
    if (!f.line() && (!is_token(f.name()) || !is_field_value(f.value()))) return false;
    fields.add(f.name(), f.value());
  }
  if (nghttp2_submit_trailer(session_, stream.id_, fields.data(), fields.size()) != 0) return false;
  ++heads_queued_;
  stream.head_bytes_out_ += fields.bytes();
  return true;
}

void H2Codec::drained(H2Stream& stream) noexcept {
  if (!stream.congested_ || stream.out_.bytes() > stream.low_) return;
  stream.congested_ = false;
  tell(&stream, H2Stream::kDrained);
}

// ---- Into the chain.

void H2Codec::put(base::Chain* out, const uint8_t* data, size_t size) noexcept {
  base::copies().head_bytes += size;
  while (size != 0) {
    if (!small_ || small_->room() == 0) small_ = base::BlockRef::adopt(blocks_.get_small());
    const auto n = static_cast<uint32_t>(std::min<size_t>(size, small_->room()));
    char* const to = small_->tail();
    std::memcpy(to, data, n);
    small_->fill(n);
    out->append(to, n, small_.get());
    data += n;
    size -= n;
  }
}

// Frames that wait, into `out`, until it holds `most` bytes. kControl: only what stands before the
// first DATA.
void H2Codec::serialise(base::Chain* out, size_t most, Until until) noexcept {
  sink_ = out;
  sink_most_ = most;
  until_ = until;
  for (;;) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      fatal(static_cast<int>(size));
      break;
    }
    if (size == 0) break;
    put(out, data, static_cast<size_t>(size));
    // Nothing may come between HEADERS and their CONTINUATION.
    const H2Frame frame = H2Frame::read(data);
    const bool whole =
        (!frame.is(H2Frame::Type::kHeaders) && !frame.is(H2Frame::Type::kContinuation)) ||
        frame.has(H2Frame::kEndHeaders);
    if (whole && out->bytes() >= most) break;
  }
  sink_ = nullptr;
  resets_queued_ = 0;
  if (breach_ != H2Limits::Breach::kNone) breach(breach_);
  if (alive_ && failure_.code != H2Error::kNone) bury();
}

bool H2Codec::produce(base::Chain* out, size_t most) noexcept {
  const size_t before = out->bytes();
  out->append(std::move(ready_));
  frames_ready_ = control_ready_ = 0;
  if (alive_ && out->bytes() < most) serialise(out, most, Until::kAll);
  out->append(std::move(ready_));  // a GOAWAY, if that went wrong
  small_.reset();
  note_waiting();
  return out->bytes() != before;
}

bool H2Codec::wants_output() const noexcept {
  return !ready_.empty() || (alive_ && nghttp2_session_want_write(session_) != 0);
}

// How much waits to be sent: gauges, and its limits.
void H2Codec::note_waiting() noexcept {
  uint64_t frames = 0;
  uint64_t control = 0;
  if (alive_) {
    frames = nghttp2_session_get_outbound_queue_size(session_);
    // Window updates of streams that ended are dropped without a word: start anew when all is out.
    if (frames == 0) heads_queued_ = updates_queued_ = 0;
    const uint64_t others = uint64_t{heads_queued_} + updates_queued_;
    control = frames > others ? frames - others : 0;
  }
  frames += frames_ready_;
  control += control_ready_;
  if (frames != frames_noted_) {
    cells_.outbound_frames_active.add(static_cast<int64_t>(frames) - frames_noted_);
    frames_noted_ = static_cast<uint32_t>(frames);
  }
  if (control != control_noted_) {
    cells_.outbound_control_frames_active.add(static_cast<int64_t>(control) - control_noted_);
    control_noted_ = static_cast<uint32_t>(control);
  }
  const H2Limits::Breach found = limits_.on_waiting(frames, control);
  if (found != H2Limits::Breach::kNone) breach(found);
}

}  // namespace sluice::http
