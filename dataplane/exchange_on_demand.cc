#include "dataplane/exchange.h"
#include "dataplane/on_demand.h"
#include "dataplane/worker.h"

// A request that lacks a route or a cluster and waits for it: the on_demand filter's work.
namespace sluice::dataplane {

using base::Reason;
using Lack = OnDemand::Lack;

namespace {

constexpr uint8_t bit(Lack lack) noexcept {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(lack));
}

bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }

}  // namespace

// The slot of the route configuration that the request's key leads to.
uint32_t Exchange::find_scope() noexcept {
  if (const Scopes::Target* target = scope_target()) return target->slot->index;
  const bool arrived = pin_->scopes.at(config_->scope_slot) != nullptr;
  match_.reason = arrived ? Reason::kScopeNotFound : Reason::kNoRouteConfig;
  return HttpConfig::kNoRoutes;
}

const Scopes::Target* Exchange::scope_target() const noexcept {
  const auto& scopes = pin_->scopes.at(config_->scope_slot);
  router::ScopeKey key;
  if (scopes == nullptr || !config_->scope_key.make(request_, &key)) return nullptr;
  const uint32_t found = scopes->table.find(key);
  return found == router::ScopeTable::kNone ? nullptr : &scopes->targets[found];
}

// What the on_demand filter of this chain may ask for, once each.
bool Exchange::find_lack(const filters::FilterOnDemand& config, OnDemand::Demand* demand) noexcept {
  if (match_.route == nullptr) return find_missing_routes(demand);
  if (!config.odcds || (asked_for_ & bit(Lack::kCluster)) != 0) return false;
  using Action = router::Route::Action;
  const Action action = match_.route->action;
  if (action == Action::kRedirect || action == Action::kDirect) return false;
  const upstream::ClusterEntry* entry = find_cluster();
  if (entry != nullptr && entry->endpoints != nullptr) return false;
  demand->lack = Lack::kCluster;
  demand->source = config.source;
  demand->timeout_ns = config.timeout_ns;
  if (action != Action::kClusterHeader) {
    demand->cluster = match_.route->cluster_of(*target_);
    return true;
  }
  const router::RoutePolicy& policy = match_.route->policy();
  const http::Field* field = policy.cluster_header_id != http::HeaderId::kOther
                                 ? request_.fields.find(policy.cluster_header_id)
                                 : request_.fields.find(policy.cluster_header);
  if (field == nullptr || field->value_size == 0) return false;
  demand->name = field->value();
  return true;
}

bool Exchange::find_missing_routes(OnDemand::Demand* demand) noexcept {
  if (route_slot_ == HttpConfig::kNoRoutes) return false;
  const auto& routes = pin_->routes.at(route_slot_);
  if (routes == nullptr) {
    if (config_->route_slot != HttpConfig::kScoped) return false;
    const Scopes::Target* target = scope_target();
    if (target == nullptr || !target->on_demand) return false;
    demand->lack = Lack::kRoutes;
    demand->routes = target->slot->name;
    return (asked_for_ & bit(Lack::kRoutes)) == 0;
  }
  const bool none =
      match_.reason == Reason::kVirtualHostNotFound || match_.reason == Reason::kRouteNotFound;
  if (!none || !routes->has_vhds() || (asked_for_ & bit(Lack::kVirtualHost)) != 0) return false;
  demand->lack = Lack::kVirtualHost;
  demand->routes = config_->route_slot_hold->name;
  if (config_->route_slot == HttpConfig::kScoped) demand->routes = scope_target()->slot->name;
  // Names are lower case, as VHDS has them.
  char* const lower = static_cast<char*>(arena_.alloc(request_.authority.size(), 1));
  if (lower == nullptr) return false;
  for (size_t i = 0; i < request_.authority.size(); ++i) {
    const char c = request_.authority[i];
    lower[i] = is_upper(c) ? static_cast<char>(c | 0x20) : c;
  }
  demand->name = {lower, request_.authority.size()};
  return true;
}

// The chain stopped at its on_demand filter.
void Exchange::look_on_demand(const filters::FilterOnDemand& config) noexcept {
  OnDemand::Demand demand;
  if (!find_lack(config, &demand)) {
    target_ = nullptr;
    context_.resume();
    return;
  }
  asked_for_ |= bit(demand.lack);
  lacks_cluster_ = demand.lack == Lack::kCluster;
  if (!worker_.on_demand().wait(*this, demand)) {
    target_ = nullptr;
    waiting_for_filter_ = false;
    return reply(Reason::kOnDemandOverflow);
  }
  // Nothing of this version is needed: it may go. The chain has to begin anew as it is.
  filters::visit_chain(chain_->index(), [&]<typename Chain>() { Chain::done(run_, context_); });
  chain_ = config_->chain.get();
  match_ = {};
  target_ = nullptr;
  facts_.virtual_host_name = facts_.route_name = facts_.cluster_name = {};
  pin_.reset();
  down_.deadline_changed();
}

// The answer was adopted: route and chain begin anew, as Envoy recreates the stream.
void Exchange::on_demand_answered(OnDemand::Answer answer) noexcept {
  // It was answered meanwhile, or ended.
  if (!waiting_for_filter_ || response_began_ || facts_.reason != Reason::kNone) return;
  waiting_for_filter_ = false;
  active_at_ = worker_.loop().now();
  if (answer == OnDemand::Answer::kRefused) return reply(Reason::kOnDemandOverflow);
  if (answer == OnDemand::Answer::kTimedOut) {
    if (lacks_cluster_) session().cells().no_cluster.add();
    return reply(lacks_cluster_ ? Reason::kOnDemandClusterTimeout : Reason::kOnDemandRouteTimeout);
  }
  pin_ = worker_.pin();
  stamps_.mark(base::Stamp::kPinned);
  find_route();
  admit();
}

}  // namespace sluice::dataplane
