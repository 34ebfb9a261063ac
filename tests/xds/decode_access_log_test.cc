// Which lines an access log gets: filters as they are decoded, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/reason.h"
#include "tests/xds/decoding.h"

namespace sluice::xds {
namespace {

using dataplane::LogFilterValue;
using Kind = LogFilterValue::Kind;
using Compare = LogFilterValue::Compare;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string log_with(std::string_view filter) {
  return listener_with(
      base::cat(kRds,
                ", access_log: [{name: f, typed_config: {'@type': type.googleapis.com/envoy."
                "extensions.access_loggers.file.v3.FileAccessLog, path: /tmp/a}, filter: {",
                filter, "}}]"));
}

LogFilterValue filter_of(std::string_view filter, Warned* warned = nullptr) {
  const auto got = listener_of(log_with(filter), warned);
  EXPECT_TRUE(got.ok()) << got.status();
  if (!got.ok() || got->http.access_logs.size() != 1) return {};
  return got->http.access_logs[0].filter;
}

std::string error_of(std::string_view filter) {
  const auto got = listener_of(log_with(filter));
  return got.ok() ? "" : std::string(base::message_of(got.status()));
}

TEST(DecodeAccessLog, TakesComparisons) {
  Warned warned;
  LogFilterValue got = filter_of(
      "status_code_filter: {comparison: {op: LE, value: {default_value: 399, runtime_key: k}}}",
      &warned);
  EXPECT_THAT(warned.texts, IsEmpty());
  EXPECT_EQ(got.kind, Kind::kStatus);
  EXPECT_EQ(got.compare, Compare::kAtMost);
  EXPECT_EQ(got.number, 399U);
  EXPECT_EQ(got.runtime_key, "k");
  got = filter_of(
      "duration_filter: {comparison: {op: GE, value: {default_value: 1000, "
      "runtime_key: k}}}");
  EXPECT_EQ(got.kind, Kind::kDuration);
  EXPECT_EQ(got.compare, Compare::kAtLeast);
  EXPECT_EQ(got.number, 1000U);
  got =
      filter_of("status_code_filter: {comparison: {value: {default_value: 404, runtime_key: k}}}");
  EXPECT_EQ(got.compare, Compare::kEqual);
}

TEST(DecodeAccessLog, TakesSamplesHeadersFlagsStatusesAndTypes) {
  LogFilterValue got = filter_of(
      "runtime_filter: {runtime_key: k, percent_sampled: {numerator: 5, denominator: MILLION}, "
      "use_independent_randomness: true}");
  EXPECT_EQ(got.kind, Kind::kSample);
  EXPECT_EQ(got.number, 5U);
  EXPECT_EQ(got.denominator, 1'000'000U);
  EXPECT_TRUE(got.independent);
  got = filter_of("header_filter: {header: {name: X-Tag, string_match: {prefix: a}}}");
  EXPECT_EQ(got.kind, Kind::kHeader);
  EXPECT_EQ(got.header.name, "x-tag");
  EXPECT_EQ(got.header.string.text, "a");
  const auto bit = [](base::ResponseFlag f) { return uint64_t{1} << static_cast<unsigned>(f); };
  // RFCF, which Sluice never sets, is one of Envoy's.
  got = filter_of("response_flag_filter: {flags: [NR, UF, RFCF]}");
  EXPECT_EQ(got.kind, Kind::kFlags);
  EXPECT_EQ(got.number, bit(base::ResponseFlag::kNR) | bit(base::ResponseFlag::kUF));
  EXPECT_EQ(filter_of("response_flag_filter: {}").number, ~uint64_t{0});
  got = filter_of("grpc_status_filter: {statuses: [OK, UNAVAILABLE]}");
  EXPECT_EQ(got.kind, Kind::kGrpcStatus);
  EXPECT_EQ(got.number, 1U << 0 | 1U << 14);
  EXPECT_EQ(filter_of("grpc_status_filter: {statuses: [OK], exclude: true}").number, ~uint64_t{1});
  got = filter_of("log_type_filter: {types: [DownstreamEnd, TcpConnectionEnd]}");
  EXPECT_EQ(got.kind, Kind::kLogType);
  EXPECT_EQ(got.number, 1U << 6 | 1U << 3);
}

TEST(DecodeAccessLog, WhatNeverAppliesIsAllOrNothing) {
  Warned warned;
  EXPECT_EQ(filter_of("not_health_check_filter: {}", &warned).kind, Kind::kAll);
  EXPECT_THAT(warned.texts, IsEmpty());
  EXPECT_EQ(filter_of("traceable_filter: {}", &warned).kind, Kind::kNone);
  EXPECT_THAT(warned.texts, ElementsAre(HasSubstr("nothing is traceable without tracing")));
  EXPECT_EQ(filter_of("metadata_filter: {matcher: {filter: f, path: [{key: a}], value: "
                      "{present_match: true}}}",
                      &warned)
                .kind,
            Kind::kAll);
  EXPECT_THAT(warned.texts, ElementsAre(HasSubstr("nothing here sets dynamic metadata")));
  EXPECT_EQ(filter_of("metadata_filter: {match_if_key_not_found: false}").kind, Kind::kNone);
}

TEST(DecodeAccessLog, TakesAndAndOrInsideEachOther) {
  const LogFilterValue got = filter_of(
      "or_filter: {filters: [{response_flag_filter: {}}, {and_filter: {filters: [{log_type_filter: "
      "{}}, {header_filter: {header: {name: a}}}]}}]}");
  EXPECT_EQ(got.kind, Kind::kOr);
  ASSERT_EQ(got.parts.size(), 2U);
  EXPECT_EQ(got.parts[0].kind, Kind::kFlags);
  EXPECT_EQ(got.parts[1].kind, Kind::kAnd);
  ASSERT_EQ(got.parts[1].parts.size(), 2U);
  EXPECT_EQ(got.parts[1].parts[1].header.name, "a");
}

TEST(DecodeAccessLog, RefusesWithPathAndRemedy) {
  constexpr std::string_view kAt = "filter_chains[0].filters[0].typed_config.access_log[0].filter";
  std::string deep = "not_health_check_filter: {}";
  for (size_t i = 0; i < LogFilterValue::kMaxDepth; ++i) {
    deep = base::cat("or_filter: {filters: [{not_health_check_filter: {}}, {", deep, "}]}");
  }
  EXPECT_EQ(error_of(deep), "") << "as deep as it may be";
  const struct {
    std::string filter;
    std::string_view message;
  } kRows[] = {
      {base::cat("and_filter: {filters: [{not_health_check_filter: {}}, {", deep, "}]}"),
       "more than 16 filters inside each other; write them side by side"},
      {"extension_filter: {name: cel}",
       ".extension_filter: not supported yet, and not safe to ignore; remove it"},
      {"or_filter: {filters: [{not_health_check_filter: {}}, {extension_filter: {name: cel}}]}",
       ".or_filter.filters[1].extension_filter: not supported yet, and not safe to ignore"},
      {"response_flag_filter: {flags: [NR, NOPE]}", ".response_flag_filter.flags[1]"},
      {"and_filter: {filters: [{not_health_check_filter: {}}]}", ".and_filter.filters"},
      {"status_code_filter: {comparison: {op: GE}}", ".status_code_filter.comparison.value"},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.filter);
    const std::string error = error_of(row.filter);
    EXPECT_THAT(error, HasSubstr(kAt));
    EXPECT_THAT(error, HasSubstr(row.message));
  }
}

}  // namespace
}  // namespace sluice::xds
