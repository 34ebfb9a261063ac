#pragma once

#include <set>
#include <string>
#include <string_view>

#include "tools/mock-cp/resource_set.h"

namespace sluice::mock_cp {

// The names of `type_url` (EDS: clusters' service names; RDS: HTTP connection managers' route
// configurations) that a client must ask for which has all resources of the snapshot. Empty for
// other types. What cannot be read asks for nothing. Any thread; cost: all clusters or listeners.
std::set<std::string> expected_names(const Snapshot& snapshot, std::string_view type_url);

}  // namespace sluice::mock_cp
