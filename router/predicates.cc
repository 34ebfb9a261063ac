#include "router/predicates.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/text.h"

namespace sluice::router {

namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// `b` is in lower case.
bool equal_folded(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == y; });
}

bool contains_folded(std::string_view text, std::string_view part) noexcept {
  return part.empty() || std::search(text.begin(), text.end(), part.begin(), part.end(),
                                     [](char x, char y) { return lower(x) == y; }) != text.end();
}

std::optional<int64_t> parse_integer(std::string_view text) noexcept {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return std::nullopt;
  text = text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  int64_t number = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

absl::Status compile_string(const StringMatch& match, uint32_t num_workers, const std::string& at,
                            CompiledString* out) {
  out->kind = match.kind;
  out->ignore_case = match.ignore_case && match.kind != StringMatch::Kind::kRegex;
  if (match.kind != StringMatch::Kind::kRegex) {
    out->text = out->ignore_case ? to_lower(match.text) : match.text;
    return absl::OkStatus();
  }
  auto regex = std::make_unique<Regex>(match.text, num_workers);
  if (!regex->ok()) {
    return base::config_error(at, ": bad regular expression \"", match.text,
                              "\": ", regex->error());
  }
  out->regex = std::move(regex);
  return absl::OkStatus();
}

// The methods that `match` lets through, if it is about a known method; else nothing.
std::optional<uint16_t> method_bits(const HeaderMatch& match) {
  if (match.name != ":method" || match.kind != HeaderMatch::Kind::kString ||
      match.string.kind != StringMatch::Kind::kExact || match.string.ignore_case) {
    return std::nullopt;
  }
  const http::Method method = http::method_of(match.string.text);
  if (method == http::Method::kOther) return std::nullopt;
  const auto bit = static_cast<uint16_t>(1u << static_cast<unsigned>(method));
  return match.invert ? static_cast<uint16_t>(~bit) : bit;
}

std::string describe(const CompiledString& string) {
  static constexpr std::array<std::string_view, 5> kVerbs = {"is", "begins with", "ends with",
                                                             "contains", "matches"};
  const std::string_view text = string.regex == nullptr ? std::string_view(string.text)
                                                        : std::string_view(string.regex->pattern());
  return base::cat(kVerbs[static_cast<size_t>(string.kind)], " \"", text, "\"",
                   string.ignore_case ? " in any case" : "");
}

std::string describe(const HeaderPredicate& header, EvalContext& context) {
  const HeaderValue value = header.source.read(context);
  std::string out = base::cat("header ", header.source.name, header.invert ? " not" : "", ": ");
  switch (header.kind) {
    case HeaderMatch::Kind::kPresent:
      base::cat_to(out, header.present ? "present" : "absent");
      break;
    case HeaderMatch::Kind::kString:
      base::cat_to(out, describe(header.string));
      break;
    case HeaderMatch::Kind::kRange:
      base::cat_to(out, "in [", header.range_from, ", ", header.range_to, ")");
      break;
  }
  if (!value.found) return base::cat(out, "; the request has none");
  return base::cat(out, "; the request has \"", value.text, "\"");
}

}  // namespace

bool CompiledString::matches(std::string_view value, uint32_t worker) const noexcept {
  switch (kind) {
    case StringMatch::Kind::kExact:
      return ignore_case ? equal_folded(value, text) : value == text;
    case StringMatch::Kind::kPrefix:
      if (!ignore_case) return value.starts_with(text);
      return value.size() >= text.size() && equal_folded(value.substr(0, text.size()), text);
    case StringMatch::Kind::kSuffix:
      if (!ignore_case) return value.ends_with(text);
      return value.size() >= text.size() &&
             equal_folded(value.substr(value.size() - text.size()), text);
    case StringMatch::Kind::kContains:
      return ignore_case ? contains_folded(value, text)
                         : value.find(text) != std::string_view::npos;
    case StringMatch::Kind::kRegex:
      return regex->full_match(value, worker);
  }
  return false;
}

namespace {

// Envoy 1.40 keeps these of a request as one line, however many came (tests/parity asks it).
bool is_one_line(http::HeaderId id, std::string_view name) {
  using http::HeaderId;
  if (id >= HeaderId::kXEnvoyInternal && id <= HeaderId::kXEnvoyOriginalHost) {
    return id != HeaderId::kXEnvoyUpstreamServiceTime && id != HeaderId::kXEnvoyOverloaded &&
           id != HeaderId::kXEnvoyRatelimited && id != HeaderId::kXEnvoyOriginalDstHost;
  }
  switch (id) {
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kExpect:
    case HeaderId::kTe:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kContentType:
    case HeaderId::kUserAgent:
    case HeaderId::kAccept:
    case HeaderId::kAcceptEncoding:
    case HeaderId::kAuthorization:
    case HeaderId::kVia:
    case HeaderId::kOrigin:
    case HeaderId::kReferer:
    case HeaderId::kCacheControl:
    case HeaderId::kContentEncoding:
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedProto:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedPort:
    case HeaderId::kXForwardedClientCert:
    case HeaderId::kXRequestId:
    case HeaderId::kXClientTraceId:
    case HeaderId::kGrpcTimeout:
      return true;
    case HeaderId::kOther:
      break;
    default:
      return false;
  }
  for (const std::string_view known :
       {"access-control-request-headers", "access-control-request-method", "grpc-accept-encoding",
        "if-match", "if-modified-since", "if-none-match", "pragma", "x-envoy-is-timeout-retry",
        "x-envoy-original-url", "x-envoy-upstream-stream-duration-ms"}) {
    if (name == known) return true;
  }
  return false;
}

HeaderValue pseudo(std::string_view text) noexcept { return {text, !text.empty()}; }

}  // namespace

HeaderSource HeaderSource::of(std::string_view name) {
  HeaderSource out;
  out.name = name;
  if (name == ":method") {
    out.kind = Kind::kMethod;
  } else if (name == ":path") {
    out.kind = Kind::kPath;
  } else if (name == ":authority" || name == "host") {
    out.kind = Kind::kAuthority;
  } else if (name == ":scheme") {
    out.kind = Kind::kScheme;
  } else if (name.starts_with(':')) {
    out.kind = Kind::kNothing;
  } else {
    out.id = http::header_id_of(name);
    out.one_line = is_one_line(out.id, name);
  }
  return out;
}

HeaderValue HeaderSource::join(const http::Field* first, EvalContext& context) const noexcept {
  const http::FieldList& fields = context.head.fields;
  size_t size = 0;
  size_t num = 0;
  for (const http::Field* f = first; f != fields.end(); ++f) {
    if (!is(*f)) continue;
    size += 1 + f->value().size();
    ++num;
  }
  if (num == 1) return {first->value(), true};
  if (size > context.scratch_size) {
    char* const grown =
        fields.arena() == nullptr ? nullptr : fields.arena()->chars(std::max<size_t>(size, 256));
    if (grown == nullptr) return {first->value(), true};  // heads are limited below this
    context.scratch = grown;
    context.scratch_size = std::max<size_t>(size, 256);
  }
  char* to = context.scratch;
  for (const http::Field* f = first; f != fields.end(); ++f) {
    if (!is(*f) || f->value().empty()) continue;
    if (to != context.scratch) *to++ = ',';
    std::memcpy(to, f->value().data(), f->value().size());
    to += f->value().size();
  }
  return {{context.scratch, static_cast<size_t>(to - context.scratch)}, true};
}

HeaderValue HeaderSource::read(EvalContext& context) const noexcept {
  switch (kind) {
    case Kind::kMethod:
      return pseudo(context.head.method_text);
    case Kind::kPath:
      return pseudo(context.head.path);
    case Kind::kAuthority:
      return pseudo(context.head.authority);
    case Kind::kScheme:
      return pseudo(context.head.scheme);
    case Kind::kNothing:
      return {};
    case Kind::kField:
      break;
  }
  const http::Field* field = first(context.head.fields);
  return field == nullptr ? HeaderValue{} : join(field, context);
}

bool HeaderPredicate::matches(std::string_view value, uint32_t worker) const noexcept {
  if (kind == HeaderMatch::Kind::kString) return string.matches(value, worker);
  const std::optional<int64_t> number = parse_integer(value);
  return number.has_value() && *number >= range_from && *number < range_to;
}

bool HeaderPredicate::holds(EvalContext& context) const noexcept {
  bool found = false;
  bool match = source.any(context, [&](std::string_view value) {
    found = true;
    return kind == HeaderMatch::Kind::kPresent || matches(value, context.worker);
  });
  if (kind == HeaderMatch::Kind::kPresent) return (found == present) != invert;
  if (!found) {
    if (!treat_missing_as_empty) return false;
    match = matches({}, context.worker);
  }
  return match != invert;
}

bool QueryPredicate::holds(std::string_view path_and_query, uint32_t worker) const noexcept {
  const size_t question = path_and_query.find('?');
  std::string_view rest =
      question == std::string_view::npos ? std::string_view() : path_and_query.substr(question + 1);
  while (!rest.empty()) {
    const std::string_view parameter = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), parameter.size() + 1));
    const size_t equals = parameter.find('=');
    if (parameter.substr(0, equals) != name) continue;
    if (!has_value) return present;
    return value.matches(
        equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1),
        worker);
  }
  return !has_value && !present;
}

absl::StatusOr<HeaderPredicate> HeaderPredicate::compile(const HeaderMatch& match,
                                                         uint32_t num_workers,
                                                         const std::string& at) {
  if (match.name.empty()) return base::config_error(at, ".name: missing");
  HeaderPredicate out;
  out.source = HeaderSource::of(match.name);
  out.kind = match.kind;
  out.present = match.present;
  out.invert = match.invert;
  out.treat_missing_as_empty = match.treat_missing_as_empty;
  out.range_from = match.range_from;
  out.range_to = match.range_to;
  if (match.kind == HeaderMatch::Kind::kString) {
    absl::Status s = compile_string(match.string, num_workers, at, &out.string);
    if (!s.ok()) return s;
  }
  return out;
}

absl::StatusOr<std::unique_ptr<const Predicates>> Predicates::compile(const RouteMatch& match,
                                                                      uint32_t num_workers,
                                                                      const std::string& at,
                                                                      base::RuntimeKeys* runtime) {
  auto out = std::make_unique<Predicates>();
  for (size_t i = 0; i < match.headers.size(); ++i) {
    const HeaderMatch& header = match.headers[i];
    if (const std::optional<uint16_t> bits = method_bits(header)) {
      out->methods &= *bits;
      continue;
    }
    auto compiled =
        HeaderPredicate::compile(header, num_workers, base::cat(at, ".headers[", i, "]"));
    if (!compiled.ok()) return compiled.status();
    out->headers.push_back(*std::move(compiled));
  }
  for (size_t i = 0; i < match.query.size(); ++i) {
    const QueryMatch& query = match.query[i];
    const std::string query_at = base::cat(at, ".query_parameters[", i, "]");
    if (query.name.empty()) return base::config_error(query_at, ".name: missing");
    QueryPredicate& to = out->query.emplace_back();
    to.name = query.name;
    to.present = query.present;
    to.has_value = query.value.has_value();
    if (!to.has_value) continue;
    if (absl::Status s = compile_string(*query.value, num_workers, query_at, &to.value); !s.ok()) {
      return s;
    }
  }
  out->headers.shrink_to_fit();
  out->query.shrink_to_fit();
  out->grpc_only = match.grpc_only;
  if (match.fraction.has_value()) {
    out->fraction_ppm = std::min(match.fraction->ppm, kAlways);
    if (runtime != nullptr) out->fraction_key = runtime->acquire(match.fraction->runtime_key);
    out->has_fraction = out->fraction_ppm != kAlways || out->fraction_key;
  }
  if (match.path.kind == PathMatch::Kind::kRegex) {
    CompiledString path;
    const StringMatch regex{StringMatch::Kind::kRegex, match.path.text, false};
    if (absl::Status s = compile_string(regex, num_workers, base::cat(at, ".safe_regex"), &path);
        !s.ok()) {
      return s;
    }
    out->path = std::move(path.regex);
  }
  const bool nothing = out->methods == kAnyMethod && !out->grpc_only && !out->has_fraction &&
                       out->headers.empty() && out->query.empty() && out->path == nullptr;
  if (nothing) return nullptr;
  return out;
}

bool Predicates::fraction_holds(const EvalContext& context) const noexcept {
  return pick_below(static_cast<uint32_t>(context.random), kAlways) <
         fraction_key.ppm_or(context.runtime, fraction_ppm);
}

bool Predicates::rest_holds(EvalContext& context) const noexcept {
  if (grpc_only && !context.head.is_grpc) return false;
  if (has_fraction && !fraction_holds(context)) return false;
  for (const HeaderPredicate& header : headers) {
    if (!header.holds(context)) return false;
  }
  for (const QueryPredicate& parameter : query) {
    if (!parameter.holds(context.head.path, context.worker)) return false;
  }
  return path == nullptr || path->full_match(context.path, context.worker);
}

std::string Predicates::first_failing(EvalContext& context) const {
  if ((methods >> static_cast<unsigned>(context.head.method) & 1u) == 0) {
    return base::cat("method ", context.head.method_text, " is not among those it takes");
  }
  if (path != nullptr && !path->full_match(context.path, context.worker)) {
    return base::cat("path matches \"", path->pattern(), "\"; the request has \"", context.path,
                     "\"");
  }
  if (grpc_only && !context.head.is_grpc) return "only gRPC requests";
  if (has_fraction && !fraction_holds(context)) {
    return base::cat("runtime fraction of ", fraction_key.ppm_or(context.runtime, fraction_ppm),
                     " in a million", fraction_key ? " (" : "", fraction_key.name(),
                     fraction_key ? ")" : "", "; not this request");
  }
  for (const HeaderPredicate& header : headers) {
    if (!header.holds(context)) return describe(header, context);
  }
  for (const QueryPredicate& parameter : query) {
    if (parameter.holds(context.head.path, context.worker)) continue;
    return base::cat("query parameter ", parameter.name, " ",
                     parameter.has_value ? describe(parameter.value)
                                         : std::string(parameter.present ? "present" : "absent"));
  }
  return {};
}

}  // namespace sluice::router
