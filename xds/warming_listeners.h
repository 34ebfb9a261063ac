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
#include "router/table.h"
#include "xds/deadlines.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::xds {

// WarmingListeners joins listeners with their routes and puts into the tables what may serve.
//
// A listener whose routes come over RDS is bound when they are there, or when the wait for them
// ends (a rejection, or initial_fetch_timeout: it then answers 404); a changed one serves in its
// old form until then. A route configuration is asked for once, however many listeners name it, and
// stays known as long as any does (rules 92, 95). A port that cannot be had is an error of that
// listener; where its routes came too late to say so to the control plane, it is logged and tried
// again every few seconds.
// Main only; builder, executor and deadlines outlive it.
class WarmingListeners {
 public:
  WarmingListeners(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines);

  void set_subscriptions(Subscriptions* subscriptions);

  absl::Status put(dataplane::ListenerValue value, bool is_static,
                   std::vector<std::string>* warnings);
  // Dynamic ones only.
  void remove(std::string_view name);
  bool is_static(std::string_view name) const;

  std::shared_ptr<const router::RouteTable> routes(const ResourceKey& rds) const;
  void put_routes(const ResourceKey& rds, std::shared_ptr<const router::RouteTable> table);
  // No routes of that name will come for now, or none that are good.
  void end_wait(const ResourceKey& rds);
  // The deadline of a listener that could not have its port.
  void retry(std::string_view name);

  // Listeners whose routes have not come.
  size_t num_waiting() const noexcept { return num_waiting_; }
  // A static listener that could not serve once its routes were there.
  const Rejected& failure() const noexcept { return failure_; }
  void list_waits(std::vector<Wait>* out) const;

 private:
  struct Listener {
    ResourceKey active_rds;  // of the form that serves; no name: inline, or none serves
    bool active = false;
    bool is_static = false;
    bool waiting = false;                          // `next` waits for routes
    std::optional<dataplane::ListenerValue> next;  // waits for routes, or for its port
    base::MonoNs since = 0;
  };
  struct Routes {
    std::shared_ptr<const router::RouteTable> table;  // null: have not come
    std::vector<std::string> listeners;               // who names them
    bool wait_ended = false;
    bool ready() const { return table != nullptr || wait_ended; }
  };

  Routes& follow(const ResourceKey& rds, const dataplane::ListenerValue& user);
  void unfollow(const ResourceKey& rds, const std::string& user);
  void drop_next(Listener& listener);
  void set_waiting(Listener& listener, bool waiting);
  void set_next(Listener& listener, dataplane::ListenerValue value);
  absl::Status activate(Listener& listener, const dataplane::ListenerValue& value,
                        std::vector<std::string>* warnings);
  void deliver(const ResourceKey& rds);
  void put_table(const ResourceKey& rds, const Routes& routes);
  void activate_next(Listener& listener);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<std::string, Listener, std::less<>> listeners_;
  std::map<ResourceKey, Routes> routes_;
  size_t num_waiting_ = 0;
  Rejected failure_;
};

}  // namespace sluice::xds
