#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/table.h"
#include "tests/oracle/linear_router.h"
#include "tests/router/request.h"

namespace sluice::router {

// Tables and requests over alphabets so small that everything collides with everything, and what
// RouteTable and its slow twin say of them. Shared by the oracle tests and the fuzz target.

// Where a sample's decisions come from: a seed, or the bytes of a fuzzer (0 when they are used up).
class Choices {
 public:
  explicit Choices(uint64_t seed) : engine_(seed), from_seed_(true) {}
  explicit Choices(std::string_view bytes) : bytes_(bytes) {}

  size_t below(size_t n) { return (from_seed_ ? engine_() : take(n > 256 ? 2 : 1)) % n; }
  bool one_in(size_t n) { return below(n) == 0; }
  uint64_t word() { return from_seed_ ? engine_() : take(8); }
  bool used_up() const { return !from_seed_ && bytes_.empty(); }
  template <typename T>
  T of(std::initializer_list<T> list) {
    return *(list.begin() + below(list.size()));
  }
  std::string text(std::string_view alphabet, size_t max_size) {
    std::string out;
    for (size_t n = below(max_size + 1); n != 0; --n) out += alphabet[below(alphabet.size())];
    return out;
  }

 private:
  uint64_t take(size_t size) {
    uint64_t out = 0;
    for (; size != 0 && !bytes_.empty(); --size, bytes_.remove_prefix(1)) {
      out = out << 8 | static_cast<unsigned char>(bytes_.front());
    }
    return out;
  }

  std::mt19937_64 engine_;
  bool from_seed_ = false;
  std::string_view bytes_;
};

inline StringMatch string_match(Choices& r) {
  using Kind = StringMatch::Kind;
  StringMatch out;
  out.kind = r.of({Kind::kExact, Kind::kExact, Kind::kExact, Kind::kPrefix, Kind::kSuffix,
                   Kind::kContains, Kind::kRegex});
  out.text = out.kind == Kind::kRegex ? r.of<const char*>({"x.*", "[xy]", ".*y", "x|,"})
                                      : r.text("xyX,", 2);
  out.ignore_case = r.one_in(4);
  if (out.kind == Kind::kRegex) out.ignore_case = false;
  return out;
}

inline HeaderMatch header_match(Choices& r) {
  HeaderMatch out;
  out.name = r.of<const char*>({"h", "h", "k", "cookie", "accept", ":method", ":method", ":path",
                                ":authority", "host", ":scheme", ":other"});
  using Kind = HeaderMatch::Kind;
  out.kind = r.of({Kind::kPresent, Kind::kString, Kind::kString, Kind::kString, Kind::kRange});
  out.string = string_match(r);
  if (out.name == ":method") {
    out.kind = Kind::kString;
    out.string = {StringMatch::Kind::kExact, r.of<const char*>({"GET", "POST", "FOO"}), false};
  }
  out.range_from = static_cast<int64_t>(r.below(4)) - 1;
  out.range_to = static_cast<int64_t>(r.below(6));
  out.present = !r.one_in(4);
  out.invert = r.one_in(4);
  out.treat_missing_as_empty = r.one_in(4);
  return out;
}

inline PathMatch path_match(Choices& r) {
  using Kind = PathMatch::Kind;
  PathMatch out;
  out.kind = r.of({Kind::kPrefix, Kind::kPrefix, Kind::kPrefix, Kind::kExact, Kind::kExact,
                   Kind::kSeparatedPrefix, Kind::kSeparatedPrefix, Kind::kRegex, Kind::kConnect});
  if (out.kind == Kind::kConnect && !r.one_in(4)) out.kind = Kind::kPrefix;
  out.text = "/" + r.text(r.one_in(3) ? "aAb/" : "ab/", r.one_in(3) ? 20 : 4);
  if (out.kind == Kind::kRegex) out.text += r.of<const char*>({".*", "", "[ab]+", "/(a|b)*", "a?"});
  if (out.kind == Kind::kPrefix && r.one_in(10)) out.text.clear();
  out.ignore_case = r.one_in(4) && out.kind != Kind::kRegex;
  return out;
}

inline RouteValue random_route(Choices& r, bool one_path) {
  RouteValue out;
  out.forward.cluster = "c";
  out.match.path = path_match(r);
  if (one_path) out.match.path.text = "/";
  if (one_path && out.match.path.kind == PathMatch::Kind::kRegex) out.match.path.text = "/.*";
  const size_t odds = one_path ? 1 : 2;
  if (r.one_in(odds)) out.match.headers.push_back(header_match(r));
  if (one_path && r.one_in(2)) out.match.headers.push_back(header_is("h", r.text("xy", 3)));
  if (r.one_in(6)) out.match.headers.push_back(header_match(r));
  if (r.one_in(8)) {
    QueryMatch query;
    query.name = r.of<const char*>({"q", "p"});
    if (r.one_in(2)) query.value = string_match(r);
    query.present = !r.one_in(3);
    out.match.query.push_back(query);
  }
  if (r.one_in(10))
    out.match.fraction = RuntimeFraction{static_cast<uint32_t>(r.below(1000001)), ""};
  out.match.grpc_only = r.one_in(12);
  return out;
}

inline RouteConfigValue random_config(Choices& r, size_t num_routes) {
  RouteConfigValue out;
  out.ignore_port_in_host_matching = r.one_in(2);
  std::vector<std::string> used;
  const size_t num_hosts = 1 + r.below(5);
  for (size_t v = 0; v < num_hosts; ++v) {
    auto value = std::make_shared<VirtualHostValue>();
    value->name = "v" + std::to_string(v);
    for (size_t d = 0; d < 4; ++d) {
      std::string domain = r.text("abA.", 4);
      if (r.one_in(3)) domain = "*" + domain;
      if (r.one_in(3) && domain.find('*') == std::string::npos) domain += "*";
      if (r.one_in(4) && domain.find('*') == std::string::npos) domain += ":80";
      if (v == 0 && d == 0) domain = "*";
      const std::string folded = internal::as_read<Reading::kFolded>(domain);
      if (std::find(used.begin(), used.end(), folded) != used.end()) continue;
      used.push_back(folded);
      value->domains.push_back(domain);
    }
    const bool one_path = r.one_in(4);
    for (size_t i = 1 + r.below(num_routes); i != 0; --i) {
      value->routes.push_back(random_route(r, one_path));
    }
    using Tls = VirtualHostValue::RequireTls;
    value->require_tls = r.of({Tls::kNone, Tls::kNone, Tls::kNone, Tls::kAll, Tls::kExternalOnly});
    out.virtual_hosts.push_back(std::move(value));
  }
  return out;
}

inline oracle::LinearRequest random_request(Choices& r) {
  oracle::LinearRequest out;
  out.method = r.of<const char*>({"GET", "GET", "POST", "CONNECT", "FOO"});
  out.path = "/" + r.text(r.one_in(3) ? "aAbB/" : "ab/", r.one_in(3) ? 30 : 5);
  if (r.one_in(2)) out.path += "?" + r.text("pq=&xy", 10);
  if (r.one_in(20)) out.path += "#" + r.text("ab?/", 3);
  if (out.method == "CONNECT" && r.one_in(2)) out.path.clear();
  out.authority = r.text("abA.", 5);
  if (r.one_in(3)) out.authority += r.of<const char*>({":80", ":", ":x", "]:80"});
  out.scheme = r.of<const char*>({"", "http", "xX"});
  for (size_t i = r.below(6); i != 0; --i) {
    const std::string value = r.one_in(3) ? r.text("-012", 2) : r.text("xyX", 3);
    out.headers.emplace_back(r.of<const char*>({"h", "h", "k", "cookie", "accept"}), value);
  }
  // What std::stoll and from_chars read differently is not the oracle's business.
  for (auto& [name, value] : out.headers) {
    if (value.find('-') != std::string::npos) value = "-1";
  }
  out.grpc = r.one_in(3);
  out.tls = r.one_in(2);
  out.internal = r.one_in(2);
  out.random = r.word();
  return out;
}

// Empty where both say the same of the request.
inline std::string difference(const RouteTable& table, const oracle::LinearRouter& linear,
                              const oracle::LinearRequest& values) {
  const TestRequest request(values);
  const Match match = table.match(request.head(), request.input());
  oracle::LinearRouter::Result got;
  if (match.virtual_host != nullptr) got.virtual_host = static_cast<int>(match.virtual_host_index);
  if (match.route != nullptr) got.route = static_cast<int>(match.route->index);
  got.https_required = match.reason == base::Reason::kHttpsRequired;
  const oracle::LinearRouter::Result want = linear.match(values);
  const std::string told = table.explain(request.head(), request.input());
  const auto number = [](int n) { return std::to_string(n); };
  if (got != want) {
    return values.method + " " + values.authority + " " + values.path + ": host " +
           number(got.virtual_host) + ", the oracle " + number(want.virtual_host) + "; route " +
           number(got.route) + ", the oracle " + number(want.route) + "\n" + told;
  }
  if (match.route == nullptr) return {};
  const bool tells = told.find("route " + number(got.route) + " (") != std::string::npos;
  return tells ? std::string()
               : "explain() does not name route " + number(got.route) + ":\n" + told;
}

}  // namespace sluice::router
