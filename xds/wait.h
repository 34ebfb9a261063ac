#pragma once

#include <string>

#include "base/clock.h"
#include "xds/resources.h"

namespace sluice::xds {

// Wait is one line of "what waits for what, since when": admin shows it. A plain value.
struct Wait {
  Type type = Type::kCluster;  // of who waits; kCount: the start
  std::string name;
  Type for_type = Type::kEndpoint;
  std::string for_name;     // empty: the first response
  bool serves_old = false;  // an older version serves meanwhile
  base::MonoNs since = 0;
};

}  // namespace sluice::xds
