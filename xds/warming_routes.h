#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/tables_builder.h"
#include "router/table.h"
#include "xds/deadlines.h"
#include "xds/decode_update.h"
#include "xds/resources.h"

namespace sluice::xds {

// WarmingRoutes keeps the route configurations that listeners and scopes name: it asks for each
// once, however many name it, and keeps the last good table as long as any does (rules 92, 95).
//
// A route configuration with `vhds` is ready when its virtual hosts have been told too, or the wait
// for them has ended. Such a source stays subscribed: asked anew it would not send again what it
// has sent. The virtual hosts of one source come together (the wildcard) and belong to
// the route configuration that their name begins with, cut at the last slash (rule 134); those of
// route configurations that nobody names yet are kept for whoever will. Each change makes the table
// of that route configuration anew, on main, with all virtual hosts that did not change taken over:
// its cost is what changed plus a few hundred nanoseconds per virtual host.
// A route configuration is in the tables while it is wanted there (put_table). Main only.
class WarmingRoutes {
 public:
  enum class UserKind : uint8_t { kListener, kScopes };
  struct User {
    UserKind kind = UserKind::kListener;
    std::string name;
    friend auto operator<=>(const User&, const User&) = default;
  };
  // A table is another one, or the wait for it is over. May follow and unfollow.
  using Changed = std::function<void(const ResourceKey& rds, const User& user)>;

  WarmingRoutes(dataplane::TablesBuilder& builder, Deadlines& deadlines, uint32_t num_workers,
                Changed changed);

  void set_subscriptions(Subscriptions* subscriptions);

  // The tables know route configurations by one name.
  static std::string slot_of(const ResourceKey& rds);
  // The reverse, of those that are followed; null: none is.
  const ResourceKey* key_of_slot(std::string_view slot) const;

  void follow(const ResourceKey& rds, const User& user, int64_t fetch_timeout_ns);
  void unfollow(const ResourceKey& rds, const User& user);
  bool ready(const ResourceKey& rds) const;
  // Null: it has not come.
  std::shared_ptr<const router::RouteTable> table(const ResourceKey& rds) const;
  // Into the tables, if it has come.
  void put_table(const ResourceKey& rds);

  // RDS. Fails only where virtual hosts of VHDS contradict it.
  absl::Status put(const ResourceKey& rds, DecodedRoutes routes);
  // No routes of that name will come for now, or none that are good.
  void end_wait(const ResourceKey& rds);

  // VHDS: an update of that source. Appends what cannot be used.
  void put_virtual_hosts(SourceId source, std::vector<DecodedVirtualHost> changed,
                         const std::vector<std::string>& removed, std::vector<Rejected>* rejected);
  void end_vhds_wait(SourceId source);
  // Whether that route configuration has a virtual host of that name ("ROUTES/HOST") from VHDS.
  bool has_virtual_host(SourceId source, std::string_view name) const;
  // Where virtual hosts of that route configuration are asked for; none: it has no vhds.
  const router::RouteConfigValue::Vhds* vhds_of(const ResourceKey& rds) const;

 private:
  struct Routes {
    std::shared_ptr<const router::RouteTable> table;      // null: has not come
    std::shared_ptr<const router::RouteConfigValue> own;  // with vhds: as RDS said
    std::set<User> users;
    bool wait_ended = false;
  };
  using Hosts = std::map<std::string, std::shared_ptr<const router::VirtualHostValue>, std::less<>>;
  struct VhdsSource {
    std::map<std::string, Hosts, std::less<>> hosts;  // by route configuration, then full name
    std::set<ResourceKey> users;
    bool told = false;  // it has answered, or the wait is over
  };

  void deliver(const ResourceKey& rds);
  void use_vhds(const ResourceKey& rds, const router::RouteConfigValue* before,
                const router::RouteConfigValue* now);
  absl::StatusOr<std::shared_ptr<const router::RouteTable>> compile(
      const router::RouteConfigValue& own, const std::string& name,
      const router::RouteTable* previous);
  void put_hosts_of(SourceId source, VhdsSource& from, const std::string& routes,
                    std::vector<DecodedVirtualHost> changed, const std::set<std::string>& removed,
                    std::vector<Rejected>* rejected);

  dataplane::TablesBuilder& builder_;
  Deadlines& deadlines_;
  const uint32_t num_workers_;
  Changed changed_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<ResourceKey, Routes> routes_;
  std::map<std::string, ResourceKey, std::less<>> by_slot_;
  std::map<SourceId, VhdsSource> vhds_;
};

}  // namespace sluice::xds
