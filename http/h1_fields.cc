#include <cstring>

#include "http/h1_parser.h"
#include "http/h1_pass.h"
#include "http/header_names.h"

namespace sluice::http {

using base::Reason;

namespace {

constexpr uint64_t kMaxLength = uint64_t{1} << 62;

constexpr uint64_t bit(HeaderId id) noexcept { return uint64_t{1} << static_cast<unsigned>(id); }
// Fields that say something to the codec itself.
constexpr uint64_t kSpecial = bit(HeaderId::kHost) | bit(HeaderId::kConnection) |
                              bit(HeaderId::kContentLength) | bit(HeaderId::kTransferEncoding) |
                              bit(HeaderId::kUpgrade) | bit(HeaderId::kExpect) |
                              bit(HeaderId::kTe) | bit(HeaderId::kContentType);

constexpr bool is_special(HeaderId id) noexcept {
  return static_cast<unsigned>(id) < 64 && (kSpecial & bit(id)) != 0;
}

bool parse_length(std::string_view text, uint64_t* length) noexcept {
  if (text.empty() || text.size() > 19) return false;
  uint64_t n = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    n = n * 10 + static_cast<uint64_t>(c - '0');
  }
  *length = n;
  return n <= kMaxLength;
}

void read_connection(std::string_view value, Pass* pass) noexcept {
  if (value == "keep-alive") {  // what nearly all say that say something
    pass->keep_alive = true;
    return;
  }
  for_each_member(value, [pass](std::string_view token) {
    if (token.size() == 10 && equals_folded(token, "keep-alive")) {
      pass->keep_alive = true;
    } else if (token.size() == 7 && equals_folded(token, "upgrade")) {
      pass->connection_upgrade = true;
    } else {
      pass->nominates = true;
      if (token.size() == 5 && equals_folded(token, "close")) pass->close = true;
    }
  });
}

// HTTP/2 is never reached by upgrade: offered alone or in a list it makes the field be ignored, so
// that nobody tunnels requests past the proxy.
void read_upgrade(std::string_view value, Pass* pass) noexcept {
  for_each_member(value, [pass](std::string_view protocol) {
    pass->has_upgrade = true;
    const std::string_view start = protocol.substr(0, 5);
    pass->refuses_upgrade |= equals_folded(protocol, "h2c") || equals_folded(protocol, "h2") ||
                             equals_folded(start, "http/");
  });
}

template <Section kSection>
void read_special(HeaderId id, std::string_view value, Pass* pass) noexcept {
  switch (id) {
    case HeaderId::kContentLength:
      if (pass->has_length) return pass->refuse(Reason::kBadContentLength);
      pass->has_length = true;
      if (!parse_length(value, &pass->length)) return pass->refuse(Reason::kBadContentLength);
      break;
    case HeaderId::kTransferEncoding:
      if (pass->has_coding) return pass->refuse(Reason::kBadFraming);
      pass->has_coding = true;
      if (!equals_folded(value, "chunked")) return pass->refuse(Reason::kBadTransferEncoding);
      break;
    case HeaderId::kConnection:
      read_connection(value, pass);
      break;
    case HeaderId::kUpgrade:
      read_upgrade(value, pass);
      break;
    case HeaderId::kHost:
      if constexpr (kSection == Section::kRequest) {
        if (++pass->num_host != 1) return pass->refuse(Reason::kBadHost);
        if (!is_authority(value, pass->window.begin)) return pass->refuse(Reason::kBadHost);
        pass->host = value;
      }
      break;
    case HeaderId::kExpect:
      if (!pass->expect.empty() || value.empty()) return pass->refuse(Reason::kExpectationFailed);
      pass->expect = value;
      break;
    case HeaderId::kTe:
      for_each_member(value, [pass](std::string_view member) {
        if (equals_folded(member, "trailers")) pass->te_trailers = true;
      });
      break;
    case HeaderId::kContentType:
      if constexpr (kSection == Section::kRequest) pass->grpc = is_grpc_type(value);
      break;
    default:
      break;
  }
}

// Why is there no ':' behind the name?
Reason fault_of_name(const char* stop) noexcept {
  const bool is_space = *stop == '\r' || *stop == '\n' || *stop == ' ' || *stop == '\t';
  return is_space ? Reason::kBadHeaderLine : Reason::kBadHeaderName;
}

// Where a value lies in its line. `stop` is its CR; false: `why`, kNone if bytes are missing.
struct Value {
  const char* begin;
  const char* end;
  const char* stop;
  Reason why;
  bool clean;
};

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

bool is_pair(const char* at, const char* pair) noexcept { return std::memcmp(at, pair, 2) == 0; }

// The general way: any optional white space, an empty value, or few bytes left.
[[gnu::noinline]] bool slow_value(const char* colon, Window w, Value* out) noexcept {
  const char* begin = colon + 1;
  while (begin != w.end && is_blank(*begin)) ++begin;
  const char* const stop = Scan::value(begin, w);
  out->why = Reason::kNone;
  if (stop == w.end) return false;
  if (*stop != '\r') {
    out->why = *stop == '\n' ? Reason::kBadHeaderLine : Reason::kBadHeaderValue;
    return false;
  }
  if (stop + 1 == w.end) return false;
  if (stop[1] != '\n') {
    out->why = Reason::kBadHeaderLine;
    return false;
  }
  const char* end = stop;
  while (end != begin && is_blank(end[-1])) --end;
  *out = {begin, end, stop, Reason::kNone, begin == colon + 2 && colon[1] == ' ' && end == stop};
  return true;
}

// `: x`: one space before and none behind, far enough from the end; slow_value() for the rest.
// Answers the CR behind the value at colon + 2, or nullptr.
[[gnu::always_inline]] inline const char* end_of_plain_value(const char* colon, Window w) noexcept {
  if (w.end - colon >= 4 && is_pair(colon, ": ") && colon[2] > ' ') [[likely]] {
    const char* const stop = Scan::value(colon + 2, w);
    if (w.end - stop >= 2 && is_pair(stop, "\r\n") && stop[-1] > ' ') [[likely]]
      return stop;
  }
  return nullptr;
}

// No name begins here, or none ends with a colon: the empty line, or a fault.
Verdict end_of_fields(char* at, const char* name_end, Pass* pass) noexcept {
  if (*at != '\r') return pass->bad(fault_of_name(name_end));
  if (at + 1 == pass->end()) return Verdict::kMore;
  if (at[1] != '\n') return pass->bad(Reason::kBadHeaderLine);
  pass->at = at + 2;
  return pass->fault == Reason::kNone ? Verdict::kOk : pass->bad(pass->fault);
}

}  // namespace

template <Section kSection>
Verdict parse_fields(Pass* pass, FieldList* fields) noexcept {
  const Window w = pass->window;
  char* at = pass->at;
  for (unsigned room = pass->max_fields;; --room) {
    if (at == w.end) return Verdict::kMore;
    if (*at == '\r') return end_of_fields(at, at, pass);
    char* const name_end = Scan::name(at, w);
    if (name_end == w.end) return Verdict::kMore;
    if (*name_end != ':' || name_end == at) [[unlikely]]
      return end_of_fields(at, name_end, pass);
    const char* begin = name_end + 2;
    const char* stop = end_of_plain_value(name_end, w);
    const char* end = stop;
    bool clean = true;
    if (stop == nullptr) [[unlikely]] {
      Value value;
      if (!slow_value(name_end, w, &value)) {
        return value.why == Reason::kNone ? Verdict::kMore : pass->bad(value.why);
      }
      begin = value.begin;
      end = value.end;
      stop = value.stop;
      clean = value.clean;
    }
    if (room == 0) [[unlikely]]
      return pass->bad(Reason::kTooManyHeaders);
    const auto name_size = static_cast<size_t>(name_end - at);
    if (name_size > 0xffff) [[unlikely]]
      return pass->bad(Reason::kBadHeaderName);
    Field* const field = fields->next_slot();
    if (field == nullptr) [[unlikely]]
      return pass->bad(Reason::kHeadTooLarge);
    const HeaderId id = internal::find_header_id({at, name_size});
    field->name_data = at;
    field->value_data = begin;
    field->value_size = static_cast<uint32_t>(end - begin);
    field->name_size = static_cast<uint16_t>(name_size);
    field->id = id;
    field->flags = static_cast<uint8_t>(clean ? Field::kLine : 0);
    at = const_cast<char*>(stop) + 2;
    if (kSection != Section::kTrailers && is_special(id)) {
      read_special<kSection>(id, field->value(), pass);
    }
    if (pass->no_underscore) [[unlikely]] {
      if (field->name().find('_') != std::string_view::npos) {
        if (pass->reject_underscore) return pass->bad(Reason::kUnderscoreHeader);
        continue;
      }
    }
    fields->keep(id);
  }
}

template Verdict parse_fields<Section::kRequest>(Pass*, FieldList*) noexcept;
template Verdict parse_fields<Section::kResponse>(Pass*, FieldList*) noexcept;
template Verdict parse_fields<Section::kTrailers>(Pass*, FieldList*) noexcept;

}  // namespace sluice::http
