// Runtime: values, layers, and RTDS (rule 138).

#include "xds/runtime.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/xds/assembling.h"
#include "tests/xds/messages.h"
#include "xds/decode_context.h"

namespace sluice::xds {
namespace {

namespace fs = std::filesystem;
using base::cat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kT = Type::kRuntime;

// "number ppm flag", "-" for what is not set.
std::string show(const RuntimeEntry& entry) {
  const auto or_dash = [](const auto& value) { return value ? cat(*value) : std::string("-"); };
  return cat(or_dash(entry.value.number), " ", or_dash(entry.value.ppm), " ",
             entry.value.flag ? (*entry.value.flag ? "true" : "false") : "-");
}

absl::StatusOr<RuntimeEntries> read_struct(std::string_view yaml) {
  const auto message = message_of_yaml("google.protobuf.Struct", yaml);
  const DecodeOptions options;
  const Context context(options, nullptr, "");
  return read_runtime_struct(context, Path(),
                             static_cast<const google::protobuf::Struct&>(*message));
}

TEST(RuntimeValues, TextIsReadAsEnvoyReadsIt) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"50", "50 500000 -"},
      {" 7 \n", "7 70000 -"},
      {"250", "250 1000000 -"},
      {"0", "0 0 -"},
      {"0.5", "- - -"},
      {"-1", "- - -"},
      {"1e300", "- - -"},
      {"nan", "- - -"},
      {"true", "- - true"},
      {"False", "- - false"},
      {"hello", "- - -"},
      {"", "- - -"},
      {"{numerator: 1, denominator: TEN_THOUSAND}", "- 100 -"},
      {"numerator: 5", "- 50000 -"},
      {"numerator: [", "- - -"},
  };
  for (const auto& [text, want] : rows) {
    SCOPED_TRACE(text);
    EXPECT_EQ(show(read_runtime_text(text)), want);
    EXPECT_EQ(read_runtime_text(text).text, text);
  }
}

TEST(RuntimeValues, NestedObjectsAreKeysWithDots) {
  const auto got = read_struct(
      "{a: {b: 1, c.d: true}, f: {numerator: 3, denominator: MILLION}, g: {numerator: 500}, "
      "s: text, e: {}}");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(*got, SizeIs(6));
  EXPECT_EQ(show(got->at("a.b")), "1 10000 -");
  EXPECT_EQ(got->at("a.b").text, "1");
  EXPECT_EQ(show(got->at("a.c.d")), "- - true");
  EXPECT_EQ(show(got->at("f")), "- 3 -");
  EXPECT_EQ(show(got->at("g")), "- 1000000 -");
  EXPECT_EQ(got->at("s").text, "text");
}

TEST(RuntimeValues, ListsAndNullsAreRefusedByName) {
  EXPECT_THAT(base::message_of(read_struct("{a: {b: [1]}}").status()),
              HasSubstr("b: not a runtime value: a list; write a number"));
  EXPECT_FALSE(read_struct("{a: null}").ok());
  std::string deep = "1";
  for (int i = 0; i < 20; ++i) deep = cat("{a: ", deep, "}");
  EXPECT_THAT(base::message_of(read_struct(deep).status()), HasSubstr("levels deep"));
}

class Folder {
 public:
  Folder() {
    std::string name = ::testing::TempDir() + "runtime_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  void write(const std::string& file, std::string_view text) const {
    fs::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  // As `ln -s TARGET NEW && mv -T NEW LINK`.
  void swap(const std::string& link, const std::string& target) const {
    fs::create_directory_symlink(path_ / target, path_ / (link + ".new"));
    fs::rename(path_ / (link + ".new"), path_ / link);
  }
  std::string operator/(const std::string& file) const { return (path_ / file).string(); }

 private:
  fs::path path_;
};

TEST(RuntimeValues, ADirectoryIsATreeOfKeysAndCommentsAreLeftOut) {
  const Folder folder;
  folder.write("v1/health_check/min_interval", "# how long\n10\n");
  folder.write("v1/flag", "true");
  folder.write("v1/empty", "# nothing yet\n");
  const auto got = read_runtime_directory(folder / "v1");
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_THAT(*got, SizeIs(3));
  EXPECT_EQ(show(got->at("health_check.min_interval")), "10 100000 -");
  EXPECT_EQ(got->at("health_check.min_interval").text, "10");
  EXPECT_EQ(show(got->at("flag")), "- - true");
  EXPECT_EQ(got->at("empty").text, "");
  EXPECT_FALSE(read_runtime_directory(folder / "none").ok());
}

RuntimeLayerValue layer(RuntimeLayerValue::Kind kind, std::string name) {
  RuntimeLayerValue out;
  out.kind = kind;
  out.name = std::move(name);
  return out;
}
RuntimeLayerValue static_layer(std::string_view yaml) {
  auto out = layer(RuntimeLayerValue::Kind::kStatic, "static");
  out.entries = *read_struct(yaml);
  return out;
}
RuntimeLayerValue admin_layer() { return layer(RuntimeLayerValue::Kind::kAdmin, "admin"); }
RuntimeLayerValue rtds_layer(std::string name, SourceId source = kAds) {
  auto out = layer(RuntimeLayerValue::Kind::kRtds, cat("rtds ", name));
  out.rtds = {source, std::move(name)};
  return out;
}
RuntimeLayerValue disk_layer(const Folder& folder, const std::string& link,
                             const std::string& below = "") {
  auto out = layer(RuntimeLayerValue::Kind::kDisk, "disk");
  out.symlink_root = folder / link;
  out.directory = below.empty() ? out.symlink_root : out.symlink_root + "/" + below;
  return out;
}

class XdsRuntime : public XdsAssembler {
 protected:
  void layers(std::vector<RuntimeLayerValue> values) {
    Bootstrap bootstrap;
    bootstrap.runtime = std::move(values);
    ASSERT_TRUE(make().add_static(bootstrap).ok());
  }
  Runtime& runtime() { return assembler->runtime(); }
  // What a request would read now.
  uint64_t number(std::string_view key, uint64_t otherwise = 0) {
    const base::RuntimeKey held = server.builder().runtime_keys().acquire(key);
    const auto tables = server.builder().build();
    return held.number_or(&tables->runtime, otherwise);
  }
  std::string layer_of(std::string_view name, std::string_view yaml) {
    return cat("name: ", name, "\nlayer: ", yaml);
  }
};

TEST_F(XdsRuntime, LaterLayersOverlayEarlierOnes) {
  layers({static_layer("{a: 1, b: 2, c: 3}"), rtds_layer("r"), admin_layer()});
  start();
  EXPECT_EQ(number("a"), 1U);
  EXPECT_THAT(send(kT, {layer_of("r", "{b: 20, c: 30}")}), IsEmpty());
  EXPECT_TRUE(runtime().modify({{"c", "300"}, {"d", "400"}}).ok());
  EXPECT_EQ(number("a"), 1U);
  EXPECT_EQ(number("b"), 20U);
  EXPECT_EQ(number("c"), 300U);
  EXPECT_EQ(number("d"), 400U);
  const auto view = runtime().view();
  EXPECT_THAT(view.layers, ElementsAre("static", "rtds r", "admin"));
  ASSERT_THAT(view.keys, SizeIs(4));
  EXPECT_EQ(view.keys[2].name, "c");
  EXPECT_THAT(view.keys[2].texts, ElementsAre("3", "30", "300"));
  EXPECT_EQ(runtime().stats().num_keys, 4U);
  EXPECT_EQ(runtime().stats().num_layers, 3U);
  EXPECT_EQ(runtime().stats().admin_overrides_active, 1U);
  EXPECT_TRUE(runtime().modify({{"c", ""}, {"d", ""}}).ok());
  EXPECT_EQ(number("c"), 30U);
  EXPECT_EQ(number("d", 9), 9U);
  EXPECT_EQ(runtime().stats().admin_overrides_active, 0U);
}

TEST_F(XdsRuntime, WithoutAnAdminLayerNothingIsModified) {
  layers({static_layer("{a: 1}")});
  EXPECT_EQ(base::message_of(runtime().modify({{"a", "2"}})), "No admin layer specified");
}

TEST_F(XdsRuntime, ADiskLayerIsReadAgainWhenItsLinkIsSwapped) {
  const Folder folder;
  folder.write("v1/app/a", "1");
  folder.write("v2/app/a", "2");
  folder.swap("current", "v1");
  layers({static_layer("{a: 7}"), disk_layer(folder, "current", "app")});
  EXPECT_EQ(number("a"), 1U);
  const uint64_t loads = runtime().stats().load_success;
  folder.swap("current", "v2");
  EXPECT_TRUE(main.run_until([&] { return runtime().stats().load_success > loads; }));
  EXPECT_EQ(number("a"), 2U);
}

TEST_F(XdsRuntime, ADiskLayerThatCannotBeReadKeepsWhatItHadAndIsCounted) {
  const Folder folder;
  folder.write("v1/a", "1");
  folder.write("v2/a", std::string(2 << 20, 'x'));
  folder.swap("current", "v1");
  layers({disk_layer(folder, "current")});
  folder.swap("current", "v2");
  EXPECT_TRUE(main.run_until([&] { return runtime().stats().load_error == 1; }));
  EXPECT_EQ(number("a"), 1U);
}

TEST_F(XdsRuntime, ADiskLayerThatIsNotThereIsEmpty) {
  const Folder folder;
  layers({static_layer("{a: 7}"), disk_layer(folder, "none")});
  EXPECT_EQ(number("a"), 7U);
  EXPECT_EQ(runtime().stats().load_error, 0U);
}

// ---- RTDS.

TEST_F(XdsRuntime, Rule138IsThereBeforeClustersAreAskedFor) {
  layers({rtds_layer("r"), rtds_layer("s")});
  start();
  EXPECT_THAT(subscriptions.names[kT], ElementsAre("r", "s"));
  EXPECT_THAT(subscriptions.names[kC], IsEmpty());
  EXPECT_EQ(assembler->state(), Assembler::State::kPreInitializing);
  ASSERT_THAT(assembler->waits(), SizeIs(2));
  EXPECT_EQ(assembler->waits()[0].for_name, "r");
  EXPECT_THAT(send(kT, {layer_of("r", "{a: 1}")}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kC], IsEmpty()) << "the other one is missing";
  EXPECT_THAT(send(kT, {layer_of("s", "{}")}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kC], ElementsAre("*"));
}

TEST_F(XdsRuntime, Rules110And138ALayerThatDoesNotComeEndsItsWaitWithItsTimeout) {
  auto rtds = rtds_layer("r");
  rtds.initial_fetch_timeout = std::chrono::seconds(3);
  layers({rtds});
  start();
  main.advance(3 * kSec - kMs);
  EXPECT_THAT(subscriptions.names[kC], IsEmpty());
  main.advance(2 * kMs);
  EXPECT_THAT(subscriptions.names[kC], ElementsAre("*"));
  EXPECT_THAT(subscriptions.names[kT], ElementsAre("r")) << "rule 82: stays subscribed";
  send(kT, {layer_of("r", "{a: 5}")});
  EXPECT_EQ(number("a"), 5U);
}

TEST_F(XdsRuntime, Rules110And138ARejectedLayerEndsTheWaitAndKeepsWhatItHad) {
  layers({rtds_layer("r")});
  start();
  const auto bad = send(kT, {layer_of("r", "{a: [1]}")});
  ASSERT_THAT(bad, SizeIs(1));
  EXPECT_EQ(bad[0].name, "r");
  EXPECT_THAT(base::message_of(bad[0].status),
              HasSubstr("runtime layer \"r\": layer.a: not a runtime value"));
  EXPECT_THAT(subscriptions.names[kC], ElementsAre("*"));
  send(kT, {layer_of("r", "{a: 1}")});
  send(kT, {layer_of("r", "{a: null}")});
  EXPECT_EQ(number("a"), 1U);
}

TEST_F(XdsRuntime, Rule138ALayerThatIsRemovedIsEmpty) {
  layers({static_layer("{a: 7}"), rtds_layer("r")});
  start();
  send(kT, {layer_of("r", "{a: 1}")});
  EXPECT_EQ(number("a"), 1U);
  send(kT, {}, {"r"});
  EXPECT_EQ(number("a"), 7U);
}

TEST_F(XdsRuntime, TheSameNameOfAnotherSourceIsAnotherLayer) {
  layers({rtds_layer("r", 1)});
  EXPECT_EQ(number("a", 3), 3U);
  send(kT, {layer_of("r", "{a: 1}")});  // of the aggregated stream
  EXPECT_EQ(number("a", 3), 3U);
}

TEST_F(XdsRuntime, AChangedValueIsPublishedAndCompilesNothing) {
  layers({static_layer("{}"), admin_layer()});
  start();
  send(kC, {});
  send(kL, {rds_listener("in", "r")});
  send(kR, {"name: r\nvirtual_hosts:\n- name: all\n  domains: [\"*\"]\n  routes:\n"
            "  - match: { prefix: /, runtime_fraction: { default_value: { numerator: 0 }, "
            "runtime_key: on } }\n    direct_response: { status: 200 }\n"});
  ASSERT_TRUE(live);
  const auto table = server.builder().routes("r");
  ASSERT_NE(table, nullptr);
  const uint64_t before = published();
  EXPECT_TRUE(runtime().modify({{"on", "100"}}).ok());
  main.run();
  EXPECT_EQ(published(), before + 1);
  EXPECT_EQ(server.builder().routes("r"), table);
  EXPECT_TRUE(runtime().modify({{"nobody.asks", "1"}}).ok());
  main.run();
  EXPECT_EQ(published(), before + 1) << "no route has that key";
}

// ---- The bootstrap.

std::string refused_layers(std::string_view layers) {
  Flags flags;
  flags.config_yaml = cat("layered_runtime: { layers: [", layers, "] }");
  const auto got = load_bootstrap(flags);
  EXPECT_FALSE(got.ok());
  return std::string(base::message_of(got.status()));
}

TEST(RuntimeLayers, AreReadFromTheBootstrap) {
  Flags flags;
  flags.config_yaml =
      "node: { id: i, cluster: web }\n"
      "layered_runtime:\n  layers:\n"
      "  - { name: a, static_layer: { x: { y: 1 } } }\n"
      "  - { name: b, disk_layer: { symlink_root: /srv/runtime, subdirectory: envoy, "
      "append_service_cluster: true } }\n"
      "  - { name: c, rtds_layer: { name: r, rtds_config: { ads: {}, initial_fetch_timeout: 2s } } "
      "}\n"
      "  - { name: d, admin_layer: {} }\n"
      "dynamic_resources: { ads_config: { api_type: GRPC, transport_api_version: V3, "
      "grpc_services: { google_grpc: { target_uri: \"dns:///a:1\", stat_prefix: x } } } }\n";
  const auto got = load_bootstrap(flags);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_THAT(got->runtime, SizeIs(4));
  EXPECT_EQ(got->runtime[0].entries.at("x.y").text, "1");
  EXPECT_EQ(got->runtime[1].symlink_root, "/srv/runtime");
  EXPECT_EQ(got->runtime[1].directory, "/srv/runtime/envoy/web");
  EXPECT_EQ(got->runtime[2].rtds.name, "r");
  EXPECT_EQ(got->runtime[2].initial_fetch_timeout, std::chrono::seconds(2));
  EXPECT_EQ(got->runtime[3].kind, RuntimeLayerValue::Kind::kAdmin);
  EXPECT_TRUE(got->warnings.empty());
}

TEST(RuntimeLayers, WithoutAnyThereIsAnAdminLayer) {
  Flags flags;
  flags.config_yaml = "node: { id: i }";
  const auto got = load_bootstrap(flags);
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_THAT(got->runtime, SizeIs(1));
  EXPECT_EQ(got->runtime[0].kind, RuntimeLayerValue::Kind::kAdmin);
}

TEST(RuntimeLayers, MistakesNamePlaceAndRemedy) {
  EXPECT_THAT(refused_layers("{name: a, admin_layer: {}}, {name: a, static_layer: {}}"),
              HasSubstr("layered_runtime.layers[1].name: given twice: \"a\""));
  EXPECT_THAT(refused_layers("{name: a, admin_layer: {}}, {name: b, admin_layer: {}}"),
              HasSubstr("layers[1].admin_layer: given twice"));
  EXPECT_THAT(refused_layers("{name: a, disk_layer: {}}"), HasSubstr("disk_layer.symlink_root"));
  EXPECT_THAT(refused_layers("{name: a, rtds_layer: {name: r, rtds_config: {ads: {}}}}"),
              HasSubstr("rtds_config: refers to the aggregated stream"));
  EXPECT_THAT(refused_layers("{name: a, rtds_layer: {name: r}}"),
              HasSubstr("rtds_layer.rtds_config: is required"));
  EXPECT_THAT(refused_layers("{name: a, static_layer: {x: {y: [1]}}}"),
              HasSubstr("layers[0].static_layer.x.y: not a runtime value: a list"));
}

}  // namespace
}  // namespace sluice::xds
