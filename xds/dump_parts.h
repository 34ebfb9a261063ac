#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "xds/resources.h"

namespace sluice::xds {

struct DumpResource;

// DumpParts joins for /config_dump what comes in parts and is shown as a whole, as Envoy shows it:
// scopes (SRDS) as the sets that listeners name, virtual hosts (VHDS) in their route configuration,
// endpoints (LEDS) in their assignment.
//
// Main only, as config_dump.h. Costs nothing where there are no parts; else each listener is parsed
// once, and what is joined is parsed and written when it is shown. Scopes of several sources are
// all shown in each set.
class DumpParts {
 public:
  DumpParts() = default;
  // Takes the parts out of `resources`, and adds the sets of scopes: entries of type kScopedRoute
  // whose bytes are a message of ScopedRoutesConfigDump.
  explicit DumpParts(std::vector<DumpResource>* resources);

  // The bytes of a resource with its parts.
  std::string whole(const DumpResource& resource) const;

 private:
  using ByName = std::map<std::string, std::string, std::less<>>;  // bytes

  void add_sets(std::vector<DumpResource>* resources) const;
  std::string with_hosts(const DumpResource& routes) const;
  std::string with_endpoints(const DumpResource& assignment) const;

  std::map<Type, ByName> parts_;
  std::vector<DumpResource> scopes_;
};

}  // namespace sluice::xds
