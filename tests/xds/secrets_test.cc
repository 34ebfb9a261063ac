// SDS' state machine (rule 137): secrets between a scripted server and who uses them.

#include "xds/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"
#include "tests/xds/messages.h"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using xds::ResourceKey;
using xds::Secret;
using xds::Secrets;

constexpr Type kS = Type::kSecret;
constexpr std::string_view kSecretType = "envoy.extensions.transport_sockets.tls.v3.Secret";

google::protobuf::Any secret(std::string_view name, std::string_view body) {
  google::protobuf::Any any;
  any.set_type_url(std::string(type_url_of(kS)));
  any.set_value(xds::bytes_of(kSecretType, base::cat("{name: ", name, ", ", body, "}")));
  return any;
}
std::string generic(std::string_view word) {
  return base::cat("generic_secret: {secret: {inline_string: ", word, "}}");
}
constexpr std::string_view kNoKey = "tls_certificate: {certificate_chain: {inline_string: HUSH}}";

class XdsSecrets : public XdsClient, public xds::Subscriptions {
 protected:
  XdsSecrets() : secrets({}, main) {
    options.log = [this](xds::Severity, std::string_view text) { base::cat_to(said, text, "\n"); };
    options.types[static_cast<size_t>(kS)].initial_fetch_timeout_ns = 0;
    secrets.set_subscriptions(this);
    client = std::make_unique<Client>(options, transport, secrets, main);
  }
  ~XdsSecrets() override {
    holds.clear();
    client.reset();
  }
  void subscribe_all(Type, xds::SourceId) override {}
  void unsubscribe_all(Type, xds::SourceId) override {}
  void subscribe(Type type, const ResourceKey& key) override { client->subscribe(type, key.name); }
  void unsubscribe(Type type, const ResourceKey& key) override {
    client->unsubscribe(type, key.name);
  }
  void begin_batch() override { client->begin_batch(); }
  void end_batch() override { client->end_batch(); }

  void follow(std::string_view name, int64_t timeout_ns = 15 * kSec) {
    holds.push_back(secrets.follow({xds::kAds, std::string(name)}, timeout_ns, [this] { ++told; }));
  }
  // The word of a generic one; empty: it is not there.
  std::string word(std::string_view name) {
    const auto value = secrets.secret({xds::kAds, std::string(name)});
    if (value == nullptr) return "";
    envoy::extensions::transport_sockets::tls::v3::Secret out;
    out.ParseFromString(value->private_bytes());
    return out.generic_secret().secret().inline_string();
  }
  bool waits(std::string_view name) { return secrets.waiting({xds::kAds, std::string(name)}); }

  Secrets secrets;
  std::vector<Secrets::Hold> holds;
  int told = 0;
  std::string said;
};

TEST_F(XdsSecrets, Rule137IsAskedForOnceAndRotates) {
  follow("a");
  follow("a");
  expect_request(next(), kS, "", "", {"a"});
  EXPECT_TRUE(waits("a"));
  send(kS, "1", "n1", {secret("a", generic("one"))});
  expect_request(next(), kS, "1", "n1", {"a"});
  EXPECT_EQ(word("a"), "one");
  EXPECT_EQ(told, 2);
  const auto used = secrets.secret({xds::kAds, "a"});
  send(kS, "2", "n2", {secret("a", generic("two"))});
  next();
  EXPECT_EQ(word("a"), "two");
  EXPECT_EQ(told, 4);
  EXPECT_THAT(used->private_bytes(), HasSubstr("one"));  // who still uses it
  send(kS, "3", "n3", {secret("a", generic("two"))});
  EXPECT_EQ(told, 4);  // the same again is no news
}

TEST_F(XdsSecrets, Rule137IsForgottenWithItsLastUser) {
  follow("a");
  follow("a");
  next();
  send(kS, "1", "n1", {secret("a", generic("one"))});
  next();
  holds.pop_back();
  expect_quiet();
  EXPECT_EQ(word("a"), "one");
  follow("b");
  next();
  holds.erase(holds.begin());
  expect_request(next(), kS, "1", "n1", {"b"});
  EXPECT_EQ(word("a"), "");
}

TEST_F(XdsSecrets, Rule137ABadOneIsRefusedByNameAndTheLastStays) {
  follow("a");
  follow("b");
  next();
  send(kS, "1", "n1", {secret("a", generic("one")), secret("b", kNoKey)});
  auto request = next();
  EXPECT_EQ(request.version_info(), "");
  EXPECT_THAT(request.error_detail().message(),
              HasSubstr("secret \"b\": tls_certificate.private_key: is required beside"));
  EXPECT_EQ(word("a"), "one");
  EXPECT_FALSE(waits("b"));
  send(kS, "2", "n2", {secret("a", "generic_secret: {}"), secret("b", generic("good"))});
  request = next();
  EXPECT_THAT(request.error_detail().message(), HasSubstr("generic_secret.secret: is required"));
  EXPECT_EQ(word("a"), "one");
  EXPECT_EQ(word("b"), "good");
}

TEST_F(XdsSecrets, Rule137PrivateBytesAreSaidNowhere) {
  follow("a");
  next();
  google::protobuf::Any broken = secret("a", generic("HUSH"));
  broken.mutable_value()->append("\xff\xff");
  const std::vector<google::protobuf::Any> bad = {
      broken, secret("a", kNoKey), secret("a", "session_ticket_keys: {}"),
      secret("a", "tls_certificate: {private_key: {inline_string: HUSH}}")};
  for (size_t i = 0; i < bad.size(); ++i) {
    SCOPED_TRACE(i);
    send(kS, std::to_string(i), "n" + std::to_string(i), {bad[i]});
    const auto request = next();
    EXPECT_TRUE(request.has_error_detail());
    EXPECT_THAT(request.error_detail().message(), Not(HasSubstr("HUSH")));
  }
  EXPECT_THAT(said, HasSubstr("SDS: rejected"));
  EXPECT_THAT(said, Not(HasSubstr("HUSH")));
}

TEST_F(XdsSecrets, Rule137ATimeoutEndsTheWaitAndItMayStillCome) {
  follow("a", 3 * kSec);
  follow("b", 0);
  next();
  main.advance(3 * kSec);
  EXPECT_FALSE(waits("a"));
  EXPECT_TRUE(waits("b"));  // rule 111
  EXPECT_EQ(told, 1);
  std::vector<xds::Wait> list;
  secrets.list_waits(&list);
  ASSERT_THAT(list, SizeIs(1));
  EXPECT_EQ(list[0].for_name, "b");
  send(kS, "1", "n1", {secret("a", generic("late"))});
  EXPECT_EQ(word("a"), "late");
  EXPECT_EQ(told, 2);
}

TEST_F(XdsSecrets, Rule137WhatIsLeftOutOrExpiresStays) {
  follow("a");
  next();
  const auto body = secret("a", generic("one"));
  send(kS, "1", "n1", {wrapped("a", &body, 1000)});
  next();
  main.advance(2 * kSec);
  EXPECT_EQ(client->stats(kS).ttl_expired, 1u);
  EXPECT_EQ(word("a"), "one");
  send(kS, "2", "n2", {});
  EXPECT_EQ(word("a"), "one");
}

TEST_F(XdsSecrets, Rule137AStaticOneIsFoundByName) {
  const std::string bytes = secret("s", generic("here")).value();
  EXPECT_TRUE(secrets.add_static("s", bytes).ok());
  ASSERT_NE(secrets.static_secret("s"), nullptr);
  EXPECT_EQ(secrets.static_secret("s")->kind(), Secret::Kind::kGeneric);
  EXPECT_EQ(secrets.static_secret("t"), nullptr);
  EXPECT_THAT(std::string(base::message_of(secrets.add_static("s", bytes))),
              HasSubstr("secret \"s\": given twice"));
}

TEST_F(XdsSecrets, Rule137AUserMayLeaveWhenItIsTold) {
  holds.push_back(secrets.follow({xds::kAds, "a"}, 0, [this] { holds.clear(); }));
  holds.push_back(secrets.follow({xds::kAds, "a"}, 0, [this] { ++told; }));
  next();
  send(kS, "1", "n1", {secret("a", generic("one"))});
  EXPECT_EQ(told, 0);
  EXPECT_EQ(word("a"), "");
  EXPECT_THAT(holds, IsEmpty());
}

}  // namespace
}  // namespace sluice::test
