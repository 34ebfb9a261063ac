#include "tools/mock-cp/store.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <utility>
#include <vector>

#include "base/text.h"
#include "tools/mock-cp/types.h"
#include "xds/yaml.h"

namespace sluice::mock_cp {
namespace {

// Empties the lists of `target` that `patch` gives.
void clear_lists(const google::protobuf::Message& patch, google::protobuf::Message* target) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  patch.GetReflection()->ListFields(patch, &fields);
  const auto* reflection = target->GetReflection();
  for (const auto* field : fields) {
    if (field->is_repeated()) {
      reflection->ClearField(target, field);
    } else if (field->message_type() && reflection->HasField(*target, field)) {
      clear_lists(patch.GetReflection()->GetMessage(patch, field),
                  reflection->MutableMessage(target, field));
    }
  }
}

}  // namespace

Store::Snapshots Store::next(std::string_view touched) {
  ResourceSet all = files_;
  for (const auto& [url, by_name] : over_) {
    for (const auto& [name, entry] : by_name) {
      if (entry) {
        all.types[url].insert_or_assign(name, *entry);
      } else {
        all.types[url].erase(name);
      }
    }
  }
  current_ = next_snapshot(current_.get(), std::move(all), counter_, touched);
  publish_(current_);
  return current_;
}

const ResourceSet::Entry* Store::find(std::string_view type_url, std::string_view name) const {
  const Snapshot::TypeState* held = current_ ? current_->find(type_url) : nullptr;
  if (!held) return nullptr;
  const auto it = held->resources.find(name);
  return it == held->resources.end() ? nullptr : &it->second;
}

void Store::put(std::string_view type_url, std::string_view name,
                std::optional<ResourceSet::Entry> entry) {
  over_[std::string(type_url)].insert_or_assign(std::string(name), std::move(entry));
}

Store::Snapshots Store::set_files(ResourceSet resources) {
  const std::lock_guard lock(mutex_);
  files_ = std::move(resources);
  return next();
}

Store::Snapshots Store::set(const ResourceSet& resources) {
  const std::lock_guard lock(mutex_);
  for (const auto& [url, by_name] : resources.types) {
    for (const auto& [name, entry] : by_name) put(url, name, entry);
  }
  return next();
}

Store::Snapshots Store::set_raw(std::string_view type_url, std::string_view name,
                                std::string bytes) {
  const std::lock_guard lock(mutex_);
  put(type_url, name, ResourceSet::Entry{std::move(bytes), "set", {}});
  return next();
}

absl::StatusOr<Store::Snapshots> Store::patch(std::string_view type_url, std::string_view name,
                                              std::string_view text) {
  auto document = xds::YamlDocument::parse(text, "patch");
  if (!document.ok()) return document.status();
  const std::lock_guard lock(mutex_);
  const ResourceSet::Entry* entry = find(type_url, name);
  if (!entry) return base::config_error(short_name(type_url), " \"", name, "\": is not there");
  const std::string full(type_url.substr(type_url.rfind('/') + 1));
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(full);
  if (!type) return base::config_error(type_url, ": unknown type");
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  const std::unique_ptr<google::protobuf::Message> patch(message->New());
  if (!message->ParseFromString(entry->bytes)) {
    return base::config_error(short_name(type_url), " \"", name, "\": cannot be read");
  }
  xds::Warnings warnings;
  if (absl::Status s = document->to_message({}, patch.get(), &warnings); !s.ok()) return s;
  clear_lists(*patch, message.get());
  message->MergeFrom(*patch);
  put(type_url, name, ResourceSet::Entry{message->SerializeAsString(), "patched", {}});
  return next();
}

absl::StatusOr<Store::Snapshots> Store::erase(std::string_view type_url, std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (!find(type_url, name)) {
    return base::config_error(short_name(type_url), " \"", name, "\": is not there");
  }
  put(type_url, name, std::nullopt);
  return next();
}

Store::Snapshots Store::touch(std::string_view type_url) {
  const std::lock_guard lock(mutex_);
  return next(type_url);
}

Store::Snapshots Store::reset() {
  const std::lock_guard lock(mutex_);
  over_.clear();
  return next();
}

Store::Snapshots Store::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

}  // namespace sluice::mock_cp
