#include "xds/decode_runtime.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/decode_parts.h"

namespace sluice::xds {
namespace {

namespace bootstrap = ::envoy::config::bootstrap::v3;
using Kind = RuntimeLayerValue::Kind;

// Keys that Envoy itself reads; here nothing does.
bool is_envoys_own(std::string_view key) {
  for (const std::string_view prefix :
       {"envoy.", "overload.", "circuit_breakers.", "upstream.", "health_check.", "re2.",
        "outlier_detection.", "load_balancer.", "listener.", "http.", "tracing."}) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

absl::Status decode_static(const Context& context, const Path& at,
                           const google::protobuf::Struct& in, RuntimeLayerValue* out) {
  auto entries = read_runtime_struct(context, at, in);
  if (!entries.ok()) return entries.status();
  out->entries = *std::move(entries);
  for (const auto& [key, entry] : out->entries) {
    if (!is_envoys_own(key)) continue;
    context.warn(at, "runtime key of Envoy's own",
                 base::cat("runtime key \"", key, "\": nothing here reads it"));
  }
  return absl::OkStatus();
}

absl::Status decode_disk(const Context& context, const Path& at,
                         const bootstrap::RuntimeLayer::DiskLayer& in,
                         const std::string& service_cluster, RuntimeLayerValue* out) {
  if (in.symlink_root().empty()) {
    return context.error(Path(at, "symlink_root"), "is required; name the link that is swapped");
  }
  out->symlink_root = in.symlink_root();
  out->directory = in.symlink_root();
  if (!in.subdirectory().empty()) base::cat_to(out->directory, "/", in.subdirectory());
  if (!in.append_service_cluster()) return absl::OkStatus();
  if (service_cluster.empty()) {
    return context.error(Path(at, "append_service_cluster"),
                         "there is no service cluster; write node.cluster, or give it by "
                         "--service-cluster");
  }
  base::cat_to(out->directory, "/", service_cluster);
  return absl::OkStatus();
}

absl::Status decode_rtds(const Context& context, const Path& at,
                         const bootstrap::RuntimeLayer::RtdsLayer& in, bool has_ads,
                         RuntimeLayerValue* out) {
  if (in.name().empty()) {
    return context.error(Path(at, "name"), "is required; name the resource to ask for");
  }
  const Path source(at, "rtds_config");
  if (!in.has_rtds_config()) return context.error(source, "is required; say where it comes from");
  absl::Status s = decode_config_source(context, source, in.rtds_config(), &out->rtds.source,
                                        &out->initial_fetch_timeout);
  if (!s.ok()) return s;
  if (out->rtds.source == kAds && !has_ads) {
    return context.error(source,
                         "refers to the aggregated stream, but dynamic_resources.ads_config is "
                         "missing; add it");
  }
  out->rtds.name = in.name();
  return absl::OkStatus();
}

absl::Status decode_layer(const Context& context, const Path& at, const bootstrap::RuntimeLayer& in,
                          const std::string& service_cluster, bool has_ads,
                          RuntimeLayerValue* out) {
  out->name = in.name();
  switch (in.layer_specifier_case()) {
    case bootstrap::RuntimeLayer::kStaticLayer:
      out->kind = Kind::kStatic;
      return decode_static(context, Path(at, "static_layer"), in.static_layer(), out);
    case bootstrap::RuntimeLayer::kDiskLayer:
      out->kind = Kind::kDisk;
      return decode_disk(context, Path(at, "disk_layer"), in.disk_layer(), service_cluster, out);
    case bootstrap::RuntimeLayer::kAdminLayer:
      out->kind = Kind::kAdmin;
      return absl::OkStatus();
    case bootstrap::RuntimeLayer::kRtdsLayer:
      out->kind = Kind::kRtds;
      return decode_rtds(context, Path(at, "rtds_layer"), in.rtds_layer(), has_ads, out);
    default:
      return context.error(at,
                           "one of static_layer, disk_layer, admin_layer, rtds_layer is required");
  }
}

}  // namespace

absl::Status decode_layered_runtime(const Context& context, const Path& at,
                                    const bootstrap::LayeredRuntime& in,
                                    const std::string& service_cluster, bool has_ads,
                                    std::vector<RuntimeLayerValue>* out) {
  for (int i = 0; i < in.layers_size(); ++i) {
    const Path here(at, "layers", i);
    RuntimeLayerValue layer;
    absl::Status s = decode_layer(context, here, in.layers(i), service_cluster, has_ads, &layer);
    if (!s.ok()) return s;
    for (const RuntimeLayerValue& other : *out) {
      if (other.name == layer.name) {
        return context.error(Path(here, "name"), "given twice: \"", layer.name,
                             "\"; rename one of them");
      }
      if (other.kind == Kind::kAdmin && layer.kind == Kind::kAdmin) {
        return context.error(Path(here, "admin_layer"), "given twice; remove one of them");
      }
    }
    out->push_back(std::move(layer));
  }
  if (!out->empty()) return absl::OkStatus();
  RuntimeLayerValue admin;
  admin.kind = Kind::kAdmin;
  admin.name = "admin";
  out->push_back(std::move(admin));
  return absl::OkStatus();
}

}  // namespace sluice::xds
