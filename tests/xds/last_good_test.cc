#include "xds/last_good.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/xds/client_fixture.h"
#include "xds/yaml.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using xds::RestoredResource;

RestoredResource restored(Type type, std::string_view name, std::string_view content = "") {
  return {0, type, std::string(name), "old", resource(type, name, content).value()};
}

std::string node(std::string_view id) {
  envoy::config::core::v3::Node n;
  n.set_id(std::string(id));
  return n.SerializeAsString();
}

TEST(LastGoodFile, EveryChangedOrCutByteIsNoticed) {
  const std::vector<RestoredResource> all = {restored(kC, "a", "x"), restored(kR, "r")};
  const std::string bytes = xds::encode_last_good(node("n"), all);
  const auto read = xds::decode_last_good(node("n"), bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_THAT(*read, SizeIs(2));
  EXPECT_EQ((*read)[0].name, "a");
  EXPECT_EQ((*read)[0].bytes, all[0].bytes);
  EXPECT_EQ((*read)[1].type, kR);
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(xds::decode_last_good(node("n"), bytes.substr(0, i)).ok()) << i;
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    EXPECT_FALSE(xds::decode_last_good(node("n"), changed).ok()) << i;
  }
  EXPECT_THAT(base::message_of(xds::decode_last_good(node("m"), bytes).status()),
              HasSubstr("of another node: \"/n\""));
}

class XdsLastGood : public XdsClient {
 protected:
  XdsLastGood() {
    std::string name = ::testing::TempDir() + "last_good_XXXXXX";
    folder = mkdtemp(name.data());
    path = (folder / "config").string();
  }
  ~XdsLastGood() override { fs::remove_all(folder); }
  fs::path folder;
  std::string path;
};

TEST_F(XdsLastGood, IsWrittenWholeAndOnceForABurst) {
  int writes = 0;
  std::vector<RestoredResource> now = {restored(kC, "a")};
  xds::LastGood last_good({.path = path,
                           .node = node("n"),
                           .collect = [&] { return std::optional(now); },
                           .run_in_pool =
                               [&](std::function<void()> task) {
                                 ++writes;
                                 task();
                               },
                           .log = {}},
                          main);
  for (int i = 0; i < 100; ++i) last_good.changed();
  main.advance(2 * kSec);
  EXPECT_EQ(writes, 1);
  EXPECT_GT(last_good.saved_at(), 0);
  EXPECT_FALSE(fs::exists(path + ".new"));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  now.push_back(restored(kC, "b"));
  last_good.changed();
  main.advance(2 * kSec);
  const auto read = xds::read_last_good(path, node("n"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(2));
  EXPECT_EQ(xds::read_last_good(path + "x", node("n")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(XdsLastGood, AFailedWriteIsSaidAndLeavesTheOldFile) {
  std::vector<std::string> log;
  ASSERT_TRUE(xds::write_whole(path, "old").ok());
  fs::create_directory(path + ".new");  // in the way
  xds::LastGood last_good(
      {.path = path,
       .node = node("n"),
       .collect = [] { return std::optional<std::vector<RestoredResource>>(std::in_place); },
       .run_in_pool = [](std::function<void()> task) { task(); },
       .log = [&](auto, auto text) { log.emplace_back(text); }},
      main);
  last_good.changed();
  main.advance(2 * kSec);
  ASSERT_THAT(log, SizeIs(1));
  EXPECT_THAT(log[0], HasSubstr("not saved"));
  EXPECT_EQ(*xds::read_file(path), "old");
}

TEST_F(XdsLastGood, IsUsedWhenTheControlPlaneDoesNotAnswer) {
  options.restored = {restored(kC, "a"), restored(kE, "a"), restored(kE, "other")};
  start().subscribe_all(kC);
  sink.on_apply = [&](const Update& update) {
    if (update.type != kC) return;
    for (const Resource& r : update.changed) client->subscribe(kE, r.name);
  };
  main.advance(1999 * kMs);
  EXPECT_THAT(sink.updates, IsEmpty());
  main.advance(1 * kMs);
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
  EXPECT_EQ(held(kE), std::set<std::string>{"a"});
  EXPECT_EQ(client->state(kC).num_restored(), 1u);
  bool shown = false;
  client->state(kC).for_each_resource([&](const auto& r) { shown = r.restored; });
  EXPECT_TRUE(shown);
  // It is not claimed to the server.
  expect_ack(next(), kC, "", "");
}

TEST_F(XdsLastGood, IsUsedAtOnceWhenTheStreamFails) {
  options.restored = {restored(kC, "a")};
  start().subscribe_all(kC);
  main.run();
  transport.close(absl::UnavailableError("x"));
  main.run();
  EXPECT_EQ(held(kC), std::set<std::string>{"a"});
}

TEST_F(XdsLastGood, IsForgottenWhenTheControlPlaneAnswersInTime) {
  options.restored = {restored(kC, "a"), restored(kC, "b")};
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "b")});
  expect_ack(next(), kC, "1", "n1");
  main.advance(60 * kSec);
  EXPECT_EQ(held(kC), std::set<std::string>{"b"});
  EXPECT_THAT(sink.updates, SizeIs(1));
  EXPECT_THAT(sink.updates[0].removed, IsEmpty());
  EXPECT_EQ(client->state(kC).num_restored(), 0u);
}

TEST_F(XdsLastGood, TheFirstLiveResponseReplacesIt) {
  options.restored = {restored(kC, "same"), restored(kC, "changed", "old"), restored(kC, "gone")};
  start().subscribe_all(kC);
  main.advance(2 * kSec);
  next();
  send(kC, "1", "n1", {resource(kC, "same"), resource(kC, "changed", "new")});
  expect_ack(next(), kC, "1", "n1");
  EXPECT_THAT(sink.updates.back().unchanged, ElementsAre("same"));
  EXPECT_THAT(sink.updates.back().removed, ElementsAre("gone"));
  EXPECT_EQ(client->state(kC).num_restored(), 0u);
}

TEST_F(XdsLastGood, WhatDeltasDoNotConfirmGoesAfterAGrace) {
  options.delta = transport.delta = true;
  options.restored = {restored(kC, "same"), restored(kC, "gone")};
  start().subscribe_all(kC);
  main.advance(2 * kSec);
  EXPECT_EQ(transport.take_delta_request().initial_resource_versions_size(), 0);
  const auto body = resource(kC, "same");
  transport.send(delta_response(kC, "n1", {delta_resource("same", "1", &body)}));
  main.run();
  EXPECT_EQ(held(kC), (std::set<std::string>{"gone", "same"}));
  EXPECT_EQ(client->state(kC).num_restored(), 1u);
  main.advance(15 * kSec);
  EXPECT_EQ(held(kC), std::set<std::string>{"same"});
  EXPECT_EQ(client->state(kC).num_restored(), 0u);
}

TEST_F(XdsLastGood, ABadOneIsLeftOut) {
  options.restored = {restored(kC, "a"), restored(kC, "b")};
  sink.bad["a"] = "wrong";
  start().subscribe_all(kC);
  main.advance(2 * kSec);
  EXPECT_EQ(held(kC), std::set<std::string>{"b"});
  expect_ack(next(), kC, "", "");
  expect_quiet();
}

}  // namespace
}  // namespace sluice::test
