#pragma once

// Mailbox carries posts from any thread to one consumer: main to a worker, a worker to main.
//
// Intrusive and lock-free: a Post is owned by whoever made it until it is accepted, by the mailbox
// until it has run, and by its run() from then on. Every accepted post runs exactly once, in the
// order in which it was accepted. Threads: post() and push() from any thread; drain(), run_all()
// and close() by the consumer only. Cost: one compare-and-swap per post, one exchange per drain;
// never allocates (post_task() does, it is for cold things).
//
// Waking: the post that finds the mailbox empty calls the Wake hook, and only that one. The
// consumer must take the wake-up back (read its eventfd) *before* it drains; the other order loses
// posts (tests/models/mailbox.pml).

#include <cassert>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/atomics.h"

namespace sluice::base {

// A message and its own queue node. Derive from it, and cast back in run().
struct Post {
  using Run = void (*)(Post*) noexcept;

  explicit Post(Run r) noexcept : run(r) {}

  Post* next = nullptr;
  Run run;
};

// How to make the consumer look into its mailbox: an eventfd in net/, a condition variable or
// nothing in tests. Called from the posting thread.
struct Wake {
  void (*call)(void*) noexcept = nullptr;
  void* context = nullptr;

  void operator()() const noexcept {
    if (call != nullptr) call(context);
  }
};

enum class Pushed { kFirst, kNotFirst, kClosed };

// The posts of one drain(), oldest first. Each may be reused or freed by its own run().
class PostChain {
 public:
  explicit PostChain(Post* first) noexcept : first_(first) {}

  bool empty() const noexcept { return first_ == nullptr; }
  Post* take() noexcept {
    Post* post = first_;
    first_ = post->next;
    return post;
  }

 private:
  Post* first_;
};

template <class Atomics = StdAtomics>
class BasicMailbox {
 public:
  explicit BasicMailbox(Wake wake = {}) noexcept : wake_(wake) {}
  BasicMailbox(const BasicMailbox&) = delete;
  BasicMailbox& operator=(const BasicMailbox&) = delete;
  ~BasicMailbox() { assert(empty() || closed()); }

  // Pushes and wakes. False: the mailbox is closed and the post still is the caller's.
  bool post(Post* post) noexcept {
    const Pushed pushed = push(post);
    if (pushed == Pushed::kFirst) wake_();
    return pushed != Pushed::kClosed;
  }

  // The bare half of post(): after kFirst the caller owes the consumer a wake-up.
  Pushed push(Post* post) noexcept {
    Post* head = head_.load(std::memory_order_acquire);
    do {
      if (head == &closed_) return Pushed::kClosed;
      post->next = head;
    } while (!head_.compare_exchange_weak(head, post, std::memory_order_release,
                                          std::memory_order_acquire));
    return head == nullptr ? Pushed::kFirst : Pushed::kNotFirst;
  }

  PostChain drain() noexcept {
    if (empty() || closed()) return PostChain(nullptr);
    return in_order(head_.exchange(nullptr, std::memory_order_acquire));
  }

  // Runs what is there now; posts that arrive meanwhile have made their own wake-up. Returns how
  // many ran.
  std::size_t run_all() noexcept {
    std::size_t num_run = 0;
    for (PostChain chain = drain(); !chain.empty(); ++num_run) {
      Post* post = chain.take();
      post->run(post);
    }
    return num_run;
  }

  // Refuses posts from now on and returns the last ones, which the caller runs.
  PostChain close() noexcept {
    Post* head = head_.exchange(&closed_, std::memory_order_acq_rel);
    return in_order(head == &closed_ ? nullptr : head);
  }

  // Any thread; true may be out of date at once.
  bool empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }
  bool closed() const noexcept { return head_.load(std::memory_order_relaxed) == &closed_; }

 private:
  static PostChain in_order(Post* newest) noexcept {
    Post* first = nullptr;
    while (newest != nullptr) {
      Post* older = newest->next;
      newest->next = first;
      first = newest;
      newest = older;
    }
    return PostChain(first);
  }

  alignas(kCacheLine) typename Atomics::template Atomic<Post*> head_{nullptr};
  alignas(kCacheLine) Wake wake_;
  Post closed_{nullptr};  // only its address matters
};

using Mailbox = BasicMailbox<>;

// Posts a callable, which runs once on the consumer's thread. Allocates. False: closed, nothing
// will run.
template <class Atomics, class F>
bool post_task(BasicMailbox<Atomics>& mailbox, F&& task) {
  struct Task : Post {
    explicit Task(F&& f) : Post(&Task::run_task), call(std::forward<F>(f)) {}
    static void run_task(Post* post) noexcept {
      Task* self = static_cast<Task*>(post);
      self->call();
      delete self;
    }
    std::decay_t<F> call;
  };
  Task* post = new Task(std::forward<F>(task));
  if (mailbox.post(post)) return true;
  delete post;
  return false;
}

// Nudge says "there is something for you": fired any number of times it is in the mailbox at most
// once.
//
// A worker fires it when it cleared a hazard slot; main then scans once for all of them. What a
// thread wrote before fire() is visible to the call that follows. It may be destroyed on its way:
// then it does not call. Allocates once, when it is made.
template <class Atomics = StdAtomics>
class BasicNudge {
 public:
  using Call = void (*)(void*) noexcept;

  BasicNudge(BasicMailbox<Atomics>& to, Call call, void* context)
      : to_(to), letter_(new Letter(call, context)) {}
  BasicNudge(const BasicNudge&) = delete;
  BasicNudge& operator=(const BasicNudge&) = delete;
  ~BasicNudge() {
    if (letter_->state.exchange(kOrphaned, std::memory_order_acq_rel) == kIdle) delete letter_;
  }

  // Any thread.
  void fire() noexcept {
    if (letter_->state.exchange(kInFlight, std::memory_order_acq_rel) == kInFlight) return;
    if (!to_.post(letter_)) letter_->state.store(kIdle, std::memory_order_release);
  }

 private:
  enum State : unsigned char { kIdle, kInFlight, kOrphaned };

  struct Letter : Post {
    Letter(Call c, void* x) noexcept : Post(&Letter::arrive), call(c), context(x) {}

    // Taken back by an exchange, not a store: it must read the last fire() to see what that thread
    // wrote. From then on the letter may be gone.
    static void arrive(Post* post) noexcept {
      Letter* self = static_cast<Letter*>(post);
      const Call call = self->call;
      void* const context = self->context;
      if (self->state.exchange(kIdle, std::memory_order_acq_rel) == kOrphaned) {
        delete self;
      } else {
        call(context);
      }
    }

    Call call;
    void* context;
    typename Atomics::template Atomic<State> state{kIdle};
  };

  BasicMailbox<Atomics>& to_;
  Letter* letter_;
};

using Nudge = BasicNudge<>;

}  // namespace sluice::base
