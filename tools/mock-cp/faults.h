#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/mock-cp/stream.h"

namespace sluice::mock_cp {

// What a control plane may do wrong, on demand: one Fault says what happens to which responses and
// how many times. FaultList hands them out; server.cc carries them out. Any thread.

enum class Action : uint8_t {
  kDelay,         // leaves `ms` later
  kDrop,          // does not leave; no answer is awaited
  kDuplicate,     // leaves twice
  kReorder,       // leaves behind the next one, or `ms` later
  kCorrupt,       // the bytes of its resources are no protobuf
  kTruncate,      // the message is cut in half
  kOversize,      // `bytes` of an unknown field are added
  kEmpty,         // no resources
  kBad,           // a resource "mock-cp-bad" is added that breaks a rule of its proto
  kWrongNonce,    // the nonce of the response before
  kNoNonce,       // no nonce
  kWrongType,     // says to be of the type `as`
  kWrongContent,  // its resources say to be of the type `as`
  kEndless,       // is followed by others without end, each with `resources` more
  kClose,         // the stream ends with `status` in its place
  kRefuse,        // new streams end with `status` at once
  kCount,
};

std::string_view text_of(Action action) noexcept;

struct Fault {
  Action action = Action::kDrop;
  std::string type_url;  // empty: all types
  std::string node;      // id of the client's node; empty: all
  int64_t count = 1;     // how many times; -1: until it is removed
  std::chrono::milliseconds wait{1000};
  size_t bytes = size_t{64} << 20;
  size_t resources = 1000;
  int status = 14;     // a gRPC status code; 14: UNAVAILABLE
  std::string as_url;  // a type URL
};

// Reads "action=delay,type=EDS,ms=500,count=3"; the other keys: node, bytes, resources, status, as.
absl::StatusOr<Fault> parse_fault(std::string_view text);
// The same from one key and its value.
absl::Status set_fault_field(std::string_view key, std::string_view value, Fault* fault);
std::string describe(const Fault& fault);

class FaultList {
 public:
  // Returns its number, which names it from then on.
  uint64_t add(Fault fault);
  bool remove(uint64_t id);
  void clear();
  std::map<uint64_t, Fault> all() const;

  // The faults that this response or (`type_url` empty) this new stream meets, oldest first. Each
  // counts down.
  std::vector<std::pair<uint64_t, Fault>> take(std::string_view type_url, std::string_view node,
                                               bool new_stream);
  bool active(uint64_t id) const;

 private:
  mutable std::mutex mutex_;
  std::map<uint64_t, Fault> faults_;
  uint64_t last_id_ = 0;
};

// Changes what the response says, where the fault is about that: corrupt, oversize, empty, bad,
// wrong content and wrong type.
void distort(const Fault& fault, Push* push);
// Adds resources with names of their own; clusters are valid, others where an empty one is.
void add_resources(size_t number, std::string_view prefix, Push* push);

}  // namespace sluice::mock_cp
