#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace google::protobuf {
class Any;
class Message;
}  // namespace google::protobuf

namespace sluice::mock_cp {

// All resources of one moment: by type URL and name, the serialised message. A value.
struct ResourceSet {
  struct Entry {
    std::string bytes;
    std::string origin;   // "file.yaml", "generated" or "set", for messages
    std::string version;  // of bytes and touches: outlives a restart. By next_snapshot()
  };
  using ByName = std::map<std::string, Entry, std::less<>>;

  std::map<std::string, ByName, std::less<>> types;

  // Errors: "resource without a name", "given twice" with both origins.
  absl::Status add(const google::protobuf::Message& resource, std::string_view origin);
  absl::Status add(const google::protobuf::Any& any, std::string_view origin);
  absl::Status add_all(const ResourceSet& other);

  size_t size() const;
};

// A ResourceSet with a version for each type. Immutable; shared by all streams.
struct Snapshot {
  struct TypeState {
    std::string version;
    uint64_t hash = 0;
    uint64_t touches = 0;  // new versions of the same resources
    ResourceSet::ByName resources;
  };
  std::map<std::string, TypeState, std::less<>> types;

  const TypeState* find(std::string_view type_url) const;
};

// The next snapshot after `last` (null: none). A type gets the next number of `counter` as its
// version only if its resources changed, or if it is `touched`.
std::shared_ptr<const Snapshot> next_snapshot(const Snapshot* last, ResourceSet resources,
                                              uint64_t& counter, std::string_view touched = {});

}  // namespace sluice::mock_cp
