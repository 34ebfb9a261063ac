#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/address.h"
#include "base/random.h"
#include "upstream/values.h"

namespace sluice::upstream {

struct Endpoint {
  base::Address address;
  std::string hostname;
  Health health = Health::kUnknown;
  uint32_t weight = 1;
  uint32_t priority = 0;
  uint32_t locality = 0;  // EndpointSet::locality()
};

// EndpointSet answers "which endpoints may take a request now, in which proportion?" for one
// cluster and one EDS version. Everything that balancing needs and that does not change between two
// pushes is computed here, when it is built: which hosts of a priority are eligible (panic mode
// included), the share of load of each priority, the order of weighted round robin, the alias table
// of weighted random choice. Immutable; shared between table versions; any thread.
//
// Envoy's rules (tests/oracle/slow_balancer.h states them plainly): unknown or healthy is healthy,
// degraded is a class of its own, anything else takes nothing. A priority can take min(100 %,
// share of its hosts x overprovisioning factor), reckoned for healthy and for degraded hosts; the
// load goes to the healthy ones of all priorities in order, then to the degraded ones. Where that
// does not add up to 100 %, it is scaled up, and priorities with fewer healthy and degraded hosts
// than the panic threshold use all they have; if all are so, load is shared by number of hosts.
// Duplicate addresses: first wins.
class EndpointSet {
 public:
  static std::shared_ptr<const EndpointSet> build(const EndpointsValue& value,
                                                  uint32_t panic_threshold_pct);
  // The same endpoints under another threshold, which is the cluster's and may change alone.
  static std::shared_ptr<const EndpointSet> with_panic_threshold(const EndpointSet& set,
                                                                 uint32_t panic_threshold_pct);

  // The hosts of one priority and health among which a pick is made. `hosts` is empty when nothing
  // is eligible.
  struct Tier {
    // Alias table for weighted random choice, parallel to hosts.
    struct Alias {
      uint32_t keep_below;  // of 2^32
      uint32_t other;
    };
    struct Weighted {
      std::vector<uint32_t> schedule;  // round robin, smooth
      std::vector<Alias> alias;
    };
    absl::InlinedVector<uint32_t, 4> hosts;    // indices of endpoints
    std::shared_ptr<const Weighted> weighted;  // null: all weights are equal
    uint32_t load_up_to_pct = 0;  // cumulative, of 100; a tier that takes nothing is not there
    uint32_t priority = 0;
    bool panic = false;

    std::span<const uint32_t> in_turn() const noexcept {
      if (weighted != nullptr) return weighted->schedule;
      return {hosts.data(), hosts.size()};
    }
    uint32_t weighted_random(base::Random& random) const noexcept {
      const uint64_t r = random.next();
      const auto i = static_cast<uint32_t>(((r >> 32) * hosts.size()) >> 32);
      if (weighted == nullptr) return hosts[i];
      const Alias& alias = weighted->alias[i];
      return hosts[static_cast<uint32_t>(r) < alias.keep_below ? i : alias.other];
    }
  };

  // Different for every set that was ever built: a worker tells by it that a set is another one.
  uint64_t serial() const noexcept { return serial_; }
  const std::vector<Endpoint>& endpoints() const noexcept { return endpoints_; }
  struct Locality {
    std::string_view region, zone, sub_zone;
  };
  // Costs a walk over those before it: for who shows it.
  Locality locality(uint32_t nth) const noexcept;
  uint32_t panic_threshold_pct() const noexcept { return panic_pct_; }
  // Degraded ones are not counted as healthy.
  uint32_t num_healthy() const noexcept { return num_healthy_; }
  uint32_t num_degraded() const noexcept { return num_degraded_; }
  // One host that keeps its connections when its address is another one (LOGICAL_DNS).
  bool one_host() const noexcept { return one_host_; }

  // Null: no endpoint at all. One priority is the usual case and costs no random number.
  const Tier* tier(base::Random& random) const noexcept {
    if (tiers_.size() == 1) [[likely]]
      return tiers_.data();
    if (tiers_.empty()) return nullptr;
    const uint32_t at = random.below(100);
    for (const Tier& tier : tiers_) {
      if (at < tier.load_up_to_pct) return &tier;
    }
    return &tiers_.back();
  }
  const std::vector<Tier>& tiers() const noexcept { return tiers_; }

 private:
  void add_endpoints(const EndpointsValue& value);
  void build_tiers();
  void add_tier(uint32_t priority, uint32_t load_pct, const std::vector<uint32_t>& hosts,
                bool panic);

  std::vector<Tier> tiers_;
  std::vector<Endpoint> endpoints_;
  std::string localities_;  // of each name its length, four bytes, and its text
  uint64_t serial_ = 0;
  uint32_t factor_pct_ = 140;
  uint32_t panic_pct_ = 50;
  uint32_t num_healthy_ = 0;
  uint32_t num_degraded_ = 0;
  bool one_host_ = false;
};

}  // namespace sluice::upstream
