#pragma once

#include <cstdint>
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

// What typed_per_filter_config says of the filter that the chain calls `name`. Without a
// configuration it only switches the filter on or off.
using RouteFilterConfig = std::variant<std::monostate, RouteHeaderMutation>;
struct RouteFilterValue {
  std::string name;
  bool disabled = false;
  RouteFilterConfig config = {};
};

struct FilterRouter {
  bool suppress_envoy_headers = false;
  bool dynamic_stats = true;
};

// Where a request waits for routes that nobody has asked for yet, and where `odcds` is set for
// clusters.
struct FilterOnDemand {
  bool odcds = false;
  uint32_t source = 0;  // of clusters: the configuration source, by number
  int64_t timeout_ns = 5'000'000'000;
};

using FilterConfig = std::variant<FilterRouter, FilterHeaderMutation, FilterOnDemand>;

struct FilterValue {
  std::string name;
  FilterConfig config;
  bool disabled = false;
};

}  // namespace sluice::filters
