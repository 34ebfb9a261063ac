#include "http/h1_parser.h"

#include <algorithm>

#include "http/h1_pass.h"
#include "http/scan.h"

namespace sluice::http {

namespace {

using base::Reason;

constexpr uint32_t kFirstFields = 16;
constexpr size_t kMaxMethodBytes = 64;
constexpr std::string_view kVersion11 = "HTTP/1.1";

std::string_view between(const char* from, const char* to) noexcept {
  return {from, static_cast<size_t>(to - from)};
}

bool same8(const char* a, std::string_view b) noexcept { return std::memcmp(a, b.data(), 8) == 0; }

// Are the bytes from `scanned` on worth a second attempt: is the end of the head among them, or a
// control character that cannot stand there?
bool worth_parsing(const char* data, size_t size, size_t scanned) noexcept {
  const char* const end = data + size;
  const char* at = data + scanned - 1;
  for (;;) {
    at = Scan::value(at, {data, end});
    if (at == end) return false;
    if (*at == '\r') {
      if (++at == end) return false;
      if (*at != '\n') return true;
    }
    if (*at != '\n' || at == data || at[-1] != '\r') return true;
    if (at >= data + 3 && at[-2] == '\n') return true;
    ++at;
  }
}

// What begins at pass->at must be `text`; tells bad from incomplete.
Verdict expect_text(Pass* pass, std::string_view text, Reason why) noexcept {
  const size_t n = std::min(text.size(), pass->left());
  if (std::memcmp(pass->at, text.data(), n) != 0) return pass->bad(why);
  if (n < text.size()) return Verdict::kMore;
  pass->at += n;
  return Verdict::kOk;
}

// `HTTP/1.x CRLF`, or behind it SP for a status line.
Verdict parse_version(Pass* pass, uint8_t* minor, bool* is_http2) noexcept {
  const Verdict v = expect_text(pass, "HTTP/", Reason::kBadVersion);
  if (v != Verdict::kOk) return v;
  const char* const at = pass->at;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 0; i < 3; ++i) {
    if (i == pass->left()) return Verdict::kMore;
    if (i == 1 ? at[i] != '.' : !digit(at[i])) return pass->bad(Reason::kBadVersion);
  }
  pass->at += 3;
  *is_http2 = at[0] == '2';
  if (at[0] != '1' || at[2] > '1') return pass->bad(Reason::kVersionNotSupported);
  *minor = static_cast<uint8_t>(at[2] - '0');
  return Verdict::kOk;
}

Verdict parse_method(Pass* pass, RequestHead* out) noexcept {
  const char* const start = pass->at;
  if (pass->left() >= 4 && std::memcmp(start, "GET ", 4) == 0) [[likely]] {
    out->method_text = {start, 3};
    out->method = Method::kGet;
    pass->at += 4;
    return Verdict::kOk;
  }
  const char* const stop = Scan::token(start, pass->window);
  if (static_cast<size_t>(stop - start) > kMaxMethodBytes) {
    return pass->bad(Reason::kBadRequestLine);
  }
  if (stop == pass->end()) return Verdict::kMore;
  if (*stop != ' ' || stop == start) return pass->bad(Reason::kBadRequestLine);
  out->method_text = between(start, stop);
  out->method = method_of(out->method_text);
  pass->at += stop - start + 1;
  return Verdict::kOk;
}

Verdict parse_target(Pass* pass, uint32_t max_bytes, RequestHead* out) noexcept {
  const char* const start = pass->at;
  const char* const stop = Scan::target(start, pass->window);
  if (static_cast<size_t>(stop - start) > max_bytes) return pass->bad(Reason::kTargetTooLong);
  if (stop == pass->end()) return Verdict::kMore;
  if (stop == start) return pass->bad(Reason::kBadRequestLine);
  if (*stop != ' ') {
    return pass->bad(*stop == '\r' || *stop == '\n' ? Reason::kBadRequestLine : Reason::kBadTarget);
  }
  out->target = between(start, stop);
  pass->at += stop - start + 1;
  return Verdict::kOk;
}

Verdict parse_request_version(Pass* pass, RequestHead* out) noexcept {
  if (pass->left() >= 10 && same8(pass->at, kVersion11) && pass->at[8] == '\r' &&
      pass->at[9] == '\n') [[likely]] {
    pass->at += 10;
    return Verdict::kOk;
  }
  bool is_http2 = false;
  const Verdict v = parse_version(pass, &out->version_minor, &is_http2);
  if (v == Verdict::kBad && is_http2 && out->method_text == "PRI" && out->target == "*") {
    return pass->bad(Reason::kProtocolMismatch);
  }
  return v == Verdict::kOk ? expect_text(pass, "\r\n", Reason::kBadVersion) : v;
}

// RFC 9112 3.2.2: `http://authority[/path][?query]`.
Verdict take_absolute_form(Pass* pass, bool allowed, RequestHead* out) noexcept {
  const std::string_view target = out->target;
  if (target.size() >= 7 && equals_folded(target.substr(0, 7), "http://")) {
    out->scheme = "http";
  } else if (target.size() >= 8 && equals_folded(target.substr(0, 8), "https://")) {
    out->scheme = "https";
  } else {
    return pass->bad(Reason::kBadTarget);
  }
  if (!allowed) return pass->bad(Reason::kBadTarget);
  const std::string_view rest = target.substr(out->scheme.size() + 3);
  const size_t stop = std::min(rest.find_first_of("/?"), rest.size());
  out->authority = rest.substr(0, stop);
  if (!is_valid_authority(out->authority)) return pass->bad(Reason::kBadTarget);
  out->absolute_form = true;
  out->path = rest.substr(stop);
  if (out->path.empty()) {
    out->path = out->method == Method::kOptions ? "*" : "/";
  } else if (out->path.front() == '?') {
    char* const path = out->fields.arena()->chars(out->path.size() + 1);
    if (path == nullptr) return pass->bad(Reason::kTargetTooLong);
    path[0] = '/';
    std::memcpy(path + 1, out->path.data(), out->path.size());
    out->path = {path, out->path.size() + 1};
  }
  return Verdict::kOk;
}

// RFC 9112 3.2: which of the four forms, and is it the one for the method?
Verdict take_target(Pass* pass, const H1Options& options, RequestHead* out) noexcept {
  const std::string_view target = out->target;
  if (out->method == Method::kConnect) [[unlikely]] {
    const size_t colon = target.rfind(':');
    if (!is_valid_authority(target) || colon == std::string_view::npos || target.back() == ']') {
      return pass->bad(Reason::kBadTarget);
    }
    out->authority = target;
    out->path = {};
    return Verdict::kOk;
  }
  if (target.front() == '/') [[likely]] {
    out->path = target;
    return Verdict::kOk;
  }
  if (target == "*") {
    out->path = target;
    return out->method == Method::kOptions ? Verdict::kOk : pass->bad(Reason::kBadTarget);
  }
  return take_absolute_form(pass, options.allow_absolute_url, out);
}

Verdict parse_request_line(Pass* pass, const H1Options& options, RequestHead* out) noexcept {
  // RFC 9112 2.2: an empty line before the request line is ignored, one.
  if (pass->left() != 0 && *pass->at == '\r') [[unlikely]] {
    const Verdict v = expect_text(pass, "\r\n", Reason::kBadRequestLine);
    if (v != Verdict::kOk) return v;
  }
  const char* const start = pass->at;
  Verdict v = parse_method(pass, out);
  if (v != Verdict::kOk) return v;
  v = parse_target(pass, options.max_target_bytes, out);
  if (v != Verdict::kOk) return v;
  v = parse_request_version(pass, out);
  if (v != Verdict::kOk) return v;
  if (out->version_minor == 0 && !options.accept_http_10) {
    return pass->bad(Reason::kHttp10NotAccepted);
  }
  out->line = between(start, pass->at);
  return take_target(pass, options, out);
}

// RFC 9112 6.3 for requests.
Verdict frame_request(Pass* pass, const H1Options& options, RequestHead* out) noexcept {
  if (pass->has_coding) {
    // Chunked does not exist in HTTP/1.0: an intermediary that forwarded it did not understand it.
    if (out->version_minor == 0) return pass->bad(Reason::kBadFraming);
    if (pass->has_length) {
      if (!options.allow_chunked_length) return pass->bad(Reason::kBadFraming);
      out->fields.remove(HeaderId::kContentLength);
      out->keep_alive = false;
    }
    out->framing.kind = Framing::Kind::kChunked;
  } else if (pass->length != 0) {
    out->framing.kind = Framing::Kind::kLength;
    out->framing.length = pass->length;
  }
  if (out->method == Method::kConnect && out->framing.kind != Framing::Kind::kNone) {
    return pass->bad(Reason::kBadFraming);
  }
  return Verdict::kOk;
}

Verdict finish_request(Pass* pass, const H1Options& options, RequestHead* out) noexcept {
  const bool is_11 = out->version_minor == 1;
  if (pass->num_host == 0 && is_11) return pass->bad(Reason::kMissingHost);
  if (out->authority.empty()) out->authority = pass->host;
  out->keep_alive = !pass->close && (is_11 || pass->keep_alive);
  const Verdict v = frame_request(pass, options, out);
  if (v != Verdict::kOk) return v;
  if (!pass->expect.empty() && is_11) {
    if (!equals_folded(pass->expect, "100-continue")) {
      return pass->bad(Reason::kExpectationFailed);
    }
    out->expect_continue = true;
  }
  // An Upgrade beside a body is ignored (RFC 9110 7.8 allows it): what follows is the body.
  out->nominates = pass->nominates;
  out->upgrade = pass->connection_upgrade && pass->has_upgrade && !pass->refuses_upgrade && is_11 &&
                 out->framing.kind == Framing::Kind::kNone;
  out->te_trailers = pass->te_trailers;
  out->is_grpc = pass->grpc;
  return Verdict::kOk;
}

// A head that was parsed into before starts anew, but keeps the array of its fields.
void reset(RequestHead* out) noexcept {
  if (out->method_text.data() == nullptr) [[likely]]
    return;
  const FieldList fields = out->fields;
  *out = RequestHead();
  out->fields = fields;
  out->fields.clear();
}

void reset(ResponseHead* out) noexcept {
  if (out->status == 0 && out->version_minor == 1) [[likely]]
    return;
  const FieldList fields = out->fields;
  *out = ResponseHead();
  out->fields = fields;
  out->fields.clear();
}

Verdict parse_request(Pass* pass, const H1Options& options, RequestHead* out) noexcept {
  reset(out);
  if (!out->fields.reserve(kFirstFields)) return pass->bad(Reason::kHeadTooLarge);
  Verdict v = parse_request_line(pass, options, out);
  if (v != Verdict::kOk) return v;
  v = parse_fields<Section::kRequest>(pass, &out->fields);
  if (v != Verdict::kOk) return v;
  return finish_request(pass, options, out);
}

Verdict parse_status_line(Pass* pass, ResponseHead* out) noexcept {
  const char* const start = pass->at;
  Verdict v = Verdict::kOk;
  if (pass->left() >= 9 && same8(start, kVersion11) && start[8] == ' ') [[likely]] {
    pass->at += 9;
  } else {
    bool is_http2 = false;
    v = parse_version(pass, &out->version_minor, &is_http2);
    if (v != Verdict::kOk) return v;
    v = expect_text(pass, " ", Reason::kBadVersion);
    if (v != Verdict::kOk) return v;
  }
  unsigned status = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (i == pass->left()) return Verdict::kMore;
    const char c = pass->at[i];
    if (c < '0' || c > '9') return pass->bad(Reason::kBadRequestLine);
    status = status * 10 + static_cast<unsigned>(c - '0');
  }
  if (status < 100) return pass->bad(Reason::kBadRequestLine);
  out->status = static_cast<uint16_t>(status);
  pass->at += 3;
  if (pass->left() == 0) return Verdict::kMore;
  const bool has_phrase = *pass->at == ' ';
  if (has_phrase) {
    const char* const phrase = ++pass->at;
    const char* const stop = Scan::value(phrase, pass->window);
    if (stop == pass->end()) return Verdict::kMore;
    out->reason_phrase = between(phrase, stop);
    pass->at += stop - phrase;
  }
  if (pass->left() >= 2 && pass->at[0] == '\r' && pass->at[1] == '\n') [[likely]] {
    pass->at += 2;
  } else {
    v = expect_text(pass, "\r\n", Reason::kBadRequestLine);
  }
  if (v == Verdict::kOk && has_phrase && out->version_minor == 1) {
    out->line = between(start, pass->at);
  }
  return v;
}

// RFC 9112 6.3 for responses.
Verdict frame_response(Pass* pass, Method method, ResponseHead* out) noexcept {
  if (pass->has_coding && (pass->has_length || out->version_minor == 0)) {
    return pass->bad(Reason::kBadFraming);
  }
  if (out->status < 200 || out->status == 204) {
    // RFC 9110 8.6, RFC 9112 6.1: neither field may be there; a 0 does no harm.
    if (pass->has_coding || pass->length != 0) return pass->bad(Reason::kBadFraming);
    out->fields.remove(HeaderId::kContentLength);
    return Verdict::kOk;
  }
  if (method == Method::kConnect && out->status < 300) {
    out->fields.remove(HeaderId::kContentLength);
    out->fields.remove(HeaderId::kTransferEncoding);
    return Verdict::kOk;
  }
  if (method == Method::kHead || out->status == 304) return Verdict::kOk;
  if (pass->has_coding) {
    out->framing.kind = Framing::Kind::kChunked;
  } else if (!pass->has_length) {
    out->framing.kind = Framing::Kind::kUntilClose;
    out->keep_alive = false;
  } else if (pass->length != 0) {
    out->framing.kind = Framing::Kind::kLength;
    out->framing.length = pass->length;
  }
  return Verdict::kOk;
}

Verdict parse_response(Pass* pass, Method method, ResponseHead* out) noexcept {
  reset(out);
  if (!out->fields.reserve(kFirstFields)) return pass->bad(Reason::kHeadTooLarge);
  Verdict v = parse_status_line(pass, out);
  if (v != Verdict::kOk) return v;
  v = parse_fields<Section::kResponse>(pass, &out->fields);
  if (v != Verdict::kOk) return v;
  out->keep_alive = !pass->close && (out->version_minor == 1 || pass->keep_alive);
  out->nominates = pass->nominates;
  out->upgrade = out->status == 101 && pass->connection_upgrade && pass->has_upgrade;
  return frame_response(pass, method, out);
}

Pass make_pass(char* data, size_t size, const H1Options& options) noexcept {
  Pass pass;
  pass.at = data;
  pass.window = {data, data + std::min<size_t>(size, options.max_head_bytes)};
  pass.max_fields = options.max_fields;
  return pass;
}

HeadResult result_of(Verdict verdict, const Pass& pass, const char* data, size_t size,
                     const H1Options& options) noexcept {
  HeadResult result;
  switch (verdict) {
    case Verdict::kOk:
      result.status = HeadResult::Status::kDone;
      result.consumed = static_cast<uint32_t>(pass.at - data);
      break;
    case Verdict::kMore:
      if (size < options.max_head_bytes) break;
      result.status = HeadResult::Status::kBad;
      result.reason = result.detail = Reason::kHeadTooLarge;
      break;
    case Verdict::kBad:
      result.status = HeadResult::Status::kBad;
      result.reason = result.detail = pass.reason;
      break;
  }
  return result;
}

bool may_wait(const char* data, size_t size, size_t scanned, const H1Options& options) noexcept {
  return scanned != 0 && size < options.max_head_bytes && !worth_parsing(data, size, scanned);
}

}  // namespace

HeadResult parse_request_head(char* data, size_t size, size_t scanned, const H1Options& options,
                              RequestHead* out) noexcept {
  if (may_wait(data, size, scanned, options)) return {};
  Pass pass = make_pass(data, size, options);
  pass.reject_underscore = options.underscores == H1Options::Underscores::kReject;
  pass.no_underscore = options.underscores != H1Options::Underscores::kAllow;
  return result_of(parse_request(&pass, options, out), pass, data, size, options);
}

HeadResult parse_response_head(char* data, size_t size, size_t scanned, const H1Options& options,
                               Method request_method, ResponseHead* out) noexcept {
  if (may_wait(data, size, scanned, options)) return {};
  Pass pass = make_pass(data, size, options);
  HeadResult result =
      result_of(parse_response(&pass, request_method, out), pass, data, size, options);
  if (result.status == HeadResult::Status::kBad) {
    const bool too_large =
        result.detail == Reason::kHeadTooLarge || result.detail == Reason::kTooManyHeaders;
    result.reason = too_large ? Reason::kUpstreamHeadTooLarge : Reason::kUpstreamProtocolError;
  }
  return result;
}

HeadResult parse_field_section(char* data, size_t size, uint16_t max_fields,
                               FieldList* out) noexcept {
  H1Options options;
  options.max_head_bytes = static_cast<uint32_t>(size) + 1;
  options.max_fields = max_fields;
  Pass pass = make_pass(data, size, options);
  return result_of(parse_fields<Section::kTrailers>(&pass, out), pass, data, size, options);
}

}  // namespace sluice::http
