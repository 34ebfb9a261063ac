#include "xds/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/xds/messages.h"
#include "tests/support/xds/wire_oracle.h"

namespace sluice::xds {
namespace {

using test::DiscoveryRequest;
using test::resource;
using test::response;
using test::wrapped;
using ::testing::ElementsAre;

constexpr Type kTypes[] = {Type::kCluster, Type::kEndpoint, Type::kListener, Type::kRoute};

TEST(Wire, SplitsAResponse) {
  const auto m = response(Type::kCluster, "v", "n", {resource(Type::kCluster, "a", "x")});
  const std::string bytes = m.SerializeAsString();
  const auto split = split_response(bytes);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->version, "v");
  EXPECT_EQ(split->nonce, "n");
  EXPECT_EQ(split->type_url, type_url_of(Type::kCluster));
  ASSERT_EQ(split->resources.size(), 1u);
  EXPECT_EQ(split->resources[0].name, "a");
  EXPECT_EQ(split->resources[0].bytes, m.resources(0).value());
  EXPECT_EQ(split->resources[0].hash, hash_of(m.resources(0).value()));
  // Views into what was given, nothing copied.
  EXPECT_GE(split->resources[0].bytes.data(), bytes.data());
  EXPECT_LT(split->resources[0].bytes.data(), bytes.data() + bytes.size());
}

TEST(Wire, NamesAreThoseOfTheRealMessages) {
  for (const Type type : kTypes) {
    SCOPED_TRACE(short_name_of(type));
    const auto any = resource(type, "the-name", "content");
    const auto name = name_of(type, any.value());
    ASSERT_TRUE(name.ok());
    EXPECT_EQ(*name, "the-name");
    EXPECT_EQ(any.type_url(), type_url_of(type));
    EXPECT_EQ(type_of_url(any.type_url()), type);
  }
}

TEST(Wire, UnwrapsResources) {
  const auto body = resource(Type::kRoute, "inner", "x");
  auto any = wrapped("outer", &body, 1500);
  const std::string bytes =
      response(Type::kRoute, "1", "n", {any, wrapped("beat", nullptr, 2000), wrapped("", &body)})
          .SerializeAsString();
  const auto split = split_response(bytes);
  ASSERT_TRUE(split.ok());
  const auto& r = split->resources;
  ASSERT_EQ(r.size(), 3u);
  EXPECT_EQ(r[0].name, "outer");
  EXPECT_EQ(r[0].type_url, body.type_url());
  EXPECT_EQ(r[0].bytes, body.value());
  EXPECT_EQ(r[0].ttl_ns, 1'500'000'000);
  EXPECT_TRUE(r[0].has_body);
  EXPECT_FALSE(r[1].has_body);
  EXPECT_EQ(r[1].name, "beat");
  EXPECT_EQ(r[2].name, "inner");
  EXPECT_EQ(r[2].ttl_ns, 0);
}

TEST(Wire, ABadResourceIsMarkedAndTheOthersAreRead) {
  auto bad = resource(Type::kCluster, "b", "x");
  bad.mutable_value()->back() = '\x80';
  bad.mutable_value()->push_back('\x0a');  // a tag without its value
  const std::string bytes =
      response(Type::kCluster, "1", "n", {resource(Type::kCluster, "a"), bad}).SerializeAsString();
  const auto split = split_response(bytes);
  ASSERT_TRUE(split.ok());
  EXPECT_TRUE(split->resources[0].readable);
  EXPECT_FALSE(split->resources[1].readable);
}

TEST(Wire, ContentHashIgnoresOrderNonceAndVersionAndNothingElse) {
  const auto a = resource(Type::kCluster, "a"), b = resource(Type::kCluster, "b");
  const auto hash = [](const test::DiscoveryResponse& m) {
    const std::string bytes = m.SerializeAsString();
    return split_response(bytes)->content_hash;
  };
  const uint64_t base = hash(response(Type::kCluster, "1", "n", {a, b}));
  EXPECT_EQ(base, hash(response(Type::kCluster, "2", "m", {b, a})));
  EXPECT_NE(base, hash(response(Type::kCluster, "1", "n", {a})));
  EXPECT_NE(base, hash(response(Type::kCluster, "1", "n", {a, a})));
  EXPECT_NE(base, hash(response(Type::kCluster, "1", "n", {a, b, b})));
  EXPECT_NE(base, hash(response(Type::kListener, "1", "n", {a, b})));
  EXPECT_NE(base, hash(response(Type::kCluster, "1", "n", {a, wrapped("b", &b, 1000)})));
  EXPECT_NE(hash(response(Type::kCluster, "1", "n", {a, a})),
            hash(response(Type::kCluster, "1", "n", {b, b})));
}

TEST(Wire, RequestsAreWhatTheRealParserReads) {
  envoy::config::core::v3::Node node;
  node.set_id("me");
  const std::string node_bytes = node.SerializeAsString();
  const std::string long_name(300, 'x');
  WireRequest request{.node = node_bytes,
                      .version = "v",
                      .type_url = "t",
                      .nonce = "n",
                      .names = {"a", "", long_name},
                      .error = "bad"};
  DiscoveryRequest parsed;
  ASSERT_TRUE(parsed.ParseFromString(encode_request(request)));
  EXPECT_EQ(parsed.node().id(), "me");
  EXPECT_EQ(parsed.version_info(), "v");
  EXPECT_EQ(parsed.type_url(), "t");
  EXPECT_EQ(parsed.response_nonce(), "n");
  EXPECT_THAT(test::names_of(parsed), ElementsAre("a", "", long_name));
  EXPECT_EQ(parsed.error_detail().code(), 13);
  EXPECT_EQ(parsed.error_detail().message(), "bad");
  EXPECT_EQ(parsed.SerializeAsString(), encode_request(request));  // byte for byte

  WireRequest plain;
  plain.type_url = "t";
  ASSERT_TRUE(parsed.ParseFromString(encode_request(plain)));
  EXPECT_FALSE(parsed.has_node());
  EXPECT_FALSE(parsed.has_error_detail());
}

TEST(Wire, HashIsXxh64) {
  // Values of the reference implementation, seed 0.
  EXPECT_EQ(hash_of(""), 0xEF46DB3751D8E999u);
  EXPECT_EQ(hash_of("a"), 0xD24EC4F1A98C6E5Bu);
  EXPECT_EQ(hash_of("abc"), 0x44BC2CF5AD770999u);
  EXPECT_EQ(hash_of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1u);
}

TEST(Wire, Utf8) {
  for (const auto* good : {"", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xee\x80\x80",
                           "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const auto* bad :
       {"\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "a\xff", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
}

// Mutated responses: split_response() accepts exactly what protobuf accepts, and reads the same.
TEST(Wire, AgreesWithProtobufOnDamagedMessages) {
  std::mt19937 random(7);
  const auto body = resource(Type::kListener, "l", "x");
  auto whole = response(Type::kListener, "1", "nonce",
                        {body, wrapped("w", &body, 1234), wrapped("h", nullptr, 5)});
  whole.mutable_control_plane()->set_identifier("cp");
  whole.set_canary(true);
  const std::string seed = whole.SerializeAsString();
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string bytes = seed;
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int e = 0; e < edits && !bytes.empty(); ++e) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.resize(at);
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
        case 3:
          bytes.insert(at, bytes.substr(at, random() % 40));
          break;
      }
    }
    accepted += test::compare_with_protobuf(bytes);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(accepted, 10'000);
}

TEST(Wire, DepthOfUnknownGroupsIsProtobufs) {
  for (const int depth : {1, 99, 100, 101, 1000, 100'000}) {
    std::string bytes(static_cast<size_t>(depth), '\x7b');  // start of group 15
    bytes += std::string(static_cast<size_t>(depth), '\x7c');
    test::compare_with_protobuf(bytes);
    std::string in_any = "\x12";
    if (bytes.size() < 128) {
      in_any += static_cast<char>(bytes.size());
      test::compare_with_protobuf(in_any + bytes);
    }
  }
}

}  // namespace
}  // namespace sluice::xds
