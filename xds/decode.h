// decode_*() turn one resource, as serialised by a control plane, into the plain values that the
// data plane compiles.
//
// What comes in is parsed, checked against the protos' own rules (validate.h), checked for features
// that Sluice does not have (support.h: an error where ignoring one could change where traffic
// goes, what is let in, or what a client sees; a warning otherwise), and converted. Each resource
// alone: whether a named cluster or route configuration exists is the assembler's question. Any
// thread; nothing is kept but what is returned. 10,000 routes cost about 40 ms. Errors:
// InvalidArgument, `listener "in": filter_chains[0].filters[0]...: problem: value; remedy`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/values.h"
#include "router/scope.h"
#include "router/values.h"
#include "upstream/values.h"
#include "xds/warnings.h"

namespace sluice::router {
class RouteTable;
}

namespace sluice::xds {

class ConfigSources;

struct DecodeOptions {
  bool is_static = false;  // from the bootstrap; else from a control plane
  // Fields that our protos do not know (a newer control plane). Default: warn.
  bool reject_unknown_fields = false;
  bool ignore_unknown_fields = false;
  bool allow_unknown_static_fields = false;  // in the TypedStructs of static resources
  // Where resources may come from (null: no control plane is known), and where this one did.
  std::shared_ptr<ConfigSources> sources;
  uint32_t self = 0;
  // Where a field of this resource is written ("FILE:LINE:COL"; empty: unknown), for messages.
  std::function<std::string(std::string_view field_path)> locate;
};

absl::StatusOr<dataplane::ListenerValue> decode_listener(std::string_view bytes,
                                                         std::string_view version,
                                                         const DecodeOptions& options,
                                                         Warnings* warnings);
absl::StatusOr<upstream::ClusterValue> decode_cluster(std::string_view bytes,
                                                      std::string_view version,
                                                      const DecodeOptions& options,
                                                      Warnings* warnings);
absl::StatusOr<upstream::EndpointsValue> decode_endpoints(std::string_view bytes,
                                                          std::string_view version,
                                                          const DecodeOptions& options,
                                                          Warnings* warnings);
// Virtual hosts that `previous` (may be null) knows by their digest are left out: compile() for
// `num_workers` takes them over. Duplicate domains and regular expressions are compile()'s to
// check.
absl::StatusOr<router::RouteConfigValue> decode_routes(
    std::string_view bytes, std::string_view version, const DecodeOptions& options,
    Warnings* warnings, const router::RouteTable* previous = nullptr, uint32_t num_workers = 1);

// One scope of SRDS.
absl::StatusOr<router::ScopeValue> decode_scope(std::string_view bytes, std::string_view version,
                                                const DecodeOptions& options, Warnings* warnings);
// One virtual host of VHDS, with its digest.
absl::StatusOr<std::shared_ptr<const router::VirtualHostValue>> decode_virtual_host(
    std::string_view bytes, std::string_view name, const DecodeOptions& options,
    Warnings* warnings);

}  // namespace sluice::xds
