#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "router/table.h"
#include "tests/oracle/linear_router.h"
#include "tests/oracle/router_samples.h"

// The bytes choose a route configuration and requests: the compiled table must give the answer of
// the walk in list order, and explain() must name the same route.

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  constexpr size_t kLargest = 4096;
  constexpr size_t kRoutes = 12;
  constexpr int kRequests = 8;
  if (size > kLargest) return 0;
  router::Choices choices(std::string_view(reinterpret_cast<const char*>(data), size));
  const router::RouteConfigValue config = router::random_config(choices, kRoutes);
  router::ClusterIds clusters;
  const auto table = router::RouteTable::compile(config, clusters, nullptr);
  if (!table.ok()) {
    std::cerr << table.status() << "\n";
    std::abort();
  }
  const oracle::LinearRouter linear(config);
  for (int i = 0; i < kRequests && !choices.used_up(); ++i) {
    const std::string wrong = router::difference(**table, linear, router::random_request(choices));
    if (wrong.empty()) continue;
    std::cerr << wrong << "\n";
    std::abort();
  }
  return 0;
}
