#pragma once

#include <cstdint>

#include "bench/gate_driver/counts.h"
#include "bench/gate_driver/proxy.h"

namespace sluice::gate {

// Probe is the way to the counts of libgate_counts, if it was preloaded; otherwise all are 0.
class Probe {
 public:
  Probe();
  bool available() const noexcept { return counts_of_ != nullptr; }
  SluiceGateCounts of(int32_t tid) const {
    const SluiceGateCounts* counts = counts_of_ == nullptr ? nullptr : counts_of_(tid);
    return counts == nullptr ? SluiceGateCounts{} : *counts;
  }
  SluiceGateCounts mine() const { return of(0); }

 private:
  SluiceGateCountsOf counts_of_ = nullptr;
};

// *sum += after - before.
void add_difference(SluiceGateCounts* sum, const SluiceGateCounts& before,
                    const SluiceGateCounts& after);
// One line of JSON for the gate.
void print_counts(const SluiceGateCounts& counts, uint64_t requests, uint64_t body_bytes,
                  uint64_t turns, uint64_t body_bytes_copied);

// The modes of gate_driver; each returns the exit code and prints one line of JSON.
int run_lock_step(const Scenario& scenario, uint32_t num_rounds, const Probe& probe);
int run_load(const Scenario& scenario, uint32_t num_clients, uint32_t requests_each,
             const Probe& probe);
int run_routing(uint32_t num_routes);

}  // namespace sluice::gate
