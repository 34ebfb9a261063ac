#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/runtime.h"
#include "base/stats.h"
#include "dataplane/listener.h"
#include "dataplane/tables.h"
#include "router/cluster_ids.h"
#include "router/table.h"
#include "upstream/cluster.h"

namespace sluice::dataplane {

class AccessLogFlusher;

// TablesBuilder answers "what are the next tables?" It holds the current state of all clusters,
// endpoints, routes and listeners as compiled parts, takes changes to them one by one, and makes an
// immutable Tables of them that shares everything that did not change.
//
// Main only. A change either applies as a whole or is refused with an error that names the
// resource, the field and the remedy; nothing that worked is lost by a refusal. build() costs what
// changed since the last build (plus one pointer per 32 clusters). Sockets are bound when a
// listener is put, so that a port that cannot be had refuses that listener and nothing else.
class TablesBuilder {
 public:
  struct Options {
    uint32_t num_workers = 1;
  };
  TablesBuilder(const Options& options, base::StatsStore& stats, AccessLogFlusher* flusher);
  ~TablesBuilder();

  // ---- Clusters. An EDS cluster is warming until its first put_endpoints().
  absl::Status put_cluster(const upstream::ClusterValue& value);
  void put_endpoints(std::string_view cluster, const upstream::EndpointsValue& value);
  // The same of a set that is there, which clusters may share; the cluster's threshold counts.
  void put_endpoints(std::string_view cluster, std::shared_ptr<const upstream::EndpointSet> set);
  void remove_cluster(std::string_view name);
  const upstream::ClusterEntry* cluster(std::string_view name) const;
  // Main's statistics of a cluster; null: there is none of that name.
  base::MembershipCells* cells(std::string_view cluster) const;

  // ---- Routes, by route configuration name. The table was compiled with cluster_ids(), in the
  // compile pool if it is big. Put the listener first: a table that no listener and no session
  // reads is dropped by the next build().
  void put_routes(std::string_view name, std::shared_ptr<const router::RouteTable> table);
  std::shared_ptr<const router::RouteTable> routes(std::string_view name) const;
  // The place of a route configuration, which whoever holds it keeps from being dropped.
  std::shared_ptr<const RouteSlot> route_slot(std::string_view name);
  // Scopes, by the name that listeners have for them (HttpValue::scopes_name); as with routes.
  void put_scopes(std::string_view name, std::shared_ptr<const Scopes> scopes);
  router::ClusterIds& cluster_ids() noexcept { return cluster_ids_; }

  // ---- Runtime: all values that are in force. Who compiles routes gives them the keys.
  void put_runtime(base::RuntimeKeys::Values values);
  base::RuntimeKeys& runtime_keys() noexcept { return runtime_keys_; }

  // ---- Filters' configurations that come by themselves (ECDS), by source and name; null: it has
  // gone. Makes the chains of all listeners that name it anew, or none: the error is the first.
  // Listeners that are put later have it, too. Their sessions go on, their next requests find the
  // new chain.
  absl::Status put_filter_config(uint32_t source, const std::string& name,
                                 std::shared_ptr<const filters::FilterConfig> config);
  // No listener asks for it any more; chains that are there stay as they are.
  void forget_filter_config(uint32_t source, const std::string& name) {
    filter_configs_.erase({source, name});
  }

  // ---- Listeners. Compiles the chain and inline routes, opens access logs, binds.
  absl::Status put_listener(const ListenerValue& value,
                            std::vector<std::string>* warnings = nullptr);
  void remove_listener(std::string_view name);
  // Null: there is none. Addresses as bound.
  const ListenerEntry* listener(std::string_view name) const;

  bool changed() const noexcept { return changed_; }
  // The next version, of everything put and removed so far.
  std::unique_ptr<const Tables> build();
  uint64_t version() const noexcept { return version_; }

  struct ClusterRow {
    std::shared_ptr<const upstream::Cluster> cluster;
    std::shared_ptr<const upstream::EndpointSet> endpoints;
  };
  // For admin, by name.
  std::vector<ClusterRow> clusters() const;
  std::vector<std::shared_ptr<const ListenerEntry>> listeners() const;

 private:
  struct ClusterPart {
    router::ClusterRef ref;  // keeps the slot and the name
    upstream::ClusterEntry entry;
    base::WorkerCells<base::MembershipCells> cells;
  };
  struct ListenerPart {
    std::shared_ptr<const ListenerEntry> entry;
  };

  std::shared_ptr<const RouteSlot> scope_slot(std::string_view name);
  absl::Status compile_routes(const ListenerValue& value, HttpConfig* config);
  struct ChainPart {
    std::shared_ptr<const uint32_t> slot;       // held by HttpConfigs too
    std::vector<filters::FilterValue> filters;  // resolved
    std::string path;
  };

  void resolve(filters::FilterValue* filter) const;
  absl::Status compile_chain(const std::vector<filters::FilterValue>& filters,
                             const std::string& path, HttpConfig* config,
                             std::vector<std::string>* warnings);
  void sweep_chains();
  absl::StatusOr<std::shared_ptr<const HttpConfig>> compile_http(
      const ListenerValue& value, const base::Address& bound, std::string_view stat,
      std::vector<std::string>* warnings);
  absl::StatusOr<std::shared_ptr<const TcpConfig>> compile_tcp(const ListenerValue& value,
                                                               std::vector<std::string>* warnings);
  absl::StatusOr<std::vector<std::shared_ptr<SocketSet>>> bind(const ListenerValue& value);
  void forget_closed_sockets();
  static std::string stat_text(std::string_view name);
  std::shared_ptr<const upstream::Transport> transport_for(const upstream::TransportValue& value);
  std::shared_ptr<const upstream::ClusterValue> policy_for(const upstream::ClusterValue& value);
  std::shared_ptr<const upstream::Cluster> compile_cluster(const upstream::ClusterValue& value,
                                                           ClusterPart& part);
  void touch_cluster(const ClusterPart& part);
  void sweep_routes();
  void sweep_scopes();

  const Options options_;
  base::StatsStore& stats_;
  AccessLogFlusher* flusher_;
  router::ClusterIds cluster_ids_;
  base::RuntimeKeys runtime_keys_;
  std::map<std::string_view, ClusterPart> clusters_;  // keys: ClusterPart::ref's
  // Clusters mostly have one of a few transports and policies: those that were asked for last, to
  // be shared.
  static constexpr size_t kShared = 16;
  std::array<std::weak_ptr<const upstream::Transport>, kShared> transports_;
  std::array<std::weak_ptr<const upstream::ClusterValue>, kShared> policies_;
  size_t next_transport_ = 0, next_policy_ = 0;
  std::map<std::string, ListenerPart, std::less<>> listeners_;
  struct RoutePart {
    std::shared_ptr<const RouteSlot> slot;
    std::shared_ptr<const router::RouteTable> table;
  };
  std::map<std::string, RoutePart, std::less<>> routes_;
  std::vector<ChainPart> chain_parts_;
  std::vector<uint32_t> free_chain_slots_;
  uint32_t next_chain_slot_ = 0;
  std::map<std::pair<uint32_t, std::string>, std::shared_ptr<const filters::FilterConfig>>
      filter_configs_;
  std::vector<uint32_t> free_route_slots_;
  uint32_t next_route_slot_ = 0;
  std::map<std::string, std::shared_ptr<const RouteSlot>, std::less<>> scopes_;
  std::vector<uint32_t> free_scope_slots_;
  uint32_t next_scope_slot_ = 0;
  uint64_t num_inline_ = 0;
  // By requested address: sockets live as long as any listener or worker has them.
  std::map<std::string, std::weak_ptr<SocketSet>> sockets_;

  // Pending for the next build.
  bool changed_ = true;
  bool listeners_changed_ = true;
  std::vector<std::pair<uint32_t, upstream::ClusterEntry>> cluster_changes_;
  std::vector<base::PersistentIndex::Change> name_changes_;
  std::vector<std::pair<uint32_t, std::shared_ptr<const router::RouteTable>>> route_changes_;
  std::vector<std::pair<uint32_t, std::shared_ptr<const Scopes>>> scope_changes_;
  std::vector<std::pair<uint32_t, std::shared_ptr<const filters::FilterChain>>> chain_changes_;

  // What the last build shared.
  uint64_t version_ = 0;
  base::PersistentArray<upstream::ClusterEntry> cluster_array_;
  base::PersistentArray<std::shared_ptr<const router::RouteTable>> route_array_;
  base::PersistentArray<std::shared_ptr<const Scopes>> scope_array_;
  base::RuntimeValues runtime_;
  base::PersistentArray<std::shared_ptr<const filters::FilterChain>> chain_array_;
  std::shared_ptr<const ListenerSet> listener_set_;
  base::PersistentIndex cluster_names_;
};

}  // namespace sluice::dataplane
