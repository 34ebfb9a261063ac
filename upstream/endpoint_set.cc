#include "upstream/endpoint_set.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "absl/container/flat_hash_set.h"

namespace sluice::upstream {

namespace {

bool is_healthy(Health health) {
  return health == Health::kUnknown || health == Health::kHealthy || health == Health::kDegraded;
}

// Smooth weighted round robin: each step every host gains its weight, the richest is taken and pays
// the sum. The order repeats after sum(weights) steps; weights are scaled down to keep it short.
std::vector<uint32_t> smooth_order(const std::vector<uint32_t>& hosts,
                                   std::vector<uint32_t> weights) {
  constexpr uint64_t kMaxSteps = 4096;
  uint32_t divisor = 0;
  for (const uint32_t w : weights) divisor = std::gcd(divisor, w);
  uint64_t sum = 0;
  for (uint32_t& w : weights) sum += w /= divisor;
  if (sum > kMaxSteps) {
    uint64_t scaled_sum = 0;
    for (uint32_t& w : weights) {
      w = std::max<uint32_t>(1, static_cast<uint32_t>(uint64_t{w} * kMaxSteps / sum));
      scaled_sum += w;
    }
    sum = scaled_sum;
  }
  std::vector<uint32_t> order;
  order.reserve(sum);
  // A heap by virtual time gives the same smooth order in O(steps log hosts).
  struct Next {
    double at;
    uint32_t index;
    bool operator>(const Next& o) const { return at != o.at ? at > o.at : index > o.index; }
  };
  std::vector<Next> heap;
  for (uint32_t i = 0; i < hosts.size(); ++i) heap.push_back({0.5 / weights[i], i});
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  for (uint64_t step = 0; step < sum; ++step) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    Next& next = heap.back();
    order.push_back(hosts[next.index]);
    next.at += 1.0 / weights[next.index];
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  return order;
}

// Vose's alias method: one random number, one compare per choice.
std::vector<EndpointSet::Tier::Alias> alias_table(const std::vector<uint32_t>& weights) {
  const size_t n = weights.size();
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> share(n);
  std::vector<uint32_t> small, large;
  for (uint32_t i = 0; i < n; ++i) {
    share[i] = weights[i] * static_cast<double>(n) / sum;
    (share[i] < 1.0 ? small : large).push_back(i);
  }
  std::vector<EndpointSet::Tier::Alias> table(n);
  for (uint32_t i = 0; i < n; ++i) table[i] = {UINT32_MAX, i};
  while (!small.empty() && !large.empty()) {
    const uint32_t s = small.back();
    const uint32_t l = large.back();
    small.pop_back();
    table[s] = {static_cast<uint32_t>(share[s] * 4294967295.0), l};
    share[l] -= 1.0 - share[s];
    if (share[l] < 1.0) {
      large.pop_back();
      small.push_back(l);
    }
  }
  return table;
}

void weigh(EndpointSet::Tier& tier, const std::vector<Endpoint>& endpoints) {
  std::vector<uint32_t> weights;
  for (const uint32_t i : tier.hosts) weights.push_back(endpoints[i].weight);
  const bool equal =
      std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) == weights.end();
  if (equal) return;
  tier.schedule = smooth_order(tier.hosts, weights);
  tier.alias = alias_table(weights);
}

}  // namespace

std::shared_ptr<const EndpointSet> EndpointSet::build(const EndpointsValue& value,
                                                      uint32_t panic_threshold_pct) {
  static std::atomic<uint64_t> next_serial{1};
  auto set = std::make_shared<EndpointSet>();
  set->serial_ = next_serial.fetch_add(1, std::memory_order_relaxed);
  set->version_ = value.version;
  set->add_endpoints(value);
  uint32_t num_priorities = 0;
  for (const LocalityValue& l : value.localities) {
    num_priorities = std::max(num_priorities, l.priority + 1);
  }
  set->build_tiers(num_priorities, value.overprovisioning_factor_pct, panic_threshold_pct);
  return set;
}

void EndpointSet::add_endpoints(const EndpointsValue& value) {
  absl::flat_hash_set<base::Address> seen;
  for (const LocalityValue& locality : value.localities) {
    for (const EndpointValue& e : locality.endpoints) {
      if (!seen.insert(e.address).second) continue;
      endpoints_.push_back({e.address, e.hostname, e.address.to_string(), e.health,
                            std::max<uint32_t>(1, e.weight), locality.priority});
      if (is_healthy(e.health)) ++num_healthy_;
      if (e.health == Health::kDegraded) ++num_degraded_;
    }
  }
}

void EndpointSet::build_tiers(uint32_t num_priorities, uint32_t factor_pct, uint32_t panic_pct) {
  uint64_t left_pct = 100;
  uint32_t used_pct = 0;
  for (uint32_t priority = 0; priority < num_priorities; ++priority) {
    Tier tier;
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < endpoints_.size(); ++i) {
      if (endpoints_[i].priority != priority) continue;
      all.push_back(i);
      if (is_healthy(endpoints_[i].health)) tier.hosts.push_back(i);
    }
    if (all.empty()) continue;
    const uint64_t healthy = tier.hosts.size();
    const uint64_t share = std::min<uint64_t>(100, healthy * factor_pct / all.size());
    tier.panic = healthy * 100 < uint64_t{panic_pct} * all.size();
    const auto takes = static_cast<uint32_t>(std::min<uint64_t>(left_pct, share));
    left_pct -= takes;
    used_pct += takes;
    tier.load_up_to_pct = used_pct;
    if (tier.panic) tier.hosts = std::move(all);
    weigh(tier, endpoints_);
    tiers_.push_back(std::move(tier));
  }
  if (tiers_.empty()) return;
  if (used_pct == 0) {  // nothing healthy anywhere: the first priority takes it (in panic mode)
    for (Tier& tier : tiers_) tier.load_up_to_pct = 100;
  } else {
    const uint32_t sum = used_pct;  // scale to 100 where the priorities together are not enough
    for (Tier& tier : tiers_) tier.load_up_to_pct = tier.load_up_to_pct * 100 / sum;
  }
}

}  // namespace sluice::upstream
