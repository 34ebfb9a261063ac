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
// (envoy.extensions.filters.http.header_mutation.v3), its own and the route's. Cost:
// http::apply_edits().
struct HeaderMutation {
  static constexpr std::string_view kName = "envoy.filters.http.header_mutation";
  static constexpr std::string_view kTypeUrl =
      "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
  using Value = FilterHeaderMutation;
  struct Level {
    http::HeaderEditList request;
    http::HeaderEditList response;
  };
  struct Config : Level {
    bool most_specific_wins = false;
  };
  // Of the route, its virtual host and the route configuration, as far as they say something.
  // Envoy: they come after the filter's own; the most specific first, unless
  // most_specific_header_mutations_wins, then last.
  struct RouteConfig {
    std::vector<Level> levels;
  };
  using State = std::monostate;
  // Mutations come one after the other, where edits of routes come in groups.
  static void apply_one_by_one(Level* level);

  static absl::StatusOr<std::shared_ptr<const Config>> compile(const Value& value,
                                                               std::string_view path,
                                                               std::vector<std::string>* warnings);

  static Verdict on_request(const Config& config, State&, FilterContext& context) noexcept {
    apply(config, context, context.request->fields, &Level::request);
    return Verdict::kNext;
  }
  static Verdict on_response(const Config& config, State&, FilterContext& context) noexcept {
    apply(config, context, context.response->fields, &Level::response);
    return Verdict::kNext;
  }

 private:
  static void apply(const Config& config, FilterContext& context, http::FieldList& fields,
                    http::HeaderEditList Level::* edits) noexcept {
    const auto one = [&](const Level& level) {
      if ((level.*edits).empty()) return;
      http::apply_edits(level.*edits, fields, *context.facts, *context.arena);
    };
    one(config);
    if (context.route_config == nullptr) [[likely]]
      return;
    const auto& levels = static_cast<const RouteConfig*>(context.route_config)->levels;
    const size_t n = levels.size();
    for (size_t i = 0; i < n; ++i) one(levels[config.most_specific_wins ? n - 1 - i : i]);
  }
};

}  // namespace sluice::filters
