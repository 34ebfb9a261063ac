#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "dataplane/tables_builder.h"
#include "dataplane/values.h"
#include "xds/deadlines.h"
#include "xds/extension_configs.h"
#include "xds/network_filters.h"
#include "xds/resources.h"
#include "xds/wait.h"
#include "xds/warming_routes.h"
#include "xds/warming_scopes.h"

namespace sluice::xds {

// WarmingListeners joins listeners with their routes and scopes (warming_routes.h,
// warming_scopes.h) and puts into the tables what may serve.
//
// A listener whose routes come over RDS, or filters' configurations over ECDS, is bound when they
// are there, or when the wait for them ends (a rejection, or initial_fetch_timeout: it then answers
// 404, without a filter's configuration 500); a changed one serves in its old form until then (rule
// 92). A port that cannot be had is an error of that listener; where its routes came too late to
// say so to the control plane, it is logged and tried again every few seconds.
// Main only; builder, executor and deadlines outlive it.
class WarmingListeners {
 public:
  WarmingListeners(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines,
                   uint32_t num_workers);
  // Tells nobody: who subscribes may be gone.
  ~WarmingListeners() { extensions_.set_subscriptions(nullptr); }

  void set_subscriptions(Subscriptions* subscriptions);

  absl::Status put(dataplane::ListenerValue value, bool is_static,
                   std::vector<std::string>* warnings);
  // Dynamic ones only.
  void remove(std::string_view name);
  bool is_static(std::string_view name) const;

  WarmingRoutes& routes() noexcept { return routes_; }
  const WarmingRoutes& routes() const noexcept { return routes_; }
  WarmingScopes& scopes() noexcept { return scopes_; }

  // ---- Filters' configurations that come by themselves (ECDS).
  absl::Status put_extension(const ResourceKey& ecds, std::string_view type,
                             ExtensionConfig config);
  void remove_extension(const ResourceKey& ecds);
  void end_extension_wait(const ResourceKey& ecds);

  // The deadline of a listener that could not have its port.
  void retry(std::string_view name);

  // Listeners whose routes or network filters have not come.
  size_t num_waiting() const noexcept { return num_waiting_ + network_filters_.num_waiting(); }
  // A static listener that could not serve once its routes were there.
  const Rejected& failure() const noexcept { return failure_; }
  void list_waits(std::vector<Wait>* out) const;

 private:
  // What a listener's requests are routed by. Both empty: its own inline routes.
  struct Needs {
    ResourceKey rds;
    std::string scopes;
    bool operator==(const Needs&) const = default;
  };
  struct Listener {
    Needs active_needs;  // of the form that serves
    bool active = false;
    bool is_static = false;
    bool waiting = false;                          // `next` waits for routes
    std::optional<dataplane::ListenerValue> next;  // waits for routes, or for its port
    ExtensionHold extensions, next_extensions;     // of the form that serves, of `next`
    base::MonoNs since = 0;
  };

  // One that has its network filter.
  absl::Status put_whole(dataplane::ListenerValue value, bool is_static,
                         std::vector<std::string>* warnings);
  static Needs needs_of(const dataplane::ListenerValue& value);
  absl::Status follow(const Needs& needs, const dataplane::ListenerValue& user);
  void unfollow(const Needs& needs, const std::string& user);
  bool ready(const Needs& needs) const;
  void drop_next(Listener& listener);
  void set_waiting(Listener& listener, bool waiting);
  void set_next(Listener& listener, dataplane::ListenerValue value);
  absl::Status activate(Listener& listener, const dataplane::ListenerValue& value,
                        std::vector<std::string>* warnings);
  void routes_changed(const ResourceKey& rds, const WarmingRoutes::User& user);
  void scopes_changed(const std::string& set);
  void activate_next(Listener& listener);
  bool ready(const dataplane::ListenerValue& value) const;
  void deliver_network_filter(const ResourceKey& ecds);
  void deliver_extension(const ResourceKey& ecds);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  ExtensionConfigs extensions_;
  NetworkFilters network_filters_;
  std::map<std::string, Listener, std::less<>> listeners_;
  WarmingRoutes routes_;
  WarmingScopes scopes_;
  size_t num_waiting_ = 0;
  Rejected failure_;
};

}  // namespace sluice::xds
