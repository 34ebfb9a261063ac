// The decoders of clusters whose endpoints are found by name, and of how names are resolved.
//
// As Envoy: typed_dns_resolver_config counts before dns_resolution_config, that before
// dns_resolvers and use_tcp_for_dns_lookups, and a cluster that says nothing has what the bootstrap
// says. Pure conversions; checked by the caller (decode_context.h).
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "net/resolver.h"
#include "upstream/values.h"
#include "xds/decode_parts.h"

namespace sluice::xds {

using OptionalResolver = std::optional<net::ResolverConfig>;

// Of a cluster of type STRICT_DNS or LOGICAL_DNS.
absl::StatusOr<upstream::DnsValue> decode_dns(const Context& context, const Path& at,
                                              const ::envoy::config::cluster::v3::Cluster& in);

// None: neither says anything.
absl::StatusOr<OptionalResolver> decode_resolver(const Context& context, const Path& at,
                                                 const ::envoy::config::cluster::v3::Cluster& in);
absl::StatusOr<OptionalResolver> decode_resolver(
    const Context& context, const Path& at, const ::envoy::config::bootstrap::v3::Bootstrap& in);

}  // namespace sluice::xds
