#include "xds/rest_transport.h"

#include <google/protobuf/util/json_util.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "base/text.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/file_transport.h"
#include "xds/http_post.h"
#include "xds/methods.h"

namespace sluice::xds {
namespace {

using ::envoy::service::discovery::v3::DiscoveryRequest;

// Envoy adds up to a fifth, so that proxies that start together do not poll together.
std::chrono::nanoseconds with_jitter(std::chrono::nanoseconds delay) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  const auto spread = static_cast<uint64_t>(delay.count() / 5) + 1;
  return delay + std::chrono::nanoseconds(random() % spread);
}

absl::StatusOr<std::string> json_of(const DiscoveryRequest& request) {
  std::string out;
  const auto status = google::protobuf::util::MessageToJsonString(request, &out);
  if (!status.ok()) return base::config_error("the request cannot be written as JSON");
  return out;
}

}  // namespace

// What main and the thread share. `wanted_` is the request to post, `stream_` to whom answers go.
class RestTransport::Poller {
 public:
  Poller(RestSource source, Type type, Executor& executor)
      : source_(std::move(source)), type_(type), executor_(executor) {
    thread_ = std::thread([this] { run(); });
  }
  // Main.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  void post(DiscoveryRequest request, std::weak_ptr<StreamEvents*> stream, bool at_once) {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = std::move(request);
      stream_ = std::move(stream);
      at_once_ |= at_once;
      whole_ |= at_once;
    }
    wake_.notify_one();
  }

 private:
  void run() {
    auto due = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      const bool ready = wanted_ && (at_once_ || std::chrono::steady_clock::now() >= due);
      if (!ready) {
        if (wanted_) {
          wake_.wait_until(lock, due);
        } else {
          wake_.wait(lock);
        }
        continue;
      }
      at_once_ = false;
      DiscoveryRequest request = *wanted_;
      const bool whole = std::exchange(whole_, false);
      if (whole) request.clear_version_info();
      const std::weak_ptr<StreamEvents*> stream = stream_;
      lock.unlock();
      const bool answered = poll(request, stream);
      due = std::chrono::steady_clock::now() + with_jitter(source_.refresh_delay);
      lock.lock();
      whole_ |= whole && !answered;
    }
  }

  // Whether there was an answer.
  bool poll(const DiscoveryRequest& request, const std::weak_ptr<StreamEvents*>& stream) {
    auto message = fetch(request);
    if (!message.ok()) {
      server_ = (server_ + 1) % source_.servers.size();
      tell(stream, [status = message.status()](StreamEvents& e) { e.on_trouble(status); });
      return false;
    }
    if (message->empty()) return true;
    tell(stream, [bytes = *std::move(message)](StreamEvents& e) { e.on_message(bytes); });
    return true;
  }

  // A serialised response; empty: nothing new.
  absl::StatusOr<std::string> fetch(const DiscoveryRequest& request) {
    const ControlPlane& server = source_.servers[server_];
    auto body = json_of(request);
    if (!body.ok()) return body.status();
    const auto failed = [&](std::string_view why) {
      return absl::UnavailableError(base::cat("REST of \"", server.name, "\": ", why));
    };
    auto answer = http_post({.target = server.target,
                             .host = server.authority,
                             .path = std::string(rest_path_of(type_)),
                             .body = *std::move(body),
                             .timeout = source_.request_timeout});
    if (!answer.ok()) return failed(base::message_of(answer.status()));
    if (answer->status == 304) return std::string();
    if (answer->status != 200) return failed(base::cat("status ", answer->status));
    return response_of(answer->body, base::cat("REST of \"", server.name, "\""), type_,
                       std::to_string(++nonce_), true);
  }

  template <typename Fn>
  void tell(const std::weak_ptr<StreamEvents*>& stream, Fn fn) {
    executor_.post([stream, fn = std::move(fn)] {
      if (const auto events = stream.lock()) fn(**events);
    });
  }

  const RestSource source_;
  const Type type_;
  Executor& executor_;
  size_t server_ = 0;   // the thread's
  uint64_t nonce_ = 0;  // the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool at_once_ = false;
  bool whole_ = false;  // names are new since the last answer
  std::optional<DiscoveryRequest> wanted_;
  std::weak_ptr<StreamEvents*> stream_;
  std::thread thread_;
};

// A message waits here until it is read; of two the newer one counts.
class RestTransport::RestStream final : public Stream, private StreamEvents {
 public:
  RestStream(std::shared_ptr<Poller> poller, Executor& executor, StreamEvents& events)
      : poller_(std::move(poller)),
        executor_(executor),
        events_(events),
        self_(std::make_shared<StreamEvents*>(static_cast<StreamEvents*>(this))) {}

  void send(std::string bytes) override {
    DiscoveryRequest request;
    if (!request.ParseFromString(bytes)) return;
    bool fresh = !std::exchange(asked_, true);
    for (const std::string& name : request.resource_names()) fresh |= names_.insert(name).second;
    if (request.has_node()) {
      node_ = request.node();  // on each poll, whatever a stream says (rule 170)
    } else {
      *request.mutable_node() = node_;
    }
    request.clear_response_nonce();
    request.clear_error_detail();
    poller_->post(std::move(request), self_, fresh);
    later([this] { events_.on_sent(); });
  }
  void read() override {
    reading_ = true;
    later([this] { deliver(); });
  }

 private:
  void on_sent() override {}
  void on_message(std::string bytes) override {
    waiting_ = std::move(bytes);
    deliver();
  }
  void on_trouble(const absl::Status& status) override { events_.on_trouble(status); }
  void on_closed(const absl::Status&) override {}

  void deliver() {
    if (!reading_ || !waiting_) return;
    reading_ = false;
    std::string bytes = *std::exchange(waiting_, std::nullopt);
    events_.on_message(std::move(bytes));
  }
  void later(std::function<void()> task) {
    executor_.post([self = std::weak_ptr<StreamEvents*>(self_), task = std::move(task)] {
      if (!self.expired()) task();
    });
  }

  std::shared_ptr<Poller> poller_;
  Executor& executor_;
  StreamEvents& events_;
  std::shared_ptr<StreamEvents*> self_;  // whoever holds it weakly finds out when this is gone
  envoy::config::core::v3::Node node_;
  std::set<std::string> names_;
  bool asked_ = false;
  bool reading_ = false;
  std::optional<std::string> waiting_;
};

RestTransport::RestTransport(RestSource source, Type type, Executor& executor)
    : poller_(std::make_shared<Poller>(std::move(source), type, executor)), executor_(executor) {}

RestTransport::~RestTransport() { poller_->stop(); }

std::unique_ptr<Stream> RestTransport::open(std::string_view, StreamEvents& events) {
  return std::make_unique<RestStream>(poller_, executor_, events);
}

}  // namespace sluice::xds
