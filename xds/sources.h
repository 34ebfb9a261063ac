#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/client.h"
#include "xds/config_source.h"
#include "xds/file_watcher.h"
#include "xds/resources.h"
#include "xds/transport.h"

namespace sluice::xds {

// Sources keeps a client for each configuration source that anybody subscribes to: one for each
// aggregated stream (ads_config's, and those of authorities), and one per source and type for all
// others (rule 5).
//
// A client is made with the first subscription and, but for the aggregated stream's, goes when it
// has no subscriber left. Connections to a server are shared by the clients of one source.
// Main only; options' functions, sink and executor outlive it.
class Sources final : public Subscriptions {
 public:
  struct Options {
    ClientOptions client;  // what all have in common: node, log, timeouts, restored resources
    // Makes the way to a server; null: gRPC. Without one who subscribes is told nothing, and the
    // log why.
    std::function<absl::StatusOr<std::unique_ptr<Transport>>(const ControlPlane&, bool fail_fast)>
        connect;
    bool allow_unknown_fields = true;  // in files: warn in place of an error
  };
  Sources(Options options, std::shared_ptr<const ConfigSources> catalogue, ResourceSink& sink,
          Executor& executor);
  ~Sources() override;

  // Whether the servers of a source can be used at all, before anybody subscribes: an error of the
  // configuration.
  absl::Status check(SourceId source);

  // Subscriptions.
  void subscribe_all(Type type, SourceId source) override;
  void unsubscribe_all(Type type, SourceId source) override;
  void subscribe(Type type, const ResourceKey& key) override;
  void unsubscribe(Type type, const ResourceKey& key) override;
  void begin_batch() override;
  void end_batch() override;

  void stop();

  // ---- For admin.
  // Calls fn(client, type) for each type of each client that is or may be asked for.
  template <typename Fn>
  void for_each(Fn&& fn) const;
  // Sums over clients.
  TypeStats stats(Type type) const;
  ControlPlaneStats control_plane() const;
  bool empty() const noexcept { return entries_.empty(); }
  // What control planes sent and what is in force, for last_good.h; none: no control plane has
  // answered yet.
  std::optional<std::vector<RestoredResource>> in_force() const;
  // Restored resources (last_good.h) that no control plane has confirmed.
  size_t num_restored() const;

 private:
  struct Entry {
    std::vector<std::unique_ptr<Transport>> own;  // files, polls
    std::unique_ptr<Client> client;
  };
  using Key = std::pair<SourceId, Type>;  // kCount: all types

  bool is_aggregated(SourceId source) const;
  Key key_of(SourceId source, Type type) const {
    return {source, is_aggregated(source) ? Type::kCount : type};
  }
  Client* client(SourceId source, Type type);
  absl::Status connect(SourceId source, const SourceValue& value);
  std::unique_ptr<Client> make_grpc(const SourceValue& value, ClientOptions options,
                                    SourceId source);
  std::unique_ptr<Client> make_file(const SourceValue& value, ClientOptions options, Type type,
                                    Entry* entry);
  ClientOptions options_for(SourceId source, Type type, const SourceValue& value);
  void drop_later(SourceId source, Type type);
  void drop_unused(Key key);

  Options options_;
  const std::shared_ptr<const ConfigSources> catalogue_;
  ResourceSink& sink_;
  Executor& executor_;
  FileWatcher watcher_;
  // Per source, in the order of its servers. Declared before clients, which use them.
  std::map<SourceId, std::vector<std::unique_ptr<Transport>>> transports_;
  std::map<Key, Entry> entries_;
  int batch_ = 0;
  std::shared_ptr<Sources*> self_;  // for what is posted: null once this is gone
};

template <typename Fn>
void Sources::for_each(Fn&& fn) const {
  for (const auto& [key, entry] : entries_) {
    for (size_t i = 0; i < kNumTypes; ++i) {
      const Type type = static_cast<Type>(i);
      if (key.second == Type::kCount || key.second == type) fn(*entry.client, type);
    }
  }
}

}  // namespace sluice::xds
