#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/values.h"

namespace sluice::oracle {

// LinearRouter is the slow, obvious twin of router::RouteTable: it walks hosts and routes in list
// order, straight from the configuration's values, and copies strings as it likes. It shares no
// code with router/. Regular expressions are std::regex: tests keep to patterns that mean the same
// there.
struct LinearRequest {
  std::string method = "GET";
  std::string path = "/";
  std::string authority = "a";
  std::string scheme = "";
  std::vector<std::pair<std::string, std::string>> headers = {};  // names in lower case
  bool grpc = false;
  bool tls = false;
  bool internal = false;
  uint64_t random = 0;
};

class LinearRouter {
 public:
  struct Result {
    int virtual_host = -1;
    int route = -1;
    bool https_required = false;
    bool operator==(const Result&) const = default;
  };

  explicit LinearRouter(const router::RouteConfigValue& config) : config_(config) {}

  Result match(const LinearRequest& request) const {
    Result out;
    out.virtual_host = find_host(request.authority);
    if (out.virtual_host < 0) return out;
    const auto& host = *config_.virtual_hosts[static_cast<size_t>(out.virtual_host)];
    using Tls = router::VirtualHostValue::RequireTls;
    out.https_required =
        !request.tls && (host.require_tls == Tls::kAll ||
                         (host.require_tls == Tls::kExternalOnly && !request.internal));
    if (out.https_required) return out;
    for (size_t i = 0; i < host.routes.size(); ++i) {
      if (matches(host.routes[i].match, request)) {
        out.route = static_cast<int>(i);
        break;
      }
    }
    return out;
  }

 private:
  static std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  }
  static bool starts(const std::string& text, const std::string& with) {
    return text.compare(0, with.size(), with) == 0;
  }
  static bool ends(const std::string& text, const std::string& with) {
    return text.size() >= with.size() &&
           text.compare(text.size() - with.size(), with.size(), with) == 0;
  }

  // Exact before suffix before prefix before "*"; among wildcards the longest.
  int find_host(std::string host) const {
    host = lower(host);
    if (config_.ignore_port_in_host_matching) {
      const size_t colon = host.rfind(':');
      const size_t bracket = host.rfind(']');
      const bool in_brackets = bracket != std::string::npos && bracket > colon;
      if (colon != std::string::npos && !in_brackets) host = host.substr(0, colon);
    }
    int best = -1;
    std::pair<int, size_t> best_rank{0, 0};
    for (size_t v = 0; v < config_.virtual_hosts.size(); ++v) {
      for (std::string domain : config_.virtual_hosts[v]->domains) {
        domain = lower(domain);
        std::pair<int, size_t> rank{0, domain.size()};
        if (domain == "*") {
          rank.first = 1;
        } else if (!domain.empty() && domain.front() == '*') {
          if (host.size() >= domain.size() && ends(host, domain.substr(1))) rank.first = 3;
        } else if (!domain.empty() && domain.back() == '*') {
          if (host.size() >= domain.size() && starts(host, domain.substr(0, domain.size() - 1))) {
            rank.first = 2;
          }
        } else if (domain == host) {
          rank.first = 4;
        }
        if (rank.first != 0 && rank > best_rank) {
          best_rank = rank;
          best = static_cast<int>(v);
        }
      }
    }
    return best;
  }

  static bool matches(const router::RouteMatch& match, const LinearRequest& request) {
    if (!path_matches(match.path, request)) return false;
    if (match.grpc_only && !request.grpc) return false;
    if (match.fraction.has_value() &&
        (request.random & 0xffffffff) * 1'000'000 >> 32 >= match.fraction->ppm) {
      return false;
    }
    for (const router::HeaderMatch& header : match.headers) {
      if (!header_matches(header, request)) return false;
    }
    for (const router::QueryMatch& query : match.query) {
      if (!query_matches(query, request.path)) return false;
    }
    return true;
  }

  static bool path_matches(const router::PathMatch& match, const LinearRequest& request) {
    using Kind = router::PathMatch::Kind;
    if (match.kind == Kind::kConnect) return request.method == "CONNECT";
    if (request.path.empty()) return false;
    std::string path = request.path.substr(0, request.path.find_first_of("?#"));
    std::string text = match.text;
    if (match.kind == Kind::kRegex) return std::regex_match(path, std::regex(text));
    if (match.ignore_case) {
      path = lower(path);
      text = lower(text);
    }
    switch (match.kind) {
      case Kind::kPrefix:
        return starts(path, text);
      case Kind::kExact:
        return path == text;
      case Kind::kSeparatedPrefix:
        return path == text || starts(path, text + "/");
      default:
        return false;
    }
  }

  static bool string_matches(const router::StringMatch& match, std::string value) {
    using Kind = router::StringMatch::Kind;
    if (match.kind == Kind::kRegex) return std::regex_match(value, std::regex(match.text));
    std::string text = match.text;
    if (match.ignore_case) {
      value = lower(value);
      text = lower(text);
    }
    switch (match.kind) {
      case Kind::kExact:
        return value == text;
      case Kind::kPrefix:
        return starts(value, text);
      case Kind::kSuffix:
        return ends(value, text);
      default:
        return value.find(text) != std::string::npos;
    }
  }

  // Envoy keeps some headers as one line; of the others each line is a value of its own.
  static bool is_one_line(const std::string& name) {
    static const std::set<std::string> kNames = {"accept",
                                                 "accept-encoding",
                                                 "access-control-request-headers",
                                                 "access-control-request-method",
                                                 "authorization",
                                                 "cache-control",
                                                 "connection",
                                                 "content-encoding",
                                                 "content-length",
                                                 "content-type",
                                                 "expect",
                                                 "grpc-accept-encoding",
                                                 "grpc-timeout",
                                                 "if-match",
                                                 "if-modified-since",
                                                 "if-none-match",
                                                 "keep-alive",
                                                 "origin",
                                                 "pragma",
                                                 "proxy-connection",
                                                 "referer",
                                                 "te",
                                                 "transfer-encoding",
                                                 "upgrade",
                                                 "user-agent",
                                                 "via",
                                                 "x-client-trace-id",
                                                 "x-envoy-attempt-count",
                                                 "x-envoy-decorator-operation",
                                                 "x-envoy-downstream-service-cluster",
                                                 "x-envoy-downstream-service-node",
                                                 "x-envoy-external-address",
                                                 "x-envoy-is-timeout-retry",
                                                 "x-envoy-original-host",
                                                 "x-envoy-original-path",
                                                 "x-forwarded-client-cert",
                                                 "x-forwarded-for",
                                                 "x-forwarded-host",
                                                 "x-forwarded-port",
                                                 "x-forwarded-proto",
                                                 "x-request-id"};
    return kNames.count(name) != 0;
  }

  static std::vector<std::string> values(const std::string& name, const LinearRequest& request) {
    const auto unless_empty = [](const std::string& text) {
      return text.empty() ? std::vector<std::string>() : std::vector<std::string>{text};
    };
    if (name == ":method") return unless_empty(request.method);
    if (name == ":path") return unless_empty(request.path);
    if (name == ":authority" || name == "host") return unless_empty(request.authority);
    if (name == ":scheme") return unless_empty(request.scheme);
    std::vector<std::string> lines;
    for (const auto& [its_name, value] : request.headers) {
      if (its_name == name) lines.push_back(value);
    }
    if (lines.empty() || !is_one_line(name)) return lines;
    std::string joined;
    for (const std::string& line : lines) {
      if (!line.empty()) joined += joined.empty() ? line : "," + line;
    }
    return {joined};
  }

  static bool value_matches(const router::HeaderMatch& match, const std::string& text) {
    if (match.kind == router::HeaderMatch::Kind::kString) return string_matches(match.string, text);
    if (text.empty() || text.find_first_not_of("-0123456789") != std::string::npos) return false;
    const int64_t number = std::stoll(text);
    return number >= match.range_from && number < match.range_to;
  }

  static bool header_matches(const router::HeaderMatch& match, const LinearRequest& request) {
    std::vector<std::string> all = values(match.name, request);
    if (match.kind == router::HeaderMatch::Kind::kPresent) {
      return (!all.empty() == match.present) != match.invert;
    }
    if (all.empty()) {
      if (!match.treat_missing_as_empty) return false;
      all = {""};
    }
    bool any = false;
    for (const std::string& value : all) any = any || value_matches(match, value);
    return any != match.invert;
  }

  static bool query_matches(const router::QueryMatch& match, const std::string& path) {
    std::optional<std::string> found;
    const size_t question = path.find('?');
    if (question != std::string::npos) {
      std::string rest = path.substr(question + 1) + "&";
      for (size_t at = rest.find('&'); at != std::string::npos; at = rest.find('&')) {
        const std::string parameter = rest.substr(0, at);
        rest = rest.substr(at + 1);
        const size_t equals = parameter.find('=');
        if (parameter.substr(0, equals) != match.name || found.has_value()) continue;
        if (parameter.empty()) continue;
        found = equals == std::string::npos ? "" : parameter.substr(equals + 1);
      }
    }
    if (!match.value.has_value()) return found.has_value() == match.present;
    return found.has_value() && string_matches(*match.value, *found);
  }

  const router::RouteConfigValue& config_;
};

}  // namespace sluice::oracle
