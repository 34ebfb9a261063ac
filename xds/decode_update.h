#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/values.h"
#include "router/cluster_ids.h"
#include "router/scope.h"
#include "router/table.h"
#include "upstream/values.h"
#include "xds/decode.h"
#include "xds/decode_extension.h"
#include "xds/decode_leds.h"
#include "xds/resources.h"
#include "xds/runtime_values.h"
#include "xds/warnings.h"

namespace sluice::xds {

// decode_update() makes values and route tables of all resources of one update: each alone, the bad
// ones by name beside the good ones. Any thread: big updates are given to the compile pool. What it
// needs of main is in the job; `ids` outlives it.

struct DecodedRoutes {
  std::string name;
  std::shared_ptr<const router::RouteTable> table;
  // Where virtual hosts come one by one (VHDS): what the table is made of again with them.
  std::shared_ptr<const router::RouteConfigValue> value;
  // Clusters that must be there (validate_clusters); of the virtual hosts that changed.
  std::vector<std::string> required_clusters;
};

struct DecodedVirtualHost {
  std::string name;  // the resource's: "ROUTE CONFIGURATION/VIRTUAL HOST"
  std::shared_ptr<const router::VirtualHostValue> value;
};

struct DecodedRuntime {
  std::string name;
  RuntimeEntries entries;
};

struct DecodedLeds {
  size_t index = 0;  // in `endpoints`
  std::vector<LedsLocality> localities;
};

struct DecodeJob {
  Update update;
  DecodeOptions options;
  // For routes: the tables that serve now, in the order of update.changed (null: none), and what
  // compiling takes. Virtual hosts that did not change are taken over, not decoded.
  std::vector<std::shared_ptr<const router::RouteTable>> previous;
  router::ClusterIds* ids = nullptr;
  router::CompileOptions compile;
};

struct DecodedUpdate {
  // One of these, by the update's type.
  std::vector<upstream::ClusterValue> clusters;
  std::vector<upstream::EndpointsValue> endpoints;
  std::vector<DecodedLeds> leds;  // of some of the endpoints, in their order
  std::vector<DecodedEndpoint> lb_endpoints;
  std::vector<dataplane::ListenerValue> listeners;
  std::vector<DecodedRoutes> routes;
  std::vector<router::ScopeValue> scopes;
  std::vector<DecodedVirtualHost> virtual_hosts;
  std::vector<DecodedRuntime> runtime;
  std::vector<DecodedExtension> extensions;

  std::vector<std::string> removed;
  std::vector<std::string> unchanged, answered;
  std::vector<Rejected> rejected;
  Warnings warnings;
};

DecodedUpdate decode_update(DecodeJob job);

}  // namespace sluice::xds
