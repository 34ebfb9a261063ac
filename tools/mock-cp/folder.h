#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/mock-cp/resource_set.h"

namespace sluice::mock_cp {

// Reads one file's text: YAML or JSON that is a list of resources with `@type`, or has `resources:`
// with such a list, or the keys `listeners`, `clusters`, `routes`, `endpoints`, `secrets`,
// `scoped_routes`, `virtual_hosts`, `runtimes`, `extension_configs` with resources of that type.
// Errors: "FILE:LINE:COL: path: problem".
absl::StatusOr<ResourceSet> read_resources(std::string_view text, std::string_view file);

// One message as YAML or JSON, of a type that is compiled in: its bytes. Errors as above.
absl::StatusOr<std::string> read_message(std::string_view text, std::string_view file,
                                         std::string_view full_name);

struct FolderContent {
  ResourceSet resources;
  size_t num_files = 0;
  std::vector<std::string> errors;  // a line each; if any, the resources are not to be used
};

// All *.yaml, *.yml and *.json of the folder, in the order of their names.
FolderContent read_folder(const std::string& folder);

// Tells when files of a folder changed: once for a burst of changes, kQuiet after the last one.
class FolderWatch {
 public:
  static constexpr std::chrono::milliseconds kQuiet{50};

  static absl::StatusOr<FolderWatch> open(const std::string& folder);
  FolderWatch(FolderWatch&& other) noexcept;
  FolderWatch& operator=(FolderWatch&&) = delete;
  ~FolderWatch();

  // Waits until something changed (true) or `stop_fd` is readable (false).
  bool wait(int stop_fd);

 private:
  explicit FolderWatch(int fd) : fd_(fd) {}
  bool drain();  // true if an event was of interest

  int fd_ = -1;
};

}  // namespace sluice::mock_cp
