#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "filters/filter.h"
#include "filters/values.h"
#include "http/header_edit.h"

namespace sluice::filters {

// HeaderMutation adds, overwrites and removes fields of requests and responses by configuration
// (envoy.extensions.filters.http.header_mutation.v3). Cost: http::apply_edits().
struct HeaderMutation {
  static constexpr std::string_view kName = "envoy.filters.http.header_mutation";
  static constexpr std::string_view kTypeUrl =
      "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
  using Value = FilterHeaderMutation;
  struct Config {
    http::HeaderEditList request;
    http::HeaderEditList response;
  };
  using State = std::monostate;

  static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value& value,
                                                               std::string_view path,
                                                               std::vector<std::string>* warnings);

  static Verdict on_request(const Config& config, State&, FilterContext& context) noexcept {
    if (!config.request.empty()) {
      http::apply_edits(config.request, context.request->fields, *context.facts, *context.arena);
    }
    return Verdict::kNext;
  }
  static Verdict on_response(const Config& config, State&, FilterContext& context) noexcept {
    if (!config.response.empty()) {
      http::apply_edits(config.response, context.response->fields, *context.facts, *context.arena);
    }
    return Verdict::kNext;
  }
};

}  // namespace sluice::filters
