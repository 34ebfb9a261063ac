#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "xds/config_source.h"
#include "xds/transport.h"

namespace sluice::xds {

// The way to a server over gRPC. `fail_fast`: a stream ends when the server cannot be reached; else
// it waits. `executor` outlives it.
absl::StatusOr<std::unique_ptr<Transport>> connect_grpc(const ControlPlane& server, bool fail_fast,
                                                        Executor& executor);

}  // namespace sluice::xds
