#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "xds/decode_context.h"
#include "xds/runtime.h"

namespace envoy::config::bootstrap::v3 {
class LayeredRuntime;
}

namespace sluice::xds {

// bootstrap.layered_runtime, at `at`. Without layers there is an admin layer, as in Envoy. An
// rtds_layer over the aggregated stream needs one (`has_ads`).
absl::Status decode_layered_runtime(const Context& context, const Path& at,
                                    const envoy::config::bootstrap::v3::LayeredRuntime& in,
                                    const std::string& service_cluster, bool has_ads,
                                    std::vector<RuntimeLayerValue>* out);

}  // namespace sluice::xds
