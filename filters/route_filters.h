#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/values.h"

namespace sluice::filters {

// Names of filters as small numbers, so that a chain and a route that never saw each other agree on
// them without comparing texts. Any thread but workers (it takes a lock); a number is the name's
// for the life of the process, some bytes per name that any configuration ever had.
uint32_t filter_name_id(std::string_view name);

// RouteFilters answers "what does this route change about the filters of the chain that it is run
// with?": typed_per_filter_config of the route, its virtual host and the route configuration,
// merged when the route table is compiled. Which listener's chain will be asked about is not known
// then, so entries carry the number of the filter's name.
//
// Immutable, shared by routes that say the same; any thread. find() compares a number with each
// entry, mostly one; FilterChain::for_route() calls it once per filter of the chain, and only for
// routes that have this object at all.
class RouteFilters {
 public:
  enum class Says : uint8_t { kNothing, kOn, kOff };
  struct Entry {
    uint32_t name_id = 0;
    // The most specific level that names the filter decides (Envoy).
    Says says = Says::kNothing;
    uint8_t kind = 0;                         // in the catalogue; read only if config is not null
    std::shared_ptr<const void> config = {};  // the filter's RouteConfig; null: none
  };

  // Levels from the most specific one: route, virtual host, route configuration; `at` are their
  // field paths, for errors. Null: no level says anything.
  struct Level {
    const std::vector<RouteFilterValue>* values;
    std::string at;
  };
  static absl::StatusOr<std::shared_ptr<const RouteFilters>> compile(std::span<const Level> levels);

  const Entry* find(uint32_t name_id) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.name_id == name_id) return &entry;
    }
    return nullptr;
  }
  std::span<const Entry> entries() const noexcept { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace sluice::filters
