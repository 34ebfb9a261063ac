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

// What it asks for. An empty name: nothing.
ResourceKey rds_of(const ListenerValue& value) {
  if (value.http.rds_name.empty()) return {};
  return {value.http.rds_source, value.http.rds_name};
}

// The tables know route configurations by one name.
std::string slot_of(const ResourceKey& rds) {
  return rds.source == kAds ? rds.name : base::cat(rds.name, "@source", rds.source);
}

}  // namespace

WarmingListeners::WarmingListeners(dataplane::TablesBuilder& builder, Executor& executor,
                                   Deadlines& deadlines)
    : builder_(builder), executor_(executor), deadlines_(deadlines) {}

void WarmingListeners::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (const auto& [rds, routes] : routes_) subscriptions->subscribe(Type::kRoute, rds);
  subscriptions->end_batch();
}

// ---- Interest in routes.

WarmingListeners::Routes& WarmingListeners::follow(const ResourceKey& rds,
                                                   const ListenerValue& user) {
  const auto [it, fresh] = routes_.try_emplace(rds);
  auto& users = it->second.listeners;
  if (std::find(users.begin(), users.end(), user.name) == users.end()) users.push_back(user.name);
  if (fresh) {
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kRoute, rds);
    deadlines_.set(Type::kRoute, rds, user.http.rds_initial_fetch_timeout.count());
  }
  return it->second;
}

void WarmingListeners::unfollow(const ResourceKey& rds, const std::string& user) {
  const auto it = routes_.find(rds);
  if (it == routes_.end()) return;
  std::erase(it->second.listeners, user);
  if (!it->second.listeners.empty()) return;
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(Type::kRoute, rds);
  routes_.erase(it);
}

// ---- Listeners.

absl::Status WarmingListeners::put(ListenerValue value, bool is_static,
                                   std::vector<std::string>* warnings) {
  const auto [it, fresh] = listeners_.try_emplace(value.name);
  Listener& listener = it->second;
  if (fresh) listener.is_static = is_static;
  const ResourceKey rds = rds_of(value);
  if (rds.name.empty() || follow(rds, value).ready()) {
    const std::string name = value.name;
    absl::Status status = activate(listener, value, warnings);
    if (status.ok()) {
      drop_next(listener);
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
        listener.active_rds == rds || (listener.next && rds_of(*listener.next) == rds);
    if (!in_use) unfollow(rds, value.name);
    if (!listener.active && !listener.next) listeners_.erase(it);
    return chain.status();
  }
  if (listener.next && rds_of(*listener.next) != rds) drop_next(listener);
  set_next(listener, std::move(value));
  return absl::OkStatus();
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
  const ResourceKey rds = rds_of(next);
  if (!rds.name.empty() && rds != listener.active_rds) unfollow(rds, next.name);
}

// Its routes are followed and ready. The listener first: a table that none reads is swept away.
absl::Status WarmingListeners::activate(Listener& listener, const ListenerValue& value,
                                        std::vector<std::string>* warnings) {
  const ResourceKey rds = rds_of(value);
  ListenerValue in_tables = value;
  in_tables.http.rds_name = slot_of(rds);
  absl::Status status = builder_.put_listener(in_tables, warnings);
  if (!status.ok()) {
    const bool waits = listener.next && rds_of(*listener.next) == rds;
    if (!rds.name.empty() && rds != listener.active_rds && !waits) unfollow(rds, value.name);
    return status;
  }
  if (!rds.name.empty()) put_table(rds, routes_.find(rds)->second);
  const ResourceKey before = std::exchange(listener.active_rds, rds);
  listener.active = true;
  if (!before.name.empty() && before != rds) unfollow(before, value.name);
  return status;
}

void WarmingListeners::remove(std::string_view name) {
  const auto it = listeners_.find(name);
  if (it == listeners_.end() || it->second.is_static) return;
  drop_next(it->second);
  if (!it->second.active_rds.name.empty()) unfollow(it->second.active_rds, it->first);
  builder_.remove_listener(name);
  listeners_.erase(it);
}

bool WarmingListeners::is_static(std::string_view name) const {
  const auto it = listeners_.find(name);
  return it != listeners_.end() && it->second.is_static;
}

// ---- Routes.

std::shared_ptr<const router::RouteTable> WarmingListeners::routes(const ResourceKey& rds) const {
  const auto it = routes_.find(rds);
  return it == routes_.end() ? nullptr : it->second.table;
}

void WarmingListeners::put_routes(const ResourceKey& rds,
                                  std::shared_ptr<const router::RouteTable> table) {
  const auto it = routes_.find(rds);
  if (it == routes_.end()) return;  // nobody names them any more
  it->second.table = std::move(table);
  it->second.wait_ended = false;
  deliver(it->first);
}

void WarmingListeners::end_wait(const ResourceKey& rds) {
  const auto it = routes_.find(rds);
  if (it == routes_.end() || it->second.ready()) return;
  it->second.wait_ended = true;
  deliver(it->first);
}

void WarmingListeners::deliver(const ResourceKey& rds) {
  const Routes& routes = routes_.find(rds)->second;
  const std::vector<std::string> users = routes.listeners;
  bool serves = false;
  for (const std::string& user : users) {
    Listener& listener = listeners_.find(user)->second;
    if (listener.next && rds_of(*listener.next) == rds) activate_next(listener);
    serves = serves || listener.active_rds == rds;
  }
  if (serves) put_table(rds, routes);
}

void WarmingListeners::put_table(const ResourceKey& rds, const Routes& routes) {
  const std::string slot = slot_of(rds);
  if (routes.table == nullptr || builder_.routes(slot) == routes.table) return;
  builder_.put_routes(slot, routes.table);
}

void WarmingListeners::activate_next(Listener& listener) {
  const ListenerValue value = *listener.next;
  std::vector<std::string> warnings;
  const absl::Status status = activate(listener, value, &warnings);
  if (status.ok()) {
    drop_next(listener);
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

void WarmingListeners::retry(std::string_view name) {
  const auto it = listeners_.find(name);
  if (it == listeners_.end() || !it->second.next || it->second.waiting) return;
  activate_next(it->second);
}

void WarmingListeners::list_waits(std::vector<Wait>* out) const {
  for (const auto& [name, listener] : listeners_) {
    if (!listener.next) continue;
    out->push_back({Type::kListener, name, Type::kRoute, listener.next->http.rds_name,
                    listener.active, listener.since});
  }
}

}  // namespace sluice::xds
