#include "xds/decode_scopes.h"

#include <set>
#include <utility>

#include "xds/decode.h"
#include "xds/decode_parts.h"
#include "xds/decode_routes.h"

namespace sluice::xds {
namespace {

namespace hcm = ::envoy::extensions::filters::network::http_connection_manager::v3;
using Extractor = hcm::ScopedRoutes::ScopeKeyBuilder::FragmentBuilder::HeaderValueExtractor;

absl::Status decode_extractor(const Context& context, const Path& at, const Extractor& in,
                              router::ScopeFragmentValue* out) {
  out->header = lower_case(in.name());
  out->element_separator = in.element_separator();
  switch (in.extract_type_case()) {
    case Extractor::kIndex:
      out->index = in.index();
      if (out->index == 0 || !out->element_separator.empty()) return absl::OkStatus();
      return context.error(
          Path(at, "index"),
          "must be 0, as there is one element without an element_separator: ", out->index);
    case Extractor::kElement:
      out->by_key = true;
      out->key_separator = in.element().separator();
      out->key = in.element().key();
      return absl::OkStatus();
    default:
      return context.error(at, "says neither index nor element; set one of them");
  }
}

absl::Status check_scopes(const Context& context, const Path& at,
                          const std::vector<router::ScopeValue>& scopes) {
  std::set<std::string_view> names;
  std::set<std::vector<std::string>> keys;
  for (size_t i = 0; i < scopes.size(); ++i) {
    const Path here(at, "scoped_route_configurations", static_cast<int>(i));
    if (!names.insert(scopes[i].name).second) {
      return context.error(Path(here, "name"), "given twice: \"", scopes[i].name, "\"");
    }
    if (!keys.insert(scopes[i].key).second) {
      return context.error(Path(here, "key"), "another scope has the same key: \"", scopes[i].name,
                           "\"");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status decode_scope(const Context& context, const Path& at,
                          const route::ScopedRouteConfiguration& in, router::ScopeValue* out) {
  out->name = in.name();
  out->on_demand = in.on_demand();
  for (const auto& fragment : in.key().fragments()) out->key.push_back(fragment.string_key());
  if (out->key.size() > router::ScopeKey::kMaxFragments) {
    return context.error(Path(at, "key"), "has more than ", router::ScopeKey::kMaxFragments,
                         " fragments: ", out->key.size());
  }
  if (in.has_route_configuration() == !in.route_configuration_name().empty()) {
    return context.error(at,
                         "must say either route_configuration or route_configuration_name, and "
                         "not both");
  }
  if (!in.has_route_configuration()) {
    out->rds_name = normal_name(in.route_configuration_name());
    return absl::OkStatus();
  }
  if (out->on_demand) {
    return context.error(Path(at, "on_demand"),
                         "cannot be with an inline route_configuration, which is here already");
  }
  auto routes =
      decode_inline_routes(context, Path(at, "route_configuration"), in.route_configuration());
  if (!routes.ok()) return routes.status();
  out->inline_routes = std::make_shared<const router::RouteConfigValue>(*std::move(routes));
  return absl::OkStatus();
}

absl::Status decode_scoped_routes(const Context& context, const Path& at,
                                  const hcm::ScopedRoutes& in, dataplane::ScopedRoutesValue* out) {
  out->name = in.name();
  const Path builder(at, "scope_key_builder");
  for (int i = 0; i < in.scope_key_builder().fragments_size(); ++i) {
    const Path fragment(builder, "fragments", i);
    absl::Status s = decode_extractor(context, Path(fragment, "header_value_extractor"),
                                      in.scope_key_builder().fragments(i).header_value_extractor(),
                                      &out->key.emplace_back());
    if (!s.ok()) return s;
  }
  if (in.has_rds_config_source()) {
    absl::Status s =
        decode_config_source(context, Path(at, "rds_config_source"), in.rds_config_source(),
                             &out->rds_source, &out->rds_initial_fetch_timeout);
    if (!s.ok()) return s;
  }
  bool names_routes = in.has_scoped_rds();
  if (in.has_scoped_rds()) {
    const Path srds(at, "scoped_rds");
    if (!in.scoped_rds().srds_resources_locator().empty()) {
      return context.error(Path(srds, "srds_resources_locator"),
                           "is not supported; the scopes of scoped_rds_config_source are used");
    }
    out->subscribed = true;
    absl::Status s = decode_config_source(context, Path(srds, "scoped_rds_config_source"),
                                          in.scoped_rds().scoped_rds_config_source(), &out->source,
                                          &out->initial_fetch_timeout);
    if (!s.ok()) return s;
  } else {
    const Path list(at, "scoped_route_configurations_list");
    const auto& configs = in.scoped_route_configurations_list().scoped_route_configurations();
    for (int i = 0; i < configs.size(); ++i) {
      absl::Status s = decode_scope(context, Path(list, "scoped_route_configurations", i),
                                    configs[i], &out->scopes.emplace_back());
      if (!s.ok()) return s;
      names_routes = names_routes || !out->scopes.back().rds_name.empty();
    }
    if (absl::Status s = check_scopes(context, list, out->scopes); !s.ok()) return s;
  }
  if (names_routes && !in.has_rds_config_source()) {
    return context.error(Path(at, "rds_config_source"),
                         "is required where scopes name their route configurations");
  }
  return absl::OkStatus();
}

absl::StatusOr<router::ScopeValue> decode_scope(std::string_view bytes, std::string_view,
                                                const DecodeOptions& options, Warnings* warnings) {
  Context context(options, warnings, "route scope");
  const Path root;
  route::ScopedRouteConfiguration in;
  if (!parse_message(bytes, &in)) {
    return context.error(root, "not a serialised ScopedRouteConfiguration");
  }
  context.set_label(base::cat("route scope \"", in.name(), "\""));
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  router::ScopeValue out;
  if (absl::Status s = decode_scope(context, root, in, &out); !s.ok()) return s;
  return out;
}

}  // namespace sluice::xds
