#include "xds/warming_routes.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

// "a/b/host" is a virtual host of "a/b".
std::string_view routes_of(std::string_view name) {
  const size_t slash = name.rfind('/');
  return slash == name.npos ? std::string_view() : name.substr(0, slash);
}

}  // namespace

WarmingRoutes::WarmingRoutes(dataplane::TablesBuilder& builder, Deadlines& deadlines,
                             uint32_t num_workers, Changed changed)
    : builder_(builder),
      deadlines_(deadlines),
      num_workers_(num_workers),
      changed_(std::move(changed)) {}

void WarmingRoutes::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (const auto& [rds, routes] : routes_) subscriptions->subscribe(Type::kRoute, rds);
  subscriptions->end_batch();
}

std::string WarmingRoutes::slot_of(const ResourceKey& rds) {
  return rds.source == kAds ? rds.name : base::cat(rds.name, "@source", rds.source);
}

const ResourceKey* WarmingRoutes::key_of_slot(std::string_view slot) const {
  const auto it = by_slot_.find(slot);
  return it == by_slot_.end() ? nullptr : &it->second;
}

// ---- Interest.

void WarmingRoutes::follow(const ResourceKey& rds, const User& user, int64_t fetch_timeout_ns) {
  const auto [it, fresh] = routes_.try_emplace(rds);
  it->second.users.insert(user);
  if (!fresh) return;
  by_slot_[slot_of(rds)] = rds;
  if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kRoute, rds);
  deadlines_.set(Type::kRoute, rds, fetch_timeout_ns);
}

void WarmingRoutes::unfollow(const ResourceKey& rds, const User& user) {
  const auto it = routes_.find(rds);
  if (it == routes_.end()) return;
  it->second.users.erase(user);
  if (!it->second.users.empty()) return;
  use_vhds(it->first, it->second.own.get(), nullptr);
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(Type::kRoute, rds);
  by_slot_.erase(slot_of(rds));
  routes_.erase(it);
}

bool WarmingRoutes::ready(const ResourceKey& rds) const {
  const auto it = routes_.find(rds);
  if (it == routes_.end()) return false;
  const Routes& routes = it->second;
  if (routes.table == nullptr || routes.own == nullptr) {
    return routes.table != nullptr || routes.wait_ended;
  }
  const auto vhds = vhds_.find(routes.own->vhds->source);
  return vhds == vhds_.end() || vhds->second.told;
}

std::shared_ptr<const router::RouteTable> WarmingRoutes::table(const ResourceKey& rds) const {
  const auto it = routes_.find(rds);
  return it == routes_.end() ? nullptr : it->second.table;
}

void WarmingRoutes::put_table(const ResourceKey& rds) {
  const auto it = routes_.find(rds);
  const std::string slot = slot_of(rds);
  if (it == routes_.end() || it->second.table == nullptr) return;
  if (builder_.routes(slot) != it->second.table) builder_.put_routes(slot, it->second.table);
}

// ---- RDS.

absl::Status WarmingRoutes::put(const ResourceKey& rds, DecodedRoutes routes) {
  const auto it = routes_.find(rds);
  if (it == routes_.end()) return absl::OkStatus();  // nobody names them any more
  Routes& known = it->second;
  if (routes.value != nullptr) {
    const bool first = known.table == nullptr;
    auto table = compile(*routes.value, rds.name, first ? routes.table.get() : known.table.get());
    if (!table.ok()) return table.status();
    routes.table = *std::move(table);
  }
  known.table = std::move(routes.table);
  known.wait_ended = false;
  const auto before = std::exchange(known.own, std::move(routes.value));
  use_vhds(it->first, before.get(), known.own.get());
  deliver(it->first);
  return absl::OkStatus();
}

void WarmingRoutes::end_wait(const ResourceKey& rds) {
  const auto it = routes_.find(rds);
  if (it == routes_.end() || it->second.table != nullptr || it->second.wait_ended) return;
  it->second.wait_ended = true;
  deliver(it->first);
}

void WarmingRoutes::deliver(const ResourceKey& rds) {
  const ResourceKey key = rds;
  const auto it = routes_.find(key);
  if (it == routes_.end()) return;
  const std::set<User> users = it->second.users;
  for (const User& user : users) changed_(key, user);
}

// ---- VHDS.

void WarmingRoutes::use_vhds(const ResourceKey& rds, const router::RouteConfigValue* before,
                             const router::RouteConfigValue* now) {
  if (now != nullptr) {
    const auto [it, fresh] = vhds_.try_emplace(now->vhds->source);
    it->second.users.insert(rds);
    if (fresh) {
      if (subscriptions_ != nullptr) subscriptions_->subscribe_all(Type::kVirtualHost, it->first);
      deadlines_.set(Type::kVirtualHost, {it->first, ""}, now->vhds->initial_fetch_timeout_ns);
    }
  }
  if (before == nullptr || (now != nullptr && now->vhds->source == before->vhds->source)) return;
  const auto it = vhds_.find(before->vhds->source);
  if (it == vhds_.end()) return;
  it->second.users.erase(rds);
}

// `previous` knows the virtual hosts that are left out.
absl::StatusOr<std::shared_ptr<const router::RouteTable>> WarmingRoutes::compile(
    const router::RouteConfigValue& own, const std::string& name,
    const router::RouteTable* previous) {
  const auto source = vhds_.find(own.vhds->source);
  if (source == vhds_.end()) {
    return router::RouteTable::compile(
        own, builder_.cluster_ids(), previous,
        {.num_workers = num_workers_, .runtime = &builder_.runtime_keys()});
  }
  router::RouteConfigValue all = own;
  if (const auto hosts = source->second.hosts.find(name); hosts != source->second.hosts.end()) {
    for (const auto& [host, value] : hosts->second) all.virtual_hosts.push_back(value);
  }
  return router::RouteTable::compile(
      all, builder_.cluster_ids(), previous,
      {.num_workers = num_workers_, .runtime = &builder_.runtime_keys()});
}

void WarmingRoutes::put_virtual_hosts(SourceId source, std::vector<DecodedVirtualHost> changed,
                                      const std::vector<std::string>& removed,
                                      std::vector<Rejected>* rejected) {
  const auto from = vhds_.find(source);
  if (from == vhds_.end()) return;
  struct Part {
    std::vector<DecodedVirtualHost> changed;
    std::set<std::string> removed;
  };
  std::map<std::string, Part> parts;
  for (DecodedVirtualHost& host : changed) {
    const std::string routes(routes_of(host.name));
    if (routes.empty()) {
      rejected->push_back(
          {host.name, base::config_error("name: must be \"ROUTE CONFIGURATION/VIRTUAL HOST\": \"",
                                         host.name, "\"")});
    } else {
      parts[routes].changed.push_back(std::move(host));
    }
  }
  for (const std::string& name : removed) {
    if (has_virtual_host(source, name)) parts[std::string(routes_of(name))].removed.insert(name);
  }
  for (auto& [routes, part] : parts) {
    put_hosts_of(source, from->second, routes, std::move(part.changed), part.removed, rejected);
  }
  end_vhds_wait(source);
}

// All or nothing for one route configuration: its table is one.
void WarmingRoutes::put_hosts_of(SourceId source, VhdsSource& from, const std::string& routes,
                                 std::vector<DecodedVirtualHost> changed,
                                 const std::set<std::string>& removed,
                                 std::vector<Rejected>* rejected) {
  Hosts& hosts = from.hosts[routes];
  const Hosts before = hosts;
  for (const std::string& name : removed) hosts.erase(name);
  for (const DecodedVirtualHost& host : changed) hosts[host.name] = host.value;
  const std::set<ResourceKey> users = from.users;
  for (const ResourceKey& rds : users) {
    const auto it = routes_.find(rds);
    if (rds.name != routes || it == routes_.end() || it->second.own == nullptr) continue;
    Routes& known = it->second;
    auto table = compile(*known.own, rds.name, known.table.get());
    if (!table.ok()) {
      for (const DecodedVirtualHost& host : changed)
        rejected->push_back({host.name, table.status()});
      hosts = before;
      return;
    }
    known.table = *std::move(table);
    deliver(rds);
  }
  if (const auto it = vhds_.find(source); it != vhds_.end() && it->second.hosts[routes].empty()) {
    it->second.hosts.erase(routes);
  }
}

void WarmingRoutes::end_vhds_wait(SourceId source) {
  const auto it = vhds_.find(source);
  if (it == vhds_.end() || std::exchange(it->second.told, true)) return;
  const std::set<ResourceKey> users = it->second.users;
  for (const ResourceKey& rds : users) deliver(rds);
}

bool WarmingRoutes::has_virtual_host(SourceId source, std::string_view name) const {
  const auto from = vhds_.find(source);
  if (from == vhds_.end()) return false;
  const auto hosts = from->second.hosts.find(routes_of(name));
  return hosts != from->second.hosts.end() && hosts->second.contains(name);
}

const router::RouteConfigValue::Vhds* WarmingRoutes::vhds_of(const ResourceKey& rds) const {
  const auto it = routes_.find(rds);
  if (it == routes_.end() || it->second.own == nullptr) return nullptr;
  return &*it->second.own->vhds;
}

}  // namespace sluice::xds
