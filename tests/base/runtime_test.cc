#include "base/runtime.h"

#include <gtest/gtest.h>

namespace sluice::base {
namespace {

RuntimeValue share(uint32_t ppm) { return {.ppm = ppm, .number = {}, .flag = {}}; }

class RuntimeKeysTest : public ::testing::Test {
 protected:
  // As the tables take them.
  size_t build() {
    const auto changes = keys_.take_changes();
    values_ = values_.with(changes);
    return changes.size();
  }

  RuntimeKeys keys_;
  RuntimeValues values_;
};

TEST_F(RuntimeKeysTest, AKeyReadsItsValueBySlot) {
  EXPECT_FALSE(keys_.set({{"a", share(5)}}));  // nobody holds it
  const RuntimeKey a = keys_.acquire("a"), b = keys_.acquire("b");
  EXPECT_EQ(build(), 2U);
  EXPECT_EQ(a.ppm_or(&values_, 7), 5U);
  EXPECT_EQ(b.ppm_or(&values_, 7), 7U);
  EXPECT_EQ(a.number_or(&values_, 9), 9U);
  EXPECT_TRUE(a.flag_or(&values_, true));
}

TEST_F(RuntimeKeysTest, NoKeyAndNoValuesMeanTheDefault) {
  const RuntimeKey none = keys_.acquire("");
  EXPECT_FALSE(none);
  EXPECT_EQ(none.ppm_or(&values_, 3), 3U);
  const RuntimeKey a = keys_.acquire("a");
  EXPECT_EQ(a.ppm_or(nullptr, 3), 3U);
}

TEST_F(RuntimeKeysTest, OnlyWhatChangesAndIsHeldIsAChange) {
  const RuntimeKey a = keys_.acquire("a"), b = keys_.acquire("b");
  EXPECT_TRUE(keys_.set({{"a", share(1)}, {"b", share(2)}, {"c", share(3)}}));
  build();
  EXPECT_FALSE(keys_.set({{"a", share(1)}, {"b", share(2)}, {"c", share(4)}}));
  EXPECT_EQ(build(), 0U);
  EXPECT_TRUE(keys_.set({{"b", share(2)}}));  // `a` has gone
  EXPECT_EQ(build(), 1U);
  EXPECT_EQ(a.ppm_or(&values_, 7), 7U);
  EXPECT_EQ(b.ppm_or(&values_, 7), 2U);
}

TEST_F(RuntimeKeysTest, ASlotIsFreeWhenTheLastHolderWentAndOlderTablesKeepTheirValues) {
  keys_.set({{"a", share(1)}, {"b", share(2)}});
  RuntimeKey a = keys_.acquire("a");
  RuntimeKey again = a;
  build();
  const RuntimeValues before = values_;
  a = {};
  EXPECT_EQ(keys_.size(), 1U);
  EXPECT_EQ(again.ppm_or(&before, 7), 1U);
  again = {};
  EXPECT_EQ(keys_.size(), 0U);
  const RuntimeKey b = keys_.acquire("b");  // takes the slot
  build();
  EXPECT_EQ(b.ppm_or(&values_, 7), 2U);
  EXPECT_EQ(b.ppm_or(&before, 7), 1U);
}

}  // namespace
}  // namespace sluice::base
