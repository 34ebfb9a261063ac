#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "dataplane/access_log.h"
#include "dataplane/tables_builder.h"

// Listeners and their chains: what a connection gets, and the sockets that it comes from.
namespace sluice::dataplane {

namespace {

using base::cat;

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
  const std::string& label = value.stat_name.empty() ? bound.to_string() : value.stat_name;
  const std::string stat = cat("listener.", stat_text(label), ".");
  auto entry = std::make_shared<ListenerEntry>();
  if (value.tcp) {
    auto tcp = compile_tcp(value, warnings);
    if (!tcp.ok()) return tcp.status();
    entry->tcp = *std::move(tcp);
  } else if (!value.filter_missing) {
    auto http = compile_http(value, bound, stat, warnings);
    if (!http.ok()) return http.status();
    entry->http = *std::move(http);
  }
  entry->name = value.name;
  entry->sockets = *std::move(sockets);
  entry->buffer_limit_bytes = value.buffer_limit_bytes;
  entry->stats = stats_.scope<base::ListenerCells>(stat);
  for (uint32_t i = 0; i < options_.num_workers; ++i) {
    entry->worker_stats.push_back(
        stats_.scope<base::ListenerWorkerCells>(cat(stat, "worker_", i, ".")));
  }
  entry->exact_balance = value.exact_balance;
  listeners_[value.name].entry = std::move(entry);
  changed_ = listeners_changed_ = true;
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const HttpConfig>> TablesBuilder::compile_http(
    const ListenerValue& value, const base::Address& bound, std::string_view stat,
    std::vector<std::string>* warnings) {
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
                                        *flusher_, warnings, &runtime_keys_, options_.num_workers);
    if (!logger.ok()) return logger.status();
    config->logs_upstream_local |= (*logger)->format().shows_upstream_local();
    config->access_logs.push_back(*std::move(logger));
  }
  const std::string http = cat("http.", stat_text(value.http.stat_prefix), ".");
  config->stats = stats_.scope<base::HttpCells>(http);
  config->listener_stats = stats_.scope<base::ListenerHttpCells>(cat(stat, http));
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
                                        *flusher_, warnings, &runtime_keys_, options_.num_workers);
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

}  // namespace sluice::dataplane
