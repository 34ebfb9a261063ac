#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "http/values.h"

namespace sluice::filters {

// HTTP filters as plain values: what xds/decode makes of http_filters. One type per filter of the
// catalogue; `name` is what the configuration calls the filter, its kind is the config's type.
struct FilterHeaderMutation {
  std::vector<http::HeaderMutation> request_add;
  std::vector<std::string> request_remove;
  std::vector<http::HeaderMutation> response_add;
  std::vector<std::string> response_remove;
  // Mutations of routes: the route's own last. Else the route's first.
  bool most_specific_wins = false;
};

// Of a route, a virtual host or a route configuration: added to what the chain's filter says.
struct RouteHeaderMutation {
  std::vector<http::HeaderMutation> request_add;
  std::vector<std::string> request_remove;
  std::vector<http::HeaderMutation> response_add;
  std::vector<std::string> response_remove;
};

// Where a request waits for routes that nobody has asked for yet, and where `odcds` is set for
// clusters.
struct FilterOnDemand {
  bool odcds = false;
  uint32_t source = 0;  // of clusters: the configuration source, by number
  int64_t timeout_ns = 5'000'000'000;
};

// What typed_per_filter_config says of the filter that the chain calls `name`. Without a
// configuration it only switches the filter on or off. The most specific FilterOnDemand stands in
// for that of the chain.
using RouteFilterConfig = std::variant<std::monostate, RouteHeaderMutation, FilterOnDemand>;
struct RouteFilterValue {
  std::string name;
  bool disabled = false;
  RouteFilterConfig config = {};
};

struct FilterRouter {
  bool suppress_envoy_headers = false;
  bool dynamic_stats = true;
};

// In place of a configuration that has not come.
struct FilterMissing {};

using FilterConfig =
    std::variant<FilterRouter, FilterHeaderMutation, FilterOnDemand, FilterMissing>;

// Where a filter's configuration comes from, if not with its listener (ECDS). It has the filter's
// name.
struct FilterDiscovery {
  uint32_t source = 0;  // the configuration source, by number; 0: the aggregated stream
  std::chrono::nanoseconds initial_fetch_timeout{15'000'000'000};
  std::vector<std::string> types;                 // full names of the messages that it may be
  std::shared_ptr<const FilterConfig> otherwise;  // as long as none has come; null: missing
  bool warms = true;                              // the listener waits for it
};

struct FilterValue {
  std::string name;
  FilterConfig config;
  bool disabled = false;
  std::shared_ptr<const FilterDiscovery> discovery = {};  // null: `config` is all
};

}  // namespace sluice::filters
