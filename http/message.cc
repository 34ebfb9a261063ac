#include "http/message.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "http/copy_text.h"
#include "http/h1_parser.h"
#include "http/header_names.h"
#include "http/scan.h"

namespace sluice::http {

namespace {

constexpr uint32_t kFirstCapacity = 16;

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_writable(std::string_view name, std::string_view value) noexcept {
  return is_token(name) && name.size() <= std::numeric_limits<uint16_t>::max() &&
         is_field_value(value);
}

// Writes `name: value CRLF` into the arena.
bool compose(base::Arena* arena, std::string_view name, std::string_view value,
             Field* field) noexcept {
  value = trimmed(value);
  char* const line = arena->chars(name.size() + value.size() + 4);
  if (line == nullptr) return false;
  char* at = line;
  std::memcpy(at, name.data(), name.size());
  at += name.size();
  *at++ = ':';
  *at++ = ' ';
  field->name_data = line;
  field->value_data = at;
  field->name_size = static_cast<uint16_t>(name.size());
  field->value_size = static_cast<uint32_t>(value.size());
  field->flags = Field::kLine;
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  at += value.size();
  *at++ = '\r';
  *at++ = '\n';
  return true;
}

// Begins the line of a name that is known; answers where the value goes.
[[gnu::always_inline]] inline char* begin_line(base::Arena* arena, HeaderId id, size_t size,
                                               Field* field) noexcept {
  const std::string_view begin = internal::kHeaderLines[static_cast<size_t>(id)];
  char* const line = arena->chars(begin.size() + size + 2);
  if (line == nullptr) return nullptr;
  copy_text(line, begin);
  char* const value = line + begin.size();
  std::memcpy(value + size, "\r\n", 2);
  field->name_data = line;
  field->value_data = value;
  field->name_size = static_cast<uint16_t>(begin.size() - 2);
  field->value_size = static_cast<uint32_t>(size);
  field->id = id;
  field->flags = Field::kLine;
  return value;
}

// After the first field that `is_it` picks was replaced, the others go.
template <typename Pick>
void remove_all(Field* from, Field* end, Pick&& is_it) noexcept {
  for (Field* f = from; f != end; ++f) {
    if (is_it(*f)) FieldList::remove(f);
  }
}

}  // namespace

bool FieldList::reserve(uint32_t n) noexcept {
  if (n <= capacity_) return true;
  if (arena_ == nullptr) return false;
  Field* const fields = arena_->array<Field>(n);
  if (fields == nullptr) return false;
  if (size_ != 0) std::memcpy(fields, fields_, size_ * sizeof(Field));
  fields_ = fields;
  capacity_ = n;
  return true;
}

bool FieldList::grow() noexcept { return reserve(capacity_ == 0 ? kFirstCapacity : capacity_ * 2); }

const Field* FieldList::find(std::string_view name) const noexcept {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::kOther) return find(id);
  for (const Field* f = begin(); f != end(); ++f) {
    if (f->name_size == name.size() && f->id == HeaderId::kOther && !f->removed() &&
        std::memcmp(f->name_data, name.data(), name.size()) == 0) {
      return f;
    }
  }
  return nullptr;
}

bool FieldList::add(std::string_view name, std::string_view value) noexcept {
  Field field;
  if (!is_writable(name, value) || !compose(arena_, name, value, &field)) return false;
  char* const folded = const_cast<char*>(field.name_data);
  Scan::name(folded, {folded, folded + name.size()});
  field.id = header_id_of(field.name());
  return push(field);
}

char* FieldList::add_blank(HeaderId id, size_t size) noexcept {
  Field* const field = next_slot();
  if (field == nullptr) return nullptr;
  char* const value = begin_line(arena_, id, size, field);
  if (value != nullptr) keep(id);
  return value;
}

bool FieldList::add_clean(HeaderId id, std::string_view value) noexcept {
  char* const to = add_blank(id, value.size());
  if (to == nullptr) return false;
  copy_text(to, value);
  return true;
}

bool FieldList::set_clean(HeaderId id, std::string_view value) noexcept {
  Field* const first = find(id);
  if (first == nullptr) return add_clean(id, value);
  char* const to = begin_line(arena_, id, value.size(), first);
  if (to == nullptr) return false;
  copy_text(to, value);
  remove_all(first + 1, end(), [id](const Field& f) { return f.id == id; });
  return true;
}

bool FieldList::add(HeaderId id, std::string_view value) noexcept {
  value = trimmed(value);
  return is_field_value(value) && add_clean(id, value);
}

bool FieldList::set(HeaderId id, std::string_view value) noexcept {
  value = trimmed(value);
  return is_field_value(value) && set_clean(id, value);
}

bool FieldList::set(std::string_view name, std::string_view value) noexcept {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::kOther) return set(id, value);
  Field* const first = find(name);
  if (first == nullptr) return add(name, value);
  Field field;
  if (!is_writable(name, value) || !compose(arena_, name, value, &field)) return false;
  *first = field;
  remove_all(first + 1, end(), [&field](const Field& f) { return f.name() == field.name(); });
  return true;
}

bool FieldList::append_value(HeaderId id, std::string_view delimiter,
                             std::string_view value) noexcept {
  Field* const first = find(id);
  if (first == nullptr) return add(id, value);
  value = trimmed(value);
  const std::string_view old = first->value();
  if (!is_field_value(value) || !is_field_value(old) || !is_field_value(delimiter)) return false;
  const std::string_view name = name_of(id);
  const size_t size = old.size() + delimiter.size() + value.size();
  char* const line = arena_->chars(name.size() + size + 4);
  if (line == nullptr) return false;
  char* at = line;
  const auto put = [&at](std::string_view text) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  put(name);
  put(": ");
  first->value_data = at;
  put(old);
  put(delimiter);
  put(value);
  put("\r\n");
  first->name_data = line;
  first->value_size = static_cast<uint32_t>(size);
  first->flags = Field::kLine;
  return true;
}

void FieldList::remove_known(HeaderId id) noexcept {
  remove_all(begin(), end(), [id](const Field& f) { return f.id == id; });
}

void FieldList::remove(std::string_view name) noexcept {
  const HeaderId id = header_id_of(name);
  if (id != HeaderId::kOther) return remove(id);
  remove_all(begin(), end(), [name](const Field& f) { return f.name() == name; });
}

namespace {

struct Phrase {
  uint16_t status;
  std::string_view text;
};

// Envoy's words, by status.
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Payload Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Entity"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
};

}  // namespace

std::string_view reason_phrase_of(uint16_t status) noexcept {
  const Phrase* const phrase =
      std::lower_bound(std::begin(kPhrases), std::end(kPhrases), status,
                       [](const Phrase& p, uint16_t wanted) { return p.status < wanted; });
  if (phrase == std::end(kPhrases) || phrase->status != status) return "Unknown";
  return phrase->text;
}

Method method_of(std::string_view text) noexcept {
  switch (text.size()) {
    case 3:
      if (text == "GET") return Method::kGet;
      if (text == "PUT") return Method::kPut;
      break;
    case 4:
      if (text == "POST") return Method::kPost;
      if (text == "HEAD") return Method::kHead;
      break;
    case 5:
      if (text == "PATCH") return Method::kPatch;
      if (text == "TRACE") return Method::kTrace;
      break;
    case 6:
      if (text == "DELETE") return Method::kDelete;
      break;
    case 7:
      if (text == "OPTIONS") return Method::kOptions;
      if (text == "CONNECT") return Method::kConnect;
      break;
    default:
      break;
  }
  return Method::kOther;
}

std::string_view text_of(Method method) noexcept {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPost:
      return "POST";
    case Method::kPut:
      return "PUT";
    case Method::kDelete:
      return "DELETE";
    case Method::kConnect:
      return "CONNECT";
    case Method::kOptions:
      return "OPTIONS";
    case Method::kTrace:
      return "TRACE";
    case Method::kPatch:
      return "PATCH";
    case Method::kOther:
      break;
  }
  return {};
}

bool may_be_trailer(const Field& field) noexcept {
  switch (field.id) {
    case HeaderId::kOther:
      break;
    case HeaderId::kDate:
    case HeaderId::kServer:
    case HeaderId::kEtag:
    case HeaderId::kGrpcStatus:
    case HeaderId::kGrpcMessage:
    case HeaderId::kXEnvoyUpstreamServiceTime:
      return true;
    default:
      return false;
  }
  constexpr std::string_view kRefused[] = {"age",
                                           "content-range",
                                           "expires",
                                           "http2-settings",
                                           "if-match",
                                           "if-modified-since",
                                           "if-none-match",
                                           "if-range",
                                           "if-unmodified-since",
                                           "max-forwards",
                                           "pragma",
                                           "proxy-authenticate",
                                           "proxy-authorization",
                                           "range",
                                           "retry-after",
                                           "warning",
                                           "www-authenticate"};
  const std::string_view name = field.name();
  if (name.starts_with("x-envoy-") || name.starts_with("x-forwarded-")) return false;
  return std::find(std::begin(kRefused), std::end(kRefused), name) == std::end(kRefused);
}

bool is_grpc_type(std::string_view type) noexcept {
  constexpr std::string_view kGrpc = "application/grpc";
  if (type.size() < kGrpc.size() || !equals_folded(type.substr(0, kGrpc.size()), kGrpc)) {
    return false;
  }
  return type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';';
}

bool is_token(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  return !text.empty() && Scan::token(text.data(), {text.data(), end}) == end;
}

bool is_field_value(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  return Scan::value(text.data(), {text.data(), end}) == end;
}

}  // namespace sluice::http
