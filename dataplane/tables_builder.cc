#include "dataplane/tables_builder.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/text.h"
#include "dataplane/access_log.h"

namespace sluice::dataplane {

namespace {

using base::cat;

std::shared_ptr<const upstream::Transport> make_transport(const upstream::TransportValue& value) {
  static std::atomic<uint64_t> next_serial{1};
  auto transport = std::make_shared<upstream::Transport>();
  transport->value = value;
  transport->serial = next_serial.fetch_add(1, std::memory_order_relaxed);
  transport->response_options.max_head_bytes = value.max_response_head_bytes;
  transport->response_options.max_fields = value.max_response_headers;
  transport->h2_options = value.h2.codec;
  transport->h2_options.max_head_bytes = value.max_response_head_bytes;
  transport->h2_options.max_fields = value.max_response_headers;
  return transport;
}

}  // namespace

TablesBuilder::TablesBuilder(const Options& options, base::StatsStore& stats,
                             AccessLogFlusher* flusher)
    : options_(options), stats_(stats), flusher_(flusher) {}

// Slots are held by references into cluster_ids_, which must outlive them all.
TablesBuilder::~TablesBuilder() {
  cluster_changes_.clear();
  route_changes_.clear();
  route_array_ = {};
  cluster_array_ = {};
  routes_.clear();
  clusters_.clear();
}

// Envoy's sanitizeStatsName.
std::string TablesBuilder::stat_text(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), ':', '_');
  std::replace(out.begin(), out.end(), '\0', '_');
  return out;
}

// ---- Clusters.

absl::Status TablesBuilder::put_cluster(const upstream::ClusterValue& value) {
  if (value.name.empty()) return base::config_error("clusters: name: must not be empty");
  auto it = clusters_.find(value.name);
  if (it == clusters_.end()) {
    router::ClusterRef ref = cluster_ids_.acquire(value.name);
    name_changes_.push_back({base::PersistentIndex::hash_of(value.name), ref.id(), true});
    const std::string_view name = ref.name();
    it = clusters_.try_emplace(name).first;
    it->second.ref = std::move(ref);
  }
  ClusterPart& part = it->second;
  const upstream::Cluster* old = part.entry.cluster.get();
  const bool other_discovery = old != nullptr && old->policy->discovery != value.discovery;
  auto cluster = compile_cluster(value, part);
  if (other_discovery) part.entry.endpoints.reset();
  if (value.static_endpoints) {
    part.entry.endpoints =
        upstream::EndpointSet::build(*value.static_endpoints, value.healthy_panic_threshold_pct);
  } else if (part.entry.endpoints != nullptr &&
             part.entry.endpoints->panic_threshold_pct() != value.healthy_panic_threshold_pct) {
    part.entry.endpoints = upstream::EndpointSet::with_panic_threshold(
        *part.entry.endpoints, value.healthy_panic_threshold_pct);
  }
  part.entry.cluster = std::move(cluster);
  touch_cluster(part);
  return absl::OkStatus();
}

std::shared_ptr<const upstream::Cluster> TablesBuilder::compile_cluster(
    const upstream::ClusterValue& value, ClusterPart& part) {
  // One piece of memory: the cluster and what keeps its slot and its name.
  struct Held {
    router::ClusterRef ref;
    upstream::Cluster cluster;
  };
  auto held = std::make_shared<Held>();
  held->ref = part.ref;
  upstream::Cluster& cluster = held->cluster;
  cluster.name = part.ref.name();
  cluster.id = part.ref.id();
  cluster.balancer = value.balancer;
  cluster.choice_count = value.choice_count;
  cluster.num_workers = options_.num_workers;
  cluster.policy = policy_for(value);
  cluster.names_itself_to_eds = value.eds_service_name == value.name;
  const bool other_eds_name = !value.eds_service_name.empty() && !cluster.names_itself_to_eds;
  if (!value.alt_stat_name.empty() || other_eds_name) {
    cluster.names = std::make_shared<const upstream::Cluster::Names>(upstream::Cluster::Names{
        value.alt_stat_name, other_eds_name ? value.eds_service_name : std::string()});
  }
  const upstream::Cluster* old = part.entry.cluster.get();
  cluster.transport = old != nullptr && old->transport->value == value.transport
                          ? old->transport
                          : transport_for(value.transport);
  const std::string prefix = cat("cluster.", stat_text(cluster.stat_name()), ".");
  cluster.stats = stats_.scope<base::ClusterCells>(prefix);
  if (value.transport.http != upstream::TransportValue::Http::kHttp1) {
    cluster.h2_stats = stats_.scope<base::H2Cells>(cat(prefix, "http2."));
  }
  if (old == nullptr || old->stats != cluster.stats) {
    part.cells = base::WorkerCells<base::MembershipCells>(cluster.stats);
  }
  part.cells->breakers.set_limits(upstream::limits_of(value));
  cluster.breakers = {cluster.stats, &part.cells->breakers};
  return {held, &cluster};
}

std::shared_ptr<const upstream::ClusterValue> TablesBuilder::policy_for(
    const upstream::ClusterValue& value) {
  upstream::ClusterValue policy = value;
  for (std::string* own : {&policy.name, &policy.version, &policy.alt_stat_name,
                           &policy.eds_service_name, &policy.source}) {
    own->clear();
  }
  policy.transport = {};
  policy.static_endpoints.reset();
  policy.dns.reset();
  policy.dns_serial = 0;
  for (const auto& known : policies_) {
    auto shared = known.lock();
    if (shared != nullptr && *shared == policy) return shared;
  }
  auto shared = std::make_shared<const upstream::ClusterValue>(std::move(policy));
  policies_[next_policy_++ % kShared] = shared;
  return shared;
}

std::shared_ptr<const upstream::Transport> TablesBuilder::transport_for(
    const upstream::TransportValue& value) {
  for (const auto& known : transports_) {
    auto transport = known.lock();
    if (transport != nullptr && transport->value == value) return transport;
  }
  auto transport = make_transport(value);
  transports_[next_transport_++ % kShared] = transport;
  return transport;
}

void TablesBuilder::put_endpoints(std::string_view cluster, const upstream::EndpointsValue& value) {
  const auto it = clusters_.find(cluster);
  if (it == clusters_.end()) return;
  put_endpoints(cluster, upstream::EndpointSet::build(
                             value, it->second.entry.cluster->policy->healthy_panic_threshold_pct));
}

void TablesBuilder::put_endpoints(std::string_view cluster,
                                  std::shared_ptr<const upstream::EndpointSet> set) {
  const auto it = clusters_.find(cluster);
  if (it == clusters_.end()) return;
  ClusterPart& part = it->second;
  part.cells->update_success.add();
  const uint32_t threshold_pct = part.entry.cluster->policy->healthy_panic_threshold_pct;
  if (set->panic_threshold_pct() != std::min(100u, threshold_pct)) {
    set = upstream::EndpointSet::with_panic_threshold(*set, threshold_pct);
  }
  part.entry.endpoints = std::move(set);
  touch_cluster(part);
}

void TablesBuilder::touch_cluster(const ClusterPart& part) {
  cluster_changes_.emplace_back(part.ref.id(), part.entry);
  changed_ = true;
  if (part.entry.endpoints == nullptr) return;
  part.cells->membership_change.add();
  part.cells->membership_total.set(static_cast<int64_t>(part.entry.endpoints->endpoints().size()));
  part.cells->membership_healthy.set(part.entry.endpoints->num_healthy());
  part.cells->membership_degraded.set(part.entry.endpoints->num_degraded());
}

void TablesBuilder::remove_cluster(std::string_view name) {
  const auto it = clusters_.find(name);
  if (it == clusters_.end()) return;
  cluster_changes_.emplace_back(it->second.ref.id(), upstream::ClusterEntry{});
  name_changes_.push_back({base::PersistentIndex::hash_of(name), it->second.ref.id(), false});
  clusters_.erase(it);
  changed_ = true;
}

const upstream::ClusterEntry* TablesBuilder::cluster(std::string_view name) const {
  const auto it = clusters_.find(name);
  return it == clusters_.end() ? nullptr : &it->second.entry;
}

base::MembershipCells* TablesBuilder::cells(std::string_view cluster) const {
  const auto it = clusters_.find(cluster);
  return it == clusters_.end() ? nullptr : it->second.cells.get();
}

// ---- Routes.

std::shared_ptr<const RouteSlot> TablesBuilder::route_slot(std::string_view name) {
  const auto it = routes_.find(name);
  if (it != routes_.end()) return it->second.slot;
  auto slot = std::make_shared<RouteSlot>();
  slot->name = std::string(name);
  if (free_route_slots_.empty()) {
    slot->index = next_route_slot_++;
  } else {
    slot->index = free_route_slots_.back();
    free_route_slots_.pop_back();
  }
  return routes_.emplace(slot->name, RoutePart{slot, nullptr}).first->second.slot;
}

void TablesBuilder::put_routes(std::string_view name,
                               std::shared_ptr<const router::RouteTable> table) {
  const auto slot = route_slot(name);
  routes_.find(name)->second.table = table;
  route_changes_.emplace_back(slot->index, std::move(table));
  changed_ = true;
}

std::shared_ptr<const router::RouteTable> TablesBuilder::routes(std::string_view name) const {
  const auto it = routes_.find(name);
  return it == routes_.end() ? nullptr : it->second.table;
}

// ---- Scopes.

std::shared_ptr<const RouteSlot> TablesBuilder::scope_slot(std::string_view name) {
  const auto it = scopes_.find(name);
  if (it != scopes_.end()) return it->second;
  auto slot = std::make_shared<RouteSlot>();
  slot->name = std::string(name);
  if (free_scope_slots_.empty()) {
    slot->index = next_scope_slot_++;
  } else {
    slot->index = free_scope_slots_.back();
    free_scope_slots_.pop_back();
  }
  return scopes_.emplace(slot->name, slot).first->second;
}

void TablesBuilder::put_scopes(std::string_view name, std::shared_ptr<const Scopes> scopes) {
  scope_changes_.emplace_back(scope_slot(name)->index, std::move(scopes));
  changed_ = true;
}

void TablesBuilder::sweep_scopes() {
  for (auto it = scopes_.begin(); it != scopes_.end();) {
    if (it->second.use_count() > 1) {
      ++it;
      continue;
    }
    scope_changes_.emplace_back(it->second->index, nullptr);
    free_scope_slots_.push_back(it->second->index);
    it = scopes_.erase(it);
  }
}

// Slots that no HttpConfig reads any more are emptied now and free for others after the build.
void TablesBuilder::sweep_routes() {
  for (auto it = routes_.begin(); it != routes_.end();) {
    if (it->second.slot.use_count() > 1) {
      ++it;
      continue;
    }
    route_changes_.emplace_back(it->second.slot->index, nullptr);
    free_route_slots_.push_back(it->second.slot->index);
    it = routes_.erase(it);
  }
}

// ---- Runtime.

void TablesBuilder::put_runtime(base::RuntimeKeys::Values values) {
  changed_ = runtime_keys_.set(std::move(values)) || changed_;
}

// ---- The next version.

std::unique_ptr<const Tables> TablesBuilder::build() {
  sweep_scopes();
  scope_array_ = scope_array_.with(scope_changes_);
  scope_changes_.clear();
  sweep_routes();
  sweep_chains();
  auto tables = std::make_unique<Tables>();
  tables->version = ++version_;
  for (const auto& change : cluster_changes_) tables->changed_clusters.push_back(change.first);
  cluster_array_ = cluster_array_.with(cluster_changes_);
  route_array_ = route_array_.with(route_changes_);
  cluster_names_ = cluster_names_.with(name_changes_);
  // With their memory: the first of them may be of all clusters.
  decltype(cluster_changes_)().swap(cluster_changes_);
  decltype(name_changes_)().swap(name_changes_);
  route_changes_.clear();
  if (!chain_changes_.empty()) {
    chain_array_ = chain_array_.with(chain_changes_);
    chain_changes_.clear();
  }
  if (const auto changes = runtime_keys_.take_changes(); !changes.empty()) {
    runtime_ = runtime_.with(changes);
  }
  if (listeners_changed_) {
    auto set = std::make_shared<ListenerSet>();
    for (const auto& [name, part] : listeners_) set->listeners.push_back(part.entry);
    listener_set_ = std::move(set);
    forget_closed_sockets();
  }
  changed_ = listeners_changed_ = false;
  tables->clusters = cluster_array_;
  tables->routes = route_array_;
  tables->scopes = scope_array_;
  tables->runtime = runtime_;
  tables->chains = chain_array_;
  tables->listeners = listener_set_;
  tables->cluster_names = cluster_names_;
  return tables;
}

std::vector<TablesBuilder::ClusterRow> TablesBuilder::clusters() const {
  std::vector<ClusterRow> rows;
  for (const auto& [name, part] : clusters_) {
    rows.push_back({part.entry.cluster, part.entry.endpoints});
  }
  return rows;
}

std::vector<std::shared_ptr<const ListenerEntry>> TablesBuilder::listeners() const {
  std::vector<std::shared_ptr<const ListenerEntry>> rows;
  for (const auto& [name, part] : listeners_) rows.push_back(part.entry);
  return rows;
}

}  // namespace sluice::dataplane
