#include "dataplane/log_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice::dataplane {
namespace {

using Kind = LogFilterValue::Kind;
using Compare = LogFilterValue::Compare;
using testing::HasSubstr;

LogFilterValue number(Kind kind, Compare compare, uint64_t with, std::string key = {}) {
  LogFilterValue out;
  out.kind = kind;
  out.compare = compare;
  out.number = with;
  out.runtime_key = std::move(key);
  return out;
}
LogFilterValue mask(Kind kind, uint64_t bits) { return number(kind, Compare::kEqual, bits); }
LogFilterValue of_parts(Kind kind, std::vector<LogFilterValue> parts) {
  LogFilterValue out;
  out.kind = kind;
  out.parts = std::move(parts);
  return out;
}
LogFilterValue sample(uint64_t numerator, uint32_t denominator, bool independent = false) {
  LogFilterValue out = number(Kind::kSample, Compare::kEqual, numerator);
  out.denominator = denominator;
  out.independent = independent;
  return out;
}
LogFilterValue header(router::HeaderMatch match) {
  LogFilterValue out;
  out.kind = Kind::kHeader;
  out.header = std::move(match);
  return out;
}

class LogFilterTest : public testing::Test {
 protected:
  LogFilter compiled(const LogFilterValue& value, base::RuntimeKeys* keys = nullptr) {
    auto made = LogFilter::compile(value, "filter", keys, 2);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : LogFilter();
  }
  bool wants(const LogFilterValue& value) { return compiled(value).wants(x.facts, {}); }

  oracle::SampleExchange x;
};

TEST_F(LogFilterTest, NoFilterTakesAllAndSaysSo) {
  EXPECT_TRUE(LogFilter().takes_all());
  EXPECT_TRUE(LogFilter().wants(x.facts, {}));
  EXPECT_FALSE(compiled(mask(Kind::kNone, 0)).takes_all());
  EXPECT_FALSE(wants(mask(Kind::kNone, 0)));
}

TEST_F(LogFilterTest, ComparesTheStatus) {
  const struct {
    Compare compare;
    bool below, equal, above;
  } kRows[] = {{Compare::kEqual, false, true, false},
               {Compare::kAtLeast, false, true, true},
               {Compare::kAtMost, true, true, false}};
  for (const auto& row : kRows) {
    SCOPED_TRACE(static_cast<int>(row.compare));
    const LogFilter filter = compiled(number(Kind::kStatus, row.compare, 404));
    x.facts.response_code = 403;
    EXPECT_EQ(filter.wants(x.facts, {}), row.below);
    x.facts.response_code = 404;
    EXPECT_EQ(filter.wants(x.facts, {}), row.equal);
    x.facts.response_code = 405;
    EXPECT_EQ(filter.wants(x.facts, {}), row.above);
  }
}

TEST_F(LogFilterTest, ComparesMillisecondsAlsoOfWhatEndedEarly) {
  base::Stamps stamps;
  const base::Ticks now = base::ticks_now();
  base::Ticks second = 1'000'000;  // in ticks
  while (base::ns_of_ticks(second) < 1'000'000'000) second += second / 1'000;
  stamps.set(base::Stamp::kReceived, now - second);
  stamps.set(base::Stamp::kFlushed, now - second / 2);
  x.facts.stamps = &stamps;
  EXPECT_TRUE(wants(number(Kind::kDuration, Compare::kAtLeast, 490)));
  EXPECT_FALSE(wants(number(Kind::kDuration, Compare::kAtLeast, 510)));
  stamps.set(base::Stamp::kFlushed, 0);
  EXPECT_TRUE(wants(number(Kind::kDuration, Compare::kAtLeast, 998)));
}

TEST_F(LogFilterTest, RuntimeKeysCountInPlaceOfTheNumber) {
  base::RuntimeKeys keys;
  const LogFilter filter = compiled(number(Kind::kStatus, Compare::kAtLeast, 400, "from"), &keys);
  base::RuntimeValues values;
  x.facts.response_code = 250;
  EXPECT_FALSE(filter.wants(x.facts, {&values}));
  keys.set({{"from", {.ppm = {}, .number = 200, .flag = {}}}});
  values = values.with(keys.take_changes());
  EXPECT_TRUE(filter.wants(x.facts, {&values}));
}

TEST_F(LogFilterTest, SamplesByRequestIdWhereThereIsOne) {
  const LogFilter by_id = compiled(sample(50, 100));
  for (const uint64_t random : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U}) {
    x.facts.request_id = "00000001-rest";
    EXPECT_TRUE(by_id.wants(x.facts, {nullptr, random}));
    x.facts.request_id = "0000003f-rest";
    EXPECT_FALSE(by_id.wants(x.facts, {nullptr, random}));
  }
}

TEST_F(LogFilterTest, SamplesByRandomAreIndependentOfIdsAndOfEachOther) {
  const LogFilter independent = compiled(sample(300'000, 1'000'000, true));
  const LogFilter without_id = compiled(sample(30, 100));
  const LogFilter both =
      compiled(of_parts(Kind::kAnd, {sample(50, 100, true), sample(50, 100, true)}));
  int num_independent = 0, num_without_id = 0, num_both = 0;
  for (uint64_t random = 0; random < 10'000; ++random) {
    const LogChance chance{nullptr, random};
    x.facts.request_id = "0000003f-rest";
    num_independent += independent.wants(x.facts, chance);
    num_both += both.wants(x.facts, chance);
    x.facts.request_id = "no uuid";
    num_without_id += without_id.wants(x.facts, chance);
  }
  EXPECT_NEAR(num_independent, 3'000, 250);  // more than five deviations
  EXPECT_NEAR(num_without_id, 3'000, 250);
  EXPECT_NEAR(num_both, 2'500, 250);
  EXPECT_FALSE(wants(sample(0, 100, true)));
  EXPECT_TRUE(wants(sample(100, 100, true)));
}

TEST_F(LogFilterTest, HeadersAreTheRequestsAndARelayHasNone) {
  router::HeaderMatch match;
  match.name = "x-tag";
  match.kind = router::HeaderMatch::Kind::kString;
  match.string = {router::StringMatch::Kind::kRegex, "a+", false};
  router::HeaderMatch absent;
  absent.name = "x-tag";
  absent.present = false;
  EXPECT_FALSE(wants(header(match)));
  EXPECT_TRUE(wants(header(absent)));
  oracle::SampleExchange::add(x.request.fields, {{"x-tag", "aaa"}});
  EXPECT_TRUE(compiled(header(match)).wants(x.facts, {nullptr, 0, 1})) << "worker 1";
  EXPECT_FALSE(wants(header(absent)));
  x.facts.request = nullptr;
  EXPECT_FALSE(wants(header(match)));
  EXPECT_TRUE(wants(header(absent)));
}

TEST_F(LogFilterTest, ResponseFlags) {
  const auto bit = [](base::ResponseFlag f) { return uint64_t{1} << static_cast<unsigned>(f); };
  const uint64_t no_route = bit(base::ResponseFlag::kNR);
  EXPECT_FALSE(wants(mask(Kind::kFlags, ~uint64_t{0})));
  x.facts.add_flag(base::ResponseFlag::kDC);
  EXPECT_TRUE(wants(mask(Kind::kFlags, ~uint64_t{0})));
  EXPECT_FALSE(wants(mask(Kind::kFlags, no_route)));
  x.facts.reason = base::Reason::kRouteNotFound;
  EXPECT_TRUE(wants(mask(Kind::kFlags, no_route)));
}

TEST_F(LogFilterTest, GrpcStatusOfTrailersThenHeadThenHttp) {
  const auto is = [&](uint32_t code) {
    return wants(mask(Kind::kGrpcStatus, uint64_t{1} << code));
  };
  x.facts.response_code = 503;
  EXPECT_TRUE(is(14)) << "UNAVAILABLE";
  x.facts.response_code = 0;
  EXPECT_TRUE(is(2)) << "UNKNOWN";
  oracle::SampleExchange::add(x.response.fields, {{"grpc-status", "7"}});
  EXPECT_TRUE(is(7));
  http::FieldList trailers(&x.arena);
  oracle::SampleExchange::add(trailers, {{"grpc-status", "0"}});
  x.facts.response_trailers = &trailers;
  EXPECT_TRUE(is(0));
  EXPECT_FALSE(is(7));
  for (const std::string_view odd : {"17", "-1", "x", "99999999999"}) {
    SCOPED_TRACE(odd);
    http::FieldList other(&x.arena);
    oracle::SampleExchange::add(other, {{"grpc-status", odd}});
    x.facts.response_trailers = &other;
    EXPECT_TRUE(is(LogFilterValue::kOddGrpc));
  }
}

TEST_F(LogFilterTest, LogTypes) {
  const LogFilterValue http = mask(Kind::kLogType, 1U << 6);
  const LogFilterValue relay = mask(Kind::kLogType, 1U << 3);
  EXPECT_TRUE(wants(http));
  EXPECT_FALSE(wants(relay));
  x.facts.request = nullptr;
  EXPECT_FALSE(wants(http));
  EXPECT_TRUE(wants(relay));
}

TEST_F(LogFilterTest, AndWantsAllOrWantsOne) {
  const LogFilterValue yes, no = mask(Kind::kNone, 0);
  EXPECT_TRUE(wants(of_parts(Kind::kAnd, {yes, yes})));
  EXPECT_FALSE(wants(of_parts(Kind::kAnd, {yes, no})));
  EXPECT_TRUE(wants(of_parts(Kind::kOr, {no, yes})));
  EXPECT_FALSE(wants(of_parts(Kind::kOr, {no, no})));
  EXPECT_TRUE(wants(of_parts(Kind::kAnd, {yes, of_parts(Kind::kOr, {no, yes})})));
}

TEST_F(LogFilterTest, ABadExpressionIsRefusedWithItsPlace) {
  router::HeaderMatch match;
  match.name = "x-tag";
  match.kind = router::HeaderMatch::Kind::kString;
  match.string = {router::StringMatch::Kind::kRegex, "(", false};
  const auto made =
      LogFilter::compile(of_parts(Kind::kOr, {{}, header(match)}), "logs[0].filter", nullptr, 1);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(std::string(base::message_of(made.status())),
              HasSubstr("logs[0].filter.or_filter.filters[1].header_filter.header: bad regular"));
}

}  // namespace
}  // namespace sluice::dataplane
