// What this build is: what --version prints, what node and /server_info tell. Constant; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::xds {

struct Version {
  uint32_t major = 0, minor = 0, patch = 0;
};

Version build_version();
// "<sha>/<x.y.z>/<Clean|Modified>/<RELEASE|DEBUG>/<SSL>": Envoy's five parts.
std::string version_parts();
// "sluice  version: <five parts>" and a line with the versions of what is linked.
std::string version_text();

}  // namespace sluice::xds
