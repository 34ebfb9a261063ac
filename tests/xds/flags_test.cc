#include "xds/flags.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "xds/version.h"

namespace sluice::xds {
namespace {

using Args = std::vector<std::string_view>;

Flags parsed(const Args& args) {
  auto flags = parse_flags(args);
  EXPECT_TRUE(flags.ok()) << flags.status();
  return flags.ok() ? *flags : Flags{};
}

std::string refused(const Args& args) {
  const auto flags = parse_flags(args);
  EXPECT_FALSE(flags.ok());
  return std::string(base::message_of(flags.status()));
}

TEST(Flags, TakesEveryFormThatLaunchersWrite) {
  for (const Args& args : {Args{"-c", "/etc/a.yaml"}, Args{"--config-path", "/etc/a.yaml"},
                           Args{"--config-path=/etc/a.yaml"}, Args{"--config-path /etc/a.yaml"},
                           Args{"-c /etc/a.yaml"}}) {
    SCOPED_TRACE(args[0]);
    EXPECT_EQ(parsed(args).config_path, "/etc/a.yaml");
  }
}

TEST(Flags, HasEnvoysDefaults) {
  const Flags flags = parsed({});
  EXPECT_FALSE(flags.concurrency.has_value());
  EXPECT_EQ(flags.drain_time, std::chrono::seconds(600));
  EXPECT_EQ(flags.drain_strategy, Flags::DrainStrategy::kGradual);
  EXPECT_EQ(flags.log_level, "info");
  EXPECT_EQ(flags.file_flush_interval, std::chrono::milliseconds(10'000));
  EXPECT_EQ(flags.file_flush_min_size_kb, 64U);
  EXPECT_EQ(flags.mode, Flags::Mode::kServe);
  EXPECT_TRUE(flags.notes.empty());
}

TEST(Flags, TakesIstiosAgentCommandLine) {
  const Flags flags = parsed({"-c",
                              "etc/istio/proxy/envoy-rev.json",
                              "--drain-time-s",
                              "45",
                              "--drain-strategy",
                              "immediate",
                              "--local-address-ip-version",
                              "v4",
                              "--file-flush-interval-msec",
                              "1000",
                              "--disable-hot-restart",
                              "--allow-unknown-static-fields",
                              "-l",
                              "warning",
                              "--component-log-level",
                              "misc:error",
                              "--skip-deprecated-logs",
                              "--concurrency",
                              "2",
                              "--config-yaml",
                              R"({"node":{"id":"a"}})"});
  EXPECT_EQ(flags.config_path, "etc/istio/proxy/envoy-rev.json");
  EXPECT_EQ(flags.drain_time, std::chrono::seconds(45));
  EXPECT_EQ(flags.drain_strategy, Flags::DrainStrategy::kImmediate);
  EXPECT_EQ(flags.file_flush_interval, std::chrono::milliseconds(1000));
  EXPECT_TRUE(flags.allow_unknown_static_fields);
  EXPECT_TRUE(flags.skip_deprecated_logs);
  EXPECT_EQ(flags.log_level, "warning");
  EXPECT_EQ(flags.component_log_level, "misc:error");
  EXPECT_EQ(flags.concurrency, 2U);
  EXPECT_EQ(flags.config_yaml, R"({"node":{"id":"a"}})");
  ASSERT_EQ(flags.notes.size(), 1U);
  EXPECT_EQ(flags.notes[0], "--disable-hot-restart: ignored: there is no hot restart");
}

TEST(Flags, StopsAtALoneDoubleDash) {
  const Flags flags = parsed({"--concurrency", "1", "--", "--no-such-flag", "words"});
  EXPECT_EQ(flags.concurrency, 1U);
  EXPECT_EQ(flags.given.size(), 1U);
}

TEST(Flags, TakesValuesThatLookLikeOtherForms) {
  EXPECT_EQ(parsed({"--config-yaml", "a: b=c --d"}).config_yaml, "a: b=c --d");
  EXPECT_EQ(parsed({"--config-yaml=a: b=c"}).config_yaml, "a: b=c");
  EXPECT_EQ(parsed({"--log-format [%Y-%m-%d] %v"}).log_format, "[%Y-%m-%d] %v");
  EXPECT_TRUE(parsed({"--cpuset-threads"}).cpuset_threads);
  EXPECT_FALSE(parsed({"--cpuset-threads=false"}).cpuset_threads);
}

TEST(Flags, KeepsWhatWasGivenForServerInfo) {
  const Flags flags = parsed({"--mode", "validate", "--base-id", "3"});
  EXPECT_EQ(flags.mode, Flags::Mode::kValidate);
  const std::vector<std::pair<std::string, std::string>> wanted = {{"mode", "validate"},
                                                                   {"base-id", "3"}};
  EXPECT_EQ(flags.given, wanted);
  ASSERT_EQ(flags.notes.size(), 1U);
  EXPECT_EQ(flags.notes[0], "--base-id 3: ignored: there is no hot restart");
}

TEST(Flags, NamesFlagValueAndRemedyInErrors) {
  const struct {
    Args args;
    std::string_view message;
  } kRows[] = {
      {{"--concurency", "1"}, "--concurency: no such flag; --help lists them"},
      {{"-x"}, "-x: no such flag; --help lists them"},
      {{"boot.yaml"},
       "unexpected argument \"boot.yaml\"; flags start with --, the bootstrap is given by -c FILE"},
      {{"--concurrency"}, "--concurrency: its value is missing; write --concurrency N"},
      {{"--concurrency", "two"}, "--concurrency: expected a number up to 1024: \"two\""},
      {{"--concurrency=-1"}, "--concurrency: expected a number up to 1024: \"-1\""},
      {{"--drain-time-s", "5s"}, "--drain-time-s: expected a whole number: \"5s\""},
      {{"-l", "loud"},
       "-l: expected trace, debug, info, warning, error, critical or off: \"loud\""},
      {{"--mode", "test"}, "--mode: expected serve, validate or init_only: \"test\""},
      {{"--bootstrap-version", "2"},
       "--bootstrap-version: expected 3; version 2 of the API is gone, convert the bootstrap: "
       "\"2\""},
      {{"-c", "a", "--config-path", "b"}, "--config-path: given twice; keep one"},
      {{"--reject-unknown-dynamic-fields", "--ignore-unknown-dynamic-fields"},
       "--reject-unknown-dynamic-fields and --ignore-unknown-dynamic-fields exclude each other; "
       "keep one"},
  };
  for (const auto& row : kRows) EXPECT_EQ(refused(row.args), row.message);
}

TEST(Flags, HelpListsEveryFlagOfTheDesign) {
  const std::string help = help_text();
  for (const char* name : {"-c, --config-path",
                           "--config-yaml",
                           "--service-node",
                           "--service-cluster",
                           "--service-zone",
                           "--concurrency",
                           "--cpuset-threads",
                           "-l, --log-level",
                           "--component-log-level",
                           "--log-format",
                           "--log-path",
                           "--drain-time-s",
                           "--drain-strategy",
                           "--parent-shutdown-time-s",
                           "--admin-address-path",
                           "--mode",
                           "--disable-hot-restart",
                           "--base-id",
                           "--restart-epoch",
                           "--allow-unknown-static-fields",
                           "--reject-unknown-dynamic-fields",
                           "--ignore-unknown-dynamic-fields",
                           "--skip-deprecated-logs",
                           "--file-flush-interval-msec",
                           "--file-flush-min-size-kb",
                           "--local-address-ip-version",
                           "--enable-core-dump",
                           "--bootstrap-version",
                           "--version"}) {
    EXPECT_NE(help.find(name), std::string::npos) << name;
  }
}

TEST(Version, HasFiveParts) {
  const std::string parts = version_parts();
  EXPECT_EQ(std::count(parts.begin(), parts.end(), '/'), 4) << parts;
  EXPECT_NE(parts.find("/OpenSSL-3."), std::string::npos) << parts;
  const std::string text = version_text();
  EXPECT_EQ(text.find("sluice  version: " + parts + "\nlinked: OpenSSL 3."), 0U) << text;
  EXPECT_NE(text.find("gRPC 1."), std::string::npos);
  EXPECT_NE(text.find("protobuf 3."), std::string::npos);
}

}  // namespace
}  // namespace sluice::xds
