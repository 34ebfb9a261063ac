#include "net/loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/net/peer.h"

namespace sluice::net {
namespace {

// Every test of this suite runs with both ways of sleeping.
class LoopTest : public testing::TestWithParam<bool> {
 protected:
  static Loop::Options options() { return {.sleep_in_asio = GetParam()}; }
  Loop loop_{options()};
};

struct Noted {
  std::string* notes;
  char letter;
  Call call = Call::of<&Noted::note>(this);
  void note() noexcept { notes->push_back(letter); }
};

// An eventfd as the simplest thing that can be ready.
struct Bell : EventTarget {
  Bell(Loop& l, std::string* n, char c)
      : EventTarget(&Bell::on_ring), loop(l), notes(n), letter(c) {
    EXPECT_TRUE(loop.add(fd, EPOLLIN | EPOLLET, this));
  }
  ~Bell() { close(); }
  void close() {
    if (fd < 0) return;
    loop.remove(this);
    ::close(std::exchange(fd, -1));
  }
  void ring() { EXPECT_EQ(eventfd_write(fd, 1), 0); }
  static void on_ring(EventTarget* self, uint32_t) noexcept {
    Bell* bell = static_cast<Bell*>(self);
    bell->notes->push_back(bell->letter);
    if (bell->then) bell->then();
  }
  Loop& loop;
  std::string* notes;
  char letter;
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::function<void()> then;
};

struct Doomed : Deferred {
  Doomed(std::string* n, char c) : Deferred(&Doomed::destroy_doomed), notes(n), letter(c) {}
  static void destroy_doomed(Deferred* self) noexcept {
    Doomed* doomed = static_cast<Doomed*>(self);
    doomed->notes->push_back(doomed->letter);
    if (doomed->next != nullptr) doomed->loop->defer_destroy(doomed->next);
    delete doomed;
  }
  std::string* notes;
  char letter;
  Loop* loop = nullptr;
  Doomed* next = nullptr;
};

TEST_P(LoopTest, TurnGoesPostsHooksTimersEventsAgainEndDestroy) {
  std::string notes;
  Noted begin{&notes, 'b'}, end{&notes, 'e'}, again{&notes, 'a'};
  Bell bell(loop_, &notes, 'v');
  bell.then = [&] { loop_.defer_destroy(new Doomed(&notes, 'd')); };
  Timer timer([](void* n) noexcept { static_cast<std::string*>(n)->push_back('t'); }, &notes);
  loop_.at_turn_begin(begin.call);
  loop_.at_turn_end(end.call);
  loop_.again(again.call);
  loop_.arm(timer, 0);
  bell.ring();
  loop_.post_task([&] { notes.push_back('p'); });
  EXPECT_TRUE(loop_.poll_once());
  EXPECT_EQ(notes, "pbtvaed");
}

TEST_P(LoopTest, AgainFromWithinIsForTheNextTurnWhichDoesNotSleep) {
  struct Endless {
    Loop& loop;
    int left;
    Call call = Call::of<&Endless::go>(this);
    void go() noexcept {
      if (--left > 0) loop.again(call);
    }
  };
  Endless endless{loop_, 1000};
  std::string notes;
  Bell bell(loop_, &notes, 'v');
  loop_.again(endless.call);
  loop_.poll_once();
  EXPECT_EQ(endless.left, 999);
  bell.ring();
  // A source that always has work does not keep others waiting for more than a few turns.
  for (int i = 0; i < 3; ++i) loop_.wait_once(base::kNsPerSec);
  EXPECT_EQ(notes, "v");
  EXPECT_EQ(endless.left, 996);
  const uint64_t before = loop_.counters().turns;
  EXPECT_TRUE(run_until(loop_, [&] { return endless.left == 0; }));
  EXPECT_EQ(loop_.counters().turns - before, 996u);
}

TEST_P(LoopTest, CallThatIsDestroyedIsNotCalled) {
  std::string notes;
  std::unique_ptr<Noted> gone(new Noted{&notes, 'x'});
  loop_.again(gone->call);
  gone.reset();
  loop_.poll_once();
  EXPECT_EQ(notes, "");
}

TEST_P(LoopTest, HookMayRemoveItselfAndOthers) {
  std::string notes;
  struct Remover {
    std::string* notes;
    Call* other;
    Call call = Call::of<&Remover::go>(this);
    void go() noexcept {
      notes->push_back('r');
      call.unlink();
      other->unlink();
    }
  };
  Noted victim{&notes, 'v'};
  Remover remover{&notes, &victim.call};
  Noted survivor{&notes, 's'};
  loop_.at_turn_begin(remover.call);
  loop_.at_turn_begin(victim.call);
  loop_.at_turn_begin(survivor.call);
  loop_.poll_once();
  loop_.poll_once();
  EXPECT_EQ(notes, "rss");
}

TEST_P(LoopTest, EventOfTheSameBatchForATargetThatWasClosedIsDropped) {
  std::string notes;
  auto first = std::make_unique<Bell>(loop_, &notes, '1');
  auto second = std::make_unique<Bell>(loop_, &notes, '2');
  first->then = [&] { second.reset(); };
  second->then = [&] { first.reset(); };
  first->ring();
  second->ring();
  for (int i = 0; i < 3; ++i) loop_.poll_once();
  EXPECT_EQ(notes.size(), 1u);
}

TEST_P(LoopTest, DestructionOfAChainOfObjectsIsALoop) {
  std::string notes;
  constexpr int kObjects = 200'000;
  Doomed* first = nullptr;
  for (int i = 0; i < kObjects; ++i) {
    auto* doomed = new Doomed(&notes, 'd');
    doomed->loop = &loop_;
    doomed->next = std::exchange(first, doomed);
  }
  loop_.defer_destroy(first);
  loop_.defer_destroy(first);  // twice is once
  loop_.poll_once();
  EXPECT_EQ(notes.size(), static_cast<size_t>(kObjects));
}

TEST_P(LoopTest, PostsFromEightThreadsAllRunInOrderOfEachThread) {
  constexpr int kThreads = 8;
  constexpr int kPosts = 20'000;
  struct Numbered : base::Post {
    Numbered() : Post(&Numbered::run_numbered) {}
    static void run_numbered(Post* post) noexcept {
      auto* self = static_cast<Numbered*>(post);
      if ((*self->next_of_thread)++ != self->number) ++*self->num_wrong;
      if (++*self->num_run == kThreads * kPosts) self->loop->stop();
    }
    int number = 0;
    int* next_of_thread = nullptr;
    int* num_wrong = nullptr;
    int* num_run = nullptr;
    Loop* loop = nullptr;
  };
  int next_of_thread[kThreads] = {};
  int num_wrong = 0;
  int num_run = 0;
  std::vector<std::vector<Numbered>> posts(kThreads);
  for (auto& of_thread : posts) of_thread = std::vector<Numbered>(kPosts);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        Numbered& post = posts[static_cast<size_t>(t)][static_cast<size_t>(i)];
        post.number = i;
        post.next_of_thread = &next_of_thread[t];
        post.num_wrong = &num_wrong;
        post.num_run = &num_run;
        post.loop = &loop_;
        EXPECT_TRUE(loop_.post(&post));
      }
    });
  }
  loop_.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_run, kThreads * kPosts);
  EXPECT_EQ(num_wrong, 0);
  EXPECT_EQ(loop_.counters().posts_run, static_cast<uint64_t>(kThreads * kPosts));
}

// Each post must wake a loop that sleeps: a lost wake-up would hang here.
TEST_P(LoopTest, EveryPostWakesTheSleepingLoop) {
  std::thread worker([this] { loop_.run(); });
  for (int i = 0; i < 2000; ++i) {
    std::atomic<bool> done{false};
    ASSERT_TRUE(loop_.post_task([&] { done = true; }));
    while (!done) std::this_thread::yield();
  }
  loop_.stop();
  worker.join();
}

TEST_P(LoopTest, StopBeforeRunIsNotLost) {
  loop_.stop();
  loop_.run();
  std::thread worker([this] { loop_.run(); });
  loop_.stop();
  worker.join();
}

TEST_P(LoopTest, SleepsUntilTheTimerAndNotLess) {
  struct Stopper {
    Loop& loop;
    Timer timer = Timer::of<&Stopper::go>(this);
    void go() noexcept { loop.stop(); }
  };
  Stopper stopper{loop_};
  loop_.clock().refresh();
  const base::MonoNs deadline = loop_.now() + 30 * base::kNsPerMs;
  loop_.arm(stopper.timer, deadline);
  const uint64_t turns_before = loop_.counters().turns;
  loop_.run();
  loop_.clock().refresh();
  EXPECT_GE(loop_.now(), deadline);
  // Once for the level above at most, once for the slot.
  EXPECT_LE(loop_.counters().turns - turns_before, 3u);
}

// One turn lasts as long as it may: nothing wakes an idle loop, whatever far timers it holds.
TEST_P(LoopTest, IdleLoopIsNotWoken) {
  Timer far([](void*) noexcept {}, nullptr);
  loop_.arm_in(far, 3600 * base::kNsPerSec);
  while (loop_.poll_once()) {
  }
  loop_.clock().refresh();
  const base::MonoNs before = loop_.now();
  const uint64_t waits_before = loop_.counters().waits;
  EXPECT_FALSE(loop_.wait_once(200 * base::kNsPerMs));
  loop_.clock().refresh();
  EXPECT_GE(loop_.now() - before, 200 * base::kNsPerMs);
  EXPECT_EQ(loop_.counters().waits - waits_before, 1u);
}

INSTANTIATE_TEST_SUITE_P(Sleeping, LoopTest, testing::Bool(),
                         [](const auto& how) { return how.param ? "InAsio" : "InItsOwnSet"; });

TEST(Loop, ManualClockMovesOnlyByHand) {
  Loop loop({.clock = base::Clock::Kind::kManual});
  int fired = 0;
  Timer timer([](void* n) noexcept { ++*static_cast<int*>(n); }, &fired);
  loop.arm_in(timer, 10 * base::kNsPerMs);
  loop.poll_once();
  loop.clock().advance(9 * base::kNsPerMs);
  loop.poll_once();
  EXPECT_EQ(fired, 0);
  loop.clock().advance(base::kNsPerMs + TimerWheel::kTickNs);
  EXPECT_TRUE(loop.poll_once());
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(loop.poll_once());
}

TEST(Loop, PostsThatAreLeftRunWhenTheLoopDies) {
  bool ran = false;
  {
    Loop loop;
    loop.post_task([&] { ran = true; });
  }
  EXPECT_TRUE(ran);
}

TEST(Loop, AsioGuestsRunBesideSocketsAndTimers) {
  Loop loop;
  std::string notes;
  Bell bell(loop, &notes, 'v');
  loop.poll_once();
  boost::asio::steady_timer guest(loop.asio(), std::chrono::milliseconds(5));
  guest.async_wait([&](const boost::system::error_code&) { notes.push_back('g'); });
  boost::asio::post(loop.asio(), [&] { notes.push_back('p'); });
  EXPECT_TRUE(run_until(loop, [&] { return notes.size() == 2; }));
  EXPECT_EQ(notes, "pg");
  for (int i = 0; i < 100; ++i) {
    bell.ring();
    EXPECT_TRUE(run_until(loop, [&] { return notes.size() == 3 + static_cast<size_t>(i); }));
  }
}

// A guest that always posts itself again leaves the loop its turns.
TEST(Loop, EndlessAsioGuestDoesNotStarveSockets) {
  Loop loop;
  std::string notes;
  Bell bell(loop, &notes, 'v');
  std::function<void()> endless = [&] { boost::asio::post(loop.asio(), endless); };
  endless();
  for (int i = 0; i < 5; ++i) loop.poll_once();
  bell.ring();
  EXPECT_TRUE(run_until(loop, [&] { return notes == "v"; }));
  EXPECT_LT(loop.counters().turns, 100u);
}

}  // namespace
}  // namespace sluice::net
