#include <cstdint>
#include <string>
#include <string_view>

#include "xds/decode_routes.h"

namespace sluice::xds {
namespace {

using dataplane::LogFilterValue;
using Kind = LogFilterValue::Kind;
using ::envoy::config::accesslog::v3::AccessLogFilter;
using ::envoy::config::accesslog::v3::ComparisonFilter;
using ::envoy::config::accesslog::v3::RuntimeFilter;

void compare(Kind kind, const ComparisonFilter& in, LogFilterValue* out) {
  using Compare = LogFilterValue::Compare;
  out->kind = kind;
  out->compare = in.op() == ComparisonFilter::GE   ? Compare::kAtLeast
                 : in.op() == ComparisonFilter::LE ? Compare::kAtMost
                                                   : Compare::kEqual;
  out->number = in.value().default_value();
  out->runtime_key = in.value().runtime_key();
}

void sample(const RuntimeFilter& in, LogFilterValue* out) {
  out->kind = Kind::kSample;
  out->number = in.percent_sampled().numerator();
  out->denominator = static_cast<uint32_t>(denominator_of(in.percent_sampled()));
  out->independent = in.use_independent_randomness();
  out->runtime_key = in.runtime_key();
}

// 0: one that Sluice never sets.
uint64_t bit_of_flag(std::string_view name) {
  for (unsigned i = 1; i < static_cast<unsigned>(base::ResponseFlag::kCount); ++i) {
    if (base::short_name(static_cast<base::ResponseFlag>(i)) == name) return uint64_t{1} << i;
  }
  return 0;
}

// The bits of the numbers, which the rules of the proto keep below 64; all others with `exclude`.
template <typename Numbers>
void members(Kind kind, const Numbers& numbers, bool exclude, LogFilterValue* out) {
  out->kind = kind;
  for (const int number : numbers) {
    if (number >= 0 && number < 64) out->number |= uint64_t{1} << number;
  }
  if (exclude) out->number = ~out->number;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as LogFilterValue::kMaxDepth
absl::Status decode(const Context& context, const Path& at, const AccessLogFilter& in, size_t depth,
                    LogFilterValue* out);

// NOLINTNEXTLINE(misc-no-recursion)
absl::Status decode_parts(const Context& context, const Path& at, Kind kind,
                          const Repeated<AccessLogFilter>& in, size_t depth, LogFilterValue* out) {
  if (depth == LogFilterValue::kMaxDepth) {
    return context.error(at, "more than ", LogFilterValue::kMaxDepth,
                         " filters inside each other; write them side by side");
  }
  out->kind = kind;
  out->parts.resize(static_cast<size_t>(in.size()));
  for (int i = 0; i < in.size(); ++i) {
    absl::Status s = decode(context, Path(at, "filters", i), in[i], depth + 1,
                            &out->parts[static_cast<size_t>(i)]);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

// NOLINTNEXTLINE(misc-no-recursion)
absl::Status decode(const Context& context, const Path& at, const AccessLogFilter& in, size_t depth,
                    LogFilterValue* out) {
  switch (in.filter_specifier_case()) {
    case AccessLogFilter::kStatusCodeFilter:
      compare(Kind::kStatus, in.status_code_filter().comparison(), out);
      break;
    case AccessLogFilter::kDurationFilter:
      compare(Kind::kDuration, in.duration_filter().comparison(), out);
      break;
    case AccessLogFilter::kNotHealthCheckFilter:  // the health check filter would say which are
      out->kind = Kind::kAll;
      break;
    case AccessLogFilter::kTraceableFilter:  // as in Envoy without `tracing`
      context.warn(Path(at, "traceable_filter"), "traceable_filter",
                   "nothing is traceable without tracing, which is not supported yet: no request "
                   "passes");
      out->kind = Kind::kNone;
      break;
    case AccessLogFilter::kRuntimeFilter:
      sample(in.runtime_filter(), out);
      break;
    case AccessLogFilter::kAndFilter:
      return decode_parts(context, Path(at, "and_filter"), Kind::kAnd, in.and_filter().filters(),
                          depth, out);
    case AccessLogFilter::kOrFilter:
      return decode_parts(context, Path(at, "or_filter"), Kind::kOr, in.or_filter().filters(),
                          depth, out);
    case AccessLogFilter::kHeaderFilter:
      out->kind = Kind::kHeader;
      return decode_header_match(context, Path(Path(at, "header_filter"), "header"),
                                 in.header_filter().header(), &out->header);
    case AccessLogFilter::kResponseFlagFilter:
      out->kind = Kind::kFlags;
      for (const std::string& flag : in.response_flag_filter().flags()) {
        out->number |= bit_of_flag(flag);
      }
      if (in.response_flag_filter().flags().empty()) out->number = ~uint64_t{0};
      break;
    case AccessLogFilter::kGrpcStatusFilter:
      members(Kind::kGrpcStatus, in.grpc_status_filter().statuses(),
              in.grpc_status_filter().exclude(), out);
      break;
    case AccessLogFilter::kMetadataFilter: {  // no filter here sets dynamic metadata
      const auto& filter = in.metadata_filter();
      const bool otherwise =
          !filter.has_match_if_key_not_found() || filter.match_if_key_not_found().value();
      out->kind = otherwise ? Kind::kAll : Kind::kNone;
      break;
    }
    case AccessLogFilter::kLogTypeFilter:
      members(Kind::kLogType, in.log_type_filter().types(), in.log_type_filter().exclude(), out);
      break;
    default:  // extension_filter was refused by the support table
      return context.error(at, "name one filter, such as status_code_filter");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status decode_log_filter(const Context& context, const Path& at, const AccessLogFilter& in,
                               LogFilterValue* out) {
  return decode(context, at, in, 0, out);
}

}  // namespace sluice::xds
