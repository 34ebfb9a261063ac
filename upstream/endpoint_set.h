#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "upstream/values.h"

namespace sluice::upstream {

struct Endpoint {
  base::Address address;
  std::string hostname;
  std::string address_text;  // "1.2.3.4:80"
  Health health = Health::kUnknown;
  uint32_t weight = 1;
  uint32_t priority = 0;
  uint32_t locality = 0;  // in EndpointSet::localities()
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
    std::vector<uint32_t> hosts;     // indices of endpoints
    std::vector<uint32_t> schedule;  // weighted round robin, smooth; empty: `hosts` in turn
    // Alias table for weighted random choice, parallel to hosts; empty: uniform.
    struct Alias {
      uint32_t keep_below;  // of 2^32
      uint32_t other;
    };
    std::vector<Alias> alias;
    uint32_t load_up_to_pct = 0;  // cumulative, of 100; a tier that takes nothing is not there
    uint32_t priority = 0;
    bool panic = false;

    const std::vector<uint32_t>& in_turn() const { return schedule.empty() ? hosts : schedule; }
    uint32_t weighted_random(base::Random& random) const noexcept {
      const uint64_t r = random.next();
      const auto i = static_cast<uint32_t>(((r >> 32) * hosts.size()) >> 32);
      if (alias.empty()) return hosts[i];
      return hosts[static_cast<uint32_t>(r) < alias[i].keep_below ? i : alias[i].other];
    }
  };

  // Different for every set that was ever built: a worker tells by it that a set is another one.
  uint64_t serial() const noexcept { return serial_; }
  const std::vector<Endpoint>& endpoints() const noexcept { return endpoints_; }
  struct Locality {
    std::string region, zone, sub_zone;
  };
  const std::vector<Locality>& localities() const noexcept { return localities_; }
  uint32_t panic_threshold_pct() const noexcept { return panic_pct_; }
  // Degraded ones are not counted as healthy.
  uint32_t num_healthy() const noexcept { return num_healthy_; }
  uint32_t num_degraded() const noexcept { return num_degraded_; }
  const std::string& version() const noexcept { return version_; }
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
  void add_tier(uint32_t priority, uint32_t load_pct, std::vector<uint32_t> hosts, bool panic);

  std::vector<Tier> tiers_;
  std::vector<Endpoint> endpoints_;
  std::vector<Locality> localities_;
  uint64_t serial_ = 0;
  uint32_t factor_pct_ = 140;
  uint32_t panic_pct_ = 50;
  uint32_t num_healthy_ = 0;
  uint32_t num_degraded_ = 0;
  bool one_host_ = false;
  std::string version_;
};

}  // namespace sluice::upstream
