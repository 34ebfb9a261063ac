#include "xds/decode_routes.h"

namespace sluice::xds {
namespace {

using ::envoy::type::v3::FractionalPercent;
using router::HeaderMatch;
using router::PathMatch;
using router::StringMatch;

absl::Status decode_path(const Context& context, const Path& at, const route::RouteMatch& in,
                         PathMatch* out) {
  using Kind = PathMatch::Kind;
  out->ignore_case = in.has_case_sensitive() && !in.case_sensitive().value();
  switch (in.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      out->kind = Kind::kPrefix, out->text = in.prefix();
      return absl::OkStatus();
    case route::RouteMatch::kPath:
      out->kind = Kind::kExact, out->text = in.path();
      return absl::OkStatus();
    case route::RouteMatch::kPathSeparatedPrefix:
      out->kind = Kind::kSeparatedPrefix, out->text = in.path_separated_prefix();
      return absl::OkStatus();
    case route::RouteMatch::kSafeRegex:
      out->kind = Kind::kRegex, out->text = in.safe_regex().regex();
      out->ignore_case = false;  // as the API says
      return absl::OkStatus();
    case route::RouteMatch::kConnectMatcher:
      out->kind = Kind::kConnect;
      return absl::OkStatus();
    default:
      return context.error(at,
                           "one of prefix, path, path_separated_prefix, safe_regex, "
                           "connect_matcher is required");
  }
}

void set_string(HeaderMatch* out, StringMatch::Kind kind, const std::string& text) {
  out->kind = HeaderMatch::Kind::kString;
  out->string.kind = kind;
  out->string.text = text;
}

}  // namespace

absl::Status decode_header_match(const Context& context, const Path& at,
                                 const route::HeaderMatcher& in, HeaderMatch* out) {
  using Kind = StringMatch::Kind;
  out->name = lower_case(in.name());
  out->invert = in.invert_match();
  out->treat_missing_as_empty = in.treat_missing_header_as_empty();
  switch (in.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      set_string(out, Kind::kExact, in.exact_match());
      break;
    case route::HeaderMatcher::kPrefixMatch:
      set_string(out, Kind::kPrefix, in.prefix_match());
      break;
    case route::HeaderMatcher::kSuffixMatch:
      set_string(out, Kind::kSuffix, in.suffix_match());
      break;
    case route::HeaderMatcher::kContainsMatch:
      set_string(out, Kind::kContains, in.contains_match());
      break;
    case route::HeaderMatcher::kSafeRegexMatch:
      set_string(out, Kind::kRegex, in.safe_regex_match().regex());
      break;
    case route::HeaderMatcher::kStringMatch: {
      auto text = decode_string_match(context, Path(at, "string_match"), in.string_match());
      if (!text.ok()) return text.status();
      out->kind = HeaderMatch::Kind::kString;
      out->string = *std::move(text);
      break;
    }
    case route::HeaderMatcher::kRangeMatch:
      out->kind = HeaderMatch::Kind::kRange;
      out->range_from = in.range_match().start();
      out->range_to = in.range_match().end();
      break;
    case route::HeaderMatcher::kPresentMatch:
      out->present = in.present_match();
      break;
    default:  // present
      break;
  }
  return absl::OkStatus();
}

namespace {

absl::Status decode_query_match(const Context& context, const Path& at,
                                const route::QueryParameterMatcher& in, router::QueryMatch* out) {
  out->name = in.name();
  if (in.has_string_match()) {
    auto text = decode_string_match(context, Path(at, "string_match"), in.string_match());
    if (!text.ok()) return text.status();
    out->value = *std::move(text);
  }
  if (in.query_parameter_match_specifier_case() == route::QueryParameterMatcher::kPresentMatch) {
    out->present = in.present_match();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status decode_match(const Context& context, const Path& at, const route::RouteMatch& in,
                          router::RouteMatch* out) {
  if (absl::Status s = decode_path(context, at, in, &out->path); !s.ok()) return s;
  out->headers.resize(static_cast<size_t>(in.headers_size()));
  for (int i = 0; i < in.headers_size(); ++i) {
    absl::Status s = decode_header_match(context, Path(at, "headers", i), in.headers(i),
                                         &out->headers[static_cast<size_t>(i)]);
    if (!s.ok()) return s;
  }
  out->query.resize(static_cast<size_t>(in.query_parameters_size()));
  for (int i = 0; i < in.query_parameters_size(); ++i) {
    absl::Status s =
        decode_query_match(context, Path(at, "query_parameters", i), in.query_parameters(i),
                           &out->query[static_cast<size_t>(i)]);
    if (!s.ok()) return s;
  }
  if (in.has_runtime_fraction()) {
    const FractionalPercent& value = in.runtime_fraction().default_value();
    router::RuntimeFraction fraction;
    fraction.ppm = static_cast<uint32_t>(
        std::min<uint64_t>(1'000'000, value.numerator() * (1'000'000 / denominator_of(value))));
    fraction.runtime_key = in.runtime_fraction().runtime_key();
    out->fraction = fraction;
  }
  out->grpc_only = in.has_grpc();
  return absl::OkStatus();
}

}  // namespace sluice::xds
