#include "xds/config_dump.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <memory>

#include "base/text.h"
#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "xds/redact.h"

namespace sluice::xds {
namespace {

namespace pb = ::google::protobuf;
namespace dump = ::envoy::admin::v3;
using HttpConnectionManager =
    ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using ProtoListener = ::envoy::config::listener::v3::Listener;
using MessagePtr = std::unique_ptr<pb::Message>;
using Path = std::vector<std::string>;

constexpr size_t kPiece = 16 * 1024;
constexpr std::string_view kTypePrefix = "type.googleapis.com/";
constexpr std::string_view kDumpPrefix = "type.googleapis.com/envoy.admin.v3.";

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// Null: the type is not compiled in.
MessagePtr new_message(std::string_view type_url) {
  const std::string name(type_url.substr(type_url.rfind('/') + 1));
  const auto* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  return MessagePtr(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

MessagePtr unpack(const pb::Any& any) {
  MessagePtr message = new_message(any.type_url());
  if (message == nullptr || !message->ParseFromString(any.value())) return nullptr;
  return message;
}

template <typename Fn>
void for_each_message(pb::Message* message, Fn&& fn) {
  std::vector<const pb::FieldDescriptor*> fields;
  const pb::Reflection& reflection = *message->GetReflection();
  reflection.ListFields(*message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      fn(reflection.MutableMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
      fn(reflection.MutableRepeatedMessage(message, field, i));
    }
  }
}

// The JSON printer fails on an Any that it does not know: such become a text that says so.
void explain_unknown_types(pb::Message* message) {
  if (message->GetDescriptor() != pb::Any::descriptor()) {
    for_each_message(message, explain_unknown_types);
    return;
  }
  auto& any = static_cast<pb::Any&>(*message);
  if (any.type_url().empty()) return;
  if (MessagePtr inside = unpack(any)) {
    explain_unknown_types(inside.get());
    any.set_value(inside->SerializePartialAsString());
    return;
  }
  pb::StringValue text;
  text.set_value(base::cat(any.type_url(), ": ", any.value().size(),
                           " bytes of a type that this build does not know"));
  any.PackFrom(text);
}

// Keeps what a path leads to; paths go through Any.
void trim(pb::Message* message, const std::vector<Path>& paths, size_t depth) {
  if (message->GetDescriptor() == pb::Any::descriptor()) {
    auto& any = static_cast<pb::Any&>(*message);
    MessagePtr inside = unpack(any);
    if (inside == nullptr) return;
    trim(inside.get(), paths, depth);
    any.set_value(inside->SerializePartialAsString());
    return;
  }
  std::vector<const pb::FieldDescriptor*> fields;
  const pb::Reflection& reflection = *message->GetReflection();
  reflection.ListFields(*message, &fields);
  for (const auto* field : fields) {
    std::vector<Path> deeper;
    bool whole = false;
    for (const Path& path : paths) {
      if (path.size() <= depth || path[depth] != field->name()) continue;
      whole |= path.size() == depth + 1;
      deeper.push_back(path);
    }
    if (whole) continue;
    if (deeper.empty() || field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      reflection.ClearField(message, field);
    } else if (!field->is_repeated()) {
      trim(reflection.MutableMessage(message, field), deeper, depth + 1);
    } else {
      for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
        trim(reflection.MutableRepeatedMessage(message, field, i), deeper, depth + 1);
      }
    }
  }
}

std::vector<Path> paths_of(std::string_view mask) {
  std::vector<Path> paths;
  for (const std::string& path : split(mask, ',')) paths.push_back(split(path, '.'));
  return paths;
}

absl::StatusOr<std::string> print(const pb::Message& message, bool all_fields) {
  pb::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = all_fields;
  std::string out;
  const auto status = pb::util::MessageToJsonString(message, &out, options);
  if (!status.ok()) return absl::InternalError(status.ToString());
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// With every line but the first indented. JSON has no line break inside a text.
void append_indented(std::string_view json, size_t indent, std::string* out) {
  for (const char c : json) {
    out->push_back(c);
    if (c == '\n') out->append(indent, ' ');
  }
}

pb::Timestamp timestamp(base::WallNs at) {
  pb::Timestamp out;
  out.set_seconds(at / base::kNsPerSec);
  out.set_nanos(static_cast<int32_t>(at % base::kNsPerSec / base::kNsPerMs * base::kNsPerMs));
  return out;
}

pb::Any any_of(Type type, const std::string& bytes) {
  pb::Any any;
  any.set_type_url(std::string(type_url_of(type)));
  any.set_value(bytes);
  return any;
}

void set_error(const DumpResource& resource, dump::UpdateFailureState* out) {
  if (!resource.error->bytes.empty()) {
    *out->mutable_failed_configuration() = any_of(resource.type, resource.error->bytes);
  }
  *out->mutable_last_update_attempt() = timestamp(resource.error->at);
  out->set_details(resource.error->details);
  out->set_version_info(resource.error->version);
}

// What dynamic entries have in common, but for the field that holds the resource.
template <typename Entry>
pb::Any* fill_dynamic(const DumpResource& resource, Entry* entry, pb::Any* (Entry::*field)()) {
  if (resource.error) set_error(resource, entry->mutable_error_state());
  entry->set_client_status(resource.error ? dump::NACKED : dump::ACKED);
  if (resource.bytes.empty()) return nullptr;
  entry->set_version_info(resource.version);
  *entry->mutable_last_updated() = timestamp(resource.updated_at);
  pb::Any* any = (entry->*field)();
  *any = any_of(resource.type, resource.bytes);
  return any;
}

template <typename Entry>
void fill_static(const DumpResource& resource, Entry* entry, pb::Any* (Entry::*field)()) {
  *entry->mutable_last_updated() = timestamp(resource.updated_at);
  *(entry->*field)() = any_of(resource.type, resource.bytes);
}

// What is shown as it is (dump_parts.h).
template <typename Entry>
std::unique_ptr<Entry> whole_entry(const DumpResource& resource) {
  auto out = std::make_unique<Entry>();
  if (!out->ParseFromString(resource.bytes)) out->Clear();
  return out;
}

MessagePtr static_entry(const DumpResource& resource) {
  switch (resource.type) {
    case Type::kScopedRoute:
      return whole_entry<dump::ScopedRoutesConfigDump::InlineScopedRouteConfigs>(resource);
    case Type::kCluster: {
      auto out = std::make_unique<dump::ClustersConfigDump::StaticCluster>();
      fill_static(resource, out.get(), &dump::ClustersConfigDump::StaticCluster::mutable_cluster);
      return out;
    }
    case Type::kListener: {
      auto out = std::make_unique<dump::ListenersConfigDump::StaticListener>();
      fill_static(resource, out.get(),
                  &dump::ListenersConfigDump::StaticListener::mutable_listener);
      return out;
    }
    case Type::kRoute: {
      auto out = std::make_unique<dump::RoutesConfigDump::StaticRouteConfig>();
      fill_static(resource, out.get(),
                  &dump::RoutesConfigDump::StaticRouteConfig::mutable_route_config);
      return out;
    }
    default: {
      auto out = std::make_unique<dump::EndpointsConfigDump::StaticEndpointConfig>();
      fill_static(resource, out.get(),
                  &dump::EndpointsConfigDump::StaticEndpointConfig::mutable_endpoint_config);
      return out;
    }
  }
}

MessagePtr dynamic_listener(const DumpResource& resource) {
  auto out = std::make_unique<dump::ListenersConfigDump::DynamicListener>();
  out->set_name(resource.name);
  out->set_client_status(resource.error ? dump::NACKED : dump::ACKED);
  if (resource.error) set_error(resource, out->mutable_error_state());
  if (resource.bytes.empty()) return out;
  auto& state = resource.warming ? *out->mutable_warming_state() : *out->mutable_active_state();
  state.set_version_info(resource.version);
  *state.mutable_last_updated() = timestamp(resource.updated_at);
  *state.mutable_listener() = any_of(resource.type, resource.bytes);
  return out;
}

MessagePtr dynamic_scopes(const DumpResource& resource) {
  auto out = whole_entry<dump::ScopedRoutesConfigDump::DynamicScopedRouteConfigs>(resource);
  out->set_client_status(resource.error ? dump::NACKED : dump::ACKED);
  if (resource.error) set_error(resource, out->mutable_error_state());
  return out;
}

MessagePtr dynamic_entry(const DumpResource& resource) {
  switch (resource.type) {
    case Type::kScopedRoute:
      return dynamic_scopes(resource);
    case Type::kListener:
      return dynamic_listener(resource);
    case Type::kCluster: {
      auto out = std::make_unique<dump::ClustersConfigDump::DynamicCluster>();
      fill_dynamic(resource, out.get(), &dump::ClustersConfigDump::DynamicCluster::mutable_cluster);
      return out;
    }
    case Type::kRoute: {
      auto out = std::make_unique<dump::RoutesConfigDump::DynamicRouteConfig>();
      fill_dynamic(resource, out.get(),
                   &dump::RoutesConfigDump::DynamicRouteConfig::mutable_route_config);
      return out;
    }
    case Type::kExtensionConfig: {
      auto out = std::make_unique<dump::EcdsConfigDump::EcdsFilterConfig>();
      fill_dynamic(resource, out.get(),
                   &dump::EcdsConfigDump::EcdsFilterConfig::mutable_ecds_filter);
      return out;
    }
    default: {
      auto out = std::make_unique<dump::EndpointsConfigDump::DynamicEndpointConfig>();
      fill_dynamic(resource, out.get(),
                   &dump::EndpointsConfigDump::DynamicEndpointConfig::mutable_endpoint_config);
      return out;
    }
  }
}

// The list that a resource is in. A cluster that never worked is not active.
std::string_view list_of(const DumpResource& r) {
  switch (r.type) {
    case Type::kCluster:
      if (r.is_static) return "static_clusters";
      return r.warming || r.bytes.empty() ? "dynamic_warming_clusters" : "dynamic_active_clusters";
    case Type::kListener:
      return r.is_static ? "static_listeners" : "dynamic_listeners";
    case Type::kRoute:
      return r.is_static ? "static_route_configs" : "dynamic_route_configs";
    case Type::kEndpoint:
      return r.is_static ? "static_endpoint_configs" : "dynamic_endpoint_configs";
    case Type::kScopedRoute:
      return r.is_static ? "inline_scoped_route_configs" : "dynamic_scoped_route_configs";
    case Type::kExtensionConfig:
      return "ecds_filters";
    default:
      return "";  // not listed
  }
}

constexpr std::string_view kLists[] = {"static_clusters",
                                       "dynamic_active_clusters",
                                       "dynamic_warming_clusters",
                                       "static_listeners",
                                       "dynamic_listeners",
                                       "static_route_configs",
                                       "dynamic_route_configs",
                                       "static_endpoint_configs",
                                       "dynamic_endpoint_configs",
                                       "static_secrets",
                                       "dynamic_active_secrets",
                                       "dynamic_warming_secrets",
                                       "inline_scoped_route_configs",
                                       "dynamic_scoped_route_configs",
                                       "ecds_filters"};

}  // namespace

absl::StatusOr<ConfigDump> ConfigDump::make(DumpInput input, DumpQuery query) {
  if (!query.resource.empty() &&
      std::find(std::begin(kLists), std::end(kLists), query.resource) == std::end(kLists)) {
    if (query.resource == "bootstrap" || query.resource == "version_info") {
      return absl::InvalidArgumentError(
          base::cat(query.resource, " is not a repeated field. Use ?mask=", query.resource,
                    " to get only this field"));
    }
    return absl::NotFoundError(base::cat(query.resource, " not found in config dump"));
  }
  ConfigDump out(std::move(input), std::move(query));
  out.parts_ = DumpParts(&out.input_.resources);
  out.split_inline_routes();
  if (out.query_.wants) {
    std::erase_if(out.input_.resources,
                  [&](const DumpResource& r) { return !out.query_.wants(r.name); });
  }
  std::sort(out.input_.resources.begin(), out.input_.resources.end(),
            [](const DumpResource& a, const DumpResource& b) { return a.name < b.name; });
  out.plan_all();
  return out;
}

// Routes that static listeners hold, and endpoints that static clusters hold, are in lists of their
// own.
void ConfigDump::split_inline_routes() {
  std::vector<DumpResource> found;
  const auto add = [&](const DumpResource& from, Type type, const std::string& name,
                       std::string bytes) {
    found.push_back({.type = type,
                     .is_static = true,
                     .name = name,
                     .bytes = std::move(bytes),
                     .updated_at = from.updated_at});
  };
  for (const DumpResource& r : input_.resources) {
    if (r.bytes.empty() || !r.is_static) continue;
    if (r.type == Type::kCluster && query_.include_eds) {
      ::envoy::config::cluster::v3::Cluster cluster;
      if (cluster.ParseFromString(r.bytes) && cluster.has_load_assignment()) {
        add(r, Type::kEndpoint, r.name, cluster.load_assignment().SerializeAsString());
      }
    }
    ProtoListener listener;
    if (r.type != Type::kListener || !listener.ParseFromString(r.bytes)) continue;
    for (const auto& chain : listener.filter_chains()) {
      for (const auto& filter : chain.filters()) {
        HttpConnectionManager http;
        if (!filter.typed_config().UnpackTo(&http) || !http.has_route_config()) continue;
        add(r, Type::kRoute, http.route_config().name(), http.route_config().SerializeAsString());
      }
    }
  }
  std::move(found.begin(), found.end(), std::back_inserter(input_.resources));
}

bool ConfigDump::selects(std::string_view list) const {
  if (!query_.resource.empty()) return query_.resource == list;
  if (query_.mask.empty()) return true;
  const std::vector<Path> paths = paths_of(query_.mask);
  return std::any_of(paths.begin(), paths.end(),
                     [&](const Path& path) { return !path.empty() && path[0] == list; });
}

// The mask for an element of a list: with ?resource= it is given, else it is what follows the list.
std::string ConfigDump::mask_of(std::string_view list) const {
  if (!query_.resource.empty()) return query_.mask;
  std::string out;
  for (const std::string& path : split(query_.mask, ',')) {
    if (path == list) return {};
    if (path.starts_with(base::cat(list, "."))) {
      base::cat_to(out, out.empty() ? "" : ",", path.substr(list.size() + 1));
    }
  }
  return out;
}

void ConfigDump::plan_all() {
  steps_.push_back({.text = "{\n \"configs\": ["});
  const size_t before = steps_.size();
  if (!query_.resource.empty()) {
    plan_list(query_.resource, 2);
  } else {
    if (selects("bootstrap")) {
      steps_.push_back({.kind = Kind::kBootstrap});
    }
    plan_config("ClustersConfigDump", input_.clusters_version,
                {"static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"});
    plan_config("ListenersConfigDump", input_.listeners_version,
                {"static_listeners", "dynamic_listeners"});
    plan_config("ScopedRoutesConfigDump", "",
                {"inline_scoped_route_configs", "dynamic_scoped_route_configs"});
    plan_config("RoutesConfigDump", "", {"static_route_configs", "dynamic_route_configs"});
    if (query_.include_eds) {
      plan_config("EndpointsConfigDump", "",
                  {"static_endpoint_configs", "dynamic_endpoint_configs"});
    }
    plan_config("SecretsConfigDump", "", {});
    const auto& all = input_.resources;
    if (std::any_of(all.begin(), all.end(),
                    [](const DumpResource& r) { return r.type == Type::kExtensionConfig; })) {
      plan_config("EcdsConfigDump", "", {"ecds_filters"});
    }
  }
  steps_.push_back({.text = steps_.size() == before ? "]\n}\n" : "\n ]\n}\n"});
}

void ConfigDump::plan_config(std::string_view type, std::string_view version,
                             std::vector<std::string_view> lists) {
  if (!query_.mask.empty() &&
      std::none_of(lists.begin(), lists.end(), [&](std::string_view l) { return selects(l); })) {
    return;
  }
  std::string head =
      base::cat(steps_.size() == 1 ? "" : ",", "\n  {\n   \"@type\": \"", kDumpPrefix, type, "\"");
  if (!version.empty() && query_.mask.empty()) {
    pb::StringValue text;
    text.set_value(std::string(version));
    base::cat_to(head, ",\n   \"version_info\": ", print(text, false).value_or("\"\""));
  }
  steps_.push_back({.text = std::move(head)});
  for (const std::string_view list : lists) {
    if (selects(list)) plan_list(list, 4);
  }
  steps_.push_back({.text = "\n  }"});
}

void ConfigDump::plan_list(std::string_view list, size_t indent) {
  const size_t before = steps_.size();
  for (size_t i = 0; i < input_.resources.size(); ++i) {
    if (list_of(input_.resources[i]) != list) continue;
    if (steps_.size() == before && indent == 4) {
      steps_.push_back({.text = base::cat(",\n   \"", list, "\": [")});
    }
    steps_.push_back({.kind = Kind::kElement, .index = i, .list = list, .last = false});
  }
  if (steps_.size() == before) return;
  steps_.back().last = true;
  if (indent == 4) steps_.push_back({.text = "\n   ]"});
}

bool ConfigDump::next(std::string* out) {
  const size_t enough = out->size() + kPiece;
  while (out->size() < enough && step_ < steps_.size()) {
    const Step& step = steps_[step_++];
    if (step.kind == Kind::kText) *out += step.text;
    if (step.kind == Kind::kBootstrap) add_bootstrap(out);
    if (step.kind == Kind::kElement) add_element(step, out);
  }
  return step_ < steps_.size();
}

void ConfigDump::add_bootstrap(std::string* out) const {
  dump::BootstrapConfigDump message;
  if (!message.mutable_bootstrap()->ParseFromString(input_.bootstrap)) message.Clear();
  *message.mutable_last_updated() = timestamp(input_.started_at);
  redact(&message);
  if (!query_.mask.empty()) trim(&message, paths_of(query_.mask), 0);
  explain_unknown_types(&message);
  pb::Any any;
  any.PackFrom(message);
  *out += "\n  ";
  append_indented(print(any, false).value_or("{}"), 2, out);
}

void ConfigDump::add_element(const Step& step, std::string* out) const {
  DumpResource resource = input_.resources[step.index];
  resource.bytes = parts_.whole(resource);
  MessagePtr message = resource.is_static ? static_entry(resource) : dynamic_entry(resource);
  if (const std::string mask = mask_of(step.list); !mask.empty()) {
    trim(message.get(), paths_of(mask), 0);
  }
  redact(message.get());
  explain_unknown_types(message.get());
  const bool at_top = !query_.resource.empty();
  const size_t indent = at_top ? 2 : 4;
  absl::StatusOr<std::string> json;
  if (at_top) {
    pb::Any any;
    any.PackFrom(*message);
    json = print(any, false);
  } else {
    json = print(*message, false);
  }
  out->push_back('\n');
  out->append(indent, ' ');
  append_indented(json.ok() ? *json : "{}", indent, out);
  if (!step.last) out->push_back(',');
}

absl::StatusOr<std::string> json_of(std::string_view type_url, std::string_view bytes,
                                    bool all_fields) {
  MessagePtr message = new_message(type_url);
  if (message == nullptr) {
    return base::config_error(type_url, ": a type that this build does not know");
  }
  if (!message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return base::config_error(type_url, ": cannot be parsed");
  }
  explain_unknown_types(message.get());
  return print(*message, all_fields);
}

bool is_inbound_listener(std::string_view bytes) {
  ProtoListener listener;
  return listener.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) &&
         listener.traffic_direction() == ::envoy::config::core::v3::INBOUND;
}

}  // namespace sluice::xds
