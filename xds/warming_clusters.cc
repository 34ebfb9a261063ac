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
  for (const auto& endpoints : endpoints_) {
    if (endpoints->key.source != kDns) subscriptions->subscribe(Type::kEndpoint, endpoints->key);
  }
  subscriptions->end_batch();
}

WarmingClusters::Cluster* WarmingClusters::find(std::string_view name) const {
  const auto it = clusters_.find(name);
  return it == clusters_.end() ? nullptr : it->get();
}

WarmingClusters::Endpoints* WarmingClusters::find(const ResourceKey& eds) const {
  const auto it = endpoints_.find(eds);
  return it == endpoints_.end() ? nullptr : it->get();
}

void WarmingClusters::erase(const Cluster& cluster) {
  clusters_.erase(clusters_.find(cluster.name()));
}

// ---- Interest in endpoints.

WarmingClusters::Endpoints& WarmingClusters::follow(const ResourceKey& eds,
                                                    const ClusterValue& value, Cluster& user) {
  Endpoints* endpoints = find(eds);
  const bool fresh = endpoints == nullptr;
  if (fresh) {
    auto made = std::make_unique<Endpoints>();
    made->key = eds;
    endpoints = endpoints_.insert(std::move(made)).first->get();
  }
  auto& users = endpoints->clusters;
  if (std::find(users.begin(), users.end(), &user) == users.end()) users.push_back(&user);
  if (fresh && value.dns != nullptr) {
    begin_dns(value, endpoints);
  } else if (fresh) {
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kEndpoint, eds);
    endpoints->deadline =
        deadlines_.set(Type::kEndpoint, eds, value.eds_initial_fetch_timeout.count());
  }
  return *endpoints;
}

void WarmingClusters::unfollow(const ResourceKey& eds, const Cluster& user) {
  Endpoints* const endpoints = find(eds);
  if (endpoints == nullptr) return;
  auto& users = endpoints->clusters;
  users.erase(std::remove(users.begin(), users.end(), &user), users.end());
  if (!users.empty()) return;
  if (eds.source == kDns) {
    dns_.unfollow(eds.name);
  } else if (subscriptions_ != nullptr) {
    subscriptions_->unsubscribe(Type::kEndpoint, eds);
  }
  deadlines_.cancel(endpoints->deadline);
  endpoints_.erase(endpoints_.find(eds));
}

// ---- Clusters.

absl::Status WarmingClusters::put(ClusterValue value, bool is_static) {
  Cluster* known = find(value.name);
  if (known == nullptr) {
    auto fresh = std::make_unique<Cluster>();
    fresh->ref = builder_.cluster_ids().acquire(value.name);
    fresh->is_static = is_static;
    known = clusters_.insert(std::move(fresh)).first->get();
  }
  Cluster& cluster = *known;
  bool may_serve = true;
  share_dns(cluster, &value);
  if (uses_eds(value)) {
    const Endpoints& followed = follow(eds_of(value), value, cluster);
    may_serve = !cluster.active || followed.ready() || cluster.follows == &followed;
  }
  if (!may_serve) {
    if (cluster.next && eds_of(*cluster.next) != eds_of(value)) drop_next(cluster);
    cluster.next = std::make_unique<ClusterValue>(std::move(value));
    cluster.since = executor_.now();
    return absl::OkStatus();
  }
  absl::Status status = activate(cluster, value);
  if (!status.ok() && !cluster.active) erase(cluster);
  return status;
}

void WarmingClusters::drop_next(Cluster& cluster) {
  if (!cluster.next) return;
  const std::unique_ptr<ClusterValue> next = std::exchange(cluster.next, nullptr);
  const ResourceKey waited = eds_of(*next);
  const bool still_used =
      cluster.active && cluster.follows != nullptr && cluster.follows->key == waited;
  if (!still_used) unfollow(waited, cluster);
}

// What `value` follows is followed already.
absl::Status WarmingClusters::activate(Cluster& cluster, const ClusterValue& value) {
  const ResourceKey wanted = eds_of(value);
  Endpoints* const before = cluster.follows;
  const bool follows = uses_eds(value);  // also by an empty name, which the builder refuses
  const bool other = before == nullptr ? follows : before->key != wanted;
  absl::Status status = builder_.put_cluster(value);
  if (!status.ok()) {
    if (follows && other) unfollow(wanted, cluster);
    return status;
  }
  if (cluster.next && eds_of(*cluster.next) != wanted) drop_next(cluster);
  cluster.follows = follows ? find(wanted) : nullptr;
  cluster.active = true;
  if (before != nullptr && other) unfollow(ResourceKey(before->key), cluster);
  if (cluster.follows == nullptr) {
    set_warming(cluster, false);
  } else {
    give(cluster);
  }
  cluster.next.reset();  // which `value` may be
  return absl::OkStatus();
}

void WarmingClusters::give(Cluster& cluster) {
  const Endpoints& endpoints = *cluster.follows;
  if (endpoints.set != nullptr) {
    builder_.put_endpoints(cluster.name(), endpoints.set);
  } else if (endpoints.wait_ended) {
    upstream::EndpointsValue none;
    none.cluster_name = endpoints.key.name;
    builder_.put_endpoints(cluster.name(), none);
  }
  set_warming(cluster, endpoints.set == nullptr && !endpoints.wait_ended);
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
  Cluster* const cluster = find(name);
  if (cluster == nullptr || cluster->is_static) return;
  drop_next(*cluster);
  set_warming(*cluster, false);
  if (cluster->follows != nullptr) unfollow(ResourceKey(cluster->follows->key), *cluster);
  builder_.remove_cluster(name);
  erase(*cluster);
}

bool WarmingClusters::is_static(std::string_view name) const {
  const Cluster* cluster = find(name);
  return cluster != nullptr && cluster->is_static;
}

// ---- Endpoints.

void WarmingClusters::put_endpoints(SourceId source, const upstream::EndpointsValue& value) {
  Endpoints* const endpoints = find(ResourceKey{source, value.cluster_name});
  if (endpoints == nullptr) return;  // nobody asked
  endpoints->wait_ended = false;
  take_set(*endpoints, value);
  deliver(endpoints->key);
}

// Built once for all that use them, under the threshold of the first, which the others mostly have.
void WarmingClusters::take_set(Endpoints& endpoints, const upstream::EndpointsValue& value) {
  deadlines_.cancel(std::exchange(endpoints.deadline, {}));
  uint32_t threshold_pct = ClusterValue().healthy_panic_threshold_pct;
  if (const auto* user = builder_.cluster(endpoints.clusters.front()->name())) {
    threshold_pct = user->cluster->policy->healthy_panic_threshold_pct;
  }
  endpoints.set = upstream::EndpointSet::build(value, threshold_pct);
}

void WarmingClusters::end_wait(const ResourceKey& eds) {
  Endpoints* const endpoints = find(eds);
  if (endpoints == nullptr || endpoints->ready()) return;
  endpoints->wait_ended = true;
  deliver(endpoints->key);
}

// ---- Endpoints that are found by name.

// A version that asks for the same in the same way goes on with what is known.
void WarmingClusters::share_dns(const Cluster& cluster, ClusterValue* value) {
  if (value->dns == nullptr) return;
  const auto share = [&](const std::shared_ptr<const upstream::DnsValue>& known, uint64_t serial) {
    if (known == nullptr || !(*known == *value->dns)) return false;
    value->dns = known;
    value->dns_serial = serial;
    return true;
  };
  const DnsPart* serving = cluster.follows == nullptr ? nullptr : cluster.follows->dns.get();
  if (serving != nullptr && share(serving->value, serving->serial)) return;
  if (cluster.next && share(cluster.next->dns, cluster.next->dns_serial)) return;
  value->dns_serial = ++last_dns_serial_;
}

void WarmingClusters::begin_dns(const ClusterValue& user, Endpoints* endpoints) {
  const ResourceKey& key = endpoints->key;
  const DnsDiscovery::State state = dns_.follow(key.name, user.name, user.dns);
  endpoints->dns = std::make_unique<const DnsPart>(DnsPart{user.dns, user.dns_serial});
  if (state.endpoints != nullptr) take_set(*endpoints, *state.endpoints);
  endpoints->partial = !state.complete;
  const bool serves = builder_.cluster(user.name) != nullptr;
  endpoints->wait_ended =
      (state.complete && state.endpoints == nullptr) || (!user.dns->wait_for_warm && !serves);
  if (endpoints->ready()) return;
  endpoints->deadline = deadlines_.set(Type::kEndpoint, key, kLongestDnsWaitNs);
}

void WarmingClusters::put_resolved(const std::string& name, const DnsDiscovery::State& state) {
  Endpoints* const found = find(ResourceKey{kDns, name});
  if (found == nullptr) return;
  Endpoints& endpoints = *found;
  const Deadlines::Ticket deadline = std::exchange(endpoints.deadline, {});
  if (state.endpoints == nullptr) {
    endpoints.set = nullptr;
  } else {
    take_set(endpoints, *state.endpoints);
  }
  endpoints.partial = !state.complete;
  endpoints.wait_ended = endpoints.wait_ended || state.complete;
  if (endpoints.ready()) {
    deadlines_.cancel(deadline);
  } else {
    endpoints.deadline = deadline;
  }
  deliver(endpoints.key);
  changed_();
}

// By value: what is called here may drop what has the key. NOLINTNEXTLINE(performance-*)
void WarmingClusters::deliver(ResourceKey eds) {
  if (find(eds) == nullptr) return;
  const auto users = find(eds)->clusters;
  for (Cluster* const cluster : users) {
    const Endpoints* endpoints = find(eds);
    if (endpoints == nullptr) return;
    if (cluster->next && eds_of(*cluster->next) == eds) {
      if (!endpoints->ready()) continue;
      const absl::Status status = activate(*cluster, *cluster->next);
      if (!status.ok()) log::error("config", base::message_of(status));
    } else if (cluster->active && cluster->follows == endpoints) {
      give(*cluster);
    }
  }
}

void WarmingClusters::list_waits(std::vector<Wait>* out) const {
  const size_t first = out->size();
  for (const auto& cluster : clusters_) {
    if (!cluster->warming && !cluster->next) continue;
    const bool serves_old = cluster->next != nullptr;
    const ResourceKey eds = serves_old ? eds_of(*cluster->next) : cluster->follows->key;
    std::string source = eds.name;
    if (eds.source == kDns) {
      const auto& dns = serves_old ? cluster->next->dns : cluster->follows->dns->value;
      source = base::cat("of ", DnsDiscovery::names_of(*dns), " (DNS)");
    }
    out->push_back({Type::kCluster, std::string(cluster->name()), Type::kEndpoint,
                    std::move(source), serves_old, cluster->since});
  }
  std::sort(out->begin() + static_cast<std::ptrdiff_t>(first), out->end(),
            [](const Wait& a, const Wait& b) { return a.name < b.name; });
}

}  // namespace sluice::xds
