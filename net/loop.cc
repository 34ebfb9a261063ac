#include "net/loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

#include "net/asio_host.h"
#include "net/linger.h"
#include "net/stream.h"

namespace sluice::net {

namespace {

// In the io_context: this many events at once say "busy", and then this many looks before the next
// sleep.
constexpr int kBusyEvents = 4;
constexpr int kDrains = 7;
// Streams that become dirty while others are flushed: one more round now, the rest in the next
// turn.
constexpr int kFlushRounds = 2;

int milliseconds(int64_t ns) noexcept {
  if (ns == TimerWheel::kNever) return -1;
  const int64_t ms = (ns + base::kNsPerMs - 1) / base::kNsPerMs;
  return static_cast<int>(std::min<int64_t>(ms, INT_MAX));
}

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Loop::Loop(Options options)
    : manual_clock_(options.clock == base::Clock::Kind::kManual),
      clock_(options.clock),
      mailbox_({&Loop::wake, this}),
      timers_(clock_.now()) {
  set_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (set_fd_ < 0) throw_errno("epoll_create1");
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0 || !add(wake_fd_, EPOLLIN | EPOLLET, &wake_target_)) throw_errno("eventfd");
  if (options.sleep_in_asio) asio();
}

Loop::~Loop() {
  for (base::PostChain rest = mailbox_.close(); !rest.empty();) {
    base::Post* post = rest.take();
    post->run(post);
  }
  destroy_deferred();
  linger_.reset();
  asio_.reset();
  for (int fd : {reserve_fd_, wake_fd_, set_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

// The eventfd is edge-triggered and never read: each write is a new edge, and taking the edge out
// of epoll_wait is what takes the wake-up back, which happens before the mailbox is drained.
void Loop::wake(void* self) noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(static_cast<Loop*>(self)->wake_fd_, &one, sizeof(one));
}

void Loop::stop() noexcept {
  stop_.store(true, std::memory_order_release);
  wake(this);
}

void Loop::run() {
  while (!stop_.load(std::memory_order_acquire)) turn(TimerWheel::kNever);
  stop_.store(false, std::memory_order_relaxed);
}

bool Loop::poll_once() { return turn(0); }

bool Loop::wait_once(int64_t ns) { return turn(ns); }

boost::asio::io_context& Loop::asio() {
  if (asio_ == nullptr) asio_ = std::make_unique<AsioHost>(set_fd_, counters_);
  hosted_ = true;
  return asio_->context();
}

bool Loop::turn(int64_t max_wait_ns) {
  collect(wait_ns(max_wait_ns));
  clock_.refresh();
  ++counters_.turns;
  List promised;
  promised.take(again_);
  bool worked = num_events_ > 0 || !promised.empty() || !dirty_.empty();

  if (!mailbox_.empty()) {
    counters_.posts_run += mailbox_.run_all();
    worked = true;
  }
  run_hooks(begin_hooks_);
  if (const uint32_t num_fired = timers_.advance(clock_.now()); num_fired != 0) {
    counters_.timers_fired += num_fired;
    worked = true;
  }
  dispatch();
  run_each(promised);
  flush_streams();
  run_hooks(end_hooks_);
  destroy_deferred();
  return worked;
}

int64_t Loop::wait_ns(int64_t max_wait_ns) const noexcept {
  if (!again_.empty() || !dirty_.empty() || !mailbox_.empty()) return 0;
  if (manual_clock_) return max_wait_ns;
  const base::MonoNs next = timers_.next_deadline();
  if (next == TimerWheel::kNever) return max_wait_ns;
  return std::clamp<int64_t>(next - clock_.now(), 0, max_wait_ns);
}

void Loop::collect(int64_t wait_ns) {
  next_event_ = num_events_ = 0;
  if (hosted_) return collect_in_asio(wait_ns);
  num_events_ = wait_in_set(wait_ns);
}

void Loop::collect_in_asio(int64_t wait_ns) {
  if (drains_left_ > 0) {
    num_events_ = wait_in_set(0);
    drains_left_ = num_events_ < kBusyEvents ? 0 : drains_left_ - 1;
    if (num_events_ > 0) return;
  }
  if (!asio_->wait(wait_ns)) return;
  num_events_ = wait_in_set(0);
  if (num_events_ >= kBusyEvents) drains_left_ = kDrains;
}

int Loop::wait_in_set(int64_t wait_ns) noexcept {
  ++counters_.waits;
  const int n = epoll_wait(set_fd_, events_, kBatch, milliseconds(wait_ns));
  if (n > 0) counters_.events += static_cast<uint64_t>(n);
  return std::max(n, 0);  // EINTR is a turn without events
}

void Loop::dispatch() noexcept {
  while (next_event_ < num_events_) {
    const epoll_event& event = events_[next_event_++];
    auto* target = static_cast<EventTarget*>(event.data.ptr);
    if (target == nullptr) continue;
    if (target->on_ready == nullptr) [[likely]] {
      static_cast<Stream*>(target)->on_events(event.events);
    } else {
      target->on_ready(target, event.events);
    }
  }
}

void Loop::run_hooks(List& hooks) noexcept {
  List now;
  now.take(hooks);
  while (Link* link = now.pop()) {
    hooks.push_back(*link);
    (*static_cast<Call*>(link))();
  }
}

void Loop::run_each(List& calls) noexcept {
  while (Link* link = calls.pop()) (*static_cast<Call*>(link))();
}

void Loop::flush_streams() noexcept {
  for (int round = 0; round < kFlushRounds && !dirty_.empty(); ++round) {
    List now;
    now.take(dirty_);
    while (Link* link = now.pop()) static_cast<Stream::DirtyLink*>(link)->stream->on_flush_turn();
  }
}

void Loop::defer_destroy(Deferred* object) noexcept {
  if (std::exchange(object->deferred, true)) return;
  object->next_deferred = std::exchange(deferred_, object);
}

void Loop::destroy_deferred() noexcept {
  while (deferred_ != nullptr) {
    Deferred* object = std::exchange(deferred_, deferred_->next_deferred);
    object->destroy(object);
  }
}

LingerSet& Loop::linger() {
  if (linger_ == nullptr) linger_ = std::make_unique<LingerSet>(*this);
  return *linger_;
}

bool Loop::add(int fd, uint32_t events, EventTarget* target) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = target;
  ++counters_.controls;
  return epoll_ctl(set_fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool Loop::modify(int fd, uint32_t events, EventTarget* target) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = target;
  ++counters_.controls;
  return epoll_ctl(set_fd_, EPOLL_CTL_MOD, fd, &event) == 0;
}

void Loop::remove(EventTarget* target, int fd) noexcept {
  for (int i = next_event_; i < num_events_; ++i) {
    if (events_[i].data.ptr == target) events_[i].data.ptr = nullptr;
  }
  if (fd < 0) return;
  ++counters_.controls;
  epoll_ctl(set_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

}  // namespace sluice::net
