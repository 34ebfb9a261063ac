#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "upstream/values.h"

namespace sluice::oracle {

// SlowBalancer states which part of all requests each endpoint should get, as Envoy's documents do
// ("priority levels", "panic threshold", "degraded endpoints"), straight from the configuration's
// values. It shares no code with upstream/: it walks all endpoints again for each question.
class SlowBalancer {
 public:
  SlowBalancer(const upstream::EndpointsValue& value, uint32_t panic_pct)
      : value_(value), panic_pct_(panic_pct) {
    std::set<std::string> seen;
    for (const auto& locality : value.localities) {
      for (const auto& endpoint : locality.endpoints) {
        if (seen.insert(endpoint.address.to_string()).second) {
          all_.push_back({&endpoint, locality.priority});
        }
      }
    }
    for (const auto& e : all_) levels_ = std::max(levels_, e.priority + 1);
  }

  // Sums to 1, or to 0 where nobody may serve.
  std::map<std::string, double> shares() const {
    std::map<std::string, double> out;
    for (const auto& e : all_) out[e.value->address.to_string()] = 0;
    for (uint32_t p = 0; p < levels_; ++p) {
      const bool panic = in_panic(p);
      spread(p, panic ? Who::kAll : Who::kHealthy, healthy_load(p), &out);
      spread(p, panic ? Who::kAll : Who::kDegraded, degraded_load(p), &out);
    }
    return out;
  }

  bool in_panic(uint32_t priority) const {
    return total_available() < 100 && (total_available() > 0 || panic_pct_ > 0) &&
           too_few_good(priority);
  }
  uint32_t healthy_load(uint32_t priority) const {
    if (total_available() == 0 && panic_pct_ == 0) return priority == 0 ? 100 : 0;
    if (everybody_panics()) return by_number(priority);
    uint32_t load = loads(Who::kHealthy, 100)[priority];
    if (first_able(Who::kHealthy) == static_cast<int>(priority)) load += rest();
    return load;
  }
  uint32_t degraded_load(uint32_t priority) const {
    if (total_available() == 0 || everybody_panics()) return 0;
    uint32_t load = loads(Who::kDegraded, left_by_healthy())[priority];
    if (first_able(Who::kHealthy) < 0 && first_able(Who::kDegraded) == static_cast<int>(priority)) {
      load += rest();
    }
    return load;
  }

 private:
  enum class Who { kAll, kHealthy, kDegraded };
  struct Known {
    const upstream::EndpointValue* value;
    uint32_t priority;
  };

  static bool is(const Known& e, Who who) {
    using upstream::Health;
    const Health h = e.value->health;
    if (who == Who::kHealthy) return h == Health::kUnknown || h == Health::kHealthy;
    if (who == Who::kDegraded) return h == Health::kDegraded;
    return true;
  }
  uint32_t count(uint32_t priority, Who who) const {
    return static_cast<uint32_t>(std::count_if(all_.begin(), all_.end(), [&](const Known& e) {
      return e.priority == priority && is(e, who);
    }));
  }
  uint32_t able(uint32_t priority, Who who) const {
    const uint32_t all = count(priority, Who::kAll);
    if (all == 0) return 0;
    return std::min(100u, value_.overprovisioning_factor_pct * count(priority, who) / all);
  }
  int first_able(Who who) const {
    for (uint32_t p = 0; p < levels_; ++p) {
      if (able(p, who) > 0) return static_cast<int>(p);
    }
    return -1;
  }
  uint32_t total_available() const {
    uint32_t sum = 0;
    for (uint32_t p = 0; p < levels_; ++p) sum += able(p, Who::kHealthy) + able(p, Who::kDegraded);
    return std::min(100u, sum);
  }
  std::vector<uint32_t> loads(Who who, uint32_t left) const {
    std::vector<uint32_t> out(levels_, 0);
    for (uint32_t p = 0; p < levels_ && total_available() > 0; ++p) {
      out[p] = std::min(left, 100 * able(p, who) / total_available());
      left -= out[p];
    }
    return out;
  }
  uint32_t left_by_healthy() const {
    uint32_t left = 100;
    for (const uint32_t load : loads(Who::kHealthy, 100)) left -= load;
    return left;
  }
  uint32_t rest() const {
    uint32_t left = left_by_healthy();
    for (const uint32_t load : loads(Who::kDegraded, left)) left -= load;
    return left;
  }
  bool too_few_good(uint32_t priority) const {
    const double all = count(priority, Who::kAll);
    const double good = count(priority, Who::kHealthy) + count(priority, Who::kDegraded);
    return (all == 0 ? 0.0 : 100.0 * good / all) < panic_pct_;
  }
  bool everybody_panics() const {
    for (uint32_t p = 0; p < levels_; ++p) {
      if (!in_panic(p)) return false;
    }
    return true;
  }
  uint32_t by_number(uint32_t priority) const {
    const auto share = [&](uint32_t p) {
      return 100 * count(p, Who::kAll) / static_cast<uint32_t>(all_.size());
    };
    uint32_t load = share(priority);
    for (uint32_t p = 0; p < priority; ++p) {
      if (count(p, Who::kAll) > 0) return load;
    }
    if (count(priority, Who::kAll) == 0) return load;
    uint32_t sum = 0;
    for (uint32_t p = 0; p < levels_; ++p) sum += share(p);
    return load + 100 - sum;
  }
  void spread(uint32_t priority, Who who, uint32_t load, std::map<std::string, double>* out) const {
    double weights = 0;
    for (const auto& e : all_) {
      if (e.priority == priority && is(e, who)) weights += std::max(1u, e.value->weight);
    }
    for (const auto& e : all_) {
      if (e.priority != priority || !is(e, who)) continue;
      (*out)[e.value->address.to_string()] +=
          load / 100.0 * std::max(1u, e.value->weight) / weights;
    }
  }

  const upstream::EndpointsValue& value_;
  const uint32_t panic_pct_;
  std::vector<Known> all_;
  uint32_t levels_ = 0;
};

}  // namespace sluice::oracle
