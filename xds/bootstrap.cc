#include "xds/bootstrap.h"

#include <algorithm>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "base/text.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/bootstrap_servers.h"
#include "xds/decode_dns.h"
#include "xds/decode_parts.h"
#include "xds/decode_runtime.h"
#include "xds/version.h"
#include "xds/yaml.h"

namespace sluice::xds {
namespace {

using ::envoy::config::cluster::v3::Cluster;
using ::envoy::config::listener::v3::Listener;
using ProtoBootstrap = ::envoy::config::bootstrap::v3::Bootstrap;
using DynamicResources = ProtoBootstrap::DynamicResources;
using Names = absl::flat_hash_set<std::string>;

bool leads_to(const core::ApiConfigSource& in, const std::string& cluster) {
  for (const core::GrpcService& service : in.grpc_services()) {
    if (service.envoy_grpc().cluster_name() == cluster) return true;
  }
  return std::find(in.cluster_names().begin(), in.cluster_names().end(), cluster) !=
         in.cluster_names().end();
}

bool leads_to(const ProtoBootstrap& in, const std::string& cluster) {
  for (const auto& layer : in.layered_runtime().layers()) {
    const auto& rtds = layer.rtds_layer().rtds_config();
    if (leads_to(rtds.api_config_source(), cluster)) return true;
  }
  for (const core::ConfigSource& source : in.config_sources()) {
    if (leads_to(source.api_config_source(), cluster)) return true;
  }
  const DynamicResources& dynamic = in.dynamic_resources();
  return leads_to(dynamic.ads_config(), cluster) ||
         leads_to(dynamic.lds_config().api_config_source(), cluster) ||
         leads_to(dynamic.cds_config().api_config_source(), cluster) ||
         leads_to(in.default_config_source().api_config_source(), cluster) ||
         leads_to(in.cluster_manager().load_stats_config(), cluster);
}

// The texts that make up the bootstrap, in the order in which they are merged.
struct Sources {
  std::vector<YamlDocument> documents;

  std::string locate(std::string_view path) const {
    std::vector<const YamlDocument*> pointers;
    for (const YamlDocument& document : documents) pointers.push_back(&document);
    return position_of(pointers, path);
  }
};

absl::Status add_source(absl::StatusOr<YamlDocument> document, const Flags& flags, Sources* sources,
                        Warnings* warnings, ProtoBootstrap* out) {
  if (!document.ok()) return document.status();
  YamlDocument::Options options;
  options.allow_unknown_fields = flags.allow_unknown_static_fields;
  options.allow_unknown_types = true;  // refused where they are needed
  ProtoBootstrap part;
  if (absl::Status s = document->to_message(options, &part, warnings); !s.ok()) return s;
  out->MergeFrom(part);
  sources->documents.push_back(*std::move(document));
  return absl::OkStatus();
}

absl::Status read_sources(const Flags& flags, Sources* sources, Warnings* warnings,
                          ProtoBootstrap* out) {
  if (flags.config_path.empty() && flags.config_yaml.empty()) {
    return base::config_error("no bootstrap; give one by -c FILE or --config-yaml TEXT");
  }
  if (!flags.config_path.empty()) {
    auto text = read_file(flags.config_path);
    if (!text.ok()) return text.status();
    absl::Status s =
        add_source(YamlDocument::parse(*text, flags.config_path), flags, sources, warnings, out);
    if (!s.ok()) return s;
  }
  if (flags.config_yaml.empty()) return absl::OkStatus();
  return add_source(YamlDocument::parse(flags.config_yaml, "--config-yaml"), flags, sources,
                    warnings, out);
}

// --------------------------------------------------------------------------------------------
// Node and admin.

absl::Status decode_node(const Context& context, const Flags& flags, ProtoBootstrap& in,
                         Node* out) {
  core::Node& node = *in.mutable_node();
  if (!flags.service_node.empty()) node.set_id(flags.service_node);
  if (!flags.service_cluster.empty()) node.set_cluster(flags.service_cluster);
  if (!flags.service_zone.empty()) node.mutable_locality()->set_zone(flags.service_zone);
  const Path root;
  const Path at(root, "node");
  if (in.has_dynamic_resources() && (node.id().empty() || node.cluster().empty())) {
    return context.error(Path(at, node.id().empty() ? "id" : "cluster"),
                         "is required with dynamic_resources; write it here, or give it by ",
                         node.id().empty() ? "--service-node" : "--service-cluster");
  }
  out->id = node.id();
  out->cluster = node.cluster();
  out->region = node.locality().region();
  out->zone = node.locality().zone();
  out->sub_zone = node.locality().sub_zone();

  core::Node sent = node;
  const Version version = build_version();
  sent.set_user_agent_name("sluice");
  core::BuildVersion& build = *sent.mutable_user_agent_build_version();
  build.mutable_version()->set_major_number(version.major);
  build.mutable_version()->set_minor_number(version.minor);
  build.mutable_version()->set_patch(version.patch);
  (*build.mutable_metadata()->mutable_fields())["build"].set_string_value(version_parts());
  sent.add_client_features("xds.config.resource-in-sotw");
  out->bytes = sent.SerializeAsString();
  return absl::OkStatus();
}

absl::Status decode_admin(const Context& context, const ProtoBootstrap& in,
                          std::optional<AdminConfig>* out) {
  if (!in.has_admin() || !in.admin().has_address()) return absl::OkStatus();
  const Path root;
  const Path at(root, "admin");
  AdminConfig admin;
  auto address = decode_address(context, Path(at, "address"), in.admin().address());
  if (!address.ok()) return address.status();
  admin.address = *std::move(address);
  admin.profile_path = in.admin().profile_path();
  absl::Status s = decode_access_logs(context, at, in.admin().access_log(), &admin.access_logs);
  if (!s.ok()) return s;
  if (!in.admin().access_log_path().empty()) {
    dataplane::AccessLogValue log;
    log.path = in.admin().access_log_path();
    admin.access_logs.push_back(std::move(log));
  }
  *out = std::move(admin);
  return absl::OkStatus();
}

// --------------------------------------------------------------------------------------------
// Dynamic resources.

// All that `in` has, or what the locator names.
absl::Status decode_source(const Context& context, Type type, const Path& at,
                           const core::ConfigSource* in, const Path& locator_at,
                           const std::string& locator, bool has_ads, std::string* name,
                           std::optional<SourceRef>* out) {
  if (in == nullptr && locator.empty()) return absl::OkStatus();
  if (!locator.empty() && !is_xdstp(locator)) {
    return context.error(locator_at, "must be an xdstp:// name: \"", locator,
                         "\"; for a file, remove it and set path_config_source");
  }
  SourceRef ref;
  absl::Status s = decode_named_source(context,
                                       {.type = type,
                                        .name_at = locator_at,
                                        .name = locator,
                                        .source_at = at,
                                        .source = in,
                                        .kind = NamedSource::Kind::kEither},
                                       name, &ref.source, &ref.initial_fetch_timeout);
  if (!s.ok()) return s;
  if (ref.source == kAds && !has_ads) {
    return context.error(at,
                         "refers to the aggregated stream, but dynamic_resources.ads_config is "
                         "missing; add it");
  }
  *out = ref;
  return absl::OkStatus();
}

absl::Status decode_dynamic(const Context& context, const ProtoBootstrap& in, Bootstrap* out) {
  const auto& dynamic = in.dynamic_resources();
  const Path root;
  const Path at(root, "dynamic_resources");
  out->has_ads = dynamic.has_ads_config();
  if (out->has_ads) {
    absl::Status s = out->sources->set_ads(context, Path(at, "ads_config"), dynamic.ads_config());
    if (!s.ok()) return s;
  }
  const auto* lds = dynamic.has_lds_config() ? &dynamic.lds_config() : nullptr;
  const auto* cds = dynamic.has_cds_config() ? &dynamic.cds_config() : nullptr;
  absl::Status s = decode_source(context, Type::kListener, Path(at, "lds_config"), lds,
                                 Path(at, "lds_resources_locator"), dynamic.lds_resources_locator(),
                                 out->has_ads, &out->lds_name, &out->lds);
  if (!s.ok()) return s;
  return decode_source(context, Type::kCluster, Path(at, "cds_config"), cds,
                       Path(at, "cds_resources_locator"), dynamic.cds_resources_locator(),
                       out->has_ads, &out->cds_name, &out->cds);
}

// --------------------------------------------------------------------------------------------
// Static resources.

class StaticResources {
 public:
  StaticResources(const Context& context, const Flags& flags, const Sources& sources,
                  Bootstrap* out)
      : context_(context), sources_(sources), out_(out) {
    options_.is_static = true;
    options_.allow_unknown_static_fields = flags.allow_unknown_static_fields;
    options_.sources = out->sources;
  }

  absl::Status clusters(const Repeated<Cluster>& in, const ProtoBootstrap& bootstrap) {
    for (int i = 0; i < in.size(); ++i) {
      const Path at(resources_, "clusters", i);
      if (absl::Status s = unique(at, in[i].name(), cluster_names_); !s.ok()) return s;
      if (absl::Status s = cluster(at, in[i], leads_to(bootstrap, in[i].name())); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  absl::Status listeners(const Repeated<Listener>& in) {
    for (int i = 0; i < in.size(); ++i) {
      const Path at(resources_, "listeners", i);
      std::string bytes = in[i].SerializeAsString();
      auto value = decode_listener(bytes, {}, options_at(at), &out_->warnings);
      if (!value.ok()) return value.status();
      if (absl::Status s = unique(at, value->name, listener_names_); !s.ok()) return s;
      if (absl::Status s = check_clusters(at, *value); !s.ok()) return s;
      out_->listeners.push_back({*std::move(value), std::move(bytes)});
    }
    return absl::OkStatus();
  }

 private:
  const DecodeOptions& options_at(const Path& at) {
    options_.locate = [this, prefix = at.str()](std::string_view path) {
      return sources_.locate(join_path(prefix, path));
    };
    return options_;
  }

  absl::Status unique(const Path& at, const std::string& name, Names& names) {
    if (names.insert(name).second) return absl::OkStatus();
    return context_.error(Path(at, "name"), "given twice: \"", name, "\"; rename one of them");
  }

  // A cluster that leads to the control plane may be of a kind that traffic cannot use yet.
  absl::Status cluster(const Path& at, const Cluster& in, bool is_control_plane) {
    std::string bytes = in.SerializeAsString();
    Warnings warnings;
    auto value = decode_cluster(bytes, {}, options_at(at), &warnings);
    if (value.ok()) {
      out_->warnings.merge(warnings);
      out_->clusters.push_back({*std::move(value), std::move(bytes)});
      return absl::OkStatus();
    }
    if (!is_control_plane) return value.status();
    if (absl::Status s = context_.check_rules(in, at); !s.ok()) return s;
    out_->control_plane_clusters.emplace_back(in.name(), std::move(bytes));
    return absl::OkStatus();
  }

  // Routes that a listener carries inline may only name clusters that are there.
  absl::Status check_clusters(const Path& at, const dataplane::ListenerValue& listener) {
    const auto& routes = listener.http.inline_routes;
    if (routes == nullptr || !routes->validate_clusters.value_or(!out_->cds.has_value())) {
      return absl::OkStatus();
    }
    for (const auto& host : routes->virtual_hosts) {
      for (const router::RouteValue& route : host->routes) {
        if (route.action != router::RouteValue::Action::kForward) continue;
        if (absl::Status s = known(at, route, route.forward.cluster); !s.ok()) return s;
        for (const router::WeightedCluster& weighted : route.forward.weighted) {
          if (absl::Status s = known(at, route, weighted.cluster); !s.ok()) return s;
        }
      }
    }
    return absl::OkStatus();
  }

  absl::Status known(const Path& at, const router::RouteValue& route, const std::string& cluster) {
    if (cluster.empty()) return absl::OkStatus();
    for (const auto& known : out_->clusters) {
      if (known.value.name == cluster) return absl::OkStatus();
    }
    const Path here(at, route.source);
    return context_.error(here, "no such cluster: \"", cluster,
                          "\"; add it to static_resources.clusters, or set validate_clusters: "
                          "false");
  }

  const Context& context_;
  const Sources& sources_;
  Bootstrap* const out_;
  DecodeOptions options_;
  const Path root_;
  const Path resources_{root_, "static_resources"};
  Names cluster_names_, listener_names_;
};

// Internal listeners are no more than an address family, which is refused where it is used.
absl::Status check_extensions(const Context& context, const ProtoBootstrap& in) {
  constexpr Text kInternal = "envoy.extensions.bootstrap.internal_listener.v3.InternalListener";
  const Path root;
  for (int i = 0; i < in.bootstrap_extensions_size(); ++i) {
    const Path at(root, "bootstrap_extensions", i);
    const std::string type = context.type_of(in.bootstrap_extensions(i).typed_config());
    if (type == kInternal) {
      context.warn(at, kInternal, "there are no internal listeners yet");
      continue;
    }
    return context.error(Path(at, "typed_config"), "this extension is not supported yet: \"", type,
                         "\"; remove it");
  }
  return absl::OkStatus();
}

absl::Status decode_default_resolver(const Context& context, const ProtoBootstrap& in,
                                     Bootstrap* out) {
  auto resolver = decode_resolver(context, Path(), in);
  if (resolver.ok() && *resolver) out->resolver = **std::move(resolver);
  return resolver.status();
}

absl::Status decode_load_stats(const Context& context, const ProtoBootstrap& in,
                               const Repeated<Cluster>& clusters, Bootstrap* out) {
  if (!in.cluster_manager().has_load_stats_config()) return absl::OkStatus();
  const Path root;
  const Path manager(root, "cluster_manager");
  const Path at(manager, "load_stats_config");
  const auto& config = in.cluster_manager().load_stats_config();
  if (config.api_type() != core::ApiConfigSource::GRPC) {
    return context.error(Path(at, "api_type"), "load is reported over gRPC only: ",
                         core::ApiConfigSource::ApiType_Name(config.api_type()),
                         "; set api_type: GRPC");
  }
  if (config.transport_api_version() != core::V3) {
    return context.error(Path(at, "transport_api_version"), "must be V3");
  }
  auto source = decode_grpc_source(context, at, config, clusters);
  if (source.ok()) out->load_stats = *std::move(source);
  return source.status();
}

void decode_rest(const ProtoBootstrap& in, Bootstrap* out) {
  out->local_cluster_name = in.cluster_manager().local_cluster_name();
  out->stats_flush_on_admin = in.stats_flush_on_admin();
  if (in.has_stats_flush_interval()) {
    out->stats_flush_interval = std::chrono::milliseconds(
        in.stats_flush_interval().seconds() * 1000 + in.stats_flush_interval().nanos() / 1'000'000);
  }
}

}  // namespace

absl::StatusOr<Bootstrap> load_bootstrap(const Flags& flags) {
  Bootstrap out;
  ProtoBootstrap in;
  const auto sources = std::make_shared<Sources>();
  if (absl::Status s = read_sources(flags, sources.get(), &out.warnings, &in); !s.ok()) return s;
  out.bytes = in.SerializeAsString();
  out.locate = [sources](std::string_view path) { return sources->locate(path); };

  // Resources are checked one by one, and those that lead to a control plane more leniently.
  Repeated<Listener> listeners;
  Repeated<Cluster> clusters;
  listeners.Swap(in.mutable_static_resources()->mutable_listeners());
  clusters.Swap(in.mutable_static_resources()->mutable_clusters());

  std::vector<std::string> cluster_bytes;
  for (const Cluster& cluster : clusters) cluster_bytes.push_back(cluster.SerializeAsString());
  out.sources = std::make_shared<ConfigSources>(std::move(cluster_bytes));

  DecodeOptions options;
  options.is_static = true;
  options.sources = out.sources;
  options.allow_unknown_static_fields = flags.allow_unknown_static_fields;
  options.locate = out.locate;
  const Context context(options, &out.warnings, {});
  if (absl::Status s = context.check(in, Path()); !s.ok()) return s;
  if (absl::Status s = decode_node(context, flags, in, &out.node); !s.ok()) return s;
  if (absl::Status s = decode_admin(context, in, &out.admin); !s.ok()) return s;
  if (absl::Status s = decode_authorities(context, in, out.node.bytes, out.sources.get());
      !s.ok()) {
    return s;
  }
  StaticResources resources(context, flags, *sources, &out);
  absl::Status s = resources.clusters(clusters, in);
  if (!s.ok()) return s;
  if (s = decode_dynamic(context, in, &out); !s.ok()) return s;
  s = decode_layered_runtime(context, Path(Path(), "layered_runtime"), in.layered_runtime(),
                             out.node.cluster, out.has_ads, &out.runtime);
  if (!s.ok()) return s;
  if (s = resources.listeners(listeners); !s.ok()) return s;
  if (s = check_extensions(context, in); !s.ok()) return s;
  if (s = decode_default_resolver(context, in, &out); !s.ok()) return s;
  if (s = decode_load_stats(context, in, clusters, &out); !s.ok()) return s;
  decode_rest(in, &out);
  return out;
}

}  // namespace sluice::xds
