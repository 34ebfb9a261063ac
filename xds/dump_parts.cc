#include "xds/dump_parts.h"

#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "base/text.h"
#include "envoy/admin/v3/config_dump_shared.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/config_dump.h"
#include "xds/resource_name.h"

namespace sluice::xds {
namespace {

namespace dump = ::envoy::admin::v3;
namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;

void set_time(base::WallNs at, google::protobuf::Timestamp* out) {
  out->set_seconds(at / base::kNsPerSec);
  out->set_nanos(static_cast<int32_t>(at % base::kNsPerSec / base::kNsPerMs * base::kNsPerMs));
}

// Calls fn for each ScopedRoutes of a listener.
template <typename Fn>
void for_each_scoped(const std::string& listener, Fn&& fn) {
  ::envoy::config::listener::v3::Listener in;
  if (!in.ParseFromString(listener)) return;
  for (const auto& chain : in.filter_chains()) {
    for (const auto& filter : chain.filters()) {
      hcm::HttpConnectionManager http;
      if (filter.typed_config().UnpackTo(&http) && http.has_scoped_routes()) {
        fn(http.scoped_routes());
      }
    }
  }
}

DumpResource inline_set(const hcm::ScopedRoutes& in, base::WallNs at) {
  dump::ScopedRoutesConfigDump::InlineScopedRouteConfigs out;
  out.set_name(in.name());
  for (const auto& scope : in.scoped_route_configurations_list().scoped_route_configurations()) {
    out.add_scoped_route_configs()->PackFrom(scope);
  }
  set_time(at, out.mutable_last_updated());
  return {.type = Type::kScopedRoute,
          .is_static = true,
          .name = in.name(),
          .bytes = out.SerializeAsString(),
          .updated_at = at};
}

DumpResource subscribed_set(const std::string& name, const std::vector<DumpResource>& scopes) {
  dump::ScopedRoutesConfigDump::DynamicScopedRouteConfigs out;
  DumpResource set{.type = Type::kScopedRoute, .name = name};
  out.set_name(name);
  for (const DumpResource& scope : scopes) {
    if (scope.error && !set.error) set.error = scope.error;
    if (scope.bytes.empty()) continue;
    auto& any = *out.add_scoped_route_configs();
    any.set_type_url(std::string(type_url_of(Type::kScopedRoute)));
    any.set_value(scope.bytes);
    if (scope.updated_at < set.updated_at) continue;
    set.updated_at = scope.updated_at;
    set.version = scope.version;
  }
  out.set_version_info(set.version);
  set_time(set.updated_at, out.mutable_last_updated());
  set.bytes = out.SerializeAsString();
  return set;
}

bool is_part(Type type) {
  return type == Type::kScopedRoute || type == Type::kVirtualHost || type == Type::kLbEndpoint;
}

}  // namespace

DumpParts::DumpParts(std::vector<DumpResource>* resources) {
  const auto parts = std::stable_partition(resources->begin(), resources->end(),
                                           [](const DumpResource& r) { return !is_part(r.type); });
  for (auto it = parts; it != resources->end(); ++it) {
    if (it->type == Type::kScopedRoute) {
      scopes_.push_back(std::move(*it));
    } else if (!it->bytes.empty()) {
      parts_[it->type].emplace(std::move(it->name), std::move(it->bytes));
    }
  }
  resources->erase(parts, resources->end());
  std::sort(scopes_.begin(), scopes_.end(),
            [](const DumpResource& a, const DumpResource& b) { return a.name < b.name; });
  add_sets(resources);
}

// Dynamic listeners are looked into only where there are scopes.
void DumpParts::add_sets(std::vector<DumpResource>* resources) const {
  std::vector<DumpResource> sets;
  std::set<std::string> subscribed;
  for (const DumpResource& r : *resources) {
    if (r.type != Type::kListener || (!r.is_static && scopes_.empty())) continue;
    for_each_scoped(r.bytes, [&](const hcm::ScopedRoutes& in) {
      if (!in.has_scoped_rds()) {
        sets.push_back(inline_set(in, r.updated_at));
      } else if (!scopes_.empty() && subscribed.insert(in.name()).second) {
        sets.push_back(subscribed_set(in.name(), scopes_));
      }
    });
  }
  std::move(sets.begin(), sets.end(), std::back_inserter(*resources));
}

std::string DumpParts::whole(const DumpResource& resource) const {
  if (resource.is_static) return resource.bytes;
  if (resource.type == Type::kRoute && parts_.contains(Type::kVirtualHost)) {
    return with_hosts(resource);
  }
  if (resource.type == Type::kEndpoint && parts_.contains(Type::kLbEndpoint)) {
    return with_endpoints(resource);
  }
  return resource.bytes;
}

// Those that are named "ROUTES/HOST".
std::string DumpParts::with_hosts(const DumpResource& routes) const {
  ::envoy::config::route::v3::RouteConfiguration out;
  if (!out.ParseFromString(routes.bytes) || !out.has_vhds()) return routes.bytes;
  const ByName& hosts = parts_.find(Type::kVirtualHost)->second;
  const std::string prefix = base::cat(routes.name, "/");
  for (auto it = hosts.lower_bound(prefix); it != hosts.end() && it->first.starts_with(prefix);
       ++it) {
    if (it->first.rfind('/') + 1 != prefix.size()) continue;
    auto& host = *out.add_virtual_hosts();
    if (!host.ParseFromString(it->second)) out.mutable_virtual_hosts()->RemoveLast();
  }
  return out.SerializeAsString();
}

std::string DumpParts::with_endpoints(const DumpResource& assignment) const {
  ::envoy::config::endpoint::v3::ClusterLoadAssignment out;
  if (!out.ParseFromString(assignment.bytes)) return assignment.bytes;
  const ByName& endpoints = parts_.find(Type::kLbEndpoint)->second;
  for (auto& locality : *out.mutable_endpoints()) {
    const std::string collection =
        normal_name(locality.leds_cluster_locality_config().leds_collection_name());
    if (!is_glob_name(collection)) continue;
    for (const auto& [name, bytes] : endpoints) {
      if (collection_of(name) != collection) continue;
      auto& endpoint = *locality.add_lb_endpoints();
      if (!endpoint.ParseFromString(bytes)) locality.mutable_lb_endpoints()->RemoveLast();
    }
  }
  return out.SerializeAsString();
}

}  // namespace sluice::xds
