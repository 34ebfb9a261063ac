#include "xds/grpc_transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <condition_variable>
#include <limits>
#include <mutex>

#include "base/text.h"

namespace sluice::xds {
namespace {

constexpr std::chrono::seconds kShutdownWait{2};
constexpr size_t kQuotaSlackBytes = size_t{64} << 20;  // what is under way beside one message

// Counts the calls that gRPC still holds, for the transport's destructor. Calls keep it alive.
class Calls {
 public:
  void opened() {
    const std::lock_guard lock(mutex_);
    ++open_;
  }
  void closed() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) none_.notify_all();
  }
  // After this nothing is posted any more.
  void stop_and_wait(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    executor_ = nullptr;
    none_.wait_for(lock, longest, [this] { return open_ == 0; });
  }
  void post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (executor_) executor_->post(std::move(task));
  }
  explicit Calls(Executor& executor) : executor_(&executor) {}

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  Executor* executor_;
  int open_ = 0;
};

absl::Status status_of(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// One call. gRPC holds it from StartCall() to OnDone(), whatever becomes of the Stream; `events_`
// is touched on main only and null once the stream is gone.
class Call final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                   public std::enable_shared_from_this<Call> {
 public:
  Call(std::shared_ptr<Calls> calls, StreamEvents& events, size_t max_message_bytes)
      : calls_(std::move(calls)), events_(&events), max_message_bytes_(max_message_bytes) {}

  void start(grpc::GenericStub& stub, const std::string& method, const GrpcTarget& target) {
    self_ = shared_from_this();
    context_.set_wait_for_ready(target.wait_for_ready);
    if (!target.authority.empty()) context_.set_authority(target.authority);
    for (const auto& [name, value] : target.metadata) context_.AddMetadata(name, value);
    calls_->opened();
    stub.PrepareBidiStreamingCall(&context_, method, {}, this);
    AddHold();  // released by abandon(): operations start from main, not from callbacks
    StartCall();
  }

  void send(std::string bytes) {
    const grpc::Slice slice(bytes);
    out_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&out_);
  }
  void read() { StartRead(&in_); }

  // On main: no more operations and no more events.
  void abandon() {
    events_ = nullptr;
    context_.TryCancel();
    release();
  }

 private:
  void release() {
    if (!std::exchange(released_, true)) RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    if (ok)
      tell([](StreamEvents& events) { events.on_sent(); });
    else
      finish();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return finish();
    if (in_.Length() > max_message_bytes_) {
      too_big_ = in_.Length();
      in_.Clear();
      context_.TryCancel();
      return finish();
    }
    auto bytes = std::make_shared<std::string>();
    std::vector<grpc::Slice> slices;
    const size_t length = in_.Length();
    const bool dumped = in_.Dump(&slices).ok();
    in_.Clear();
    if (!dumped) {
      context_.TryCancel();
      return finish();
    }
    bytes->reserve(length);
    for (const grpc::Slice& s : slices) {
      bytes->append(reinterpret_cast<const char*>(s.begin()), s.size());
    }
    tell([bytes](StreamEvents& events) { events.on_message(std::move(*bytes)); });
  }

  // The stream failed or ended: gives up our hold, so that OnDone() brings the status.
  void finish() {
    calls_->post([call = shared_from_this()] { call->release(); });
  }

  void OnDone(const grpc::Status& grpc_status) override {
    absl::Status status = status_of(grpc_status);
    if (too_big_ != 0) {
      status = absl::ResourceExhaustedError(base::cat("a response of ", too_big_,
                                                      " bytes is larger than the limit of ",
                                                      max_message_bytes_, " bytes"));
    }
    tell([status](StreamEvents& events) { events.on_closed(status); });
    const std::shared_ptr<Calls> calls = calls_;
    const std::shared_ptr<Call> self = std::move(self_);
    calls->closed();
  }

  template <typename Fn>
  void tell(Fn fn) {
    calls_->post([call = shared_from_this(), fn = std::move(fn)] {
      if (call->events_) fn(*call->events_);
    });
  }

  grpc::ClientContext context_;
  std::shared_ptr<Calls> calls_;
  StreamEvents* events_;
  const size_t max_message_bytes_;
  size_t too_big_ = 0;
  bool released_ = false;  // main only
  grpc::ByteBuffer in_;
  grpc::ByteBuffer out_;
  std::shared_ptr<Call> self_;
};

class GrpcStream final : public Stream {
 public:
  explicit GrpcStream(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~GrpcStream() override { call_->abandon(); }
  void send(std::string bytes) override { call_->send(std::move(bytes)); }
  void read() override { call_->read(); }

 private:
  std::shared_ptr<Call> call_;
};

int millis(std::chrono::milliseconds value) {
  return static_cast<int>(std::clamp<int64_t>(value.count(), 1, std::numeric_limits<int>::max()));
}

grpc::ChannelArguments arguments_of(const GrpcTarget& target) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(-1);
  // gRPC compares with its limit when a message is whole. The quota ends a stream before that.
  grpc::ResourceQuota quota("xds");
  quota.Resize(target.max_message_bytes + kQuotaSlackBytes);
  args.SetResourceQuota(quota);
  // A few bytes may be many when they are unpacked, and that has no limit at all.
  args.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
  args.SetMaxSendMessageSize(-1);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, std::min(200, millis(target.reconnect_max)));
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, millis(target.reconnect_max));
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5'000);  // how long one try may take
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, millis(target.reconnect_max));
  if (!target.authority.empty()) args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, target.authority);
  if (target.keepalive_interval.count() > 0) {
    args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, millis(target.keepalive_interval));
    args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, millis(target.keepalive_timeout));
    args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  return args;
}

absl::Status check(const GrpcTarget& target) {
  if (target.target.empty()) return base::config_error("target: must not be empty");
  if (!target.credentials.empty() && target.credentials != "insecure") {
    return base::config_error("credentials: only \"insecure\" is supported yet: ",
                              target.credentials);
  }
  for (const auto& [name, value] : target.metadata) {
    const bool lower = std::none_of(name.begin(), name.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || c <= ' ' || c == ':' || static_cast<uint8_t>(c) >= 0x7f;
    });
    if (name.empty() || !lower) {
      return base::config_error("initial_metadata: not a lower-case header name: ", name);
    }
  }
  return absl::OkStatus();
}

}  // namespace

struct GrpcTransport::Channel {
  Channel(GrpcTarget t, Executor& executor)
      : target(std::move(t)),
        stub(grpc::CreateCustomChannel(target.target, grpc::InsecureChannelCredentials(),
                                       arguments_of(target))),
        calls(std::make_shared<Calls>(executor)) {}

  GrpcTarget target;
  grpc::GenericStub stub;
  std::shared_ptr<Calls> calls;
};

absl::StatusOr<std::unique_ptr<GrpcTransport>> GrpcTransport::make(GrpcTarget target,
                                                                   Executor& executor) {
  if (absl::Status status = check(target); !status.ok()) return status;
  return std::unique_ptr<GrpcTransport>(
      new GrpcTransport(std::make_unique<Channel>(std::move(target), executor)));
}

GrpcTransport::GrpcTransport(std::unique_ptr<Channel> channel) : channel_(std::move(channel)) {}

GrpcTransport::~GrpcTransport() { channel_->calls->stop_and_wait(kShutdownWait); }

std::unique_ptr<Stream> GrpcTransport::open(std::string_view method, StreamEvents& events) {
  auto call = std::make_shared<Call>(channel_->calls, events, channel_->target.max_message_bytes);
  call->start(channel_->stub, std::string(method), channel_->target);
  return std::make_unique<GrpcStream>(std::move(call));
}

}  // namespace sluice::xds
