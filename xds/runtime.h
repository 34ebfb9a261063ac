#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "xds/deadlines.h"
#include "xds/file_watcher.h"
#include "xds/resources.h"
#include "xds/runtime_values.h"
#include "xds/wait.h"

namespace sluice::dataplane {
class TablesBuilder;
}

namespace sluice::xds {

// One layer of bootstrap.layered_runtime. A plain value.
struct RuntimeLayerValue {
  enum class Kind : uint8_t { kStatic, kDisk, kAdmin, kRtds };
  Kind kind = Kind::kStatic;
  std::string name;
  RuntimeEntries entries;    // kStatic
  std::string symlink_root;  // kDisk: a link that is swapped
  std::string directory;     // kDisk: what is read, below symlink_root
  ResourceKey rtds;          // kRtds
  std::chrono::nanoseconds initial_fetch_timeout{15'000'000'000};
};

// Runtime answers "which value has this key?": it lays the layers over each other, later ones over
// earlier ones, and puts what is in force into the tables.
//
// A static layer never changes. A disk layer is read again when the link that it is reached by is
// swapped; if it cannot be read, what was read before stays, and it is counted and logged. The
// admin layer is what an operator POSTs to /runtime_modify. An RTDS layer is subscribed to at the
// start; clusters of a control plane wait for it (rule 138). A change costs the sum of the layers
// on main; what reaches the workers is what changed (base/runtime.h).
// Main only; builder, executor and deadlines outlive it.
class Runtime {
 public:
  // `changed`: a publish is due.
  Runtime(dataplane::TablesBuilder& builder, Executor& executor, Deadlines& deadlines,
          std::function<void()> changed);

  // Once, at the beginning.
  void set_layers(const std::vector<RuntimeLayerValue>& layers);
  void set_subscriptions(Subscriptions* subscriptions);

  // RTDS.
  void put(const ResourceKey& rtds, const RuntimeEntries& entries);
  void remove(const ResourceKey& rtds);    // the layer is empty then
  void end_wait(const ResourceKey& rtds);  // rejected, or not delivered in time
  size_t num_waiting() const noexcept;
  void list_waits(std::vector<Wait>* out) const;

  // ---- For admin.
  // Sets keys in the admin layer; an empty value takes the key out of it. Error: no admin layer.
  absl::Status modify(const std::vector<std::pair<std::string, std::string>>& changes);
  struct Stats {
    uint64_t load_success = 0;
    uint64_t load_error = 0;
    uint64_t override_dir_exists = 0;
    uint64_t override_dir_not_exists = 0;
    uint64_t admin_overrides_active = 0;
    uint64_t num_keys = 0;
    uint64_t num_layers = 0;
  };
  const Stats& stats() const noexcept { return stats_; }
  // Each key with its text in each layer, in order; empty: not there.
  struct View {
    struct Key {
      std::string name;
      std::vector<std::string> texts;
    };
    std::vector<std::string> layers;
    std::vector<Key> keys;
  };
  View view() const;

 private:
  struct Layer {
    RuntimeLayerValue value;
    bool waiting = false;  // kRtds: has not come
    base::MonoNs since = 0;
    FileWatcher::Watch watch;
  };

  void load();
  void read_disk(Layer& layer);
  void watch(Layer& layer);
  Layer* admin_layer();
  template <typename Fn>
  void for_each(const ResourceKey& rtds, Fn&& fn);

  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  Deadlines& deadlines_;
  const std::function<void()> changed_;
  Subscriptions* subscriptions_ = nullptr;
  FileWatcher watcher_;
  std::vector<Layer> layers_;
  bool disk_error_ = false;  // of the load that is under way
  Stats stats_;
};

}  // namespace sluice::xds
