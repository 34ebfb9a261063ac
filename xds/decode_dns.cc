#include "xds/decode_dns.h"

#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb.h"
#include "envoy/extensions/network/dns_resolver/getaddrinfo/v3/getaddrinfo_dns_resolver.pb.h"
#include "xds/decode_endpoints.h"

namespace sluice::xds {
namespace {

using ::envoy::config::bootstrap::v3::Bootstrap;
using ::envoy::config::cluster::v3::Cluster;
using net::LookupFamily;
using net::ResolverConfig;
using upstream::DnsValue;

LookupFamily family_of(Cluster::DnsLookupFamily in) {
  switch (in) {
    case Cluster::V4_ONLY:
      return LookupFamily::kV4Only;
    case Cluster::V6_ONLY:
      return LookupFamily::kV6Only;
    case Cluster::V4_PREFERRED:
      return LookupFamily::kV4First;
    case Cluster::ALL:
      return LookupFamily::kAll;
    default:
      return LookupFamily::kAuto;
  }
}

// Addresses of DNS servers; their protocol says nothing.
absl::Status decode_servers(const Context& context, const Path& at, Text field,
                            const Repeated<core::Address>& in, std::vector<base::Address>* out) {
  for (int i = 0; i < in.size(); ++i) {
    const Path here(at, field, i);
    const Path socket(here, "socket_address");
    if (!in[i].has_socket_address()) return context.error(socket, "is required");
    const core::SocketAddress& server = in[i].socket_address();
    auto address = base::Address::ip(server.address(), static_cast<uint16_t>(server.port_value()));
    if (!address.ok()) {
      return context.error(Path(socket, "address"), "not an IP address: \"", server.address(),
                           "\"; a DNS server has no name");
    }
    out->push_back(*std::move(address));
  }
  return absl::OkStatus();
}

void decode_options(const core::DnsResolverOptions& in, ResolverConfig* out) {
  out->use_tcp = in.use_tcp_for_dns_lookups();
  out->no_search_domains = in.no_default_search_domain();
}

absl::Status decode_typed(const Context& context, const Path& at,
                          const core::TypedExtensionConfig& in, ResolverConfig* out) {
  namespace dns = ::envoy::extensions::network::dns_resolver;
  using Cares = dns::cares::v3::CaresDnsResolverConfig;
  using System = dns::getaddrinfo::v3::GetAddrInfoDnsResolverConfig;
  const Path config(at, "typed_config");
  const std::string type = context.type_of(in.typed_config());
  if (type == System::descriptor()->full_name()) {
    context.warn(config, type, "names are resolved by c-ares, from the same system files");
    return context.unpack_as<System>(in.typed_config(), config).status();
  }
  if (type != Cares::descriptor()->full_name()) {
    return context.error(config, "not supported yet: \"", type,
                         "\"; use envoy.network.dns_resolver.cares");
  }
  auto cares = context.unpack_as<Cares>(in.typed_config(), config);
  if (!cares.ok()) return cares.status();
  decode_options(cares->dns_resolver_options(), out);
  out->servers_as_fallback = cares->use_resolvers_as_fallback();
  out->filter_unroutable = cares->filter_unroutable_families();
  return decode_servers(context, Context::inside(in.typed_config(), config), "resolvers",
                        cares->resolvers(), &out->servers);
}

// What cluster and bootstrap have in common.
template <class Message>
absl::StatusOr<OptionalResolver> decode_common(const Context& context, const Path& at,
                                               const Message& in) {
  ResolverConfig out;
  absl::Status s;
  if (in.has_typed_dns_resolver_config()) {
    s = decode_typed(context, Path(at, "typed_dns_resolver_config"), in.typed_dns_resolver_config(),
                     &out);
  } else if (in.has_dns_resolution_config()) {
    decode_options(in.dns_resolution_config().dns_resolver_options(), &out);
    s = decode_servers(context, Path(at, "dns_resolution_config"), "resolvers",
                       in.dns_resolution_config().resolvers(), &out.servers);
  } else if (in.use_tcp_for_dns_lookups()) {
    out.use_tcp = true;
  } else {
    return OptionalResolver();
  }
  if (!s.ok()) return s;
  return OptionalResolver(std::move(out));
}

absl::Status decode_times(const Context& context, const Path& at, const Cluster& in,
                          DnsValue* out) {
  absl::Status s;
  if (in.has_dns_refresh_rate()) {
    s = decode_duration(context, Path(at, "dns_refresh_rate"), in.dns_refresh_rate(),
                        &out->refresh);
  }
  if (s.ok() && in.has_dns_jitter()) {
    s = decode_duration(context, Path(at, "dns_jitter"), in.dns_jitter(), &out->jitter);
  }
  if (!s.ok() || !in.has_dns_failure_refresh_rate()) return s;
  const auto& failure = in.dns_failure_refresh_rate();
  const Path here(at, "dns_failure_refresh_rate");
  s = decode_duration(context, Path(here, "base_interval"), failure.base_interval(),
                      &out->failure_base);
  if (!s.ok()) return s;
  constexpr std::chrono::nanoseconds kCentury = std::chrono::hours(24 * 365 * 100);
  out->failure_base = std::min(out->failure_base, kCentury / 10);
  out->failure_max = 10 * out->failure_base;
  if (failure.has_max_interval()) {
    s = decode_duration(context, Path(here, "max_interval"), failure.max_interval(),
                        &out->failure_max);
  }
  if (s.ok() && out->failure_max < out->failure_base) {
    return context.error(Path(here, "max_interval"), "must not be below base_interval");
  }
  return s;
}

absl::Status check_one_host(const Context& context, const Path& at,
                            const endpoint::ClusterLoadAssignment& in) {
  if (in.endpoints_size() == 1 && in.endpoints(0).lb_endpoints_size() == 1) {
    return absl::OkStatus();
  }
  return context.error(Path(at, "endpoints"),
                       "a cluster of type LOGICAL_DNS has one locality with one endpoint; use "
                       "STRICT_DNS for more");
}

}  // namespace

absl::StatusOr<OptionalResolver> decode_resolver(const Context& context, const Path& at,
                                                 const Bootstrap& in) {
  return decode_common(context, at, in);
}

absl::StatusOr<OptionalResolver> decode_resolver(const Context& context, const Path& at,
                                                 const Cluster& in) {
  auto out = decode_common(context, at, in);
  if (!out.ok() || in.has_typed_dns_resolver_config() || in.has_dns_resolution_config() ||
      in.dns_resolvers().empty()) {
    return out;
  }
  ResolverConfig config = out->value_or(ResolverConfig{});
  absl::Status s =
      decode_servers(context, at, "dns_resolvers", in.dns_resolvers(), &config.servers);
  if (!s.ok()) return s;
  return OptionalResolver(std::move(config));
}

absl::StatusOr<DnsValue> decode_dns(const Context& context, const Path& at, const Cluster& in) {
  DnsValue out;
  const Path assignment(at, "load_assignment");
  if (!in.has_load_assignment()) {
    return context.error(assignment, "is required for a cluster of type ",
                         Cluster::DiscoveryType_Name(in.type()));
  }
  if (in.type() == Cluster::LOGICAL_DNS) {
    absl::Status s = check_one_host(context, assignment, in.load_assignment());
    if (!s.ok()) return s;
  }
  auto endpoints = decode_load_assignment(context, assignment, in.load_assignment(), &out.names);
  if (!endpoints.ok()) return endpoints.status();
  out.assignment = *std::move(endpoints);
  out.assignment.one_host = in.type() == Cluster::LOGICAL_DNS;
  if (absl::Status s = decode_times(context, at, in, &out); !s.ok()) return s;
  auto resolver = decode_resolver(context, at, in);
  if (!resolver.ok()) return resolver.status();
  out.resolver = *std::move(resolver);
  out.family = family_of(in.dns_lookup_family());
  out.respect_ttl = in.respect_dns_ttl();
  out.wait_for_warm = !in.has_wait_for_warm_on_init() || in.wait_for_warm_on_init().value();
  return out;
}

}  // namespace sluice::xds
