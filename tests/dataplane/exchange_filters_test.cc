#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "tests/dataplane/asking.h"
#include "tests/support/test_proxy.h"

namespace sluice {
namespace {

using testing::ask;
using testing::EchoOrigin;
using ::testing::ElementsAre;
using testing::forward_route;
using testing::kGet;
using testing::Message;
using testing::one_cluster;
using testing::read_message;
using testing::Socket;
using testing::TestProxy;

filters::FilterValue mutating(std::string name, std::string value, bool disabled = false) {
  filters::FilterHeaderMutation mutation;
  mutation.request_add.push_back({"x-chain", value});
  mutation.response_add.push_back({"x-chain", value});
  return {std::move(name), std::move(mutation), disabled};
}

filters::RouteFilterValue adding(std::string name, std::string value) {
  filters::RouteHeaderMutation mutation;
  mutation.request_add.push_back({"x-route", value});
  mutation.response_add.push_back({"x-route", std::move(value)});
  return {std::move(name), false, std::move(mutation)};
}

TEST(Exchange, RoutesChangeWhatFiltersDo) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.filters = {
      mutating("on", "1"), mutating("off", "2", true), {"router", filters::FilterRouter{}, false}};
  config.routes = {forward_route("/disabled", "c"), forward_route("/more", "c"),
                   forward_route("/enabled", "c"), forward_route("/other", "c"),
                   forward_route("/", "c")};
  config.routes[0].filters = {{"on", true}};
  config.routes[1].filters = {adding("on", "r")};
  config.routes[2].filters = {{"off", false}};
  config.routes[3].filters = {adding("router", "r"), {"nobody", true}};
  TestProxy proxy(std::move(config));
  struct Row {
    const char* path;
    const char* chain;
    const char* route;
  };
  for (const Row& row : {Row{"/plain", "1", ""}, Row{"/disabled", "", ""}, Row{"/more", "1", "r"},
                         Row{"/enabled", "1,2", ""}, Row{"/other", "1", ""}}) {
    SCOPED_TRACE(row.path);
    const Message answer =
        ask(proxy.port(), base::cat("GET ", row.path, " HTTP/1.1\r\nHost: h\r\n\r\n"));
    const auto joined = [&](const Message& message, const char* name) {
      std::string all;
      std::string line;
      for (std::istringstream lines(message.head); std::getline(lines, line);) {
        if (!line.starts_with(std::string(name) + ": ")) continue;
        line.pop_back();
        all += (all.empty() ? "" : ",") + line.substr(std::string(name).size() + 2);
      }
      return all;
    };
    EXPECT_EQ(joined(origin.last_request(), "x-chain"), row.chain);
    EXPECT_EQ(joined(origin.last_request(), "x-route"), row.route);
    std::string reversed = row.chain;
    std::reverse(reversed.begin(), reversed.end());
    EXPECT_EQ(joined(answer, "x-chain"), reversed);
    EXPECT_EQ(joined(answer, "x-route"), row.route);
  }
}

// The cluster that is picked says more than its route; the same one takes the request.
TEST(Exchange, WeightedClustersChangeWhatFiltersDo) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.filters = {mutating("m", "1"), {"router", filters::FilterRouter{}, false}};
  config.routes = {forward_route("/by-cluster", "c"), forward_route("/", "c")};
  for (router::RouteValue& route : config.routes) {
    route.forward.cluster.clear();
    for (const char* word : {"a", "b", "c"}) {
      router::WeightedCluster weighted;
      weighted.cluster = "c";
      weighted.weight = 1;
      weighted.request_headers.add.push_back({"x-cluster", word});
      route.forward.weighted.push_back(std::move(weighted));
    }
  }
  config.routes[0].filters = {adding("m", "route")};
  config.routes[0].forward.weighted[0].filters = {adding("m", "a")};
  config.routes[0].forward.weighted[1].filters = {{"m", true}};
  config.routes[1].forward.weighted[0].filters = {{"m", true}};
  TestProxy proxy(std::move(config));
  std::map<std::string, int> seen;
  for (int i = 0; i < 200; ++i) {
    const char* path = i % 2 == 0 ? "/by-cluster" : "/";
    ask(proxy.port(), base::cat("GET ", path, " HTTP/1.1\r\nHost: h\r\n\r\n"));
    const Message got = origin.last_request();
    const std::string cluster = got.field("x-cluster");
    std::string lines;
    std::string line;
    for (std::istringstream in(got.head); std::getline(in, line);) {
      if (line.starts_with("x-chain: ")) lines += "chain ";
      if (line.starts_with("x-route: ")) lines += line.substr(9, line.size() - 10) + ' ';
    }
    ++seen[path + (' ' + cluster + ": ") + lines];
  }
  std::vector<std::string> kinds;
  for (const auto& [kind, count] : seen) kinds.push_back(kind);
  EXPECT_THAT(kinds,
              ElementsAre("/ a: ", "/ b: chain ", "/ c: chain ", "/by-cluster a: chain a route ",
                          "/by-cluster b: ", "/by-cluster c: chain route "));
}

TEST(Exchange, OneExchangeIn64TimesItsFilters) {
  EchoOrigin origin;
  auto config = one_cluster(origin.port());
  config.http.filters = {mutating("m", "1"), {"router", filters::FilterRouter{}, false}};
  TestProxy proxy(std::move(config));
  Socket client = Socket::connect(proxy.port());
  std::string rest;
  for (int i = 0; i < 192; ++i) {
    ASSERT_TRUE(client.send(kGet));
    ASSERT_EQ(read_message(client, &rest).status(), 200);
  }
  const auto costs = proxy.server().filter_costs();
  const size_t kind = filters::kind_of<filters::HeaderMutation>();
  EXPECT_EQ(costs[2 * kind].count(), 3u);
  EXPECT_EQ(costs[2 * kind + 1].count(), 3u);
  EXPECT_EQ(costs[2 * filters::kind_of<filters::Router>()].count(), 0u);
}

}  // namespace
}  // namespace sluice
