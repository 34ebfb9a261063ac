#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/xds/manual_executor.h"
#include "tests/support/xds/messages.h"
#include "tests/support/xds/scripted_stream.h"
#include "xds/client.h"

// A client between a scripted server and a sink that notes what it gets; time is the test's. Tests
// of the protocol are named after the rules of the xDS document.

namespace sluice::test {

using xds::Client;
using xds::ClientOptions;
using xds::Resource;
using xds::short_name_of;
using xds::Type;
using xds::type_url_of;
using xds::TypeStats;
using xds::Update;

inline constexpr Type kC = Type::kCluster, kE = Type::kEndpoint, kL = Type::kListener,
                      kR = Type::kRoute;
inline constexpr int64_t kMs = base::kNsPerMs;
inline constexpr int64_t kSec = base::kNsPerSec;

class XdsClient : public ::testing::Test {
 protected:
  XdsClient() {
    envoy::config::core::v3::Node node;
    node.set_id("node-1");
    options.node = node.SerializeAsString();
    options.random = [] { return ~uint64_t{0} >> 1; };
  }

  Client& start() {
    client = std::make_unique<Client>(options, transport, sink, main);
    return *client;
  }
  DiscoveryRequest next() {
    main.run();
    return transport.take_request();
  }
  void send(Type type, std::string_view version, std::string_view nonce,
            const std::vector<google::protobuf::Any>& resources) {
    transport.send(response(type, version, nonce, resources));
    main.run();
  }
  void expect_quiet() {
    main.run();
    EXPECT_FALSE(transport.has_request()) << transport.first_request();
  }
  std::set<std::string> held(Type type) {
    std::set<std::string> names;
    for (const auto& [name, bytes] : sink.held[type]) names.insert(name);
    return names;
  }

  ManualExecutor main;
  ScriptedTransport transport{main};
  RecordingSink sink;
  ClientOptions options;
  std::unique_ptr<Client> client;
};

// The same of the incremental protocol.
class XdsDeltaClient : public XdsClient {
 protected:
  XdsDeltaClient() {
    options.delta = true;
    transport.delta = true;
  }
  DeltaDiscoveryRequest next() {
    main.run();
    return transport.take_delta_request();
  }
  void send(Type type, std::string_view nonce, const std::vector<WrappedResource>& resources,
            const std::vector<std::string>& removed = {}) {
    transport.send(delta_response(type, nonce, resources, removed));
    main.run();
  }
};

inline void expect_request(const DiscoveryRequest& request, Type type, std::string_view version,
                           std::string_view nonce, const std::vector<std::string>& names) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.version_info(), version);
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_EQ(names_of(request), names);
}

inline void expect_ack(const DiscoveryRequest& request, Type type, std::string_view version,
                       std::string_view nonce, const std::vector<std::string>& names = {}) {
  expect_request(request, type, version, nonce, names);
  EXPECT_FALSE(request.has_error_detail()) << request.DebugString();
}

inline void expect_nack(const DiscoveryRequest& request, Type type, std::string_view version,
                        std::string_view nonce, std::string_view part) {
  EXPECT_EQ(request.type_url(), type_url_of(type));
  EXPECT_EQ(request.version_info(), version);
  EXPECT_EQ(request.response_nonce(), nonce);
  EXPECT_EQ(request.error_detail().code(), 13);
  EXPECT_THAT(request.error_detail().message(), ::testing::HasSubstr(std::string(part)));
}

}  // namespace sluice::test
