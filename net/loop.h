#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/mailbox.h"
#include "net/timer.h"

namespace boost::asio {
class io_context;
}

namespace sluice::net {

class AsioHost;
class Loop;
class Stream;
class LingerSet;

// Link is a place in a List, member or base of what is listed; a link that is destroyed leaves its
// list. Worker-local, no allocation.
class Link {
 public:
  Link() noexcept = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { unlink(); }
  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }

 private:
  friend class List;
  Link* next_ = nullptr;
  Link* prev_ = nullptr;
};

// List links objects that it does not own.
class List {
 public:
  List() noexcept { end_.next_ = end_.prev_ = &end_; }
  ~List() {
    while (pop() != nullptr) {
    }
    end_.next_ = nullptr;
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  bool empty() const noexcept { return end_.next_ == &end_; }
  void push_back(Link& link) noexcept {
    link.unlink();
    link.prev_ = end_.prev_;
    link.next_ = &end_;
    end_.prev_->next_ = &link;
    end_.prev_ = &link;
  }
  // Null: empty.
  Link* pop() noexcept {
    if (empty()) return nullptr;
    Link* first = end_.next_;
    first->unlink();
    return first;
  }
  // Null: the last one. next(nullptr) is the first.
  Link* next(const Link* link) const noexcept {
    Link* n = link == nullptr ? end_.next_ : link->next_;
    return n == &end_ ? nullptr : n;
  }
  // Moves all of `other` behind what is here.
  void take(List& other) noexcept {
    if (other.empty()) return;
    other.end_.next_->prev_ = end_.prev_;
    end_.prev_->next_ = other.end_.next_;
    other.end_.prev_->next_ = &end_;
    end_.prev_ = other.end_.prev_;
    other.end_.next_ = other.end_.prev_ = &other.end_;
  }

 private:
  Link end_;
};

// Call is a function and its subject, with a place in one of the loop's lists: a hook of the turn,
// or "call me again". Member of its subject; leaves its list when destroyed. Worker-local.
class Call : public Link {
 public:
  using Fn = void (*)(void* owner) noexcept;
  Call(Fn fn, void* owner) noexcept : fn_(fn), owner_(owner) {}
  // Call::of<&Worker::adopt>(this)
  template <auto Method, typename Owner>
  static Call of(Owner* owner) noexcept {
    return Call([](void* self) noexcept { (static_cast<Owner*>(self)->*Method)(); }, owner);
  }
  void operator()() const noexcept { fn_(owner_); }

 private:
  Fn fn_;
  void* owner_;
};

// Deferred is a base of objects that must not die inside their own callbacks: see defer_destroy().
struct Deferred {
  using Destroy = void (*)(Deferred*) noexcept;
  explicit Deferred(Destroy d) noexcept : destroy(d) {}
  Destroy destroy;
  Deferred* next_deferred = nullptr;
  bool deferred = false;
};

// EventTarget is what an epoll event names. Streams are called directly, everything else (listening
// sockets, tests) through `on_ready`; that is one predicted call per event, outside the filter
// chain.
struct EventTarget {
  using OnReady = void (*)(EventTarget*, uint32_t events) noexcept;
  explicit EventTarget(OnReady ready) noexcept : on_ready(ready) {}
  OnReady on_ready;  // null: a Stream
};

// What a loop did since it began; plain words with one writer (the loop's thread). Another thread
// asks for a copy with a post.
struct LoopCounters {
  uint64_t turns = 0;
  uint64_t waits = 0;  // epoll_wait calls, Asio's included
  uint64_t events = 0;
  uint64_t controls = 0;  // epoll_ctl calls, Asio's re-arming included
  uint64_t receives = 0;
  uint64_t empty_receives = 0;  // of them, those that said EAGAIN
  uint64_t sends = 0;           // send and sendmsg
  uint64_t full_sends = 0;      // of them, those that wrote less than they were given
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t accepts = 0;
  uint64_t connects = 0;
  uint64_t closes = 0;
  uint64_t timers_fired = 0;
  uint64_t posts_run = 0;
};

// Loop runs one thread's share of the process: it waits for sockets, timers and posts and calls
// what they concern, one turn after the other.
//
// A turn, in this order:
//   1. wait: until a socket is ready, a timer's slot or a post; not at all after again()
//   2. the clock is read, once
//   3. posts from other threads
//   4. turn-begin hooks (a worker adopts new tables here, before any request of this turn)
//   5. timers that are due
//   6. events, at most kBatch; then whatever said again() in the turn before
//   7. flush: one gathered write per stream that was written to
//   8. turn-end hooks, then deferred destruction
//
// Sockets hang edge-triggered in the loop's own epoll set. How it sleeps is decided here and
// nowhere else: while nobody uses the io_context, in that set itself; from the first call of asio()
// on, in the io_context, where the set is one descriptor (public interface only, re-armed without
// allocation, drained up to eight times per wake-up while busy, once when not).
// CPU per request against the floor (bench/tools/relay_on_loop.cc, 64 connections / one
// connection): own set 1.01 / 0.99, io_context 1.03 / 1.03 to 1.10; system calls per request 4.07
// at 64.
//
// Ownership: the targets, timers and calls belong to others, who take them out before they die
// (their destructors do). Block pools that streams' views come from outlive the loop.
// Threads: post(), stop() and mailbox() from any thread; the constructor where you like; all else
// on the thread that runs it.
// Allocates nothing in steady state; throws only from the constructor and asio().
class Loop {
 public:
  static constexpr int kBatch = 256;

  struct Options {
    base::Clock::Kind clock = base::Clock::Kind::kSystem;
    bool sleep_in_asio = false;  // as if asio() had been called; for measuring
  };

  Loop() : Loop(Options{}) {}
  explicit Loop(Options options);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Runs turns until stop(). May be called again.
  void run();
  // Any thread. run() returns after the turn that is going on.
  void stop() noexcept;
  // One turn that does not sleep. True: something was there to do. With a manual clock, tests
  // advance the clock and call it.
  bool poll_once();
  // One turn that sleeps at most `ns`.
  bool wait_once(int64_t ns);

  base::Clock& clock() noexcept { return clock_; }
  base::MonoNs now() const noexcept { return clock_.now(); }
  TimerWheel& timers() noexcept { return timers_; }
  void arm(Timer& timer, base::MonoNs deadline) noexcept { timer.arm(timers_, deadline); }
  void arm_in(Timer& timer, int64_t ns) noexcept { timer.arm(timers_, clock_.now() + ns); }

  // Any thread. False: the loop is being destroyed, the post still is the caller's.
  bool post(base::Post* post) noexcept { return mailbox_.post(post); }
  // Any thread. Allocates: for cold things.
  template <typename F>
  bool post_task(F&& task) {
    return base::post_task(mailbox_, std::forward<F>(task));
  }
  base::Mailbox& mailbox() noexcept { return mailbox_; }

  // Hooks stay until their Call is unlinked or destroyed; either may happen inside a hook.
  void at_turn_begin(Call& hook) noexcept { begin_hooks_.push_back(hook); }
  void at_turn_end(Call& hook) noexcept { end_hooks_.push_back(hook); }
  // Once, in the next turn, which does not sleep: how a source that always has work yields.
  void again(Call& call) noexcept { again_.push_back(call); }
  // Calls object->destroy at the end of this turn, after the flush. Asking twice is asking once.
  // Destruction is a loop, not a recursion, however many objects defer one another.
  void defer_destroy(Deferred* object) noexcept;

  // The io_context of this thread, for cold users (main's servers and resolvers). Created on first
  // use; its handlers run in step 1. A worker that never asks never has one.
  boost::asio::io_context& asio();

  const LoopCounters& counters() const noexcept { return counters_; }
  LoopCounters& counters() noexcept { return counters_; }

  // For streams, listening sockets and tests. Edge-triggered is the caller's choice in `events`.
  // False: errno says why.
  bool add(int fd, uint32_t events, EventTarget* target) noexcept;
  bool modify(int fd, uint32_t events, EventTarget* target) noexcept;
  // Forgets what this turn's batch still holds for `target`, which may then be destroyed at once.
  // The caller closes fd; give it (not -1) where it stays open elsewhere, so that the set forgets
  // it too.
  void remove(EventTarget* target, int fd = -1) noexcept;

  // A descriptor kept for the moment when there is none left; see Acceptor.
  int& reserve_fd() noexcept { return reserve_fd_; }

 private:
  friend class Stream;

  bool turn(int64_t max_wait_ns);
  int64_t wait_ns(int64_t max_wait_ns) const noexcept;
  void collect(int64_t wait_ns);
  void collect_in_asio(int64_t wait_ns);
  int wait_in_set(int64_t wait_ns) noexcept;
  void dispatch() noexcept;
  void run_hooks(List& hooks) noexcept;
  static void run_each(List& calls) noexcept;
  void flush_streams() noexcept;
  void destroy_deferred() noexcept;
  LingerSet& linger();
  static void wake(void* self) noexcept;
  static void on_wake(EventTarget*, uint32_t) noexcept {}

  // Touched every turn.
  int set_fd_ = -1;
  int num_events_ = 0;
  int next_event_ = 0;
  std::atomic<bool> stop_{false};
  bool hosted_ = false;
  const bool manual_clock_;
  int drains_left_ = 0;  // look into the set before sleeping in Asio again
  List dirty_;
  List again_;
  List begin_hooks_;
  List end_hooks_;
  Deferred* deferred_ = nullptr;
  base::Clock clock_;
  LoopCounters counters_;
  // Set up once.
  int wake_fd_ = -1;
  int reserve_fd_ = -1;
  EventTarget wake_target_{&Loop::on_wake};
  std::unique_ptr<AsioHost> asio_;
  std::unique_ptr<LingerSet> linger_;
  base::Mailbox mailbox_;
  TimerWheel timers_;
  epoll_event events_[kBatch];
};

}  // namespace sluice::net
