#include "xds/sources.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "xds/connect.h"
#include "xds/file_transport.h"
#include "xds/grpc_transport.h"
#include "xds/methods.h"
#include "xds/rest_transport.h"

namespace sluice::xds {
namespace {

GrpcTarget target_of(const ControlPlane& in, bool fail_fast) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  GrpcTarget out;
  out.target = in.target;
  out.authority = in.authority;
  out.metadata = in.metadata;
  if (in.max_receive_bytes != 0) out.max_message_bytes = in.max_receive_bytes;
  out.keepalive_interval = duration_cast<milliseconds>(in.keepalive_interval);
  out.keepalive_timeout = duration_cast<milliseconds>(in.keepalive_timeout);
  out.wait_for_ready = !fail_fast;
  return out;
}

void add_counters(const TypeStats& in, TypeStats* out) {
  out->update_attempt += in.update_attempt;
  out->update_success += in.update_success;
  out->update_failure += in.update_failure;
  out->update_rejected += in.update_rejected;
  out->update_empty += in.update_empty;
  out->init_fetch_timeout += in.init_fetch_timeout;
  out->resources_rejected += in.resources_rejected;
  out->responses_repeated += in.responses_repeated;
  out->responses_ignored += in.responses_ignored;
  out->resources_unchanged += in.resources_unchanged;
  out->resources_unasked += in.resources_unasked;
  out->ttl_expired += in.ttl_expired;
  if (in.update_time_ms < out->update_time_ms) return;
  out->update_time_ms = in.update_time_ms;
  out->update_duration_ns = in.update_duration_ns;
  out->version = in.version;
  out->version_text = in.version_text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Transport>> connect_grpc(const ControlPlane& server, bool fail_fast,
                                                        Executor& executor) {
  return GrpcTransport::make(target_of(server, fail_fast), executor);
}

Sources::Sources(Options options, std::shared_ptr<const ConfigSources> catalogue,
                 ResourceSink& sink, Executor& executor)
    : options_(std::move(options)),
      catalogue_(std::move(catalogue)),
      sink_(sink),
      executor_(executor),
      watcher_(executor),
      self_(std::make_shared<Sources*>(this)) {
  if (options_.connect) return;
  options_.connect = [this](const ControlPlane& server,
                            bool fail_fast) -> absl::StatusOr<std::unique_ptr<Transport>> {
    return connect_grpc(server, fail_fast, executor_);
  };
}

Sources::~Sources() { *self_ = nullptr; }

void Sources::stop() {
  for (const auto& [key, entry] : entries_) entry.client->stop();
}

// ---- Subscriptions.

void Sources::subscribe_all(Type type, SourceId source) {
  if (Client* c = client(source, type)) c->subscribe_all(type);
}

void Sources::unsubscribe_all(Type type, SourceId source) {
  const auto it = entries_.find(key_of(source, type));
  if (it == entries_.end()) return;
  it->second.client->unsubscribe_all(type);
  drop_later(source, type);
}

void Sources::subscribe(Type type, const ResourceKey& key) {
  if (Client* c = client(key.source, type)) c->subscribe(type, key.name);
}

void Sources::unsubscribe(Type type, const ResourceKey& key) {
  const auto it = entries_.find(key_of(key.source, type));
  if (it == entries_.end()) return;
  it->second.client->unsubscribe(type, key.name);
  drop_later(key.source, type);
}

bool Sources::is_aggregated(SourceId source) const {
  return source == kAds || catalogue_->value(source).grpc.aggregated;
}

// The client of ads_config stays.
void Sources::drop_later(SourceId source, Type type) {
  const Key at = key_of(source, type);
  if (source == kAds || entries_.find(at)->second.client->interested()) return;
  executor_.post([self = self_, at] {
    if (Sources* sources = *self) sources->drop_unused(at);
  });
}

void Sources::drop_unused(Key key) {
  const auto it = entries_.find(key);
  if (it != entries_.end() && !it->second.client->interested()) entries_.erase(it);
}

void Sources::begin_batch() {
  ++batch_;
  for (const auto& [key, entry] : entries_) entry.client->begin_batch();
}

void Sources::end_batch() {
  --batch_;
  for (const auto& [key, entry] : entries_) entry.client->end_batch();
}

// ---- Clients.

Client* Sources::client(SourceId source, Type type) {
  const Key key = key_of(source, type);
  const auto it = entries_.find(key);
  if (it != entries_.end()) return it->second.client.get();
  const SourceValue& value = catalogue_->value(source);
  ClientOptions options = options_for(source, type, value);
  Entry entry;
  if (value.kind == SourceValue::Kind::kGrpc) {
    entry.client = make_grpc(value, std::move(options), source);
  } else if (value.kind == SourceValue::Kind::kFile) {
    entry.client = make_file(value, std::move(options), type, &entry);
  }
  if (value.kind == SourceValue::Kind::kRest) {
    entry.own.push_back(std::make_unique<RestTransport>(value.rest, type, executor_));
    entry.client =
        std::make_unique<Client>(std::move(options), *entry.own.front(), sink_, executor_);
  }
  if (entry.client == nullptr) return nullptr;
  for (int i = 0; i < batch_; ++i) entry.client->begin_batch();
  return entries_.emplace(key, std::move(entry)).first->second.client.get();
}

ClientOptions Sources::options_for(SourceId source, Type type, const SourceValue& value) {
  ClientOptions out = options_.client;
  out.source = source;
  out.restored.clear();
  const auto is_its = [&](const RestoredResource& r) {
    return r.source == value.lasting && (is_aggregated(source) || r.type == type);
  };
  auto& restored = options_.client.restored;
  const auto others = std::stable_partition(restored.begin(), restored.end(), is_its);
  out.restored.assign(std::move_iterator(restored.begin()), std::move_iterator(others));
  restored.erase(restored.begin(), others);
  out.label = source == kAds          ? "control plane"
              : value.grpc.aggregated ? base::cat("control plane of ", value.text)
                                      : base::cat(short_name_of(type), " of ", value.text);
  if (value.kind != SourceValue::Kind::kGrpc) return out;
  out.delta = value.grpc.delta;
  out.method = is_aggregated(source) ? ads_method(out.delta) : method_of(type, out.delta);
  out.node_on_first_message_only = value.grpc.set_node_on_first_message_only;
  out.backoff_base_ns = value.grpc.servers.front().backoff_base.count();
  out.backoff_max_ns = value.grpc.servers.front().backoff_max.count();
  if (value.grpc.rate_limit) {
    out.rate_limit = {value.grpc.rate_limit->max_tokens, value.grpc.rate_limit->tokens_per_second};
  }
  return out;
}

absl::Status Sources::connect(SourceId source, const SourceValue& value) {
  auto& transports = transports_[source];
  while (transports.size() < value.grpc.servers.size()) {
    const ControlPlane& server = value.grpc.servers[transports.size()];
    auto transport = options_.connect(server, value.grpc.servers.size() > 1);
    if (!transport.ok()) {
      return base::config_error("control plane \"", server.name,
                                "\": ", base::message_of(transport.status()));
    }
    transports.push_back(*std::move(transport));
  }
  return absl::OkStatus();
}

absl::Status Sources::check(SourceId source) {
  const SourceValue& value = catalogue_->value(source);
  return value.kind == SourceValue::Kind::kGrpc ? connect(source, value) : absl::OkStatus();
}

std::unique_ptr<Client> Sources::make_grpc(const SourceValue& value, ClientOptions options,
                                           SourceId source) {
  if (absl::Status s = connect(source, value); !s.ok()) {
    if (options.log) options.log(Severity::kWarning, base::message_of(s));
    return nullptr;
  }
  std::vector<Transport*> pointers;
  for (const auto& transport : transports_[source]) pointers.push_back(transport.get());
  return std::make_unique<Client>(std::move(options), std::move(pointers), sink_, executor_);
}

std::unique_ptr<Client> Sources::make_file(const SourceValue& value, ClientOptions options,
                                           Type type, Entry* entry) {
  auto warn = [log = options.log](std::string_view text) {
    if (log) log(Severity::kWarning, text);
  };
  entry->own.push_back(std::make_unique<FileTransport>(
      FileTransport::Options{.file = value.file,
                             .type = type,
                             .allow_unknown_fields = options_.allow_unknown_fields,
                             .warn = std::move(warn)},
      watcher_, executor_));
  return std::make_unique<Client>(std::move(options), *entry->own.front(), sink_, executor_);
}

// ---- For admin.

TypeStats Sources::stats(Type type) const {
  TypeStats sum;
  for_each([&](const Client& client, Type of) {
    if (of == type) add_counters(client.stats(type), &sum);
  });
  return sum;
}

// Connected: all of them are. What is told of one is told of the aggregated stream, which comes
// first.
ControlPlaneStats Sources::control_plane() const {
  ControlPlaneStats sum;
  sum.connected_state = !entries_.empty();
  for (const auto& [key, entry] : entries_) {
    const ControlPlaneStats& one = entry.client->control_plane();
    sum.connected_state = sum.connected_state && one.connected_state;
    if (sum.identifier.empty()) sum.identifier = one.identifier;
    if (sum.last_error.empty() && !one.connected_state) {
      sum.last_error = one.last_error;
    }
    sum.pending_requests += one.pending_requests;
    sum.rate_limit_enforced += one.rate_limit_enforced;
    sum.streams_opened += one.streams_opened;
    sum.streams_closed += one.streams_closed;
    sum.requests_sent += one.requests_sent;
    sum.responses_received += one.responses_received;
    sum.responses_malformed += one.responses_malformed;
  }
  return sum;
}

// Files need not be kept: they are there.
std::optional<std::vector<RestoredResource>> Sources::in_force() const {
  std::vector<RestoredResource> out;
  bool live = false;
  for (const auto& [key, entry] : entries_) {
    const SourceValue& value = catalogue_->value(key.first);
    if (value.kind == SourceValue::Kind::kFile) continue;
    for (size_t i = 0; i < kNumTypes; ++i) {
      const TypeState& state = entry.client->state(static_cast<Type>(i));
      live = live || state.live();
      if (state.type() == Type::kSecret) continue;  // private keys are not for a file of ours
      state.for_each_resource([&](const TypeState::Held& held) {
        out.push_back({value.lasting, state.type(), std::string(held.name),
                       std::string(held.version), std::string(held.bytes)});
      });
    }
  }
  if (!live) return std::nullopt;
  return out;
}

size_t Sources::num_restored() const {
  size_t sum = 0;
  for_each([&](const Client& client, Type type) { sum += client.state(type).num_restored(); });
  return sum;
}

}  // namespace sluice::xds
