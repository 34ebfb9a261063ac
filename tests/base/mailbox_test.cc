#include "base/mailbox.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace sluice::base {
namespace {

struct Note : Post {
  Note(int n, std::vector<int>& l) : Post(&Note::write), number(n), log(l) {}
  static void write(Post* post) noexcept {
    Note* self = static_cast<Note*>(post);
    self->log.push_back(self->number);
  }
  int number;
  std::vector<int>& log;
};

TEST(Mailbox, RunsPostsInOrder) {
  Mailbox mailbox;
  std::vector<int> log;
  std::vector<Note> notes;
  notes.reserve(10);
  for (int i = 0; i < 10; ++i) notes.emplace_back(i, log);
  for (Note& note : notes) mailbox.post(&note);
  EXPECT_EQ(mailbox.run_all(), 10u);
  EXPECT_EQ(log, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(mailbox.run_all(), 0u);
}

TEST(Mailbox, OnlyThePostThatFindsItEmptyWakes) {
  int num_wakes = 0;
  Mailbox mailbox({[](void* n) noexcept { ++*static_cast<int*>(n); }, &num_wakes});
  std::vector<int> log;
  Note a(1, log), b(2, log), c(3, log);
  EXPECT_TRUE(mailbox.post(&a));
  EXPECT_TRUE(mailbox.post(&b));
  EXPECT_EQ(num_wakes, 1);
  mailbox.run_all();
  EXPECT_TRUE(mailbox.post(&c));
  EXPECT_EQ(num_wakes, 2);
  mailbox.run_all();
}

TEST(Mailbox, PushTellsWhoOwesTheWakeUp) {
  Mailbox mailbox;
  std::vector<int> log;
  Note a(1, log), b(2, log), c(3, log);
  EXPECT_EQ(mailbox.push(&a), Pushed::kFirst);
  EXPECT_EQ(mailbox.push(&b), Pushed::kNotFirst);
  for (PostChain last = mailbox.close(); !last.empty();) {
    Post* post = last.take();
    post->run(post);
  }
  EXPECT_EQ(log, (std::vector<int>{1, 2}));
  EXPECT_EQ(mailbox.push(&c), Pushed::kClosed);
  EXPECT_FALSE(mailbox.post(&c));
  EXPECT_TRUE(mailbox.closed());
  EXPECT_TRUE(mailbox.drain().empty());
  EXPECT_TRUE(mailbox.close().empty());
}

TEST(Mailbox, APostMayPostItselfAgain) {
  struct Countdown : Post {
    explicit Countdown(Mailbox& m) : Post(&Countdown::tick), mailbox(m) {}
    static void tick(Post* post) noexcept {
      Countdown* self = static_cast<Countdown*>(post);
      if (--self->left > 0) self->mailbox.post(self);
    }
    Mailbox& mailbox;
    int left = 3;
  };
  Mailbox mailbox;
  Countdown countdown(mailbox);
  mailbox.post(&countdown);
  // One run per call: posts made meanwhile wait for the next turn.
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(mailbox.run_all(), 0u);
}

TEST(Mailbox, TasksMayOwnWhatCannotBeCopied) {
  Mailbox mailbox;
  std::string said;
  auto word = std::make_unique<std::string>("hello");
  EXPECT_TRUE(post_task(mailbox, [&said, word = std::move(word)] { said = *word; }));
  EXPECT_EQ(said, "");
  mailbox.run_all();
  EXPECT_EQ(said, "hello");
}

TEST(Mailbox, ARefusedTaskIsDestroyedAndDoesNotRun) {
  Mailbox mailbox;
  EXPECT_TRUE(mailbox.close().empty());
  auto held = std::make_shared<int>(0);
  EXPECT_FALSE(post_task(mailbox, [held] { ++*held; }));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

struct NudgeTest : testing::Test {
  Mailbox mailbox;
  int num_calls = 0;
  int fire_again = 0;
  Nudge nudge{mailbox,
              [](void* context) noexcept {
                auto* self = static_cast<NudgeTest*>(context);
                ++self->num_calls;
                if (self->fire_again-- > 0) self->nudge.fire();
              },
              this};
};

TEST_F(NudgeTest, IsInTheMailboxAtMostOnce) {
  for (int i = 0; i < 5; ++i) nudge.fire();
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(num_calls, 1);
  nudge.fire();
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(num_calls, 2);
}

TEST_F(NudgeTest, FiredInItsOwnCallItComesAgain) {
  fire_again = 1;
  nudge.fire();
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(mailbox.run_all(), 0u);
  EXPECT_EQ(num_calls, 2);
}

TEST(Nudge, DestroyedOnItsWayItDoesNotCall) {
  Mailbox mailbox;
  int num_calls = 0;
  {
    Nudge nudge(mailbox, [](void* n) noexcept { ++*static_cast<int*>(n); }, &num_calls);
    nudge.fire();
  }
  EXPECT_EQ(mailbox.run_all(), 1u);
  EXPECT_EQ(num_calls, 0);
}

TEST(Nudge, IntoAClosedMailboxIsHarmless) {
  Mailbox mailbox;
  EXPECT_TRUE(mailbox.close().empty());
  Nudge nudge(mailbox, [](void*) noexcept { FAIL(); }, nullptr);
  nudge.fire();
  nudge.fire();
}

}  // namespace
}  // namespace sluice::base
