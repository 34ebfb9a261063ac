#include "upstream/endpoint_set.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>

#include "absl/container/flat_hash_set.h"

namespace sluice::upstream {

namespace {

bool is_healthy(Health health) { return health == Health::kUnknown || health == Health::kHealthy; }

// Smooth weighted round robin: each step every host gains its weight, the richest is taken and pays
// the sum. The order repeats after sum(weights) steps; weights are scaled down to keep it short.
std::vector<uint32_t> smooth_order(std::span<const uint32_t> hosts, std::vector<uint32_t> weights) {
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
  tier.weighted = std::make_shared<const EndpointSet::Tier::Weighted>(EndpointSet::Tier::Weighted{
      smooth_order({tier.hosts.data(), tier.hosts.size()}, weights), alias_table(weights)});
}

// Hosts of one priority by what they are good for, and what these can take of all load, in percent.
struct Level {
  std::vector<uint32_t> all, healthy, degraded;
  uint32_t healthy_pct = 0, degraded_pct = 0;
  uint32_t healthy_load = 0, degraded_load = 0;  // what they get
  bool panic = false;
};

std::vector<Level> levels_of(const std::vector<Endpoint>& endpoints, uint32_t factor_pct) {
  std::vector<Level> levels;
  for (uint32_t i = 0; i < endpoints.size(); ++i) {
    const Endpoint& e = endpoints[i];
    if (e.priority >= levels.size()) levels.resize(e.priority + 1);
    Level& level = levels[e.priority];
    level.all.push_back(i);
    if (is_healthy(e.health)) level.healthy.push_back(i);
    if (e.health == Health::kDegraded) level.degraded.push_back(i);
  }
  for (Level& level : levels) {
    if (level.all.empty()) continue;
    const auto percent = [&](size_t n) {
      return static_cast<uint32_t>(
          std::min<uint64_t>(100, uint64_t{n} * factor_pct / level.all.size()));
    };
    level.healthy_pct = percent(level.healthy.size());
    level.degraded_pct = percent(level.degraded.size());
  }
  return levels;
}

bool below_panic_threshold(const Level& level, uint32_t panic_pct) {
  const uint64_t good = level.healthy.size() + level.degraded.size();
  return level.all.empty() ? panic_pct > 0 : good * 100 < uint64_t{panic_pct} * level.all.size();
}

// Gives `left` to the levels in order, up to what they can take once all of it is scaled to 100.
uint32_t hand_out(std::vector<Level>& levels, uint32_t available_pct, uint32_t Level::* can,
                  uint32_t Level::* gets, uint32_t left) {
  for (Level& level : levels) {
    level.*gets = std::min(left, level.*can * 100 / available_pct);
    left -= level.*gets;
  }
  return left;
}

// What division left over goes to the first level that can take anything, healthy ones before.
void give_rest(std::vector<Level>& levels, uint32_t rest) {
  for (Level& level : levels) {
    if (level.healthy_pct > 0) return void(level.healthy_load += rest);
  }
  for (Level& level : levels) {
    if (level.degraded_pct > 0) return void(level.degraded_load += rest);
  }
}

// Nothing can be told from health: by number of hosts, the rest to the first level that has any.
void share_by_number(std::vector<Level>& levels, size_t num_hosts) {
  uint32_t left = 100;
  for (Level& level : levels) {
    level.healthy_load = static_cast<uint32_t>(100 * level.all.size() / num_hosts);
    level.degraded_load = 0;
    left -= level.healthy_load;
  }
  for (Level& level : levels) {
    if (!level.all.empty()) return void(level.healthy_load += left);
  }
}

void share_load(std::vector<Level>& levels, size_t num_hosts, uint32_t panic_pct) {
  uint32_t available_pct = 0;
  for (const Level& l : levels) {
    available_pct = std::min(100u, available_pct + l.healthy_pct + l.degraded_pct);
  }
  if (available_pct > 0) {
    const uint32_t left =
        hand_out(levels, available_pct, &Level::healthy_pct, &Level::healthy_load, 100);
    give_rest(levels,
              hand_out(levels, available_pct, &Level::degraded_pct, &Level::degraded_load, left));
  } else if (panic_pct == 0) {
    levels[0].healthy_load = 100;  // nobody serves
    return;
  }
  if (available_pct == 100) return;
  bool all_panic = true;
  for (Level& level : levels) {
    level.panic = below_panic_threshold(level, panic_pct);
    all_panic &= level.panic;
  }
  if (all_panic) share_by_number(levels, num_hosts);
}

void append_name(std::string_view name, std::string* out) {
  const auto size = static_cast<uint32_t>(name.size());
  out->append(reinterpret_cast<const char*>(&size), sizeof(size)).append(name);
}

std::string_view take_name(std::string_view* names) noexcept {
  uint32_t size = 0;
  if (names->size() < sizeof(size)) return {};
  std::memcpy(&size, names->data(), sizeof(size));
  const std::string_view name = names->substr(sizeof(size), size);
  names->remove_prefix(sizeof(size) + name.size());
  return name;
}

}  // namespace

std::shared_ptr<const EndpointSet> EndpointSet::build(const EndpointsValue& value,
                                                      uint32_t panic_threshold_pct) {
  auto set = std::make_shared<EndpointSet>();
  set->factor_pct_ = value.overprovisioning_factor_pct;
  set->panic_pct_ = std::min(100u, panic_threshold_pct);
  set->one_host_ = value.one_host;
  set->add_endpoints(value);
  set->build_tiers();
  return set;
}

std::shared_ptr<const EndpointSet> EndpointSet::with_panic_threshold(const EndpointSet& set,
                                                                     uint32_t panic_threshold_pct) {
  auto next = std::make_shared<EndpointSet>(set);
  next->panic_pct_ = std::min(100u, panic_threshold_pct);
  next->tiers_.clear();
  next->build_tiers();
  return next;
}

void EndpointSet::add_endpoints(const EndpointsValue& value) {
  size_t num = 0;
  for (const LocalityValue& locality : value.localities) num += locality.endpoints.size();
  endpoints_.reserve(num);
  absl::flat_hash_set<base::Address> seen;
  uint32_t nth = 0;
  for (const LocalityValue& locality : value.localities) {
    for (const std::string* name : {&locality.region, &locality.zone, &locality.sub_zone}) {
      append_name(*name, &localities_);
    }
    for (const EndpointValue& e : locality.endpoints) {
      if (!seen.insert(e.address).second) continue;
      endpoints_.push_back({e.address, e.hostname, e.health, std::max<uint32_t>(1, e.weight),
                            locality.priority, nth});
      if (is_healthy(e.health)) ++num_healthy_;
      if (e.health == Health::kDegraded) ++num_degraded_;
    }
    ++nth;
  }
}

EndpointSet::Locality EndpointSet::locality(uint32_t nth) const noexcept {
  std::string_view rest = localities_;
  for (; nth > 0; --nth) {
    for (int i = 0; i < 3; ++i) take_name(&rest);
  }
  const std::string_view region = take_name(&rest);
  const std::string_view zone = take_name(&rest);
  return {region, zone, take_name(&rest)};
}

void EndpointSet::build_tiers() {
  static std::atomic<uint64_t> next_serial{1};
  serial_ = next_serial.fetch_add(1, std::memory_order_relaxed);
  if (endpoints_.empty()) return;
  std::vector<Level> levels = levels_of(endpoints_, factor_pct_);
  share_load(levels, endpoints_.size(), panic_pct_);
  for (uint32_t p = 0; p < levels.size(); ++p) {
    Level& l = levels[p];
    add_tier(p, l.healthy_load, l.panic ? l.all : l.healthy, l.panic);
  }
  for (uint32_t p = 0; p < levels.size(); ++p) {
    Level& l = levels[p];
    add_tier(p, l.degraded_load, l.panic ? l.all : l.degraded, l.panic);
  }
}

void EndpointSet::add_tier(uint32_t priority, uint32_t load_pct, const std::vector<uint32_t>& hosts,
                           bool panic) {
  if (load_pct == 0) return;
  Tier tier;
  tier.hosts.assign(hosts.begin(), hosts.end());
  tier.load_up_to_pct = load_pct + (tiers_.empty() ? 0 : tiers_.back().load_up_to_pct);
  tier.priority = priority;
  tier.panic = panic;
  weigh(tier, endpoints_);
  tiers_.push_back(std::move(tier));
}

}  // namespace sluice::upstream
