// What Envoy 1.40 did with these routes and requests: when it gave up, and what its backend read.

#include "dataplane/stream_times.h"

#include <gtest/gtest.h>

#include <string>

#include "base/arena.h"

namespace sluice::dataplane {
namespace {

using Sets = router::GrpcTimeout::Sets;
constexpr int64_t kMs = 1'000'000;
constexpr const char* kNone = "";

struct Result {
  int64_t duration_ns;
  int64_t timeout_ns;
  std::string told;
  bool operator==(const Result&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Result& r) {
  return out << r.duration_ns << " ns, " << r.timeout_ns << " ns, '" << r.told << "'";
}

Result times(const router::RoutePolicy& policy, const char* grpc_timeout, bool grpc = true) {
  base::BlockPool pool;
  base::Arena arena(pool);
  http::RequestHead head;
  head.fields.bind(&arena);
  head.is_grpc = grpc;
  if (*grpc_timeout != 0) {
    EXPECT_TRUE(head.fields.add(http::HeaderId::kGrpcTimeout, grpc_timeout));
  }
  Result result;
  result.duration_ns = stream_duration_ns(&head, policy);
  result.timeout_ns = route_timeout_ns(&head, policy);
  result.told = head.fields.value(http::HeaderId::kGrpcTimeout);
  return result;
}

// max_stream_duration: {...}; its decoder turns the route's timeout off.
router::RoutePolicy duration(int64_t ms, int64_t header_max_ms, int64_t offset_ms = 0) {
  router::RoutePolicy policy;
  policy.timeout_ns = 0;
  if (ms >= 0) policy.max_stream_duration_ns = ms * kMs;
  policy.grpc_timeout_rewrites = true;
  if (header_max_ms < 0) return policy;
  policy.grpc_timeout = Sets::kDuration;
  policy.grpc_timeout_max_ms = header_max_ms;
  policy.grpc_timeout_offset_ms = offset_ms;
  return policy;
}

// timeout: 0.9s, max_grpc_timeout, grpc_timeout_offset.
router::RoutePolicy older(int64_t max_ms, int64_t offset_ms = 0) {
  router::RoutePolicy policy;
  policy.timeout_ns = 900 * kMs;
  policy.grpc_timeout = Sets::kTimeout;
  policy.grpc_timeout_max_ms = max_ms;
  policy.grpc_timeout_offset_ms = offset_ms;
  return policy;
}

TEST(StreamTimes, HeaderDoesNothingWhereTheRouteDoesNotSaySo) {
  router::RoutePolicy policy;
  policy.timeout_ns = 900 * kMs;
  EXPECT_EQ(times(policy, kNone), (Result{0, 900 * kMs, ""}));
  EXPECT_EQ(times(policy, "200m"), (Result{0, 900 * kMs, "200m"}));
}

TEST(StreamTimes, DurationIsToldToGrpcBackends) {
  const router::RoutePolicy policy = duration(800, -1);
  EXPECT_EQ(times(policy, kNone), (Result{800 * kMs, 0, "800m"}));
  EXPECT_EQ(times(policy, "200m"), (Result{800 * kMs, 0, "800m"}));
  EXPECT_EQ(times(policy, "x"), (Result{800 * kMs, 0, "800m"}));
  EXPECT_EQ(times(policy, kNone, false), (Result{800 * kMs, 0, ""}));
  EXPECT_EQ(times(policy, "200m", false), (Result{800 * kMs, 0, "200m"}));
}

TEST(StreamTimes, NoDurationLeavesTheHeaderAlone) {
  for (const int64_t ms : {-1, 0}) {
    EXPECT_EQ(times(duration(ms, -1), "200m"), (Result{0, 0, "200m"}));
    EXPECT_EQ(times(duration(ms, 0), kNone), (Result{0, 0, ""}));
    EXPECT_EQ(times(duration(ms, 0), "123456789m"), (Result{0, 0, "123456789m"}));
  }
}

TEST(StreamTimes, HeaderSetsTheDurationUpToItsMaximum) {
  const router::RoutePolicy policy = duration(-1, 400);
  EXPECT_EQ(times(policy, "200m"), (Result{200 * kMs, 0, "200m"}));
  EXPECT_EQ(times(policy, "700m"), (Result{400 * kMs, 0, "400m"}));
  EXPECT_EQ(times(policy, "250001u"), (Result{251 * kMs, 0, "251m"}));
  EXPECT_EQ(times(policy, "99999999H"), (Result{400 * kMs, 0, "400m"}));
  // Not only of gRPC requests; but the header is then the client's.
  EXPECT_EQ(times(policy, "700m", false), (Result{400 * kMs, 0, "700m"}));
}

TEST(StreamTimes, OffsetMayEndAStreamAtOnce) {
  EXPECT_EQ(times(duration(-1, 0, 100), "700m"), (Result{600 * kMs, 0, "600m"}));
  EXPECT_EQ(times(duration(600, 0, 5000), "700m"), (Result{1, 0, "0m"}));
  EXPECT_EQ(times(duration(600, 0, 0), "0m"), (Result{1, 0, "0m"}));
  EXPECT_EQ(times(duration(600, 0, 5000), kNone), (Result{600 * kMs, 0, "600m"}));
}

TEST(StreamTimes, CenturiesDoNotOverflow) {
  const Result forever = times(duration(-1, 0, 100), "99999999H");
  EXPECT_EQ(forever.told, "99999998H");
  EXPECT_EQ(forever.duration_ns, int64_t{100 * 365} * 86'400'000 * kMs);
  EXPECT_EQ(times(older(0), "99999999H").timeout_ns, forever.duration_ns);
}

TEST(StreamTimes, OlderFieldsSetTheTimeoutOfGrpcRequestsAlone) {
  EXPECT_EQ(times(older(400), kNone), (Result{0, 400 * kMs, "400m"}));
  EXPECT_EQ(times(older(400), "200m"), (Result{0, 200 * kMs, "200m"}));
  EXPECT_EQ(times(older(400), "700m"), (Result{0, 400 * kMs, "400m"}));
  EXPECT_EQ(times(older(400), "0m"), (Result{0, 400 * kMs, "400m"}));
  EXPECT_EQ(times(older(400), "200m", false), (Result{0, 900 * kMs, "200m"}));
}

TEST(StreamTimes, OlderMaximumOfZeroIsNone) {
  EXPECT_EQ(times(older(0, 100), kNone), (Result{0, 0, ""}));
  EXPECT_EQ(times(older(0, 100), "x"), (Result{0, 0, "x"}));
  EXPECT_EQ(times(older(0, 100), "0m"), (Result{0, 0, "0m"}));
  EXPECT_EQ(times(older(0, 100), "700m"), (Result{0, 600 * kMs, "600m"}));
  // An offset that would leave nothing is not taken off.
  EXPECT_EQ(times(older(0, 100), "100m"), (Result{0, 100 * kMs, "100m"}));
}

}  // namespace
}  // namespace sluice::dataplane
