// Authorities answers "who has the resource of this xdstp:// name?" by the name's authority, and
// decode_named_source() where a name and perhaps a ConfigSource beside it (the peer) lead to.
//
// In this order (bootstrap.proto, config_sources): the peer, if it lists the authority; the first
// of the bootstrap's config_sources that does; default_config_source; a peer that lists none, as in
// Envoy. Else the resource that has the name is refused, and nothing beside it. Filled when the
// bootstrap is read, before any resource is decoded; constant and read by any thread from then on.
// xRFC TP1, rules 150 to 153.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "xds/resource_name.h"
#include "xds/resources.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}
namespace envoy::config::core::v3 {
class ConfigSource;
}

namespace sluice::xds {

class ConfigSources;
class Context;
class Path;

class Authorities {
 public:
  // The first one of a name counts.
  void add(std::string authority, SourceRef source) {
    by_name_.try_emplace(std::move(authority), source);
  }
  void set_default(SourceRef source) { default_ = source; }
  // Null: nobody.
  const SourceRef* find(std::string_view authority) const;

  // What collections' names carry beside their own parameters (node_context_params).
  ContextParams node_context;

 private:
  std::map<std::string, SourceRef, std::less<>> by_name_;
  std::optional<SourceRef> default_;
};

// config_sources, default_config_source and node_context_params (of the node as it is sent, in
// bytes), into `sources`.
absl::Status decode_authorities(const Context& context,
                                const ::envoy::config::bootstrap::v3::Bootstrap& in,
                                std::string_view node, ConfigSources* sources);

struct NamedSource {
  Type type;
  const Path& name_at;
  std::string_view name;
  const Path& source_at;
  const ::envoy::config::core::v3::ConfigSource* source = nullptr;  // null: there is none
  enum class Kind : uint8_t { kOne, kCollection, kEither } kind = Kind::kOne;
};
// The name in normal form, where it comes from, and (if anybody says) how long it is waited for.
absl::Status decode_named_source(const Context& context, const NamedSource& in, std::string* name,
                                 SourceId* source, std::chrono::nanoseconds* timeout);

}  // namespace sluice::xds
