#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/filter.h"
#include "filters/values.h"

namespace sluice::filters {

// MissingConfig stands in a chain for a filter whose configuration has not come (ECDS) and that has
// no default: what the filter was to guard is not let through, the answer is 500 (Envoy's rule).
struct MissingConfig {
  static constexpr std::string_view kName = "sluice.missing_config";
  static constexpr std::string_view kTypeUrl = "sluice.filters.MissingConfig";
  using Value = FilterMissing;
  using Config = FilterMissing;
  using State = std::monostate;

  static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value& value, std::string_view,
                                                               std::vector<std::string>*) {
    return std::make_shared<const Config>(value);
  }

  static Verdict on_request(const Config&, State&, FilterContext& context) noexcept {
    context.reply->status = 500;
    context.reply->reason = base::Reason::kFilterConfigMissing;
    return Verdict::kRespond;
  }
};

}  // namespace sluice::filters
