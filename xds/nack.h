#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "xds/resources.h"

namespace sluice::xds {

// error_detail.message for these: `name: problem` each, at most kMaxNackBytes, cut between names
// ("... and 12 more"), valid UTF-8 whatever the parts are (rule 48).
constexpr size_t kMaxNackBytes = 4096;
std::string nack_message(const std::vector<Rejected>& rejected);

}  // namespace sluice::xds
