#pragma once

#include <functional>
#include <vector>

#include "xds/load_reporter.h"

namespace sluice::dataplane {
class Server;
}

namespace sluice::xds {

// What all workers counted of all endpoints, for load reports. Main only; `done` is called on main
// in a later turn, once each worker has been asked. Cost: a look-up per endpoint; workers are asked
// piece by piece (dataplane::Server::count_hosts). `server` outlives the call of `done`.
void collect_loads(dataplane::Server& server, std::function<void(std::vector<ClusterLoad>)> done);

}  // namespace sluice::xds
