#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "dataplane/values.h"
#include "xds/extension_configs.h"
#include "xds/resources.h"
#include "xds/wait.h"

namespace sluice::xds {

// NetworkFilters joins listeners whose network filter comes by itself (ECDS, rule 136) with what
// came.
//
// A listener without its filter is not put at all until the wait ends; then it has the filter's
// default, or closes connections at once. Each new form of the filter puts the listener anew:
// connections that are open go on with what they began with.
// Main only; `extensions` outlives it.
class NetworkFilters {
 public:
  // Takes a listener that has all its parts.
  using Put = std::function<absl::Status(dataplane::ListenerValue, bool is_static,
                                         std::vector<std::string>* warnings)>;

  NetworkFilters(ExtensionConfigs& extensions, Put put);

  // A listener with a discovery. Errors: Put's; then what was before stays.
  absl::Status put(dataplane::ListenerValue value, bool is_static,
                   std::vector<std::string>* warnings);
  // It went, or its filter does not come by itself any more.
  void forget(std::string_view name);
  bool is_static(std::string_view name) const;

  // A filter has come, has gone, or is waited for no longer. Errors: Put's first.
  absl::Status deliver(const ResourceKey& ecds);

  size_t num_waiting() const noexcept;
  // `serves` tells whether a listener of that name serves.
  void list_waits(const std::function<bool(const std::string&)>& serves,
                  std::vector<Wait>* out) const;

 private:
  struct Listener {
    dataplane::ListenerValue value;
    bool is_static = false;
    bool waiting = false;
    ExtensionHold hold;
    std::shared_ptr<const NetworkFilter> filter;  // that it serves with; null: its default
  };

  std::optional<dataplane::ListenerValue> whole(const dataplane::ListenerValue& value) const;

  ExtensionConfigs& extensions_;
  Put put_;
  std::map<std::string, Listener, std::less<>> listeners_;
};

}  // namespace sluice::xds
