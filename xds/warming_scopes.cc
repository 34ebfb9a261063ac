#include "xds/warming_scopes.h"

#include <utility>

#include "base/text.h"

namespace sluice::xds {

WarmingScopes::WarmingScopes(dataplane::TablesBuilder& builder, Deadlines& deadlines,
                             WarmingRoutes& routes, uint32_t num_workers, Changed changed)
    : builder_(builder),
      deadlines_(deadlines),
      routes_(routes),
      num_workers_(num_workers),
      changed_(std::move(changed)) {}

void WarmingScopes::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  for (const auto& [source, state] : sources_) {
    subscriptions->subscribe_all(Type::kScopedRoute, source);
  }
}

// ---- Sets.

std::string WarmingScopes::name_of(const dataplane::ScopedRoutesValue& value) {
  if (!value.subscribed) return base::cat("scopes#inline", ++num_inline_);
  return base::cat("scopes#", value.source, "#", value.rds_source);
}

absl::Status WarmingScopes::follow(const std::string& name,
                                   const dataplane::ScopedRoutesValue& value,
                                   const std::string& listener) {
  const auto [it, fresh] = sets_.try_emplace(name);
  Set& set = it->second;
  set.listeners.insert(listener);
  if (!fresh) return absl::OkStatus();
  set.subscribed = value.subscribed;
  set.source = value.source;
  set.rds_source = value.rds_source;
  set.fetch_timeout_ns = value.rds_initial_fetch_timeout.count();
  if (!value.subscribed) {
    for (const router::ScopeValue& scope : value.scopes) {
      Scope& own = set.own[scope.name];
      own.value = scope;
      if (absl::Status s = compile(&own); !s.ok()) {
        sets_.erase(it);
        return s;
      }
    }
  } else {
    const auto [source, first] = sources_.try_emplace(value.source);
    source->second.sets.insert(name);
    if (first) {
      if (subscriptions_ != nullptr) {
        subscriptions_->subscribe_all(Type::kScopedRoute, value.source);
      }
      deadlines_.set(Type::kScopedRoute, {value.source, ""}, value.initial_fetch_timeout.count());
    }
  }
  follow_routes(name, set);
  return absl::OkStatus();
}

void WarmingScopes::unfollow(const std::string& name, const std::string& listener) {
  const auto it = sets_.find(name);
  if (it == sets_.end()) return;
  Set& set = it->second;
  set.listeners.erase(listener);
  if (!set.listeners.empty()) return;
  for (const std::string& rds : set.followed) {
    routes_.unfollow({set.rds_source, rds}, {WarmingRoutes::UserKind::kScopes, name});
  }
  if (set.subscribed) {
    sources_.find(set.source)->second.sets.erase(name);
  }
  sets_.erase(it);
}

const WarmingScopes::Scopes& WarmingScopes::scopes_of(const Set& set) const {
  return set.subscribed ? sources_.find(set.source)->second.scopes : set.own;
}

bool WarmingScopes::ready(const std::string& name) const {
  const auto it = sets_.find(name);
  if (it == sets_.end()) return false;
  const Set& set = it->second;
  if (set.subscribed && !sources_.find(set.source)->second.told) return false;
  return set.awaited.empty();
}

absl::Status WarmingScopes::compile(Scope* scope) const {
  if (scope->value.inline_routes == nullptr) return absl::OkStatus();
  auto table = router::RouteTable::compile(
      *scope->value.inline_routes, builder_.cluster_ids(), nullptr,
      {.num_workers = num_workers_, .runtime = &builder_.runtime_keys()});
  if (!table.ok()) {
    return base::config_error("route scope \"", scope->value.name,
                              "\": route_configuration: ", base::message_of(table.status()));
  }
  scope->table = *std::move(table);
  return absl::OkStatus();
}

// Follows what is wanted now, and what serves until that is there.
void WarmingScopes::follow_routes(const std::string& name, Set& set) {
  std::set<std::string> wanted;
  set.on_demand.clear();
  for (const auto& [scope_name, scope] : scopes_of(set)) {
    const std::string& rds = scope.value.rds_name;
    if (rds.empty()) continue;
    if (scope.value.on_demand) set.on_demand.insert(rds);
    if (!scope.value.on_demand || set.demanded.contains(rds)) wanted.insert(rds);
    const auto old = set.serves.find(scope_name);
    if (old != set.serves.end() && old->second != rds && !routes_.ready({set.rds_source, rds})) {
      wanted.insert(old->second);
    }
  }
  std::erase_if(set.demanded, [&](const std::string& rds) { return !set.on_demand.contains(rds); });
  const WarmingRoutes::User user{WarmingRoutes::UserKind::kScopes, name};
  for (const std::string& rds : wanted) {
    if (!set.followed.contains(rds)) {
      routes_.follow({set.rds_source, rds}, user, set.fetch_timeout_ns);
    }
  }
  const std::set<std::string> before = std::exchange(set.followed, wanted);
  for (const std::string& rds : before) {
    if (!wanted.contains(rds)) routes_.unfollow({set.rds_source, rds}, user);
  }
  set.awaited.clear();
  for (const std::string& rds : wanted) {
    const bool awaited = !set.demanded.contains(rds) && !routes_.ready({set.rds_source, rds});
    if (awaited) set.awaited.insert(rds);
  }
}

// ---- The tables.

std::string WarmingScopes::inline_slot(const std::string& set, const std::string& scope) const {
  return base::cat(set, "#", scope);
}

void WarmingScopes::activate(const std::string& name) {
  const auto it = sets_.find(name);
  if (it == sets_.end()) return;
  it->second.active = true;
  put_into_tables(it->first, it->second);
}

void WarmingScopes::put_into_tables(const std::string& name, Set& set) {
  if (set.subscribed && !sources_.find(set.source)->second.told) return;
  auto out = std::make_shared<dataplane::Scopes>();
  std::vector<router::ScopeTable::Entry> entries;
  std::vector<std::pair<std::string, std::shared_ptr<const router::RouteTable>>> inline_tables;
  std::map<std::string, std::string> serves;
  set.keeps = false;
  for (const auto& [scope_name, scope] : scopes_of(set)) {
    entries.push_back({scope.value.key, static_cast<uint32_t>(out->targets.size())});
    if (scope.table != nullptr) {
      const std::string slot = inline_slot(name, scope_name);
      out->targets.push_back({builder_.route_slot(slot), false});
      inline_tables.emplace_back(slot, scope.table);
      continue;
    }
    std::string rds = scope.value.rds_name;
    const auto old = set.serves.find(scope_name);
    const bool keep = old != set.serves.end() && set.followed.contains(old->second) &&
                      set.followed.contains(rds) && !routes_.ready({set.rds_source, rds});
    if (keep) rds = old->second;
    set.keeps = set.keeps || keep;
    out->targets.push_back({builder_.route_slot(WarmingRoutes::slot_of({set.rds_source, rds})),
                            scope.value.on_demand});
    serves[scope_name] = rds;
  }
  set.serves = std::move(serves);
  out->table = router::ScopeTable(entries);
  builder_.put_scopes(name, std::move(out));
  for (const auto& [slot, table] : inline_tables) {
    if (builder_.routes(slot) != table) builder_.put_routes(slot, table);
  }
  for (const std::string& rds : set.followed) routes_.put_table({set.rds_source, rds});
}

// The set changed: what it follows, what is in the tables, and who waits for it.
void WarmingScopes::refresh(const std::string& name) {
  const auto it = sets_.find(name);
  if (it == sets_.end()) return;
  follow_routes(it->first, it->second);
  if (it->second.active) {
    put_into_tables(it->first, it->second);
    follow_routes(it->first, it->second);  // what served until now is left
  }
  changed_(name);
}

void WarmingScopes::routes_changed(const std::string& name, const ResourceKey& rds) {
  const auto it = sets_.find(name);
  if (it == sets_.end()) return;
  Set& set = it->second;
  if (routes_.ready(rds)) set.awaited.erase(rds.name);
  if (set.keeps) return refresh(std::string(name));
  if (set.active) routes_.put_table(rds);
  if (set.awaited.empty()) changed_(name);
}

// ---- SRDS.

void WarmingScopes::put(SourceId source, std::vector<router::ScopeValue> changed,
                        const std::vector<std::string>& removed, std::vector<Rejected>* rejected) {
  const auto it = sources_.find(source);
  if (it == sources_.end()) return;
  Source& state = it->second;
  for (const std::string& name : removed) state.scopes.erase(name);
  std::set<std::string> moving;
  for (const router::ScopeValue& value : changed) moving.insert(value.name);
  std::map<std::vector<std::string>, std::string> keys;
  for (const auto& [name, scope] : state.scopes) {
    if (!moving.contains(name)) keys.emplace(scope.value.key, name);
  }
  for (router::ScopeValue& value : changed) {
    const auto [key, fresh] = keys.emplace(value.key, value.name);
    Scope scope{std::move(value), nullptr};
    absl::Status status = compile(&scope);
    if (!fresh) {
      status = base::config_error("route scope \"", scope.value.name, "\": key: scope \"",
                                  key->second, "\" has the same; keys must be unique");
    }
    const std::string name = scope.value.name;
    if (status.ok()) {
      state.scopes[name] = std::move(scope);
      continue;
    }
    if (fresh) keys.erase(key);
    rejected->push_back({name, std::move(status)});
    // Its old form stays, unless another scope has taken its key.
    const auto old = state.scopes.find(name);
    if (old == state.scopes.end()) continue;
    if (!keys.emplace(old->second.value.key, name).second) state.scopes.erase(old);
  }
  state.told = true;
  const std::set<std::string> sets = state.sets;
  for (const std::string& set : sets) refresh(set);
}

void WarmingScopes::end_wait(SourceId source) {
  const auto it = sources_.find(source);
  if (it == sources_.end() || std::exchange(it->second.told, true)) return;
  const std::set<std::string> sets = it->second.sets;
  for (const std::string& set : sets) refresh(set);
}

// ---- On demand.

bool WarmingScopes::demand(std::string_view slot) {
  for (auto& [name, set] : sets_) {
    std::string_view rds = slot;
    if (set.rds_source != kAds) {
      const std::string suffix = WarmingRoutes::slot_of({set.rds_source, ""});
      if (!rds.ends_with(suffix)) continue;
      rds.remove_suffix(suffix.size());
    }
    const std::string wanted(rds);
    if (!set.on_demand.contains(wanted)) continue;
    set.demanded.insert(wanted);
    if (set.followed.insert(wanted).second) {
      routes_.follow({set.rds_source, wanted}, {WarmingRoutes::UserKind::kScopes, name},
                     set.fetch_timeout_ns);
    }
    return true;
  }
  return false;
}

}  // namespace sluice::xds
