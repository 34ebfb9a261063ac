#include "xds/leds_endpoints.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/text.h"
#include "dataplane/log.h"
#include "xds/resource_name.h"

namespace sluice::xds {
namespace {

bool names(const auto& form, const ResourceKey& collection) {
  return form && std::any_of(form->leds.begin(), form->leds.end(),
                             [&](const LedsLocality& l) { return l.collection == collection; });
}

}  // namespace

// ---- EDS.

void LedsEndpoints::put(SourceId source, upstream::EndpointsValue value,
                        std::vector<LedsLocality> leds) {
  const ResourceKey eds{source, value.cluster_name};
  const auto known = assignments_.find(eds);
  if (leds.empty()) {
    if (known != assignments_.end()) {
      forget(known);
    }
    return put_(source, std::move(value));
  }
  Assignment& assignment = known != assignments_.end() ? known->second : assignments_[eds];
  assignment.next = Form{std::move(value), std::move(leds)};
  follow(eds, assignment);
  release(eds, assignment);  // what a form before it waited for
  refresh(eds);
}

void LedsEndpoints::drop_unless(const std::function<bool(const ResourceKey& eds)>& wanted) {
  for (auto it = assignments_.begin(); it != assignments_.end();) {
    const auto here = it++;
    if (wanted(here->first)) continue;
    forget(here);
  }
}

void LedsEndpoints::forget(std::map<ResourceKey, Assignment>::iterator it) {
  it->second.serves.reset();
  it->second.next.reset();
  release(it->first, it->second);
  assignments_.erase(it);
}

void LedsEndpoints::follow(const ResourceKey& eds, Assignment& assignment) {
  for (const LedsLocality& locality : assignment.next->leds) {
    assignment.follows.insert(locality.collection);
    const auto [it, fresh] = collections_.try_emplace(locality.collection);
    it->second.users.insert(eds);
    if (!fresh) continue;
    it->second.since = executor_.now();
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kLbEndpoint, it->first);
    deadlines_.set(Type::kLbEndpoint, it->first, locality.fetch_timeout_ns);
  }
}

// Collections that it names no more.
void LedsEndpoints::release(const ResourceKey& eds, Assignment& assignment) {
  for (auto it = assignment.follows.begin(); it != assignment.follows.end();) {
    const auto here = it++;
    if (names(assignment.serves, *here) || names(assignment.next, *here)) continue;
    const auto collection = collections_.find(*here);
    assignment.follows.erase(here);
    collection->second.users.erase(eds);
    if (!collection->second.users.empty()) continue;
    if (subscriptions_ != nullptr) {
      subscriptions_->unsubscribe(Type::kLbEndpoint, collection->first);
    }
    collections_.erase(collection);
  }
}

// ---- LEDS.

void LedsEndpoints::take(SourceId source, std::vector<DecodedEndpoint> changed,
                         const std::vector<std::string>& removed,
                         const std::vector<std::string>& answered) {
  std::set<ResourceKey> touched;
  for (const std::string& name : answered) {
    const auto it = collections_.find({source, name});
    if (it == collections_.end()) continue;
    it->second.told = true;
    touched.insert(it->first);
  }
  for (DecodedEndpoint& endpoint : changed) {
    const auto it = collections_.find({source, collection_of(endpoint.name)});
    if (it == collections_.end()) continue;
    it->second.endpoints.insert_or_assign(endpoint.name, std::move(endpoint.value));
    it->second.told = true;
    touched.insert(it->first);
  }
  for (const std::string& name : removed) {
    const auto it = collections_.find({source, collection_of(name)});
    if (it == collections_.end() || it->second.endpoints.erase(name) == 0) continue;
    touched.insert(it->first);
  }
  refresh_users(touched);
}

void LedsEndpoints::end_wait(const ResourceKey& collection) {
  const auto it = collections_.find(collection);
  if (it == collections_.end() || std::exchange(it->second.told, true)) return;
  refresh_users({collection});
}

void LedsEndpoints::refresh_users(const std::set<ResourceKey>& collections) {
  std::set<ResourceKey> users;
  for (const ResourceKey& collection : collections) {
    const auto it = collections_.find(collection);
    if (it != collections_.end()) users.insert(it->second.users.begin(), it->second.users.end());
  }
  for (const ResourceKey& eds : users) refresh(eds);
}

bool LedsEndpoints::ready(const Form& form) const {
  return std::all_of(form.leds.begin(), form.leds.end(), [this](const LedsLocality& locality) {
    const auto it = collections_.find(locality.collection);
    return it != collections_.end() && it->second.told;
  });
}

void LedsEndpoints::refresh(const ResourceKey& eds) {
  const auto it = assignments_.find(eds);
  if (it == assignments_.end()) return;
  Assignment& assignment = it->second;
  if (assignment.next && ready(*assignment.next)) {
    assignment.serves = std::exchange(assignment.next, std::nullopt);
    release(eds, assignment);
  }
  if (assignment.serves) put_(eds.source, composed(*assignment.serves));
}

upstream::EndpointsValue LedsEndpoints::composed(const Form& form) const {
  upstream::EndpointsValue out = form.value;
  absl::flat_hash_set<base::Address> seen;
  std::map<uint32_t, uint64_t> weights;  // by priority: the sum must fit in 32 bits
  for (const upstream::LocalityValue& locality : out.localities) {
    for (const upstream::EndpointValue& endpoint : locality.endpoints) {
      seen.insert(endpoint.address);
      weights[locality.priority] += endpoint.weight;
    }
  }
  for (const LedsLocality& leds : form.leds) {
    upstream::LocalityValue& locality = out.localities[leds.locality];
    uint64_t& sum = weights[locality.priority];
    for (const auto& [name, endpoint] : collections_.find(leds.collection)->second.endpoints) {
      if (!seen.insert(endpoint.address).second) continue;
      if (sum + endpoint.weight > UINT32_MAX) {
        log::warn("config",
                  base::cat("endpoint \"", name, "\": left out: the weights' sum of ", "priority ",
                            locality.priority, " does not fit in 32 bits; use smaller weights"));
        continue;
      }
      sum += endpoint.weight;
      locality.endpoints.push_back(endpoint);
    }
  }
  return out;
}

void LedsEndpoints::list_waits(std::vector<Wait>* out) const {
  for (const auto& [eds, assignment] : assignments_) {
    if (!assignment.next) continue;
    for (const LedsLocality& locality : assignment.next->leds) {
      const auto it = collections_.find(locality.collection);
      if (it == collections_.end() || it->second.told) continue;
      out->push_back({Type::kEndpoint, eds.name, Type::kLbEndpoint, locality.collection.name,
                      assignment.serves.has_value(), it->second.since});
    }
  }
}

}  // namespace sluice::xds
