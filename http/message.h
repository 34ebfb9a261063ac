#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/arena.h"

namespace sluice::http {

// The heads of a request and of a response as views, the same for HTTP/1 and HTTP/2: what the
// codecs fill, the router and the filters read and change, and the writers serialise.
//
// Ownership: every view points into the block that the bytes were received in, into nghttp2's
// decoded buffers, into the exchange's arena, or to static text; whoever holds a head keeps those
// alive (the exchange does). Worker-local. Nothing here allocates but in the exchange's arena.
// Names are lower case in memory: the HTTP/1 parser folds them in place.

// Names that the proxy itself looks at, interned when a head is parsed so that no name is compared
// twice. The order is that of kHeaderNames in header_names.cc.
enum class HeaderId : uint8_t {
  kOther,
  kHost,
  kConnection,
  kContentLength,
  kTransferEncoding,
  kUpgrade,
  kExpect,
  kTe,
  kTrailer,
  kKeepAlive,
  kProxyConnection,
  kContentType,
  kUserAgent,
  kAccept,
  kAcceptEncoding,
  kAuthorization,
  kCookie,
  kSetCookie,
  kDate,
  kServer,
  kVia,
  kLocation,
  kOrigin,
  kReferer,
  kCacheControl,
  kEtag,
  kVary,
  kContentEncoding,
  kForwarded,
  kXForwardedFor,
  kXForwardedProto,
  kXForwardedHost,
  kXForwardedPort,
  kXForwardedClientCert,
  kXRequestId,
  kXClientTraceId,
  kTraceparent,
  kTracestate,
  kGrpcStatus,
  kGrpcMessage,
  kGrpcTimeout,
  kXEnvoyInternal,
  kXEnvoyExternalAddress,
  kXEnvoyOriginalPath,
  kXEnvoyExpectedRqTimeoutMs,
  kXEnvoyUpstreamServiceTime,
  kXEnvoyUpstreamRqTimeoutMs,
  kXEnvoyUpstreamRqPerTryTimeoutMs,
  kXEnvoyRetryOn,
  kXEnvoyMaxRetries,
  kXEnvoyAttemptCount,
  kXEnvoyDecoratorOperation,
  kXEnvoyDownstreamServiceCluster,
  kXEnvoyDownstreamServiceNode,
  kXEnvoyOverloaded,
  kXEnvoyRatelimited,
  kXEnvoyForceTrace,
  kXEnvoyHedgeOnPerTryTimeout,
  kXEnvoyOriginalDstHost,
  kXEnvoyIpTags,
  kXEnvoyUpstreamAltStatName,
  kXEnvoyUpstreamRqTimeoutAltResponse,
  kXEnvoyRetryGrpcOn,
  kXEnvoyRetriableStatusCodes,
  kXEnvoyRetriableHeaderNames,
  kXEnvoyOriginalHost,
  kXEnvoyUpstreamHealthCheckedCluster,
  kXEnvoyDegraded,
  kXEnvoyLocalReplyReason,
  kCount,
};
static_assert(static_cast<int>(HeaderId::kCount) <= 128);

std::string_view name_of(HeaderId id) noexcept;
// "name: ".
std::string_view line_begin_of(HeaderId id) noexcept;
// `name` in lower case. A switch on length and a compare: no hashing of unknown names' bytes twice.
HeaderId header_id_of(std::string_view name) noexcept;

enum class Method : uint8_t {
  kOther,
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kConnect,
  kOptions,
  kTrace,
  kPatch,
};

// One field. 24 bytes. `kLine` says that the bytes from `name` on are exactly `name: value CRLF`,
// were proved clean (by the parser, or by FieldList::add), and may be forwarded as they are:
// neighbours that touch in memory leave as one slice.
struct Field {
  enum Flag : uint8_t { kRemoved = 1, kLine = 2 };
  const char* name_data = nullptr;
  const char* value_data = nullptr;
  uint32_t value_size = 0;
  uint16_t name_size = 0;
  HeaderId id = HeaderId::kOther;
  uint8_t flags = 0;

  std::string_view name() const noexcept { return {name_data, name_size}; }
  std::string_view value() const noexcept { return {value_data, value_size}; }
  bool removed() const noexcept { return (flags & kRemoved) != 0; }
  bool line() const noexcept { return (flags & kLine) != 0; }
  size_t line_size() const noexcept { return size_t{name_size} + 2 + value_size + 2; }
};
static_assert(sizeof(Field) == 24);

// FieldList is the fields of a head or of trailers, in the order of the wire. The array lives in
// the exchange's arena. find() by id is a bit test and, when present, a scan of ids; by name it
// compares lengths first. The number of fields is bounded by the codec (100 by default). add() and
// set() write `name: value CRLF` into the arena, so what is added leaves in one slice; they refuse
// (return false) a name that is no token and a value with CR, LF or NUL: the second validation,
// before anything reaches a serialiser.
class FieldList {
 public:
  explicit FieldList(base::Arena* arena = nullptr) noexcept : arena_(arena) {}
  // Starts anew: fields of an earlier arena are forgotten.
  void bind(base::Arena* arena) noexcept { *this = FieldList(arena); }

  const Field* begin() const noexcept { return fields_; }
  const Field* end() const noexcept { return fields_ + size_; }
  Field* begin() noexcept { return fields_; }
  Field* end() noexcept { return fields_ + size_; }
  uint32_t size() const noexcept { return size_; }
  base::Arena* arena() const noexcept { return arena_; }

  bool has(HeaderId id) const noexcept {
    return (known_[index(id)] & bit(id)) != 0 && find(id) != nullptr;
  }
  // First field that is not removed.
  const Field* find(HeaderId id) const noexcept {
    if ((known_[index(id)] & bit(id)) == 0) return nullptr;
    for (const Field* f = begin(); f != end(); ++f) {
      if (f->id == id && !f->removed()) return f;
    }
    return nullptr;
  }
  Field* find(HeaderId id) noexcept {
    return const_cast<Field*>(static_cast<const FieldList*>(this)->find(id));
  }
  std::string_view value(HeaderId id) const noexcept {
    const Field* f = find(id);
    return f == nullptr ? std::string_view() : f->value();
  }
  // `name` in lower case.
  const Field* find(std::string_view name) const noexcept;
  Field* find(std::string_view name) noexcept {
    return const_cast<Field*>(static_cast<const FieldList*>(this)->find(name));
  }

  // Parser's entry: the field's memory is the caller's promise.
  bool push(const Field& field) noexcept {
    if (size_ == capacity_ && !grow()) [[unlikely]]
      return false;
    fields_[size_++] = field;
    known_[index(field.id)] |= bit(field.id);
    return true;
  }
  // Forgets all fields, keeps the array.
  void clear() noexcept {
    size_ = 0;
    known_[0] = known_[1] = 0;
  }
  // The same, written in its place: fill the slot (nullptr: no memory), then keep() it.
  Field* next_slot() noexcept {
    if (size_ == capacity_ && !grow()) [[unlikely]]
      return nullptr;
    return fields_ + size_;
  }
  void keep(HeaderId id) noexcept {
    ++size_;
    known_[index(id)] |= bit(id);
  }
  // Makes room for `n` fields at once.
  bool reserve(uint32_t n) noexcept;

  bool add(std::string_view name, std::string_view value) noexcept;
  bool add(HeaderId id, std::string_view value) noexcept;
  // The same for values that cannot be anything but clean: our own digits, dates and identifiers,
  // and configuration that was checked when it was compiled.
  bool add_clean(HeaderId id, std::string_view value) noexcept;
  bool set_clean(HeaderId id, std::string_view value) noexcept;
  // The same at the end of the list, wherever the old one stood: lines that are added one after the
  // other leave as one piece.
  bool move_clean(HeaderId id, std::string_view value) noexcept {
    remove(id);
    return add_clean(id, value);
  }
  // A line for a value of `size` bytes that the caller writes now and that is clean by its making;
  // nullptr: no memory.
  char* add_blank(HeaderId id, size_t size) noexcept;
  // Whether any of a set of names (bits by id) was ever added: lets a caller pass over a whole
  // list.
  bool may_have_any(const uint64_t (&mask)[2]) const noexcept {
    return ((known_[0] & mask[0]) | (known_[1] & mask[1])) != 0;
  }
  // Replaces the value of the first such field in its place and removes further ones; adds when
  // there is none.
  bool set(HeaderId id, std::string_view value) noexcept;
  bool set(std::string_view name, std::string_view value) noexcept;
  // "a, b": Envoy's way of appending to a field that is there (one line, comma without space for
  // x-forwarded-for is the caller's).
  bool append_value(HeaderId id, std::string_view delimiter, std::string_view value) noexcept;
  void remove(HeaderId id) noexcept {
    if ((known_[index(id)] & bit(id)) != 0) remove_known(id);
  }
  void remove(std::string_view name) noexcept;
  static void remove(Field* field) noexcept { field->flags |= Field::kRemoved; }

 private:
  static size_t index(HeaderId id) noexcept { return static_cast<size_t>(id) >> 6; }
  static uint64_t bit(HeaderId id) noexcept {
    return uint64_t{1} << (static_cast<unsigned>(id) & 63);
  }
  bool grow() noexcept;
  void remove_known(HeaderId id) noexcept;

  Field* fields_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  uint64_t known_[2] = {0, 0};
  base::Arena* arena_;
};

// How long a body is (RFC 9112 6.3, RFC 9113 8.1.1), decided once when the head is parsed.
struct Framing {
  enum class Kind : uint8_t { kNone, kLength, kChunked, kUntilClose };
  Kind kind = Kind::kNone;
  uint64_t length = 0;  // kLength only; 0 is kNone for requests without Content-Length
};

struct RequestHead {
  FieldList fields;
  std::string_view method_text;
  std::string_view target;  // as received
  std::string_view path;    // path and query that are routed and sent on; starts as part of target
  std::string_view authority;  // Host, or the authority of an absolute-form target
  std::string_view scheme;     // absolute-form's, else empty until the exchange sets it
  std::string_view protocol;   // extended CONNECT's :protocol (RFC 8441), else empty
  // The received request line with its CRLF; it is sent on as it is while path is unchanged and the
  // version is 1.1. Empty for HTTP/2.
  std::string_view line;
  Framing framing;
  Method method = Method::kOther;
  uint8_t version_major = 1;
  uint8_t version_minor = 1;
  bool keep_alive = true;  // what version and Connection say
  bool upgrade = false;    // Connection: upgrade with an Upgrade field
  bool nominates = true;   // Connection may name fields that end here
  bool expect_continue = false;
  bool te_trailers = false;
  bool is_grpc = false;
  bool absolute_form = false;

  std::string_view path_only() const noexcept { return path.substr(0, path.find('?')); }
};

struct ResponseHead {
  FieldList fields;
  std::string_view reason_phrase;
  std::string_view line;  // received status line with its CRLF, clean; empty when made by us
  Framing framing;
  uint16_t status = 0;
  uint8_t version_minor = 1;
  bool keep_alive = true;
  bool upgrade = false;   // 101 with Upgrade
  bool nominates = true;  // Connection may name fields that end here
};

std::string_view reason_phrase_of(uint16_t status) noexcept;
Method method_of(std::string_view text) noexcept;
std::string_view text_of(Method method) noexcept;

// RFC 9110 6.5.1: false for fields that frame, route, authenticate or describe a message, or belong
// to a connection or to the proxy, which must not be acted upon when they come behind the body.
bool may_be_trailer(const Field& field) noexcept;

// Content-Type of gRPC: `application/grpc`, alone or before '+' or ';', in any case.
bool is_grpc_type(std::string_view type) noexcept;

// True for RFC 9110 5.6.2 tokens / for values without CR, LF, NUL and other control characters.
bool is_token(std::string_view text) noexcept;
bool is_field_value(std::string_view text) noexcept;

}  // namespace sluice::http
