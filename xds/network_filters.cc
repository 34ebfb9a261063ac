#include "xds/network_filters.h"

#include <algorithm>
#include <utility>

namespace sluice::xds {

using dataplane::ListenerValue;
using filters::FilterValue;

namespace {

ResourceKey key_of(const ListenerValue& value) {
  return {value.discovery->source, value.filter_name};
}

std::vector<FilterValue> wanted(const ListenerValue& value) {
  return {{value.filter_name, filters::FilterMissing{}, false, value.discovery}};
}

}  // namespace

NetworkFilters::NetworkFilters(ExtensionConfigs& extensions, Put put)
    : extensions_(extensions), put_(std::move(put)) {}

// None: it waits.
std::optional<ListenerValue> NetworkFilters::whole(const ListenerValue& value) const {
  if (!extensions_.ready(wanted(value))) return std::nullopt;
  ListenerValue out = value;
  out.discovery.reset();
  const auto filter = extensions_.network(key_of(value));
  if (filter == nullptr) return out;  // its default, or missing
  out.filter_missing = false;
  out.http = filter->http;
  out.http.filter_chain_name = value.http.filter_chain_name;
  out.tcp = filter->tcp;
  return out;
}

absl::Status NetworkFilters::put(ListenerValue value, bool is_static,
                                 std::vector<std::string>* warnings) {
  const std::string name = value.name;
  Listener next{std::move(value), is_static, false, {}, nullptr};
  next.hold = extensions_.follow(wanted(next.value));
  auto now = whole(next.value);
  if (now) {
    if (absl::Status s = put_(*std::move(now), is_static, warnings); !s.ok()) return s;
    next.filter = extensions_.network(key_of(next.value));
  }
  next.waiting = !now.has_value();
  listeners_.insert_or_assign(name, std::move(next));
  return absl::OkStatus();
}

void NetworkFilters::forget(std::string_view name) {
  const auto it = listeners_.find(name);
  if (it != listeners_.end()) listeners_.erase(it);
}

bool NetworkFilters::is_static(std::string_view name) const {
  const auto it = listeners_.find(name);
  return it != listeners_.end() && it->second.is_static;
}

absl::Status NetworkFilters::deliver(const ResourceKey& ecds) {
  absl::Status first;
  for (auto& [name, listener] : listeners_) {
    if (key_of(listener.value) != ecds) continue;
    auto filter = extensions_.network(ecds);
    if (!listener.waiting && listener.filter == filter) continue;
    auto now = whole(listener.value);
    if (!now) continue;
    std::vector<std::string> warnings;
    absl::Status s = put_(*std::move(now), listener.is_static, &warnings);
    if (!s.ok()) {
      if (first.ok()) first = std::move(s);
      continue;
    }
    listener.waiting = false;
    listener.filter = std::move(filter);
  }
  return first;
}

size_t NetworkFilters::num_waiting() const noexcept {
  return static_cast<size_t>(std::count_if(listeners_.begin(), listeners_.end(),
                                           [](const auto& l) { return l.second.waiting; }));
}

void NetworkFilters::list_waits(const std::function<bool(const std::string&)>& serves,
                                std::vector<Wait>* out) const {
  for (const auto& [name, listener] : listeners_) {
    if (listener.waiting) extensions_.list_waits(name, serves(name), wanted(listener.value), out);
  }
}

}  // namespace sluice::xds
