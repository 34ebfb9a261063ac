#pragma once

#include <ctime>
#include <optional>
#include <regex>
#include <string>
#include <string_view>

#include "http/facts.h"
#include "http/format.h"

namespace sluice::oracle {

// slow_format() states plainly what http::Format renders as text: Envoy's grammar as a regular
// expression, a string per operator, no compiling. It knows the operators that a fuzzer is likely
// to find worth comparing; nothing for the others (nullopt: no opinion).
namespace internal {

inline std::string lower(std::string s) {
  for (char& c : s) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return s;
}

inline std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || u == 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof(hex), "\\x%02x", u);
      out += hex;
    } else {
      out += c;
    }
  }
  return out;
}

inline std::optional<std::string> header(const http::FieldList* fields, const std::string& name) {
  if (fields == nullptr) return std::nullopt;
  for (const http::Field& f : *fields) {
    if (!f.removed() && f.name() == name) return std::string(f.value());
  }
  return std::nullopt;
}

inline std::optional<std::string> known(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return std::string(text);
}

inline std::optional<std::string> request_header(const http::Facts& facts, std::string name) {
  name = lower(name);
  if (facts.request == nullptr) return std::nullopt;
  if (name == ":method") return known(facts.request->method_text);
  if (name == ":path") return known(facts.request->path);
  if (name == ":authority" || name == "host") return known(facts.request->authority);
  if (name == ":scheme") return known(facts.request->scheme);
  return header(&facts.request->fields, name);
}

inline std::optional<std::string> either(const std::string& arg, auto&& look_up) {
  const size_t question = arg.find('?');
  auto value = look_up(arg.substr(0, question));
  if (!value && question != std::string::npos) value = look_up(arg.substr(question + 1));
  return value;
}

inline std::optional<std::string> span(const http::Facts& f, base::Stamp from, base::Stamp to) {
  if (f.stamps == nullptr || f.stamps->between_ns(from, to) < 0) return std::nullopt;
  return std::to_string(f.stamps->between_ns(from, to) / 1'000'000);
}

inline std::optional<std::string> address(const base::Address* a) {
  if (a == nullptr) return std::nullopt;
  return a->to_string();
}

inline std::string default_time(base::WallNs at) {
  const std::time_t seconds = at / 1'000'000'000;
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  char text[64];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
  char out[80];
  std::snprintf(out, sizeof(out), "%s.%03dZ", text, static_cast<int>(at / 1'000'000 % 1000));
  return out;
}

inline std::string flags(const http::Facts& f) {
  std::string out;
  for (unsigned i = 1; i < static_cast<unsigned>(base::ResponseFlag::kCount); ++i) {
    if ((f.flags() & (1u << i)) == 0) continue;
    if (!out.empty()) out += ',';
    out += base::short_name(static_cast<base::ResponseFlag>(i));
  }
  return out.empty() ? "-" : out;
}

// What may be named in the parentheses of REQ, RESP and TRAILER.
inline bool nameable(const std::string& op, const std::string& name) {
  static const std::regex kToken("[A-Za-z0-9!#$%&'*+.^_`|~-]+");
  const std::string n = lower(name);
  if (n.starts_with(":")) {
    if (op == "RESP") return n == ":status";
    return op != "TRAILER" &&
           (n == ":method" || n == ":path" || n == ":authority" || n == ":scheme");
  }
  return std::regex_match(n, kToken);
}

struct Answer {
  bool known = true;
  std::optional<std::string> value;
};

inline Answer answer(const std::string& name, const std::string& arg, const http::Facts& f) {
  using base::Stamp;
  if (name.starts_with("REQ") || name == "RESP" || name == "TRAILER") {
    const size_t question = arg.find('?');
    if (!nameable(name, arg.substr(0, question))) return {false, std::nullopt};
    if (question != std::string::npos && !nameable(name, arg.substr(question + 1))) {
      return {false, std::nullopt};
    }
  } else if (!arg.empty()) {
    return {false, std::nullopt};
  }
  if (name == "REQ" || name == "REQ_WITHOUT_QUERY") {
    auto v = either(arg, [&](const std::string& n) { return request_header(f, n); });
    if (v && name != "REQ") v = v->substr(0, v->find('?'));
    return {true, v};
  }
  if (name == "RESP") {
    return {true, either(arg, [&](const std::string& n) -> std::optional<std::string> {
              if (f.response == nullptr) return std::nullopt;
              if (lower(n) == ":status") return std::to_string(f.response->status);
              return header(&f.response->fields, lower(n));
            })};
  }
  if (name == "TRAILER") {
    return {true, either(arg, [&](const std::string& n) {
              return header(f.response_trailers, lower(n));
            })};
  }
  if (name == "PROTOCOL") return {true, known(http::text_of(f.protocol))};
  if (name == "START_TIME" && arg.empty()) return {true, default_time(f.start_wall)};
  if (name == "DURATION") return {true, span(f, Stamp::kReceived, Stamp::kFlushed)};
  if (name == "RESPONSE_DURATION") return {true, span(f, Stamp::kReceived, Stamp::kResponseFirst)};
  if (name == "RESPONSE_CODE") return {true, std::to_string(f.response_code)};
  if (name == "RESPONSE_FLAGS") return {true, flags(f)};
  if (name == "RESPONSE_CODE_DETAILS") return {true, known(f.details())};
  if (name == "BYTES_SENT") return {true, std::to_string(f.bytes_sent)};
  if (name == "BYTES_RECEIVED") return {true, std::to_string(f.bytes_received)};
  if (name == "UPSTREAM_HOST") return {true, address(f.upstream_remote)};
  if (name == "UPSTREAM_CLUSTER") return {true, known(f.cluster_name)};
  if (name == "DOWNSTREAM_REMOTE_ADDRESS") return {true, address(f.downstream_remote)};
  if (name == "DOWNSTREAM_LOCAL_ADDRESS") return {true, address(f.downstream_local)};
  if (name == "ROUTE_NAME") return {true, known(f.route_name)};
  if (name == "CONNECTION_ID") return {true, std::to_string(f.connection_id)};
  return {false, std::nullopt};
}

}  // namespace internal

inline std::optional<std::string> slow_format(std::string_view format, const http::Facts& facts,
                                              http::FormatOptions options = {}) {
  static const std::regex kOperator("^%([A-Z0-9_]+)(?:\\(([^)]*)\\))?(?::([0-9]+))?%");
  const bool log = options.escape == http::FormatOptions::Escape::kLog;
  std::string out;
  while (!format.empty()) {
    if (format[0] != '%') {
      out += format[0];
      format.remove_prefix(1);
      continue;
    }
    if (format.starts_with("%%")) {
      out += '%';
      format.remove_prefix(2);
      continue;
    }
    std::cmatch match;
    if (!std::regex_search(format.data(), format.data() + format.size(), match, kOperator,
                           std::regex_constants::match_continuous)) {
      return std::nullopt;
    }
    const auto [is_known, value] = internal::answer(match[1], match[2], facts);
    if (!is_known) return std::nullopt;
    if (value) {
      std::string text = *value;
      const bool number = match[1] == "RESPONSE_CODE" || match[1] == "BYTES_SENT" ||
                          match[1] == "BYTES_RECEIVED" || match[1] == "CONNECTION_ID" ||
                          match[1] == "DURATION" || match[1] == "RESPONSE_DURATION" ||
                          (match[1] == "RESP" && facts.response != nullptr &&
                           text == std::to_string(facts.response->status));
      if (match[3].matched && !number) text = text.substr(0, std::stoul(match[3]));
      out += log ? internal::escaped(text) : text;
    } else if (options.missing == http::FormatOptions::Missing::kDash) {
      out += '-';
    }
    format.remove_prefix(static_cast<size_t>(match.length(0)));
  }
  return out;
}

}  // namespace sluice::oracle
