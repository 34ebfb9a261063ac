#include "dataplane/stream_times.h"

#include <algorithm>

#include "http/grpc.h"

namespace sluice::dataplane {
namespace {

using http::HeaderId;
using Sets = router::GrpcTimeout::Sets;

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kCenturyMs = int64_t{100 * 365} * 86'400'000;

int64_t to_ns(int64_t ms) noexcept { return std::min(ms, kCenturyMs) * kNsPerMs; }

// -1: there is none that makes sense.
int64_t clients_ms(const http::RequestHead& head) noexcept {
  const http::Field* field = head.fields.find(HeaderId::kGrpcTimeout);
  return field == nullptr ? -1 : http::grpc_timeout_ms(field->value());
}

void tell_backend(http::RequestHead* head, int64_t ms) noexcept {
  char text[http::kGrpcTimeoutSize];
  // Where there is no memory for it the head as a whole is refused soon.
  head->fields.set(HeaderId::kGrpcTimeout,
                   http::write_grpc_timeout(static_cast<uint64_t>(ms), text));
}

int64_t limited(int64_t ms, const router::RoutePolicy& policy) noexcept {
  return policy.grpc_timeout_max_ms == 0 ? ms : std::min(ms, policy.grpc_timeout_max_ms);
}

}  // namespace

int64_t stream_duration_ns(http::RequestHead* head, const router::RoutePolicy& policy) noexcept {
  const int64_t asked = policy.grpc_timeout == Sets::kDuration ? clients_ms(*head) : -1;
  const int64_t configured_ns = std::max<int64_t>(policy.max_stream_duration_ns, 0);
  if (asked < 0 && configured_ns == 0) return 0;
  const int64_t ms =
      asked < 0 ? configured_ns / kNsPerMs
                : std::max<int64_t>(limited(asked, policy) - policy.grpc_timeout_offset_ms, 0);
  if (policy.grpc_timeout_rewrites && head->is_grpc) tell_backend(head, ms);
  return asked < 0 ? configured_ns : std::max<int64_t>(to_ns(ms), 1);
}

int64_t route_timeout_ns(http::RequestHead* head, const router::RoutePolicy& policy) noexcept {
  if (policy.grpc_timeout != Sets::kTimeout || !head->is_grpc) {
    return std::max<int64_t>(policy.timeout_ns, 0);
  }
  int64_t ms = std::max<int64_t>(clients_ms(*head), 0);
  if (ms > policy.grpc_timeout_offset_ms) ms -= policy.grpc_timeout_offset_ms;
  ms = ms == 0 ? policy.grpc_timeout_max_ms : limited(ms, policy);
  if (ms != 0) tell_backend(head, ms);
  return to_ns(ms);
}

}  // namespace sluice::dataplane
