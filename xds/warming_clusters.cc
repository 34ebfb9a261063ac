#include "xds/warming_clusters.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::xds {
namespace {

using upstream::ClusterValue;

constexpr SourceId kDns = ~SourceId{0};  // of endpoints that are found by name

bool uses_eds(const ClusterValue& value) {
  return value.discovery != ClusterValue::Discovery::kStatic;
}

// What it asks for. An empty name: nothing.
ResourceKey eds_of(const ClusterValue& value) {
  if (!uses_eds(value)) return {};
  if (value.dns != nullptr) return {kDns, base::cat(value.name, "#", value.dns_serial)};
  return {value.eds_source, value.eds_service_name.empty() ? value.name : value.eds_service_name};
}

}  // namespace

WarmingClusters::WarmingClusters(dataplane::TablesBuilder& builder, Executor& executor,
                                 Deadlines& deadlines, Dns dns)
    : builder_(builder),
      executor_(executor),
      deadlines_(deadlines),
      changed_(std::move(dns.changed)),
      dns_(executor,
           {.resolver = dns.resolver,
            .config = std::move(dns.config),
            .random = std::move(dns.random),
            .changed = [this](const std::string& key,
                              const DnsDiscovery::State& state) { put_resolved(key, state); },
            .cells = [this](std::string_view name) { return builder_.cells(name); }}) {}

void WarmingClusters::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (const auto& [eds, endpoints] : endpoints_) {
    if (eds.source != kDns) subscriptions->subscribe(Type::kEndpoint, eds);
  }
  subscriptions->end_batch();
}

// ---- Interest in endpoints.

WarmingClusters::Endpoints& WarmingClusters::follow(const ResourceKey& eds,
                                                    const ClusterValue& user) {
  const auto [it, fresh] = endpoints_.try_emplace(eds);
  Endpoints& endpoints = it->second;
  if (std::find(endpoints.clusters.begin(), endpoints.clusters.end(), user.name) ==
      endpoints.clusters.end()) {
    endpoints.clusters.push_back(user.name);
  }
  if (fresh && user.dns != nullptr) {
    begin_dns(eds, user, &endpoints);
  } else if (fresh) {
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kEndpoint, eds);
    deadlines_.set(Type::kEndpoint, eds, user.eds_initial_fetch_timeout.count());
  }
  return endpoints;
}

void WarmingClusters::unfollow(const ResourceKey& eds, const std::string& user) {
  const auto it = endpoints_.find(eds);
  if (it == endpoints_.end()) return;
  std::erase(it->second.clusters, user);
  if (!it->second.clusters.empty()) return;
  if (eds.source == kDns) {
    dns_.unfollow(eds.name);
  } else if (subscriptions_ != nullptr) {
    subscriptions_->unsubscribe(Type::kEndpoint, eds);
  }
  endpoints_.erase(it);
}

// ---- Clusters.

absl::Status WarmingClusters::put(ClusterValue value, bool is_static) {
  const auto [it, fresh] = clusters_.try_emplace(value.name);
  Cluster& cluster = it->second;
  if (fresh) cluster.is_static = is_static;
  const std::string name = value.name;
  bool may_serve = true;
  share_dns(cluster, &value);
  if (uses_eds(value)) {
    const Endpoints& endpoints = follow(eds_of(value), value);
    may_serve = !cluster.active || endpoints.ready() || cluster.follows.eds == eds_of(value);
  }
  if (!may_serve) {
    if (cluster.next && eds_of(*cluster.next) != eds_of(value)) drop_next(cluster);
    cluster.next = std::make_unique<ClusterValue>(std::move(value));
    cluster.since = executor_.now();
    return absl::OkStatus();
  }
  absl::Status status = activate(cluster, value);
  if (!status.ok() && !cluster.active) clusters_.erase(name);
  return status;
}

void WarmingClusters::drop_next(Cluster& cluster) {
  if (!cluster.next) return;
  const std::unique_ptr<ClusterValue> next = std::exchange(cluster.next, nullptr);
  const bool still_used = cluster.active && cluster.follows.eds == eds_of(*next);
  if (!still_used) unfollow(eds_of(*next), next->name);
}

// What `value` follows is followed already.
absl::Status WarmingClusters::activate(Cluster& cluster, const ClusterValue& value) {
  const ResourceKey wanted = eds_of(value);
  const ResourceKey followed = cluster.follows.eds;
  absl::Status status = builder_.put_cluster(value);
  if (!status.ok()) {
    if (!wanted.name.empty() && wanted != followed) unfollow(wanted, value.name);
    return status;
  }
  if (cluster.next && eds_of(*cluster.next) != wanted) drop_next(cluster);
  cluster.follows = {wanted, value.dns, value.dns_serial};
  cluster.active = true;
  if (!followed.name.empty() && followed != wanted) unfollow(followed, value.name);
  if (wanted.name.empty()) {
    set_warming(cluster, false);
  } else {
    give(value.name, cluster, endpoints_.find(wanted)->second);
  }
  cluster.next.reset();  // which `value` may be
  return absl::OkStatus();
}

void WarmingClusters::give(const std::string& name, Cluster& cluster, const Endpoints& endpoints) {
  if (endpoints.value != nullptr) {
    builder_.put_endpoints(name, *endpoints.value);
  } else if (endpoints.wait_ended) {
    upstream::EndpointsValue none;
    none.cluster_name = cluster.follows.eds.name;
    builder_.put_endpoints(name, none);
  }
  set_warming(cluster, endpoints.value == nullptr && !endpoints.wait_ended);
}

void WarmingClusters::set_warming(Cluster& cluster, bool warming) {
  if (warming && !cluster.warming) {
    ++num_warming_;
    cluster.since = last_warming_at_ = executor_.now();
  } else if (!warming && cluster.warming) {
    --num_warming_;
  }
  cluster.warming = warming;
}

void WarmingClusters::remove(std::string_view name) {
  const auto it = clusters_.find(name);
  if (it == clusters_.end() || it->second.is_static) return;
  drop_next(it->second);
  set_warming(it->second, false);
  if (!it->second.follows.eds.name.empty()) unfollow(it->second.follows.eds, it->first);
  builder_.remove_cluster(name);
  clusters_.erase(it);
}

bool WarmingClusters::is_static(std::string_view name) const {
  const auto it = clusters_.find(name);
  return it != clusters_.end() && it->second.is_static;
}

// ---- Endpoints.

void WarmingClusters::put_endpoints(SourceId source, upstream::EndpointsValue value) {
  const auto it = endpoints_.find(ResourceKey{source, value.cluster_name});
  if (it == endpoints_.end()) return;  // nobody asked
  it->second.wait_ended = false;
  it->second.value = std::make_shared<const upstream::EndpointsValue>(std::move(value));
  deliver(it->first);
}

void WarmingClusters::end_wait(const ResourceKey& eds) {
  const auto it = endpoints_.find(eds);
  if (it == endpoints_.end() || it->second.ready()) return;
  it->second.wait_ended = true;
  deliver(it->first);
}

// ---- Endpoints that are found by name.

// A version that asks for the same in the same way goes on with what is known.
void WarmingClusters::share_dns(const Cluster& cluster, ClusterValue* value) {
  if (value->dns == nullptr) return;
  const auto share = [&](const auto& known) {
    if (known.dns == nullptr || !(*known.dns == *value->dns)) return false;
    value->dns = known.dns;
    value->dns_serial = known.dns_serial;
    return true;
  };
  if (cluster.active && share(cluster.follows)) return;
  if (cluster.next && share(*cluster.next)) return;
  value->dns_serial = ++last_dns_serial_;
}

void WarmingClusters::begin_dns(const ResourceKey& key, const ClusterValue& user,
                                Endpoints* endpoints) {
  const DnsDiscovery::State state = dns_.follow(key.name, user.name, user.dns);
  endpoints->value = state.endpoints;
  endpoints->partial = !state.complete;
  const bool serves = builder_.cluster(user.name) != nullptr;
  endpoints->wait_ended =
      (state.complete && state.endpoints == nullptr) || (!user.dns->wait_for_warm && !serves);
  if (!endpoints->ready()) deadlines_.set(Type::kEndpoint, key, kLongestDnsWaitNs);
}

void WarmingClusters::put_resolved(const std::string& name, const DnsDiscovery::State& state) {
  const auto it = endpoints_.find(ResourceKey{kDns, name});
  if (it == endpoints_.end()) return;
  it->second.value = state.endpoints;
  it->second.partial = !state.complete;
  it->second.wait_ended = it->second.wait_ended || state.complete;
  deliver(it->first);
  changed_();
}

void WarmingClusters::deliver(const ResourceKey& of) {
  const ResourceKey eds = of;  // what is called below may drop either
  const auto followed = endpoints_.find(eds);
  if (followed == endpoints_.end()) return;
  const std::vector<std::string> users = followed->second.clusters;
  for (const std::string& user : users) {
    const auto at = clusters_.find(user);
    const auto endpoints = endpoints_.find(eds);
    if (at == clusters_.end() || endpoints == endpoints_.end()) continue;
    Cluster& cluster = at->second;
    if (cluster.next && eds_of(*cluster.next) == eds) {
      if (!endpoints->second.ready()) continue;
      const absl::Status status = activate(cluster, *cluster.next);
      if (!status.ok()) log::error("config", base::message_of(status));
    } else if (cluster.active && cluster.follows.eds == eds) {
      give(user, cluster, endpoints->second);
    }
  }
}

void WarmingClusters::list_waits(std::vector<Wait>* out) const {
  for (const auto& [name, cluster] : clusters_) {
    if (!cluster.warming && !cluster.next) continue;
    const bool serves_old = cluster.next != nullptr;
    const auto& dns = serves_old ? cluster.next->dns : cluster.follows.dns;
    const ResourceKey eds = serves_old ? eds_of(*cluster.next) : cluster.follows.eds;
    const std::string source =
        dns == nullptr ? eds.name : base::cat("of ", DnsDiscovery::names_of(*dns), " (DNS)");
    out->push_back({Type::kCluster, name, Type::kEndpoint, source, serves_old, cluster.since});
  }
}

}  // namespace sluice::xds
