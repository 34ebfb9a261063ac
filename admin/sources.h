#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "xds/config_dump.h"
#include "xds/runtime.h"

namespace sluice::admin {

// One statistic that is kept outside base::StatsStore (server.*, listener_manager.lds.* ...).
struct Stat {
  enum class Kind : uint8_t { kCounter, kGauge, kText, kHistogram };
  std::string name = {};
  Kind kind = Kind::kCounter;
  uint64_t value = 0;
  std::string text = {};                                          // kText
  std::shared_ptr<const base::HistogramSnapshot> histogram = {};  // kHistogram
  bool used = true;  // for ?usedonly: it was set or counted
};

struct DrainRequest {
  bool inbound_only = false;  // listeners whose traffic_direction is INBOUND
  bool graceful = false;      // connections get until --drain-time-s
  bool skip_exit = false;
};

// Sources is what admin shows and does beyond the data plane: app/ fills it, so that admin depends
// on no part of the control side. All are called on main; any may be left empty, then its endpoint
// shows nothing.
struct Sources {
  // "LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING".
  std::function<std::string_view()> state;
  // One line for each thing that is waited for.
  std::function<std::vector<std::string>()> why_not_ready;
  std::function<void(std::vector<Stat>*)> stats;
  // Static and dynamic resources, those that were refused too.
  std::function<xds::DumpInput()> config;
  // True: by a control plane.
  std::function<bool(std::string_view cluster)> added_via_api;
  std::function<xds::Runtime::View()> runtime;
  // Keys and values for the admin layer.
  std::function<absl::Status(const std::vector<std::pair<std::string, std::string>>&)>
      modify_runtime;
  std::string version;  // Envoy's five parts
  std::string node;     // envoy.config.core.v3.Node, serialised
  std::vector<std::pair<std::string, std::string>> command_line;

  std::function<void()> quit;
  std::function<void()> reopen_logs;
  std::function<void(const DrainRequest&)> drain_listeners;
};

}  // namespace sluice::admin
