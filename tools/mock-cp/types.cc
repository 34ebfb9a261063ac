#include "tools/mock-cp/types.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <iterator>

#include "base/text.h"

namespace sluice::mock_cp {
namespace {

constexpr std::string_view kPrefix = "type.googleapis.com/";
constexpr std::string_view kAds = "envoy.service.discovery.v3.AggregatedDiscoveryService";

constexpr TypeEntry kTypes[] = {
    {"RTDS", "envoy.service.runtime.v3.Runtime", "envoy.service.runtime.v3.RuntimeDiscoveryService",
     "Runtime"},
    {"SDS", "envoy.extensions.transport_sockets.tls.v3.Secret",
     "envoy.service.secret.v3.SecretDiscoveryService", "Secrets"},
    {"CDS", "envoy.config.cluster.v3.Cluster", "envoy.service.cluster.v3.ClusterDiscoveryService",
     "Clusters", Stage::kClusters},
    {"EDS", "envoy.config.endpoint.v3.ClusterLoadAssignment",
     "envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", Stage::kClusters},
    {"ECDS", "envoy.config.core.v3.TypedExtensionConfig",
     "envoy.service.extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs"},
    {"LDS", "envoy.config.listener.v3.Listener",
     "envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", Stage::kRoutes},
    {"SRDS", "envoy.config.route.v3.ScopedRouteConfiguration",
     "envoy.service.route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", Stage::kRoutes},
    {"RDS", "envoy.config.route.v3.RouteConfiguration",
     "envoy.service.route.v3.RouteDiscoveryService", "Routes", Stage::kRoutes},
    {"VHDS", "envoy.config.route.v3.VirtualHost",
     "envoy.service.route.v3.VirtualHostDiscoveryService", "VirtualHosts", Stage::kRoutes},
};

std::string_view full_name_of(std::string_view type_url) noexcept {
  return type_url.substr(type_url.rfind('/') + 1);
}

const TypeEntry* find(std::string_view type_url) noexcept {
  for (const TypeEntry& entry : kTypes) {
    if (entry.full_name == full_name_of(type_url)) return &entry;
  }
  return nullptr;
}

bool equals_in_any_case(std::string_view a, std::string_view upper) noexcept {
  if (a.size() != upper.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'a' && a[i] <= 'z' ? static_cast<char>(a[i] - 'a' + 'A') : a[i];
    if (c != upper[i]) return false;
  }
  return true;
}

}  // namespace

std::span<const TypeEntry> type_entries() noexcept { return kTypes; }

std::string short_name(std::string_view type_url) {
  const TypeEntry* entry = find(type_url);
  return std::string(entry ? entry->brief : full_name_of(type_url));
}

std::string url_of(std::string_view name) {
  for (const TypeEntry& entry : kTypes) {
    if (equals_in_any_case(name, entry.brief)) return base::cat(kPrefix, entry.full_name);
  }
  const std::string full(full_name_of(name));
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  return pool->FindMessageTypeByName(full) ? base::cat(kPrefix, full) : "";
}

int rank_of(std::string_view type_url) noexcept {
  const TypeEntry* entry = find(type_url);
  return static_cast<int>(entry ? entry - kTypes : std::ssize(kTypes));
}

Stage stage_of(std::string_view type_url) noexcept {
  const TypeEntry* entry = find(type_url);
  return entry ? entry->stage : Stage::kFree;
}

std::optional<RpcMethod> method_of(std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  const size_t slash = std::min(path.find('/', 1), path.size());
  const std::string_view service = path.substr(1, slash - 1);
  std::string_view method = path.substr(std::min(slash + 1, path.size()));
  const bool delta = method.starts_with("Delta");
  if (!delta && !method.starts_with("Stream")) return std::nullopt;
  method.remove_prefix(delta ? 5 : 6);
  if (service == kAds && method == "AggregatedResources") return RpcMethod{delta, ""};
  for (const TypeEntry& entry : kTypes) {
    if (entry.service == service && entry.plural == method) {
      return RpcMethod{delta, base::cat(kPrefix, entry.full_name)};
    }
  }
  return std::nullopt;
}

}  // namespace sluice::mock_cp
