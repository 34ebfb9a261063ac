#include "router/cluster_ids.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace sluice::router {
namespace {

TEST(ClusterIds, NameKeepsItsSlotWhileItIsHeld) {
  ClusterIds ids;
  const ClusterRef a = ids.acquire("a");
  const ClusterRef b = ids.acquire("b");
  EXPECT_NE(a.id(), b.id());
  EXPECT_EQ(ids.acquire("a").id(), a.id());
  EXPECT_EQ(a.name(), "a");
  EXPECT_EQ(ids.limit(), 2u);
}

TEST(ClusterIds, SlotIsFreeWhenTheLastHoldIsGone) {
  ClusterIds ids;
  ClusterRef a = ids.acquire("a");
  const ClusterId slot = a.id();
  ClusterRef copy = a;
  a = ClusterRef();
  EXPECT_NE(ids.acquire("b").id(), slot);
  copy = ClusterRef();
  EXPECT_FALSE(ids.find("a"));
  const ClusterRef c = ids.acquire("c");
  const ClusterRef d = ids.acquire("d");
  EXPECT_TRUE(c.id() == slot || d.id() == slot);
  EXPECT_EQ(ids.limit(), 2u);
}

TEST(ClusterIds, ThreadsNeverShareASlotBetweenNames) {
  ClusterIds ids;
  std::vector<std::thread> threads;
  const ClusterRef kept = ids.acquire("name-0");
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&ids, &kept, t] {
      for (int i = 0; i < 5000; ++i) {
        const std::string name = "name-" + std::to_string((i * 7 + t) % 20);
        const ClusterRef ref = ids.acquire(name);
        const ClusterRef copy = ref;
        EXPECT_EQ(copy.name(), name);
        EXPECT_EQ(name == "name-0", ref.id() == kept.id());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_LE(ids.limit(), 20u);
}

}  // namespace
}  // namespace sluice::router
