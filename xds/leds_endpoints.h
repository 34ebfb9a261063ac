#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "upstream/values.h"
#include "xds/deadlines.h"
#include "xds/decode_leds.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::xds {

// LedsEndpoints stands between EDS and the clusters: an assignment that takes the endpoints of some
// localities from collections (LEDS, rule 140) is handed on when each of them has answered, and
// again whenever one of their endpoints comes, changes or goes.
//
// A collection is subscribed to once, however many assignments name it. Make before break: an
// assignment that names others serves in its old form, and follows its old collections, until the
// new ones have answered. A wait ends with the first answer, which may be that there is nothing,
// or with initial_fetch_timeout; then the locality is empty until endpoints come. Endpoints stand
// in the order of their names; of those with the same address the first counts. Main only. An
// assignment without collections passes through at no cost; one with costs what it has for each
// response that touches it.
class LedsEndpoints {
 public:
  using Put = std::function<void(SourceId, upstream::EndpointsValue)>;
  LedsEndpoints(Executor& executor, Deadlines& deadlines, Put put)
      : executor_(executor), deadlines_(deadlines), put_(std::move(put)) {}

  void set_subscriptions(Subscriptions* subscriptions) { subscriptions_ = subscriptions; }

  // What EDS says.
  void put(SourceId source, upstream::EndpointsValue value, std::vector<LedsLocality> leds);
  // What LEDS says: endpoints that are new or changed, those that are gone, collections that have
  // answered.
  void take(SourceId source, std::vector<DecodedEndpoint> changed,
            const std::vector<std::string>& removed, const std::vector<std::string>& answered);
  void end_wait(const ResourceKey& collection);
  // Forgets assignments that nobody asks for any more.
  void drop_unless(const std::function<bool(const ResourceKey& eds)>& wanted);

  void list_waits(std::vector<Wait>* out) const;

 private:
  struct Form {
    upstream::EndpointsValue value;
    std::vector<LedsLocality> leds;
  };
  struct Assignment {
    std::optional<Form> serves;
    std::optional<Form> next;       // waits for its collections
    std::set<ResourceKey> follows;  // collections of both
  };
  struct Collection {
    std::map<std::string, upstream::EndpointValue> endpoints;
    std::set<ResourceKey> users;  // assignments
    bool told = false;
    base::MonoNs since = 0;
  };

  bool ready(const Form& form) const;
  upstream::EndpointsValue composed(const Form& form) const;
  void follow(const ResourceKey& eds, Assignment& assignment);
  void release(const ResourceKey& eds, Assignment& assignment);
  void forget(std::map<ResourceKey, Assignment>::iterator it);
  void refresh(const ResourceKey& eds);
  void refresh_users(const std::set<ResourceKey>& collections);

  Executor& executor_;
  Deadlines& deadlines_;
  Put put_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<ResourceKey, Assignment> assignments_;  // those with collections only
  std::map<ResourceKey, Collection> collections_;
};

}  // namespace sluice::xds
