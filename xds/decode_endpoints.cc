#include "xds/decode_endpoints.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/container/flat_hash_set.h"

namespace sluice::xds {
namespace {

using upstream::EndpointsValue;
using upstream::EndpointValue;
using upstream::Health;
using upstream::LocalityValue;

Health health_of(core::HealthStatus in) {
  switch (in) {
    case core::HEALTHY:
      return Health::kHealthy;
    case core::UNHEALTHY:
      return Health::kUnhealthy;
    case core::DRAINING:
      return Health::kDraining;
    case core::TIMEOUT:
      return Health::kTimeout;
    case core::DEGRADED:
      return Health::kDegraded;
    default:
      return Health::kUnknown;
  }
}

// Sums per priority must fit in 32 bits, of localities and of endpoints (Envoy refuses more).
class Weights {
 public:
  bool add(uint32_t priority, uint32_t weight) {
    uint64_t& sum = sums_[priority];
    sum += weight;
    return sum <= UINT32_MAX;
  }

 private:
  std::map<uint32_t, uint64_t> sums_;
};

using Names = std::vector<upstream::DnsValue::Name>;

// RFC 1035, 2.3.4; what is in the labels is the name server's business (RFC 2181, 11), but for what
// cannot be part of a text.
bool is_dns_name(Text name) {
  constexpr size_t kMaxName = 253, kMaxLabel = 63;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  for (size_t label = 0; const char c : name) {
    if (c <= ' ' || c == 0x7f || (c == '.' && label == 0)) return false;
    label = c == '.' ? 0 : label + 1;
    if (label > kMaxLabel) return false;
  }
  return !name.ends_with('.');
}

// An endpoint of a DNS cluster. Adds to `names` unless the address is one already.
absl::StatusOr<base::Address> decode_named(const Context& context, const Path& at,
                                           const core::Address& in, Names* names) {
  if (!in.has_socket_address()) {
    return context.error(Path(at, "socket_address"),
                         "is required: endpoints of DNS clusters have names or IP addresses");
  }
  base::IpAddress literal;
  const core::SocketAddress& socket = in.socket_address();
  if (base::IpAddress::parse(socket.address(), &literal) ||
      socket.port_specifier_case() == core::SocketAddress::kNamedPort) {
    return decode_address(context, at, in);
  }
  const Path here(at, "socket_address");
  if (!is_dns_name(socket.address())) {
    return context.error(Path(here, "address"), "neither an IP address nor a DNS name: \"",
                         socket.address(), "\"");
  }
  if (socket.port_value() == 0) {
    return context.error(Path(here, "port_value"), "0 is not a port to connect to");
  }
  names->push_back({0, 0, socket.address(), static_cast<uint16_t>(socket.port_value())});
  return base::Address();
}

absl::StatusOr<EndpointValue> decode_endpoint(const Context& context, const Path& at,
                                              const endpoint::LbEndpoint& in, Names* names) {
  const Path here(at, "endpoint");
  if (!in.endpoint().has_address()) return context.error(Path(here, "address"), "is required");
  const Path place(here, "address");
  const core::Address& given = in.endpoint().address();
  auto address = names != nullptr ? decode_named(context, place, given, names)
                                  : decode_address(context, place, given);
  if (!address.ok()) return address.status();
  EndpointValue out;
  out.address = *std::move(address);
  if (out.address.is_ip() && out.address.port() == 0) {
    const Path socket(place, "socket_address");
    return context.error(Path(socket, "port_value"), "0 is not a port to connect to");
  }
  out.hostname = in.endpoint().hostname();
  out.health = health_of(in.health_status());
  if (in.has_load_balancing_weight()) out.weight = in.load_balancing_weight().value();
  return out;
}

// Of hosts with the same address the first wins, as in Envoy.
using Seen = absl::flat_hash_set<base::Address>;

absl::Status decode_locality(const Context& context, const Path& at,
                             const endpoint::LocalityLbEndpoints& in, Seen& seen, Weights& weights,
                             Names* names, LocalityValue* out) {
  out->region = in.locality().region();
  out->zone = in.locality().zone();
  out->sub_zone = in.locality().sub_zone();
  out->priority = in.priority();
  out->weight = in.load_balancing_weight().value();
  out->endpoints.reserve(static_cast<size_t>(in.lb_endpoints_size()));
  for (int i = 0; i < in.lb_endpoints_size(); ++i) {
    const Path here(at, "lb_endpoints", i);
    auto endpoint = decode_endpoint(context, here, in.lb_endpoints(i), names);
    if (!endpoint.ok()) return endpoint.status();
    const bool named = endpoint->address.family() == base::Address::Family::kNone;
    if (named) names->back().endpoint = out->endpoints.size();
    if (!named && !seen.insert(endpoint->address).second) {
      context.warn(here, "duplicate endpoint",
                   base::cat("the endpoint is there already, the first counts: ",
                             endpoint->address.to_string()));
      continue;
    }
    if (!weights.add(out->priority, endpoint->weight)) {
      return context.error(Path(here, "load_balancing_weight"), "the weights' sum of priority ",
                           out->priority, " does not fit in 32 bits; use smaller weights");
    }
    out->endpoints.push_back(*std::move(endpoint));
  }
  return absl::OkStatus();
}

absl::Status decode_leds(const Context& context, const Path& at,
                         const endpoint::LocalityLbEndpoints& in, LedsLocality* out) {
  const Path here(at, "leds_cluster_locality_config");
  const auto& config = in.leds_cluster_locality_config();
  const Path name_at(here, "leds_collection_name");
  const Path source_at(here, "leds_config");
  if (in.lb_endpoints_size() > 0) {
    return context.error(here, "cannot be beside lb_endpoints; remove one of them");
  }
  if (!is_xdstp(config.leds_collection_name())) {
    return context.error(name_at, "must be the xdstp:// name of a collection: \"",
                         config.leds_collection_name(), "\"");
  }
  std::chrono::nanoseconds timeout{15'000'000'000};
  absl::Status s =
      decode_named_source(context,
                          {.type = Type::kLbEndpoint,
                           .name_at = name_at,
                           .name = config.leds_collection_name(),
                           .source_at = source_at,
                           .source = config.has_leds_config() ? &config.leds_config() : nullptr,
                           .kind = NamedSource::Kind::kCollection},
                          &out->collection.name, &out->collection.source, &timeout);
  out->fetch_timeout_ns = timeout.count();
  return s;
}

// A priority without endpoints is legal and always spills over, but rarely what was meant.
void check_priorities(const Context& context, const Path& at, const EndpointsValue& value) {
  uint32_t max = 0;
  std::vector<bool> used(129);
  for (const LocalityValue& locality : value.localities) {
    used[locality.priority] = true;
    max = std::max(max, locality.priority);
  }
  for (uint32_t p = 0; p < max; ++p) {
    if (used[p]) continue;
    context.warn(Path(at, "endpoints"), "gap in priorities",
                 base::cat("no endpoints of priority ", p, ", which is below priority ", max));
  }
}

}  // namespace

absl::StatusOr<EndpointsValue> decode_load_assignment(const Context& context, const Path& at,
                                                      const endpoint::ClusterLoadAssignment& in,
                                                      Names* names,
                                                      std::vector<LedsLocality>* leds) {
  EndpointsValue out;
  out.cluster_name = in.cluster_name();
  if (in.policy().has_overprovisioning_factor()) {
    out.overprovisioning_factor_pct = in.policy().overprovisioning_factor().value();
  }
  Seen seen;
  Weights endpoint_weights, locality_weights;
  out.localities.resize(static_cast<size_t>(in.endpoints_size()));
  for (int i = 0; i < in.endpoints_size(); ++i) {
    const Path here(at, "endpoints", i);
    LocalityValue& locality = out.localities[static_cast<size_t>(i)];
    const size_t known = names == nullptr ? 0 : names->size();
    absl::Status s =
        decode_locality(context, here, in.endpoints(i), seen, endpoint_weights, names, &locality);
    if (!s.ok()) return s;
    if (in.endpoints(i).has_leds_cluster_locality_config()) {
      if (leds == nullptr) {
        return context.error(Path(here, "leds_cluster_locality_config"),
                             "is for endpoints that come by EDS; write lb_endpoints");
      }
      LedsLocality& one = leds->emplace_back();
      one.locality = static_cast<size_t>(i);
      if (s = decode_leds(context, here, in.endpoints(i), &one); !s.ok()) return s;
    }
    for (size_t n = known; names != nullptr && n < names->size(); ++n) {
      (*names)[n].locality = static_cast<size_t>(i);
    }
    if (!locality_weights.add(locality.priority, locality.weight)) {
      return context.error(Path(here, "load_balancing_weight"),
                           "the localities' weights of priority ", locality.priority,
                           " do not fit in 32 bits; use smaller weights");
    }
  }
  check_priorities(context, at, out);
  return out;
}

absl::StatusOr<EndpointsValue> decode_endpoints(std::string_view bytes, std::string_view version,
                                                const DecodeOptions& options, Warnings* warnings) {
  return decode_eds(bytes, version, options, warnings, nullptr);
}

absl::StatusOr<EndpointsValue> decode_eds(std::string_view bytes, std::string_view version,
                                          const DecodeOptions& options, Warnings* warnings,
                                          std::vector<LedsLocality>* leds) {
  Context context(options, warnings, "endpoints");
  const Path root;
  endpoint::ClusterLoadAssignment in;
  if (!parse_message(bytes, &in)) {
    return context.error(root, "not a serialised ClusterLoadAssignment");
  }
  context.set_label(base::cat("endpoints \"", in.cluster_name(), "\""));
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  auto out = decode_load_assignment(context, root, in, nullptr, leds);
  if (out.ok()) out->version = std::string(version);
  return out;
}

absl::StatusOr<DecodedEndpoint> decode_lb_endpoint(std::string_view bytes, std::string_view name,
                                                   const DecodeOptions& options,
                                                   Warnings* warnings) {
  const Context context(options, warnings, base::cat("endpoint \"", name, "\""));
  const Path root;
  endpoint::LbEndpoint in;
  if (!parse_message(bytes, &in)) return context.error(root, "not a serialised LbEndpoint");
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  auto value = decode_endpoint(context, root, in, nullptr);
  if (!value.ok()) return value.status();
  return DecodedEndpoint{std::string(name), *std::move(value)};
}

}  // namespace sluice::xds
