#include "xds/runtime.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "base/text.h"
#include "dataplane/log.h"
#include "dataplane/tables_builder.h"

namespace sluice::xds {
namespace {

using Kind = RuntimeLayerValue::Kind;

}  // namespace

Runtime::Runtime(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines,
                 std::function<void()> changed)
    : builder_(builder),
      executor_(executor),
      deadlines_(deadlines),
      changed_(std::move(changed)),
      watcher_(executor) {}

void Runtime::set_layers(const std::vector<RuntimeLayerValue>& layers) {
  layers_.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) layers_[i].value = layers[i];
  for (Layer& layer : layers_) {  // which stay where they are from here on
    if (layer.value.kind != Kind::kDisk) continue;
    read_disk(layer);
    watch(layer);
  }
  load();
}

void Runtime::set_subscriptions(Subscriptions* subscriptions) {
  subscriptions_ = subscriptions;
  if (subscriptions == nullptr) return;
  subscriptions->begin_batch();
  for (Layer& layer : layers_) {
    if (layer.value.kind != Kind::kRtds) continue;
    layer.waiting = true;
    layer.since = executor_.now();
    deadlines_.set(Type::kRuntime, layer.value.rtds, layer.value.initial_fetch_timeout.count());
    subscriptions->subscribe(Type::kRuntime, layer.value.rtds);
  }
  subscriptions->end_batch();
}

// ---- Layers.

void Runtime::read_disk(Layer& layer) {
  const std::string& directory = layer.value.directory;
  std::error_code error;
  if (!std::filesystem::is_directory(directory, error)) {
    layer.value.entries.clear();
    return;
  }
  auto entries = read_runtime_directory(directory);
  if (entries.ok()) {
    layer.value.entries = *std::move(entries);
    return;
  }
  disk_error_ = true;
  log::warn("runtime",
            base::cat("layer \"", layer.value.name, "\": ", base::message_of(entries.status()),
                      "; what was read before stays"));
}

// The link is swapped: a new one is moved over it.
void Runtime::watch(Layer& layer) {
  std::filesystem::path root(layer.value.symlink_root);
  if (!root.has_filename()) root = root.parent_path();
  const std::string directory = root.has_parent_path() ? root.parent_path().string() : ".";
  layer.watch = watcher_.watch(directory, [this, &layer, file = root.filename().string()](
                                              FileWatcher::Change change, const std::string& name) {
    if (change != FileWatcher::Change::kMovedIn || name != file) return;
    read_disk(layer);
    load();
  });
  if (!layer.watch) {
    log::warn("runtime", base::cat("layer \"", layer.value.name, "\": ", directory,
                                   " cannot be watched: swaps of ", layer.value.symlink_root,
                                   " are not seen"));
  }
}

// Lays them over each other.
void Runtime::load() {
  base::RuntimeKeys::Values values;
  uint64_t num_disks = 0;
  stats_.admin_overrides_active = 0;
  for (const Layer& layer : layers_) {
    for (const auto& [key, entry] : layer.value.entries) values.insert_or_assign(key, entry.value);
    if (layer.value.kind == Kind::kDisk && !layer.value.entries.empty()) ++num_disks;
    if (layer.value.kind == Kind::kAdmin && !layer.value.entries.empty()) {
      stats_.admin_overrides_active = 1;
    }
  }
  ++(num_disks > 1 ? stats_.override_dir_exists : stats_.override_dir_not_exists);
  ++(std::exchange(disk_error_, false) ? stats_.load_error : stats_.load_success);
  stats_.num_keys = values.size();
  stats_.num_layers = layers_.size();
  builder_.put_runtime(std::move(values));
  changed_();
}

Runtime::Layer* Runtime::admin_layer() {
  for (Layer& layer : layers_) {
    if (layer.value.kind == Kind::kAdmin) return &layer;
  }
  return nullptr;
}

absl::Status Runtime::modify(const std::vector<std::pair<std::string, std::string>>& changes) {
  Layer* layer = admin_layer();
  if (layer == nullptr) return absl::FailedPreconditionError("No admin layer specified");
  for (const auto& [key, text] : changes) {
    if (text.empty()) {
      layer->value.entries.erase(key);
    } else {
      layer->value.entries.insert_or_assign(key, read_runtime_text(text));
    }
  }
  load();
  return absl::OkStatus();
}

// ---- RTDS.

template <typename Fn>
void Runtime::for_each(const ResourceKey& rtds, Fn&& fn) {
  for (Layer& layer : layers_) {
    if (layer.value.kind == Kind::kRtds && layer.value.rtds == rtds) fn(layer);
  }
}

void Runtime::put(const ResourceKey& rtds, const RuntimeEntries& entries) {
  for_each(rtds, [&](Layer& layer) {
    layer.waiting = false;
    layer.value.entries = entries;
  });
  load();
}

void Runtime::remove(const ResourceKey& rtds) { put(rtds, {}); }

void Runtime::end_wait(const ResourceKey& rtds) {
  for_each(rtds, [](Layer& layer) { layer.waiting = false; });
}

size_t Runtime::num_waiting() const noexcept {
  return static_cast<size_t>(std::count_if(layers_.begin(), layers_.end(),
                                           [](const Layer& layer) { return layer.waiting; }));
}

void Runtime::list_waits(std::vector<Wait>* out) const {
  for (const Layer& layer : layers_) {
    if (!layer.waiting) continue;
    out->push_back({Type::kCount, "", Type::kRuntime, layer.value.rtds.name, false, layer.since});
  }
}

// ---- For admin.

Runtime::View Runtime::view() const {
  View out;
  std::map<std::string, std::vector<std::string>, std::less<>> keys;
  for (size_t i = 0; i < layers_.size(); ++i) {
    out.layers.push_back(layers_[i].value.name);
    for (const auto& [key, entry] : layers_[i].value.entries) {
      auto& texts = keys[key];
      texts.resize(layers_.size());
      texts[i] = entry.text;
    }
  }
  for (auto& [name, texts] : keys) out.keys.push_back({name, std::move(texts)});
  return out;
}

}  // namespace sluice::xds
