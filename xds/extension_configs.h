#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "filters/values.h"
#include "xds/deadlines.h"
#include "xds/decode_extension.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::dataplane {
class TablesBuilder;
}

namespace sluice::xds {

class ExtensionConfigs;

// The filters' configurations that one form of a listener asks for; ends with it.
class ExtensionHold {
 public:
  ExtensionHold() = default;
  ExtensionHold(ExtensionHold&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)), filters_(std::move(other.filters_)) {}
  ExtensionHold& operator=(ExtensionHold&& other) noexcept {
    std::swap(owner_, other.owner_);
    std::swap(filters_, other.filters_);
    return *this;
  }
  ~ExtensionHold();

 private:
  friend class ExtensionConfigs;
  ExtensionConfigs* owner_ = nullptr;
  std::vector<filters::FilterValue> filters_;  // those with a discovery
};

// ExtensionConfigs keeps what came of filters' configurations that come by themselves (ECDS, rule
// 136): which are asked for, which have come, and for which listeners still wait.
//
// Each is asked for once, however many listeners name it; when the last listener that names it goes
// it is forgotten. An HTTP filter's is put into the tables: chains are made anew, sessions stay.
// One that goes leaves the filter's default, or answers 500. Network filters': network_filters.h.
// Main only; builder and deadlines outlive it, it outlives every ExtensionHold.
class ExtensionConfigs {
 public:
  ExtensionConfigs(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines);

  void set_subscriptions(Subscriptions* subscriptions);

  ExtensionHold follow(const std::vector<filters::FilterValue>& filters);
  // Nothing that these filters wait for is missing.
  bool ready(const std::vector<filters::FilterValue>& filters) const;

  // `type` is the full name of the message. Errors: a listener does not take that type, or cannot
  // use what came; what was before stays.
  absl::Status put(const ResourceKey& key, std::string_view type, ExtensionConfig config);
  void remove(const ResourceKey& key);
  // A network filter's, which listeners hold themselves. Null: none has come.
  std::shared_ptr<const NetworkFilter> network(const ResourceKey& key) const;
  // A listener could not use what came: `before` is what is there.
  void put_back(const ResourceKey& key, std::shared_ptr<const NetworkFilter> before);
  // None will come for now, or none that is good.
  void end_wait(const ResourceKey& key);

  // What `listener` waits for.
  void list_waits(const std::string& listener, bool serves_old,
                  const std::vector<filters::FilterValue>& filters, std::vector<Wait>* out) const;

 private:
  friend class ExtensionHold;
  struct Entry {
    std::vector<std::shared_ptr<const filters::FilterDiscovery>> users;
    std::shared_ptr<const NetworkFilter> network;
    bool here = false;
    bool wait_ended = false;
    base::MonoNs since = 0;
  };
  static ResourceKey key_of(const filters::FilterValue& filter) {
    return {filter.discovery->source, filter.name};
  }
  bool waits_for(const filters::FilterValue& filter) const;
  void unfollow(const filters::FilterValue& filter);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  Subscriptions* subscriptions_ = nullptr;
  std::map<ResourceKey, Entry> entries_;
};

}  // namespace sluice::xds
