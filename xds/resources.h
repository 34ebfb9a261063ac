#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace sluice::xds {

// The seam between the protocol state machine (client.h: versions, nonces, names, streams; it knows
// no resource's content) and what becomes of resources (assemble.h: decode, warm, publish). Both
// live on main; neither knows the other but through this file.

enum class Type : uint8_t {
  kCluster,
  kEndpoint,
  kListener,
  kRoute,
  kScopedRoute,      // SRDS: which route configuration for which scope
  kVirtualHost,      // VHDS: virtual hosts of a route configuration, delta only
  kExtensionConfig,  // ECDS: a filter's configuration
  kRuntime,          // RTDS: a layer of the runtime
  kLbEndpoint,       // LEDS: endpoints of a locality, delta only
  kSecret,           // SDS
  kCount
};
constexpr size_t kNumTypes = static_cast<size_t>(Type::kCount);

// What is fixed of a type. Its services' methods are in methods.h.
struct TypeTraits {
  std::string_view url;         // "type.googleapis.com/envoy.config...."
  std::string_view short_name;  // "CDS"
  std::string_view what;        // one of them, in words: "cluster"
  std::string_view stats;       // of /stats, the sum of all subscriptions: "cluster_manager.cds."
  // Table 1.5 of xds.md. True: subscribed as a whole, with the wildcard, which then means
  // everything; a state of the world lists all that there is, and what is removed goes. False:
  // subscribed by name; what is removed stays with who uses it, and ends waits only.
  bool wildcard = false;
  bool delta_only = false;
};
const TypeTraits& traits_of(Type type) noexcept;  // of kCount: all empty

inline std::string_view type_url_of(Type type) noexcept { return traits_of(type).url; }
inline std::string_view short_name_of(Type type) noexcept { return traits_of(type).short_name; }

// Where a resource comes from: a configuration source (config_source.h), by number. The aggregated
// stream, which most use, is always kAds.
using SourceId = uint32_t;
constexpr SourceId kAds = 0;

// Where resources come from, and how long they are waited for.
struct SourceRef {
  SourceId source = kAds;
  std::chrono::nanoseconds initial_fetch_timeout{15'000'000'000};  // 0: wait for ever
};

// What is asked for: names are those of their source, in normal form (resource_name.h).
struct ResourceKey {
  SourceId source = kAds;
  std::string name;
  friend auto operator<=>(const ResourceKey&, const ResourceKey&) = default;
};

// One resource as it arrived: the serialised message of its type, not decoded. `hash` is of the
// bytes: who has already accepted the same bytes under the same name skips them.
struct Resource {
  std::string name;
  std::string version;  // the response's version_info (SotW) or the resource's own (delta)
  std::string bytes;
  uint64_t hash = 0;
};

// What came in one response. SotW LDS, CDS and SRDS are full states: names that are missing are in
// `removed`; delta names what is removed. Of types without wildcard (EDS, RDS, ECDS, RTDS, SDS) it
// says only that there will be none for now: what is in use stays, unless the type says otherwise.
// Unchanged resources (same bytes as accepted before) are in neither list but in `unchanged`, so
// that a consumer may learn that they were confirmed.
struct Update {
  Type type = Type::kCluster;
  SourceId source = kAds;
  std::string version;
  std::vector<Resource> changed;
  std::vector<std::string> removed;
  std::vector<std::string> unchanged;
  // Awaited names that were answered by resources of other names: as an alias (VHDS), or as what is
  // in a collection, which may be nothing (rule 151).
  std::vector<std::string> answered = {};
};

struct Rejected {
  std::string name;     // of the resource; empty when it could not be read that far
  absl::Status status;  // "field.path: problem: value"
};

// Takes updates. Implemented by the assembler and by tests.
class ResourceSink {
 public:
  virtual ~ResourceSink() = default;
  // Decodes and validates each resource in isolation, keeps the good ones, and calls `done` on main
  // with the bad ones (empty: all good), at once or later (big updates are decoded in the compile
  // pool). A response is ACKed or NACKed when `done` is called, without waiting for warming. Calls
  // come one at a time per type and source.
  virtual void apply(Update update, std::function<void(std::vector<Rejected>)> done) = 0;
  // The server did not deliver this resource within its initial_fetch_timeout.
  virtual void on_fetch_timeout(Type type, SourceId source, std::string_view name) = 0;
};

// Tells the clients what is wanted. Implemented by Sources and by tests. Main only. Changes made
// between begin_batch() and end_batch() (nestable) become one request per type.
class Subscriptions {
 public:
  virtual ~Subscriptions() = default;
  virtual void subscribe_all(Type type, SourceId source) = 0;  // the legacy wildcard
  virtual void unsubscribe_all(Type type, SourceId source) = 0;
  virtual void subscribe(Type type, const ResourceKey& key) = 0;  // counted: one call each
  virtual void unsubscribe(Type type, const ResourceKey& key) = 0;
  virtual void begin_batch() = 0;
  virtual void end_batch() = 0;
};

}  // namespace sluice::xds
