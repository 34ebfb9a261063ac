#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mailbox.h"
#include "base/runtime.h"
#include "base/stat_groups.h"
#include "base/stats.h"
#include "dataplane/log_filter.h"
#include "dataplane/values.h"
#include "http/facts.h"
#include "http/format.h"

namespace sluice::dataplane {

// The access log: workers format lines into chunks of their own, full chunks (and at each interval
// the begun ones) go to one flusher thread, which writes them. A line costs its formatting and
// nothing else: no lock, no system call, no allocation. When the disk is slow, a worker holds at
// most kMaxChunks per file; further lines are dropped and counted.

class AccessLogFlusher;

// AccessLogSink is an open file, shared by all loggers that name its path. Made by the flusher's
// open(); closed when the last logger and the last worker let go of it. Only the flusher's thread
// writes to it.
class AccessLogSink {
 public:
  ~AccessLogSink();
  AccessLogSink(const AccessLogSink&) = delete;
  AccessLogSink& operator=(const AccessLogSink&) = delete;

  uint32_t id() const noexcept { return id_; }
  const std::string& path() const noexcept { return path_; }

 private:
  friend class AccessLogFlusher;
  friend class AccessLogger;
  friend class WorkerAccessLog;
  AccessLogSink(uint32_t id, std::string path, int fd, bool standard) noexcept
      : id_(id), path_(std::move(path)), fd_(fd), standard_(standard) {}

  const uint32_t id_;  // small, for workers' arrays; reused after close
  const std::string path_;
  int fd_;
  const bool standard_;                   // stdout or stderr: never reopened
  bool failing_ = false;                  // flusher's: the error has been reported
  std::atomic<uint32_t> num_loggers_{0};  // 0: workers may let go
};

// AccessLogger is one configured access log, compiled: immutable, shared by workers.
class AccessLogger {
 public:
  // Opens the file. `path` begins the errors: `listeners["in"].access_log[0]`.
  static absl::StatusOr<std::shared_ptr<const AccessLogger>> compile(
      const AccessLogValue& value, std::string_view path, AccessLogFlusher& flusher,
      std::vector<std::string>* warnings = nullptr, base::RuntimeKeys* runtime = nullptr,
      uint32_t num_workers = 1);
  ~AccessLogger();
  AccessLogger(const AccessLogger&) = delete;
  AccessLogger& operator=(const AccessLogger&) = delete;

  bool wants(const http::Facts& facts, const LogChance& chance = {}) const noexcept {
    return filter_.takes_all() || filter_.wants(facts, chance);
  }
  const http::Format& format() const noexcept { return format_; }

 private:
  friend class WorkerAccessLog;
  AccessLogger() = default;
  http::Format format_;
  std::shared_ptr<AccessLogSink> sink_;
  LogFilter filter_;
};

// WorkerAccessLog is a worker's half: its chunks by sink. Worker-local.
class WorkerAccessLog {
 public:
  static constexpr size_t kChunkBytes = 64 * 1024;
  static constexpr size_t kMaxChunks = 16;  // per file: 1 MiB
  static constexpr size_t kKeptChunks = 2;  // of them, kept while idle

  explicit WorkerAccessLog(AccessLogFlusher& flusher);
  // Hands over what is there. The flusher must still run.
  ~WorkerAccessLog();
  WorkerAccessLog(const WorkerAccessLog&) = delete;
  WorkerAccessLog& operator=(const WorkerAccessLog&) = delete;

  // One line, if the logger wants it. Allocates only when a sink is first used or a burst needs
  // another chunk.
  void log(const AccessLogger& logger, const http::Facts& facts,
           const LogChance& chance = {}) noexcept {
    if (logger.wants(facts, chance)) write(logger, facts);
  }
  // Hands over begun chunks. Called by the worker's timer every flusher.interval() and when it
  // drains.
  void flush() noexcept;
  // Something is waiting for flush(): else the timer need not run.
  bool pending() const noexcept { return pending_; }
  uint64_t num_dropped() const noexcept { return cells_->write_dropped.get(); }

 private:
  friend class AccessLogFlusher;
  struct Chunk;
  struct Queue;

  void write(const AccessLogger& logger, const http::Facts& facts) noexcept;
  Queue& queue_of(const std::shared_ptr<AccessLogSink>& sink);
  Chunk* begin_chunk(Queue& queue) noexcept;
  void hand_over(Queue& queue) noexcept;
  void trim(Queue& queue) noexcept;

  AccessLogFlusher& flusher_;
  base::WorkerCells<base::FilesystemCells> cells_;
  std::vector<std::unique_ptr<Queue>> queues_;  // by sink id
  bool pending_ = false;
};

// AccessLogFlusher is the one thread that writes. Owned by the server: made before the workers,
// destroyed after them; its destructor writes everything that was handed over.
class AccessLogFlusher {
 public:
  struct Options {
    int64_t interval_ns = 10'000'000'000;  // --file-flush-interval-msec
    size_t min_bytes = 64 * 1024;          // --file-flush-min-size-kb; at most a chunk
  };
  AccessLogFlusher(base::StatsStore& stats, const Options& options);
  ~AccessLogFlusher();
  AccessLogFlusher(const AccessLogFlusher&) = delete;
  AccessLogFlusher& operator=(const AccessLogFlusher&) = delete;

  // Main or compile pool. The sink of that path, opened (created, appended to) if it is new. With a
  // negative `standard_fd` a file, else that descriptor.
  absl::StatusOr<std::shared_ptr<AccessLogSink>> open(const std::string& path,
                                                      int standard_fd = -1);
  // Any thread but workers (SIGUSR1): closes and opens all files again by their paths.
  void reopen() noexcept;
  // Any thread but workers: returns when everything handed over so far is written. For tests and
  // exit.
  void wait_written();

  int64_t interval_ns() const noexcept { return options_.interval_ns; }

 private:
  friend class WorkerAccessLog;

  void run() noexcept;
  void write_chunk(WorkerAccessLog::Chunk& chunk) noexcept;
  void fail(AccessLogSink& sink, int error) noexcept;
  void reopen_all() noexcept;
  static void wake(void* self) noexcept;

  const Options options_;
  std::shared_ptr<base::StatScope> scope_;
  int wake_fd_ = -1;
  base::Mailbox mailbox_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> reopen_{false};
  std::mutex mutex_;  // sinks_; never taken by workers
  std::vector<std::weak_ptr<AccessLogSink>> sinks_;
  base::WorkerCells<base::FilesystemCells> cells_;  // the thread's
  std::thread thread_;
};

}  // namespace sluice::dataplane
