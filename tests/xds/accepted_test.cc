#include "xds/accepted.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/random.h"

namespace sluice::xds {
namespace {

TEST(AcceptedResources, PutKeepsAllButTheText) {
  AcceptedResources all;
  EXPECT_EQ(all.find("a"), nullptr);
  Accepted& first = all.put("a", "1", "bytes");
  first.accepted_at = 7;
  first.unused = 3;
  first.expires_at = 9;
  first.foreign = first.gone = first.unchecked = first.restored = true;
  const Accepted& second = all.put("a", "", std::string("ot\0her", 6));
  EXPECT_EQ(all.find("a"), &second);
  EXPECT_EQ(second.name(), "a");
  EXPECT_EQ(second.version(), "");
  EXPECT_EQ(second.bytes(), std::string_view("ot\0her", 6));
  EXPECT_EQ(second.accepted_at, 7);
  EXPECT_EQ(second.unused, 3u);
  EXPECT_EQ(second.expires_at, 9);
  EXPECT_TRUE(second.foreign && second.gone && second.unchecked && second.restored);
  EXPECT_EQ(all.size(), 1u);
  EXPECT_EQ(all.bytes(), 6u);
}

// Against a plain map of names.
TEST(AcceptedResources, HoldsWhatAMapHolds) {
  AcceptedResources all;
  std::map<std::string, std::pair<std::string, std::string>> told;
  base::Random random(5);
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "name-" + std::to_string(random.below(300));
    if (random.below(3) == 0) {
      if (const Accepted* known = all.find(name)) all.erase(*known);
      told.erase(name);
    } else {
      const std::string version(random.below(40), 'v'), bytes(random.below(200), 'b');
      all.put(name, version, bytes);
      told[name] = {version, bytes};
    }
  }
  uint64_t bytes = 0;
  std::set<std::string> seen;
  all.for_each([&](const Accepted& one) {
    EXPECT_TRUE(seen.insert(std::string(one.name())).second);
    const auto it = told.find(std::string(one.name()));
    ASSERT_NE(it, told.end());
    EXPECT_EQ(one.version(), it->second.first);
    EXPECT_EQ(one.bytes(), it->second.second);
    bytes += one.bytes().size();
  });
  EXPECT_EQ(seen.size(), told.size());
  EXPECT_EQ(all.size(), told.size());
  EXPECT_EQ(all.bytes(), bytes);
}

}  // namespace
}  // namespace sluice::xds
