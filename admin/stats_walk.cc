#include "admin/stats_walk.h"

#include <algorithm>
#include <utility>

#include "base/stamps.h"
#include "base/stat_groups.h"
#include "base/text.h"
#include "dataplane/server.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kActive = "_active";

const base::StatRow* row_named(const base::StatGroup& group, std::string_view name) {
  for (const base::StatRow& row : group.rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

// Envoy's ServerInfo.State.
uint64_t state_number(std::string_view state) {
  constexpr std::string_view kStates[] = {"LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"};
  for (size_t i = 0; i < std::size(kStates); ++i) {
    if (kStates[i] == state) return i;
  }
  return std::size(kStates) - 1;
}

bool gauge_was_used(const StatPlace& place) {
  if (place.row->name.ends_with(kActive)) {
    const std::string_view stem =
        place.row->name.substr(0, place.row->name.size() - kActive.size());
    const base::StatRow* total = row_named(place.scope->group(), base::cat(stem, "_total"));
    return total != nullptr && place.scope->counter(*total) != 0;
  }
  return place.row->of_main && place.scope->has_cells(*place.row);
}

}  // namespace

Stat::Kind StatPlace::kind() const noexcept {
  if (stat != nullptr) return stat->kind;
  switch (row->kind) {
    case base::StatKind::kCounter:
    case base::StatKind::kStatuses:
      return Stat::Kind::kCounter;
    case base::StatKind::kGauge:
      return Stat::Kind::kGauge;
    case base::StatKind::kHistogram:
      return Stat::Kind::kHistogram;
  }
  return Stat::Kind::kCounter;
}

uint64_t StatPlace::value() const noexcept {
  if (stat != nullptr) return stat->value;
  if (row->kind == base::StatKind::kStatuses) return scope->status(*row, status);
  return row->kind == base::StatKind::kCounter ? scope->counter(*row)
                                               : static_cast<uint64_t>(scope->gauge(*row));
}

base::HistogramSnapshot StatPlace::histogram() const {
  base::HistogramSnapshot out;
  if (stat == nullptr) {
    scope->histogram(*row, out);
  } else if (stat->histogram != nullptr) {
    out = *stat->histogram;
  }
  return out;
}

bool is_used(const StatPlace& place) {
  if (place.stat != nullptr && !place.stat->used) return false;
  if (place.kind() == Stat::Kind::kHistogram) return place.histogram().count() != 0;
  if (place.stat != nullptr || place.value() != 0) return true;
  return place.kind() == Stat::Kind::kGauge && gauge_was_used(place);
}

bool is_in_ms(std::string_view name) noexcept {
  return name.ends_with("_ms") || name.ends_with("_time");
}

bool StatsWish::wants(const StatPlace& place) const {
  switch (place.kind()) {
    case Stat::Kind::kCounter:
      if (!counters) return false;
      break;
    case Stat::Kind::kGauge:
      if (!gauges) return false;
      break;
    case Stat::Kind::kText:
      if (!texts) return false;
      break;
    case Stat::Kind::kHistogram:
      if (!histograms) return false;
      break;
  }
  return filter.wants(place.name) && (!used_only || is_used(place));
}

StatsWalk::StatsWalk(std::vector<std::shared_ptr<const base::StatScope>> scopes,
                     std::vector<Stat> outside)
    : scopes_(std::move(scopes)), outside_(std::move(outside)) {
  std::stable_sort(outside_.begin(), outside_.end(),
                   [](const Stat& a, const Stat& b) { return a.name < b.name; });
}

bool StatsWalk::next(std::vector<StatPlace>* run) {
  run->clear();
  const auto add_outside = [&] {
    const Stat& stat = outside_[stat_++];
    run->push_back({.name = stat.name, .stat = &stat});
  };
  if (scope_ == scopes_.size()) {
    if (stat_ == outside_.size()) return false;
    add_outside();
    return true;
  }
  const std::string& prefix = scopes_[scope_]->prefix();
  if (stat_ < outside_.size() && outside_[stat_].name < prefix) {
    add_outside();
    return true;
  }
  while (scope_ < scopes_.size() && scopes_[scope_]->prefix().starts_with(prefix)) {
    const base::StatScope& scope = *scopes_[scope_++];
    for (const base::StatRow& row : scope.group().rows) {
      append_places(scope, row, run);
    }
  }
  while (stat_ < outside_.size() && outside_[stat_].name.starts_with(prefix)) add_outside();
  std::stable_sort(run->begin(), run->end(),
                   [](const StatPlace& a, const StatPlace& b) { return a.name < b.name; });
  return true;
}

void append_places(const base::StatScope& scope, const base::StatRow& row,
                   std::vector<StatPlace>* out) {
  const auto add = [&](uint16_t status) {
    std::string name = base::cat(scope.prefix(), row.name);
    if (status != 0) base::cat_to(name, status);
    out->push_back({.name = std::move(name), .scope = &scope, .row = &row, .status = status});
  };
  if (row.kind != base::StatKind::kStatuses) return add(0);
  for (const uint16_t status : scope.statuses(row)) add(status);
}

StatsWalk walk_stats(const Site& site) {
  std::vector<Stat> outside;
  if (site.sources.stats) site.sources.stats(&outside);
  const std::string_view state = site.state();
  outside.push_back(
      {.name = "server.state", .kind = Stat::Kind::kGauge, .value = state_number(state)});
  outside.push_back(
      {.name = "server.live", .kind = Stat::Kind::kGauge, .value = state == "LIVE" ? 1U : 0U});
  auto costs = site.server.costs();
  for (size_t i = 0; i < costs.size(); ++i) {
    outside.push_back({.name = base::cat("cost.", base::kCostSpans[i].name),
                       .kind = Stat::Kind::kHistogram,
                       .histogram = std::make_shared<const base::HistogramSnapshot>(costs[i])});
  }
  return {site.server.stats().scopes(), std::move(outside)};
}

}  // namespace sluice::admin
