// decode_*() turn one resource, as serialised by a control plane, into the plain values that the
// data plane compiles.
//
// What comes in is parsed, checked against the protos' own rules (validate.h), checked for features
// that Sluice does not have (support.h: an error where ignoring one could change where traffic
// goes, what is let in, or what a client sees; a warning otherwise), and converted. Each resource
// alone: whether a named cluster or route configuration exists is the assembler's question. Any
// thread; nothing is kept but what is returned. 10,000 routes cost about 100 ms. Errors:
// InvalidArgument, `listener "in": filter_chains[0].filters[0]...: problem: value; remedy`.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "dataplane/values.h"
#include "router/values.h"
#include "upstream/values.h"
#include "xds/resources.h"
#include "xds/warnings.h"

namespace sluice::xds {

struct DecodeOptions {
  bool is_static = false;  // from the bootstrap; else from a control plane
  // Fields that our protos do not know (a newer control plane). Default: warn.
  bool reject_unknown_fields = false;
  bool ignore_unknown_fields = false;
  // Defaults that the process gives to listeners.
  std::string server_name = "sluice";
};

// What a decoded route configuration keeps so that the next version of it decodes only the virtual
// hosts whose bytes changed; those that did not are the same objects. Opaque; copied freely.
class RouteMemory;

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
// `memory` may be null; it is read and replaced when decoding succeeds.
absl::StatusOr<router::RouteConfigValue> decode_routes(
    std::string_view bytes, std::string_view version, const DecodeOptions& options,
    Warnings* warnings, std::shared_ptr<const RouteMemory>* memory = nullptr);

// The name of a resource by its type, read from the wire without decoding the rest (`name`, or
// `cluster_name` of endpoints). Empty: none, or not a message.
std::string_view resource_name(Type type, std::string_view bytes) noexcept;

}  // namespace sluice::xds
