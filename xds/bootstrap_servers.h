// Who to ask for dynamic resources: an ApiConfigSource with what its static clusters say.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "xds/config_source.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

using ::envoy::config::cluster::v3::Cluster;

// `at` is the ApiConfigSource; `clusters` are static_resources.clusters.
absl::StatusOr<GrpcSource> decode_grpc_source(const Context& context, const Path& at,
                                              const core::ApiConfigSource& in,
                                              const Repeated<Cluster>& clusters);
absl::StatusOr<RestSource> decode_rest_source(const Context& context, const Path& at,
                                              const core::ApiConfigSource& in,
                                              const Repeated<Cluster>& clusters);

}  // namespace sluice::xds
