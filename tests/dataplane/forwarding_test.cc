#include "dataplane/forwarding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/arena.h"

namespace sluice::dataplane {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// A head with these fields, from 10.1.1.1, prepared as `http` says.
class Forwarding : public testing::Test {
 protected:
  Forwarding() {
    http_.generate_request_id = false;
    http_.use_remote_address = true;
    head_.fields.bind(&arena_);
  }

  Lines prepare(const Lines& fields) {
    for (const auto& [name, value] : fields) EXPECT_TRUE(head_.fields.add(name, value));
    const base::Address peer = *base::Address::ip("10.1.1.1", 1);
    const RequestContext context{&http_, &peer, "10.1.1.1", false, &random_};
    EXPECT_TRUE(prepare_request(&head_, context, &client_));
    Lines lines;
    for (const http::Field& f : head_.fields) {
      if (!f.removed()) lines.emplace_back(f.name(), f.value());
    }
    return lines;
  }

  base::BlockPool pool_;
  base::Arena arena_{pool_};
  base::Random random_{1};
  HttpValue http_;
  http::RequestHead head_;
  ClientAddress client_;
};

TEST_F(Forwarding, OurWordIsTheLastOfAllLinesOfForwardedFor) {
  EXPECT_THAT(
      prepare({{"x-forwarded-for", "1.1.1.1"}, {"x-a", "1"}, {"x-forwarded-for", "2.2.2.2"}}),
      testing::IsSupersetOf(Lines{{"x-forwarded-for", "1.1.1.1,2.2.2.2,10.1.1.1"}}));
  EXPECT_EQ(head_.fields.value(http::HeaderId::kXForwardedFor), "1.1.1.1,2.2.2.2,10.1.1.1");
}

TEST_F(Forwarding, HopsAreCountedOverAllLines) {
  http_.xff_num_trusted_hops = 2;
  prepare({{"x-forwarded-for", "1.1.1.1"}, {"x-forwarded-for", "2.2.2.2"}});
  EXPECT_TRUE(client_.from_header);
  EXPECT_EQ(client_.ip.to_string(), "1.1.1.1");
}

TEST_F(Forwarding, ExternalAddressIsOursAtTheEdge) {
  prepare({{"x-envoy-external-address", "6.6.6.6"}});
  EXPECT_EQ(head_.fields.value(http::HeaderId::kXEnvoyExternalAddress), "10.1.1.1");
}

TEST_F(Forwarding, ExternalAddressIsTheClientBehindTrustedHops) {
  http_.xff_num_trusted_hops = 1;
  prepare({{"x-forwarded-for", "9.9.9.9, 1.2.3.4"}, {"x-envoy-external-address", "6.6.6.6"}});
  EXPECT_EQ(head_.fields.value(http::HeaderId::kXEnvoyExternalAddress), "1.2.3.4");
}

TEST_F(Forwarding, ExternalAddressInsideTheMeshIsPassedOn) {
  http_.use_remote_address = false;
  prepare({{"x-envoy-external-address", "6.6.6.6"}});
  EXPECT_EQ(head_.fields.value(http::HeaderId::kXEnvoyExternalAddress), "6.6.6.6");
}

TEST_F(Forwarding, SchemeIsWhatATrustedPeerSays) {
  struct Row {
    bool edge;
    uint32_t hops;
    const char* told;
    const char* scheme;
  };
  for (const Row& row : {Row{false, 0, "https", "https"}, Row{false, 0, "HTTPS", "https"},
                         Row{false, 0, "nonsense", "http"}, Row{true, 0, "https", "http"},
                         Row{true, 1, "https", "https"}}) {
    SCOPED_TRACE(std::string(row.told) + (row.edge ? " at the edge" : ""));
    head_.fields.remove(http::HeaderId::kXForwardedProto);
    http_.use_remote_address = row.edge;
    http_.xff_num_trusted_hops = row.hops;
    prepare({{"x-forwarded-proto", row.told}});
    EXPECT_EQ(head_.scheme, row.scheme);
  }
}

}  // namespace
}  // namespace sluice::dataplane
