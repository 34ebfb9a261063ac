#include "tools/mock-cp/server.h"

#include <envoy/service/discovery/v3/ads.grpc.pb.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <atomic>
#include <mutex>
#include <set>
#include <utility>

#include "base/text.h"
#include "tools/mock-cp/ads_stream.h"

namespace sluice::mock_cp {
namespace {

using Ads = envoy::service::discovery::v3::AggregatedDiscoveryService;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

class Reactor;

// What the streams share. Lock order: streams_mutex, a reactor's mutex, snapshot_mutex.
struct Shared {
  ServerOptions options;
  std::mutex snapshot_mutex;
  std::shared_ptr<const Snapshot> snapshot;
  mutable std::mutex streams_mutex;
  std::set<Reactor*> streams;
  std::atomic<uint64_t> opened{0};

  std::shared_ptr<const Snapshot> current() {
    const std::lock_guard lock(snapshot_mutex);
    return snapshot;
  }
  void log(std::string_view line) const {
    if (options.log && !line.empty()) options.log(line);
  }
  void detail(std::string_view line) const {
    if (options.verbose) log(line);
  }
};

class Reactor final : public grpc::ServerBidiReactor<DiscoveryRequest, DiscoveryResponse> {
 public:
  Reactor(Shared& shared, std::string peer, uint64_t number)
      : shared_(shared),
        peer_(std::move(peer)),
        stream_(std::to_string(number), shared.options.superset) {
    shared_.detail(base::cat("stream opened by ", peer_));
  }
  // Called once, before anything else can see it.
  void begin() { StartRead(&request_); }

  void push() {
    const std::lock_guard lock(mutex_);
    write_next();
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok) return finish();
    shared_.detail(base::cat("request ", short_name(request_.type_url()), " for ",
                             request_.resource_names_size(), " names, version \"",
                             request_.version_info(), "\", nonce \"", request_.response_nonce(),
                             "\""));
    shared_.log(stream_.on_request(request_));
    request_.Clear();
    StartRead(&request_);
    write_next();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) return finish();
    write_next();
  }

  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    finish();
  }

  void OnDone() override {
    shared_.detail(base::cat("stream of ", peer_, " (node ", stream_.node(), ") ended"));
    {
      const std::lock_guard lock(shared_.streams_mutex);
      shared_.streams.erase(this);
    }
    delete this;
  }

 private:
  void write_next() {
    if (writing_ || finished_) return;
    const auto snapshot = shared_.current();
    response_.Clear();
    if (!snapshot || !stream_.next(*snapshot, response_)) return;
    shared_.detail(base::cat("push ", short_name(response_.type_url()), " version ",
                             response_.version_info(), ", ", response_.resources_size(),
                             " resources, to node ", stream_.node()));
    writing_ = true;
    StartWrite(&response_);
  }
  void finish() {
    if (!std::exchange(finished_, true)) Finish(grpc::Status::OK);
  }

  Shared& shared_;
  const std::string peer_;
  std::mutex mutex_;
  AdsStream stream_;
  DiscoveryRequest request_;
  DiscoveryResponse response_;
  bool writing_ = false;
  bool finished_ = false;
};

class GrpcServer final : public Server, private Ads::CallbackService {
 public:
  explicit GrpcServer(ServerOptions options) { shared_.options = std::move(options); }

  ~GrpcServer() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

  absl::Status listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(shared_.options.listen, grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) {
      return base::config_error("--listen: cannot listen on it (is it in use?): ",
                                shared_.options.listen);
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  void set(std::shared_ptr<const Snapshot> snapshot) override {
    {
      const std::lock_guard lock(shared_.snapshot_mutex);
      shared_.snapshot = std::move(snapshot);
    }
    const std::lock_guard lock(shared_.streams_mutex);
    for (Reactor* reactor : shared_.streams) reactor->push();
  }

  size_t num_streams() const override {
    const std::lock_guard lock(shared_.streams_mutex);
    return shared_.streams.size();
  }

 private:
  grpc::ServerBidiReactor<DiscoveryRequest, DiscoveryResponse>* StreamAggregatedResources(
      grpc::CallbackServerContext* context) override {
    auto* reactor = new Reactor(shared_, context->peer(), ++shared_.opened);  // deletes itself
    {
      const std::lock_guard lock(shared_.streams_mutex);
      shared_.streams.insert(reactor);
    }
    reactor->begin();
    return reactor;
  }

  Shared shared_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::start(ServerOptions options) {
  auto server = std::make_unique<GrpcServer>(std::move(options));
  if (absl::Status status = server->listen(); !status.ok()) return status;
  return server;
}

}  // namespace sluice::mock_cp
