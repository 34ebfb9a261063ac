#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "http/format.h"
#include "http/format_ops.h"

namespace sluice::http {

namespace {

// What an operator is for one exchange: a text (borrowed, or in the renderer's scratch), a number,
// or nothing.
struct Value {
  enum class Kind : uint8_t { kMissing, kText, kNumber };
  Kind kind = Kind::kMissing;
  std::string_view text;
  uint64_t number = 0;

  static Value of(std::string_view t) noexcept { return {Kind::kText, t, 0}; }
  static Value of(uint64_t n) noexcept { return {Kind::kNumber, {}, n}; }
  // An empty text means that it is not known.
  static Value known(std::string_view t) noexcept { return t.empty() ? Value() : of(t); }
};

void append_number(Sink& sink, uint64_t n) noexcept {
  char text[20];
  const char* end = std::to_chars(text, text + sizeof(text), n).ptr;
  sink.append({text, static_cast<size_t>(end - text)});
}

Value field_value(const FieldList* fields, HeaderId id, std::string_view name) noexcept {
  if (fields == nullptr) return {};
  const Field* f = id != HeaderId::kOther ? fields->find(id) : fields->find(name);
  return f == nullptr ? Value() : Value::of(f->value());
}

// The next line of the same field behind `f`, or null.
const Field* next_line(const FieldList& fields, const Field* f) noexcept {
  const HeaderId id = f->id;
  while (++f != fields.end()) {
    if (f->id == id && !f->removed()) return f;
  }
  return nullptr;
}

uint64_t bytes_of(const FieldList* fields) noexcept {
  uint64_t bytes = 0;
  if (fields == nullptr) return bytes;
  for (const Field& f : *fields) {
    if (!f.removed()) bytes += f.name().size() + f.value().size();
  }
  return bytes;
}

uint64_t bytes_of(const RequestHead* head) noexcept {
  if (head == nullptr) return 0;
  uint64_t bytes = bytes_of(&head->fields);
  // Envoy has it as :authority only.
  if (const Field* host = head->fields.find(HeaderId::kHost)) {
    bytes -= host->name().size() + host->value().size();
  }
  const auto pseudo = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) bytes += name.size() + value.size();
  };
  pseudo(":method", head->method_text);
  pseudo(":path", head->path);
  pseudo(":authority", head->authority);
  pseudo(":scheme", head->scheme);
  return bytes;
}

uint64_t bytes_of(const ResponseHead* head) noexcept {
  constexpr size_t kStatus = std::string_view(":status200").size();
  return head == nullptr ? 0 : kStatus + bytes_of(&head->fields);
}

uint32_t grpc_of_http(uint16_t status) noexcept {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

}  // namespace

// FormatRenderer computes the values of one exchange, one operator at a time. On the stack; the
// text of a value may point into its scratch and then lives until the next value.
class FormatRenderer {
 public:
  using Code = Format::Code;
  using Op = Format::Op;

  FormatRenderer(const Format& format, const Facts& facts) noexcept
      : format_(format), facts_(facts) {}

  Value value(const Op& op) noexcept {
    Value v = raw_value(op);
    if (op.max_bytes != 0 && v.kind == Value::Kind::kText) v.text = v.text.substr(0, op.max_bytes);
    return v;
  }
  void render(Sink& sink) noexcept {
    for (const Op& op : format_.ops_) {
      if (op.code == Code::kLiteral) {
        sink.append(text_at(op));
      } else if (op.code < Code::kJsonKey) {
        append_text(value(op), sink);
      } else {
        return render_json(sink);
      }
    }
  }
  std::string_view render(base::Arena& arena) noexcept;

 private:
  void render_json(Sink& sink) noexcept;
  void append_text(const Value& v, Sink& sink) noexcept;
  void append_json_inside(const Value& v, Sink& sink) noexcept;
  void append_json_whole(const Value& v, Sink& sink) noexcept;

  Value raw_value(const Op& op) noexcept;
  Value request_header(const Op& op) noexcept;
  Value request_header(const Format::HeaderRef& ref) noexcept;
  Value response_header(const Op& op) noexcept;
  Value response_header(const Format::HeaderRef& ref) noexcept;
  Value field(const FieldList& fields, const Format::HeaderRef& ref) noexcept;
  Value trailer(const Op& op) const noexcept;
  Value time(const Op& op, base::WallNs at) noexcept;
  int64_t since_start_ns() const noexcept;
  Value span(const Op& op) const noexcept;
  Value count(uint32_t what) const noexcept;
  Value flags(bool full) noexcept;
  Value text(uint32_t what) const noexcept;
  Value upstream_host_name(bool without_port) noexcept;
  Value address(const base::Address* address, uint32_t part) noexcept;
  const base::Address* address_of(uint32_t what) const noexcept;
  Value stream_id() const noexcept;
  Value grpc_status(uint32_t style) const noexcept;
  Value query_param(std::string_view name) const noexcept;
  Value query_params() const noexcept;

  std::string_view text_at(const Op& op) const noexcept {
    return {format_.texts_.data() + op.a, op.b};
  }
  bool in_scratch(std::string_view t) const noexcept {
    return t.data() >= scratch_ && t.data() <= scratch_ + sizeof(scratch_);
  }

  const Format& format_;
  const Facts& facts_;
  char scratch_[1024];
};

Value FormatRenderer::raw_value(const Op& op) noexcept {
  switch (op.code) {
    case Code::kLiteral:
      return Value::of(text_at(op));
    case Code::kRequestHeader:
      return request_header(op);
    case Code::kResponseHeader:
      return response_header(op);
    case Code::kTrailer:
      return trailer(op);
    case Code::kProtocol:
      return Value::known(text_of(facts_.protocol));
    case Code::kUpstreamProtocol:
      return Value::known(text_of(facts_.upstream_protocol));
    case Code::kStartTime:
      return time(op, facts_.start_wall);
    case Code::kEmitTime:
      return time(op, facts_.start_wall + since_start_ns());
    case Code::kSpan:
      return span(op);
    case Code::kCount:
      return count(op.a);
    case Code::kResponseCode:
      return Value::of(uint64_t{facts_.response_code});
    case Code::kDetails:
      return Value::known(facts_.details());
    case Code::kFlags:
      return flags(op.a != 0);
    case Code::kText:
      return text(op.a);
    case Code::kUpstreamHostName:
      return upstream_host_name(op.a != 0);
    case Code::kAddress:
      return address(address_of(op.a), op.b);
    case Code::kStreamId:
      return stream_id();
    case Code::kGrpcStatus:
      return grpc_status(op.a);
    case Code::kReason:
      return Value::of(op.a == 0 ? base::text_of(facts_.reason).code
                                 : base::text_of(facts_.reason).sentence);
    case Code::kQueryParam:
      return query_param(text_at(op));
    case Code::kQueryParams:
      return query_params();
    case Code::kMissing:
    case Code::kJsonKey:
    case Code::kJsonQuote:
    case Code::kJsonOpen:
    case Code::kJsonClose:
    case Code::kJsonEnd:
      break;
  }
  return {};
}

Value FormatRenderer::request_header(const Op& op) noexcept {
  const Format::HeaderOperand& operand = format_.headers_[op.a];
  Value v = request_header(operand.first);
  if (v.kind == Value::Kind::kMissing) v = request_header(operand.second);
  if ((op.flags & format_op::kNoQuery) != 0) v.text = v.text.substr(0, v.text.find('?'));
  return v;
}

// Of a name that Envoy keeps in one line all lines, of others the first; as it logs them.
Value FormatRenderer::field(const FieldList& fields, const Format::HeaderRef& ref) noexcept {
  const Field* f = ref.id != HeaderId::kOther ? fields.find(ref.id) : fields.find(ref.name);
  if (f == nullptr) return {};
  const Field* next = ref.in_one_line ? next_line(fields, f) : nullptr;
  if (next == nullptr) [[likely]]
    return Value::of(f->value());
  Sink sink(scratch_, sizeof(scratch_));
  sink.append(f->value());
  for (; next != nullptr; next = next_line(fields, next)) {
    sink.append(ref.id == HeaderId::kCookie ? "; " : ",");
    sink.append(next->value());
  }
  return Value::of(sink.text());
}

Value FormatRenderer::request_header(const Format::HeaderRef& ref) noexcept {
  using Kind = Format::HeaderRef::Kind;
  if (facts_.request == nullptr) return {};
  const RequestHead& head = *facts_.request;
  switch (ref.kind) {
    case Kind::kField:
      return field(head.fields, ref);
    case Kind::kMethod:
      return Value::known(head.method_text);
    case Kind::kPath:
      return Value::known(head.path);
    case Kind::kAuthority:
      return Value::known(head.authority);
    case Kind::kScheme:
      return Value::known(head.scheme);
    case Kind::kNone:
    case Kind::kStatus:
      break;
  }
  return {};
}

Value FormatRenderer::response_header(const Op& op) noexcept {
  const Format::HeaderOperand& operand = format_.headers_[op.a];
  const Value v = response_header(operand.first);
  return v.kind == Value::Kind::kMissing ? response_header(operand.second) : v;
}

Value FormatRenderer::response_header(const Format::HeaderRef& ref) noexcept {
  if (facts_.response == nullptr) return {};
  if (ref.kind == Format::HeaderRef::Kind::kStatus) {
    return Value::of(uint64_t{facts_.response->status});
  }
  if (ref.kind != Format::HeaderRef::Kind::kField) return {};
  return field(facts_.response->fields, ref);
}

Value FormatRenderer::trailer(const Op& op) const noexcept {
  const Format::HeaderOperand& operand = format_.headers_[op.a];
  for (const Format::HeaderRef* ref : {&operand.first, &operand.second}) {
    if (ref->kind != Format::HeaderRef::Kind::kField) continue;
    const Value v = field_value(facts_.response_trailers, ref->id, ref->name);
    if (v.kind != Value::Kind::kMissing) return v;
  }
  return {};
}

int64_t FormatRenderer::since_start_ns() const noexcept {
  if (facts_.stamps == nullptr) return 0;
  return std::max<int64_t>(
      0, facts_.stamps->between_ns(base::Stamp::kReceived, base::Stamp::kFlushed));
}

Value FormatRenderer::time(const Op& op, base::WallNs at) noexcept {
  if (op.b == 0) {
    write_default_time(at, scratch_);
    return Value::of({scratch_, kDefaultTimeBytes});
  }
  Sink sink(scratch_, sizeof(scratch_));
  append_time(text_at(op), at, sink);
  return Value::of(sink.text());
}

Value FormatRenderer::span(const Op& op) const noexcept {
  if (facts_.stamps == nullptr) return {};
  const int64_t ns =
      facts_.stamps->between_ns(static_cast<base::Stamp>(op.a), static_cast<base::Stamp>(op.b));
  if (ns < 0) return {};
  const auto n = static_cast<uint64_t>(ns);
  switch (op.flags) {
    case format_op::kMs:
      return Value::of(n / 1'000'000);
    case format_op::kUs:
      return Value::of(n / 1'000);
    default:
      return Value::of(n);
  }
}

Value FormatRenderer::count(uint32_t what) const noexcept {
  switch (what) {
    case format_op::kBytesReceived:
      return Value::of(facts_.bytes_received);
    case format_op::kBytesSent:
      return Value::of(facts_.bytes_sent);
    case format_op::kRequestHeadBytes:
      return Value::of(facts_.request_head_bytes);
    case format_op::kResponseHeadBytes:
      return Value::of(facts_.response_head_bytes);
    case format_op::kDownstreamWireReceived:
      return Value::of(facts_.downstream_wire_received);
    case format_op::kDownstreamWireSent:
      return Value::of(facts_.downstream_wire_sent);
    case format_op::kUpstreamWireReceived:
      return Value::of(facts_.upstream_wire_received);
    case format_op::kUpstreamWireSent:
      return Value::of(facts_.upstream_wire_sent);
    case format_op::kUpstreamHeadReceived:
      return Value::of(facts_.upstream_head_received);
    case format_op::kUpstreamHeadSent:
      return Value::of(facts_.upstream_head_sent);
    case format_op::kRequestFieldBytes:
      return Value::of(bytes_of(facts_.request));
    case format_op::kResponseFieldBytes:
      return Value::of(bytes_of(facts_.response));
    case format_op::kResponseTrailerBytes:
      return Value::of(bytes_of(facts_.response_trailers));
    case format_op::kAttempts:
      return Value::of(uint64_t{facts_.attempts});
    case format_op::kConnectionId:
      return Value::of(facts_.connection_id);
    default:
      return facts_.upstream_connection_id == 0 ? Value()
                                                : Value::of(facts_.upstream_connection_id);
  }
}

Value FormatRenderer::flags(bool full) noexcept {
  uint32_t left = facts_.flags();
  if (left == 0) return Value::of("-");
  Sink sink(scratch_, sizeof(scratch_));
  for (unsigned i = 1; left >> i != 0; ++i) {
    if ((left >> i & 1) == 0) continue;
    if (sink.size() != 0) sink.append(',');
    const auto flag = static_cast<base::ResponseFlag>(i);
    sink.append(full ? base::long_name(flag) : base::short_name(flag));
  }
  return Value::of(sink.text());
}

namespace {

// Why we closed a relay's connection, in Envoy's words. That of an exchange outlives it.
std::string_view close_reason(const Facts& facts, bool upstream) noexcept {
  using base::Reason;
  if (facts.log_type() != LogType::kTcpConnectionEnd) return {};
  switch (facts.reason) {
    case Reason::kConnectionIdleTimeout:
      return "tcp_session_idle_timeout";
    case Reason::kMaxConnectionDuration:
      return "max_connection_duration_reached";
    case Reason::kUpstreamConnectFailed:
    case Reason::kUpstreamConnectTimeout:
      return upstream ? "" : "tcp_initializion_failure:0";
    case Reason::kNoHealthyUpstream:
      return upstream ? "" : "tcp_initializion_failure:1";
    case Reason::kOverflowConnections:
    case Reason::kOverflowPending:
      return upstream ? "" : "tcp_initializion_failure:2";
    case Reason::kClusterNotFound:
    case Reason::kClusterWarming:
      return upstream ? "" : "tcp_initializion_failure:3";
    default:
      return {};
  }
}

}  // namespace

Value FormatRenderer::text(uint32_t what) const noexcept {
  switch (what) {
    case format_op::kRouteName:
      return Value::known(facts_.route_name);
    case format_op::kVirtualHostName:
      return Value::known(facts_.virtual_host_name);
    case format_op::kClusterName:
      return Value::known(facts_.cluster_name);
    case format_op::kFilterChainName:
      return Value::known(facts_.filter_chain_name);
    case format_op::kLocalReplyBody:
      return Value::known(facts_.local_reply_body);
    case format_op::kTransportFailure:
      return Value::known(facts_.upstream_transport_failure);
    case format_op::kTerminationDetails:
      return Value::known(facts_.connection_termination_details);
    case format_op::kDownstreamCloseReason:
    case format_op::kUpstreamCloseReason:
      return Value::known(close_reason(facts_, what == format_op::kUpstreamCloseReason));
    case format_op::kLogType:
      return Value::of(facts_.log_type() == LogType::kDownstreamEnd ? "DownstreamEnd"
                                                                    : "TcpConnectionEnd");
    default:
      return Value::known(facts_.requested_server_name);
  }
}

Value FormatRenderer::upstream_host_name(bool without_port) noexcept {
  if (!facts_.upstream_hostname.empty()) return Value::of(facts_.upstream_hostname);
  return address(facts_.upstream_remote, without_port ? format_op::kIp : format_op::kFull);
}

const base::Address* FormatRenderer::address_of(uint32_t what) const noexcept {
  switch (what) {
    case format_op::kDownstreamRemote:
      return facts_.downstream_remote;
    case format_op::kDownstreamDirectRemote:
      return facts_.downstream_direct_remote;
    case format_op::kDownstreamLocal:
      return facts_.downstream_local;
    case format_op::kUpstreamRemote:
      return facts_.upstream_remote;
    default:
      return facts_.upstream_local;
  }
}

Value FormatRenderer::address(const base::Address* address, uint32_t part) noexcept {
  if (address == nullptr) return {};
  if (part == format_op::kFull || (part == format_op::kIp && address->is_unix())) {
    return Value::known({scratch_, format_address(*address, scratch_)});
  }
  if (!address->is_ip()) return {};
  if (part == format_op::kPort) return Value::of(uint64_t{address->port()});
  return Value::of({scratch_, address->ip().format(scratch_)});
}

Value FormatRenderer::stream_id() const noexcept {
  if (!facts_.request_id.empty()) return Value::of(facts_.request_id);
  return facts_.stream_id == 0 ? Value() : Value::of(facts_.stream_id);
}

Value FormatRenderer::grpc_status(uint32_t style) const noexcept {
  if (facts_.request == nullptr || !facts_.request->is_grpc) return {};
  Value v = field_value(facts_.response_trailers, HeaderId::kGrpcStatus, {});
  if (v.kind == Value::Kind::kMissing && facts_.response != nullptr) {
    v = field_value(&facts_.response->fields, HeaderId::kGrpcStatus, {});
  }
  uint32_t code = 0;
  if (v.kind == Value::Kind::kMissing) {
    if (facts_.response_code == 0) return {};
    code = grpc_of_http(facts_.response_code);
  } else {
    const char* end = v.text.data() + v.text.size();
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage)
    const auto parsed = std::from_chars(v.text.data(), end, code);
    if (parsed.ec != std::errc() || parsed.ptr != end) return Value::of("InvalidCode");
  }
  if (style == format_op::kNumber) return Value::of(uint64_t{code});
  const std::string_view name = grpc_status_name(code, style == format_op::kSnake);
  return name.empty() ? Value::of(uint64_t{code}) : Value::of(name);
}

Value FormatRenderer::query_param(std::string_view name) const noexcept {
  if (facts_.request == nullptr) return {};
  std::string_view rest = facts_.request->path;
  const size_t begin = rest.find('?');
  if (begin == std::string_view::npos) return {};
  rest.remove_prefix(begin + 1);
  rest = rest.substr(0, rest.find('#'));
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return Value::of(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
  }
  return {};
}

Value FormatRenderer::query_params() const noexcept {
  if (facts_.request == nullptr) return {};
  const std::string_view path = facts_.request->path;
  const size_t begin = path.find('?');
  return begin == std::string_view::npos ? Value() : Value::known(path.substr(begin + 1));
}

void FormatRenderer::append_text(const Value& v, Sink& sink) noexcept {
  switch (v.kind) {
    case Value::Kind::kMissing:
      if (format_.options_.missing == FormatOptions::Missing::kDash) sink.append('-');
      break;
    case Value::Kind::kNumber:
      append_number(sink, v.number);
      break;
    case Value::Kind::kText:
      if (format_.options_.escape == FormatOptions::Escape::kNone) {
        sink.append(v.text);
      } else {
        append_log_escaped(v.text, sink);
      }
  }
}

void FormatRenderer::append_json_inside(const Value& v, Sink& sink) noexcept {
  if (v.kind == Value::Kind::kText) return append_json_escaped(v.text, sink);
  append_text(v, sink);
}

void FormatRenderer::append_json_whole(const Value& v, Sink& sink) noexcept {
  if (v.kind == Value::Kind::kText) {
    sink.append('"');
    append_json_escaped(v.text, sink);
    sink.append('"');
  } else if (v.kind == Value::Kind::kNumber) {
    append_number(sink, v.number);
  } else {
    sink.append("null");
  }
}

void FormatRenderer::render_json(Sink& sink) noexcept {
  const bool omit = format_.options_.missing == FormatOptions::Missing::kEmpty;
  // Where the value that is being written began, comma and key included, and whether it was the
  // first: of this one, and of the objects and lists around it.
  struct Begun {
    size_t at;
    bool first;
  };
  Begun around[Format::kMaxJsonDepth];
  size_t depth = 0;
  Begun begun{0, true};
  bool first = true;
  sink.append('{');
  for (size_t i = 0; i < format_.ops_.size(); ++i) {
    const Op& op = format_.ops_[i];
    switch (op.code) {
      case Code::kJsonKey: {
        const bool whole = (op.flags & format_op::kWhole) != 0;
        const Value v = whole ? value(format_.ops_[++i]) : Value();
        if (whole && omit && v.kind == Value::Kind::kMissing) break;
        begun = {sink.size(), first};
        if (!std::exchange(first, false)) sink.append(',');
        sink.append(text_at(op));
        if (whole) append_json_whole(v, sink);
        break;
      }
      case Code::kJsonQuote:
        sink.append('"');
        break;
      case Code::kJsonOpen:
        around[depth++] = begun;
        first = true;
        sink.append((op.flags & format_op::kList) != 0 ? '[' : '{');
        break;
      case Code::kJsonClose:
        begun = around[--depth];
        if (omit && first && (op.flags & format_op::kList) == 0) {
          sink.rewind(begun.at);
          first = begun.first;
          break;
        }
        first = false;
        sink.append((op.flags & format_op::kList) != 0 ? ']' : '}');
        break;
      case Code::kJsonEnd:
        sink.append("}\n");
        break;
      case Code::kLiteral:
        sink.append(text_at(op));
        break;
      default:
        append_json_inside(value(op), sink);
        break;
    }
  }
}

std::string_view FormatRenderer::render(base::Arena& arena) noexcept {
  if (format_.ops_.size() == 1) {
    const Value v = value(format_.ops_[0]);
    if (v.kind == Value::Kind::kText && format_.options_.escape == FormatOptions::Escape::kNone) {
      return in_scratch(v.text) ? arena.dup(v.text) : v.text;
    }
  }
  char stack[512];
  Sink small(stack, sizeof(stack));
  render(small);
  if (!small.full()) return arena.dup(small.text());
  constexpr size_t kMost = 16 * 1024;
  char* room = arena.chars(kMost);
  if (room == nullptr) return {};
  Sink big(room, kMost);
  render(big);
  return big.text();
}

void Format::render(const Facts& facts, Sink& sink) const noexcept {
  if (literal_) return sink.append(texts_);
  FormatRenderer(*this, facts).render(sink);
}

std::string_view Format::render(const Facts& facts, base::Arena& arena) const noexcept {
  if (literal_) return texts_;
  return FormatRenderer(*this, facts).render(arena);
}

}  // namespace sluice::http
