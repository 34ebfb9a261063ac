#include "tools/mock-cp/resource_set.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <array>
#include <charconv>

#include "base/text.h"
#include "tools/mock-cp/types.h"
#include "xds/wire.h"

namespace sluice::mock_cp {
namespace {

constexpr std::string_view kPrefix = "type.googleapis.com/";

// The field that names resources of this type; null if it has none.
const google::protobuf::FieldDescriptor* name_field(const google::protobuf::Descriptor& type) {
  const auto* field = type.FindFieldByName("cluster_name");
  if (!field) field = type.FindFieldByName("name");
  const bool text = field && field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING;
  return text && !field->is_repeated() ? field : nullptr;
}

std::string hex(uint64_t value) {
  std::array<char, 16> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  return std::string(digits.data(), end);
}

}  // namespace

absl::Status ResourceSet::add(const google::protobuf::Message& resource, std::string_view origin) {
  const auto* type = resource.GetDescriptor();
  const auto* field = name_field(*type);
  std::string name = field ? resource.GetReflection()->GetString(resource, field) : "";
  if (name.empty()) {
    return base::config_error(origin, ": a ", type->name(), " without ",
                              field ? field->name() : std::string("a name"), ": give it one");
  }
  Entry entry{resource.SerializeAsString(), std::string(origin), {}};
  auto& by_name = types[base::cat(kPrefix, type->full_name())];
  const auto [it, added] = by_name.try_emplace(std::move(name), std::move(entry));
  if (added) return absl::OkStatus();
  return base::config_error(origin, ": ", type->name(), " \"", it->first,
                            "\" is given twice: also in ", it->second.origin);
}

absl::Status ResourceSet::add(const google::protobuf::Any& any, std::string_view origin) {
  const std::string_view url = any.type_url();
  const std::string full_name(url.substr(url.rfind('/') + 1));
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(full_name);
  if (!type) return base::config_error(origin, ": unknown type: ", url);
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!message->ParseFromString(any.value())) {
    return base::config_error(origin, ": cannot be read as ", full_name);
  }
  return add(*message, origin);
}

absl::Status ResourceSet::add_all(const ResourceSet& other) {
  for (const auto& [type, by_name] : other.types) {
    for (const auto& [name, entry] : by_name) {
      const auto [it, added] = types[type].try_emplace(name, entry);
      if (!added) {
        return base::config_error(entry.origin, ": ", short_name(type), " \"", name,
                                  "\" is given twice: also in ", it->second.origin);
      }
    }
  }
  return absl::OkStatus();
}

size_t ResourceSet::size() const {
  size_t count = 0;
  for (const auto& [type, by_name] : types) count += by_name.size();
  return count;
}

const Snapshot::TypeState* Snapshot::find(std::string_view type_url) const {
  const auto it = types.find(type_url);
  return it == types.end() ? nullptr : &it->second;
}

std::shared_ptr<const Snapshot> next_snapshot(const Snapshot* last, ResourceSet resources,
                                              uint64_t& counter, std::string_view touched) {
  if (last) {
    for (const auto& [url, state] : last->types) resources.types[url];  // emptied types stay known
  }
  for (const auto type : {xds::Type::kListener, xds::Type::kCluster}) {
    resources.types[std::string(xds::type_url_of(type))];
  }
  auto snapshot = std::make_shared<Snapshot>();
  const uint64_t next = counter + 1;
  for (auto& [url, by_name] : resources.types) {
    Snapshot::TypeState& state = snapshot->types[url];
    const Snapshot::TypeState* before = last ? last->find(url) : nullptr;
    state.touches = (before ? before->touches : 0) + (url == touched ? 1 : 0);
    state.hash = state.touches;
    for (auto& [name, entry] : by_name) {
      const uint64_t hash = xds::hash_of(entry.bytes);
      entry.version = hex(hash);
      if (state.touches > 0) base::cat_to(entry.version, "-", state.touches);
      state.hash = (state.hash * 31 + xds::hash_of(name)) * 31 + hash;
    }
    const bool same = before && before->hash == state.hash;
    if (!same) counter = next;
    state.version = same ? before->version : std::to_string(next);
    state.resources = std::move(by_name);
  }
  return snapshot;
}

}  // namespace sluice::mock_cp
