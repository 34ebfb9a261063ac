#include "xds/extension_configs.h"

#include <algorithm>

#include "base/text.h"
#include "dataplane/tables_builder.h"
#include "filters/catalogue.h"

namespace sluice::xds {

using base::cat;
using filters::FilterValue;

namespace {

// Whether a chain with it can be made, be there a listener yet or not.
absl::Status check(const std::string& name, const filters::FilterConfig& config) {
  const std::vector<FilterValue> chain = {{name, config},
                                          {cat(name, "#router"), filters::FilterRouter{}}};
  return filters::FilterChain::compile(chain, "extensions").status();
}

}  // namespace

ExtensionHold::~ExtensionHold() {
  if (owner_ == nullptr) return;
  for (const FilterValue& filter : filters_) owner_->unfollow(filter);
}

ExtensionConfigs::ExtensionConfigs(dataplane::TablesBuilder& builder, Executor& executor,
                                   Deadlines& deadlines)
    : builder_(builder), executor_(executor), deadlines_(deadlines) {}

void ExtensionConfigs::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (const auto& [key, entry] : entries_) subscriptions->subscribe(Type::kExtensionConfig, key);
  subscriptions->end_batch();
}

// ---- Interest.

ExtensionHold ExtensionConfigs::follow(const std::vector<FilterValue>& filters) {
  ExtensionHold hold;
  for (const FilterValue& filter : filters) {
    if (filter.discovery == nullptr) continue;
    const ResourceKey key = key_of(filter);
    const auto [it, fresh] = entries_.try_emplace(key);
    it->second.users.push_back(filter.discovery);
    hold.owner_ = this;
    hold.filters_.push_back(filter);
    if (!fresh) continue;
    it->second.since = executor_.now();
    if (subscriptions_ != nullptr) subscriptions_->subscribe(Type::kExtensionConfig, key);
    deadlines_.set(Type::kExtensionConfig, key, filter.discovery->initial_fetch_timeout.count());
  }
  return hold;
}

void ExtensionConfigs::unfollow(const FilterValue& filter) {
  const ResourceKey key = key_of(filter);
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  auto& users = it->second.users;
  users.erase(std::find(users.begin(), users.end(), filter.discovery));
  if (!users.empty()) return;
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(Type::kExtensionConfig, key);
  entries_.erase(it);
  // Sessions of listeners that drain go on with what they have.
  builder_.forget_filter_config(key.source, key.name);
}

bool ExtensionConfigs::waits_for(const FilterValue& filter) const {
  if (filter.discovery == nullptr || !filter.discovery->warms) return false;
  const auto it = entries_.find(key_of(filter));
  return it == entries_.end() || !(it->second.here || it->second.wait_ended);
}

bool ExtensionConfigs::ready(const std::vector<FilterValue>& filters) const {
  return std::none_of(filters.begin(), filters.end(),
                      [this](const FilterValue& filter) { return waits_for(filter); });
}

// ---- What comes.

absl::Status ExtensionConfigs::put(const ResourceKey& key, std::string_view type,
                                   ExtensionConfig config) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return absl::OkStatus();  // nobody names it any more
  for (const auto& user : it->second.users) {
    if (std::find(user->types.begin(), user->types.end(), type) != user->types.end()) continue;
    return base::config_error("filter \"", key.name, "\": typed_config: is a ", type,
                              ", which its listener's type_urls do not name; add it there");
  }
  if (auto* network = std::get_if<std::shared_ptr<const NetworkFilter>>(&config)) {
    it->second.network = std::move(*network);
    it->second.here = true;
    return absl::OkStatus();
  }
  auto http = std::make_shared<const filters::FilterConfig>(
      std::get<filters::FilterConfig>(std::move(config)));
  if (absl::Status s = check(key.name, *http); !s.ok()) return s;
  absl::Status status = builder_.put_filter_config(key.source, key.name, std::move(http));
  if (status.ok()) it->second.here = true;
  return status;
}

void ExtensionConfigs::remove(const ResourceKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  it->second.network.reset();
  it->second.here = false;
  it->second.wait_ended = true;
  // Defaults were checked with their listeners.
  static_cast<void>(builder_.put_filter_config(key.source, key.name, nullptr));
}

std::shared_ptr<const NetworkFilter> ExtensionConfigs::network(const ResourceKey& key) const {
  const auto it = entries_.find(key);
  return it == entries_.end() ? nullptr : it->second.network;
}

void ExtensionConfigs::put_back(const ResourceKey& key,
                                std::shared_ptr<const NetworkFilter> before) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  it->second.here = before != nullptr;
  it->second.network = std::move(before);
}

void ExtensionConfigs::end_wait(const ResourceKey& key) {
  const auto it = entries_.find(key);
  if (it != entries_.end()) it->second.wait_ended = true;
}

void ExtensionConfigs::list_waits(const std::string& listener, bool serves_old,
                                  const std::vector<FilterValue>& filters,
                                  std::vector<Wait>* out) const {
  for (const FilterValue& filter : filters) {
    if (!waits_for(filter)) continue;
    const auto it = entries_.find(key_of(filter));
    out->push_back({Type::kListener, listener, Type::kExtensionConfig, filter.name, serves_old,
                    it == entries_.end() ? 0 : it->second.since});
  }
}

}  // namespace sluice::xds
