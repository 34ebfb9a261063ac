#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "base/status_cells.h"

namespace sluice::base {

// Statistics without shared counters (contract F2): every worker has its own cells for each scope
// (a cluster, a listener, an HTTP connection manager) that it ever used, and main sums them when
// somebody asks.

// Gauge goes up and down; one writer as well. A worker's share may be negative, the sum is not.
class Gauge {
 public:
  void add(int64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(int64_t n = 1) noexcept { add(-n); }
  void set(int64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  int64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

enum class StatKind : uint8_t { kCounter, kGauge, kHistogram, kStatuses };

// One row of a group's table: Envoy's name after the scope's prefix, and where the cell is. A row
// of kStatuses stands for a counter per status that came: its name is what the status follows.
struct StatRow {
  std::string_view name;
  StatKind kind;
  uint32_t offset;
  bool of_main = false;  // in the cells of StatGroup::main
  int64_t (*read)(const void* at) noexcept =
      nullptr;  // a gauge that is reckoned from what is there
};

// A set of cells. It stays in its scope's list until the scope dies: whoever ends leaves its sums
// behind, and the next that comes goes on with them.
struct StatBlock {
  std::atomic<bool> in_use{true};
  bool of_main = false;
  StatBlock* next = nullptr;
  void* cells = nullptr;

  template <typename Cells>
  static StatBlock* make();
  template <typename Cells>
  static void destroy(StatBlock* block);
};
template <typename Cells>
struct StatBlockOf : StatBlock {
  StatBlockOf() { cells = &all; }
  Cells all;
};
template <typename Cells>
StatBlock* StatBlock::make() {
  return new StatBlockOf<Cells>();
}
template <typename Cells>
void StatBlock::destroy(StatBlock* block) {
  delete static_cast<StatBlockOf<Cells>*>(block);
}

// StatGroup describes one kind of scope: a plain struct of cells. Made by SLUICE_STAT_GROUP (see
// base/stat_groups.h); static.
struct StatGroup {
  std::string_view name;
  std::span<const StatRow> rows;
  size_t bytes;
  StatBlock* (*make)();  // zeroed cells
  void (*destroy)(StatBlock*);
  // Cells that only main writes, whose rows are among `rows`; null: there are none.
  const StatGroup* main = nullptr;
};

// StatScope is one named set of statistics, "cluster.a." say, with the cells of every worker that
// uses it. Shared by the compiled parts that name it and by the StatsStore; costs about 200 bytes
// while no worker has used it.
class StatScope {
 public:
  StatScope(const StatGroup& group, std::string prefix)
      : group_(group), prefix_(std::move(prefix)) {}
  StatScope(const StatScope&) = delete;
  StatScope& operator=(const StatScope&) = delete;
  ~StatScope();

  const StatGroup& group() const noexcept { return group_; }
  const std::string& prefix() const noexcept { return prefix_; }

  // Any thread: the sum over workers, past ones included. `row` is one of group().rows.
  uint64_t counter(const StatRow& row) const noexcept;
  int64_t gauge(const StatRow& row) const noexcept;
  void histogram(const StatRow& row, HistogramSnapshot& out) const noexcept;
  // The statuses that came so far, in order; how often one of them did.
  std::vector<uint16_t> statuses(const StatRow& row) const;
  uint64_t status(const StatRow& row, uint16_t status) const noexcept;
  // How many sets of cells exist, in use or not.
  size_t num_blocks() const noexcept;
  // Whether there are any for this row.
  bool has_cells(const StatRow& row) const noexcept;

 private:
  template <typename Cells>
  friend class WorkerCells;
  template <typename T, typename Fn>
  void for_each_cell(const StatRow& row, Fn&& fn) const;
  // Lock-free; allocates when no block of those cells, the group's or main's, is unused.
  StatBlock* take_block(const StatGroup& cells);
  static void leave_block(StatBlock* block) noexcept {
    block->in_use.store(false, std::memory_order_release);
  }

  const StatGroup& group_;
  const std::string prefix_;
  std::atomic<StatBlock*> blocks_{nullptr};
};

// WorkerCells is a thread's own cells in a scope. Worker-local, move-only; made once per worker and
// scope when the scope is first used (a few atomic operations, one allocation), kept by whatever
// the worker keeps for that scope, and read on the request path as a plain pointer.
template <typename Cells>
class WorkerCells {
 public:
  WorkerCells() noexcept = default;
  // `scope` has the group Cells::kGroup, or one of which that is main's.
  explicit WorkerCells(std::shared_ptr<StatScope> scope)
      : scope_(std::move(scope)), block_(scope_->take_block(Cells::kGroup)) {}
  WorkerCells(WorkerCells&& o) noexcept
      : scope_(std::move(o.scope_)), block_(std::exchange(o.block_, nullptr)) {}
  WorkerCells& operator=(WorkerCells&& o) noexcept {
    std::swap(scope_, o.scope_);
    std::swap(block_, o.block_);
    return *this;
  }
  ~WorkerCells() {
    if (block_ != nullptr) StatScope::leave_block(block_);
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  Cells* get() const noexcept { return static_cast<Cells*>(block_->cells); }
  Cells* operator->() const noexcept { return get(); }
  Cells& operator*() const noexcept { return *get(); }

 private:
  std::shared_ptr<StatScope> scope_;
  StatBlock* block_ = nullptr;
};

// StatsStore answers "which statistics exist and what do they say?" scope() may be called from main
// and the compile pool (it takes a lock: never from a worker); visit() and sweep() from main.
class StatsStore {
 public:
  // The scope of that name, made if there is none. Whoever keeps the pointer keeps the scope; one
  // that nobody keeps disappears at the next sweep(). Sums survive a change of configuration that
  // keeps the name.
  std::shared_ptr<StatScope> scope(const StatGroup& group, std::string_view prefix);
  template <typename Cells>
  std::shared_ptr<StatScope> scope(std::string_view prefix) {
    return scope(Cells::kGroup, prefix);
  }

  struct Visitor {
    std::function<void(std::string_view name, uint64_t value)> counter;
    std::function<void(std::string_view name, int64_t value)> gauge;
    std::function<void(std::string_view name, const HistogramSnapshot& value)> histogram;
  };
  // By prefix, then by row; each of the three may be empty. Names are valid during the call.
  void visit(const Visitor& visitor) const;
  // All scopes by prefix, for who walks them piece by piece. A prefix may have several groups.
  std::vector<std::shared_ptr<const StatScope>> scopes() const;
  // Sums of one statistic by its full name; for tests and admin. 0: no such one.
  uint64_t value(std::string_view full_name) const;

  // Drops scopes that nobody keeps.
  void sweep();
  size_t num_scopes() const;

 private:
  using Key = std::pair<std::string_view, const StatGroup*>;
  struct ByKey {
    using is_transparent = void;
    static Key key(const Key& key) { return key; }
    static Key key(const std::shared_ptr<StatScope>& scope) {
      return {scope->prefix(), &scope->group()};
    }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return key(a) < key(b);
    }
  };

  mutable std::mutex mutex_;
  std::set<std::shared_ptr<StatScope>, ByKey> scopes_;
};

// NOLINTBEGIN(bugprone-macro-parentheses): their arguments are types, members and lists.
// Declares a struct of cells from a list macro LIST(C, G, H, S, A) whose items are C(member,
// "name") for counters, G for gauges, H for histograms, S for a counter per status, in the order of
// their names, and A(kind, member, "name") for one more name of another item's member.
#define SLUICE_STAT_MEMBER_C(member, name) ::sluice::base::Cell member;
#define SLUICE_STAT_MEMBER_G(member, name) ::sluice::base::Gauge member;
#define SLUICE_STAT_MEMBER_H(member, name) ::sluice::base::Histogram member;
#define SLUICE_STAT_MEMBER_S(member, name) ::sluice::base::StatusCells member;
#define SLUICE_STAT_MEMBER_A(kind, member, name)
#define SLUICE_STAT_GROUP(Type, LIST)                                                            \
  struct Type {                                                                                  \
    LIST(SLUICE_STAT_MEMBER_C, SLUICE_STAT_MEMBER_G, SLUICE_STAT_MEMBER_H, SLUICE_STAT_MEMBER_S, \
         SLUICE_STAT_MEMBER_A)                                                                   \
    static const ::sluice::base::StatGroup kGroup;                                               \
  }
#define SLUICE_STAT_ROW_C(member, name) \
  {name, ::sluice::base::StatKind::kCounter, static_cast<uint32_t>(offsetof(Self, member))},
#define SLUICE_STAT_ROW_G(member, name) \
  {name, ::sluice::base::StatKind::kGauge, static_cast<uint32_t>(offsetof(Self, member))},
#define SLUICE_STAT_ROW_H(member, name) \
  {name, ::sluice::base::StatKind::kHistogram, static_cast<uint32_t>(offsetof(Self, member))},
#define SLUICE_STAT_ROW_S(member, name) SLUICE_STAT_ROW_A(kStatuses, member, name)
#define SLUICE_STAT_ROW_A(kind, member, name) \
  {name, ::sluice::base::StatKind::kind, static_cast<uint32_t>(offsetof(Self, member))},
// In one .cc file: the table of the group.
#define SLUICE_STAT_GROUP_TABLE(Type, LIST)                                                        \
  namespace {                                                                                      \
  struct Type##Table {                                                                             \
    using Self = Type;                                                                             \
    static constexpr ::sluice::base::StatRow kRows[] = {LIST(SLUICE_STAT_ROW_C, SLUICE_STAT_ROW_G, \
                                                             SLUICE_STAT_ROW_H, SLUICE_STAT_ROW_S, \
                                                             SLUICE_STAT_ROW_A)};                  \
  };                                                                                               \
  }                                                                                                \
  const ::sluice::base::StatGroup Type::kGroup = {#Type, Type##Table::kRows, sizeof(Type),         \
                                                  &::sluice::base::StatBlock::make<Type>,          \
                                                  &::sluice::base::StatBlock::destroy<Type>}
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace sluice::base
