#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "tools/mock-cp/faults.h"
#include "tools/mock-cp/journal.h"
#include "tools/mock-cp/load_reports.h"
#include "tools/mock-cp/resource_set.h"

namespace sluice::mock_cp {

struct ServerOptions {
  std::string listen;  // "ADDR:PORT"; port 0: any
  // As go-control-plane's snapshot cache in ADS mode: a request that does not name all resources
  // of its type waits until it does.
  bool superset = false;
  bool verbose = false;                            // also log requests and pushes
  std::function<void(std::string_view)> log = {};  // one line; from any thread
  uint64_t load_interval_ms = 0;                   // clients report their load so often; 0: not
};

struct StreamFilter {
  uint64_t id = 0;       // 0: any
  std::string node;      // empty: any
  std::string type_url;  // of a stream of one type; empty: any
};

// Serves a snapshot to any number of clients, state of the world and incremental, over ADS and
// over the service of each type (types.h).
//
// set() may be called at any time from any one thread; each stream then gets, type by type, what
// changed for the names that it asked for. One response per type is out at a time: the next waits
// for its ACK or NACK. A rejected version is not sent again. Requests with an old nonce are
// dropped, as go-control-plane does. What clients do is in journal(); what is done to them wrong
// is in faults().
class Server {
 public:
  static absl::StatusOr<std::unique_ptr<Server>> start(ServerOptions options);
  virtual ~Server() = default;  // ends all streams

  virtual int port() const = 0;
  virtual void set(std::shared_ptr<const Snapshot> snapshot) = 0;
  virtual size_t num_streams() const = 0;
  // Returns how many. `status` is a gRPC status code.
  virtual size_t close_streams(const StreamFilter& filter, int status) = 0;

  virtual Journal& journal() = 0;
  virtual FaultList& faults() = 0;
  virtual LoadReports& loads() = 0;
};

}  // namespace sluice::mock_cp
