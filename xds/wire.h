#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "xds/resources.h"

namespace sluice::xds {

// Discovery messages by wire tag: a response is split into its resources, and each of them named
// and hashed, without decoding any, so that what did not change costs a hash of its bytes.
//
// All views point into the bytes that were given. Accepts exactly what protobuf's own parser
// accepts (tests/fuzz/xds_wire_fuzz.cc compares the two): fields in any order, the last of a
// scalar wins, messages given twice merge, unknown fields and groups are skipped up to protobuf's
// depth, string fields are UTF-8. Memory: one entry per resource. Any thread.

// One entry of `resources`. `Any` in `envoy.service.discovery.v3.Resource` is unwrapped.
struct WireResource {
  std::string_view type_url;  // of the message in `bytes`
  std::string_view bytes;     // the message itself; empty in a heartbeat
  std::string_view name;      // the wrapper's, or else the message's own; empty: could not be read
  std::string_view version;   // the wrapper's
  std::vector<std::string_view> aliases;  // the wrapper's
  uint64_t hash = 0;                      // of `bytes`
  int64_t ttl_ns = 0;                     // the wrapper's; 0: none
  bool wrapped = false;
  bool has_body = true;  // false: a wrapper without resource (a TTL heartbeat)
  bool readable = true;  // false: wrapper or message is not protobuf, as far as it was read
};

struct WireResponse {
  std::string_view version;  // version_info, or system_version_info
  std::string_view nonce;
  std::string_view type_url;
  std::string_view control_plane;  // control_plane.identifier
  std::vector<WireResource> resources;
  std::vector<std::string_view> removed;  // delta: names
  // Of type and resources in any order, without nonce and version: equal means "the same again".
  // (go-control-plane sends resources in a random order, others make a version of the time.)
  uint64_t content_hash = 0;
};

// Splits an envoy.service.discovery.v3.DiscoveryResponse. Fails only if the outer message is not
// protobuf; a bad resource is marked in its entry.
absl::StatusOr<WireResponse> split_response(std::string_view bytes);

// The same of an envoy.service.discovery.v3.DeltaDiscoveryResponse. More is accepted than protobuf
// does: a broken wrapper is one bad resource, not a bad response.
absl::StatusOr<WireResponse> split_delta_response(std::string_view bytes);

// Reads the name field of a resource of this type (Listener.name, ...cluster_name; empty where the
// type has none). The view is into `bytes`. An error: not protobuf as far as the top level goes, or
// not UTF-8.
absl::StatusOr<std::string_view> name_of(Type type, std::string_view bytes);

// An envoy.service.discovery.v3.DiscoveryRequest in plain values.
struct WireRequest {
  std::string_view node;  // serialised envoy.config.core.v3.Node; empty: none
  std::string_view version;
  std::string_view type_url;
  std::string_view nonce;
  std::vector<std::string_view> names;
  std::string_view error;  // empty: an ACK or a plain request; else error_detail.message
};
constexpr int32_t kNackCode = 13;  // google.rpc.Code.INTERNAL, as Envoy sends it
std::string encode_request(const WireRequest& request);

// An envoy.service.discovery.v3.DeltaDiscoveryRequest in plain values.
struct WireDeltaRequest {
  std::string_view node;
  std::string_view type_url;
  std::vector<std::string_view> subscribe, unsubscribe;
  std::vector<std::pair<std::string_view, std::string_view>> initial_versions;
  std::string_view nonce;  // of answers
  std::string_view error;  // as above
};
std::string encode_request(const WireDeltaRequest& request);

// XXH64 with seed 0: also what Envoy's `version` gauges show of version_info.
uint64_t hash_of(std::string_view bytes) noexcept;

bool is_utf8(std::string_view text) noexcept;

// The type of a type URL; Type::kCount if it is none of ours.
Type type_of_url(std::string_view type_url) noexcept;

}  // namespace sluice::xds
