#include "dataplane/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <new>

#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::dataplane {

namespace {

// Non-blocking matters for pipes only: opening one that nobody reads is an error, not a wait.
int open_file(const std::string& path) noexcept {
  return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                0644);
}

// Writes all of it; 0 or an errno. While a reader does not read it waits, but once `stop` is set
// only for a second.
int write_all(int fd, const char* data, size_t size, const std::atomic<bool>& stop) noexcept {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n >= 0) {
      data += n;
      size -= static_cast<size_t>(n);
    } else if (errno == EAGAIN) {  // a pipe
      pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
      const bool last = stop.load(std::memory_order_relaxed);
      if (::poll(&ready, 1, 1000) == 0 && last) return ETIMEDOUT;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

// A piece of memory on its way between a worker and the flusher. Whoever has it is told by `state`:
// the worker while kFilling or kFree, the flusher while kQueued; kOrphan: the worker has ended, the
// flusher deletes it.
struct WorkerAccessLog::Chunk : base::Post {
  enum State : uint8_t { kFree, kFilling, kQueued, kOrphan };

  Chunk(AccessLogFlusher& f, std::shared_ptr<AccessLogSink> s) noexcept
      : Post(&Chunk::run_post), flusher(f), sink(std::move(s)) {}
  static void run_post(Post* post) noexcept {
    auto* chunk = static_cast<Chunk*>(post);
    chunk->flusher.write_chunk(*chunk);
    if (chunk->state.exchange(kFree, std::memory_order_acq_rel) == kOrphan) delete chunk;
  }

  AccessLogFlusher& flusher;
  const std::shared_ptr<AccessLogSink> sink;
  std::atomic<uint8_t> state{kFree};
  size_t size = 0;
  char data[kChunkBytes];
};

struct WorkerAccessLog::Queue {
  std::shared_ptr<AccessLogSink> sink;
  std::vector<Chunk*> chunks;
  Chunk* current = nullptr;

  ~Queue() {
    for (Chunk* chunk : chunks) {
      if (chunk->state.exchange(Chunk::kOrphan, std::memory_order_acq_rel) != Chunk::kQueued) {
        delete chunk;
      }
    }
  }
};

AccessLogSink::~AccessLogSink() { ::close(fd_); }

absl::StatusOr<std::shared_ptr<const AccessLogger>> AccessLogger::compile(
    const AccessLogValue& value, std::string_view path, AccessLogFlusher& flusher,
    std::vector<std::string>* warnings, base::RuntimeKeys* runtime, uint32_t num_workers) {
  std::vector<std::string> heard;
  const auto text = value.text_format.empty() ? http::Format::default_text()
                                              : std::string_view(value.text_format);
  using Missing = http::FormatOptions::Missing;
  auto format =
      value.json ? http::Format::parse_json(value.json_format, value.omit_empty_values, &heard)
                 : http::Format::parse(
                       text, {value.omit_empty_values ? Missing::kEmpty : Missing::kDash}, &heard);
  if (!format.ok()) {
    return base::config_error(path, ".log_format: ", base::message_of(format.status()));
  }
  for (const std::string& w : heard) {
    if (warnings != nullptr) warnings->push_back(base::cat(path, ".log_format: ", w));
  }
  auto filter = LogFilter::compile(value.filter, base::cat(path, ".filter"), runtime, num_workers);
  if (!filter.ok()) return filter.status();
  using Kind = AccessLogValue::Sink;
  const int standard = value.sink == Kind::kStdout || value.path == "/dev/stdout"   ? STDOUT_FILENO
                       : value.sink == Kind::kStderr || value.path == "/dev/stderr" ? STDERR_FILENO
                                                                                    : -1;
  auto sink = flusher.open(value.path, standard);
  if (!sink.ok()) {
    return base::config_error(path, ".path: ", base::message_of(sink.status()));
  }
  std::shared_ptr<AccessLogger> logger(new AccessLogger());
  logger->format_ = *std::move(format);
  logger->sink_ = *std::move(sink);
  logger->sink_->num_loggers_.fetch_add(1, std::memory_order_relaxed);
  logger->filter_ = *std::move(filter);
  return std::shared_ptr<const AccessLogger>(std::move(logger));
}

AccessLogger::~AccessLogger() {
  if (sink_ != nullptr) sink_->num_loggers_.fetch_sub(1, std::memory_order_relaxed);
}

WorkerAccessLog::WorkerAccessLog(AccessLogFlusher& flusher)
    : flusher_(flusher), cells_(flusher.scope_) {}

WorkerAccessLog::~WorkerAccessLog() { flush(); }

void WorkerAccessLog::write(const AccessLogger& logger, const http::Facts& facts) noexcept {
  Queue& queue = queue_of(logger.sink_);
  for (;;) {
    Chunk* chunk = queue.current != nullptr ? queue.current : begin_chunk(queue);
    if (chunk == nullptr) return cells_->write_dropped.add();
    http::Sink sink(chunk->data + chunk->size, kChunkBytes - chunk->size);
    logger.format_.render(facts, sink);
    if (sink.full()) {
      if (chunk->size != 0) {  // once more in an empty chunk
        hand_over(queue);
        continue;
      }
      chunk->data[kChunkBytes - 1] = '\n';  // longer than a chunk: cut, but still one line
    }
    chunk->size += sink.size();
    cells_->write_buffered.add();
    cells_->write_total_buffered.add(static_cast<int64_t>(sink.size()));
    pending_ = true;
    if (chunk->size >= flusher_.options_.min_bytes) hand_over(queue);
    return;
  }
}

WorkerAccessLog::Queue& WorkerAccessLog::queue_of(const std::shared_ptr<AccessLogSink>& sink) {
  const size_t id = sink->id();
  // A sink's number is not given away while a queue here holds the sink.
  if (id < queues_.size() && queues_[id] != nullptr) [[likely]]
    return *queues_[id];
  if (id >= queues_.size()) queues_.resize(id + 1);
  queues_[id] = std::make_unique<Queue>();
  queues_[id]->sink = sink;
  queues_[id]->chunks.reserve(kMaxChunks);
  return *queues_[id];
}

WorkerAccessLog::Chunk* WorkerAccessLog::begin_chunk(Queue& queue) noexcept {
  for (Chunk* chunk : queue.chunks) {
    if (chunk->state.load(std::memory_order_acquire) != Chunk::kFree) continue;
    queue.current = chunk;
    break;
  }
  if (queue.current == nullptr && queue.chunks.size() < kMaxChunks) {
    queue.current = new (std::nothrow) Chunk(flusher_, queue.sink);
    if (queue.current != nullptr) queue.chunks.push_back(queue.current);
  }
  if (queue.current == nullptr) return nullptr;
  queue.current->size = 0;
  queue.current->state.store(Chunk::kFilling, std::memory_order_relaxed);
  return queue.current;
}

void WorkerAccessLog::hand_over(Queue& queue) noexcept {
  Chunk* chunk = std::exchange(queue.current, nullptr);
  chunk->state.store(Chunk::kQueued, std::memory_order_relaxed);
  if (!flusher_.mailbox_.post(chunk)) {  // the flusher has ended: the lines are lost
    cells_->write_dropped.add();
    chunk->state.store(Chunk::kFree, std::memory_order_relaxed);
  }
}

void WorkerAccessLog::flush() noexcept {
  pending_ = false;
  for (auto& queue : queues_) {
    if (queue == nullptr) continue;
    if (queue->current != nullptr && queue->current->size != 0) {
      hand_over(*queue);
      cells_->flushed_by_timer.add();
      continue;
    }
    trim(*queue);
    if (queue->chunks.empty()) queue.reset();
  }
}

// Gives back the memory of a burst, and all of it when nobody logs to the sink any more.
void WorkerAccessLog::trim(Queue& queue) noexcept {
  const bool unused = queue.sink->num_loggers_.load(std::memory_order_relaxed) == 0;
  const size_t keep = unused ? 0 : kKeptChunks;
  if (unused && queue.current != nullptr) {
    queue.current->state.store(Chunk::kFree, std::memory_order_relaxed);
    queue.current = nullptr;
  }
  for (size_t i = queue.chunks.size(); i-- > 0 && queue.chunks.size() > keep;) {
    Chunk* chunk = queue.chunks[i];
    if (chunk->state.load(std::memory_order_acquire) != Chunk::kFree) continue;
    queue.chunks.erase(queue.chunks.begin() + static_cast<ptrdiff_t>(i));
    delete chunk;
  }
}

AccessLogFlusher::AccessLogFlusher(base::StatsStore& stats, const Options& options)
    : options_{options.interval_ns, std::min(options.min_bytes, WorkerAccessLog::kChunkBytes)},
      scope_(stats.scope<base::FilesystemCells>("filesystem.")),
      wake_fd_(::eventfd(0, EFD_CLOEXEC)),
      mailbox_(base::Wake{&AccessLogFlusher::wake, this}),
      cells_(scope_) {
  // Signals are main's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

AccessLogFlusher::~AccessLogFlusher() {
  stop_.store(true, std::memory_order_release);
  wake(this);
  thread_.join();
  ::close(wake_fd_);
}

absl::StatusOr<std::shared_ptr<AccessLogSink>> AccessLogFlusher::open(const std::string& path,
                                                                      int standard_fd) {
  const bool standard = standard_fd >= 0;
  const std::string name = !standard                      ? path
                           : standard_fd == STDOUT_FILENO ? "/dev/stdout"
                                                          : "/dev/stderr";
  if (name.empty()) return base::config_error("must not be empty");
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t id = sinks_.size();
  for (size_t i = 0; i < sinks_.size(); ++i) {
    if (auto sink = sinks_[i].lock(); sink == nullptr) {
      id = std::min(id, i);
    } else if (sink->path() == name) {
      return sink;
    }
  }
  const int fd = standard ? ::fcntl(standard_fd, F_DUPFD_CLOEXEC, 3) : open_file(name);
  if (fd < 0) {
    return base::config_error("cannot open for appending (", std::strerror(errno), "): ", name);
  }
  std::shared_ptr<AccessLogSink> sink(
      new AccessLogSink(static_cast<uint32_t>(id), name, fd, standard));
  if (id == sinks_.size()) sinks_.emplace_back();
  sinks_[id] = sink;
  return sink;
}

void AccessLogFlusher::reopen() noexcept {
  reopen_.store(true, std::memory_order_release);
  wake(this);
}

void AccessLogFlusher::wait_written() {
  std::promise<void> done;
  if (base::post_task(mailbox_, [&done] { done.set_value(); })) done.get_future().wait();
}

void AccessLogFlusher::wake(void* self) noexcept {
  const uint64_t one = 1;
  // The counter cannot overflow: the flusher takes it back before it drains.
  [[maybe_unused]] const ssize_t n =
      ::write(static_cast<AccessLogFlusher*>(self)->wake_fd_, &one, sizeof(one));
}

void AccessLogFlusher::run() noexcept {
  pthread_setname_np(pthread_self(), "access_log");
  for (;;) {
    uint64_t wakes = 0;
    if (::read(wake_fd_, &wakes, sizeof(wakes)) < 0 && errno != EINTR) return;
    const bool stop = stop_.load(std::memory_order_acquire);
    if (reopen_.exchange(false, std::memory_order_acq_rel)) reopen_all();
    mailbox_.run_all();
    if (!stop) continue;
    for (base::PostChain last = mailbox_.close(); !last.empty();) {
      base::Post* post = last.take();
      post->run(post);
    }
    return;
  }
}

void AccessLogFlusher::write_chunk(WorkerAccessLog::Chunk& chunk) noexcept {
  AccessLogSink& sink = *chunk.sink;
  if (const int error = write_all(sink.fd_, chunk.data, chunk.size, stop_); error != 0) {
    fail(sink, error);
  } else {
    sink.failing_ = false;
    cells_->write_completed.add();
  }
  cells_->write_total_buffered.sub(static_cast<int64_t>(chunk.size));
}

void AccessLogFlusher::fail(AccessLogSink& sink, int error) noexcept {
  cells_->write_failed.add();
  if (std::exchange(sink.failing_, true)) return;
  log::error("access_log", base::cat("cannot write, lines are lost until this is mended: ",
                                     sink.path(), ": ", std::strerror(error)));
}

void AccessLogFlusher::reopen_all() noexcept {
  std::vector<std::shared_ptr<AccessLogSink>> sinks;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& weak : sinks_) {
      if (auto sink = weak.lock(); sink != nullptr && !sink->standard_) sinks.push_back(sink);
    }
  }
  for (const auto& sink : sinks) {
    const int fd = open_file(sink->path());
    if (fd >= 0) {
      ::close(std::exchange(sink->fd_, fd));
      continue;
    }
    cells_->reopen_failed.add();
    log::error("access_log", base::cat("cannot reopen, going on with the old file: ", sink->path(),
                                       ": ", std::strerror(errno)));
  }
}

}  // namespace sluice::dataplane
