#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/mock-cp/faults.h"
#include "tools/mock-cp/generate.h"
#include "tools/mock-cp/store.h"

namespace sluice::mock_cp {

// What mock-cp is started with. `--name value` and `--name=value`.
struct Flags {
  std::string listen;
  std::string resources;
  std::string admin;
  std::optional<Generate> generate;
  std::vector<Fault> faults;
  std::vector<std::pair<std::string, std::string>> changes;  // --set, --patch, --delete, in order
  uint64_t load_interval_ms = 0;
  bool superset = false;
  bool verbose = false;
  bool help = false;
};

std::string_view usage() noexcept;
// Errors: "--flag: problem".
absl::StatusOr<Flags> parse_flags(const std::vector<std::string_view>& args);
// Carries out --set FILE, --patch TYPE/NAME=YAML and --delete TYPE/NAME.
absl::Status apply_changes(const Flags& flags, Store& store);

}  // namespace sluice::mock_cp
