#include "router/virtual_host.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace sluice::router {

const Route* VirtualHost::match(EvalContext& context) const noexcept {
  const uint32_t index = paths_.match(routes_.data(), context);
  return index == PathIndex::kNone ? nullptr : &routes_[index];
}

size_t VirtualHost::memory_bytes() const noexcept {
  size_t bytes = sizeof(*this) + routes_.capacity() * sizeof(Route) + text_.capacity() +
                 paths_.memory_bytes() + clusters_.capacity() * sizeof(ClusterRef) +
                 policies_.capacity() * sizeof(policies_[0]) +
                 predicates_.size() * (sizeof(Predicates) + sizeof(void*));
  for (const auto& predicates : predicates_) {
    bytes += predicates->headers.capacity() * sizeof(HeaderPredicate) +
             predicates->query.capacity() * sizeof(QueryPredicate);
  }
  for (const auto& policy : policies_) {  // a policy that is shared counts in part
    size_t its = sizeof(RoutePolicy) + policy->weighted.capacity() * sizeof(WeightedTarget);
    its += (policy->target.request_edits.size() + policy->target.response_edits.size()) *
           sizeof(http::HeaderEdit);
    bytes += its / static_cast<size_t>(std::max(policy.use_count(), 1L));
  }
  return bytes;
}

namespace {

// Null: the weights in force add up to nothing that can be shared out; the configured ones count.
const WeightedTarget* target_by_runtime(const RoutePolicy& p, uint32_t random,
                                        const base::RuntimeValues* runtime) noexcept {
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  const auto weight = [&](const WeightedTarget& w) {
    return std::min(w.key.number_or(runtime, w.weight), kMost);
  };
  uint64_t total = 0;
  for (const WeightedTarget& w : p.weighted) total += weight(w);
  if (total == 0 || total > kMost) return nullptr;
  uint64_t at = pick_below(random, total);
  for (const WeightedTarget& w : p.weighted) {
    const uint64_t its = weight(w);
    if (at < its) return &w;
    at -= its;
  }
  return nullptr;
}

}  // namespace

const Target& Route::target(uint64_t random, const base::RuntimeValues* runtime) const noexcept {
  const RoutePolicy& p = policy();
  if (action != Action::kWeighted) return p.target;
  const auto share = static_cast<uint32_t>(random >> 32);
  if (p.weights_by_runtime) [[unlikely]] {
    if (const auto* found = target_by_runtime(p, share, runtime)) return *found;
  }
  const uint64_t at = pick_below(share, p.total_weight);
  const auto above = [](uint64_t value, const WeightedTarget& w) { return value < w.upper; };
  return *std::upper_bound(p.weighted.begin(), p.weighted.end(), at, above);
}

const filters::RouteFilters& Route::filters(uint64_t random,
                                            const base::RuntimeValues* runtime) const noexcept {
  const RoutePolicy& p = policy();
  if (!p.filters_by_target) return *p.filters;
  return *static_cast<const WeightedTarget&>(target(random, runtime)).filters;
}

std::string Route::source() const {
  return base::cat(virtual_host().source(), ".routes[", index, "]");
}

RoutePolicy::Upgrade RoutePolicy::upgrade(std::string_view protocol) const noexcept {
  if (std::find(upgrades_disabled.begin(), upgrades_disabled.end(), protocol) !=
      upgrades_disabled.end()) {
    return Upgrade::kRefused;
  }
  return std::find(upgrades.begin(), upgrades.end(), protocol) != upgrades.end()
             ? Upgrade::kAllowed
             : Upgrade::kListener;
}

uint32_t RetryRule::parse_on(std::string_view words) noexcept {
  struct Word {
    std::string_view text;
    uint32_t bit;
  };
  static constexpr Word kWords[] = {
      {"5xx", k5xx},
      {"gateway-error", kGatewayError},
      {"reset", kReset},
      {"reset-before-request", kResetBeforeRequest},
      {"connect-failure", kConnectFailure},
      {"envoy-ratelimited", kEnvoyRatelimited},
      {"retriable-4xx", kRetriable4xx},
      {"refused-stream", kRefusedStream},
      {"retriable-status-codes", kRetriableStatusCodes},
      {"retriable-headers", kRetriableHeaders},
      {"http3-post-connect-failure", kHttp3PostConnectFailure},
      {"cancelled", kGrpcCancelled},
      {"deadline-exceeded", kGrpcDeadlineExceeded},
      {"internal", kGrpcInternal},
      {"resource-exhausted", kGrpcResourceExhausted},
      {"unavailable", kGrpcUnavailable},
  };
  uint32_t bits = 0;
  while (!words.empty()) {
    std::string_view word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    for (const Word& known : kWords) {
      if (known.text == word) bits |= known.bit;
    }
  }
  return bits;
}

}  // namespace sluice::router
