// What nghttp2 tells a codec, and the session that tells it. Callbacks only record.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "http/h2_codec.h"
#include "http/h2_library.h"

namespace sluice::http {

struct H2Callbacks {
  using Event = H2Codec::Event;
  using Role = H2Codec::Role;
  using Until = H2Codec::Until;
  static constexpr int kResetStream = NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;

  static H2Codec& codec_of(void* user) noexcept { return *static_cast<H2Codec*>(user); }
  static H2Stream* stream_of(nghttp2_session* session, int32_t id) noexcept {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  static bool ends_stream(const nghttp2_frame* frame) noexcept {
    return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  }
  static bool is_ack(const nghttp2_frame* frame) noexcept {
    return (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
  }

  static int on_begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Codec& codec = codec_of(user);
    const int32_t id = frame->hd.stream_id;
    codec.touched_ = true;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
      codec.begin_block(stream_of(session, id));
      return 0;
    }
    H2Stream* const stream = std::exchange(codec.pending_, nullptr);
    codec.receiving_ = nullptr;
    if (stream == nullptr) {  // the user did not open it, or gave it up already
      codec.cells_.stream_refused_errors.add();
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    nghttp2_session_set_stream_user_data(session, id, stream);
    codec.limits_.opened_stream();
    codec.begin_block(stream);
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf* name,
                       nghttp2_rcbuf* value, uint8_t, void* user) {
    H2Codec& codec = codec_of(user);
    if (codec.receiving_ == nullptr) return 0;
    return codec.take_field(codec.receiving_, name, value) ? 0
                                                           : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Codec& codec = codec_of(user);
    Event& event = *codec.event_;
    codec.touched_ = true;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (H2Stream* const stream = std::exchange(codec.receiving_, nullptr)) {
          codec.finish_block(stream, ends_stream(frame));
        }
        break;
      case NGHTTP2_DATA:
        if (!ends_stream(frame)) break;
        if (H2Stream* const stream = stream_of(session, frame->hd.stream_id)) {
          stream->received_end_ = true;
          event.kind = Event::Kind::kData;
          event.stream = stream;
          event.end = true;
        }
        break;
      case NGHTTP2_RST_STREAM:
        codec.cells_.rx_reset.add();
        codec.reset_by_peer_ = frame->hd.stream_id;
        break;
      case NGHTTP2_SETTINGS:
        if (!is_ack(frame)) event.kind = Event::Kind::kSettings;
        break;
      case NGHTTP2_PING:
        if (is_ack(frame)) event.kind = Event::Kind::kPong;
        break;
      case NGHTTP2_GOAWAY:
        codec.goaway_received_ = true;
        codec.closed_by_goaway_ = true;
        event.kind = Event::Kind::kGoaway;
        break;
      default:
        break;
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int error, void* user) {
    H2Codec& codec = codec_of(user);
    codec.touched_ = true;
    if (error == NGHTTP2_ERR_HTTP_HEADER || error == NGHTTP2_ERR_HTTP_MESSAGING) {
      codec.cells_.rx_messaging_error.add();
    } else if (error == NGHTTP2_ERR_REFUSED_STREAM) {
      codec.cells_.stream_refused_errors.add();
    }
    return 0;
  }

  static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                     size_t size, void* user) {
    H2Codec& codec = codec_of(user);
    const auto bytes = static_cast<uint32_t>(size);
    codec.touched_ = true;
    codec.arrived_ += bytes;
    if (H2Stream* const stream = stream_of(session, id)) {
      codec.event_->kind = Event::Kind::kData;
      codec.event_->stream = stream;
      codec.event_->data = base::View(reinterpret_cast<const char*>(data), bytes, *codec.source_);
    }
    return 0;
  }

  static int on_stream_close(nghttp2_session* session, int32_t id, uint32_t error, void* user) {
    H2Codec& codec = codec_of(user);
    if (H2Stream* const stream = stream_of(session, id)) {
      const bool by_peer = codec.reset_by_peer_ == id || codec.closed_by_goaway_;
      codec.close(stream, static_cast<H2Error>(error), by_peer);
    }
    return 0;
  }

  // Resets that the peer's mistakes cause cost as much as its own.
  static bool is_peers_fault(uint32_t code) noexcept {
    switch (code) {
      case NGHTTP2_PROTOCOL_ERROR:
      case NGHTTP2_FLOW_CONTROL_ERROR:
      case NGHTTP2_STREAM_CLOSED:
      case NGHTTP2_FRAME_SIZE_ERROR:
      case NGHTTP2_ENHANCE_YOUR_CALM:
        return true;
      default:
        return false;
    }
  }

  static void sent_head(H2Codec& codec, nghttp2_session* session,
                        const nghttp2_frame* frame) noexcept {
    if (codec.heads_queued_ != 0) --codec.heads_queued_;
    H2Stream* const stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return;
    stream->head_waits_ = false;
    if (!ends_stream(frame)) return;
    stream->sent_end_ = true;
    codec.tell(stream, H2Stream::kSentEnd);
  }

  static void sent_goaway(H2Codec& codec, const nghttp2_goaway& goaway) noexcept {
    codec.cells_.goaway_sent.add();
    if (goaway.error_code == NGHTTP2_NO_ERROR) return;
    // nghttp2 ends the connection; what it says of it goes with the frame.
    const size_t size = std::min(goaway.opaque_data_len, sizeof(codec.detail_));
    if (size != 0) std::memcpy(codec.detail_, goaway.opaque_data, size);
    codec.failure_ = {static_cast<H2Error>(goaway.error_code),
                      size != 0 ? std::string_view(codec.detail_, size)
                                : std::string_view(nghttp2_http2_strerror(goaway.error_code)),
                      false};
  }

  static int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Codec& codec = codec_of(user);
    bool control = false;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        sent_head(codec, session, frame);
        break;
      case NGHTTP2_DATA:
        if (!ends_stream(frame)) break;
        if (H2Stream* const stream = stream_of(session, frame->hd.stream_id)) {
          stream->sent_end_ = true;
          codec.tell(stream, H2Stream::kSentEnd);
        }
        break;
      case NGHTTP2_RST_STREAM:
        control = true;
        codec.cells_.tx_reset.add();
        codec.remember_reset(frame->hd.stream_id);
        if (codec.role_ == Role::kServer && is_peers_fault(frame->rst_stream.error_code)) {
          codec.breach_ = std::max(codec.breach_, codec.limits_.on_reset(codec.now_));
        }
        break;
      case NGHTTP2_WINDOW_UPDATE:
        if (codec.updates_queued_ != 0) --codec.updates_queued_;
        break;
      case NGHTTP2_GOAWAY:
        sent_goaway(codec, frame->goaway);
        break;
      case NGHTTP2_PING:
      case NGHTTP2_SETTINGS:
        control = true;
        break;
      default:
        break;
    }
    if (codec.sink_ == &codec.ready_) {
      ++codec.frames_ready_;
      codec.control_ready_ += control ? 1 : 0;
    }
    return 0;
  }

  static int on_frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int error,
                               void* user) {
    H2Codec& codec = codec_of(user);
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (codec.heads_queued_ != 0) --codec.heads_queued_;
    H2Stream* const stream = stream_of(session, frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (codec.role_ == Role::kClient && error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED) {
      stream->refused_ = true;
      codec.tell(stream, H2Stream::kUnsent);
    } else if (error == NGHTTP2_ERR_FRAME_SIZE_ERROR) {
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id_, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
  }

  // How much of a stream's body goes into the next frame?
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                           nghttp2_data_source* source, void* user) {
    H2Codec& codec = codec_of(user);
    H2Stream& stream = *static_cast<H2Stream*>(source->ptr);
    if (codec.until_ == Until::kControl || codec.sink_->bytes() >= codec.sink_most_) {
      return NGHTTP2_ERR_PAUSE;
    }
    const size_t size = std::min(most, stream.out_.bytes());
    const bool last = stream.end_queued_ && size == stream.out_.bytes();
    if (size == 0 && !last) {
      stream.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (!last) return static_cast<ssize_t>(size);
    if (stream.cut_) return size != 0 ? static_cast<ssize_t>(size) : kResetStream;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream.trailers_out_ != nullptr) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      if (!codec.submit_trailers(stream)) return kResetStream;
    }
    return static_cast<ssize_t>(size);
  }

  static int send_body(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t size,
                       nghttp2_data_source* source, void* user) {
    H2Codec& codec = codec_of(user);
    H2Stream& stream = *static_cast<H2Stream*>(source->ptr);
    codec.put(codec.sink_, header, H2Frame::kHeaderBytes);
    stream.out_.take(size, *codec.sink_);
    codec.cells_.pending_send_bytes.sub(static_cast<int64_t>(size));
    codec.limits_.sent_data_frame();
    codec.drained(stream);
    return 0;
  }

  static nghttp2_session_callbacks* make() noexcept {
    nghttp2_session_callbacks* made = nullptr;
    if (nghttp2_session_callbacks_new(&made) != 0) return nullptr;
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(made, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(made, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(made, on_frame_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(made, send_body);
    return made;
  }
};

nghttp2_data_provider body_of(H2Stream* stream) noexcept {
  nghttp2_data_provider body;
  body.source.ptr = stream;
  body.read_callback = H2Callbacks::read_body;
  return body;
}

namespace {

constexpr size_t kDefaultTable = 4096;
// Beyond any head that we send; nghttp2's own limit is 64 KiB.
constexpr size_t kMaxSentHead = 16 * 1024 * 1024;

nghttp2_option* make_option(size_t hpack_table_size) noexcept {
  nghttp2_option* made = nullptr;
  if (nghttp2_option_new(&made) != 0) return nullptr;
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);
  nghttp2_option_set_no_recv_client_magic(made, 1);  // the codec looks at it
  nghttp2_option_set_peer_max_concurrent_streams(made, 100);
  nghttp2_option_set_max_settings(made, 32);
  nghttp2_option_set_max_send_header_block_length(made, kMaxSentHead);
  // Ours (H2Limits) are stricter, and count.
  nghttp2_option_set_max_outbound_ack(made, 1'000'000);
  nghttp2_option_set_stream_reset_rate_limit(made, UINT64_MAX, UINT64_MAX);
  nghttp2_option_set_max_continuations(made, H2Limits::kMaxContinuations + 1);
  if (hpack_table_size != kDefaultTable) {
    nghttp2_option_set_max_deflate_dynamic_table_size(made, hpack_table_size);
  }
  return made;
}

void* slab_malloc(size_t size, void* slab) {
  return static_cast<base::Slab*>(slab)->allocate(size);
}
void slab_free(void* piece, void* slab) { static_cast<base::Slab*>(slab)->free(piece); }
void* slab_calloc(size_t count, size_t size, void* slab) {
  return static_cast<base::Slab*>(slab)->allocate_zeroed(count, size);
}
void* slab_realloc(void* piece, size_t size, void* slab) {
  return static_cast<base::Slab*>(slab)->reallocate(piece, size);
}

// Made before main(), read by all workers.
const nghttp2_session_callbacks* const shared_callbacks = H2Callbacks::make();
const nghttp2_option* const shared_option = make_option(kDefaultTable);

}  // namespace

nghttp2_session* new_h2_session(bool server, const H2Options& options, base::Slab& slab,
                                H2Codec* codec) noexcept {
  nghttp2_option* own = nullptr;
  if (options.hpack_table_size != kDefaultTable) {
    own = make_option(options.hpack_table_size);
    if (own == nullptr) return nullptr;
  }
  const nghttp2_option* const option = own != nullptr ? own : shared_option;
  nghttp2_mem memory{&slab, slab_malloc, slab_free, slab_calloc, slab_realloc};
  nghttp2_session* session = nullptr;
  int rv = NGHTTP2_ERR_NOMEM;
  if (shared_callbacks != nullptr && option != nullptr) {
    rv = server ? nghttp2_session_server_new3(&session, shared_callbacks, codec, option, &memory)
                : nghttp2_session_client_new3(&session, shared_callbacks, codec, option, &memory);
  }
  nghttp2_option_del(own);
  return rv == 0 ? session : nullptr;
}

}  // namespace sluice::http
