#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

namespace sluice::xds {

// Backoff answers "how long until the next try?": uniform in [0, base * 2^failures), never above
// `max`, as Envoy's jittered exponential strategy (xds.md rule 10). The owner calls reset() when
// the server has shown that it works, which for xDS means a message, not a connection. Main only.
class Backoff {
 public:
  Backoff(int64_t base_ns, int64_t max_ns, std::function<uint64_t()> random)
      : base_ns_(std::max<int64_t>(base_ns, 1)),
        max_ns_(std::max(max_ns, base_ns_)),
        ceiling_ns_(base_ns_),
        random_(std::move(random)) {}

  int64_t next() {
    const int64_t ceiling = ceiling_ns_;
    ceiling_ns_ = ceiling > max_ns_ / 2 ? max_ns_ : ceiling * 2;
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(ceiling));
  }
  void reset() noexcept { ceiling_ns_ = base_ns_; }

  int64_t ceiling_ns() const noexcept { return ceiling_ns_; }  // of the next wait

 private:
  int64_t base_ns_;
  int64_t max_ns_;
  int64_t ceiling_ns_;
  std::function<uint64_t()> random_;
};

}  // namespace sluice::xds
