#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/xds/client_fixture.h"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What a control plane may make us hold: what is beyond is refused by name.
class XdsLimits : public XdsClient {
 protected:
  void limit(size_t resources, uint64_t bytes = uint64_t{1} << 30) {
    for (xds::TypeOptions& type : options.types) {
      type.max_resources = resources;
      type.max_bytes = bytes;
    }
  }
  void start_delta() {
    options.delta = transport.delta = true;
    start().subscribe_all(kC);
    main.run();
    transport.take_delta_request();
  }
  DeltaDiscoveryRequest send_delta(std::string_view nonce,
                                   const std::vector<WrappedResource>& resources,
                                   const std::vector<std::string>& removed = {}) {
    transport.send(delta_response(kC, nonce, resources, removed));
    main.run();
    return transport.take_delta_request();
  }
};

using Set = std::set<std::string>;

TEST_F(XdsLimits, AFullStateMayHaveSoManyAndNamesWhatIsTooMuch) {
  limit(3);
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a"), resource(kC, "b"), resource(kC, "c"), resource(kC, "d")});
  const DiscoveryRequest nack = next();
  expect_nack(nack, kC, "", "n1", "\"d\": more than 3 CDS resources; the limit is");
  EXPECT_THAT(nack.error_detail().message(), Not(HasSubstr("\"c\"")));
  EXPECT_EQ(held(kC), (Set{"a", "b", "c"}));
  // A state of others has room: what is not in it goes.
  send(kC, "2", "n2", {resource(kC, "c"), resource(kC, "d"), resource(kC, "e")});
  expect_ack(next(), kC, "2", "n2");
  EXPECT_EQ(held(kC), (Set{"c", "d", "e"}));
}

TEST_F(XdsLimits, WhatIsHeldMayChangeAtTheLimit) {
  limit(2);
  start().subscribe_all(kC);
  next();
  send(kC, "1", "n1", {resource(kC, "a"), resource(kC, "b")});
  expect_ack(next(), kC, "1", "n1");
  send(kC, "2", "n2", {resource(kC, "a", "x"), resource(kC, "b", "y")});
  expect_ack(next(), kC, "2", "n2");
}

TEST_F(XdsLimits, IncrementalResourcesStandBesideEachOtherUpToTheLimit) {
  limit(3);
  start_delta();
  send_delta("n1", {delta_resource(kC, "a", "1"), delta_resource(kC, "b", "1")});
  const auto nack = send_delta("n2", {delta_resource(kC, "c", "1"), delta_resource(kC, "d", "1")});
  EXPECT_EQ(nack.response_nonce(), "n2");
  EXPECT_THAT(nack.error_detail().message(), HasSubstr("\"d\": more than 3 CDS resources"));
  EXPECT_EQ(held(kC), (Set{"a", "b", "c"}));
  // One that goes makes room, in the same response.
  EXPECT_FALSE(send_delta("n3", {delta_resource(kC, "d", "1")}, {"a"}).has_error_detail());
  EXPECT_EQ(held(kC), (Set{"b", "c", "d"}));
  EXPECT_FALSE(send_delta("n4", {delta_resource(kC, "b", "2")}).has_error_detail());
}

TEST_F(XdsLimits, BytesAreLimitedForEachType) {
  limit(1000, 1 << 20);
  start().subscribe(kE, "a");
  client->subscribe(kE, "b");
  next();
  const std::string big(700'000, 'x');
  send(kE, "1", "n1", {resource(kE, "a", big), resource(kE, "b", big)});
  expect_nack(next(), kE, "", "n1", "\"b\": more than 1 MiB of EDS resources; the limit is");
  EXPECT_EQ(held(kE), Set{"a"});
  send(kE, "2", "n2", {resource(kE, "a", "small")});
  next();
  send(kE, "3", "n3", {resource(kE, "b", big)});
  expect_ack(next(), kE, "3", "n3", {"a", "b"});
  EXPECT_EQ(held(kE), (Set{"a", "b"}));
}

TEST_F(XdsLimits, ErrorsAreKeptForSoManyNames) {
  limit(1);
  start_delta();
  for (int i = 0; i < 3; ++i) {
    std::vector<WrappedResource> many;
    for (int k = 0; k < 600; ++k) {
      many.push_back(delta_resource(kC, std::to_string(i) + "-" + std::to_string(k), "1"));
    }
    EXPECT_TRUE(send_delta("n" + std::to_string(i), many).has_error_detail());
  }
  EXPECT_EQ(client->state(kC).errors().size(), 1024U);
}

}  // namespace
}  // namespace sluice::test
