#include "base/stats.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include "base/stamps.h"
#include "base/stat_groups.h"

namespace sluice::base {

SLUICE_STAT_GROUP_TABLE(HttpCells, SLUICE_HTTP_STATS);
SLUICE_STAT_GROUP_TABLE(TcpCells, SLUICE_TCP_STATS);
SLUICE_STAT_GROUP_TABLE(ListenerCells, SLUICE_LISTENER_STATS);
SLUICE_STAT_GROUP_TABLE(ListenerHttpCells, SLUICE_LISTENER_HTTP_STATS);
SLUICE_STAT_GROUP_TABLE(ListenerWorkerCells, SLUICE_LISTENER_WORKER_STATS);
SLUICE_STAT_GROUP_TABLE(FilesystemCells, SLUICE_FILESYSTEM_STATS);
SLUICE_STAT_GROUP_TABLE(ResolverCells, SLUICE_RESOLVER_STATS);
SLUICE_STAT_GROUP_TABLE(TurnCells, SLUICE_TURN_STATS);
SLUICE_STAT_GROUP_TABLE(H2Cells, SLUICE_H2_STATS);

namespace {

// ---- A cluster's: its own rows, and main's, of which the circuit breakers' are reckoned.

template <size_t kNth>
int64_t left_of(const void* breakers) noexcept {
  return static_cast<int64_t>(static_cast<const CreditPools*>(breakers)->remaining(kNth));
}
// A breaker without anything left refuses; workers' spare credits count as in use (base/credit.h).
template <size_t kNth>
int64_t open_of(const void* breakers) noexcept {
  return left_of<kNth>(breakers) == 0 ? 1 : 0;
}
int64_t never_open(const void*) noexcept { return 0; }

constexpr StatRow breaker(std::string_view name, int64_t (*read)(const void*) noexcept) {
  return {name, StatKind::kGauge, static_cast<uint32_t>(offsetof(MembershipCells, breakers)), false,
          read};
}

struct MembershipTable {
  using Self = MembershipCells;
  static constexpr StatRow kRows[] = {
      breaker("circuit_breakers.default.cx_open", open_of<0>),
      breaker("circuit_breakers.default.cx_pool_open", never_open),
      breaker("circuit_breakers.default.remaining_cx", left_of<0>),
      breaker("circuit_breakers.default.remaining_pending", left_of<1>),
      breaker("circuit_breakers.default.remaining_retries", left_of<3>),
      breaker("circuit_breakers.default.remaining_rq", left_of<2>),
      breaker("circuit_breakers.default.rq_open", open_of<2>),
      breaker("circuit_breakers.default.rq_pending_open", open_of<1>),
      breaker("circuit_breakers.default.rq_retry_open", open_of<3>),
      breaker("circuit_breakers.high.cx_open", open_of<4>),
      breaker("circuit_breakers.high.cx_pool_open", never_open),
      breaker("circuit_breakers.high.remaining_cx", left_of<4>),
      breaker("circuit_breakers.high.remaining_pending", left_of<5>),
      breaker("circuit_breakers.high.remaining_retries", left_of<7>),
      breaker("circuit_breakers.high.remaining_rq", left_of<6>),
      breaker("circuit_breakers.high.rq_open", open_of<6>),
      breaker("circuit_breakers.high.rq_pending_open", open_of<5>),
      breaker("circuit_breakers.high.rq_retry_open", open_of<7>),
      SLUICE_MEMBERSHIP_STATS(SLUICE_STAT_ROW_C, SLUICE_STAT_ROW_G, SLUICE_STAT_ROW_H,
                              SLUICE_STAT_ROW_S, SLUICE_STAT_ROW_A)};
};

struct ClusterTable {
  using Self = ClusterCells;
  static constexpr StatRow kOwn[] = {SLUICE_CLUSTER_STATS(SLUICE_STAT_ROW_C, SLUICE_STAT_ROW_G,
                                                          SLUICE_STAT_ROW_H, SLUICE_STAT_ROW_S,
                                                          SLUICE_STAT_ROW_A)};
  StatRow rows[std::size(kOwn) + std::size(MembershipTable::kRows)];
  constexpr ClusterTable() : rows{} {
    StatRow* to = rows;
    for (const StatRow& row : kOwn) *to++ = row;
    for (StatRow row : MembershipTable::kRows) {
      row.of_main = true;
      *to++ = row;
    }
    std::sort(std::begin(rows), std::end(rows),
              [](const StatRow& a, const StatRow& b) { return a.name < b.name; });
  }
};
constexpr ClusterTable kClusterRows;

// ---- Costs.

constexpr size_t kNumCosts = static_cast<size_t>(Cost::kCount);

// CostHistograms' cells are an array in the order of kCostSpans; rows are sorted by name.
struct CostRows {
  StatRow rows[kNumCosts];
  constexpr CostRows() : rows{} {
    for (size_t i = 0; i < kNumCosts; ++i) {
      rows[i] = {kCostSpans[i].name, StatKind::kHistogram,
                 static_cast<uint32_t>(offsetof(CostHistograms, spans) + i * sizeof(Histogram))};
    }
    std::sort(std::begin(rows), std::end(rows),
              [](const StatRow& a, const StatRow& b) { return a.name < b.name; });
  }
};
constexpr CostRows kCostRows;

template <typename T>
const T& cell_at(const void* cells, const StatRow& row) noexcept {
  return *reinterpret_cast<const T*>(static_cast<const char*>(cells) + row.offset);
}

}  // namespace

const StatGroup CostHistograms::kGroup = {"CostHistograms", kCostRows.rows, sizeof(CostHistograms),
                                          &StatBlock::make<CostHistograms>,
                                          &StatBlock::destroy<CostHistograms>};

const StatGroup MembershipCells::kGroup = {
    "MembershipCells", MembershipTable::kRows, sizeof(MembershipCells),
    &StatBlock::make<MembershipCells>, &StatBlock::destroy<MembershipCells>};

const StatGroup ClusterCells::kGroup = {"ClusterCells",
                                        kClusterRows.rows,
                                        sizeof(ClusterCells),
                                        &StatBlock::make<ClusterCells>,
                                        &StatBlock::destroy<ClusterCells>,
                                        &MembershipCells::kGroup};

StatScope::~StatScope() {
  for (StatBlock* block = blocks_.load(std::memory_order_acquire); block != nullptr;) {
    StatBlock* next = block->next;
    (block->of_main ? group_.main : &group_)->destroy(block);
    block = next;
  }
}

StatBlock* StatScope::take_block(const StatGroup& cells) {
  const bool of_main = group_.main == &cells;
  for (StatBlock* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    if (b->of_main != of_main) continue;
    bool unused = false;
    // Acquire: go on with what the last writer left.
    if (b->in_use.compare_exchange_strong(unused, true, std::memory_order_acquire)) return b;
  }
  StatBlock* block = cells.make();
  block->of_main = of_main;
  block->next = blocks_.load(std::memory_order_relaxed);
  while (!blocks_.compare_exchange_weak(block->next, block, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
  return block;
}

// Calls fn(cell of that row) for each set of cells.
template <typename T, typename Fn>
void StatScope::for_each_cell(const StatRow& row, Fn&& fn) const {
  for (StatBlock* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    if (b->of_main == row.of_main) fn(cell_at<T>(b->cells, row));
  }
}

uint64_t StatScope::counter(const StatRow& row) const noexcept {
  uint64_t sum = 0;
  for_each_cell<Cell>(row, [&](const Cell& cell) { sum += cell.get(); });
  return sum;
}

int64_t StatScope::gauge(const StatRow& row) const noexcept {
  int64_t sum = 0;
  if (row.read != nullptr) {
    for_each_cell<char>(row, [&](const char& at) { sum += row.read(&at); });
  } else {
    for_each_cell<Gauge>(row, [&](const Gauge& gauge) { sum += gauge.get(); });
  }
  return std::max<int64_t>(sum, 0);
}

void StatScope::histogram(const StatRow& row, HistogramSnapshot& out) const noexcept {
  for_each_cell<Histogram>(row, [&](const Histogram& histogram) { histogram.add_to(out); });
}

uint64_t StatScope::status(const StatRow& row, uint16_t status) const noexcept {
  uint64_t sum = 0;
  for_each_cell<StatusCells>(row, [&](const StatusCells& cells) { sum += cells.get(status); });
  return sum;
}

std::vector<uint16_t> StatScope::statuses(const StatRow& row) const {
  std::vector<uint16_t> out;
  if (!has_cells(row)) return out;
  for (uint16_t code = StatusCells::kFirst; code < StatusCells::kEnd; ++code) {
    if (status(row, code) != 0) out.push_back(code);
  }
  return out;
}

size_t StatScope::num_blocks() const noexcept {
  size_t n = 0;
  for (StatBlock* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) ++n;
  return n;
}

bool StatScope::has_cells(const StatRow& row) const noexcept {
  for (StatBlock* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    if (b->of_main == row.of_main) return true;
  }
  return false;
}

std::shared_ptr<StatScope> StatsStore::scope(const StatGroup& group, std::string_view prefix) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = scopes_.lower_bound(Key(prefix, &group));
  if (it != scopes_.end() && (*it)->prefix() == prefix && &(*it)->group() == &group) return *it;
  return *scopes_.insert(it, std::make_shared<StatScope>(group, std::string(prefix)));
}

std::vector<std::shared_ptr<const StatScope>> StatsStore::scopes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {scopes_.begin(), scopes_.end()};
}

void StatsStore::visit(const Visitor& visitor) const {
  std::string name;
  for (const auto& scope : scopes()) {
    for (const StatRow& row : scope->group().rows) {
      name.assign(scope->prefix()).append(row.name);
      if (row.kind == StatKind::kStatuses) {
        for (const uint16_t status : scope->statuses(row)) {
          if (!visitor.counter) break;
          name.assign(scope->prefix()).append(row.name).append(std::to_string(status));
          visitor.counter(name, scope->status(row, status));
        }
      } else if (row.kind == StatKind::kCounter) {
        if (visitor.counter) visitor.counter(name, scope->counter(row));
      } else if (row.kind == StatKind::kGauge) {
        if (visitor.gauge) visitor.gauge(name, scope->gauge(row));
      } else if (visitor.histogram) {
        HistogramSnapshot values;
        scope->histogram(row, values);
        visitor.histogram(name, values);
      }
    }
  }
}

uint64_t StatsStore::value(std::string_view full_name) const {
  uint64_t sum = 0;
  Visitor visitor;
  visitor.counter = [&](std::string_view name, uint64_t v) { sum += name == full_name ? v : 0; };
  visitor.gauge = [&](std::string_view name, int64_t v) {
    sum += name == full_name ? static_cast<uint64_t>(v) : 0;
  };
  visitor.histogram = [&](std::string_view name, const HistogramSnapshot& v) {
    sum += name == full_name ? v.count() : 0;
  };
  visit(visitor);
  return sum;
}

void StatsStore::sweep() {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Under the lock a count of one is final: only scope() could hand out another.
  std::erase_if(scopes_, [](const auto& scope) { return scope.use_count() == 1; });
}

size_t StatsStore::num_scopes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return scopes_.size();
}

}  // namespace sluice::base
