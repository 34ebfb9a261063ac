#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/on_demand.h"
#include "dataplane/tables_builder.h"
#include "xds/deadlines.h"
#include "xds/resources.h"
#include "xds/warming_listeners.h"

namespace sluice::xds {

class ConfigSources;

// Demands asks control planes for what requests lack, on behalf of the workers (on_demand.h of
// dataplane/): virtual hosts (rule 134), routes of scopes (rule 133) and clusters (rule 135).
//
// A name is asked for once, however many workers wait for it; who waits is answered after the
// publish that has it, or when the control plane says that there is none, or at the deadline. What
// was found stays subscribed, so that it is kept up to date. What was not is left again and not
// asked for anew within kAgainNs. Bounded: max_pending names are asked for at a time and max_names
// are subscribed; what is beyond is refused. Main only.
class Demands {
 public:
  using Question = dataplane::OnDemand::Question;
  using Answer = dataplane::OnDemand::Answer;
  static constexpr int64_t kAgainNs = base::kNsPerSec;

  struct Options {
    int64_t routes_timeout_ns = 5 * base::kNsPerSec;  // for virtual hosts and routes of scopes
    size_t max_pending = 1024;
    size_t max_names = 10'000;
    std::function<void(uint32_t worker, uint64_t id, Answer answer)> answer;
    // Whose authorities have clusters with xdstp:// names; null: nobody's.
    std::shared_ptr<const ConfigSources> sources = nullptr;
  };
  struct Stats {
    uint64_t asked = 0;  // names, not requests
    uint64_t found = 0;
    uint64_t none = 0;
    uint64_t timed_out = 0;
    uint64_t refused = 0;
  };
  Demands(Options options, dataplane::TablesBuilder& builder, Executor& executor,
          WarmingListeners& listeners);

  void set_subscriptions(Subscriptions* subscriptions) { subscriptions_ = subscriptions; }
  void ask(Question question);

  // What an update of a source says of names: there, or not there.
  void told(Type type, SourceId source, const std::vector<std::string>& names, bool there);
  // Everything that was taken is published: answers what is settled.
  void published();

  size_t num_pending() const noexcept { return pending_.size(); }
  const Stats& stats() const noexcept { return stats_; }

 private:
  using Key = std::pair<Type, ResourceKey>;  // kVirtualHost, kRoute (a slot's name) or kCluster
  struct Pending {
    std::vector<std::pair<uint32_t, uint64_t>> askers;
    base::MonoNs deadline = 0;
    std::optional<Answer> answer;
  };
  struct Asked {
    base::MonoNs at = 0;
    bool subscribed = false;
  };

  std::optional<Answer> find(const Question& question, Key* key) const;
  ResourceKey locate(ResourceKey cluster) const;
  std::optional<Answer> subscribe(const Key& key);
  void leave(const Key& key);
  bool is_there(const Key& key) const;
  void end(std::map<Key, Pending>::iterator it, Answer answer);
  void expire(const Key& key);
  void give(const std::pair<uint32_t, uint64_t>& asker, Answer answer);
  void count(Answer answer) noexcept;

  Options options_;
  dataplane::TablesBuilder& builder_;
  Executor& executor_;
  WarmingListeners& listeners_;
  Subscriptions* subscriptions_ = nullptr;
  Deadlines deadlines_;
  std::map<Key, Pending> pending_;
  std::map<Key, Asked> asked_;
  Stats stats_;
};

}  // namespace sluice::xds
