// The HTTP interface and the faults, with a real client on a real stream.

#include <arpa/inet.h>
#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/service/cluster/v3/cds.grpc.pb.h>
#include <envoy/service/discovery/v3/ads.grpc.pb.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "base/text.h"
#include "tests/mock_cp/resources.h"
#include "tools/mock-cp/control.h"
#include "tools/mock-cp/flags.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

using envoy::service::discovery::v3::AggregatedDiscoveryService;
using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kClusters[] = "clusters: [{name: a}, {name: b}]\n";

class MockCpControl : public ::testing::Test {
 protected:
  MockCpControl() {
    auto started = Server::start({.listen = "127.0.0.1:0"});
    EXPECT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
    store = std::make_unique<Store>([this](Store::Snapshots s) { server->set(std::move(s)); });
    store->set_files(read(kClusters));
    control = std::make_unique<Control>(*server, *store);
    auto web = HttpServer::start(
        "127.0.0.1:0", [this](const HttpServer::Request& r) { return control->handle(r); });
    EXPECT_TRUE(web.ok()) << web.status();
    http = *std::move(web);
    channel = grpc::CreateChannel(base::cat("127.0.0.1:", server->port()),
                                  grpc::InsecureChannelCredentials());
    stub = AggregatedDiscoveryService::NewStub(channel);
  }
  ~MockCpControl() override { server->journal().stop(); }

  // Status line and body of one request.
  std::string call(std::string_view method, std::string_view target, std::string_view body = {},
                   std::string_view type = "text/yaml") {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(http->port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) return "no connection";
    const std::string request = base::cat(
        method, " ", target, " HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: ", type,
        "\r\ncontent-length: ", body.size(), "\r\n\r\n", body);
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    close(fd);
    const size_t line = answer.find("\r\n"), head = answer.find("\r\n\r\n");
    return head == answer.npos ? answer
                               : answer.substr(9, line - 9) + " " + answer.substr(head + 4);
  }

  std::unique_ptr<Server> server;
  std::unique_ptr<Store> store;
  std::unique_ptr<Control> control;
  std::unique_ptr<HttpServer> http;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<AggregatedDiscoveryService::Stub> stub;
};

// A client that says what it is told to.
class Client {
 public:
  explicit Client(AggregatedDiscoveryService::Stub& stub, std::string node = "me")
      : node_(std::move(node)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = stub.StreamAggregatedResources(&context_);
  }
  void ask(const char* type, const DiscoveryResponse* answered = nullptr, const char* error = "") {
    DiscoveryRequest request;
    request.mutable_node()->set_id(node_);
    request.set_type_url(type);
    if (answered) request.set_response_nonce(answered->nonce());
    if (*error != 0) request.mutable_error_detail()->set_message(error);
    if (answered && *error == 0) accepted_ = answered->version_info();
    request.set_version_info(accepted_);
    EXPECT_TRUE(stream_->Write(request));
  }
  bool read(DiscoveryResponse* out) {
    out->Clear();
    return stream_->Read(out);
  }
  grpc::Status finish() { return stream_->Finish(); }

 private:
  const std::string node_;
  std::string accepted_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<DiscoveryRequest, DiscoveryResponse>> stream_;
};

TEST_F(MockCpControl, ResourcesAreSetPatchedAndDeleted) {
  EXPECT_THAT(
      call("PUT", "/resources", "routes: [{name: r, virtual_hosts: []}]"),
      AllOf(StartsWith("200 OK"), HasSubstr("\"RDS\": \"2\""), HasSubstr("\"CDS\": \"1\"")));
  EXPECT_THAT(call("PUT", "/resources/CDS/c", "{name: c, connect_timeout: 2s}"),
              HasSubstr("\"CDS\": \"3\""));
  EXPECT_THAT(call("GET", "/resources/CDS/c"), HasSubstr("\"connect_timeout\": \"2s\""));
  EXPECT_THAT(call("PATCH", "/resources/cds/c", "{connect_timeout: 7s}"), StartsWith("200"));
  EXPECT_THAT(call("GET", "/resources/CDS/c"), HasSubstr("\"connect_timeout\": \"7s\""));
  EXPECT_THAT(call("DELETE", "/resources/CDS/a"), StartsWith("200"));
  const std::string list = call("GET", "/resources?type=CDS");
  EXPECT_THAT(list, AllOf(HasSubstr("\"b\""), HasSubstr("\"c\""), Not(HasSubstr("\"a\""))));
  // What was set outlives a change of the files, and /reset ends it.
  store->set_files(read("clusters: [{name: a}, {name: d}]"));
  EXPECT_THAT(call("GET", "/resources?type=CDS"),
              AllOf(HasSubstr("\"c\""), HasSubstr("\"d\""), Not(HasSubstr("\"a\""))));
  EXPECT_THAT(call("POST", "/reset"), StartsWith("200"));
  EXPECT_THAT(call("GET", "/resources?type=CDS"),
              AllOf(HasSubstr("\"a\""), HasSubstr("\"d\""), Not(HasSubstr("\"c\""))));
}

TEST_F(MockCpControl, PatchReplacesLists) {
  call("PUT", "/resources",
       "routes: [{name: r, internal_only_headers: [a, b], "
       "virtual_hosts: [{name: v, domains: ['*']}]}]");
  call("PATCH", "/resources/RDS/r", "{internal_only_headers: [c]}");
  const std::string now = call("GET", "/resources/RDS/r");
  EXPECT_THAT(now, AllOf(HasSubstr("\"c\""), Not(HasSubstr("\"a\"")), HasSubstr("\"v\"")));
}

TEST_F(MockCpControl, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(call("GET", "/nothing"), StartsWith("404"));
  EXPECT_THAT(call("PUT", "/resources", "clusters: [{nam: a}]"),
              AllOf(StartsWith("400"), HasSubstr("clusters[0].nam")));
  EXPECT_THAT(call("PATCH", "/resources/CDS/none", "{}"), StartsWith("404"));
  EXPECT_THAT(call("GET", "/resources/XDS/a"), StartsWith("404"));
  EXPECT_THAT(call("POST", "/faults?type=CDS"), AllOf(StartsWith("400"), HasSubstr("action")));
  EXPECT_THAT(call("POST", "/faults?action=melt"), StartsWith("400"));
  EXPECT_THAT(call("POST", "/faults?action=drop&count=x"), StartsWith("400"));
  EXPECT_THAT(call("DELETE", "/faults?id=7"), StartsWith("404"));
  EXPECT_THAT(call("GET", "/touch?type=CDS"), StartsWith("405"));
  EXPECT_THAT(call("GET", "/wait?type=CDS"), StartsWith("400"));
  EXPECT_THAT(call("BAD REQUEST", "/"), StartsWith("400"));
}

TEST_F(MockCpControl, WaitsForAnAckANackNamesAndStreams) {
  EXPECT_THAT(call("GET", "/wait?type=CDS&version=current&timeout_ms=1"), StartsWith("408"));
  EXPECT_THAT(call("GET", "/wait?streams=0"), StartsWith("200"));
  Client client(*stub);
  auto waiting = std::async(std::launch::async,
                            [&] { return call("GET", "/wait?type=CDS&version=1&node=me"); });
  DiscoveryResponse response;
  client.ask(kCds);
  ASSERT_TRUE(client.read(&response));
  client.ask(kCds, &response);
  EXPECT_THAT(waiting.get(), StartsWith("200"));
  EXPECT_THAT(call("GET", "/wait?streams=1"), StartsWith("200"));
  EXPECT_THAT(call("GET", "/wait?type=CDS&names=a,b"), StartsWith("200"));  // a wildcard has all
  EXPECT_THAT(call("GET", "/wait?type=CDS&version=1&node=other&timeout_ms=1"), StartsWith("408"));

  call("POST", "/touch?type=CDS");
  ASSERT_TRUE(client.read(&response));
  client.ask(kCds, &response, "it is bad");
  EXPECT_THAT(call("GET", "/wait?type=CDS&version=2&as=nack"), StartsWith("200"));
  EXPECT_THAT(call("GET", "/wait?type=CDS&version=2&as=ack&timeout_ms=1"), StartsWith("408"));
  const std::string clients = call("GET", "/clients?node=me");
  EXPECT_THAT(clients, AllOf(HasSubstr("\"error\": \"it is bad\""), HasSubstr("\"acks\": 1"),
                             HasSubstr("\"nacks\": 1"), HasSubstr("\"kind\": \"nack\"")));
  EXPECT_THAT(call("GET", "/check"), StartsWith("200"));
  client.ask(kCds, &response, "again");
  EXPECT_TRUE(server->journal().wait(
      std::chrono::steady_clock::now() + std::chrono::seconds(10),
      [](const auto& streams) { return !streams.begin()->second.problems.empty(); }));
  EXPECT_THAT(call("GET", "/check"), AllOf(StartsWith("409"), HasSubstr("duplicate_ack")));
}

TEST_F(MockCpControl, NamesAreCompleteWhenAllClustersAreAskedFor) {
  call("PUT", "/resources",
       "clusters: [{name: e, type: EDS}, {name: f, type: EDS, eds_cluster_config: {service_name: "
       "g}}]\nendpoints: [{cluster_name: e}, {cluster_name: g}]");
  Client client(*stub);
  client.ask(kCds);
  DiscoveryResponse response;
  ASSERT_TRUE(client.read(&response));
  client.ask(kCds, &response);
  EXPECT_THAT(call("GET", "/wait?type=EDS&names=complete&timeout_ms=1"), StartsWith("408"));
  client.ask(kEds);  // a wildcard
  EXPECT_THAT(call("GET", "/wait?type=EDS&names=complete"), StartsWith("200"));
}

// Each fault, as the client sees it.
class MockCpFaults : public MockCpControl {
 protected:
  MockCpFaults() {
    client = std::make_unique<Client>(*stub);
    client->ask(kCds);
    EXPECT_TRUE(client->read(&response));
    client->ask(kCds, &response);
    EXPECT_THAT(call("GET", "/wait?type=CDS&version=1"), StartsWith("200"));
  }
  void fault(const std::string& query) {
    EXPECT_THAT(call("POST", "/faults?type=CDS&" + query), StartsWith("200"));
  }
  // The next response to a change.
  bool push() {
    call("POST", "/touch?type=CDS");
    return client->read(&response);
  }
  std::unique_ptr<Client> client;
  DiscoveryResponse response;
};

TEST_F(MockCpFaults, Delay) {
  fault("action=delay&ms=300");
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(push());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(290));
  EXPECT_EQ(response.resources_size(), 2);
  client->ask(kCds, &response);
  ASSERT_TRUE(push());
  EXPECT_THAT(call("GET", "/faults"), Not(HasSubstr("delay")));  // once
}

TEST_F(MockCpFaults, DropLeavesTheNextOneAlone) {
  fault("action=drop");
  call("POST", "/touch?type=CDS");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.version_info(), "3");
}

TEST_F(MockCpFaults, DuplicateHasTheSameNonce) {
  fault("action=duplicate");
  ASSERT_TRUE(push());
  const std::string nonce = response.nonce();
  client->ask(kCds, &response);
  ASSERT_TRUE(client->read(&response));
  EXPECT_EQ(response.nonce(), nonce);
  client->ask(kCds, &response);
  EXPECT_THAT(call("GET", "/check"), StartsWith("200"));
}

TEST_F(MockCpFaults, ReorderLetsAnotherPass) {
  call("PUT", "/resources", "runtimes: [{name: t}]");
  client->ask(url_of("RTDS").c_str());
  ASSERT_TRUE(client->read(&response));
  fault("action=reorder&ms=20000");
  call("POST", "/touch?type=CDS");
  call("PUT", "/resources", "listeners: [{name: l}]");
  client->ask(url_of("SRDS").c_str());
  call("PUT", "/resources", "extension_configs: [{name: x}]");
  client->ask(url_of("ECDS").c_str());
  ASSERT_TRUE(client->read(&response));
  EXPECT_EQ(short_name(response.type_url()), "ECDS");
  ASSERT_TRUE(client->read(&response));
  EXPECT_EQ(short_name(response.type_url()), "CDS");
}

TEST_F(MockCpFaults, ContentsThatLie) {
  fault("action=empty");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.resources_size(), 0);
  client->ask(kCds, &response);

  fault("action=bad");
  ASSERT_TRUE(push());
  ASSERT_EQ(response.resources_size(), 3);
  envoy::config::cluster::v3::Cluster cluster;
  ASSERT_TRUE(response.resources(2).UnpackTo(&cluster));
  EXPECT_EQ(cluster.name(), "mock-cp-bad");
  client->ask(kCds, &response);

  fault("action=corrupt");
  ASSERT_TRUE(push());
  EXPECT_FALSE(cluster.ParseFromString(response.resources(0).value()));
  client->ask(kCds, &response);

  fault("action=wrong_content&as=RDS");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.resources(0).type_url(), kRds);
  EXPECT_EQ(response.type_url(), kCds);
  client->ask(kCds, &response);

  fault("action=oversize&bytes=1000000");
  ASSERT_TRUE(push());
  EXPECT_GT(response.ByteSizeLong(), 1'000'000u);
  EXPECT_EQ(response.resources_size(), 2);
  client->ask(kCds, &response);

  fault("action=wrong_type&as=RDS");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.type_url(), kRds);
  ASSERT_TRUE(push());
  EXPECT_EQ(response.type_url(), kCds);
}

TEST_F(MockCpFaults, WrongNoncesAreUnderstoodWhenTheyComeBack) {
  const std::string before = response.nonce();
  fault("action=wrong_nonce");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.nonce(), before);
  client->ask(kCds, &response);
  fault("action=no_nonce");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.nonce(), "");
  client->ask(kCds, &response);
  ASSERT_TRUE(push());
  EXPECT_NE(response.nonce(), before);
  EXPECT_THAT(call("GET", "/check"), StartsWith("200"));
}

TEST_F(MockCpFaults, TruncatedMessagesAreNoProtobuf) {
  fault("action=truncate");
  call("POST", "/touch?type=CDS");
  EXPECT_FALSE(client->read(&response));
}

TEST_F(MockCpFaults, EndlessGoesOnUntilItIsRemoved) {
  fault("action=endless&resources=10");
  ASSERT_TRUE(push());
  EXPECT_EQ(response.resources_size(), 2);
  for (int i = 1; i < 20; ++i) {
    ASSERT_TRUE(client->read(&response));
    EXPECT_EQ(response.resources_size(), 12);
  }
  EXPECT_THAT(call("DELETE", "/faults"), StartsWith("200"));
  // The truth comes at the end, once the others are answered.
  for (int i = 0; response.resources_size() != 2; ++i) {
    client->ask(kCds, &response);
    ASSERT_LT(i, 10'000);
    ASSERT_TRUE(client->read(&response));
  }
}

TEST_F(MockCpFaults, StreamsEndAndAreRefused) {
  fault("action=close&status=8");
  call("POST", "/touch?type=CDS");
  EXPECT_FALSE(client->read(&response));
  EXPECT_EQ(client->finish().error_code(), 8);

  EXPECT_THAT(call("POST", "/faults?action=refuse&status=7"), StartsWith("200"));
  Client refused(*stub);
  EXPECT_FALSE(refused.read(&response));
  EXPECT_EQ(refused.finish().error_code(), 7);

  Client third(*stub, "third");
  third.ask(kCds);
  ASSERT_TRUE(third.read(&response));
  EXPECT_THAT(call("DELETE", "/streams?node=another"), HasSubstr("\"closed\": 0"));
  EXPECT_THAT(call("DELETE", "/streams?node=third&status=0"), HasSubstr("\"closed\": 1"));
  EXPECT_FALSE(third.read(&response));
  EXPECT_TRUE(third.finish().ok());
  EXPECT_THAT(call("GET", "/wait?streams=0"), StartsWith("200"));
}

TEST_F(MockCpControl, AStreamOfOneTypeAndADeltaStream) {
  using envoy::service::cluster::v3::ClusterDiscoveryService;
  const auto clusters = ClusterDiscoveryService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto stream = clusters->StreamClusters(&context);
  DiscoveryRequest request;
  request.mutable_node()->set_id("me");
  ASSERT_TRUE(stream->Write(request));  // without type_url, which such a stream need not have
  DiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.type_url(), kCds);
  EXPECT_EQ(response.resources_size(), 2);

  grpc::ClientContext delta_context;
  delta_context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  const auto delta = stub->DeltaAggregatedResources(&delta_context);
  DeltaDiscoveryRequest delta_request;
  delta_request.mutable_node()->set_id("me");
  delta_request.set_type_url(kCds);
  ASSERT_TRUE(delta->Write(delta_request));
  DeltaDiscoveryResponse delta_response;
  ASSERT_TRUE(delta->Read(&delta_response));
  EXPECT_EQ(delta_response.resources_size(), 2);
  delta_request.set_response_nonce(delta_response.nonce());
  ASSERT_TRUE(delta->Write(delta_request));
  EXPECT_THAT(call("GET", "/wait?type=CDS&version=1"), StartsWith("200"));
  EXPECT_THAT(call("DELETE", "/resources/CDS/a"), StartsWith("200"));
  ASSERT_TRUE(delta->Read(&delta_response));
  ASSERT_EQ(delta_response.removed_resources_size(), 1);
  EXPECT_EQ(delta_response.removed_resources(0), "a");
  EXPECT_THAT(call("GET", "/check"), StartsWith("200"));
}

TEST_F(MockCpControl, FlagsDoWhatTheInterfaceDoes) {
  const auto flags =
      parse_flags({"--listen", "127.0.0.1:0", "--patch", "CDS/a={connect_timeout: 3s}",
                   "--delete=CDS/b", "--fault", "action=drop,type=EDS,count=-1"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_TRUE(apply_changes(*flags, *store).ok());
  EXPECT_THAT(call("GET", "/resources/CDS/a"), HasSubstr("\"3s\""));
  EXPECT_THAT(call("GET", "/resources/CDS/b"), StartsWith("404"));
  ASSERT_EQ(flags->faults.size(), 1u);
  EXPECT_EQ(flags->faults[0].count, -1);
  EXPECT_EQ(flags->faults[0].type_url, kEds);
  for (const std::vector<std::string_view>& bad :
       std::vector<std::vector<std::string_view>>{{"--listen", "x", "--fault", "type=EDS"},
                                                  {"--listen", "x"},
                                                  {"--admin", "1"},
                                                  {"--listen", "x", "--what"}}) {
    EXPECT_FALSE(parse_flags(bad).ok());
  }
  const auto wrong = parse_flags({"--listen", "x", "--delete", "CDS/nobody"});
  ASSERT_TRUE(wrong.ok());
  EXPECT_THAT(std::string(apply_changes(*wrong, *store).message()), HasSubstr("nobody"));
}

}  // namespace
}  // namespace sluice::mock_cp
