#include "xds/demands.h"

#include <utility>

#include "base/text.h"
#include "xds/config_source.h"

namespace sluice::xds {

using Lack = dataplane::OnDemand::Lack;

Demands::Demands(Options options, dataplane::TablesBuilder& builder, Executor& executor,
                 WarmingListeners& listeners)
    : options_(std::move(options)),
      builder_(builder),
      executor_(executor),
      listeners_(listeners),
      deadlines_(executor, [this](Type type, const ResourceKey& key) { expire({type, key}); }) {}

// ---- Questions.

void Demands::ask(Question question) {
  const std::pair asker(question.worker, question.id);
  Key key;
  if (const auto known = find(question, &key)) return give(asker, *known);
  if (const auto it = pending_.find(key); it != pending_.end()) {
    it->second.askers.push_back(asker);
    return;
  }
  if (pending_.size() >= options_.max_pending) {
    count(Answer::kRefused);
    return give(asker, Answer::kRefused);
  }
  if (const auto known = subscribe(key)) {
    count(*known);
    return give(asker, *known);
  }
  ++stats_.asked;
  const int64_t timeout_ns =
      key.first == Type::kCluster ? question.timeout_ns : options_.routes_timeout_ns;
  Pending& pending = pending_[key];
  pending.askers.push_back(asker);
  pending.deadline = executor_.now() + timeout_ns;
  deadlines_.set(key.first, key.second, std::max<int64_t>(timeout_ns, 1));
}

// The answer, where it is known without asking; else what to ask for.
std::optional<Demands::Answer> Demands::find(const Question& question, Key* key) const {
  switch (question.lack) {
    case Lack::kVirtualHost: {
      const ResourceKey* rds = listeners_.routes().key_of_slot(question.routes);
      const auto* vhds = rds == nullptr ? nullptr : listeners_.routes().vhds_of(*rds);
      if (vhds == nullptr) return Answer::kNone;
      *key = {Type::kVirtualHost, {vhds->source, base::cat(rds->name, "/", question.name)}};
      return std::nullopt;
    }
    case Lack::kRoutes:
      *key = {Type::kRoute, {kAds, question.routes}};
      break;
    case Lack::kCluster:
      *key = {Type::kCluster, {question.source, question.name}};
      if (question.name.empty()) {
        key->second.name = builder_.cluster_ids().name_of(question.cluster);
      }
      if (key->second.name.empty()) return Answer::kNone;
      key->second = locate(std::move(key->second));
      break;
  }
  if (is_there(*key) && !builder_.changed()) return Answer::kFound;
  return std::nullopt;
}

// A name with an authority is its authority's.
ResourceKey Demands::locate(ResourceKey cluster) const {
  if (!is_xdstp(cluster.name)) return cluster;
  const auto name = parse_resource_name(cluster.name);
  if (!name.ok()) return cluster;
  const SourceRef* known =
      options_.sources == nullptr ? nullptr : options_.sources->authorities().find(name->authority);
  return {known == nullptr ? cluster.source : known->source, name->text()};
}

bool Demands::is_there(const Key& key) const {
  if (key.first == Type::kCluster) {
    const upstream::ClusterEntry* entry = builder_.cluster(key.second.name);
    return entry != nullptr && entry->endpoints != nullptr;
  }
  if (key.first != Type::kRoute) return false;
  const ResourceKey* rds = listeners_.routes().key_of_slot(key.second.name);
  return rds != nullptr && listeners_.routes().ready(*rds);
}

// None: it was asked for. A name that was found and that a request misses all the same is asked for
// again: the server may have forgotten it.
std::optional<Demands::Answer> Demands::subscribe(const Key& key) {
  if (key.first == Type::kRoute) {
    return listeners_.scopes().demand(key.second.name) ? std::nullopt
                                                       : std::optional(Answer::kNone);
  }
  if (subscriptions_ == nullptr) return Answer::kNone;
  // It is known and has no endpoints yet.
  if (key.first == Type::kCluster && builder_.cluster(key.second.name) != nullptr) {
    return std::nullopt;
  }
  const base::MonoNs now = executor_.now();
  auto it = asked_.find(key);
  if (it != asked_.end() && now - it->second.at < kAgainNs) return Answer::kNone;
  if (it == asked_.end() && asked_.size() >= options_.max_names) {
    std::erase_if(asked_, [](const auto& entry) { return !entry.second.subscribed; });
    if (asked_.size() >= options_.max_names) return Answer::kRefused;
  }
  if (it == asked_.end()) it = asked_.emplace(key, Asked()).first;
  subscriptions_->begin_batch();
  if (it->second.subscribed) subscriptions_->unsubscribe(key.first, key.second);
  subscriptions_->subscribe(key.first, key.second);
  subscriptions_->end_batch();
  it->second = {now, true};
  return std::nullopt;
}

void Demands::leave(const Key& key) {
  const auto it = asked_.find(key);
  if (it == asked_.end() || !it->second.subscribed) return;
  it->second = {executor_.now(), false};
  if (subscriptions_ != nullptr) subscriptions_->unsubscribe(key.first, key.second);
}

// ---- Answers.

void Demands::told(Type type, SourceId source, const std::vector<std::string>& names, bool there) {
  if (pending_.empty()) return;
  for (const std::string& name : names) {
    const auto it = pending_.find({type, {source, name}});
    if (it == pending_.end()) continue;
    // A cluster that has come may still wait for its endpoints.
    if (there && type == Type::kCluster) continue;
    it->second.answer = there ? Answer::kFound : Answer::kNone;
  }
}

void Demands::published() {
  for (auto it = pending_.begin(); it != pending_.end();) {
    const auto here = it++;
    if (here->second.answer) {
      end(here, *here->second.answer);
    } else if (is_there(here->first)) {
      end(here, Answer::kFound);
    }
  }
}

void Demands::end(std::map<Key, Pending>::iterator it, Answer answer) {
  const auto done = pending_.extract(it);
  if (answer != Answer::kFound) leave(done.key());
  count(answer);
  for (const auto& asker : done.mapped().askers) give(asker, answer);
}

void Demands::expire(const Key& key) {
  const auto it = pending_.find(key);
  if (it == pending_.end() || it->second.deadline > executor_.now()) return;
  if (!it->second.answer) end(it, Answer::kTimedOut);
}

void Demands::give(const std::pair<uint32_t, uint64_t>& asker, Answer answer) {
  if (options_.answer) options_.answer(asker.first, asker.second, answer);
}

void Demands::count(Answer answer) noexcept {
  stats_.found += answer == Answer::kFound ? 1 : 0;
  stats_.none += answer == Answer::kNone ? 1 : 0;
  stats_.timed_out += answer == Answer::kTimedOut ? 1 : 0;
  stats_.refused += answer == Answer::kRefused ? 1 : 0;
}

}  // namespace sluice::xds
