// gate_driver MODE ...: runs the data plane under bench/gate, which counts what it does.
//
//   lockstep SCENARIO ROUNDS            scripted, one thread, the same in every run
//   load SCENARIO CLIENTS REQUESTS      a worker under load; REQUESTS per client
//   routing N                           RouteTable::match() on N routes
//
// With libgate_counts preloaded it prints what the worker asked of the C library; under callgrind,
// started with --instr-atstart=no --collect-atstart=no, only the worker's turns are collected.

#include <dlfcn.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"
#include "bench/gate_driver/modes.h"

namespace sluice::gate {

Probe::Probe()
    : counts_of_(
          reinterpret_cast<SluiceGateCountsOf>(::dlsym(RTLD_DEFAULT, "sluice_gate_counts"))) {}

void add_difference(SluiceGateCounts* sum, const SluiceGateCounts& before,
                    const SluiceGateCounts& after) {
  const auto add = [&](uint64_t SluiceGateCounts::* field) {
    sum->*field += after.*field - before.*field;
  };
  add(&SluiceGateCounts::allocations);
  add(&SluiceGateCounts::allocated_bytes);
  add(&SluiceGateCounts::frees);
  add(&SluiceGateCounts::locks);
  add(&SluiceGateCounts::system_calls);
  add(&SluiceGateCounts::waits);
  add(&SluiceGateCounts::other_calls);
  add(&SluiceGateCounts::time_calls);
  add(&SluiceGateCounts::copied_bytes);
}

void print_counts(const SluiceGateCounts& counts, uint64_t requests, uint64_t body_bytes,
                  uint64_t turns, uint64_t body_bytes_copied) {
  const auto field = [](const char* name, uint64_t value) {
    std::printf("\"%s\": %" PRIu64 ", ", name, value);
  };
  std::printf("{");
  field("allocations", counts.allocations);
  field("allocated_bytes", counts.allocated_bytes);
  field("frees", counts.frees);
  field("locks", counts.locks);
  field("system_calls", counts.system_calls);
  field("waits", counts.waits);
  field("other_calls", counts.other_calls);
  field("time_calls", counts.time_calls);
  field("copied_bytes", counts.copied_bytes);
  field("body_bytes_copied", body_bytes_copied);
  field("body_bytes", body_bytes);
  field("turns", turns);
  std::printf("\"requests\": %" PRIu64 "}\n", requests);
}

namespace {

int run(int argc, char** argv) {
  const auto number = [&](int i) { return static_cast<uint32_t>(std::atoi(argv[i])); };
  if (argc == 3 && std::strcmp(argv[1], "routing") == 0) return run_routing(number(2));
  const Scenario* scenario = argc > 3 ? find_scenario(argv[2]) : nullptr;
  const Probe probe;
  if (scenario != nullptr && argc == 4 && std::strcmp(argv[1], "lockstep") == 0) {
    return run_lock_step(*scenario, number(3), probe);
  }
  if (scenario != nullptr && argc == 5 && std::strcmp(argv[1], "load") == 0) {
    return run_load(*scenario, number(3), number(4), probe);
  }
  std::fprintf(stderr,
               "usage: gate_driver lockstep SCENARIO ROUNDS | load SCENARIO CLIENTS "
               "REQUESTS | routing N\n");
  return 2;
}

}  // namespace
}  // namespace sluice::gate

int main(int argc, char** argv) {
  sluice::base::calibrate_ticks();
  return sluice::gate::run(argc, argv);
}
