#pragma once

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
};

struct FilterRouter {
  bool suppress_envoy_headers = false;
  bool dynamic_stats = true;
};

using FilterConfig = std::variant<FilterRouter, FilterHeaderMutation>;

struct FilterValue {
  std::string name;
  FilterConfig config;
  bool disabled = false;
};

}  // namespace sluice::filters
