#include "base/persistent_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace sluice::base {
namespace {

using Change = PersistentIndex::Change;

// Names by slot, as the cluster array has them.
class Names {
 public:
  explicit Names(size_t count, uint64_t (*hash)(std::string_view) = PersistentIndex::hash_of)
      : hash_(hash) {
    for (size_t i = 0; i < count; ++i) names_.push_back("cluster-" + std::to_string(i));
  }
  size_t size() const { return names_.size(); }
  Change change(uint32_t slot, bool there) const { return {hash_(names_[slot]), slot, there}; }
  uint32_t find(const PersistentIndex& index, uint32_t slot) const {
    const std::string& name = names_[slot];
    return index.find(hash_(name), [&](uint32_t other) { return names_[other] == name; });
  }
  PersistentIndex all() const {
    std::vector<Change> changes;
    for (uint32_t i = 0; i < size(); ++i) changes.push_back(change(i, true));
    return PersistentIndex().with(changes);
  }

 private:
  uint64_t (*hash_)(std::string_view);
  std::vector<std::string> names_;
};

uint64_t one_hash(std::string_view) { return 0x1234'5678'9abc'def0; }
// Hashes that agree in all but the last bits, so that the trie is deep.
uint64_t late_hash(std::string_view name) { return PersistentIndex::hash_of(name) << 58; }

TEST(PersistentIndex, AnEmptyOneHasNothing) {
  EXPECT_EQ(PersistentIndex().find(7, [](uint32_t) { return true; }), PersistentIndex::kNone);
}

TEST(PersistentIndex, EachVersionKeepsWhatItHad) {
  using Hash = uint64_t (*)(std::string_view);
  for (const Hash hash : {Hash{PersistentIndex::hash_of}, Hash{one_hash}, Hash{late_hash}}) {
    const Names names(hash == Hash{PersistentIndex::hash_of} ? 500 : 60, hash);
    Random random(7);
    std::vector<bool> there(names.size());
    std::vector<std::pair<PersistentIndex, std::vector<bool>>> versions(1, {{}, there});
    for (int v = 0; v < 60; ++v) {
      std::vector<Change> changes;
      for (uint32_t n = random.below(40); n > 0; --n) {
        const uint32_t slot = random.below(static_cast<uint32_t>(names.size()));
        there[slot] = random.below(3) != 0;
        changes.push_back(names.change(slot, there[slot]));
      }
      versions.emplace_back(versions.back().first.with(changes), there);
    }
    for (const auto& [index, was] : versions) {
      for (uint32_t slot = 0; slot < names.size(); ++slot) {
        ASSERT_EQ(names.find(index, slot), was[slot] ? slot : PersistentIndex::kNone);
      }
    }
  }
}

TEST(PersistentIndex, ANameMayMoveToAnotherSlotAndASlotToAnotherName) {
  const Names names(2);
  const PersistentIndex before = PersistentIndex().with(std::vector{names.change(0, true)});
  // Slot 0 goes to the name of slot 1 in one step, as when a cluster goes and another one comes.
  const Change gone = names.change(0, false), come{names.change(1, true).hash, 0, true};
  const PersistentIndex after = before.with(std::vector{gone, come});
  EXPECT_EQ(names.find(after, 0), PersistentIndex::kNone);
  EXPECT_EQ(after.find(come.hash, [](uint32_t slot) { return slot == 0; }), 0U);
}

TEST(PersistentIndex, WhatIsRemovedLeavesNothingBehind) {
  const Names names(3000);
  std::vector<Change> changes;
  for (uint32_t i = 0; i < names.size(); ++i) changes.push_back(names.change(i, false));
  const PersistentIndex none = names.all().with(changes);
  size_t made = 0;
  const PersistentIndex one = none.with(std::vector{names.change(5, true)}, &made);
  EXPECT_EQ(made, 1U);  // a root, and no way that was left from before
  EXPECT_EQ(names.find(one, 5), 5U);
}

TEST(PersistentIndex, OneChangeCostsThePathToItHoweverManyThereAre) {
  for (const size_t count : {1'000, 100'000}) {
    const Names names(count);
    const PersistentIndex all = names.all();
    size_t made = 0, most = 0;
    for (uint32_t slot = 0; slot < 1000; ++slot) {
      (void)all.with(std::vector{names.change(slot, false)}, &made);
      most = std::max(most, made);
    }
    EXPECT_LE(most, count == 1'000 ? 5U : 7U) << count;
  }
}

}  // namespace
}  // namespace sluice::base
