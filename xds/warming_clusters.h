#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "dataplane/tables_builder.h"
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
  bool has(std::string_view name) const { return clusters_.contains(name); }

  void put_endpoints(SourceId source, upstream::EndpointsValue value);
  // Whether some cluster asks for these.
  bool follows(const ResourceKey& eds) const { return endpoints_.contains(eds); }
  // None will come for now, or none that are good: ends the wait, changes nothing else.
  void end_wait(const ResourceKey& eds);

  size_t num_warming() const noexcept { return num_warming_; }
  // When the last cluster began to warm.
  base::MonoNs last_warming_at() const noexcept { return last_warming_at_; }
  void list_waits(std::vector<Wait>* out) const;

 private:
  // Whence a version of a cluster has its endpoints.
  struct Follows {
    ResourceKey eds;  // an empty name: it has them in itself
    std::shared_ptr<const upstream::DnsValue> dns;
    uint64_t dns_serial = 0;
  };
  struct Cluster {
    Follows follows;      // of the form that serves
    bool active = false;  // a form is in the tables
    bool is_static = false;
    bool warming = false;                          // active without endpoints
    base::MonoNs since = 0;                        // of either wait
    std::unique_ptr<upstream::ClusterValue> next;  // waits for other endpoints
  };
  struct Endpoints {
    std::shared_ptr<const upstream::EndpointsValue> value;  // null: have not come
    std::vector<std::string> clusters;                      // who uses them; one, mostly
    bool wait_ended = false;
    bool partial = false;  // some of the names have not answered
    bool ready() const { return (value != nullptr && !partial) || wait_ended; }
  };
  using Clusters = std::map<std::string, Cluster, std::less<>>;

  Endpoints& follow(const ResourceKey& eds, const upstream::ClusterValue& user);
  void unfollow(const ResourceKey& eds, const std::string& user);
  void drop_next(Cluster& cluster);
  absl::Status activate(Cluster& cluster, const upstream::ClusterValue& value);
  void give(const std::string& name, Cluster& cluster, const Endpoints& endpoints);
  void set_warming(Cluster& cluster, bool warming);
  void deliver(const ResourceKey& eds);
  void share_dns(const Cluster& cluster, upstream::ClusterValue* value);
  void begin_dns(const ResourceKey& key, const upstream::ClusterValue& user, Endpoints* endpoints);
  void put_resolved(const std::string& name, const DnsDiscovery::State& state);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  Subscriptions* subscriptions_ = nullptr;
  Clusters clusters_;
  // Those that are found by name have keys of a source of their own.
  std::map<ResourceKey, Endpoints> endpoints_;
  size_t num_warming_ = 0;
  base::MonoNs last_warming_at_ = 0;
  uint64_t last_dns_serial_ = 0;
  std::function<void()> changed_;
  DnsDiscovery dns_;
};

}  // namespace sluice::xds
