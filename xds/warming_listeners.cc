#include "xds/warming_listeners.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "dataplane/log.h"
#include "filters/catalogue.h"

namespace sluice::xds {
namespace {

using dataplane::ListenerValue;

constexpr int64_t kBindRetryNs = 5 * base::kNsPerSec;

}  // namespace

WarmingListeners::WarmingListeners(dataplane::TablesBuilder& builder, Executor& executor,
                                   Deadlines& deadlines, uint32_t num_workers)
    : builder_(builder),
      executor_(executor),
      deadlines_(deadlines),
      extensions_(builder, executor, deadlines),
      network_filters_(
          extensions_,
          [this](ListenerValue value, bool is_static, std::vector<std::string>* warnings) {
            return put_whole(std::move(value), is_static, warnings);
          }),
      routes_(builder, deadlines, num_workers,
              [this](const ResourceKey& rds, const WarmingRoutes::User& user) {
                routes_changed(rds, user);
              }),
      scopes_(builder, deadlines, routes_, num_workers,
              [this](const std::string& set) { scopes_changed(set); }) {}

void WarmingListeners::set_subscriptions(Subscriptions* subscriptions) {
  extensions_.set_subscriptions(subscriptions);
  routes_.set_subscriptions(subscriptions);
  scopes_.set_subscriptions(subscriptions);
}

// ---- What listeners need.

WarmingListeners::Needs WarmingListeners::needs_of(const ListenerValue& value) {
  if (value.http.scoped_routes != nullptr) return {{}, value.http.scopes_name};
  if (value.http.rds_name.empty()) return {};
  return {{value.http.rds_source, value.http.rds_name}, {}};
}

absl::Status WarmingListeners::follow(const Needs& needs, const ListenerValue& user) {
  if (!needs.rds.name.empty()) {
    routes_.follow(needs.rds, {WarmingRoutes::UserKind::kListener, user.name},
                   user.http.rds_initial_fetch_timeout.count());
  }
  if (needs.scopes.empty()) return absl::OkStatus();
  return scopes_.follow(needs.scopes, *user.http.scoped_routes, user.name);
}

void WarmingListeners::unfollow(const Needs& needs, const std::string& user) {
  if (!needs.rds.name.empty()) {
    routes_.unfollow(needs.rds, {WarmingRoutes::UserKind::kListener, user});
  }
  if (!needs.scopes.empty()) scopes_.unfollow(needs.scopes, user);
}

bool WarmingListeners::ready(const Needs& needs) const {
  if (!needs.scopes.empty()) return scopes_.ready(needs.scopes);
  return needs.rds.name.empty() || routes_.ready(needs.rds);
}

// ---- Listeners.

absl::Status WarmingListeners::put(ListenerValue value, bool is_static,
                                   std::vector<std::string>* warnings) {
  if (value.discovery != nullptr) {
    return network_filters_.put(std::move(value), is_static, warnings);
  }
  const std::string name = value.name;
  absl::Status status = put_whole(std::move(value), is_static, warnings);
  if (status.ok()) network_filters_.forget(name);
  return status;
}

absl::Status WarmingListeners::put_whole(ListenerValue value, bool is_static,
                                         std::vector<std::string>* warnings) {
  if (value.http.scoped_routes != nullptr) {
    value.http.scopes_name = scopes_.name_of(*value.http.scoped_routes);
  }
  const auto [it, fresh] = listeners_.try_emplace(value.name);
  Listener& listener = it->second;
  if (fresh) listener.is_static = is_static;
  const Needs needs = needs_of(value);
  if (absl::Status s = follow(needs, value); !s.ok()) {
    if (fresh) listeners_.erase(it);
    return base::config_error("listeners[\"", value.name, "\"]: ", base::message_of(s));
  }
  ExtensionHold extensions = extensions_.follow(value.http.filters);
  if (ready(value)) {
    const std::string name = value.name;
    absl::Status status = activate(listener, value, warnings);
    if (status.ok()) {
      drop_next(listener);
      listener.extensions = std::move(extensions);
    } else if (!listener.active && !listener.next) {
      listeners_.erase(name);
    }
    return status;
  }
  // What can be wrong with it is said now, while the control plane listens; its port is left.
  auto chain = filters::FilterChain::compile(
      value.http.filters, base::cat("listeners[\"", value.name, "\"].http_filters"), warnings);
  if (!chain.ok()) {
    const bool in_use =
        listener.active_needs == needs || (listener.next && needs_of(*listener.next) == needs);
    if (!in_use) unfollow(needs, value.name);
    if (!listener.active && !listener.next) listeners_.erase(it);
    return chain.status();
  }
  if (listener.next && needs_of(*listener.next) != needs) drop_next(listener);
  set_next(listener, std::move(value));
  listener.next_extensions = std::move(extensions);
  return absl::OkStatus();
}

// Everything that it waits for is there, or its wait is over.
bool WarmingListeners::ready(const ListenerValue& value) const {
  return ready(needs_of(value)) && extensions_.ready(value.http.filters);
}

void WarmingListeners::set_next(Listener& listener, ListenerValue value) {
  set_waiting(listener, true);
  listener.next = std::move(value);
  listener.since = executor_.now();
}

void WarmingListeners::set_waiting(Listener& listener, bool waiting) {
  if (waiting && !listener.waiting) ++num_waiting_;
  if (!waiting && listener.waiting) --num_waiting_;
  listener.waiting = waiting;
}

void WarmingListeners::drop_next(Listener& listener) {
  if (!listener.next) return;
  set_waiting(listener, false);
  const ListenerValue next = *std::exchange(listener.next, std::nullopt);
  const Needs needs = needs_of(next);
  if (needs != listener.active_needs) unfollow(needs, next.name);
  listener.next_extensions = {};
}

// Its routes are followed and ready. The listener first: a table that none reads is swept away.
absl::Status WarmingListeners::activate(Listener& listener, const ListenerValue& value,
                                        std::vector<std::string>* warnings) {
  const Needs needs = needs_of(value);
  ListenerValue in_tables = value;
  if (!needs.rds.name.empty()) in_tables.http.rds_name = WarmingRoutes::slot_of(needs.rds);
  absl::Status status = builder_.put_listener(in_tables, warnings);
  if (!status.ok()) {
    const bool waits = listener.next && needs_of(*listener.next) == needs;
    if (needs != listener.active_needs && !waits) unfollow(needs, value.name);
    return status;
  }
  if (!needs.rds.name.empty()) routes_.put_table(needs.rds);
  if (!needs.scopes.empty()) scopes_.activate(needs.scopes);
  const Needs before = std::exchange(listener.active_needs, needs);
  listener.active = true;
  if (before != needs) unfollow(before, value.name);
  return status;
}

void WarmingListeners::remove(std::string_view name) {
  if (!is_static(name)) network_filters_.forget(name);
  const auto it = listeners_.find(name);
  if (it == listeners_.end() || it->second.is_static) return;
  drop_next(it->second);
  unfollow(it->second.active_needs, it->first);
  builder_.remove_listener(name);
  listeners_.erase(it);
}

bool WarmingListeners::is_static(std::string_view name) const {
  const auto it = listeners_.find(name);
  return (it != listeners_.end() && it->second.is_static) || network_filters_.is_static(name);
}

// ---- Routes.

void WarmingListeners::routes_changed(const ResourceKey& rds, const WarmingRoutes::User& user) {
  if (user.kind == WarmingRoutes::UserKind::kScopes) return scopes_.routes_changed(user.name, rds);
  const auto it = listeners_.find(user.name);
  if (it == listeners_.end()) return;
  Listener& listener = it->second;
  if (listener.next && needs_of(*listener.next).rds == rds && ready(*listener.next)) {
    activate_next(listener);
  }
  if (listener.active && listener.active_needs.rds == rds) routes_.put_table(rds);
}

void WarmingListeners::scopes_changed(const std::string& set) {
  if (!scopes_.ready(set)) return;
  std::vector<Listener*> waiting;
  for (auto& [name, listener] : listeners_) {
    if (listener.next && needs_of(*listener.next).scopes == set && ready(*listener.next))
      waiting.push_back(&listener);
  }
  for (Listener* listener : waiting) activate_next(*listener);
}

void WarmingListeners::activate_next(Listener& listener) {
  const ListenerValue value = *listener.next;
  std::vector<std::string> warnings;
  const absl::Status status = activate(listener, value, &warnings);
  if (status.ok()) {
    ExtensionHold extensions = std::move(listener.next_extensions);
    drop_next(listener);
    listener.extensions = std::move(extensions);
    return;
  }
  set_waiting(listener, false);
  if (listener.is_static && !listener.active) {
    failure_ = {value.name, status};
    return;
  }
  log::error("config", base::cat(base::message_of(status), "; trying again in ",
                                 kBindRetryNs / base::kNsPerSec, " s"));
  deadlines_.set(Type::kListener, {kAds, value.name}, kBindRetryNs);
}

// ---- Filters' configurations.

absl::Status WarmingListeners::put_extension(const ResourceKey& ecds, std::string_view type,
                                             ExtensionConfig config) {
  auto before = extensions_.network(ecds);
  absl::Status status = extensions_.put(ecds, type, std::move(config));
  if (!status.ok()) return status;
  status = network_filters_.deliver(ecds);
  if (!status.ok()) {
    extensions_.put_back(ecds, std::move(before));
    return status;
  }
  deliver_extension(ecds);
  return status;
}

void WarmingListeners::remove_extension(const ResourceKey& ecds) {
  extensions_.remove(ecds);
  deliver_network_filter(ecds);
  deliver_extension(ecds);
}

void WarmingListeners::end_extension_wait(const ResourceKey& ecds) {
  extensions_.end_wait(ecds);
  deliver_network_filter(ecds);
  deliver_extension(ecds);
}

// Of what was good before, or of a default.
void WarmingListeners::deliver_network_filter(const ResourceKey& ecds) {
  const absl::Status status = network_filters_.deliver(ecds);
  if (!status.ok()) log::error("config", base::message_of(status));
}

void WarmingListeners::deliver_extension(const ResourceKey& ecds) {
  for (auto& [name, listener] : listeners_) {
    if (!listener.waiting || !listener.next || !ready(*listener.next)) continue;
    const auto& filters = listener.next->http.filters;
    const bool its = std::any_of(filters.begin(), filters.end(), [&](const auto& filter) {
      return filter.discovery != nullptr && filter.discovery->source == ecds.source &&
             filter.name == ecds.name;
    });
    if (its) activate_next(listener);
  }
}

void WarmingListeners::retry(std::string_view name) {
  const auto it = listeners_.find(name);
  if (it == listeners_.end() || !it->second.next || it->second.waiting) return;
  activate_next(it->second);
}

void WarmingListeners::list_waits(std::vector<Wait>* out) const {
  network_filters_.list_waits(
      [this](const std::string& name) {
        const auto it = listeners_.find(name);
        return it != listeners_.end() && it->second.active;
      },
      out);
  for (const auto& [name, listener] : listeners_) {
    if (!listener.next) continue;
    extensions_.list_waits(name, listener.active, listener.next->http.filters, out);
    if (listener.waiting && ready(needs_of(*listener.next))) continue;  // else it wants its port
    const auto& http = listener.next->http;
    const bool scoped = http.scoped_routes != nullptr;
    out->push_back({Type::kListener, name, scoped ? Type::kScopedRoute : Type::kRoute,
                    scoped ? http.scopes_name : http.rds_name, listener.active, listener.since});
  }
}

}  // namespace sluice::xds
