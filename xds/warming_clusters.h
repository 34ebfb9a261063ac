#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "dataplane/tables_builder.h"
#include "router/cluster_ids.h"
#include "upstream/endpoint_set.h"
#include "upstream/values.h"
#include "xds/deadlines.h"
#include "xds/dns_discovery.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::xds {

// WarmingClusters joins clusters with their endpoints and puts into the tables what may be used.
//
// A new cluster is put at once; until its endpoints are there it answers 503 cluster_warming. A
// changed one keeps the endpoints that it has (rule 94); if it asks for others, the old one serves
// until those are there (rule 91). A wait ends with the endpoints, with a rejection of them, or
// after initial_fetch_timeout: then the cluster has none (rule 110). Endpoints stay known as long
// as any cluster uses them, also when the control plane leaves them out (1.5). Main only; builder,
// executor and deadlines outlive it. A change costs the clusters that it concerns.
//
// Endpoints that are found by name (dns_discovery.h) go the same way. A new cluster has them from
// the first name that answers; a changed one changes when all its names have answered or failed, at
// most kLongestDnsWaitNs later.
class WarmingClusters {
 public:
  static constexpr int64_t kLongestDnsWaitNs = 15 * base::kNsPerSec;

  struct Dns {
    net::NameResolver* resolver = nullptr;  // null: no name is ever resolved
    net::ResolverConfig config;
    std::function<uint64_t()> random;
    std::function<void()> changed;  // new endpoints are in the builder
  };
  WarmingClusters(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines,
                  Dns dns);

  // Where to ask for endpoints; null (the beginning): names are kept until there is one.
  void set_subscriptions(Subscriptions* subscriptions);

  absl::Status put(upstream::ClusterValue value, bool is_static);
  // Dynamic ones only.
  void remove(std::string_view name);
  bool is_static(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

  void put_endpoints(SourceId source, const upstream::EndpointsValue& value);
  // Whether some cluster asks for these.
  bool follows(const ResourceKey& eds) const { return endpoints_.contains(eds); }
  // None will come for now, or none that are good: ends the wait, changes nothing else.
  void end_wait(const ResourceKey& eds);

  size_t num_warming() const noexcept { return num_warming_; }
  // When the last cluster began to warm.
  base::MonoNs last_warming_at() const noexcept { return last_warming_at_; }
  void list_waits(std::vector<Wait>* out) const;

 private:
  struct Endpoints;
  struct Cluster {
    router::ClusterRef ref;        // holds the name
    Endpoints* follows = nullptr;  // the form that serves; null: it has its endpoints in itself
    base::MonoNs since = 0;        // of either wait
    std::unique_ptr<upstream::ClusterValue> next;  // waits for other endpoints
    bool active = false;                           // a form is in the tables
    bool is_static = false;
    bool warming = false;  // active without endpoints
    std::string_view name() const noexcept { return ref.name(); }
  };
  struct DnsPart {
    std::shared_ptr<const upstream::DnsValue> value;
    uint64_t serial = 0;
  };
  // There is one per cluster, mostly: what has come is kept as the tables have it.
  struct Endpoints {
    ResourceKey key;
    std::shared_ptr<const upstream::EndpointSet> set;  // null: have not come
    std::unique_ptr<const DnsPart> dns;                // null: they do not come by name
    absl::InlinedVector<Cluster*, 1> clusters;         // who uses them; one, mostly
    Deadlines::Ticket deadline;
    bool wait_ended = false;
    bool partial = false;  // some of the names have not answered
    bool ready() const { return (set != nullptr && !partial) || wait_ended; }
  };
  // Either by its key, in no order; they stay where they are.
  struct ByKey {
    using is_transparent = void;
    static std::string_view key(std::string_view name) { return name; }
    static std::string_view key(const std::unique_ptr<Cluster>& of) { return of->name(); }
    static const ResourceKey& key(const ResourceKey& key) { return key; }  // NOLINT(bugprone-*)
    static const ResourceKey& key(const std::unique_ptr<Endpoints>& of) { return of->key; }
    static size_t hash(std::string_view name) { return std::hash<std::string_view>{}(name); }
    static size_t hash(const ResourceKey& key) { return hash(key.name) + key.source; }
  };
  struct Hash : ByKey {
    size_t operator()(const auto& of) const { return hash(key(of)); }
  };
  struct Equal : ByKey {
    bool operator()(const auto& a, const auto& b) const { return key(a) == key(b); }
  };

  // Null: there is none.
  Cluster* find(std::string_view name) const;
  Endpoints* find(const ResourceKey& eds) const;
  void erase(const Cluster& cluster);
  Endpoints& follow(const ResourceKey& eds, const upstream::ClusterValue& value, Cluster& user);
  void unfollow(const ResourceKey& eds, const Cluster& user);
  void drop_next(Cluster& cluster);
  absl::Status activate(Cluster& cluster, const upstream::ClusterValue& value);
  void give(Cluster& cluster);
  void set_warming(Cluster& cluster, bool warming);
  void take_set(Endpoints& endpoints, const upstream::EndpointsValue& value);
  void deliver(ResourceKey eds);
  void share_dns(const Cluster& cluster, upstream::ClusterValue* value);
  void begin_dns(const upstream::ClusterValue& user, Endpoints* endpoints);
  void put_resolved(const std::string& name, const DnsDiscovery::State& state);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  Subscriptions* subscriptions_ = nullptr;
  absl::flat_hash_set<std::unique_ptr<Cluster>, Hash, Equal> clusters_;
  // Those that are found by name have keys of a source of their own.
  absl::flat_hash_set<std::unique_ptr<Endpoints>, Hash, Equal> endpoints_;
  size_t num_warming_ = 0;
  base::MonoNs last_warming_at_ = 0;
  uint64_t last_dns_serial_ = 0;
  std::function<void()> changed_;
  DnsDiscovery dns_;
};

}  // namespace sluice::xds
