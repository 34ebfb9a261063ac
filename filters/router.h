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

// Router marks the end of a chain: after it the exchange picks a host and forwards. It has no hooks
// and costs nothing; the forwarding itself is dataplane/exchange.
struct Router {
  static constexpr std::string_view kName = "envoy.filters.http.router";
  static constexpr std::string_view kTypeUrl =
      "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  using Value = FilterRouter;
  using Config = FilterRouter;
  using State = std::monostate;

  static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value& value,
                                                               std::string_view path,
                                                               std::vector<std::string>* warnings);
};

}  // namespace sluice::filters
