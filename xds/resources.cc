#include "xds/resources.h"

#include <array>

namespace sluice::xds {
namespace {

// By Type; the last one is kCount's.
constexpr std::array<TypeTraits, kNumTypes + 1> kTraits = {{
    {.url = "type.googleapis.com/envoy.config.cluster.v3.Cluster",
     .short_name = "CDS",
     .what = "cluster",
     .stats = "cluster_manager.cds.",
     .wildcard = true},
    {.url = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
     .short_name = "EDS",
     .what = "endpoints",
     .stats = "sluice.eds."},
    {.url = "type.googleapis.com/envoy.config.listener.v3.Listener",
     .short_name = "LDS",
     .what = "listener",
     .stats = "listener_manager.lds.",
     .wildcard = true},
    {.url = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
     .short_name = "RDS",
     .what = "routes",
     .stats = "sluice.rds."},
    {.url = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration",
     .short_name = "SRDS",
     .what = "route scope",
     .stats = "sluice.scoped_rds.",
     .wildcard = true},
    {.url = "type.googleapis.com/envoy.config.route.v3.VirtualHost",
     .short_name = "VHDS",
     .what = "virtual host",
     .stats = "sluice.vhds.",
     .wildcard = true,
     .delta_only = true},
    {.url = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
     .short_name = "ECDS",
     .what = "extension",
     .stats = "extension_config_discovery."},
    {.url = "type.googleapis.com/envoy.service.runtime.v3.Runtime",
     .short_name = "RTDS",
     .what = "runtime layer",
     .stats = "runtime."},
    {.url = "type.googleapis.com/envoy.config.endpoint.v3.LbEndpoint",
     .short_name = "LEDS",
     .what = "endpoint",
     .stats = "sluice.leds.",
     .wildcard = true,
     .delta_only = true},
    {.url = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
     .short_name = "SDS",
     .what = "secret",
     .stats = "sluice.sds."},
    {.url = "", .short_name = "?", .what = "start", .stats = ""},
}};

}  // namespace

const TypeTraits& traits_of(Type type) noexcept { return kTraits[static_cast<size_t>(type)]; }

}  // namespace sluice::xds
