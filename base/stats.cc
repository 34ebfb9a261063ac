#include "base/stats.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/stamps.h"
#include "base/stat_groups.h"

namespace sluice::base {

SLUICE_STAT_GROUP_TABLE(ClusterCells, SLUICE_CLUSTER_STATS);
SLUICE_STAT_GROUP_TABLE(MembershipCells, SLUICE_MEMBERSHIP_STATS);
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

const StatGroup CostHistograms::kGroup = {
    "CostHistograms", kCostRows.rows, sizeof(CostHistograms),
    []() -> void* { return new CostHistograms(); },
    [](void* cells) { delete static_cast<CostHistograms*>(cells); }};

StatScope::~StatScope() {
  for (Block* block = blocks_.load(std::memory_order_acquire); block != nullptr;) {
    Block* next = block->next;
    group_.destroy(block->cells);
    delete block;
    block = next;
  }
}

StatScope::Block* StatScope::take_block() {
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    bool unused = false;
    // Acquire: go on with what the last writer left.
    if (b->in_use.compare_exchange_strong(unused, true, std::memory_order_acquire)) return b;
  }
  Block* block = new Block;
  block->cells = group_.make();
  block->next = blocks_.load(std::memory_order_relaxed);
  while (!blocks_.compare_exchange_weak(block->next, block, std::memory_order_release,
                                        std::memory_order_relaxed)) {
  }
  return block;
}

uint64_t StatScope::counter(const StatRow& row) const noexcept {
  uint64_t sum = 0;
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    sum += cell_at<Cell>(b->cells, row).get();
  }
  return sum;
}

int64_t StatScope::gauge(const StatRow& row) const noexcept {
  int64_t sum = 0;
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    sum += cell_at<Gauge>(b->cells, row).get();
  }
  return std::max<int64_t>(sum, 0);
}

void StatScope::histogram(const StatRow& row, HistogramSnapshot& out) const noexcept {
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    cell_at<Histogram>(b->cells, row).add_to(out);
  }
}

uint64_t StatScope::status(const StatRow& row, uint16_t status) const noexcept {
  uint64_t sum = 0;
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) {
    sum += cell_at<StatusCells>(b->cells, row).get(status);
  }
  return sum;
}

std::vector<uint16_t> StatScope::statuses(const StatRow& row) const {
  std::vector<uint16_t> out;
  if (num_blocks() == 0) return out;
  for (uint16_t code = StatusCells::kFirst; code < StatusCells::kEnd; ++code) {
    if (status(row, code) != 0) out.push_back(code);
  }
  return out;
}

size_t StatScope::num_blocks() const noexcept {
  size_t n = 0;
  for (Block* b = blocks_.load(std::memory_order_acquire); b != nullptr; b = b->next) ++n;
  return n;
}

std::shared_ptr<StatScope> StatsStore::scope(const StatGroup& group, std::string_view prefix) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& scope = scopes_[Key(prefix, &group)];
  if (scope == nullptr) scope = std::make_shared<StatScope>(group, std::string(prefix));
  return scope;
}

std::map<StatsStore::Key, std::shared_ptr<StatScope>> StatsStore::snapshot() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return scopes_;
}

std::vector<std::shared_ptr<const StatScope>> StatsStore::scopes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<const StatScope>> all;
  all.reserve(scopes_.size());
  for (const auto& [key, scope] : scopes_) all.push_back(scope);
  return all;
}

void StatsStore::visit(const Visitor& visitor) const {
  std::string name;
  for (const auto& [key, scope] : snapshot()) {
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
  std::erase_if(scopes_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

size_t StatsStore::num_scopes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return scopes_.size();
}

}  // namespace sluice::base
