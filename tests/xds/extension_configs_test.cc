// ECDS: filters' configurations that come by themselves (rule 136).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dataplane/tables.h"
#include "tests/xds/assembling.h"
#include "tests/xds/decoding.h"

namespace sluice::xds {
namespace {

using base::cat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Type kX = Type::kExtensionConfig;
constexpr std::string_view kMutation =
    "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";

// A header mutation that adds this header to requests.
std::string mutation(std::string_view header) {
  return cat("{ \"@type\": ", kMutation,
             ", mutations: { request_mutations: [ { append: { header: { key: ", header,
             ", value: x } } } ] } }");
}
std::string extension(std::string_view name, std::string_view header) {
  return cat("name: ", name, "\ntyped_config: ", mutation(header), "\n");
}
// An http_filters entry.
std::string discovered(std::string_view name, std::string_view more = "") {
  return cat("      - name: ", name,
             "\n        config_discovery: { config_source: { ads: {}, resource_api_version: V3 }, "
             "type_urls: [ ",
             kMutation, " ]", more, " }\n");
}
std::string with_filters(std::string_view name, std::string_view filters, bool rds = false) {
  std::string text = rds ? rds_listener(name, "r") : direct_listener(name);
  const std::string_view list = "      http_filters:\n";
  return text.insert(text.find(list) + list.size(), filters);
}

class XdsExtensions : public XdsAssembler {
 protected:
  void go() {
    start();
    send(kC, {});
  }
  // The chain that the listener's next request runs, of the published tables.
  std::string chain(std::string_view name) {
    const dataplane::ListenerEntry* entry = server.builder().listener(name);
    if (entry == nullptr) return "none";
    const uint32_t slot = entry->http->chain_slot;
    if (slot == dataplane::HttpConfig::kNoSlot) return "fixed";
    const auto& chain = server.tables().published()->chains.at(slot);
    return chain == nullptr ? "not there" : chain->describe();
  }
};

TEST_F(XdsExtensions, Rule136TheListenerWaitsForWhatItsFiltersAre) {
  go();
  EXPECT_THAT(send(kL, {with_filters("in", discovered("a"))}), IsEmpty());
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("a"));
  EXPECT_FALSE(serves("in"));
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_EQ(assembler->waits()[0].name, "in");
  EXPECT_EQ(assembler->waits()[0].for_type, kX);
  EXPECT_EQ(assembler->waits()[0].for_name, "a");
  EXPECT_THAT(send(kX, {extension("a", "x-a")}), IsEmpty());
  EXPECT_TRUE(serves("in"));
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
  EXPECT_TRUE(live);
  EXPECT_THAT(assembler->waits(), IsEmpty());
}

TEST_F(XdsExtensions, Rule136WhatIsNotDeliveredAndHasNoDefaultIsMissing) {
  go();
  send(kL, {with_filters("in", discovered("a"))});
  main.advance(15 * kSec);
  EXPECT_TRUE(serves("in"));
  EXPECT_EQ(chain("in"), "variant missing_config > router");
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("a")) << "rule 82: stays subscribed";
  send(kX, {extension("a", "x-a")});
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
}

TEST_F(XdsExtensions, Rule136ADefaultServesWhenTheWaitEnds) {
  go();
  const std::string more = cat(", default_config: ", mutation("x-default"));
  send(kL, {with_filters("in", discovered("a", more))});
  EXPECT_FALSE(serves("in"));
  main.advance(15 * kSec);
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
}

TEST_F(XdsExtensions, Rule136ADefaultMayServeWithoutWarming) {
  go();
  const std::string more =
      cat(", apply_default_config_without_warming: true, default_config: ", mutation("x-default"));
  send(kL, {with_filters("in", discovered("a", more))});
  EXPECT_TRUE(serves("in"));
  EXPECT_TRUE(live);
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("a"));
}

TEST_F(XdsExtensions, Rule136AnUpdateMakesTheChainAnewAndTouchesNoListener) {
  go();
  send(kL, {with_filters("in", discovered("a")), with_filters("other", discovered("a"))});
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("a")) << "asked for once";
  send(kX, {extension("a", "x-a")});
  const auto* before = server.builder().listener("in")->http.get();
  const uint32_t slot = before->chain_slot;
  const auto chain_before = server.tables().published()->chains.at(slot);
  const uint64_t version_before = published();
  send(kX, {extension("a", "x-b")});
  EXPECT_EQ(server.builder().listener("in")->http.get(), before);
  EXPECT_NE(server.tables().published()->chains.at(slot), chain_before);
  EXPECT_EQ(published(), version_before + 1) << "one publish for both listeners";
}

TEST_F(XdsExtensions, Rule136WhatIsRemovedLeavesTheDefaultOrNone) {
  go();
  const std::string more = cat(", default_config: ", mutation("x-default"));
  send(kL, {with_filters("in", discovered("a")), with_filters("other", discovered("b", more))});
  send(kX, {extension("a", "x-a"), extension("b", "x-b")});
  send(kX, {}, {"a", "b"});
  EXPECT_EQ(chain("in"), "variant missing_config > router");
  EXPECT_EQ(chain("other"), "fused header_mutation > router");
  send(kX, {extension("a", "x-a")});
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
}

TEST_F(XdsExtensions, Rule136ATypeThatIsNotAmongThoseIsRefusedAndEndsTheWait) {
  go();
  send(kL, {with_filters("in", discovered("a"))});
  const auto bad =
      send(kX, {"name: a\ntyped_config: { \"@type\": "
                "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }\n"});
  ASSERT_THAT(bad, SizeIs(1));
  EXPECT_EQ(bad[0].name, "a");
  EXPECT_THAT(base::message_of(bad[0].status), HasSubstr("type_urls do not name"));
  EXPECT_EQ(chain("in"), "variant missing_config > router");
}

TEST_F(XdsExtensions, Rule136ABadConfigurationKeepsTheGoodOne) {
  go();
  send(kL, {with_filters("in", discovered("a"))});
  send(kX, {extension("a", "x-a")});
  EXPECT_THAT(send(kX, {extension("a", "\"not a name\"")}), SizeIs(1));
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
  const auto unknown = send(kX, {"name: a\ntyped_config: { \"@type\": "
                                 "type.googleapis.com/google.protobuf.Duration, value: 1s }\n"});
  ASSERT_THAT(unknown, SizeIs(1));
  EXPECT_THAT(base::message_of(unknown[0].status),
              HasSubstr("extension \"a\": typed_config: not a filter that Sluice has"));
}

TEST_F(XdsExtensions, Rule136TheOldListenerServesUntilTheNewOnesFiltersAreThere) {
  go();
  send(kL, {direct_listener("in")});
  ASSERT_TRUE(serves("in"));
  send(kL, {with_filters("in", discovered("a"))});
  EXPECT_EQ(chain("in"), "fixed");
  ASSERT_THAT(assembler->waits(), SizeIs(1));
  EXPECT_TRUE(assembler->waits()[0].serves_old);
  send(kX, {extension("a", "x-a")});
  EXPECT_EQ(chain("in"), "fused header_mutation > router");
}

TEST_F(XdsExtensions, Rule136RoutesAndFiltersAreBothWaitedForInAnyOrder) {
  go();
  send(kL, {with_filters("in", discovered("a") + discovered("b"), true)});
  EXPECT_THAT(assembler->waits(), SizeIs(3));
  send(kX, {extension("b", "x-b")});
  send(kR, {routes("r", "c")});
  EXPECT_FALSE(serves("in"));
  EXPECT_THAT(assembler->waits(), SizeIs(1));
  send(kX, {extension("a", "x-a")});
  EXPECT_TRUE(serves("in"));
}

TEST_F(XdsExtensions, WhatNobodyNamesAnyMoreIsNotAskedFor) {
  go();
  send(kL, {with_filters("in", discovered("a")), with_filters("other", discovered("a"))});
  send(kX, {extension("a", "x-a")});
  send(kL, {with_filters("in", discovered("b"))});
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("a", "b"));
  send(kX, {extension("b", "x-b")});
  send(kL, {}, {"other"});
  EXPECT_THAT(subscriptions.names[kX], ElementsAre("b"));
  send(kL, {}, {"in"});
  EXPECT_THAT(subscriptions.names[kX], IsEmpty());
  EXPECT_EQ(subscriptions.depth, 0);
}

TEST_F(XdsExtensions, AListenerThatIsRefusedLeavesNothingSubscribed) {
  go();
  EXPECT_THAT(send(kL, {with_filters("in", discovered("a") + discovered("a"))}), SizeIs(1));
  EXPECT_THAT(subscriptions.names[kX], IsEmpty());
}

std::string refused_filter(std::string_view config_discovery) {
  const auto got = listener_of(
      listener_with(kRds, {}, cat("{name: f, config_discovery: {", config_discovery, "}}, ")));
  EXPECT_FALSE(got.ok()) << config_discovery;
  return std::string(base::message_of(got.status()));
}

TEST(DecodeListener, MistakesInConfigDiscoveryNamePlaceAndRemedy) {
  const std::string types = cat("type_urls: [", kMutation, "]");
  EXPECT_THAT(refused_filter(types), HasSubstr("config_discovery.config_source"));
  EXPECT_THAT(refused_filter("config_source: {ads: {}}"), HasSubstr("type_urls"));
  EXPECT_THAT(refused_filter("config_source: {ads: {}}, type_urls: [a/b.Unknown]"),
              HasSubstr("type_urls[0]: this filter is not supported yet: \"b.Unknown\""));
  EXPECT_THAT(
      refused_filter("config_source: {ads: {}}, type_urls: "
                     "[type.googleapis.com/envoy.extensions.filters.http.router.v3.Router]"),
      HasSubstr("type_urls[0]: the router cannot come by itself"));
  EXPECT_THAT(refused_filter(cat(
                  "config_source: {ads: {}}, apply_default_config_without_warming: true, ", types)),
              HasSubstr("apply_default_config_without_warming: there is no default_config"));
  EXPECT_THAT(
      refused_filter(cat("config_source: {ads: {}}, default_config: {\"@type\": "
                         "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}, ",
                         types)),
      HasSubstr("default_config: its type is not among type_urls"));
}

}  // namespace
}  // namespace sluice::xds
