#include "xds/decode_update.h"

#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

void require(const std::string& cluster, std::vector<std::string>* out) {
  if (!cluster.empty()) out->push_back(cluster);
}

std::vector<std::string> clusters_of(const router::RouteConfigValue& config) {
  std::vector<std::string> names;
  for (const auto& host : config.virtual_hosts) {
    for (const router::RouteValue& route : host->routes) {
      if (route.action != router::RouteValue::Action::kForward) continue;
      require(route.forward.cluster, &names);
      for (const auto& weighted : route.forward.weighted) require(weighted.cluster, &names);
    }
  }
  return names;
}

absl::StatusOr<DecodedRoutes> decode_and_compile(const DecodeJob& job, size_t index,
                                                 Warnings* warnings) {
  const Resource& resource = job.update.changed[index];
  const router::RouteTable* previous = job.previous[index].get();
  auto value = decode_routes(resource.bytes, resource.version, job.options, warnings, previous,
                             job.compile.num_workers);
  if (!value.ok()) return value.status();
  auto table = router::RouteTable::compile(*value, *job.ids, previous, job.compile);
  if (!table.ok()) return table.status();
  DecodedRoutes out{resource.name, *std::move(table), nullptr, {}};
  if (value->vhds) out.value = std::make_shared<const router::RouteConfigValue>(*value);
  if (value->validate_clusters.value_or(false)) out.required_clusters = clusters_of(*value);
  return out;
}

// Keeps a good value under the resource's own name.
template <typename Value>
void keep(absl::StatusOr<Value> value, const Resource& resource, std::string Value::* name,
          std::vector<Value>* good, std::vector<Rejected>* bad) {
  if (!value.ok()) {
    bad->push_back({resource.name, value.status()});
    return;
  }
  (*value).*name = resource.name;
  good->push_back(*std::move(value));
}

}  // namespace

DecodedUpdate decode_update(DecodeJob job) {
  DecodedUpdate out;
  out.removed = std::move(job.update.removed);
  out.unchanged = std::move(job.update.unchanged);
  out.answered = std::move(job.update.answered);
  for (size_t i = 0; i < job.update.changed.size(); ++i) {
    Resource& r = job.update.changed[i];
    Warnings* warnings = &out.warnings;
    switch (job.update.type) {
      case Type::kCluster:
        keep(decode_cluster(r.bytes, r.version, job.options, warnings), r,
             &upstream::ClusterValue::name, &out.clusters, &out.rejected);
        break;
      case Type::kEndpoint: {
        std::vector<LedsLocality> leds;
        const size_t index = out.endpoints.size();
        keep(decode_eds(r.bytes, r.version, job.options, warnings, &leds), r,
             &upstream::EndpointsValue::cluster_name, &out.endpoints, &out.rejected);
        if (out.endpoints.size() > index && !leds.empty()) {
          out.leds.push_back({index, std::move(leds)});
        }
        break;
      }
      case Type::kLbEndpoint:
        keep(decode_lb_endpoint(r.bytes, r.name, job.options, warnings), r, &DecodedEndpoint::name,
             &out.lb_endpoints, &out.rejected);
        break;
      case Type::kListener:
        keep(decode_listener(r.bytes, r.version, job.options, warnings), r,
             &dataplane::ListenerValue::name, &out.listeners, &out.rejected);
        break;
      case Type::kRoute: {
        auto routes = decode_and_compile(job, i, warnings);
        if (routes.ok()) {
          out.routes.push_back(*std::move(routes));
        } else {
          out.rejected.push_back({r.name, routes.status()});
        }
        break;
      }
      case Type::kScopedRoute:
        keep(decode_scope(r.bytes, r.version, job.options, warnings), r, &router::ScopeValue::name,
             &out.scopes, &out.rejected);
        break;
      case Type::kVirtualHost: {
        auto host = decode_virtual_host(r.bytes, r.name, job.options, warnings);
        if (host.ok()) {
          out.virtual_hosts.push_back({r.name, *std::move(host)});
        } else {
          out.rejected.push_back({r.name, host.status()});
        }
        break;
      }
      case Type::kExtensionConfig:
        keep(decode_extension(r.bytes, job.options, warnings), r, &DecodedExtension::name,
             &out.extensions, &out.rejected);
        break;
      case Type::kRuntime: {
        auto entries = decode_runtime(r.bytes, job.options, warnings);
        if (entries.ok()) {
          out.runtime.push_back({r.name, *std::move(entries)});
        } else {
          out.rejected.push_back({r.name, entries.status()});
        }
        break;
      }
      default:  // another sink's (assemble.h), or nobody's
        out.rejected.push_back(
            {r.name, base::config_error("resources of ", short_name_of(job.update.type),
                                        " are not supported here")});
    }
    std::string().swap(r.bytes);
  }
  return out;
}

}  // namespace sluice::xds
