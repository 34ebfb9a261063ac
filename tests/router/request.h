#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "http/message.h"
#include "router/table.h"
#include "router/values.h"
#include "tests/oracle/linear_router.h"

namespace sluice::router {

// A request head over strings that it keeps, as a codec would have made it.
class TestRequest {
 public:
  explicit TestRequest(oracle::LinearRequest values) : arena_(pool_), values_(std::move(values)) {
    head_.fields.bind(&arena_);
    head_.method_text = values_.method;
    head_.method = http::method_of(values_.method);
    head_.target = values_.path;
    head_.path = values_.path;
    head_.authority = values_.authority;
    head_.scheme = values_.scheme;
    head_.is_grpc = values_.grpc;
    for (const auto& [name, value] : values_.headers) {
      http::Field field;
      field.name_data = name.data();
      field.name_size = static_cast<uint16_t>(name.size());
      field.value_data = value.data();
      field.value_size = static_cast<uint32_t>(value.size());
      field.id = http::header_id_of(name);
      head_.fields.push(field);
    }
    input_.random = values_.random;
    input_.is_tls = values_.tls;
    input_.is_internal = values_.internal;
  }
  TestRequest(const TestRequest&) = delete;

  const http::RequestHead& head() const { return head_; }
  const MatchInput& input() const { return input_; }
  base::Arena& arena() { return arena_; }

 private:
  base::BlockPool pool_;
  base::Arena arena_;
  oracle::LinearRequest values_;
  http::RequestHead head_;
  MatchInput input_;
};

inline RouteValue route_to(PathMatch::Kind kind, std::string path, std::string cluster = "c") {
  RouteValue route;
  route.match.path.kind = kind;
  route.match.path.text = std::move(path);
  route.forward.cluster = std::move(cluster);
  return route;
}
inline RouteValue prefix(std::string path, std::string cluster = "c") {
  return route_to(PathMatch::Kind::kPrefix, std::move(path), std::move(cluster));
}
inline RouteValue exact(std::string path, std::string cluster = "c") {
  return route_to(PathMatch::Kind::kExact, std::move(path), std::move(cluster));
}
inline RouteValue separated(std::string path, std::string cluster = "c") {
  return route_to(PathMatch::Kind::kSeparatedPrefix, std::move(path), std::move(cluster));
}
inline RouteValue regex(std::string path, std::string cluster = "c") {
  return route_to(PathMatch::Kind::kRegex, std::move(path), std::move(cluster));
}
inline RouteValue with(RouteValue route, HeaderMatch header) {
  route.match.headers.push_back(std::move(header));
  return route;
}
inline HeaderMatch header_is(std::string name, std::string value) {
  HeaderMatch out;
  out.name = std::move(name);
  out.kind = HeaderMatch::Kind::kString;
  out.string.text = std::move(value);
  return out;
}

inline std::shared_ptr<VirtualHostValue> host(std::vector<std::string> domains,
                                              std::vector<RouteValue> routes) {
  auto out = std::make_shared<VirtualHostValue>();
  out->name = domains.empty() ? "" : domains.front();
  out->domains = std::move(domains);
  out->routes = std::move(routes);
  return out;
}

inline RouteConfigValue config_of(std::vector<std::shared_ptr<const VirtualHostValue>> hosts) {
  RouteConfigValue out;
  out.virtual_hosts = std::move(hosts);
  return out;
}

}  // namespace sluice::router
