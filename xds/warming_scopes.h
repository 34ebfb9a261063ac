#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/tables_builder.h"
#include "dataplane/values.h"
#include "xds/deadlines.h"
#include "xds/resources.h"
#include "xds/warming_routes.h"

namespace sluice::xds {

// WarmingScopes keeps route scopes (rule 133): those that listeners bring inline and those of SRDS,
// and names the route configurations that they lead to.
//
// A set is what one listener's scoped_routes comes to: inline scopes are a set of their own, those
// of SRDS one per source of scopes and source of routes. A set is ready when its scopes have been
// told and the routes of those that are not on demand are there, or the waits are over. A scope
// that changes leads to its old routes until the new ones are there. Keys are unique: of SRDS the
// scope that brings a key again is refused by name. A source of scopes stays subscribed: asked anew
// it would not send again what it has sent. Main only; an update costs the number of scopes of its
// source.
class WarmingScopes {
 public:
  using Changed = std::function<void(const std::string& set)>;
  WarmingScopes(dataplane::TablesBuilder& builder, Deadlines& deadlines, WarmingRoutes& routes,
                uint32_t num_workers, Changed changed);

  void set_subscriptions(Subscriptions* subscriptions);

  // The name of the set that a listener with these scopes has; a new one for inline scopes.
  std::string name_of(const dataplane::ScopedRoutesValue& value);
  // Fails where an inline route configuration cannot be compiled.
  absl::Status follow(const std::string& set, const dataplane::ScopedRoutesValue& value,
                      const std::string& listener);
  void unfollow(const std::string& set, const std::string& listener);
  bool ready(const std::string& set) const;
  // Into the tables, for a listener that begins to serve.
  void activate(const std::string& set);

  // SRDS: an update of that source. Appends the scopes that cannot be used.
  void put(SourceId source, std::vector<router::ScopeValue> changed,
           const std::vector<std::string>& removed, std::vector<Rejected>* rejected);
  void end_wait(SourceId source);
  // Routes that a set follows are others, or will not come.
  void routes_changed(const std::string& set, const ResourceKey& rds);

  // The routes of an on-demand scope are wanted; the slot is as WarmingRoutes::slot_of() spells it.
  // False: no such scope.
  bool demand(std::string_view slot);

 private:
  struct Scope {
    router::ScopeValue value;
    std::shared_ptr<const router::RouteTable> table;  // of an inline route configuration
  };
  using Scopes = std::map<std::string, Scope, std::less<>>;
  struct Source {
    Scopes scopes;
    std::set<std::string> sets;
    bool told = false;
  };
  struct Set {
    bool subscribed = false;
    SourceId source = 0;
    SourceId rds_source = 0;
    int64_t fetch_timeout_ns = 0;
    Scopes own;  // inline ones
    std::set<std::string> listeners;
    bool active = false;
    std::set<std::string> followed;             // names of route configurations
    std::set<std::string> awaited;              // of these: have not come, nor will wait be over
    std::set<std::string> on_demand;            // what scopes on demand name
    std::set<std::string> demanded;             // of these: what a request wanted
    bool keeps = false;                         // some scope serves in its old form
    std::map<std::string, std::string> serves;  // scope -> route configuration, in the tables
  };

  const Scopes& scopes_of(const Set& set) const;
  absl::Status compile(Scope* scope) const;
  std::string inline_slot(const std::string& set, const std::string& scope) const;
  void follow_routes(const std::string& name, Set& set);
  void put_into_tables(const std::string& name, Set& set);
  void refresh(const std::string& name);

  dataplane::TablesBuilder& builder_;
  Deadlines& deadlines_;
  WarmingRoutes& routes_;
  const uint32_t num_workers_;
  Changed changed_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<std::string, Set, std::less<>> sets_;
  std::map<SourceId, Source> sources_;
  uint64_t num_inline_ = 0;
};

}  // namespace sluice::xds
