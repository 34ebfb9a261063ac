#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "http/h2_options.h"
#include "net/resolver.h"

namespace sluice::upstream {

// Clusters and endpoints as plain values: what xds/decode makes of Envoy's Cluster and
// ClusterLoadAssignment, what tests write by hand. Defaults are Envoy's.

enum class Health : uint8_t { kUnknown, kHealthy, kUnhealthy, kDraining, kTimeout, kDegraded };

struct EndpointValue {
  base::Address address;
  std::string hostname;
  Health health = Health::kUnknown;  // unknown counts as healthy
  uint32_t weight = 1;
  friend bool operator==(const EndpointValue&, const EndpointValue&) = default;
};

struct LocalityValue {
  std::string region, zone, sub_zone;
  uint32_t priority = 0;
  uint32_t weight = 0;  // 0: unset
  std::vector<EndpointValue> endpoints;
  friend bool operator==(const LocalityValue&, const LocalityValue&) = default;
};

struct EndpointsValue {
  std::string cluster_name;  // the resource's name
  std::string version;
  std::vector<LocalityValue> localities;
  uint32_t overprovisioning_factor_pct = 140;
  // One host whose address changes (LOGICAL_DNS): its connections stay when it does.
  bool one_host = false;
  friend bool operator==(const EndpointsValue&, const EndpointsValue&) = default;
};

// Endpoints that are found by name: a load_assignment in which some have no address yet, and which
// names those stand for.
struct DnsValue {
  struct Name {
    size_t locality = 0, endpoint = 0;  // its place in `assignment`
    std::string name;
    uint16_t port = 0;
    friend bool operator==(const Name&, const Name&) = default;
  };
  EndpointsValue assignment;  // one_host: of an answer only the first address counts
  std::vector<Name> names;
  std::optional<net::ResolverConfig> resolver;  // none: the process's own
  net::LookupFamily family = net::LookupFamily::kAuto;
  std::chrono::nanoseconds refresh{5'000'000'000};
  std::chrono::nanoseconds jitter{0};        // at most this is added to each wait
  bool respect_ttl = false;                  // instead of `refresh`, where an answer has one
  std::chrono::nanoseconds failure_base{0};  // 0: `refresh` after failures too
  std::chrono::nanoseconds failure_max{0};
  bool wait_for_warm = true;  // the start waits for the first answer
  friend bool operator==(const DnsValue&, const DnsValue&) = default;
};

// Per priority (default, high). Envoy's defaults: 1024 each, retries 3.
struct BreakerLimits {
  uint32_t max_connections = 1024;
  uint32_t max_pending_requests = 1024;
  uint32_t max_requests = 1024;
  uint32_t max_retries = 3;
  friend bool operator==(const BreakerLimits&, const BreakerLimits&) = default;
};

// HTTP/2 towards endpoints, or clients: codec options, and pings on connections that are silent.
struct H2Value {
  http::H2Options codec;
  std::chrono::nanoseconds keepalive_interval{0};  // 0: off
  std::chrono::nanoseconds keepalive_timeout{0};
  uint32_t keepalive_jitter_ppm = 150'000;  // of the interval, at most this is added
  // Endpoints: before a new stream on a connection that was silent for so long. 0: off.
  std::chrono::nanoseconds keepalive_idle_interval{0};
  friend bool operator==(const H2Value&, const H2Value&) = default;
};

// What makes a connection to an endpoint: pools survive a change of anything else. Compared as a
// whole; equal parts are shared between versions, so that pointer equality implies no change.
struct TransportValue {
  enum class Http : uint8_t { kHttp1, kHttp2, kUseDownstream, kAuto };
  Http http = Http::kHttp1;
  std::chrono::nanoseconds connect_timeout{5'000'000'000};
  std::chrono::nanoseconds idle_timeout{3'600'000'000'000};  // of pooled connections; 0: off
  std::chrono::nanoseconds max_connection_duration{0};
  uint32_t max_requests_per_connection = 0;  // 0: unlimited
  uint32_t buffer_limit_bytes = 1024 * 1024;
  uint32_t max_response_head_bytes = 60 * 1024;
  uint16_t max_response_headers = 100;
  H2Value h2;
  std::optional<base::Address> bind;
  bool tcp_keepalive = false;
  uint32_t keepalive_probes = 0, keepalive_time_s = 0, keepalive_interval_s = 0;
  friend bool operator==(const TransportValue&, const TransportValue&) = default;
};

struct ClusterValue {
  enum class Discovery : uint8_t { kStatic, kEds, kDns };
  enum class Balancer : uint8_t { kRoundRobin, kLeastRequest, kRandom };
  std::string name;
  std::string version;
  std::string alt_stat_name;
  Discovery discovery = Discovery::kStatic;
  std::string eds_service_name;  // empty: the cluster's name
  uint32_t eds_source = 0;       // the configuration source, by number; 0: the aggregated stream
  // The subscription's own wait (initial_fetch_timeout); 0: for ever.
  std::chrono::nanoseconds eds_initial_fetch_timeout{15'000'000'000};
  Balancer balancer = Balancer::kRoundRobin;
  uint32_t choice_count = 2;  // least request
  uint32_t healthy_panic_threshold_pct = 50;
  TransportValue transport;
  BreakerLimits breakers_default;
  BreakerLimits breakers_high;
  std::optional<EndpointsValue> static_endpoints;  // kStatic
  std::shared_ptr<const DnsValue> dns;             // kDns
  uint64_t dns_serial = 0;  // the assembler's: versions that ask for the same have the same
  bool ignore_new_hosts_until_first_hc = false;
  std::string source;
  friend bool operator==(const ClusterValue&, const ClusterValue&) = default;
};

}  // namespace sluice::upstream
