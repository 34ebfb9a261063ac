#include "app/loop_executor.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::app {
namespace {

class LoopExecutorTest : public ::testing::Test {
 protected:
  LoopExecutorTest() { main.attach(loop); }
  ~LoopExecutorTest() override { main.detach(); }
  void advance(int64_t ns) {
    loop.clock().advance(ns);
    loop.poll_once();
  }

  LoopExecutor main;
  net::Loop loop{{.clock = base::Clock::Kind::kManual}};
  std::vector<int> ran;
};

constexpr int64_t kStep = 2 * net::TimerWheel::kTickNs;

TEST_F(LoopExecutorTest, TimersFireOnceInTheOrderOfTheirDeadlines) {
  main.call_at(main.now() + 2 * kStep, [this] { ran.push_back(2); });
  main.call_at(main.now() + kStep, [this] { ran.push_back(1); });
  advance(kStep - net::TimerWheel::kTickNs - 1);
  EXPECT_TRUE(ran.empty());
  advance(kStep);
  EXPECT_EQ(ran, (std::vector{1}));
  advance(2 * kStep);
  advance(2 * kStep);
  EXPECT_EQ(ran, (std::vector{1, 2}));
}

TEST_F(LoopExecutorTest, ACancelledTimerDoesNotFireAndMayBeCancelledTwice) {
  const auto id = main.call_at(main.now() + kStep, [this] { ran.push_back(1); });
  main.cancel(id);
  main.cancel(id);
  advance(4 * kStep);
  EXPECT_TRUE(ran.empty());
}

TEST_F(LoopExecutorTest, ATimerMaySetAndCancelOthersFromItsCallback) {
  const auto other = main.call_at(main.now() + 3 * kStep, [this] { ran.push_back(9); });
  main.call_at(main.now() + kStep, [this, other] {
    ran.push_back(1);
    main.cancel(other);
    main.call_at(main.now() + kStep, [this] { ran.push_back(2); });
  });
  for (int i = 0; i < 8; ++i) advance(kStep);
  EXPECT_EQ(ran, (std::vector{1, 2}));
}

TEST_F(LoopExecutorTest, PostsOfAThreadRunOnTheLoopInOrder) {
  std::thread([this] {
    for (int i = 0; i < 3; ++i) main.post([this, i] { ran.push_back(i); });
  }).join();
  EXPECT_TRUE(ran.empty());
  loop.poll_once();
  EXPECT_EQ(ran, (std::vector{0, 1, 2}));
}

TEST_F(LoopExecutorTest, AfterDetachNothingFires) {
  main.call_at(main.now() + kStep, [this] { ran.push_back(1); });
  main.detach();
  advance(4 * kStep);
  EXPECT_TRUE(ran.empty());
}

}  // namespace
}  // namespace sluice::app
