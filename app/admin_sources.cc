#include "app/admin_sources.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "app/process.h"
#include "base/text.h"
#include "dataplane/log.h"
#include "xds/version.h"

namespace sluice::app {
namespace {

using admin::Stat;
using xds::Type;

class StatList {
 public:
  explicit StatList(std::vector<Stat>* out) : out_(out) {}
  void counter(std::string name, uint64_t value) {
    out_->push_back({.name = std::move(name), .value = value, .used = value != 0});
  }
  void gauge(std::string name, uint64_t value) {
    out_->push_back({.name = std::move(name), .kind = Stat::Kind::kGauge, .value = value});
  }
  void text(std::string name, const std::string& value) {
    out_->push_back({.name = std::move(name), .kind = Stat::Kind::kText, .text = value});
  }

 private:
  std::vector<Stat>* out_;
};

// xds.md rule 13.
void add_type_stats(std::string_view at, const xds::TypeStats& s, StatList* out) {
  const std::string prefix(at);
  out->counter(prefix + "update_attempt", s.update_attempt);
  out->counter(prefix + "update_success", s.update_success);
  out->counter(prefix + "update_failure", s.update_failure);
  out->counter(prefix + "update_rejected", s.update_rejected);
  out->counter(prefix + "update_empty", s.update_empty);
  out->counter(prefix + "init_fetch_timeout", s.init_fetch_timeout);
  out->gauge(prefix + "update_time", static_cast<uint64_t>(s.update_time_ms));
  out->gauge(prefix + "version", s.version);
  out->text(prefix + "version_text", s.version_text);
  out->counter(prefix + "resources_rejected", s.resources_rejected);
  out->counter(prefix + "resources_unchanged", s.resources_unchanged);
}

void add_control_plane(const xds::Sources& sources, StatList* out) {
  const xds::ControlPlaneStats s = sources.control_plane();
  out->gauge("control_plane.connected_state", s.connected_state ? 1 : 0);
  out->gauge("control_plane.pending_requests", s.pending_requests);
  out->counter("control_plane.rate_limit_enforced", s.rate_limit_enforced);
  out->text("control_plane.identifier", s.identifier);
  for (size_t i = 0; i < xds::kNumTypes; ++i) {
    const Type type = static_cast<Type>(i);
    const xds::TypeStats stats = sources.stats(type);
    const bool always = type <= Type::kRoute;
    if (always || stats.update_attempt != 0) add_type_stats(xds::traits_of(type).stats, stats, out);
  }
}

void add_runtime(const xds::Runtime::Stats& s, StatList* out) {
  out->counter("runtime.load_success", s.load_success);
  out->counter("runtime.load_error", s.load_error);
  out->counter("runtime.override_dir_exists", s.override_dir_exists);
  out->counter("runtime.override_dir_not_exists", s.override_dir_not_exists);
  out->counter("runtime.deprecated_feature_use", 0);
  out->gauge("runtime.deprecated_feature_seen_since_process_start", 0);
  out->gauge("runtime.admin_overrides_active", s.admin_overrides_active);
  out->gauge("runtime.num_keys", s.num_keys);
  out->gauge("runtime.num_layers", s.num_layers);
}

void add_stats(Process& process, base::MonoNs started_at, std::vector<Stat>* list) {
  StatList out(list);
  dataplane::Server& server = process.server();
  const auto now = server.main().now();
  out.gauge("server.uptime", static_cast<uint64_t>((now - started_at) / base::kNsPerSec));
  out.gauge("server.concurrency", server.num_workers());
  out.gauge("server.hot_restart_epoch", 0);
  out.gauge("server.parent_connections", 0);
  const struct mallinfo2 heap = mallinfo2();
  out.gauge("server.memory_allocated", heap.uordblks + heap.hblkhd);
  out.gauge("server.memory_heap_size", heap.arena + heap.hblkhd);

  uint64_t warming_clusters = 0, warming_listeners = 0;
  for (const xds::Wait& wait : process.assembler().waits()) {
    warming_clusters += wait.type == Type::kCluster ? 1 : 0;
    warming_listeners += wait.type == Type::kListener ? 1 : 0;
  }
  const uint64_t clusters = server.builder().clusters().size();
  out.gauge("cluster_manager.active_clusters", clusters - std::min(clusters, warming_clusters));
  out.gauge("cluster_manager.warming_clusters", warming_clusters);
  out.gauge("listener_manager.total_listeners_active", server.builder().listeners().size());
  out.gauge("listener_manager.total_listeners_warming", warming_listeners);
  out.gauge("listener_manager.workers_started", server.started() ? 1 : 0);
  out.gauge("sluice.tables.version", server.builder().version());
  out.gauge("sluice.tables.live", server.tables().live().size());
  const int64_t effect = server.publish_to_effect_ns();
  if (effect >= 0) out.gauge("sluice.tables.publish_to_effect_ns", static_cast<uint64_t>(effect));
  add_runtime(process.assembler().runtime().stats(), &out);
  if (!process.sources().empty()) add_control_plane(process.sources(), &out);
  const xds::Demands& demands = process.assembler().demands();
  out.counter("sluice.on_demand.asked", demands.stats().asked);
  out.counter("sluice.on_demand.found", demands.stats().found);
  out.counter("sluice.on_demand.none", demands.stats().none);
  out.counter("sluice.on_demand.timed_out", demands.stats().timed_out);
  out.counter("sluice.on_demand.refused", demands.stats().refused);
  out.gauge("sluice.on_demand.pending", demands.num_pending());
  if (process.load_reporter() != nullptr) {
    const xds::LoadReporter::Stats& s = process.load_reporter()->stats();
    out.counter("load_reporter.requests", s.requests);
    out.counter("load_reporter.responses", s.responses);
    out.counter("load_reporter.errors", s.errors);
    out.counter("load_reporter.retries", s.retries);
  }
  if (process.last_good() != nullptr) {
    out.gauge("sluice.last_good.not_confirmed", process.sources().num_restored());
    out.gauge("sluice.last_good.saved_at_ms",
              static_cast<uint64_t>(process.last_good()->saved_at() / base::kNsPerMs));
  }
}

std::string_view what(Type type) { return xds::traits_of(type).what; }

std::vector<std::string> wait_lines(Process& process) {
  std::vector<std::string> lines;
  const auto now = process.server().main().now();
  for (const xds::Wait& wait : process.assembler().waits()) {
    lines.push_back(
        base::cat(what(wait.type), wait.name.empty() ? "" : " ", wait.name, " waits for ",
                  wait.for_name.empty()
                      ? base::cat("the first response of ", xds::short_name_of(wait.for_type))
                      : base::cat(what(wait.for_type), " ", wait.for_name),
                  " since ", (now - wait.since) / base::kNsPerMs, " ms",
                  wait.serves_old ? "; an older version serves meanwhile" : ""));
  }
  if (process.sources().empty()) return lines;
  if (const size_t restored = process.sources().num_restored(); restored > 0) {
    lines.push_back(base::cat(restored,
                              " resource(s) are of the last good configuration, not "
                              "confirmed by a control plane"));
  }
  const xds::ControlPlaneStats s = process.sources().control_plane();
  if (!s.connected_state) {
    lines.push_back(
        base::cat("control plane: not connected", s.last_error.empty() ? "" : ": ", s.last_error));
  }
  return lines;
}

bool is_warming(const std::vector<xds::Wait>& waits, Type type, std::string_view name) {
  return std::any_of(waits.begin(), waits.end(), [&](const xds::Wait& wait) {
    return wait.type == type && wait.name == name && !wait.serves_old;
  });
}

std::string shown_version(const xds::TypeState::Held& held) {
  return held.restored ? base::cat(held.version, " (last good configuration, not confirmed)")
                       : std::string(held.version);
}

void add_dynamic(const xds::TypeState& state, const std::vector<xds::Wait>& waits,
                 std::vector<xds::DumpResource>* out) {
  const size_t first = out->size();
  state.for_each_resource([&](const xds::TypeState::Held& held) {
    out->push_back({.type = state.type(),
                    .warming = is_warming(waits, state.type(), held.name),
                    .name = std::string(held.name),
                    .version = shown_version(held),
                    .bytes = std::string(held.bytes),
                    .updated_at = held.accepted_at});
  });
  if (state.errors().empty()) return;
  std::sort(out->begin() + static_cast<std::ptrdiff_t>(first), out->end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  const size_t last = out->size();
  for (const auto& [name, error] : state.errors()) {
    const auto begin = out->begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = out->begin() + static_cast<std::ptrdiff_t>(last);
    const auto found = std::lower_bound(
        begin, end, name, [](const auto& r, const std::string& n) { return r.name < n; });
    if (found != end && found->name == name) {
      found->error = error;
    } else {
      out->push_back({.type = state.type(), .name = name, .error = error});
    }
  }
}

xds::DumpInput config_of(Process& process, base::WallNs started_at) {
  const xds::Bootstrap& bootstrap = process.bootstrap();
  xds::DumpInput input{.bootstrap = bootstrap.bytes, .started_at = started_at};
  const auto add_static = [&](Type type, const std::string& name, const std::string& bytes) {
    input.resources.push_back(
        {.type = type, .is_static = true, .name = name, .bytes = bytes, .updated_at = started_at});
  };
  for (const auto& cluster : bootstrap.clusters) {
    add_static(Type::kCluster, cluster.value.name, cluster.bytes);
  }
  for (const auto& [name, bytes] : bootstrap.control_plane_clusters) {
    add_static(Type::kCluster, name, bytes);
  }
  for (const auto& listener : bootstrap.listeners) {
    add_static(Type::kListener, listener.value.name, listener.bytes);
  }
  const auto waits = process.assembler().waits();
  process.sources().for_each([&](const xds::Client& client, Type type) {
    const xds::TypeState& state = client.state(type);
    if (type == Type::kCluster) input.clusters_version = state.version();
    if (type == Type::kListener) input.listeners_version = state.version();
    add_dynamic(state, waits, &input.resources);
  });
  return input;
}

bool is_dynamic_cluster(Process& process, std::string_view name) {
  const auto& all = process.bootstrap().clusters;
  return std::none_of(all.begin(), all.end(),
                      [&](const auto& cluster) { return cluster.value.name == name; });
}

void drain(Process& process, const admin::DrainRequest& request) {
  dataplane::Server& server = process.server();
  if (!request.inbound_only) {
    log::info("admin", "draining all listeners");
    if (server.started()) server.drain(server.options().drain_ns, nullptr);
    return;
  }
  for (const xds::DumpResource& resource : config_of(process, 0).resources) {
    if (resource.type != Type::kListener || !xds::is_inbound_listener(resource.bytes)) continue;
    log::info("admin", base::cat("draining listener ", resource.name));
    server.builder().remove_listener(resource.name);
  }
  server.publish();
}

// Flags as CommandLineOptions spells them.
std::vector<std::pair<std::string, std::string>> command_line_of(const xds::Flags& flags) {
  auto out = flags.given;
  for (auto& [name, value] : out) std::replace(name.begin(), name.end(), '-', '_');
  if (!flags.concurrency) out.emplace_back("concurrency", "");
  return out;
}

}  // namespace

admin::Sources admin_sources(Process& process) {
  base::Clock& clock = process.server().main().clock();
  const base::MonoNs started_at = clock.now();
  const base::WallNs started_wall = clock.wall();
  Process* const p = &process;
  return {
      .state = [p] { return xds::Assembler::text_of(p->assembler().state()); },
      .why_not_ready = [p] { return wait_lines(*p); },
      .stats = [p, started_at](std::vector<Stat>* out) { add_stats(*p, started_at, out); },
      .config = [p, started_wall] { return config_of(*p, started_wall); },
      .added_via_api = [p](std::string_view name) { return is_dynamic_cluster(*p, name); },
      .runtime = [p] { return p->assembler().runtime().view(); },
      .modify_runtime =
          [p](const auto& changes) { return p->assembler().runtime().modify(changes); },
      .version = xds::version_parts(),
      .node = process.bootstrap().node.bytes,
      .command_line = command_line_of(process.flags()),
      .quit = [p] { p->server().stop(); },
      .reopen_logs = [p] { p->server().access_log().reopen(); },
      .drain_listeners = [p](const admin::DrainRequest& request) { drain(*p, request); },
  };
}

}  // namespace sluice::app
