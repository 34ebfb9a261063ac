#include "xds/warming_clusters.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::xds {
namespace {

using upstream::ClusterValue;

bool uses_eds(const ClusterValue& value) {
  return value.discovery == ClusterValue::Discovery::kEds;
}

const std::string& eds_name_of(const ClusterValue& value) {
  return value.eds_service_name.empty() ? value.name : value.eds_service_name;
}

}  // namespace

WarmingClusters::WarmingClusters(dataplane::TablesBuilder& builder, Executor& executor,
                                 Deadlines& deadlines)
    : builder_(builder), executor_(executor), deadlines_(deadlines) {}

void WarmingClusters::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (const auto& [name, endpoints] : endpoints_) subscriptions->subscribe(Type::kEndpoint, name);
  subscriptions->end_batch();
}

// ---- Interest in endpoints.

WarmingClusters::Endpoints& WarmingClusters::follow(const std::string& eds_name,
                                                    const ClusterValue& user) {
  const auto [it, fresh] = endpoints_.try_emplace(eds_name);
  Endpoints& endpoints = it->second;
  if (std::find(endpoints.clusters.begin(), endpoints.clusters.end(), user.name) ==
      endpoints.clusters.end()) {
    endpoints.clusters.push_back(user.name);
  }
  if (fresh) {
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kEndpoint, eds_name);
    deadlines_.set(Type::kEndpoint, eds_name, user.eds_initial_fetch_timeout.count());
  }
  return endpoints;
}

void WarmingClusters::unfollow(const std::string& eds_name, const std::string& user) {
  const auto it = endpoints_.find(eds_name);
  if (it == endpoints_.end()) return;
  std::erase(it->second.clusters, user);
  if (!it->second.clusters.empty()) return;
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(Type::kEndpoint, eds_name);
  endpoints_.erase(it);
}

// ---- Clusters.

absl::Status WarmingClusters::put(ClusterValue value, bool is_static) {
  const auto [it, fresh] = clusters_.try_emplace(value.name);
  Cluster& cluster = it->second;
  if (fresh) cluster.is_static = is_static;
  const std::string name = value.name;
  bool may_serve = true;
  if (uses_eds(value)) {
    const Endpoints& endpoints = follow(eds_name_of(value), value);
    may_serve = !cluster.active || endpoints.value != nullptr || endpoints.wait_ended ||
                (uses_eds(cluster.value) && eds_name_of(cluster.value) == eds_name_of(value));
  }
  if (!may_serve) {
    if (cluster.next && eds_name_of(*cluster.next) != eds_name_of(value)) drop_next(cluster);
    cluster.next = std::move(value);
    cluster.since = executor_.now();
    return absl::OkStatus();
  }
  absl::Status status = activate(cluster, std::move(value));
  if (!status.ok() && !cluster.active) clusters_.erase(name);
  return status;
}

void WarmingClusters::drop_next(Cluster& cluster) {
  if (!cluster.next) return;
  const ClusterValue next = *std::exchange(cluster.next, std::nullopt);
  const bool still_used =
      cluster.active && uses_eds(cluster.value) && eds_name_of(cluster.value) == eds_name_of(next);
  if (!still_used) unfollow(eds_name_of(next), next.name);
}

// What `value` follows is followed already.
absl::Status WarmingClusters::activate(Cluster& cluster, ClusterValue value) {
  const std::string wanted = uses_eds(value) ? eds_name_of(value) : std::string();
  const std::string followed =
      cluster.active && uses_eds(cluster.value) ? eds_name_of(cluster.value) : std::string();
  absl::Status status = builder_.put_cluster(value);
  if (!status.ok()) {
    if (!wanted.empty() && wanted != followed) unfollow(wanted, value.name);
    return status;
  }
  if (cluster.next && uses_eds(*cluster.next) && eds_name_of(*cluster.next) != wanted) {
    drop_next(cluster);
  }
  cluster.next.reset();
  cluster.value = std::move(value);
  cluster.active = true;
  if (!followed.empty() && followed != wanted) unfollow(followed, cluster.value.name);
  if (wanted.empty()) {
    set_warming(cluster, false);
  } else {
    give(cluster, endpoints_.find(wanted)->second);
  }
  return absl::OkStatus();
}

void WarmingClusters::give(Cluster& cluster, const Endpoints& endpoints) {
  if (endpoints.value != nullptr) {
    builder_.put_endpoints(cluster.value.name, *endpoints.value);
  } else if (endpoints.wait_ended) {
    upstream::EndpointsValue none;
    none.cluster_name = eds_name_of(cluster.value);
    builder_.put_endpoints(cluster.value.name, none);
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
  if (uses_eds(it->second.value)) unfollow(eds_name_of(it->second.value), it->first);
  builder_.remove_cluster(name);
  clusters_.erase(it);
}

bool WarmingClusters::is_static(std::string_view name) const {
  const auto it = clusters_.find(name);
  return it != clusters_.end() && it->second.is_static;
}

// ---- Endpoints.

void WarmingClusters::put_endpoints(upstream::EndpointsValue value) {
  const auto it = endpoints_.find(value.cluster_name);
  if (it == endpoints_.end()) return;  // nobody asked
  it->second.wait_ended = false;
  it->second.value = std::make_shared<const upstream::EndpointsValue>(std::move(value));
  deliver(it->first);
}

void WarmingClusters::end_wait(std::string_view eds_name) {
  const auto it = endpoints_.find(eds_name);
  if (it == endpoints_.end() || it->second.value != nullptr || it->second.wait_ended) return;
  it->second.wait_ended = true;
  deliver(it->first);
}

void WarmingClusters::deliver(const std::string& eds_name) {
  const Endpoints& endpoints = endpoints_.find(eds_name)->second;
  const std::vector<std::string> users = endpoints.clusters;
  for (const std::string& user : users) {
    Cluster& cluster = clusters_.find(user)->second;
    if (cluster.next && eds_name_of(*cluster.next) == eds_name) {
      const absl::Status status = activate(cluster, *cluster.next);
      if (!status.ok()) log::error("config", base::message_of(status));
    } else if (cluster.active && uses_eds(cluster.value) &&
               eds_name_of(cluster.value) == eds_name) {
      give(cluster, endpoints);
    }
  }
}

void WarmingClusters::list_waits(std::vector<Wait>* out) const {
  for (const auto& [name, cluster] : clusters_) {
    if (!cluster.warming && !cluster.next) continue;
    const ClusterValue& waiting = cluster.next ? *cluster.next : cluster.value;
    out->push_back({Type::kCluster, name, Type::kEndpoint, eds_name_of(waiting),
                    cluster.next.has_value(), cluster.since});
  }
}

}  // namespace sluice::xds
