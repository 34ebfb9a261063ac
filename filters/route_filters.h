#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/values.h"

namespace sluice::filters {

// A filter's name, the same object for everybody who has it at one time, so that a chain and a
// route that never saw each other agree on it without comparing texts. Any thread but workers (it
// takes a lock, and so does the last holder); a name is kept as long as somebody holds it.
using FilterName = std::shared_ptr<const std::string>;
FilterName filter_name(std::string_view name);
size_t num_filter_names();  // that are held

// RouteFilters answers "what does this route change about the filters of the chain that it is run
// with?": typed_per_filter_config of the route, its virtual host and the route configuration,
// merged when the route table is compiled. Which listener's chain will be asked about is not known
// then, so entries carry the filter's name.
//
// Immutable, shared by routes that say the same; any thread. find() compares a pointer with
// each entry, mostly one; FilterChain::for_route() calls it once per filter of the chain, and only
// for routes that have this object at all.
class RouteFilters {
 public:
  enum class Says : uint8_t { kNothing, kOn, kOff };
  struct Entry {
    FilterName name;
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

  const Entry* find(const FilterName& name) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  }
  std::span<const Entry> entries() const noexcept { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace sluice::filters
