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

// OnDemand is the place in a chain where a request that lacks a route or a cluster waits for it
// (envoy.extensions.filters.http.on_demand.v3). It always stops the chain; the exchange looks what
// is missing and goes on at once where nothing is (dataplane/exchange_on_demand.cc). What is before
// it in the chain may refuse a request before anybody is asked.
struct OnDemand {
  static constexpr std::string_view kName = "envoy.filters.http.on_demand";
  static constexpr std::string_view kTypeUrl =
      "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3.OnDemand";
  using Value = FilterOnDemand;
  using Config = FilterOnDemand;
  using State = std::monostate;

  static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value& value, std::string_view,
                                                               std::vector<std::string>*) {
    return std::make_shared<const FilterOnDemand>(value);
  }
  static Verdict on_request(const Config&, State&, FilterContext&) noexcept {
    return Verdict::kWait;
  }
};

}  // namespace sluice::filters
