#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/slab.h"
#include "base/stat_groups.h"
#include "http/h2_frame.h"
#include "http/h2_limits.h"
#include "http/h2_options.h"
#include "http/message.h"

struct nghttp2_session;
struct nghttp2_rcbuf;

namespace sluice::http {

class H2Codec;
struct H2Callbacks;

// Error codes of RFC 9113 7, as they are on the wire.
enum class H2Error : uint32_t {
  kNone = 0,
  kProtocol = 1,
  kInternal = 2,
  kFlowControl = 3,
  kStreamClosed = 5,
  kFrameSize = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompression = 9,
  kConnect = 10,
  kEnhanceYourCalm = 11,
  kHttp11Required = 13,
};

// H2Held keeps the decoded buffers that a received head points to. A member of whoever looks at the
// head last; it must go before the arena that its list lies in.
class H2Held {
 public:
  H2Held() noexcept = default;
  H2Held(const H2Held&) = delete;
  H2Held& operator=(const H2Held&) = delete;
  ~H2Held() {
    if (first_ != nullptr) release();
  }

 private:
  friend class H2Stream;
  struct Chunk;
  void release() noexcept;
  Chunk* first_ = nullptr;
};

// H2Stream is one stream as codec and user share it: the user's handle, and what waits to be sent.
// Its memory is the user's (an exchange's arena); the user destroys it at any time, which resets
// the stream if it is still open. Views of a received head and of trailers point into decoded
// buffers, which live as long as the H2Held that was given, or as the stream without one.
class H2Stream {
 public:
  // What a stream has to tell after feed() or produce(); or-ed together, see H2Codec::take_news().
  enum News : uint8_t {
    kDrained = 1,  // queued() fell to the low mark after it had been at the high one
    kSentEnd = 2,  // END_STREAM was serialised: nothing of ours is needed any more
    kClosed = 4,   // both directions are over, or reset: see error(), refused()
    kUnsent = 8,   // its head could not be sent (GOAWAY came, or ids ran out): as refused
  };

  explicit H2Stream(void* owner, H2Held* held = nullptr) noexcept
      : owner_(owner), held_(held != nullptr ? held : &own_held_) {}
  ~H2Stream();
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;

  void* owner() const noexcept { return owner_; }
  int32_t id() const noexcept { return id_; }         // 0: not opened
  H2Codec* codec() const noexcept { return codec_; }  // null: closed, or the codec is gone
  // Body bytes that wait for windows or for the socket.
  size_t queued() const noexcept { return out_.bytes(); }
  bool congested() const noexcept { return congested_; }
  void set_marks(uint32_t low, uint32_t high) noexcept {
    low_ = low;
    high_ = high;
  }
  bool received_end() const noexcept { return received_end_; }
  bool sent_end() const noexcept { return sent_end_; }
  // After kClosed: kNone if it ended well. by_peer(): the peer's RST_STREAM or GOAWAY said so.
  H2Error error() const noexcept { return error_; }
  bool by_peer() const noexcept { return by_peer_; }
  // The peer says that it did nothing with it (REFUSED_STREAM, id above GOAWAY's): RFC 9113 8.7.
  bool refused() const noexcept { return refused_; }
  uint64_t head_bytes_received() const noexcept { return head_bytes_in_; }  // decoded, without 32s
  uint64_t head_bytes_sent() const noexcept { return head_bytes_out_; }     // when submitted, alike
  // Trailers of the peer, once an event said so.
  FieldList& trailers() noexcept { return trailers_in_; }

 private:
  friend class H2Codec;
  friend struct H2Callbacks;

  bool hold(nghttp2_rcbuf* decoded) noexcept;
  void leave_news() noexcept;

  // Sending.
  base::Chain out_;
  const FieldList* trailers_out_ = nullptr;
  void* owner_;
  H2Codec* codec_ = nullptr;
  int32_t id_ = 0;
  uint32_t low_ = 16 * 1024;
  uint32_t high_ = 64 * 1024;
  bool end_queued_ = false;
  bool cut_ = false;  // what waits of the body is followed by RST_STREAM
  bool sent_end_ = false;
  bool deferred_ = false;  // nghttp2 waits for resume_data
  bool head_waits_ = false;
  bool congested_ = false;
  // Receiving.
  bool received_end_ = false;
  bool head_done_ = false;
  bool too_large_ = false;
  bool refused_ = false;
  bool by_peer_ = false;
  uint8_t news_ = 0;
  uint8_t num_interim_ = 0;
  Method method_ = Method::kOther;  // client role: of the request that it answers
  H2Error error_ = H2Error::kNone;
  RequestHead* request_ = nullptr;    // server role
  ResponseHead* response_ = nullptr;  // client role
  base::Arena* arena_ = nullptr;
  H2Held own_held_;
  H2Held* held_;
  FieldList trailers_in_;
  uint64_t head_bytes_in_ = 0;
  uint64_t head_bytes_out_ = 0;
  // In the codec's lists; `at` is the pointer that points here.
  H2Stream* next_ = nullptr;
  H2Stream** at_ = nullptr;
  H2Stream* next_news_ = nullptr;
  H2Stream** news_at_ = nullptr;
};

// H2Codec is HTTP/2 (RFC 9113) without sockets, server or client: received bytes in, events out;
// messages in, chains of views out. nghttp2 does frames, HPACK, windows and stream states; the
// codec does what nghttp2 1.52 leaves open: the limits of H2Options, semantic checks of heads
// (RFC 9113 8.3: authority against Host, user information), and no copy of heads or bodies.
//
// One frame at a time: feed() takes one frame, or the part of it that is there, and returns at most
// one event, so nothing is recorded in lists and nothing of ours runs inside nghttp2's callbacks
// but bookkeeping. Streams that have more to tell (room, end, reset) stand in a list of news;
// the user takes all news after each feed() and produce(). No call of the codec may come from
// elsewhere than the user's own turn; every call may be made while handling an event.
//
// Ownership: heads point into nghttp2's decoded buffers, held by H2Stream. DATA events are views of
// the block that was fed. What is sent goes out as the views that were given, with 9 bytes of frame
// header between; heads are encoded once, into small blocks of the pool. What a sent head points to
// must live until its stream's kSentEnd or kClosed. Memory of nghttp2 comes from the worker's slab.
// Worker-local, no locks, no allocation in steady state. It must be destroyed after its streams'
// users forgot it or with them: the destructor detaches streams.
//
// Connection errors and limits never throw anything away silently: error() says what ended it,
// the cells count it under Envoy's names; the peer gets a GOAWAY in the next produce().
class H2Codec {
 public:
  enum class Role : uint8_t { kServer, kClient };

  struct Event {
    enum class Kind : uint8_t {
      kNone,      // nothing for the user; go on feeding
      kBegin,     // server: a request begins with the next bytes; call open() or not (refused)
      kInterim,   // client: a 1xx head is complete; the next head overwrites it
      kHead,      // the head is complete; `end`: without body
      kData,      // `data`; `end`: the last (data may be empty then)
      kTrailers,  // stream->trailers() is complete, and so is the message
      kGoaway,    // the peer takes no new streams; those above its last id have news
      kSettings,  // the peer's settings came (first or changed): max_concurrent_streams() etc.
      kPong,      // an answer to ping()
      kFailed,    // the connection is over: error(), detail(); produce(), flush, close
    };
    Kind kind = Kind::kNone;
    bool end = false;
    bool too_large = false;  // server, kHead: beyond max_head_bytes or max_fields: answer 431
    bool too_many = false;   // and it was max_fields
    // Of the bytes that were given; 0 only with kFailed, and with kBegin, after which the same
    // bytes are fed again.
    uint32_t consumed = 0;
    H2Stream* stream = nullptr;
    base::View data;
  };

  // Why a connection ended: code, words for the log, and whether it was one of our limits.
  struct Failure {
    H2Error code = H2Error::kNone;
    std::string_view detail;  // lives as long as the codec
    bool limit = false;
  };

  // `options` and `cells` outlive the codec.
  H2Codec(Role role, const H2Options& options, base::Slab& slab, base::BlockPool& blocks,
          base::H2Cells& cells) noexcept;
  ~H2Codec();
  H2Codec(const H2Codec&) = delete;
  H2Codec& operator=(const H2Codec&) = delete;

  // SETTINGS, and the connection's window. False: no memory.
  bool start() noexcept;

  // ---- Receiving.

  // Takes the next frame or a part of it from [data, data + size), which lies in `block`; size > 0.
  // `now` is the loop's time, for the buckets.
  Event feed(const char* data, uint32_t size, const base::BlockRef& block,
             base::MonoNs now) noexcept;
  // False while more than max_outbound_control_frames frames of any kind wait to be sent: do not
  // read on before produce() made room. (More control frames than that end the connection.)
  bool wants_input() const noexcept;

  // Server, on kBegin: the stream that begins, with the head to decode into, which is reset and
  // bound to `arena`. Without it the stream is refused (REFUSED_STREAM). If the head turns out to
  // be malformed, or nghttp2 does not take the stream, no kHead comes but news of kClosed.
  void open(H2Stream* stream, RequestHead* head, base::Arena* arena) noexcept;
  // The user took `bytes` of DATA for good: opens the stream's window. (The connection's window is
  // opened on arrival: one slow stream stops no other.)
  void consume(H2Stream& stream, uint32_t bytes) noexcept;

  // ---- Sending. False: it cannot be sent (not a valid head, no memory, the connection is over).

  // Client: opens the stream. Pseudo fields from the head; Host, and what HTTP/2 forbids, is left
  // out (RFC 9113 8.2.2). `end`: no body. The answer is decoded into `response`, whose fields are
  // bound to `arena`. Ask can_open() first.
  bool send_request(H2Stream* stream, RequestHead* head, bool end, ResponseHead* response,
                    base::Arena* arena) noexcept;
  bool send_interim(H2Stream& stream, ResponseHead* head, base::Arena& arena) noexcept;
  bool send_response(H2Stream& stream, ResponseHead* head, bool end, base::Arena& arena) noexcept;
  void send_data(H2Stream& stream, base::Chain&& data) noexcept;
  void send_data(H2Stream& stream, base::View&& data) noexcept;
  // After it nothing more is sent on the stream.
  void send_end(H2Stream& stream, const FieldList* trailers) noexcept;
  // RST_STREAM; the stream is detached at once and tells nothing more. A response's head that was
  // submitted goes out before it, what waits of the body does not.
  void reset(H2Stream& stream, H2Error code) noexcept;
  // Server: RST_STREAM (INTERNAL_ERROR) behind what waits of the body, then kClosed. False: nothing
  // waits; use reset().
  bool reset_behind_body(H2Stream& stream) noexcept;
  // The two steps of a graceful end (RFC 9113 6.8): notice, then, a round trip later, the last id.
  void announce_shutdown() noexcept;
  void finish_shutdown() noexcept;
  // GOAWAY with an error; no stream survives.
  void fail(H2Error code, std::string_view detail) noexcept;
  void ping(uint64_t opaque) noexcept;

  // Serialises what waits, until `out` holds about `most` bytes (it may hold some already); true:
  // something was added. Call it once per turn, before the gathered write, with most = the room
  // that the socket has.
  bool produce(base::Chain* out, size_t most) noexcept;
  bool wants_output() const noexcept;
  // GOAWAY was sent or received and no stream is left, or it failed: produce() until
  // !wants_output(), flush and close.
  bool finished() const noexcept;

  // ---- News of streams, in no particular order; null: no more. The stream's news are cleared.
  H2Stream* take_news(uint8_t* news) noexcept;

  // ---- What is known.
  Role role() const noexcept { return role_; }
  const Failure& failure() const noexcept { return failure_; }
  uint32_t num_streams() const noexcept { return num_streams_; }
  // Client: the peer's limit; and whether one more may be opened now.
  uint32_t max_concurrent_streams() const noexcept;
  bool can_open() const noexcept;
  bool peer_allows_connect() const noexcept;  // RFC 8441
  bool goaway_received() const noexcept { return goaway_received_; }
  // finish_shutdown() was called: new streams are ignored.
  bool shutting_down() const noexcept { return last_id_sent_; }

 private:
  friend struct H2Callbacks;  // nghttp2's, in h2_callbacks.cc
  friend class H2Stream;

  enum class Phase : uint8_t { kPreface, kHeader, kPayload };
  enum class Until : uint8_t { kControl, kAll };        // what serialise() goes up to
  enum class Last : uint8_t { kInterim, kBody, kEnd };  // what a response's head is followed by

  // What the fields of the head that is being decoded said.
  struct Block {
    std::string_view host;
    uint64_t bytes = 0;  // with 32 per field
    uint64_t length = 0;
    uint32_t num_fields = 0;
    uint32_t num_cookies = 0;
    bool has_length = false;
    bool refused = false;  // by a rule of ours
  };

  // Receiving, h2_codec.cc.
  uint32_t take_preface(const char* data, uint32_t size) noexcept;
  uint32_t take_header(const char* data, uint32_t size) noexcept;
  bool check_header() noexcept;
  bool begins_request() noexcept;
  bool watch_payload(const char* data, uint32_t size) noexcept;
  void give(const char* data, uint32_t size, uint32_t payload) noexcept;
  void after_give(size_t queued_before) noexcept;
  void end_of_frame() noexcept;
  // Heads, h2_head.cc. False: the stream is in error.
  void begin_block(H2Stream* stream) noexcept;
  bool take_field(H2Stream* stream, nghttp2_rcbuf* name, nghttp2_rcbuf* value) noexcept;
  bool take_pseudo(H2Stream* stream, std::string_view name, std::string_view value) noexcept;
  bool push_field(H2Stream* stream, std::string_view name, std::string_view value) noexcept;
  void read_special(H2Stream* stream, HeaderId id, std::string_view value) noexcept;
  bool overflow(H2Stream* stream) noexcept;
  void finish_block(H2Stream* stream, bool end) noexcept;
  bool finish_request(H2Stream* stream, bool end) noexcept;
  void finish_response(H2Stream* stream, bool end) noexcept;
  bool join_cookies(H2Stream* stream) noexcept;
  void reject(H2Stream* stream, H2Error code) noexcept;
  // Streams.
  void remember_reset(int32_t id) noexcept;
  bool may_still_come(int32_t id) const noexcept;
  void attach(H2Stream* stream, base::Arena* arena) noexcept;
  void detach(H2Stream* stream) noexcept;
  void close(H2Stream* stream, H2Error error, bool by_peer) noexcept;
  void tell(H2Stream* stream, uint8_t news) noexcept;
  void destroyed(H2Stream& stream) noexcept;
  void flush_head(const H2Stream& stream) noexcept;
  void flush() noexcept;
  // Sending, h2_send.cc.
  bool submit(H2Stream& stream, const ResponseHead& head, Last last, base::Arena& arena) noexcept;
  bool submit_trailers(H2Stream& stream) noexcept;
  void resume(H2Stream& stream) noexcept;
  void drained(H2Stream& stream) noexcept;
  void serialise(base::Chain* out, size_t most, Until until) noexcept;
  void put(base::Chain* out, const uint8_t* data, size_t size) noexcept;
  void note_waiting() noexcept;
  // Ends.
  void breach(H2Limits::Breach breach) noexcept;
  void fatal(int rv) noexcept;
  void die(H2Error code, std::string_view detail, bool limit) noexcept;
  void bury() noexcept;

  Role role_;
  bool alive_ = true;
  bool goaway_received_ = false;
  bool announced_ = false;
  bool last_id_sent_ = false;  // GOAWAY with the true last id: no new streams
  const H2Options& options_;
  base::Slab& slab_;
  base::BlockPool& blocks_;
  base::H2Cells& cells_;
  nghttp2_session* session_ = nullptr;
  Failure failure_;
  H2Limits limits_;
  H2Limits::Breach breach_ = H2Limits::Breach::kNone;  // found inside a callback
  base::MonoNs now_ = 0;
  uint32_t num_streams_ = 0;
  H2Stream* streams_ = nullptr;
  H2Stream* news_ = nullptr;

  // The frame that is being received.
  Phase phase_ = Phase::kHeader;
  uint8_t header_size_ = 0;
  uint8_t header_[H2Frame::kHeaderBytes] = {};
  uint8_t watched_[5] = {};  // first bytes of the payload
  uint8_t num_watched_ = 0;
  bool header_counted_ = false;
  bool in_head_ = false;  // CONTINUATION follows
  bool settled_ = false;  // the peer's first SETTINGS came
  bool closed_by_goaway_ = false;
  bool touched_ = false;  // nghttp2 took the frame for a stream that is open
  int32_t reset_by_peer_ = 0;
  int32_t last_begun_ = 0;
  // Streams that we reset, the latest of them, and the highest id of those that were forgotten:
  // frames for them may be on their way still.
  static constexpr size_t kMaxResetIds = 32;
  int32_t reset_ids_[kMaxResetIds] = {};
  uint32_t num_reset_ids_ = 0;
  int32_t forgiven_ = 0;
  H2Frame frame_;
  uint32_t left_ = 0;              // of its payload
  uint32_t arrived_ = 0;           // DATA for the connection's window
  H2Stream* pending_ = nullptr;    // opened by the user, not yet by nghttp2
  H2Stream* receiving_ = nullptr;  // whose head is being decoded
  Block block_;
  Event* event_ = nullptr;
  const base::BlockRef* source_ = nullptr;

  // Sending.
  base::Chain ready_;  // serialised before produce()
  base::BlockRef small_;
  base::Chain* sink_ = nullptr;
  size_t sink_most_ = 0;
  Until until_ = Until::kAll;
  uint32_t heads_queued_ = 0;  // with nghttp2, as are the next
  uint32_t resets_queued_ = 0;
  uint32_t updates_queued_ = 0;  // WINDOW_UPDATE
  uint32_t frames_ready_ = 0;
  uint32_t control_ready_ = 0;
  uint32_t frames_noted_ = 0;  // in the gauges
  uint32_t control_noted_ = 0;
  char detail_[80];
};

}  // namespace sluice::http
