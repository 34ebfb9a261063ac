#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tools/mock-cp/resource_set.h"

namespace sluice::mock_cp {

// Store is what is served: the resources of files and of --generate, and over them what was set,
// patched and deleted on demand, which outlives changes of files. Every change makes the next
// snapshot and hands it to `publish`.
//
// Any thread; one mutex, held while `publish` runs, so that snapshots come in order. Cost of a
// change: all resources (a copy and a hash).
class Store {
 public:
  using Publish = std::function<void(std::shared_ptr<const Snapshot>)>;
  using Snapshots = std::shared_ptr<const Snapshot>;

  explicit Store(Publish publish) : publish_(std::move(publish)) {}

  // Each returns the snapshot that it made.
  Snapshots set_files(ResourceSet resources);
  Snapshots set(const ResourceSet& resources);
  // Bytes that may be anything.
  Snapshots set_raw(std::string_view type_url, std::string_view name, std::string bytes);
  // Merges YAML or JSON into a resource: messages field by field, values and lists are replaced.
  absl::StatusOr<Snapshots> patch(std::string_view type_url, std::string_view name,
                                  std::string_view text);
  absl::StatusOr<Snapshots> erase(std::string_view type_url, std::string_view name);
  // A new version of the same resources.
  Snapshots touch(std::string_view type_url);
  // Back to what the files say.
  Snapshots reset();

  Snapshots current() const;

 private:
  Snapshots next(std::string_view touched = {});
  const ResourceSet::Entry* find(std::string_view type_url, std::string_view name) const;
  void put(std::string_view type_url, std::string_view name,
           std::optional<ResourceSet::Entry> entry);

  mutable std::mutex mutex_;
  const Publish publish_;
  ResourceSet files_;
  // By type and name; nullopt: deleted.
  std::map<std::string, std::map<std::string, std::optional<ResourceSet::Entry>>, std::less<>>
      over_;
  Snapshots current_;
  uint64_t counter_ = 0;
};

}  // namespace sluice::mock_cp
