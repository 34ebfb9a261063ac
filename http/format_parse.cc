#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "http/format.h"
#include "http/format_operators.h"
#include "http/format_ops.h"
#include "http/header_edit.h"

namespace sluice::http {

namespace {

using Code = Format::Code;
using base::Stamp;
using format_op::Arg;
using format_op::Operator;

constexpr uint32_t n(Stamp stamp) { return static_cast<uint32_t>(stamp); }

constexpr std::string_view kDefaultText =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "-";
}

// The points of COMMON_DURATION.
struct Point {
  std::string_view name;
  Stamp stamp;
};
constexpr Point kPoints[] = {
    {"DS_RX_BEG", Stamp::kReceived},      {"DS_RX_END", Stamp::kRequestReceived},
    {"US_CX_BEG", Stamp::kPicked},        {"US_CX_END", Stamp::kConnected},
    {"US_TX_BEG", Stamp::kHeadSent},      {"US_TX_END", Stamp::kRequestSent},
    {"US_RX_BEG", Stamp::kResponseFirst}, {"US_RX_END", Stamp::kResponseEnd},
    {"DS_TX_BEG", Stamp::kResponseBegun}, {"DS_TX_END", Stamp::kFlushed},
};

}  // namespace

// FormatParser writes a Format from its text; main or compile pool. Offsets in errors are those of
// the text that it was given.
class FormatParser {
 public:
  FormatParser(Format& out, std::vector<std::string>* warnings) : out_(out), warnings_(warnings) {}

  absl::Status parse(std::string_view text);
  absl::Status parse_members(const JsonFormat::Members& members, bool in_list, size_t depth);
  void end_json() { out_.ops_.push_back({.code = Code::kJsonEnd}); }
  // One literal and nothing else: no operations are left.
  void fold();

 private:
  absl::Status parse_operator(std::string_view text, size_t* at);
  absl::Status add(const Operator& op, std::string_view name, std::optional<std::string_view> arg,
                   uint16_t max_bytes, size_t at);
  absl::Status add_header(Format::Op op, std::string_view arg, size_t at);
  absl::Status add_time(Format::Op op, std::string_view arg, size_t at);
  absl::Status add_duration(Format::Op op, std::string_view arg, size_t at);
  absl::Status add_cost(Format::Op op, std::string_view arg, size_t at);
  absl::Status add_grpc(Format::Op op, std::string_view arg, size_t at);
  absl::Status add_path(Format::Op op, std::string_view arg, size_t at);
  absl::Status parse_member(const std::string& key, const JsonFormat& value, bool in_list,
                            size_t depth);
  absl::Status parse_string(std::string_view text);
  void add_key(const std::string& key, bool in_list);
  void add_literal(std::string_view text);
  void store(Format::Op& op, std::string_view text);
  absl::StatusOr<Format::HeaderRef> header_ref(Code code, std::string_view name, size_t at);

  template <typename... Args>
  static absl::Status error(size_t at, const Args&... args) {
    return base::config_error("position ", at, ": ", args...);
  }

  Format& out_;
  std::vector<std::string>* warnings_;
  bool json_ = false;
};

absl::Status FormatParser::parse(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t percent = std::min(text.find('%', at), text.size());
    add_literal(text.substr(at, percent - at));
    at = percent;
    if (at == text.size()) break;
    if (text.substr(at, 2) == "%%") {
      add_literal("%");
      at += 2;
    } else if (absl::Status status = parse_operator(text, &at); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// %NAME%, %NAME(arg)%, %NAME(arg):10%, %NAME:10%
absl::Status FormatParser::parse_operator(std::string_view text, size_t* at) {
  const size_t begin = *at;
  const auto is_name = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  size_t end = begin + 1;
  while (end < text.size() && is_name(text[end])) ++end;
  const std::string_view name = text.substr(begin + 1, end - begin - 1);
  const Operator* op = format_op::find_operator(name);
  if (op == nullptr) {
    return error(begin, "unknown operator (write %% for a percent sign): %", name);
  }
  std::optional<std::string_view> arg;
  if (end < text.size() && text[end] == '(') {
    const size_t close = text.find(')', end);
    if (close == std::string_view::npos) return error(begin, "missing ) after %", name, "(");
    arg = text.substr(end + 1, close - end - 1);
    end = close + 1;
  }
  uint16_t max_bytes = 0;
  if (end < text.size() && text[end] == ':') {
    const auto parsed =
        std::from_chars(text.data() + end + 1, text.data() + text.size(), max_bytes);
    if (parsed.ec != std::errc() || max_bytes == 0) {
      return error(end, "length after %", name, ": must be a number from 1 to 65535");
    }
    end = static_cast<size_t>(parsed.ptr - text.data());
  }
  if (end >= text.size() || text[end] != '%') {
    return error(begin, "missing % at the end of %", name);
  }
  *at = end + 1;
  return add(*op, name, arg, max_bytes, begin);
}

absl::Status FormatParser::add(const Operator& op, std::string_view name,
                               std::optional<std::string_view> arg, uint16_t max_bytes, size_t at) {
  Format::Op out{.code = op.code, .flags = op.flags, .max_bytes = max_bytes, .a = op.a, .b = op.b};
  const bool wants = op.arg == Arg::kHeader || op.arg == Arg::kCost || op.arg == Arg::kDuration ||
                     op.arg == Arg::kQuery || op.arg == Arg::kEnvironment;
  if (wants && (!arg || arg->empty())) return error(at, "%", name, "% needs (an argument)");
  if (op.arg == Arg::kNone && arg) return error(at, "%", name, "% takes no argument: ", *arg);
  switch (op.arg) {
    case Arg::kHeader:
      return add_header(out, *arg, at);
    case Arg::kTime:
      return add_time(out, arg.value_or(""), at);
    case Arg::kCost:
      return add_cost(out, *arg, at);
    case Arg::kDuration:
      return add_duration(out, *arg, at);
    case Arg::kGrpc:
      return add_grpc(out, arg.value_or("CAMEL_STRING"), at);
    case Arg::kPath:
      return add_path(out, arg.value_or(""), at);
    case Arg::kQueryParams:
      if (arg && *arg != "ORIG") return error(at, "QUERY_PARAMS takes (ORIG): ", *arg);
      break;
    case Arg::kQuery:
      store(out, *arg);
      break;
    case Arg::kReason:
      if (arg && *arg != "SENTENCE") return error(at, "%REASON% takes (SENTENCE): ", *arg);
      out.a = arg ? 1 : 0;
      break;
    case Arg::kHostname:
      add_literal(host_name());
      return absl::OkStatus();
    case Arg::kEnvironment: {
      const char* value = std::getenv(std::string(*arg).c_str());
      add_literal(value == nullptr ? "-" : value);
      return absl::OkStatus();
    }
    case Arg::kUnsupported:
      if (warnings_ != nullptr) {
        warnings_->push_back(base::cat("position ", at, ": %", name, "% is not supported and is ",
                                       "logged as missing"));
      }
      break;
    case Arg::kNone:
    case Arg::kIgnored:
      break;
  }
  out_.ops_.push_back(out);
  return absl::OkStatus();
}

absl::Status FormatParser::add_header(Format::Op op, std::string_view arg, size_t at) {
  const size_t question = arg.find('?');
  Format::HeaderOperand operand;
  auto first = header_ref(op.code, arg.substr(0, question), at);
  if (!first.ok()) return first.status();
  operand.first = *std::move(first);
  if (question != std::string_view::npos) {
    auto second = header_ref(op.code, arg.substr(question + 1), at);
    if (!second.ok()) return second.status();
    operand.second = *std::move(second);
  }
  op.a = static_cast<uint32_t>(out_.headers_.size());
  out_.headers_.push_back(std::move(operand));
  out_.ops_.push_back(op);
  return absl::OkStatus();
}

absl::StatusOr<Format::HeaderRef> FormatParser::header_ref(Code code, std::string_view name,
                                                           size_t at) {
  using Kind = Format::HeaderRef::Kind;
  Format::HeaderRef ref;
  ref.name = lower(name);
  const bool request = code == Code::kRequestHeader;
  if (request && (ref.name == ":authority" || ref.name == "host")) {
    ref.kind = Kind::kAuthority;
  } else if (request && ref.name == ":method") {
    ref.kind = Kind::kMethod;
  } else if (request && ref.name == ":path") {
    ref.kind = Kind::kPath;
  } else if (request && ref.name == ":scheme") {
    ref.kind = Kind::kScheme;
  } else if (code == Code::kResponseHeader && ref.name == ":status") {
    ref.kind = Kind::kStatus;
  } else if (is_token(ref.name)) {
    ref.kind = Kind::kField;
    ref.id = header_id_of(ref.name);
    ref.in_one_line = !may_stand_in_lines(ref.id);
  } else {
    return error(at, "not a header name: ", name);
  }
  return ref;
}

absl::Status FormatParser::add_time(Format::Op op, std::string_view arg, size_t at) {
  if (const size_t bad = find_bad_time_pattern(arg); bad != std::string_view::npos) {
    return error(
        at, "START_TIME and EMIT_TIME do not know the conversion (write %% for a percent sign): ",
        arg.substr(bad));
  }
  if (!arg.empty()) store(op, arg);
  out_.ops_.push_back(op);
  return absl::OkStatus();
}

absl::Status FormatParser::add_cost(Format::Op op, std::string_view arg, size_t at) {
  for (const base::CostSpan& span : base::kCostSpans) {
    if (arg != span.name) continue;
    op.a = n(span.from);
    op.b = n(span.to);
    op.flags = format_op::kNs;
    out_.ops_.push_back(op);
    return absl::OkStatus();
  }
  return error(at, "COST takes one of parse, route, chain, response_chain, pick, pool, connect, ",
               "send, upstream, response_parse, body, flush, total: ", arg);
}

// START:END:PRECISION
absl::Status FormatParser::add_duration(Format::Op op, std::string_view arg, size_t at) {
  std::string_view part[3];
  for (std::string_view& p : part) {
    const size_t colon = arg.find(':');
    p = arg.substr(0, colon);
    arg = colon == std::string_view::npos ? "" : arg.substr(colon + 1);
  }
  uint32_t* const stamps[] = {&op.a, &op.b};
  for (size_t i = 0; i < 2; ++i) {
    const auto point = std::find_if(std::begin(kPoints), std::end(kPoints),
                                    [&](const Point& p) { return p.name == part[i]; });
    if (point == std::end(kPoints)) {
      return error(at, "COMMON_DURATION takes DS_RX_BEG:DS_TX_END:ms and the like, unknown point: ",
                   part[i]);
    }
    *stamps[i] = n(point->stamp);
  }
  if (part[2] == "ms") {
    op.flags = format_op::kMs;
  } else if (part[2] == "us") {
    op.flags = format_op::kUs;
  } else if (part[2] == "ns") {
    op.flags = format_op::kNs;
  } else {
    return error(at, "COMMON_DURATION's precision is ms, us or ns: ", part[2]);
  }
  if (!arg.empty()) return error(at, "COMMON_DURATION takes three parts, too many: ", arg);
  out_.ops_.push_back(op);
  return absl::OkStatus();
}

// WQ or NQ (with or without the query), then :ORIG, :PATH or :ORIG_OR_PATH.
absl::Status FormatParser::add_path(Format::Op op, std::string_view arg, size_t at) {
  const size_t colon = arg.find(':');
  const std::string_view query = arg.substr(0, colon);
  const std::string_view which = colon == std::string_view::npos ? "" : arg.substr(colon + 1);
  if (query == "NQ") {
    op.flags = format_op::kNoQuery;
  } else if (!query.empty() && query != "WQ") {
    return error(at, "PATH takes WQ or NQ first: ", query);
  }
  if (which == "ORIG") return add_header(op, "x-envoy-original-path", at);
  if (which == "PATH") return add_header(op, ":path", at);
  if (!which.empty() && which != "ORIG_OR_PATH") {
    return error(at, "PATH takes ORIG, PATH or ORIG_OR_PATH second: ", which);
  }
  return add_header(op, "x-envoy-original-path?:path", at);
}

absl::Status FormatParser::add_grpc(Format::Op op, std::string_view arg, size_t at) {
  if (arg == "CAMEL_STRING") {
    op.a = format_op::kCamel;
  } else if (arg == "SNAKE_STRING") {
    op.a = format_op::kSnake;
  } else if (arg == "NUMBER") {
    op.a = format_op::kNumber;
  } else {
    return error(at, "GRPC_STATUS takes CAMEL_STRING, SNAKE_STRING or NUMBER: ", arg);
  }
  out_.ops_.push_back(op);
  return absl::OkStatus();
}

void FormatParser::store(Format::Op& op, std::string_view text) {
  op.a = static_cast<uint32_t>(out_.texts_.size());
  op.b = static_cast<uint32_t>(text.size());
  out_.texts_.append(text);
}

// Neighbouring literals become one.
void FormatParser::add_literal(std::string_view text) {
  if (text.empty()) return;
  std::string escaped;
  if (json_) {
    escaped.resize(text.size() * 6);
    Sink sink(escaped.data(), escaped.size());
    append_json_escaped(text, sink);
    text = sink.text();
  }
  if (!out_.ops_.empty()) {
    Format::Op& last = out_.ops_.back();
    if (last.code == Code::kLiteral && last.a + last.b == out_.texts_.size()) {
      last.b += static_cast<uint32_t>(text.size());
      out_.texts_.append(text);
      return;
    }
  }
  Format::Op op{.code = Code::kLiteral};
  store(op, text);
  out_.ops_.push_back(op);
}

absl::Status FormatParser::parse_members(const JsonFormat::Members& members, bool in_list,
                                         size_t depth) {
  json_ = true;
  if (depth > Format::kMaxJsonDepth) {
    return base::config_error("more than ", Format::kMaxJsonDepth,
                              " objects and lists inside each other");
  }
  for (size_t i = 0; i < members.size(); ++i) {
    const auto& [key, value] = members[i];
    if (absl::Status status = parse_member(key, value, in_list, depth); !status.ok()) {
      const std::string at = in_list ? base::cat("[", i, "]") : key;
      return base::config_error(at, ": ", base::message_of(status));
    }
  }
  return absl::OkStatus();
}

absl::Status FormatParser::parse_member(const std::string& key, const JsonFormat& value,
                                        bool in_list, size_t depth) {
  using Kind = JsonFormat::Kind;
  if (value.kind == Kind::kNull && out_.options_.missing == FormatOptions::Missing::kEmpty) {
    return absl::OkStatus();
  }
  add_key(key, in_list);
  switch (value.kind) {
    case Kind::kFormat:
      return parse_string(value.text);
    case Kind::kLiteral:
    case Kind::kNull: {
      Format::Op op{.code = Code::kLiteral};
      store(op, value.kind == Kind::kNull ? "null" : value.text);
      out_.ops_.push_back(op);
      return absl::OkStatus();
    }
    case Kind::kObject:
    case Kind::kList: {
      const uint8_t flags = value.kind == Kind::kList ? format_op::kList : 0;
      out_.ops_.push_back({.code = Code::kJsonOpen, .flags = flags});
      absl::Status status = parse_members(value.members, flags != 0, depth + 1);
      out_.ops_.push_back({.code = Code::kJsonClose, .flags = flags});
      return status;
    }
  }
  return absl::OkStatus();
}

void FormatParser::add_key(const std::string& key, bool in_list) {
  Format::Op op{.code = Code::kJsonKey};
  if (!in_list) {
    std::string quoted(key.size() * 6 + 3, '\0');
    Sink sink(quoted.data(), quoted.size());
    sink.append('"');
    append_json_escaped(key, sink);
    sink.append("\":");
    store(op, sink.text());
  }
  out_.ops_.push_back(op);
}

// Behind its key: one operator that is all of it, or a string.
absl::Status FormatParser::parse_string(std::string_view text) {
  const size_t at = out_.ops_.size();
  out_.ops_.push_back({.code = Code::kJsonQuote});
  if (absl::Status status = parse(text); !status.ok()) return status;
  const bool whole = out_.ops_.size() == at + 2 && out_.ops_.back().code != Code::kLiteral;
  if (whole) {
    out_.ops_[at - 1].flags = format_op::kWhole;
    out_.ops_.erase(out_.ops_.begin() + static_cast<ptrdiff_t>(at));
  } else {
    out_.ops_.push_back({.code = Code::kJsonQuote});
  }
  return absl::OkStatus();
}

void FormatParser::fold() {
  out_.literal_ =
      out_.ops_.empty() || (out_.ops_.size() == 1 && out_.ops_[0].code == Code::kLiteral);
  if (out_.literal_) out_.ops_.clear();
  out_.ops_.shrink_to_fit();
  out_.headers_.shrink_to_fit();
  out_.texts_.shrink_to_fit();
}

absl::StatusOr<Format> Format::parse(std::string_view text, Options options,
                                     std::vector<std::string>* warnings) {
  Format format;
  format.options_ = options;
  FormatParser parser(format, warnings);
  if (absl::Status status = parser.parse(text); !status.ok()) return status;
  parser.fold();
  return format;
}

JsonFormat JsonFormat::literal(std::string json) {
  JsonFormat out(std::move(json));
  out.kind = Kind::kLiteral;
  return out;
}

JsonFormat JsonFormat::null() {
  JsonFormat out;
  out.kind = Kind::kNull;
  return out;
}

JsonFormat JsonFormat::object(Members members) {
  JsonFormat out;
  out.kind = Kind::kObject;
  out.members = std::move(members);
  return out;
}

JsonFormat JsonFormat::list(Members members) {
  JsonFormat out;
  out.kind = Kind::kList;
  out.members = std::move(members);
  return out;
}

absl::StatusOr<Format> Format::parse_json(const JsonFormat::Members& members, bool omit_empty,
                                          std::vector<std::string>* warnings) {
  Format format;
  format.options_.missing =
      omit_empty ? FormatOptions::Missing::kEmpty : FormatOptions::Missing::kDash;
  FormatParser parser(format, warnings);
  // The opening brace is written by whoever meets the first JSON operation.
  if (absl::Status status = parser.parse_members(members, false, 1); !status.ok()) return status;
  parser.end_json();
  parser.fold();
  return format;
}

bool Format::shows_upstream_local() const noexcept {
  return std::any_of(ops_.begin(), ops_.end(), [](const Op& op) {
    return op.code == Code::kAddress && op.a == format_op::kUpstreamLocal;
  });
}

std::string_view Format::default_text() noexcept { return kDefaultText; }

std::string_view grpc_status_name(uint32_t code, bool snake) noexcept {
  static constexpr std::string_view kNames[][2] = {
      {"OK", "OK"},
      {"Canceled", "CANCELLED"},
      {"Unknown", "UNKNOWN"},
      {"InvalidArgument", "INVALID_ARGUMENT"},
      {"DeadlineExceeded", "DEADLINE_EXCEEDED"},
      {"NotFound", "NOT_FOUND"},
      {"AlreadyExists", "ALREADY_EXISTS"},
      {"PermissionDenied", "PERMISSION_DENIED"},
      {"ResourceExhausted", "RESOURCE_EXHAUSTED"},
      {"FailedPrecondition", "FAILED_PRECONDITION"},
      {"Aborted", "ABORTED"},
      {"OutOfRange", "OUT_OF_RANGE"},
      {"Unimplemented", "UNIMPLEMENTED"},
      {"Internal", "INTERNAL"},
      {"Unavailable", "UNAVAILABLE"},
      {"DataLoss", "DATA_LOSS"},
      {"Unauthenticated", "UNAUTHENTICATED"},
  };
  return code < std::size(kNames) ? kNames[code][snake ? 1 : 0] : std::string_view();
}

}  // namespace sluice::http
