#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/chain.h"
#include "filters/header_mutation.h"
#include "filters/missing_config.h"
#include "filters/on_demand.h"
#include "filters/route_filters.h"
#include "filters/router.h"
#include "filters/values.h"

namespace sluice::filters {

// The catalogue: every HTTP filter once, and the chains that are compiled in. Adding a filter is a
// word in AnyChain (and its value in FilterConfig); making an order of filters fused is a line in
// Chains and in visit_chain(). A filter's kind is its place in AnyChain.

// The closed variant takes every order that Chains does not list before it.
using AnyChain = VariantChain<HeaderMutation, Router, OnDemand, MissingConfig>;

using Chains = std::tuple<FusedChain<Router>, FusedChain<HeaderMutation, Router>, AnyChain>;

inline constexpr size_t kNumFilters = std::tuple_size_v<AnyChain::Filters>;
static_assert(kNumFilters < 256);

// A filter's place in the catalogue.
template <typename F>
constexpr uint8_t kind_of() {
  return []<typename... All>(const VariantChain<All...>*) {
    uint8_t kind = 0;
    static_cast<void>(((std::is_same_v<F, All> || (++kind, false)) || ...));
    return kind;
  }(static_cast<const AnyChain*>(nullptr));
}

// FilterCosts is what hooks cost on the exchanges that were sampled, in nanoseconds, by kind:
// requests, then responses. One writer, a worker; any thread reads.
struct FilterCosts {
  base::Histogram spans[2 * kNumFilters];
};

inline constexpr size_t kNumChains = std::tuple_size_v<Chains>;
inline constexpr uint8_t kAnyChain = static_cast<uint8_t>(kNumChains - 1);

// Calls fn with the chain type of that index: `fn.operator()<Chain>()`. One switch; the exchange
// makes it once per phase, or once around several.
template <typename Fn>
decltype(auto) visit_chain(uint8_t index, Fn&& fn) {
  static_assert(kNumChains == 3, "one case per chain");
  switch (index) {
    case 0:
      return fn.template operator()<std::tuple_element_t<0, Chains>>();
    case 1:
      return fn.template operator()<std::tuple_element_t<1, Chains>>();
    default:
      return fn.template operator()<AnyChain>();
  }
}

// FilterChain is a listener's compiled list of HTTP filters: which chain type runs it, with what.
// Built on main or in the compile pool, immutable, shared by workers. Owns the compiled
// configurations.
class FilterChain {
 public:
  // The list must end with the router, which comes once. `path` begins the errors:
  // `listeners["in"].http_filters`.
  static absl::StatusOr<std::shared_ptr<const FilterChain>> compile(
      std::span<const FilterValue> values, std::string_view path,
      std::vector<std::string>* warnings = nullptr);

  uint8_t index() const noexcept { return index_; }
  bool fused() const noexcept { return index_ != kAnyChain; }
  size_t size() const noexcept { return configs_.size(); }
  const ChainConfigs& configs() const noexcept { return lists_; }
  // What to run for a route that says something of filters; the lists are the arena's. Costs a
  // comparison per filter and entry. False: no memory.
  bool for_route(const RouteFilters& route, base::Arena& arena, ChainConfigs* out) const noexcept;
  // Names as configured; canonical names are catalogue_name(kind).
  std::span<const std::string> names() const noexcept { return names_; }
  std::span<const uint8_t> kinds() const noexcept { return kinds_; }
  // "fused header_mutation > router" or "variant router > ...".
  std::string describe() const;
  // The router's own settings.
  const FilterRouter& router() const noexcept { return *router_; }

 private:
  ChainConfigs lists_;  // of the vectors below
  std::vector<const void*> configs_;
  std::vector<uint8_t> kinds_;
  std::vector<uint16_t> state_offsets_;
  std::vector<std::shared_ptr<const void>> owned_;
  std::vector<std::string> names_;
  std::vector<FilterName> shared_names_;  // the same
  const FilterRouter* router_ = nullptr;
  uint8_t index_ = kAnyChain;
};

// The on_demand filter's settings for this route, if it is the one at which the request stopped;
// else null.
inline const FilterOnDemand* stopped_on_demand(const ChainRun& run) noexcept {
  const size_t behind = run.next[static_cast<size_t>(Phase::kRequest)];
  if (behind == 0 || run.chain.kinds[behind - 1] != kind_of<OnDemand>()) return nullptr;
  const void* const of_route =
      run.chain.route_configs != nullptr ? run.chain.route_configs[behind - 1] : nullptr;
  return static_cast<const FilterOnDemand*>(of_route != nullptr ? of_route
                                                                : run.chain.configs[behind - 1]);
}

// Canonical name by kind (its place in AnyChain); type URL to kind, -1 when unknown.
std::string_view catalogue_name(uint8_t kind) noexcept;
std::string_view catalogue_type_url(uint8_t kind) noexcept;
int kind_of_type_url(std::string_view type_url) noexcept;
size_t num_filters() noexcept;

// What `sluice chains` prints: the filters of the catalogue, the chains that are compiled in.
std::string describe_catalogue();

}  // namespace sluice::filters
