#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/name_filter.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/stats.h"

namespace sluice::admin {

// One statistic by its full name, in a scope or outside; its value is read when it is asked for.
struct StatPlace {
  std::string name = {};
  const base::StatScope* scope = nullptr;
  const base::StatRow* row = nullptr;
  const Stat* stat = nullptr;
  uint16_t status = 0;  // of a row with a counter per status

  Stat::Kind kind() const noexcept;
  uint64_t value() const noexcept;  // counters and gauges
  base::HistogramSnapshot histogram() const;
};

// What a request to /stats wants.
struct StatsWish {
  NameFilter filter = {};
  bool used_only = false;
  bool counters = true, gauges = true, texts = true, histograms = true;

  bool wants(const StatPlace& place) const;
};

// StatsWalk goes through all statistics in the order of their names, one run of names at a time: a
// run is a scope with those whose prefix begins with its prefix. It keeps the scopes alive, copies
// no value, and its memory is a pointer per scope and the names of one run. Main only.
class StatsWalk {
 public:
  // `outside` are the statistics of no scope, in any order.
  StatsWalk(std::vector<std::shared_ptr<const base::StatScope>> scopes, std::vector<Stat> outside);
  // The next run; false: there is none. Places are valid as long as the walk.
  bool next(std::vector<StatPlace>* run);
  void restart() noexcept { scope_ = stat_ = 0; }

  const std::vector<std::shared_ptr<const base::StatScope>>& scopes() const { return scopes_; }
  const std::vector<Stat>& outside() const { return outside_; }

 private:
  std::vector<std::shared_ptr<const base::StatScope>> scopes_;
  std::vector<Stat> outside_;
  size_t scope_ = 0;
  size_t stat_ = 0;
};

// Everything that this process counts: scopes, costs, state, and what app/ adds.
StatsWalk walk_stats(const Site& site);

// The counters that a row of kStatuses stands for; a row of another kind is one place.
void append_places(const base::StatScope& scope, const base::StatRow& row,
                   std::vector<StatPlace>* out);

// Whether a gauge or counter was ever written to. A gauge that is back at 0 was, if its counter
// (..._total of ..._active) says so.
bool is_used(const StatPlace& place);

// Histograms whose names say that they are in milliseconds; the others are in nanoseconds.
bool is_in_ms(std::string_view name) noexcept;

}  // namespace sluice::admin
