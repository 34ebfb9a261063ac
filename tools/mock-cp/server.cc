#include "tools/mock-cp/server.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/text.h"
#include "tools/mock-cp/delta_stream.h"
#include "tools/mock-cp/outbox.h"
#include "tools/mock-cp/sotw_stream.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

class Reactor;

// Calls `wake` at the times that were asked for, on a thread of its own.
class Alarm {
 public:
  using Clock = Outbox::Clock;

  explicit Alarm(std::function<void()> wake) : wake_(std::move(wake)), thread_([this] { run(); }) {}
  ~Alarm() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void at(Clock::time_point when) {
    const std::lock_guard lock(mutex_);
    times_.insert(when);
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      if (times_.empty()) {
        changed_.wait(lock);
      } else if (const auto first = *times_.begin(); Clock::now() < first) {
        changed_.wait_until(lock, first);
      } else {
        times_.erase(times_.begin(), times_.upper_bound(Clock::now()));
        lock.unlock();
        wake_();
        lock.lock();
      }
    }
  }

  const std::function<void()> wake_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Clock::time_point> times_;
  bool stopped_ = false;
  std::thread thread_;
};

// What the streams share. Lock order: streams_mutex, a reactor's mutex, the others.
struct Shared {
  ServerOptions options;
  Journal journal;
  FaultList faults;
  LoadReports loads;
  std::mutex snapshot_mutex;
  std::shared_ptr<const Snapshot> snapshot;
  mutable std::mutex streams_mutex;
  std::set<Reactor*> streams;
  std::unique_ptr<Alarm> alarm;

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

std::unique_ptr<Stream> make_stream(const RpcMethod& method, uint64_t id, bool superset) {
  std::string name = std::to_string(id);
  if (method.delta) return std::make_unique<DeltaStream>(std::move(name), method.type_url);
  return std::make_unique<SotwStream>(std::move(name), method.type_url, superset);
}

grpc::Status status_of(int code) {
  if (code == 0) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(code), "ended by mock-cp on demand");
}

std::string bytes_of(grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& s : slices) {
    bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
  }
  buffer.Clear();
  return bytes;
}

// What the log says of a request; empty: nothing.
std::string line_of(const Heard& heard, const std::string& node) {
  const std::string about =
      base::cat(short_name(heard.type_url), " version ", heard.version, " from node ", node);
  if (heard.kind == Heard::Kind::kAck) return base::cat("ACK ", about);
  if (heard.kind == Heard::Kind::kNack) return base::cat("NACK ", about, ": ", heard.error);
  if (heard.kind == Heard::Kind::kDropped) {
    return base::cat("old nonce: ", short_name(heard.type_url), " from node ", node, " answers ",
                     heard.nonce, "; dropped");
  }
  return "";
}

class Reactor final : public grpc::ServerGenericBidiReactor {
 public:
  Reactor(Shared& shared, const RpcMethod& method, std::string_view path, std::string peer)
      : shared_(shared),
        peer_(std::move(peer)),
        type_url_(method.type_url),
        id_(shared.journal.opened(peer_, path)),
        stream_(make_stream(method, id_, shared.options.superset)),
        outbox_(*stream_, shared.faults) {
    shared_.detail(base::cat("stream ", id_, " opened by ", peer_, ": ", path));
  }
  // Called once, before anything else can see it.
  void begin() { StartRead(&in_); }

  void push() {
    const std::lock_guard lock(mutex_);
    write_next();
  }
  bool close(const StreamFilter& filter, int status) {
    const std::lock_guard lock(mutex_);
    if ((filter.id != 0 && filter.id != id_) ||
        (!filter.node.empty() && filter.node != stream_->node_id()) ||
        (!filter.type_url.empty() && filter.type_url != type_url_) || finished_) {
      return false;
    }
    finish(status);
    return true;
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!ok) return finish(0);
    const Heard heard = stream_->hear(bytes_of(in_));
    shared_.journal.heard(id_, heard);
    shared_.log(line_of(heard, stream_->node_id()));
    for (const std::string& problem : heard.problems) {
      shared_.log(base::cat("PROBLEM ", problem, " (node ", stream_->node_id(), ")"));
    }
    shared_.detail(base::cat("request on stream ", id_, ": ", text_of(heard.kind), " ",
                             short_name(heard.type_url), " nonce \"", heard.nonce, "\""));
    StartRead(&in_);
    write_next();
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) return finish(0);
    write_next();
  }

  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    finish(0);
  }

  void OnDone() override {
    shared_.detail(base::cat("stream ", id_, " (node ", stream_->node_id(), ") ended"));
    {
      const std::lock_guard lock(shared_.streams_mutex);
      shared_.streams.erase(this);
    }
    shared_.journal.closed(id_);
    delete this;
  }

 private:
  void write_next() {
    if (writing_ || finished_) return;
    const auto snapshot = shared_.current();
    if (!snapshot) return;
    outbox_.fill(snapshot);
    auto message = outbox_.take(Outbox::Clock::now(), snapshot);
    if (!message) {
      if (const auto at = outbox_.wake_at()) shared_.alarm->at(*at);
      return;
    }
    if (message->end_status >= 0) return finish(message->end_status);
    shared_.journal.pushed(id_, message->push);
    shared_.detail(base::cat("push ", short_name(message->push.type_url), " version ",
                             message->push.version, ", ", message->push.items.size(),
                             " resources, to node ", stream_->node_id()));
    const grpc::Slice slice(message->bytes);
    out_ = grpc::ByteBuffer(&slice, 1);
    writing_ = true;
    StartWrite(&out_);
  }
  void finish(int status) {
    if (!std::exchange(finished_, true)) Finish(status_of(status));
  }

  Shared& shared_;
  const std::string peer_;
  const std::string type_url_;
  const uint64_t id_;
  std::mutex mutex_;
  std::unique_ptr<Stream> stream_;
  Outbox outbox_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  bool writing_ = false;
  bool finished_ = false;
};

constexpr std::string_view kLoadMethod =
    "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

// A client that reports its load: asked once, heard until it goes.
class LoadReactor final : public grpc::ServerGenericBidiReactor {
 public:
  explicit LoadReactor(Shared& shared) : shared_(shared) { StartRead(&in_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    std::string line;
    if (!shared_.loads.take(bytes_of(in_), &line)) {
      return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "not a LoadStatsRequest"));
    }
    shared_.log(line);
    if (!std::exchange(asked_, true)) {
      const grpc::Slice slice(shared_.loads.question());
      out_ = grpc::ByteBuffer(&slice, 1);
      StartWrite(&out_);
    }
    StartRead(&in_);
  }
  void OnDone() override { delete this; }

 private:
  Shared& shared_;
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  bool asked_ = false;
};

class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class GrpcServer final : public Server, private grpc::CallbackGenericService {
 public:
  explicit GrpcServer(ServerOptions options) {
    shared_.options = std::move(options);
    shared_.loads.set_interval_ms(shared_.options.load_interval_ms);
    shared_.alarm = std::make_unique<Alarm>([this] { push_all(); });
  }

  ~GrpcServer() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
    shared_.alarm.reset();
  }

  absl::Status listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(shared_.options.listen, grpc::InsecureServerCredentials(), &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.SetMaxReceiveMessageSize(64 << 20);
    builder.SetMaxSendMessageSize(-1);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    if (!server_ || port_ == 0) {
      return base::config_error("--listen: cannot listen on it (is it in use?): ",
                                shared_.options.listen);
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }
  Journal& journal() override { return shared_.journal; }
  FaultList& faults() override { return shared_.faults; }
  LoadReports& loads() override { return shared_.loads; }

  void set(std::shared_ptr<const Snapshot> snapshot) override {
    {
      const std::lock_guard lock(shared_.snapshot_mutex);
      shared_.snapshot = std::move(snapshot);
    }
    push_all();
  }

  size_t num_streams() const override {
    const std::lock_guard lock(shared_.streams_mutex);
    return shared_.streams.size();
  }

  size_t close_streams(const StreamFilter& filter, int status) override {
    const std::lock_guard lock(shared_.streams_mutex);
    size_t closed = 0;
    for (Reactor* reactor : shared_.streams) closed += reactor->close(filter, status) ? 1 : 0;
    return closed;
  }

 private:
  void push_all() {
    const std::lock_guard lock(shared_.streams_mutex);
    for (Reactor* reactor : shared_.streams) reactor->push();
  }

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (context->method() == kLoadMethod && shared_.loads.serves()) {
      return new LoadReactor(shared_);  // it deletes itself
    }
    const auto method = method_of(context->method());
    if (!method) {
      shared_.log(base::cat("unknown method ", context->method(), " from ", context->peer()));
      return new Refusal(
          grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "mock-cp has no such method"));
    }
    if (const auto refusals = shared_.faults.take(method->type_url, "", true); !refusals.empty()) {
      return new Refusal(status_of(refusals.front().second.status));
    }
    auto* reactor = new Reactor(shared_, *method, context->method(), context->peer());
    {
      const std::lock_guard lock(shared_.streams_mutex);
      shared_.streams.insert(reactor);
    }
    reactor->begin();  // it deletes itself
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
