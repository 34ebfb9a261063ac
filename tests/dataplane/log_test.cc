#include "dataplane/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "base/text.h"

namespace sluice::log {
namespace {

using testing::HasSubstr;

class LogTest : public testing::Test {
 protected:
  LogTest() {
    char name[] = "/tmp/sluice_log_XXXXXX";
    ::close(mkstemp(name));
    file = name;
  }
  ~LogTest() override {
    ::unlink(file.c_str());
    EXPECT_TRUE(init({}).ok());
  }
  std::string text() const {
    flush();
    std::ifstream in(file, std::ios::binary);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }
  std::string file;
};

TEST_F(LogTest, WritesLevelComponentAndText) {
  ASSERT_TRUE(
      init({.level = Level::kInfo, .format = "[%l][%n] %v", .file = file, .component_levels = ""})
          .ok());
  debug("xds", "not this");
  info("xds", "this");
  warn("no such component", "that");
  EXPECT_EQ(text(), "[info][xds] this\n[warning][main] that\n");
}

TEST_F(LogTest, TextCannotBreakItsLine) {
  ASSERT_TRUE(
      init({.level = Level::kInfo, .format = "%v|%_|%j", .file = file, .component_levels = ""})
          .ok());
  info("http", "a\nb\x1b \"q\"");
  EXPECT_EQ(text(), "a\\x0ab\\x1b \"q\"|a\\x0ab\\x1b \"q\"|a\\\\x0ab\\\\x1b \\\"q\\\"\n");
}

TEST_F(LogTest, ComponentsHaveLevelsOfTheirOwn) {
  ASSERT_TRUE(init({.level = Level::kWarn,
                    .format = "%n %v",
                    .file = file,
                    .component_levels = "xds:trace,http:off"})
                  .ok());
  trace("xds", "1");
  info("upstream", "2");
  critical("http", "3");
  error("upstream", "4");
  EXPECT_EQ(text(), "xds 1\nupstream 4\n");
  EXPECT_TRUE(enabled("xds", Level::kTrace));
  EXPECT_FALSE(enabled("http", Level::kCritical));
  EXPECT_EQ(level_of("upstream"), Level::kWarn);
}

TEST_F(LogTest, BadSettingsAreErrors) {
  EXPECT_THAT(std::string(base::message_of(init(
                  {.level = Level::kInfo, .format = "", .file = "", .component_levels = "xds"}))),
              HasSubstr("not of the form component:level: xds"));
  EXPECT_THAT(std::string(base::message_of(set_component_level("tea", Level::kInfo))),
              HasSubstr("no such component: tea"));
  EXPECT_THAT(std::string(base::message_of(parse_level("loud").status())), HasSubstr(": loud"));
  EXPECT_THAT(std::string(base::message_of(init({.level = Level::kInfo,
                                                 .format = "",
                                                 .file = "/dev/null/y.log",
                                                 .component_levels = ""}))),
              HasSubstr("log-path: "));
}

TEST_F(LogTest, ReopenFollowsARotatedFile) {
  ASSERT_TRUE(
      init({.level = Level::kInfo, .format = "%v", .file = file, .component_levels = ""}).ok());
  info("main", "before");
  flush();
  const std::string rotated = file + ".1";
  ASSERT_EQ(std::rename(file.c_str(), rotated.c_str()), 0);
  reopen();
  info("main", "after");
  EXPECT_EQ(text(), "after\n");
  ::unlink(rotated.c_str());
}

TEST(RateLimit, LetsOneThroughPerIntervalAndCountsTheRest) {
  RateLimit limit(100);
  EXPECT_TRUE(limit.pass(1000));
  EXPECT_FALSE(limit.pass(1001));
  EXPECT_FALSE(limit.pass(1099));
  EXPECT_TRUE(limit.pass(1100));
  EXPECT_EQ(limit.suppressed(), 2u);
  EXPECT_TRUE(limit.pass(1200));
  EXPECT_EQ(limit.suppressed(), 0u);
}

}  // namespace
}  // namespace sluice::log
