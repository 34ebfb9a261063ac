#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::mock_cp {

// The resource types with a service of their own: their usual short names, methods, and places in
// the order in which ADS sends them. Types that are not here travel on ADS alone, last. Constants.
// Make before break: a response of a chained type (clusters and routes) waits until those before it
// are answered, and clusters go only when what is routed to them has changed.
enum class Stage : uint8_t { kFree, kClusters, kRoutes };

struct TypeEntry {
  std::string_view brief;      // "CDS"
  std::string_view full_name;  // "envoy.config.cluster.v3.Cluster"
  std::string_view service;    // "envoy.service.cluster.v3.ClusterDiscoveryService"
  std::string_view plural;     // of its methods: "Clusters" in StreamClusters and DeltaClusters
  Stage stage = Stage::kFree;
};

// In the order of ADS: what others refer to comes first.
std::span<const TypeEntry> type_entries() noexcept;

// "CDS" for a type URL that has a short name, else the message's own name.
std::string short_name(std::string_view type_url);
// The type URL of "CDS", "cds", "envoy.config.cluster.v3.Cluster" or a type URL; empty: no message
// of that name is compiled in.
std::string url_of(std::string_view name);
// Place in the order of ADS.
int rank_of(std::string_view type_url) noexcept;
Stage stage_of(std::string_view type_url) noexcept;

// What a gRPC method path serves; nullopt: nothing.
struct RpcMethod {
  bool delta = false;
  std::string type_url;  // empty: ADS
};
std::optional<RpcMethod> method_of(std::string_view path);

}  // namespace sluice::mock_cp
