#include "dataplane/tables_builder.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <utility>

#include "base/text.h"
#include "dataplane/access_log.h"

namespace sluice::dataplane {

namespace {

using base::cat;

// Envoy's sanitizeStatsName.
std::string stat_text(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), ':', '_');
  std::replace(out.begin(), out.end(), '\0', '_');
  return out;
}

std::shared_ptr<const upstream::Transport> make_transport(const upstream::TransportValue& value) {
  static std::atomic<uint64_t> next_serial{1};
  auto transport = std::make_shared<upstream::Transport>();
  transport->value = value;
  transport->serial = next_serial.fetch_add(1, std::memory_order_relaxed);
  transport->response_options.max_head_bytes = value.max_response_head_bytes;
  transport->response_options.max_fields = value.max_response_headers;
  transport->h2_options = value.h2.codec;
  transport->h2_options.max_head_bytes = value.max_response_head_bytes;
  transport->h2_options.max_fields = value.max_response_headers;
  return transport;
}

constexpr int64_t kCentury = int64_t{100 * 365} * 86'400 * base::kNsPerSec;

void fill_times(HttpConfig& config) {
  const HttpValue& v = config.value;
  config.idle_timeout_ns = v.idle_timeout.count();
  config.stream_idle_timeout_ns = v.stream_idle_timeout.count();
  config.request_timeout_ns = v.request_timeout.count();
  config.request_headers_timeout_ns = v.request_headers_timeout.count();
  // These two are added to each other and to a time: their sum must stay a time.
  config.max_connection_duration_ns = std::min(v.max_connection_duration.count(), kCentury);
  config.drain_timeout_ns = std::min(v.drain_timeout.count(), kCentury);
  config.delayed_close_timeout_ns = v.delayed_close_timeout.count();
}

void fill_codec(HttpConfig& config) {
  const HttpValue& v = config.value;
  config.h1.max_head_bytes = v.max_request_head_bytes;
  config.h1.max_fields = v.max_request_headers;
  config.h1.accept_http_10 = v.accept_http_10;
  config.h1.allow_chunked_length = v.allow_chunked_length;
  config.h1.underscores = static_cast<http::H1Options::Underscores>(v.underscores);
  config.h2 = v.h2.codec;
  config.h2.max_head_bytes = v.max_request_head_bytes;
  config.h2.max_fields = v.max_request_headers;
  config.h2.underscores = static_cast<http::H2Options::Underscores>(v.underscores);
  config.path.normalize = v.normalize_path;
  config.path.merge_slashes = v.merge_slashes;
  config.path.escaped_slashes = static_cast<http::PathOptions::EscapedSlashes>(v.escaped_slashes);
  config.normalises_path =
      v.normalize_path || v.merge_slashes || v.escaped_slashes != EscapedSlashes::kKeep;
}

}  // namespace

TablesBuilder::TablesBuilder(const Options& options, base::StatsStore& stats,
                             AccessLogFlusher* flusher)
    : options_(options), stats_(stats), flusher_(flusher) {}

// Slots are held by references into cluster_ids_, which must outlive them all.
TablesBuilder::~TablesBuilder() {
  cluster_changes_.clear();
  route_changes_.clear();
  route_array_ = {};
  cluster_array_ = {};
  routes_.clear();
  clusters_.clear();
}

// ---- Clusters.

absl::Status TablesBuilder::put_cluster(const upstream::ClusterValue& value) {
  if (value.name.empty()) return base::config_error("clusters: name: must not be empty");
  auto it = clusters_.find(value.name);
  const bool fresh = it == clusters_.end();
  if (fresh) it = clusters_.emplace(value.name, ClusterPart{}).first;
  ClusterPart& part = it->second;
  if (fresh) {
    part.ref = cluster_ids_.acquire(value.name);
    part.breakers = std::make_shared<upstream::Breakers>(value, options_.num_workers);
    name_changes_.push_back({base::PersistentIndex::hash_of(value.name), part.ref.id(), true});
  } else {
    part.breakers->normal.set_limits(value.breakers_default);
    part.breakers->high.set_limits(value.breakers_high);
  }
  auto cluster = std::make_shared<upstream::Cluster>();
  cluster->value = value;
  cluster->value.static_endpoints.reset();
  cluster->value.dns.reset();
  cluster->id = part.ref.id();
  cluster->slot_hold = std::make_shared<const router::ClusterRef>(part.ref);
  cluster->breakers = part.breakers;
  const upstream::Cluster* old = part.entry.cluster.get();
  cluster->transport = old != nullptr && old->transport->value == value.transport
                           ? old->transport
                           : transport_for(value.transport);
  const std::string prefix = cat("cluster.", stat_text(cluster->stat_name()), ".");
  cluster->stats = stats_.scope<base::ClusterCells>(prefix);
  if (value.transport.http != upstream::TransportValue::Http::kHttp1) {
    cluster->h2_stats = stats_.scope<base::H2Cells>(cat(prefix, "http2."));
  }
  part.membership = stats_.scope<base::MembershipCells>(prefix);
  if (!part.cells) part.cells = base::WorkerCells<base::MembershipCells>(part.membership);
  const bool other_discovery = old != nullptr && old->value.discovery != value.discovery;
  if (other_discovery) part.entry.endpoints.reset();
  if (value.static_endpoints) {
    part.entry.endpoints =
        upstream::EndpointSet::build(*value.static_endpoints, value.healthy_panic_threshold_pct);
  } else if (part.entry.endpoints != nullptr &&
             part.entry.endpoints->panic_threshold_pct() != value.healthy_panic_threshold_pct) {
    part.entry.endpoints = upstream::EndpointSet::with_panic_threshold(
        *part.entry.endpoints, value.healthy_panic_threshold_pct);
  }
  part.entry.cluster = std::move(cluster);
  touch_cluster(part);
  return absl::OkStatus();
}

namespace {

// A breaker without anything left refuses; workers' spare credits count as in use (base/credit.h).
void refresh(const upstream::Breaker& from, base::Gauge* first) {
  const auto left = [](const base::CreditPool& pool) {
    return static_cast<int64_t>(pool.remaining());
  };
  const auto open = [](const base::CreditPool& pool) { return int64_t{pool.is_open()}; };
  const int64_t values[] = {open(from.connections), 0,
                            left(from.connections), left(from.pending),
                            left(from.retries),     left(from.requests),
                            open(from.requests),    open(from.pending),
                            open(from.retries)};
  for (const int64_t value : values) (first++)->set(value);
}

}  // namespace

void TablesBuilder::refresh_gauges() {
  for (auto& [name, part] : clusters_) {
    // Nine neighbours each, in the order of base/stat_groups.h.
    refresh(part.breakers->normal, &part.cells->cx_open);
    refresh(part.breakers->high, &part.cells->high_cx_open);
  }
}

std::shared_ptr<const upstream::Transport> TablesBuilder::transport_for(
    const upstream::TransportValue& value) {
  for (const auto& known : transports_) {
    auto transport = known.lock();
    if (transport != nullptr && transport->value == value) return transport;
  }
  auto transport = make_transport(value);
  transports_[next_transport_++ % kTransports] = transport;
  return transport;
}

void TablesBuilder::put_endpoints(std::string_view cluster, const upstream::EndpointsValue& value) {
  const auto it = clusters_.find(cluster);
  if (it == clusters_.end()) return;
  ClusterPart& part = it->second;
  part.cells->update_success.add();
  part.entry.endpoints =
      upstream::EndpointSet::build(value, part.entry.cluster->value.healthy_panic_threshold_pct);
  touch_cluster(part);
}

void TablesBuilder::touch_cluster(const ClusterPart& part) {
  cluster_changes_.emplace_back(part.ref.id(), part.entry);
  changed_ = true;
  if (part.entry.endpoints == nullptr) return;
  part.cells->membership_change.add();
  part.cells->membership_total.set(static_cast<int64_t>(part.entry.endpoints->endpoints().size()));
  part.cells->membership_healthy.set(part.entry.endpoints->num_healthy());
  part.cells->membership_degraded.set(part.entry.endpoints->num_degraded());
}

void TablesBuilder::remove_cluster(std::string_view name) {
  const auto it = clusters_.find(name);
  if (it == clusters_.end()) return;
  cluster_changes_.emplace_back(it->second.ref.id(), upstream::ClusterEntry{});
  name_changes_.push_back({base::PersistentIndex::hash_of(name), it->second.ref.id(), false});
  clusters_.erase(it);
  changed_ = true;
}

const upstream::ClusterEntry* TablesBuilder::cluster(std::string_view name) const {
  const auto it = clusters_.find(name);
  return it == clusters_.end() ? nullptr : &it->second.entry;
}

base::MembershipCells* TablesBuilder::cells(std::string_view cluster) const {
  const auto it = clusters_.find(cluster);
  return it == clusters_.end() ? nullptr : it->second.cells.get();
}

// ---- Routes.

std::shared_ptr<const RouteSlot> TablesBuilder::route_slot(std::string_view name) {
  const auto it = routes_.find(name);
  if (it != routes_.end()) return it->second.slot;
  auto slot = std::make_shared<RouteSlot>();
  slot->name = std::string(name);
  if (free_route_slots_.empty()) {
    slot->index = next_route_slot_++;
  } else {
    slot->index = free_route_slots_.back();
    free_route_slots_.pop_back();
  }
  return routes_.emplace(slot->name, RoutePart{slot, nullptr}).first->second.slot;
}

void TablesBuilder::put_routes(std::string_view name,
                               std::shared_ptr<const router::RouteTable> table) {
  const auto slot = route_slot(name);
  routes_.find(name)->second.table = table;
  route_changes_.emplace_back(slot->index, std::move(table));
  changed_ = true;
}

std::shared_ptr<const router::RouteTable> TablesBuilder::routes(std::string_view name) const {
  const auto it = routes_.find(name);
  return it == routes_.end() ? nullptr : it->second.table;
}

// ---- Scopes.

std::shared_ptr<const RouteSlot> TablesBuilder::scope_slot(std::string_view name) {
  const auto it = scopes_.find(name);
  if (it != scopes_.end()) return it->second;
  auto slot = std::make_shared<RouteSlot>();
  slot->name = std::string(name);
  if (free_scope_slots_.empty()) {
    slot->index = next_scope_slot_++;
  } else {
    slot->index = free_scope_slots_.back();
    free_scope_slots_.pop_back();
  }
  return scopes_.emplace(slot->name, slot).first->second;
}

void TablesBuilder::put_scopes(std::string_view name, std::shared_ptr<const Scopes> scopes) {
  scope_changes_.emplace_back(scope_slot(name)->index, std::move(scopes));
  changed_ = true;
}

void TablesBuilder::sweep_scopes() {
  for (auto it = scopes_.begin(); it != scopes_.end();) {
    if (it->second.use_count() > 1) {
      ++it;
      continue;
    }
    scope_changes_.emplace_back(it->second->index, nullptr);
    free_scope_slots_.push_back(it->second->index);
    it = scopes_.erase(it);
  }
}

// Slots that no HttpConfig reads any more are emptied now and free for others after the build.
void TablesBuilder::sweep_routes() {
  for (auto it = routes_.begin(); it != routes_.end();) {
    if (it->second.slot.use_count() > 1) {
      ++it;
      continue;
    }
    route_changes_.emplace_back(it->second.slot->index, nullptr);
    free_route_slots_.push_back(it->second.slot->index);
    it = routes_.erase(it);
  }
}

// ---- Runtime.

void TablesBuilder::put_runtime(base::RuntimeKeys::Values values) {
  changed_ = runtime_keys_.set(std::move(values)) || changed_;
}

// ---- Chains.

// With the configuration that has come.
void TablesBuilder::resolve(filters::FilterValue* filter) const {
  const auto found = filter_configs_.find({filter->discovery->source, filter->name});
  if (found != filter_configs_.end()) {
    filter->config = *found->second;
  } else if (filter->discovery->otherwise != nullptr) {
    filter->config = *filter->discovery->otherwise;
  } else {
    filter->config = filters::FilterMissing{};
  }
}

absl::Status TablesBuilder::compile_chain(const std::vector<filters::FilterValue>& filters,
                                          const std::string& path, HttpConfig* config,
                                          std::vector<std::string>* warnings) {
  std::vector<filters::FilterValue> resolved = filters;
  bool fixed = true;
  for (filters::FilterValue& filter : resolved) {
    if (filter.discovery == nullptr) continue;
    fixed = false;
    resolve(&filter);
  }
  auto chain = filters::FilterChain::compile(resolved, path, warnings);
  if (!chain.ok()) return chain.status();
  config->chain = *std::move(chain);
  if (fixed) return absl::OkStatus();
  config->chain_slot = free_chain_slots_.empty() ? next_chain_slot_++ : free_chain_slots_.back();
  if (!free_chain_slots_.empty()) free_chain_slots_.pop_back();
  config->chain_slot_hold = std::make_shared<const uint32_t>(config->chain_slot);
  chain_parts_.push_back({config->chain_slot_hold, std::move(resolved), path});
  chain_changes_.emplace_back(config->chain_slot, config->chain);
  return absl::OkStatus();
}

absl::Status TablesBuilder::put_filter_config(uint32_t source, const std::string& name,
                                              std::shared_ptr<const filters::FilterConfig> config) {
  const auto key = std::pair(source, name);
  const auto before =
      filter_configs_.find(key) == filter_configs_.end() ? nullptr : filter_configs_[key];
  const auto set = [&](std::shared_ptr<const filters::FilterConfig> to) {
    if (to == nullptr) {
      filter_configs_.erase(key);
    } else {
      filter_configs_[key] = std::move(to);
    }
  };
  set(std::move(config));
  std::vector<ChainPart> parts = chain_parts_;
  std::vector<std::pair<uint32_t, std::shared_ptr<const filters::FilterChain>>> made;
  for (ChainPart& part : parts) {
    bool its = false;
    for (filters::FilterValue& filter : part.filters) {
      if (filter.discovery == nullptr || filter.name != name) continue;
      if (filter.discovery->source != source) continue;
      resolve(&filter);
      its = true;
    }
    if (!its) continue;
    auto chain = filters::FilterChain::compile(part.filters, part.path);
    if (!chain.ok()) {
      set(before);
      return chain.status();
    }
    made.emplace_back(*part.slot, *std::move(chain));
  }
  chain_parts_ = std::move(parts);
  changed_ = changed_ || !made.empty();
  std::move(made.begin(), made.end(), std::back_inserter(chain_changes_));
  return absl::OkStatus();
}

// As sweep_routes().
void TablesBuilder::sweep_chains() {
  std::erase_if(chain_parts_, [this](const ChainPart& part) {
    if (part.slot.use_count() > 1) return false;
    chain_changes_.emplace_back(*part.slot, nullptr);
    free_chain_slots_.push_back(*part.slot);
    return true;
  });
}

// ---- Listeners.

absl::Status TablesBuilder::put_listener(const ListenerValue& value,
                                         std::vector<std::string>* warnings) {
  const std::string at = cat("listeners[\"", value.name, "\"]");
  if (value.addresses.empty()) return base::config_error(at, ".address: missing");
  for (const auto& [name, other] : listeners_) {
    if (name == value.name || !value.bind_to_port) continue;
    for (const auto& sockets : other.entry->sockets) {
      for (const base::Address& address : value.addresses) {
        if (address.port() == 0 && address.is_ip()) continue;
        if (sockets->address == address) {
          return base::config_error(at, ".address: ", address.to_string(),
                                    " is taken by listener \"", name, "\"");
        }
      }
    }
  }
  auto sockets = bind(value);
  if (!sockets.ok()) {
    return base::config_error(at, ".address: ", base::message_of(sockets.status()));
  }
  const base::Address& bound = sockets->empty() ? value.addresses[0] : (*sockets)[0]->address;
  auto entry = std::make_shared<ListenerEntry>();
  if (value.tcp) {
    auto tcp = compile_tcp(value, warnings);
    if (!tcp.ok()) return tcp.status();
    entry->tcp = *std::move(tcp);
  } else {
    auto http = compile_http(value, bound, warnings);
    if (!http.ok()) return http.status();
    entry->http = *std::move(http);
  }
  entry->name = value.name;
  entry->sockets = *std::move(sockets);
  entry->buffer_limit_bytes = value.buffer_limit_bytes;
  const std::string& label = value.stat_name.empty() ? bound.to_string() : value.stat_name;
  const std::string stat = stat_text(label);
  entry->stats = stats_.scope<base::ListenerCells>(cat("listener.", stat, "."));
  for (uint32_t i = 0; i < options_.num_workers; ++i) {
    entry->worker_stats.push_back(
        stats_.scope<base::ListenerWorkerCells>(cat("listener.", stat, ".worker_", i, ".")));
  }
  entry->exact_balance = value.exact_balance;
  listeners_[value.name].entry = std::move(entry);
  changed_ = listeners_changed_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const HttpConfig>> TablesBuilder::compile_http(
    const ListenerValue& value, const base::Address& bound, std::vector<std::string>* warnings) {
  const std::string at = cat("listeners[\"", value.name, "\"]");
  auto config = std::make_shared<HttpConfig>();
  config->value = value.http;
  config->listener_port = bound.port();
  if (!http::is_field_value(value.http.server_name)) {
    return base::config_error(at, ".server_name: not a valid field value");
  }
  if (!http::is_field_value(value.http.via)) {
    return base::config_error(at, ".via: not a valid field value");
  }
  fill_times(*config);
  fill_codec(*config);
  absl::Status chain =
      compile_chain(value.http.filters, cat(at, ".http_filters"), config.get(), warnings);
  if (!chain.ok()) return chain;
  for (size_t i = 0; i < value.http.access_logs.size() && flusher_ != nullptr; ++i) {
    auto logger = AccessLogger::compile(value.http.access_logs[i], cat(at, ".access_log[", i, "]"),
                                        *flusher_, warnings, &runtime_keys_);
    if (!logger.ok()) return logger.status();
    config->logs_upstream_local |= (*logger)->format().shows_upstream_local();
    config->access_logs.push_back(*std::move(logger));
  }
  config->stats =
      stats_.scope<base::HttpCells>(cat("http.", stat_text(value.http.stat_prefix), "."));
  if (absl::Status s = compile_routes(value, config.get()); !s.ok()) return s;
  return std::shared_ptr<const HttpConfig>(std::move(config));
}

absl::Status TablesBuilder::compile_routes(const ListenerValue& value, HttpConfig* config) {
  const std::string at = cat("listeners[\"", value.name, "\"]");
  if (value.http.scoped_routes != nullptr) {
    auto key = router::ScopeKeyBuilder::compile(value.http.scoped_routes->key,
                                                cat(at, ".scoped_routes.scope_key_builder"));
    if (!key.ok()) return key.status();
    config->scope_key = *std::move(key);
    config->route_slot = HttpConfig::kScoped;
    config->route_slot_hold = scope_slot(value.http.scopes_name);
    config->scope_slot = config->route_slot_hold->index;
    config->value.scoped_routes.reset();
    return absl::OkStatus();
  }
  if (value.http.inline_routes != nullptr) {
    auto table = router::RouteTable::compile(
        *value.http.inline_routes, cluster_ids_, nullptr,
        {.num_workers = options_.num_workers, .runtime = &runtime_keys_});
    if (!table.ok()) {
      return base::config_error(at, ".route_config.", base::message_of(table.status()));
    }
    const std::string name = cat("inline#", ++num_inline_);
    config->route_slot_hold = route_slot(name);
    put_routes(name, *std::move(table));
    config->value.inline_routes.reset();
  } else {
    config->route_slot_hold = route_slot(value.http.rds_name);
  }
  config->route_slot = config->route_slot_hold->index;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const TcpConfig>> TablesBuilder::compile_tcp(
    const ListenerValue& value, std::vector<std::string>* warnings) {
  const std::string at = cat("listeners[\"", value.name, "\"].tcp_proxy");
  auto config = std::make_shared<TcpConfig>();
  config->value = *value.tcp;
  const TcpValue& tcp = config->value;
  if (tcp.clusters.empty()) return base::config_error(at, ".cluster: missing");
  uint64_t sum = 0;
  for (const TcpValue::Target& target : tcp.clusters) {
    sum += target.weight;
    if (target.weight == 0) return base::config_error(at, ".weighted_clusters: weight: 0");
    config->targets.push_back({cluster_ids_.acquire(target.cluster), sum});
  }
  for (size_t i = 0; i < tcp.access_logs.size() && flusher_ != nullptr; ++i) {
    auto logger = AccessLogger::compile(tcp.access_logs[i], cat(at, ".access_log[", i, "]"),
                                        *flusher_, warnings, &runtime_keys_);
    if (!logger.ok()) return logger.status();
    config->access_logs.push_back(*std::move(logger));
  }
  config->stats = stats_.scope<base::TcpCells>(cat("tcp.", stat_text(tcp.stat_prefix), "."));
  config->idle_timeout_ns = std::min(tcp.idle_timeout.count(), kCentury);
  config->max_connection_duration_ns = std::min(tcp.max_connection_duration.count(), kCentury);
  return std::shared_ptr<const TcpConfig>(std::move(config));
}

absl::StatusOr<std::vector<std::shared_ptr<SocketSet>>> TablesBuilder::bind(
    const ListenerValue& value) {
  std::vector<std::shared_ptr<SocketSet>> sets;
  if (!value.bind_to_port) return sets;
  for (const base::Address& address : value.addresses) {
    // Port 0 is the listener's own; other sockets are found again by whoever has the address.
    const bool any_port = address.is_ip() && address.port() == 0;
    const std::string key =
        any_port ? cat(value.name, "@", address.to_string()) : address.to_string();
    if (auto set = sockets_[key].lock()) {
      sets.push_back(std::move(set));
      continue;
    }
    net::ListenOptions options;
    options.backlog = static_cast<int>(value.tcp_backlog);
    options.reuse_port = value.reuse_port;
    options.ipv6_only = !value.ipv4_compat;
    options.unix_mode = value.unix_mode;
    auto listening =
        net::listen_for_workers(address, static_cast<int>(options_.num_workers), options);
    if (!listening.ok()) return listening.status();
    auto set = std::make_shared<SocketSet>(*std::move(listening));
    sockets_[key] = set;
    sets.push_back(std::move(set));
  }
  return sets;
}

// Workers close what the next version has not, so that it cannot be found again, however long old
// versions and connections hold it: whoever has the address later binds it anew.
void TablesBuilder::forget_closed_sockets() {
  std::set<const SocketSet*> open;
  for (const auto& entry : listener_set_->listeners) {
    for (const auto& set : entry->sockets) open.insert(set.get());
  }
  std::erase_if(sockets_, [&](const auto& known) {
    const auto set = known.second.lock();
    return set == nullptr || !open.contains(set.get());
  });
}

void TablesBuilder::remove_listener(std::string_view name) {
  const auto it = listeners_.find(name);
  if (it == listeners_.end()) return;
  listeners_.erase(it);
  changed_ = listeners_changed_ = true;
}

const ListenerEntry* TablesBuilder::listener(std::string_view name) const {
  const auto it = listeners_.find(name);
  return it == listeners_.end() ? nullptr : it->second.entry.get();
}

// ---- The next version.

std::unique_ptr<const Tables> TablesBuilder::build() {
  sweep_scopes();
  scope_array_ = scope_array_.with(scope_changes_);
  scope_changes_.clear();
  sweep_routes();
  sweep_chains();
  auto tables = std::make_unique<Tables>();
  tables->version = ++version_;
  for (const auto& change : cluster_changes_) tables->changed_clusters.push_back(change.first);
  cluster_array_ = cluster_array_.with(cluster_changes_);
  route_array_ = route_array_.with(route_changes_);
  cluster_names_ = cluster_names_.with(name_changes_);
  cluster_changes_.clear();
  name_changes_.clear();
  route_changes_.clear();
  if (!chain_changes_.empty()) {
    chain_array_ = chain_array_.with(chain_changes_);
    chain_changes_.clear();
  }
  if (const auto changes = runtime_keys_.take_changes(); !changes.empty()) {
    runtime_ = runtime_.with(changes);
  }
  if (listeners_changed_) {
    auto set = std::make_shared<ListenerSet>();
    for (const auto& [name, part] : listeners_) set->listeners.push_back(part.entry);
    listener_set_ = std::move(set);
    forget_closed_sockets();
  }
  changed_ = listeners_changed_ = false;
  tables->clusters = cluster_array_;
  tables->routes = route_array_;
  tables->scopes = scope_array_;
  tables->runtime = runtime_;
  tables->chains = chain_array_;
  tables->listeners = listener_set_;
  tables->cluster_names = cluster_names_;
  return tables;
}

std::vector<TablesBuilder::ClusterRow> TablesBuilder::clusters() const {
  std::vector<ClusterRow> rows;
  for (const auto& [name, part] : clusters_) {
    rows.push_back({part.entry.cluster, part.entry.endpoints});
  }
  return rows;
}

std::vector<std::shared_ptr<const ListenerEntry>> TablesBuilder::listeners() const {
  std::vector<std::shared_ptr<const ListenerEntry>> rows;
  for (const auto& [name, part] : listeners_) rows.push_back(part.entry);
  return rows;
}

}  // namespace sluice::dataplane
