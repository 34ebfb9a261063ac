#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "xds/decode_http.h"

namespace sluice::xds {
namespace {

using filters::FilterHeaderMutation;
using filters::FilterRouter;
using filters::FilterValue;
using ProtoMutation = ::envoy::config::common::mutation_rules::v3::HeaderMutation;
using ProtoHeaderMutation = ::envoy::extensions::filters::http::header_mutation::v3::HeaderMutation;
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

absl::StatusOr<FilterHeaderMutation> decode_header_mutation(const Context& context, const Path& at,
                                                            const google::protobuf::Any& any) {
  auto in = context.unpack_as<ProtoHeaderMutation>(any, at);
  if (!in.ok()) return in.status();
  const Path inside = Context::inside(any, at);
  const Path mutations(inside, "mutations");
  FilterHeaderMutation out;
  absl::Status s =
      decode_mutations(context, mutations, "request_mutations", in->mutations().request_mutations(),
                       &out.request_add, &out.request_remove);
  if (!s.ok()) return s;
  s = decode_mutations(context, mutations, "response_mutations",
                       in->mutations().response_mutations(), &out.response_add,
                       &out.response_remove);
  if (!s.ok()) return s;
  return out;
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

// A filter that we do not have: may it be left out?
absl::Status leave_out(const Context& context, const Path& at, const hcm::HttpFilter& in,
                       const std::string& type) {
  if (in.is_optional() || in.disabled()) {
    context.warn(at, type,
                 base::cat("this filter is not supported yet: left out, it is ",
                           in.is_optional() ? "optional" : "disabled", ": ", type));
    return absl::OkStatus();
  }
  if (type.empty()) {
    return context.error(Path(at, "typed_config"),
                         "is required; a filter is found by the type of its typed_config, not by "
                         "its name \"",
                         in.name(), "\"");
  }
  return context.error(Path(at, "typed_config"), "this filter is not supported yet: \"", type,
                       "\"; remove it, or set is_optional: true");
}

// Null config: left out.
absl::Status decode_filter(const Context& context, const Path& at, const hcm::HttpFilter& in,
                           std::vector<FilterValue>* out) {
  const Path config(at, "typed_config");
  const std::string type = context.type_of(in.typed_config());
  FilterValue value{in.name(), {}, in.disabled()};
  if (type == ProtoRouter::descriptor()->full_name()) {
    auto router = decode_router(context, config, in.typed_config());
    if (!router.ok()) return router.status();
    value.config = *std::move(router);
  } else if (type == ProtoHeaderMutation::descriptor()->full_name()) {
    auto mutation = decode_header_mutation(context, config, in.typed_config());
    if (!mutation.ok()) return mutation.status();
    value.config = *std::move(mutation);
  } else {
    return leave_out(context, at, in, type);
  }
  out->push_back(std::move(value));
  return absl::OkStatus();
}

bool is_router(const FilterValue& filter) {
  return std::holds_alternative<FilterRouter>(filter.config);
}

}  // namespace

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

}  // namespace sluice::xds
