#include <algorithm>
#include <memory>
#include <optional>

#include "envoy/config/core/v3/extension.pb.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/on_demand/v3/on_demand.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "xds/decode_extension.h"
#include "xds/decode_http.h"
#include "xds/decode_routes.h"

namespace sluice::xds {
namespace {

using filters::FilterHeaderMutation;
using filters::FilterOnDemand;
using filters::FilterRouter;
using filters::FilterValue;
using ProtoMutation = ::envoy::config::common::mutation_rules::v3::HeaderMutation;
using ProtoHeaderMutation = ::envoy::extensions::filters::http::header_mutation::v3::HeaderMutation;
using ProtoRouteMutation =
    ::envoy::extensions::filters::http::header_mutation::v3::HeaderMutationPerRoute;
using filters::RouteFilterValue;
using filters::RouteHeaderMutation;
using ProtoRouteOnDemand = ::envoy::extensions::filters::http::on_demand::v3::PerRouteConfig;
using ProtoOnDemand = ::envoy::extensions::filters::http::on_demand::v3::OnDemand;
using ProtoRouter = ::envoy::extensions::filters::http::router::v3::Router;

absl::Status decode_mutations(const Context& context, const Path& at, Text field,
                              const Repeated<ProtoMutation>& in,
                              std::vector<http::HeaderMutation>* add,
                              std::vector<std::string>* remove) {
  bool added = false;
  for (int i = 0; i < in.size(); ++i) {
    const Path here(at, field, i);
    if (in[i].action_case() == ProtoMutation::kRemove) {
      // Envoy runs them in order, we run removals first.
      if (added) {
        return context.error(Path(here, "remove"),
                             "a removal after an addition is not supported yet; put removals "
                             "first");
      }
      remove->push_back(lower_case(in[i].remove()));
      continue;
    }
    auto header = decode_header(context, Path(here, "append"), in[i].append());
    if (!header.ok()) return header.status();
    add->push_back(*std::move(header));
    added = true;
  }
  return absl::OkStatus();
}

// `Value` is what a filter says or what a route says.
template <typename Proto, typename Value>
absl::Status decode_all_mutations(const Context& context, const Path& at, const Proto& in,
                                  Value* out) {
  const Path mutations(at, "mutations");
  absl::Status s =
      decode_mutations(context, mutations, "request_mutations", in.mutations().request_mutations(),
                       &out->request_add, &out->request_remove);
  if (!s.ok()) return s;
  return decode_mutations(context, mutations, "response_mutations",
                          in.mutations().response_mutations(), &out->response_add,
                          &out->response_remove);
}

absl::StatusOr<FilterHeaderMutation> decode_header_mutation(const Context& context, const Path& at,
                                                            const google::protobuf::Any& any) {
  auto in = context.unpack_as<ProtoHeaderMutation>(any, at);
  if (!in.ok()) return in.status();
  FilterHeaderMutation out;
  out.most_specific_wins = in->most_specific_header_mutations_wins();
  absl::Status s = decode_all_mutations(context, Context::inside(any, at), *in, &out);
  if (!s.ok()) return s;
  return out;
}

// Of the filter itself or of a route: both have but `odcds`, and without it clusters are not asked
// for.
template <typename Message>
absl::StatusOr<FilterOnDemand> decode_on_demand(const Context& context, const Path& at,
                                                const google::protobuf::Any& any) {
  auto in = context.unpack_as<Message>(any, at);
  if (!in.ok()) return in.status();
  FilterOnDemand out;
  if (!in->has_odcds()) return out;
  const Path inside = Context::inside(any, at);
  const Path odcds(inside, "odcds");
  const Path source(odcds, "source");
  if (!in->odcds().resources_locator().empty()) {
    return context.error(Path(odcds, "resources_locator"),
                         "is not supported yet; clusters are asked for by their names");
  }
  out.odcds = true;
  std::chrono::nanoseconds unused{0};
  absl::Status s =
      decode_config_source(context, source, in->odcds().source(), &out.source, &unused);
  if (s.ok()) s = require_delta(context, source, out.source);
  if (!s.ok()) return s;
  if (!in->odcds().has_timeout()) return out;
  std::chrono::nanoseconds timeout{0};
  s = decode_duration(context, Path(odcds, "timeout"), in->odcds().timeout(), &timeout);
  if (!s.ok()) return s;
  out.timeout_ns = timeout.count();
  return out;
}

// The configuration of one filter for routes. False: not one of ours.
absl::StatusOr<bool> decode_route_filter(const Context& context, const Path& at,
                                         const google::protobuf::Any& any, RouteFilterValue* out) {
  const std::string type = context.type_of(any);
  if (type == ProtoRouteOnDemand::descriptor()->full_name()) {
    auto on_demand = decode_on_demand<ProtoRouteOnDemand>(context, at, any);
    if (!on_demand.ok()) return on_demand.status();
    out->config = *std::move(on_demand);
    return true;
  }
  if (type != ProtoRouteMutation::descriptor()->full_name()) return false;
  auto in = context.unpack_as<ProtoRouteMutation>(any, at);
  if (!in.ok()) return in.status();
  RouteHeaderMutation value;
  absl::Status s = decode_all_mutations(context, Context::inside(any, at), *in, &value);
  if (!s.ok()) return s;
  out->config = std::move(value);
  return true;
}

// False: left out. As Envoy: a FilterConfig that disables says nothing else, an empty `config`
// enables, none at all is an error.
absl::StatusOr<bool> decode_setting(const Context& context, const Path& at,
                                    const google::protobuf::Any& any, RouteFilterValue* out) {
  google::protobuf::Any inner = any;
  bool optional = false;
  if (context.type_of(any) == route::FilterConfig::descriptor()->full_name()) {
    auto wrapper = context.unpack_as<route::FilterConfig>(any, at);
    if (!wrapper.ok()) return wrapper.status();
    out->disabled = wrapper->disabled();
    if (out->disabled) return true;
    if (!wrapper->has_config()) {
      return context.error(at, "has neither disabled: true nor a config");
    }
    optional = wrapper->is_optional();
    inner = wrapper->config();
    if (inner.type_url().empty()) return true;
  }
  auto known = decode_route_filter(context, at, inner, out);
  if (!known.ok() || *known) return known;
  if (optional) {
    context.warn(at, "typed_per_filter_config",
                 base::cat("settings of this filter are not supported yet: left out, they are "
                           "optional: ",
                           context.type_of(inner)));
    return false;
  }
  return context.error(at, "settings of this filter per route are not supported yet: \"",
                       context.type_of(inner), "\"; remove them");
}

absl::StatusOr<FilterRouter> decode_router(const Context& context, const Path& at,
                                           const google::protobuf::Any& any) {
  auto in = context.unpack_as<ProtoRouter>(any, at);
  if (!in.ok()) return in.status();
  FilterRouter out;
  out.suppress_envoy_headers = in->suppress_envoy_headers();
  if (in->has_dynamic_stats()) out.dynamic_stats = in->dynamic_stats().value();
  return out;
}

// A filter that we do not have, named at `at`: may it be left out?
absl::Status leave_out(const Context& context, const Path& at, const hcm::HttpFilter& in,
                       const std::string& type) {
  if (in.is_optional() || in.disabled()) {
    context.warn(at, type,
                 base::cat("this filter is not supported yet: left out, it is ",
                           in.is_optional() ? "optional" : "disabled", ": ", type));
    return absl::OkStatus();
  }
  if (type.empty()) {
    return context.error(at,
                         "is required; a filter is found by the type of its typed_config, not by "
                         "its name \"",
                         in.name(), "\"");
  }
  return context.error(at, "this filter is not supported yet: \"", type,
                       "\"; remove it, or set is_optional: true");
}

// None: a type that we do not have.
absl::StatusOr<std::optional<filters::FilterConfig>> decode_config(
    const Context& context, const Path& at, const google::protobuf::Any& any) {
  const std::string type = context.type_of(any);
  if (type == ProtoRouter::descriptor()->full_name()) {
    auto router = decode_router(context, at, any);
    if (!router.ok()) return router.status();
    return filters::FilterConfig(*std::move(router));
  }
  if (type == ProtoHeaderMutation::descriptor()->full_name()) {
    auto mutation = decode_header_mutation(context, at, any);
    if (!mutation.ok()) return mutation.status();
    return filters::FilterConfig(*std::move(mutation));
  }
  if (type == ProtoOnDemand::descriptor()->full_name()) {
    auto on_demand = decode_on_demand<ProtoOnDemand>(context, at, any);
    if (!on_demand.ok()) return on_demand.status();
    return filters::FilterConfig(*std::move(on_demand));
  }
  return std::nullopt;
}

bool is_known(std::string_view type) {
  return type == ProtoHeaderMutation::descriptor()->full_name();
}

// What the filter is until its configuration comes.
absl::Status decode_default(const Context& context, const Path& at,
                            const google::protobuf::Any& any, filters::FilterDiscovery* out) {
  const std::string type = context.type_of(any);
  if (std::find(out->types.begin(), out->types.end(), type) == out->types.end()) {
    return context.error(at, "its type is not among type_urls: \"", type, "\"; add it there");
  }
  auto config = decode_config(context, at, any);
  if (!config.ok()) return config.status();
  out->otherwise = std::make_shared<const filters::FilterConfig>(**std::move(config));
  return absl::OkStatus();
}

// Rule 136.
absl::Status decode_discovery(const Context& context, const Path& at, const hcm::HttpFilter& in,
                              std::vector<FilterValue>* out) {
  const core::ExtensionConfigSource& source = in.config_discovery();
  auto discovery = std::make_shared<filters::FilterDiscovery>();
  for (int i = 0; i < source.type_urls_size(); ++i) {
    const std::string& url = source.type_urls(i);
    const std::string type = url.substr(url.rfind('/') + 1);
    if (type == ProtoRouter::descriptor()->full_name()) {
      return context.error(Path(at, "type_urls", i),
                           "the router cannot come by itself; write its typed_config");
    }
    if (!is_known(type)) return leave_out(context, Path(at, "type_urls", i), in, type);
    discovery->types.push_back(type);
  }
  absl::Status s = decode_discovery_source(context, at, source, discovery.get());
  if (!s.ok()) return s;
  if (source.has_default_config()) {
    s = decode_default(context, Path(at, "default_config"), source.default_config(),
                       discovery.get());
    if (!s.ok()) return s;
  }
  FilterValue value{in.name(), filters::FilterMissing{}, in.disabled(), discovery};
  if (discovery->otherwise != nullptr) value.config = *discovery->otherwise;
  out->push_back(std::move(value));
  return absl::OkStatus();
}

absl::Status decode_filter(const Context& context, const Path& at, const hcm::HttpFilter& in,
                           std::vector<FilterValue>* out) {
  if (in.has_config_discovery()) {
    return decode_discovery(context, Path(at, "config_discovery"), in, out);
  }
  auto config = decode_config(context, Path(at, "typed_config"), in.typed_config());
  if (!config.ok()) return config.status();
  if (!*config) {
    return leave_out(context, Path(at, "typed_config"), in, context.type_of(in.typed_config()));
  }
  out->push_back({in.name(), **std::move(config), in.disabled()});
  return absl::OkStatus();
}

bool is_router(const FilterValue& filter) {
  return std::holds_alternative<FilterRouter>(filter.config);
}

}  // namespace

absl::Status decode_filter_settings(
    const Context& context, const Path& at,
    const google::protobuf::Map<std::string, google::protobuf::Any>& in,
    std::vector<RouteFilterValue>* out) {
  for (const auto& [name, any] : in) {
    RouteFilterValue value{.name = name};
    auto kept =
        decode_setting(context, Path::entry(at, "typed_per_filter_config", name), any, &value);
    if (!kept.ok()) return kept.status();
    if (*kept) out->push_back(std::move(value));
  }
  std::sort(out->begin(), out->end(),
            [](const RouteFilterValue& a, const RouteFilterValue& b) { return a.name < b.name; });
  return absl::OkStatus();
}

absl::Status decode_http_filters(const Context& context, const Path& at,
                                 const hcm::HttpConnectionManager& in,
                                 std::vector<FilterValue>* out) {
  for (int i = 0; i < in.http_filters_size(); ++i) {
    const Path here(at, "http_filters", i);
    if (absl::Status s = decode_filter(context, here, in.http_filters(i), out); !s.ok()) return s;
    const bool last = i + 1 == in.http_filters_size();
    if (!last && !out->empty() && is_router(out->back())) {
      return context.error(here, "the router must be the last filter; move it to the end");
    }
  }
  const bool ends = !out->empty() && is_router(out->back()) && !out->back().disabled;
  if (ends) return absl::OkStatus();
  return context.error(Path(at, "http_filters"),
                       "the last filter must be the router; add "
                       "envoy.extensions.filters.http.router.v3.Router");
}

absl::Status decode_discovery_source(const Context& context, const Path& at,
                                     const core::ExtensionConfigSource& in,
                                     filters::FilterDiscovery* out) {
  const Path from(at, "config_source");
  if (!in.has_config_source()) {
    return context.error(from, "is required; say where the configuration comes from");
  }
  if (in.apply_default_config_without_warming()) {
    if (!in.has_default_config()) {
      return context.error(Path(at, "apply_default_config_without_warming"),
                           "there is no default_config; write one");
    }
    out->warms = false;
  }
  return decode_config_source(context, from, in.config_source(), &out->source,
                              &out->initial_fetch_timeout);
}

absl::StatusOr<DecodedExtension> decode_extension(std::string_view bytes,
                                                  const DecodeOptions& options,
                                                  Warnings* warnings) {
  Context context(options, warnings, "extension");
  const Path root;
  core::TypedExtensionConfig in;
  if (!parse_message(bytes, &in)) return context.error(root, "not a serialised extension");
  context.set_label(base::cat("extension \"", in.name(), "\""));
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  const Path at(root, "typed_config");
  const std::string type = context.type_of(in.typed_config());
  if (is_network_filter(type)) {
    auto filter = decode_network_config(context, at, in.typed_config(), in.name());
    if (!filter.ok()) return filter.status();
    return DecodedExtension{in.name(), type,
                            std::make_shared<const NetworkFilter>(*std::move(filter))};
  }
  auto config = decode_config(context, at, in.typed_config());
  if (!config.ok()) return config.status();
  if (!*config) return context.error(at, "not a filter that Sluice has: \"", type, "\"");
  return DecodedExtension{in.name(), type, **std::move(config)};
}

}  // namespace sluice::xds
