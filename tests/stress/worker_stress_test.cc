// Real threads: mailboxes behind an eventfd, leases of shared parts, leased credits.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/credit.h"
#include "base/lease.h"
#include "base/mailbox.h"

namespace sluice::base {
namespace {

class EventFd {
 public:
  EventFd() : fd_(eventfd(0, EFD_CLOEXEC)) {}
  ~EventFd() { close(fd_); }
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;

  Wake wake() {
    return {[](void* self) noexcept { eventfd_write(static_cast<EventFd*>(self)->fd_, 1); }, this};
  }
  // False after ten seconds: a wake-up was lost.
  bool wait() {
    pollfd entry{fd_, POLLIN, 0};
    if (poll(&entry, 1, 10'000) != 1) return false;
    eventfd_t count;
    return eventfd_read(fd_, &count) == 0;
  }

 private:
  int fd_;
};

TEST(MailboxStress, ASleepingConsumerGetsEveryPostInOrder) {
  constexpr std::size_t kProducers = 8;
  constexpr int kPosts = 20'000;
  struct Numbered : Post {
    Numbered(int n, int& l, bool& b) : Post(&Numbered::check), number(n), last(l), in_order(b) {}
    static void check(Post* post) noexcept {
      auto* self = static_cast<Numbered*>(post);
      self->in_order = self->in_order && self->number == self->last + 1;
      self->last = self->number;
      delete self;
    }
    int number;
    int& last;
    bool& in_order;
  };

  EventFd event;
  Mailbox mailbox(event.wake());
  std::vector<int> last(kProducers, -1);
  bool in_order = true;
  std::vector<std::thread> producers;
  for (std::size_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      std::mt19937 random(static_cast<std::uint32_t>(p));
      for (int i = 0; i < kPosts; ++i) {
        mailbox.post(new Numbered(i, last[p], in_order));
        if (random() % 16 == 0) std::this_thread::yield();
      }
    });
  }
  std::size_t num_run = 0;
  while (num_run < kProducers * kPosts) {
    ASSERT_TRUE(event.wait());
    num_run += mailbox.run_all();
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_TRUE(in_order);
  EXPECT_EQ(mailbox.run_all(), 0u);
}

TEST(LeaseStress, PartsAreDestroyedOnMainOnly) {
  static thread_local bool is_worker = false;
  struct Part {
    ~Part() {
      if (is_worker) ++num_destroyed_on_workers;
      alive = 0xDEAD;
    }
    volatile unsigned alive = 1;
    std::atomic<int>& num_destroyed_on_workers;
  };
  constexpr std::size_t kWorkers = 8, kParts = 16;
  std::atomic<int> num_destroyed_on_workers{0}, num_broken{0}, num_ended{0};
  EventFd event;
  Mailbox main(event.wake());

  // Main replaces parts; workers are told by posts and lease what they are told.
  struct Worker {
    Mailbox mailbox;
    std::vector<std::shared_ptr<const Part>> told =
        std::vector<std::shared_ptr<const Part>>(kParts);
    std::atomic<bool> stop{false};
    std::atomic<int> num_turns{0};
  };
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  threads.reserve(kWorkers);
  for (std::size_t w = 0; w < kWorkers; ++w) {
    workers.push_back(std::make_unique<Worker>());
    threads.emplace_back([&, w, worker = workers.back().get()] {
      is_worker = true;
      {
        std::mt19937 random(static_cast<std::uint32_t>(w));
        LeaseBook book(main);
        std::vector<Lease<Part>> leases;
        for (int turn = 0; !worker->stop.load(std::memory_order_acquire); ++turn) {
          worker->mailbox.run_all();
          for (int i = 0; i < 4; ++i) {
            const auto& part = worker->told[random() % kParts];
            if (part != nullptr) leases.push_back(book.take(part));
          }
          for (const Lease<Part>& lease : leases) {
            if (lease->alive != 1) ++num_broken;
          }
          while (leases.size() > 30) {
            std::swap(leases[random() % leases.size()], leases.back());
            leases.pop_back();
          }
          if (turn % 8 == 0) book.sweep();
          worker->num_turns.store(turn, std::memory_order_relaxed);
          std::this_thread::yield();
        }
      }
      ++num_ended;
      event.wake()();
    });
  }

  std::mt19937 random(99);
  const auto all_made = [&](int num_turns) {
    return std::all_of(workers.begin(), workers.end(), [num_turns](const auto& worker) {
      return worker->num_turns.load(std::memory_order_relaxed) >= num_turns;
    });
  };
  for (int i = 0; i < 2000; ++i) {
    const std::size_t slot = random() % kParts;
    auto part =
        std::shared_ptr<const Part>(new Part{.num_destroyed_on_workers = num_destroyed_on_workers});
    for (auto& worker : workers) {
      // The old one comes back to main to be dropped here, as the tables' root would.
      post_task(worker->mailbox, [&main, worker = worker.get(), slot, part]() mutable {
        std::swap(worker->told[slot], part);
        post_task(main, [part = std::move(part)] {});
      });
    }
    post_task(main, [part = std::move(part)] {});
    do {
      main.run_all();
    } while (!all_made(i));
  }
  for (auto& worker : workers) worker->stop.store(true, std::memory_order_release);
  while (num_ended.load() < static_cast<int>(kWorkers)) {
    ASSERT_TRUE(event.wait());
    main.run_all();
  }
  for (std::thread& thread : threads) thread.join();
  for (auto& worker : workers) worker->mailbox.run_all();
  workers.clear();
  main.run_all();
  EXPECT_EQ(num_broken.load(), 0);
  EXPECT_EQ(num_destroyed_on_workers.load(), 0);
}

TEST(CreditStress, WorkersTogetherNeverExceedTheLimit) {
  constexpr unsigned kWorkers = 8;
  for (const std::uint64_t limit : {1u, 3u, 100u, 128u, 1000u}) {
    SCOPED_TRACE(limit);
    CreditPool pool(limit, kWorkers);
    std::atomic<std::uint64_t> in_use{0}, most_in_use{0}, num_granted{0};
    std::vector<std::thread> threads;
    threads.reserve(kWorkers);
    for (unsigned w = 0; w < kWorkers; ++w) {
      threads.emplace_back([&, w] {
        std::mt19937 random(w);
        WorkerCredit credit(pool);
        for (int i = 0; i < 20'000; ++i) {
          if (random() % 5 < 3) {
            if (!credit.take()) continue;
            const std::uint64_t now = in_use.fetch_add(1) + 1;
            std::uint64_t most = most_in_use.load();
            while (most < now && !most_in_use.compare_exchange_weak(most, now)) {
            }
            ++num_granted;
          } else if (credit.in_use() > 0) {
            in_use.fetch_sub(1);
            credit.give();
          }
          if (random() % 256 == 0) std::this_thread::yield();
        }
        while (credit.in_use() > 0) {
          in_use.fetch_sub(1);
          credit.give();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(most_in_use.load(), limit);
    EXPECT_GT(num_granted.load(), 0u);
    EXPECT_EQ(pool.remaining(), limit);
  }
}

}  // namespace
}  // namespace sluice::base
