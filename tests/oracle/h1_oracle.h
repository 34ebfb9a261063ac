#pragma once

#include <cctype>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

// The rules for an HTTP/1.1 request head by splitting strings, slow and obvious: what the parser in
// http/ is compared with. Knows nothing of buffers, views or SIMD.
struct OracleRequest {
  std::string method, target, authority, path;
  int minor = 1;
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case
  bool chunked = false;
  uint64_t length = 0;
  bool keep_alive = true;
  size_t consumed = 0;
};

class H1Oracle {
 public:
  static constexpr size_t kMaxFields = 100;

  // True if the text holds a whole head (valid or not).
  static bool is_complete(std::string_view text) { return end_of(text) != text.npos; }

  // Nothing: the head is refused, or is not complete.
  static std::optional<OracleRequest> read(std::string_view text) {
    const size_t end = end_of(text);
    if (end == text.npos) return std::nullopt;
    OracleRequest request;
    request.consumed = end + 4;
    std::string head(text.substr(0, end + 2));
    if (head.substr(0, 2) == "\r\n") head = head.substr(2);
    std::vector<std::string> lines;
    for (size_t at = 0; at < head.size();) {
      const size_t stop = head.find("\r\n", at);
      lines.push_back(head.substr(at, stop - at));
      at = stop + 2;
    }
    if (lines.empty() || !request_line(lines[0], &request)) return std::nullopt;
    if (lines.size() - 1 > kMaxFields) return std::nullopt;
    for (size_t i = 1; i < lines.size(); ++i) {
      if (!field_line(lines[i], &request)) return std::nullopt;
    }
    if (!meaning(&request)) return std::nullopt;
    return request;
  }

  static std::string lower(std::string s) {
    for (char& c : s) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return s;
  }

 private:
  static size_t end_of(std::string_view text) {
    // A leading empty line does not end anything.
    const size_t from = text.substr(0, 2) == "\r\n" ? 2 : 0;
    if (from == 2 && text.substr(2, 2) == "\r\n") return 0;
    return text.find("\r\n\r\n", from);
  }
  static bool is_alnum(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  static bool all_of(const std::string& s, const char* others) {
    for (const char c : s) {
      if (!is_alnum(static_cast<unsigned char>(c)) &&
          std::string(others).find(c) == std::string::npos) {
        return false;
      }
    }
    return !s.empty();
  }
  static bool token(const std::string& s) { return all_of(s, "!#$%&'*+-.^_`|~"); }
  static bool all_digits(const std::string& s) {
    return !s.empty() && s.find_first_not_of("0123456789") == s.npos;
  }
  static bool host(const std::string& s) {
    std::string name = s;
    std::string port;
    bool has_port = false;
    if (!s.empty() && s[0] == '[') {
      const size_t close = s.find(']');
      if (close == s.npos) return false;
      const std::string inside = s.substr(1, close - 1);
      if (inside.size() < 2 || inside.find(':') == inside.npos) return false;
      if (inside.find_first_not_of("0123456789abcdefABCDEF:.") != inside.npos) return false;
      const std::string rest = s.substr(close + 1);
      if (!rest.empty()) {
        if (rest[0] != ':') return false;
        has_port = true;
        port = rest.substr(1);
      }
    } else {
      const size_t colon = s.find(':');
      if (colon != s.npos) {
        has_port = true;
        port = s.substr(colon + 1);
        name = s.substr(0, colon);
      }
      if (!all_of(name, "-._~!$&'()*+;=")) return false;
    }
    if (!has_port) return true;
    return all_digits(port) && port.size() <= 5 && std::stoul(port) <= 65535;
  }
  static bool request_line(const std::string& line, OracleRequest* r) {
    const size_t a = line.find(' ');
    const size_t b = line.rfind(' ');
    if (a == line.npos || a == b) return false;
    r->method = line.substr(0, a);
    r->target = line.substr(a + 1, b - a - 1);
    const std::string version = line.substr(b + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
    r->minor = version.back() - '0';
    if (!token(r->method) || r->method.size() > 64 || r->target.empty()) return false;
    for (const char c : r->target) {
      if (c <= 0x20 || c == 0x7f || c == '#') return false;  // char is signed: also 0x80 and above
    }
    return target(r);
  }
  static bool target(OracleRequest* r) {
    const std::string& t = r->target;
    if (r->method == "CONNECT") {
      r->authority = t;
      return host(t) && t.rfind(':') != t.npos && t.back() != ']';
    }
    r->path = t;
    if (t[0] == '/') return true;
    if (t == "*") return r->method == "OPTIONS";
    size_t skip = 0;
    if (lower(t.substr(0, 7)) == "http://") skip = 7;
    if (lower(t.substr(0, 8)) == "https://") skip = 8;
    if (skip == 0) return false;
    const std::string rest = t.substr(skip);
    const size_t stop = rest.find_first_of("/?");
    r->authority = rest.substr(0, stop);
    r->path = stop == rest.npos ? "" : rest.substr(stop);
    if (r->path.empty()) r->path = r->method == "OPTIONS" ? "*" : "/";
    if (r->path[0] == '?') r->path = "/" + r->path;
    return host(r->authority);
  }
  static bool field_line(const std::string& line, OracleRequest* r) {
    const size_t colon = line.find(':');
    if (colon == line.npos) return false;
    const std::string name = line.substr(0, colon);
    std::string value = line.substr(colon + 1);
    if (!token(name)) return false;
    for (const char c : value) {
      if ((c >= 0 && c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    while (!value.empty() && (value[0] == ' ' || value[0] == '\t')) value = value.substr(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    r->fields.emplace_back(lower(name), value);
    return true;
  }
  static std::vector<std::string> values(const OracleRequest& r, const char* name) {
    std::vector<std::string> out;
    for (const auto& [n, v] : r.fields) {
      if (n == name) out.push_back(v);
    }
    return out;
  }
  static bool has_member(const OracleRequest& r, const char* name, const std::string& member) {
    for (const std::string& value : values(r, name)) {
      std::string rest = value + ",";
      for (size_t stop; (stop = rest.find(',')) != rest.npos; rest = rest.substr(stop + 1)) {
        std::string one = rest.substr(0, stop);
        while (!one.empty() && (one[0] == ' ' || one[0] == '\t')) one = one.substr(1);
        while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.pop_back();
        if (lower(one) == member) return true;
      }
    }
    return false;
  }
  static bool meaning(OracleRequest* r) {
    const auto hosts = values(*r, "host");
    if (hosts.size() > 1 || (hosts.empty() && r->minor == 1)) return false;
    if (!hosts.empty() && !host(hosts[0])) return false;
    if (r->authority.empty() && !hosts.empty()) r->authority = hosts[0];
    const auto lengths = values(*r, "content-length");
    const auto codings = values(*r, "transfer-encoding");
    if (lengths.size() > 1 || codings.size() > 1) return false;
    if (!codings.empty()) {
      if (!lengths.empty() || r->minor == 0 || lower(codings[0]) != "chunked") return false;
      r->chunked = true;
    }
    if (!lengths.empty()) {
      if (!all_digits(lengths[0]) || lengths[0].size() > 19) return false;
      r->length = std::stoull(lengths[0]);
      if (r->length > uint64_t{1} << 62) return false;
    }
    if (r->method == "CONNECT" && (r->chunked || r->length != 0)) return false;
    const auto expects = values(*r, "expect");
    if (expects.size() > 1 || (!expects.empty() && expects[0].empty())) return false;
    if (!expects.empty() && r->minor == 1 && lower(expects[0]) != "100-continue") return false;
    r->keep_alive = !has_member(*r, "connection", "close") &&
                    (r->minor == 1 || has_member(*r, "connection", "keep-alive"));
    return true;
  }
};

}  // namespace sluice::test
