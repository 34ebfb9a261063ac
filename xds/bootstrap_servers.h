// Who to ask for dynamic resources: ads_config with what its static clusters say.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "xds/bootstrap.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

// `at` is ads_config; `clusters` are static_resources.clusters.
absl::StatusOr<AdsConfig> decode_ads_config(
    const Context& context, const Path& at, const core::ApiConfigSource& in,
    const Repeated<::envoy::config::cluster::v3::Cluster>& clusters);

// Whether ads_config leads to the cluster of this name.
bool leads_to(const core::ApiConfigSource& in, const std::string& cluster);

}  // namespace sluice::xds
