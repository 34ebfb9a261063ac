#include <envoy/config/endpoint/v3/endpoint.pb.h>
#include <envoy/config/route/v3/route.pb.h>
#include <envoy/service/discovery/v3/ads.grpc.pb.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "tests/mock_cp/resources.h"
#include "tools/mock-cp/folder.h"
#include "tools/mock-cp/generate.h"
#include "tools/mock-cp/server.h"

namespace sluice::mock_cp {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string error_of(std::string_view text) {
  return std::string(read_resources(text, "test.yaml").status().message());
}

// --- Files.

TEST(MockCpFiles, AllFormsSayTheSame) {
  const char* forms[] = {
      "routes:\n- name: r\n- name: s\n",
      "resources:\n- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n"
      "  name: r\n- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n"
      "  name: s\n",
      "# a list\n---\n- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n"
      "  name: r\n- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n"
      "  name: s\n",
      "[{\"@type\": \"type.googleapis.com/envoy.config.route.v3.RouteConfiguration\", \"name\": "
      "\"r\"},\n {\"@type\": \"type.googleapis.com/envoy.config.route.v3.RouteConfiguration\", "
      "\"name\": \"s\"}]",
      "{\"routes\": [{\"name\": \"r\"}, {\"name\": \"s\"}]}",
  };
  for (const char* form : forms) {
    SCOPED_TRACE(form);
    const ResourceSet set = read(form);
    ASSERT_TRUE(set.types.contains(kRds));
    EXPECT_THAT(set.types.find(kRds)->second, SizeIs(2));
    EXPECT_TRUE(set.types.find(kRds)->second.contains("r"));
  }
}

TEST(MockCpFiles, ErrorsHaveFileLineAndField) {
  EXPECT_THAT(error_of("routes:\n- name: r\n  virtual_host: []\n"),
              ::testing::AllOf(HasSubstr("test.yaml:3:"), HasSubstr("routes[0].virtual_host")));
  EXPECT_THAT(error_of("- '@type': type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n"
                       "  nam: r\n"),
              HasSubstr("test.yaml:2:"));
  EXPECT_THAT(error_of("routes: [\n"), HasSubstr("test.yaml:"));
  EXPECT_THAT(error_of("routes:\n- virtual_hosts: []\n"), HasSubstr("without name"));
  EXPECT_THAT(error_of("routes:\n- name: r\n- name: r\n"), HasSubstr("\"r\" is given twice"));
  EXPECT_THAT(error_of("resources:\n- '@type': type.googleapis.com/no.such.Type\n"),
              HasSubstr("no.such.Type"));
}

TEST(MockCpFiles, TheDemoIsWhatRunServes) {
  const FolderContent demo = read_folder("tools/mock-cp/demo");
  EXPECT_THAT(demo.errors, IsEmpty());
  EXPECT_THAT(demo.resources.types.find(kLds)->second, SizeIs(1));
  EXPECT_THAT(demo.resources.types.find(kCds)->second, SizeIs(2));
  EXPECT_THAT(demo.resources.types.find(kEds)->second, SizeIs(2));
  EXPECT_THAT(demo.resources.types.find(kRds)->second, SizeIs(1));
}

class MockCpFolder : public ::testing::Test {
 protected:
  MockCpFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "mock-cp-XXXXXX";
    folder = mkdtemp(pattern.data());
  }
  ~MockCpFolder() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(folder / name) << text;
  }
  std::filesystem::path folder;
};

TEST_F(MockCpFolder, AllErrorsAreReportedAndDuplicatesNameBothFiles) {
  write("a.yaml", "routes:\n- name: r\n");
  write("b.yaml", "routes:\n- name: r\n");
  write("c.yaml", "routes: 7\n");
  write("ignored.txt", "nonsense");
  write(".hidden.yaml", "nonsense");
  const FolderContent content = read_folder(folder);
  ASSERT_THAT(content.errors, SizeIs(2));
  EXPECT_THAT(content.errors[0], ::testing::AllOf(HasSubstr("b.yaml"), HasSubstr("a.yaml")));
  EXPECT_THAT(content.errors[1], HasSubstr("c.yaml:1:"));
  EXPECT_EQ(content.num_files, 3u);
}

TEST_F(MockCpFolder, AWatchSeesWritesRenamesAndRemovals) {
  auto watch = FolderWatch::open(folder);
  ASSERT_TRUE(watch.ok());
  const int stop = eventfd(0, 0);
  write("a.yaml", "x");
  EXPECT_TRUE(watch->wait(stop));
  std::filesystem::rename(folder / "a.yaml", folder / "b.yaml");
  EXPECT_TRUE(watch->wait(stop));
  std::filesystem::remove(folder / "b.yaml");
  EXPECT_TRUE(watch->wait(stop));
  const uint64_t one = 1;
  ASSERT_EQ(8, ::write(stop, &one, sizeof(one)));
  EXPECT_FALSE(watch->wait(stop));
  close(stop);
  EXPECT_FALSE(FolderWatch::open(folder / "none").ok());
}

// --- Snapshots.

TEST(MockCpSnapshot, OnlyTypesThatChangedGetANewVersion) {
  uint64_t counter = 0;
  const auto first =
      next_snapshot(nullptr, read("routes: [{name: r}]\nclusters: [{name: c}]"), counter);
  const auto same =
      next_snapshot(first.get(), read("clusters: [{name: c}]\nroutes: [{name: r}]"), counter);
  EXPECT_EQ(same->find(kRds)->version, first->find(kRds)->version);
  const auto changed = next_snapshot(
      same.get(), read("routes: [{name: r, internal_only_headers: [x]}]\nclusters: [{name: c}]"),
      counter);
  EXPECT_NE(changed->find(kRds)->version, first->find(kRds)->version);
  EXPECT_EQ(changed->find(kCds)->version, first->find(kCds)->version);
  const auto gone = next_snapshot(changed.get(), read("clusters: [{name: c}]"), counter);
  EXPECT_TRUE(gone->find(kRds)->resources.empty());
  EXPECT_NE(gone->find(kRds)->version, changed->find(kRds)->version);
}

TEST(MockCpGenerate, MakesWhatWasAskedFor) {
  const auto what = parse_generate("listeners=2,vhosts=3,routes=4,clusters=5,endpoints=6");
  ASSERT_TRUE(what.ok());
  const ResourceSet set = generate(*what);
  EXPECT_THAT(set.types.find(kLds)->second, SizeIs(2));
  EXPECT_THAT(set.types.find(kCds)->second, SizeIs(5));
  EXPECT_THAT(set.types.find(kEds)->second, SizeIs(5));
  envoy::config::route::v3::RouteConfiguration routes;
  ASSERT_TRUE(routes.ParseFromString(set.types.find(kRds)->second.find("generated")->second.bytes));
  ASSERT_EQ(routes.virtual_hosts_size(), 3);
  EXPECT_EQ(routes.virtual_hosts(0).routes_size(), 4);
  envoy::config::endpoint::v3::ClusterLoadAssignment endpoints;
  ASSERT_TRUE(
      endpoints.ParseFromString(set.types.find(kEds)->second.find("cluster-4")->second.bytes));
  EXPECT_EQ(endpoints.endpoints(0).lb_endpoints_size(), 6);
  for (const auto* bad :
       {"x=1", "routes", "routes=", "routes=-1", "routes=1x", "listeners=60000"}) {
    EXPECT_FALSE(parse_generate(bad).ok()) << bad;
  }
}

// --- Over gRPC.

TEST(MockCpServer, SeveralClientsGetPushes) {
  std::mutex mutex;
  std::vector<std::string> lines;
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.log = [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    lines.emplace_back(line);
  };
  auto server = Server::start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  uint64_t counter = 0;
  auto snapshot = next_snapshot(nullptr, read("clusters: [{name: a}]"), counter);
  (*server)->set(snapshot);

  const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string((*server)->port()),
                                           grpc::InsecureChannelCredentials());
  const auto stub = envoy::service::discovery::v3::AggregatedDiscoveryService::NewStub(channel);
  struct OneClient {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<DiscoveryRequest, DiscoveryResponse>> stream;
  };
  std::vector<OneClient> clients(3);
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  for (auto& c : clients) {
    c.context.set_deadline(deadline);
    c.stream = stub->StreamAggregatedResources(&c.context);
    DiscoveryRequest request;
    request.mutable_node()->set_id("me");
    request.set_type_url(kCds);
    ASSERT_TRUE(c.stream->Write(request));
    DiscoveryResponse response;
    ASSERT_TRUE(c.stream->Read(&response));
    EXPECT_EQ(response.version_info(), "1");
    request.set_response_nonce(response.nonce());
    request.set_version_info("1");
    ASSERT_TRUE(c.stream->Write(request));
  }
  (*server)->set(next_snapshot(snapshot.get(), read("clusters: [{name: b}]"), counter));
  for (auto& c : clients) {
    DiscoveryResponse response;
    ASSERT_TRUE(c.stream->Read(&response));
    EXPECT_EQ(response.version_info(), "2");
  }
  EXPECT_EQ((*server)->num_streams(), 3u);
  for (auto& c : clients) c.stream->WritesDone();
  for (auto& c : clients) EXPECT_TRUE(c.stream->Finish().ok());
  server->reset();
  EXPECT_THAT(lines, ::testing::Each(HasSubstr("ACK CDS version 1")));
  EXPECT_THAT(lines, SizeIs(3));
}

TEST(MockCpServer, APortInUseIsAnError) {
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  auto first = Server::start(options);
  ASSERT_TRUE(first.ok());
  options.listen = "127.0.0.1:" + std::to_string((*first)->port());
  EXPECT_THAT(std::string(Server::start(options).status().message()), HasSubstr("--listen"));
}

}  // namespace
}  // namespace sluice::mock_cp
