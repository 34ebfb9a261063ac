#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace sluice::base {

// Cell is a counter with one writer. add() is a load, an addition and a store, about 1 ns.
class Cell {
 public:
  void add(uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  // Any thread.
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// StatusCells answers "how often did each status come?" for one writer, a worker, and any readers:
// what Envoy counts as upstream_rq_200, upstream_rq_503 and so on.
//
// A cluster sees a handful of statuses, so the first seven have their words here, in one cache
// line, found by a look at each; the most frequent one mostly came first. From the eighth status on
// they are counted in a table of all of them, allocated then, once (4 KiB): the only allocation, by
// a backend that answers in eight ways. Where there is no memory for it, that status is not
// counted. add() costs a load, two compares and a store for the first status, without a lock or a
// read-modify-write. A status stays where it began, so sums never shrink.
class StatusCells {
 public:
  static constexpr uint16_t kFirst = 100;
  static constexpr uint16_t kEnd = 600;

  StatusCells() noexcept = default;
  StatusCells(const StatusCells&) = delete;
  StatusCells& operator=(const StatusCells&) = delete;
  ~StatusCells() { delete table_.load(std::memory_order_relaxed); }

  // The writer only; `status` in [kFirst, kEnd).
  void add(uint16_t status) noexcept {
    for (std::atomic<uint64_t>& word : words_) {
      const uint64_t value = word.load(std::memory_order_relaxed);
      if (value >> kShift == status) [[likely]] {
        word.store(value + 1, std::memory_order_relaxed);
        return;
      }
      if (value == 0) {
        word.store((uint64_t{status} << kShift) + 1, std::memory_order_relaxed);
        return;
      }
    }
    add_to_table(status);
  }

  // Any thread.
  uint64_t get(uint16_t status) const noexcept {
    for (const std::atomic<uint64_t>& word : words_) {
      const uint64_t value = word.load(std::memory_order_relaxed);
      if (value >> kShift == status) return value & kMask;
    }
    const Table* table = table_.load(std::memory_order_acquire);
    return table == nullptr ? 0 : table->cells[status - kFirst].get();
  }

 private:
  static constexpr unsigned kShift = 48;  // status above, count below
  static constexpr uint64_t kMask = (uint64_t{1} << kShift) - 1;
  struct Table {
    Cell cells[kEnd - kFirst];
  };

  void add_to_table(uint16_t status) noexcept {
    Table* table = table_.load(std::memory_order_relaxed);
    if (table == nullptr) {
      table = new (std::nothrow) Table();
      if (table == nullptr) return;
      table_.store(table, std::memory_order_release);
    }
    table->cells[status - kFirst].add();
  }

  std::atomic<uint64_t> words_[7] = {};
  std::atomic<Table*> table_{nullptr};
};

}  // namespace sluice::base
