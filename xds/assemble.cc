#include "xds/assemble.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::xds {
namespace {

constexpr size_t kMaxLoggedWarnings = 10'000;

std::function<uint64_t()> seeded_random() {
  std::random_device seed;
  return [random = std::make_shared<base::Random>(uint64_t{seed()} << 32 | seed())] {
    return random->next();
  };
}

size_t bytes_of(const Update& update) {
  size_t sum = 0;
  for (const Resource& resource : update.changed) sum += resource.bytes.size();
  return sum;
}

std::vector<std::string> names_of(const std::vector<Rejected>& rejected) {
  std::vector<std::string> names;
  for (const Rejected& r : rejected) names.push_back(r.name);
  return names;
}

}  // namespace

struct Assembler::Taking {
  DecodedUpdate decoded;
  Type type;
  SourceId source;
  std::function<void(std::vector<Rejected>)> done;
  size_t next = 0;  // of what changed, then of what is removed
  size_t next_leds = 0;
};

Assembler::Assembler(Options options, dataplane::Server& server, Executor& executor)
    : options_(std::move(options)),
      server_(server),
      executor_(executor),
      deadlines_(executor,
                 [this](Type type, const ResourceKey& key) {
                   end_wait(type, key);
                   touch();
                 }),
      runtime_(server.builder(), executor, deadlines_, [this] { touch(); }),
      clusters_(server.builder(), executor, deadlines_,
                {.resolver = options_.resolver,
                 .config = options_.resolver_config,
                 .random = options_.random ? options_.random : seeded_random(),
                 .changed = [this] { touch(); }}),
      leds_(executor, deadlines_,
            [this](SourceId source, upstream::EndpointsValue value) {
              clusters_.put_endpoints(source, value);
            }),
      listeners_(server.builder(), executor, deadlines_, server.num_workers()),
      demands_({.answer = [&server](uint32_t worker, uint64_t id,
                                    Demands::Answer answer) { server.answer(worker, id, answer); },
                .sources = options_.decode.sources},
               server.builder(), executor, listeners_),
      self_(std::make_shared<Assembler*>(this)) {
  server.set_on_demand(
      [this](dataplane::OnDemand::Question question) { ask(std::move(question)); });
}

Assembler::~Assembler() {
  *self_ = nullptr;
  server_.set_on_demand(nullptr);
  if (hold_timer_ != 0) executor_.cancel(hold_timer_);
}

// ---- Updates.

void Assembler::apply(Update update, std::function<void(std::vector<Rejected>)> done) {
  const Type type = update.type;
  if (ResourceSink* sink = sinks_[static_cast<size_t>(type)]) {
    return sink->apply(std::move(update), std::move(done));
  }
  const SourceId source = update.source;
  DecodeJob job;
  job.options = options_.decode;
  job.options.self = source;
  if (type == Type::kRoute) {
    job.ids = &server_.builder().cluster_ids();
    job.compile.num_workers = server_.num_workers();
    job.compile.runtime = &server_.builder().runtime_keys();
    for (const Resource& r : update.changed) {
      job.previous.push_back(listeners_.routes().table({source, r.name}));
    }
  }
  const bool in_pool = bytes_of(update) > options_.inline_bytes;
  job.update = std::move(update);
  if (!in_pool) return take(decode_update(std::move(job)), type, source, std::move(done));
  auto shared = std::make_shared<DecodeJob>(std::move(job));
  server_.pool().run(
      [self = self_, &executor = executor_, shared, type, source, done = std::move(done)] {
        auto decoded = std::make_shared<DecodedUpdate>(decode_update(std::move(*shared)));
        executor.post([self, decoded, type, source, done] {
          if (Assembler* assembler = *self)
            assembler->take(std::move(*decoded), type, source, done);
        });
      });
}

void Assembler::take(DecodedUpdate decoded, Type type, SourceId source,
                     std::function<void(std::vector<Rejected>)> done) {
  if (subscriptions_ != nullptr) subscriptions_->begin_batch();
  ++num_taking_;
  take_on(std::make_shared<Taking>(Taking{std::move(decoded), type, source, std::move(done)}));
}

void Assembler::take_on(const std::shared_ptr<Taking>& taking) {
  if (!take_slice(*taking)) {
    executor_.post([self = self_, taking] {
      if (Assembler* assembler = *self) assembler->take_on(taking);
    });
    return;
  }
  --num_taking_;
  log_warnings(taking->decoded.warnings.texts());
  answered(taking->type);
  if (subscriptions_ != nullptr) subscriptions_->end_batch();
  touch();
  taking->done(std::move(taking->decoded.rejected));
}

// False: there is more. Rule 97: new clusters come before those that they replace go.
bool Assembler::take_slice(Taking& taking) {
  DecodedUpdate& decoded = taking.decoded;
  if (taking.type == Type::kListener) take_listeners(decoded);
  if (taking.type == Type::kRoute) take_routes(decoded, taking.source);
  if (taking.type == Type::kVirtualHost) take_virtual_hosts(decoded, taking.source);
  if (taking.type == Type::kRuntime) take_runtime(decoded, taking.source);
  if (taking.type == Type::kExtensionConfig) take_extensions(decoded, taking.source);
  if (taking.type == Type::kLbEndpoint) {
    leds_.take(taking.source, std::move(decoded.lb_endpoints), decoded.removed, decoded.answered);
  }
  if (taking.type == Type::kScopedRoute) {
    listeners_.scopes().put(taking.source, std::move(decoded.scopes), decoded.removed,
                            &decoded.rejected);
  }
  const bool clusters = taking.type == Type::kCluster;
  if (!clusters && taking.type != Type::kEndpoint) return true;
  const size_t changed = clusters ? decoded.clusters.size() : decoded.endpoints.size();
  const size_t all = changed + decoded.removed.size();
  for (size_t left = options_.slice; taking.next < all; ++taking.next, --left) {
    if (left == 0) return false;
    const size_t i = taking.next;
    if (i >= changed && clusters) {
      clusters_.remove(decoded.removed[i - changed]);
    } else if (i >= changed) {
      clusters_.end_wait({taking.source, decoded.removed[i - changed]});
    } else if (clusters) {
      take_cluster(taking, std::move(decoded.clusters[i]));
    } else {
      take_endpoints(taking, i);
    }
  }
  if (clusters) {
    leds_.drop_unless([this](const ResourceKey& eds) { return clusters_.follows(eds); });
    demands_.told(Type::kCluster, taking.source, decoded.removed, false);
    demands_.told(Type::kCluster, taking.source, names_of(decoded.rejected), false);
    return true;
  }
  for (const Rejected& r : decoded.rejected) clusters_.end_wait({taking.source, r.name});
  return true;
}

void Assembler::take_endpoints(Taking& taking, size_t index) {
  std::vector<DecodedLeds>& all = taking.decoded.leds;
  std::vector<LedsLocality> leds;
  if (taking.next_leds < all.size() && all[taking.next_leds].index == index) {
    leds = std::move(all[taking.next_leds++].localities);
  }
  leds_.put(taking.source, std::move(taking.decoded.endpoints[index]), std::move(leds));
}

void Assembler::take_cluster(Taking& taking, upstream::ClusterValue value) {
  const std::string name = value.name;
  if (clusters_.is_static(name)) {
    log_warnings({base::cat("clusters[\"", name, "\"]: is static; what CDS says is left out")});
    return;
  }
  absl::Status status = clusters_.put(std::move(value), false);
  if (!status.ok()) taking.decoded.rejected.push_back({name, std::move(status)});
}

// Rule 97: what goes makes room for what is new; a second pass for addresses that moved from one
// listener to another.
void Assembler::take_listeners(DecodedUpdate& decoded) {
  for (const std::string& name : decoded.removed) listeners_.remove(name);
  std::vector<std::string> warnings;
  std::vector<dataplane::ListenerValue> again;
  for (dataplane::ListenerValue& value : decoded.listeners) {
    if (listeners_.is_static(value.name)) {
      log_warnings(
          {base::cat("listeners[\"", value.name, "\"]: is static; what LDS says is left out")});
    } else if (!listeners_.put(value, false, &warnings).ok()) {
      again.push_back(std::move(value));
    }
  }
  for (const dataplane::ListenerValue& value : again) {
    absl::Status status = listeners_.put(value, false, &warnings);
    if (!status.ok()) decoded.rejected.push_back({value.name, std::move(status)});
  }
  log_warnings(warnings);
}

void Assembler::take_routes(DecodedUpdate& decoded, SourceId source) {
  for (DecodedRoutes& routes : decoded.routes) {
    if (absl::Status status = check_required(routes); !status.ok()) {
      decoded.rejected.push_back({routes.name, std::move(status)});
      continue;
    }
    const std::string name = routes.name;
    absl::Status status = listeners_.routes().put({source, name}, std::move(routes));
    if (!status.ok()) decoded.rejected.push_back({name, std::move(status)});
  }
  WarmingRoutes& all = listeners_.routes();
  for (const Rejected& rejected : decoded.rejected) all.end_wait({source, rejected.name});
  for (const std::string& name : decoded.removed) all.end_wait({source, name});
}

void Assembler::take_virtual_hosts(DecodedUpdate& decoded, SourceId source) {
  std::vector<std::string> there = std::move(decoded.unchanged);
  for (const DecodedVirtualHost& host : decoded.virtual_hosts) there.push_back(host.name);
  for (std::string& name : decoded.answered) there.push_back(std::move(name));
  listeners_.routes().put_virtual_hosts(source, std::move(decoded.virtual_hosts), decoded.removed,
                                        &decoded.rejected);
  demands_.told(Type::kVirtualHost, source, there, true);
  demands_.told(Type::kVirtualHost, source, decoded.removed, false);
  demands_.told(Type::kVirtualHost, source, names_of(decoded.rejected), false);
}

// A layer that goes is empty: what it said is said no more.
void Assembler::take_runtime(DecodedUpdate& decoded, SourceId source) {
  for (const DecodedRuntime& layer : decoded.runtime) {
    runtime_.put({source, layer.name}, layer.entries);
  }
  for (const Rejected& rejected : decoded.rejected) runtime_.end_wait({source, rejected.name});
  for (const std::string& name : decoded.removed) runtime_.remove({source, name});
}

// Rule 136: what goes leaves the filter's default, or none.
void Assembler::take_extensions(DecodedUpdate& decoded, SourceId source) {
  for (DecodedExtension& extension : decoded.extensions) {
    absl::Status status = listeners_.put_extension({source, extension.name}, extension.type,
                                                   std::move(extension.config));
    if (!status.ok()) decoded.rejected.push_back({extension.name, std::move(status)});
  }
  for (const Rejected& rejected : decoded.rejected) {
    listeners_.end_extension_wait({source, rejected.name});
  }
  for (const std::string& name : decoded.removed) listeners_.remove_extension({source, name});
}

absl::Status Assembler::check_required(const DecodedRoutes& routes) const {
  for (const std::string& cluster : routes.required_clusters) {
    if (clusters_.has(cluster)) continue;
    return base::config_error("route configuration \"", routes.name, "\": no such cluster: \"",
                              cluster, "\"; announce it first, or set validate_clusters: false");
  }
  return absl::OkStatus();
}

void Assembler::log_warnings(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    if (logged_.size() < kMaxLoggedWarnings && logged_.insert(text).second) {
      log::warn("config", text);
    }
  }
}

void Assembler::ask(dataplane::OnDemand::Question question) {
  demands_.ask(std::move(question));
  touch();
}

// ---- Waits.

void Assembler::answered(Type type) {
  if (type == Type::kCluster) cds_answered_ = true;
  if (type == Type::kListener) lds_answered_ = true;
}

void Assembler::on_fetch_timeout(Type type, SourceId source, std::string_view name) {
  if (ResourceSink* sink = sinks_[static_cast<size_t>(type)]) {
    return sink->on_fetch_timeout(type, source, name);
  }
  if (type == Type::kCluster || type == Type::kListener) {
    answered(type);
  } else {
    end_wait(type, {source, std::string(name)});
  }
  touch();
}

void Assembler::end_wait(Type type, const ResourceKey& key) {
  if (type == Type::kEndpoint) clusters_.end_wait(key);
  if (type == Type::kLbEndpoint) leds_.end_wait(key);
  if (type == Type::kRoute) listeners_.routes().end_wait(key);
  if (type == Type::kScopedRoute) listeners_.scopes().end_wait(key.source);
  if (type == Type::kVirtualHost) listeners_.routes().end_vhds_wait(key.source);
  if (type == Type::kRuntime) runtime_.end_wait(key);
  if (type == Type::kExtensionConfig) listeners_.end_extension_wait(key);
  if (type == Type::kListener) listeners_.retry(key.name);
}

// ---- Publishing.

void Assembler::touch() {
  if (std::exchange(touched_, true)) return;
  executor_.post([self = self_] {
    if (Assembler* assembler = *self) {
      assembler->touched_ = false;
      assembler->turn();
    }
  });
}

void Assembler::turn() {
  advance();
  if (phase_ < Phase::kListeners || num_taking_ > 0) return;
  if (!server_.builder().changed()) return demands_.published();
  if (changed_at_ == 0) changed_at_ = executor_.now();
  const base::MonoNs until = hold_until();
  if (until > executor_.now()) {
    if (hold_timer_ != 0) executor_.cancel(hold_timer_);
    hold_timer_ = executor_.call_at(until, [this] {
      hold_timer_ = 0;
      turn();
    });
    return;
  }
  changed_at_ = 0;
  server_.publish();
  demands_.published();
}

// No change waits longer than max_hold, and none waits for a cluster that has been warming for
// longer than that.
base::MonoNs Assembler::hold_until() const {
  if (clusters_.num_warming() == 0) return 0;
  return std::min(changed_at_, clusters_.last_warming_at()) + options_.max_hold_ns;
}

}  // namespace sluice::xds
