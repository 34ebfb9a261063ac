#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "upstream/values.h"

namespace sluice::upstream {

// Endpoints in few words: addresses count up from 10.0.0.1:80 in the order of their making.
class Endpoints {
 public:
  // One locality of `priority`; a letter is an endpoint: h healthy, ? unknown, d degraded,
  // u unhealthy, x draining, t timeout.
  Endpoints& add(uint32_t priority, std::string_view healths) {
    LocalityValue& locality = value_.localities.emplace_back();
    locality.priority = priority;
    for (const char c : healths) {
      EndpointValue& e = locality.endpoints.emplace_back();
      e.address = address(++num_);
      e.health = health(c);
    }
    return *this;
  }
  // Healthy ones of priority 0 with these weights.
  Endpoints& weighted(const std::vector<uint32_t>& weights) {
    add(0, std::string(weights.size(), 'h'));
    for (size_t i = 0; i < weights.size(); ++i) {
      value_.localities.back().endpoints[i].weight = weights[i];
    }
    return *this;
  }
  Endpoints& factor(uint32_t pct) {
    value_.overprovisioning_factor_pct = pct;
    return *this;
  }
  EndpointsValue& value() { return value_; }
  static base::Address address(uint32_t n) {
    const std::string ip = "10.0." + std::to_string(n >> 8) + "." + std::to_string(n & 255);
    return *base::Address::ip(ip, 80);
  }

 private:
  static Health health(char c) {
    switch (c) {
      case 'h':
        return Health::kHealthy;
      case 'd':
        return Health::kDegraded;
      case 'u':
        return Health::kUnhealthy;
      case 'x':
        return Health::kDraining;
      case 't':
        return Health::kTimeout;
      default:
        return Health::kUnknown;
    }
  }
  EndpointsValue value_;
  uint32_t num_ = 0;
};

}  // namespace sluice::upstream
