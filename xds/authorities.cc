#include "xds/authorities.h"

#include <google/protobuf/util/json_util.h>

#include <set>
#include <utility>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "xds/config_source.h"
#include "xds/decode_parts.h"

namespace sluice::xds {
namespace {

using ::google::protobuf::Struct;
using Bootstrap = ::envoy::config::bootstrap::v3::Bootstrap;

// ---- Parameters of the node (xRFC TP1; Envoy's prefix).

constexpr Text kPrefix = "xds.node.";

void add_metadata(const Struct& in, Text field, ContextParams* out) {
  for (const auto& [key, value] : in.fields()) {
    std::string json;
    static_cast<void>(google::protobuf::util::MessageToJsonString(value, &json));
    out->emplace(base::cat(kPrefix, field, ".", key), std::move(json));
  }
}

std::string version_of(const core::BuildVersion& in) {
  const auto& version = in.version();
  return base::cat(version.major_number(), ".", version.minor_number(), ".", version.patch());
}

absl::Status add_param(const Context& context, const Path& at, const std::string& field,
                       const core::Node& node, ContextParams* out) {
  const core::Locality& locality = node.locality();
  const core::BuildVersion& build = node.user_agent_build_version();
  const std::pair<Text, std::string> fields[] = {
      {"id", node.id()},
      {"cluster", node.cluster()},
      {"user_agent_name", node.user_agent_name()},
      {"user_agent_version", node.user_agent_version()},
      {"locality.region", locality.region()},
      {"locality.zone", locality.zone()},
      {"locality.sub_zone", locality.sub_zone()},
      {"user_agent_build_version.version", version_of(build)},
  };
  for (const auto& [name, value] : fields) {
    if (field != name) continue;
    out->emplace(base::cat(kPrefix, field), value);
    return absl::OkStatus();
  }
  if (field == "metadata") {
    add_metadata(node.metadata(), field, out);
  } else if (field == "user_agent_build_version.metadata") {
    add_metadata(build.metadata(), field, out);
  } else {
    return context.error(at, "no such field of the node: \"", field, "\"");
  }
  return absl::OkStatus();
}

// ---- The bootstrap's sources.

absl::Status decode_one(const Context& context, const Path& at, const core::ConfigSource& in,
                        bool has_ads, ConfigSources* sources, SourceRef* out) {
  auto number = sources->number_of_authority(context, at, in);
  if (!number.ok()) return number.status();
  out->source = *number;
  if (*number == kAds && !has_ads) {
    return context.error(at,
                         "refers to the aggregated stream, but dynamic_resources.ads_config is "
                         "missing; add it");
  }
  if (!in.has_initial_fetch_timeout()) return absl::OkStatus();
  return decode_duration(context, Path(at, "initial_fetch_timeout"), in.initial_fetch_timeout(),
                         &out->initial_fetch_timeout);
}

bool lists(const core::ConfigSource& source, const std::string& authority) {
  for (const auto& one : source.authorities()) {
    if (one.name() == authority) return true;
  }
  return false;
}

// ---- Names.

absl::StatusOr<ResourceName> parse(const Context& context, const NamedSource& in) {
  auto name = parse_resource_name(in.name);
  if (!name.ok()) {
    return context.error(in.name_at, base::message_of(name.status()), ": \"", in.name, "\"");
  }
  const Text url = type_url_of(in.type);
  const Text type = url.substr(url.rfind('/') + 1);
  if (name->type != type) {
    return context.error(in.name_at, "names a resource of another type: \"", name->type,
                         "\"; write xdstp://AUTHORITY/", type, "/ID");
  }
  if (!name->directives.empty()) {
    return context.error(in.name_at, "directives are not supported here: \"#",
                         name->directives.front(), "\"; remove them");
  }
  using Kind = NamedSource::Kind;
  if (name->is_glob() ? in.kind == Kind::kOne : in.kind == Kind::kCollection) {
    return context.error(in.name_at,
                         name->is_glob() ? "is a collection; name one resource"
                                         : "is no collection, whose name ends in /*",
                         ": \"", in.name, "\"");
  }
  return name;
}

absl::Status resolve(const Context& context, const NamedSource& in, const ResourceName& name,
                     SourceId* source, std::chrono::nanoseconds* timeout) {
  const bool peer = in.source != nullptr;
  if (peer && lists(*in.source, name.authority)) {
    return decode_config_source(context, in.source_at, *in.source, source, timeout);
  }
  const auto& sources = context.options().sources;
  const SourceRef* known = sources ? sources->authorities().find(name.authority) : nullptr;
  if (known != nullptr) {
    *source = known->source;
    *timeout = known->initial_fetch_timeout;
    return absl::OkStatus();
  }
  if (peer && in.source->authorities().empty()) {
    return decode_config_source(context, in.source_at, *in.source, source, timeout);
  }
  return context.error(in.name_at, "nobody is known to have what is of authority \"",
                       name.authority,
                       "\"; list it in one of the bootstrap's config_sources, or "
                       "set default_config_source");
}

}  // namespace

const SourceRef* Authorities::find(std::string_view authority) const {
  const auto it = by_name_.find(authority);
  if (it != by_name_.end()) return &it->second;
  return default_ ? &*default_ : nullptr;
}

absl::Status decode_authorities(const Context& context, const Bootstrap& in, std::string_view node,
                                ConfigSources* sources) {
  const Path root;
  const bool has_ads = in.dynamic_resources().has_ads_config();
  Authorities& out = sources->authorities();
  for (int i = 0; i < in.config_sources_size(); ++i) {
    const Path at(root, "config_sources", i);
    const core::ConfigSource& source = in.config_sources(i);
    SourceRef ref;
    if (source.authorities().empty()) {
      return context.error(Path(at, "authorities"),
                           "is required; default_config_source needs none");
    }
    if (absl::Status s = decode_one(context, at, source, has_ads, sources, &ref); !s.ok()) return s;
    std::set<Text> names;
    for (const auto& authority : source.authorities()) {
      if (!names.insert(authority.name()).second) {
        return context.error(Path(at, "authorities"), "given twice: \"", authority.name(), "\"");
      }
      out.add(authority.name(), ref);
    }
  }
  if (in.has_default_config_source()) {
    SourceRef ref;
    absl::Status s = decode_one(context, Path(root, "default_config_source"),
                                in.default_config_source(), has_ads, sources, &ref);
    if (!s.ok()) return s;
    out.set_default(ref);
  }
  core::Node sent;
  parse_message(node, &sent);
  for (int i = 0; i < in.node_context_params_size(); ++i) {
    absl::Status s = add_param(context, Path(root, "node_context_params", i),
                               in.node_context_params(i), sent, &out.node_context);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status decode_named_source(const Context& context, const NamedSource& in, std::string* name,
                                 SourceId* source, std::chrono::nanoseconds* timeout) {
  if (!is_xdstp(in.name)) {
    *name = in.name;
    if (in.source == nullptr) {
      return context.error(in.source_at, "is required; say where the resource comes from");
    }
    return decode_config_source(context, in.source_at, *in.source, source, timeout);
  }
  auto parsed = parse(context, in);
  if (!parsed.ok()) return parsed.status();
  if (absl::Status s = resolve(context, in, *parsed, source, timeout); !s.ok()) return s;
  if (parsed->is_glob()) {
    const auto& sources = context.options().sources;
    if (sources != nullptr)
      parsed->context.insert(sources->authorities().node_context.begin(),
                             sources->authorities().node_context.end());
    if (absl::Status s = require_delta(context, in.source_at, *source); !s.ok()) return s;
  }
  *name = parsed->text();
  return absl::OkStatus();
}

}  // namespace sluice::xds
