#pragma once

// For programs that measure what an update costs: a control plane in the same process, which
// answers over the transport's seam, so that what is timed is ours. Main only.

#include <envoy/service/discovery/v3/discovery.pb.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "dataplane/server.h"
#include "xds/client.h"

namespace sluice::bench {

inline int64_t ns_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * base::kNsPerSec + t.tv_nsec;
}
inline int64_t process_cpu_ns() { return ns_of(CLOCK_PROCESS_CPUTIME_ID); }
inline int64_t now_ns() { return ns_of(CLOCK_MONOTONIC); }

// `resources`: a list of messages of one type.
template <typename Messages>
std::string response_with_all(const Messages& resources, int number) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  for (const auto& resource : resources) response.add_resources()->PackFrom(resource);
  response.set_type_url(response.resources(0).type_url());
  response.set_version_info(std::to_string(number));
  response.set_nonce(std::to_string(number));
  return response.SerializeAsString();
}

// Answers the first request of each type, and sends more when it is told to.
class ControlPlane final : public xds::Transport {
 public:
  explicit ControlPlane(xds::Executor& executor) : executor_(executor) {}

  void answer_first(xds::Type type, std::string bytes) {
    first_[std::string(xds::type_url_of(type))] = std::move(bytes);
  }
  std::unique_ptr<xds::Stream> open(std::string_view, xds::StreamEvents& events) override {
    events_ = &events;
    return std::make_unique<End>(*this);
  }
  // The whole message is there.
  void deliver(std::string bytes) { events_->on_message(std::move(bytes)); }
  int acks = 0;

 private:
  struct End final : xds::Stream {
    explicit End(ControlPlane& o) : owner(o) {}
    void send(std::string bytes) override { owner.on_request(bytes); }
    void read() override {}
    ControlPlane& owner;
  };

  void on_request(const std::string& bytes) {
    envoy::service::discovery::v3::DiscoveryRequest request;
    request.ParseFromString(bytes);
    if (request.has_error_detail()) {
      std::fprintf(stderr, "NACK: %s\n", request.error_detail().message().c_str());
      std::exit(1);
    }
    executor_.post([this] { events_->on_sent(); });
    if (!request.response_nonce().empty()) ++acks;
    const auto it = first_.find(request.type_url());
    if (it == first_.end()) return;
    executor_.post(
        [this, text = std::move(it->second)]() mutable { events_->on_message(std::move(text)); });
    first_.erase(it);
  }

  xds::Executor& executor_;
  std::map<std::string, std::string> first_;  // by type
  xds::StreamEvents* events_ = nullptr;
};

inline dataplane::Server::Options two_workers() {
  dataplane::Server::Options options;
  options.concurrency = 2;
  return options;
}

// Calls `then` when what went before is over and old tables are gone.
inline void settle(xds::Executor& executor, std::function<void()> then) {
  executor.call_at(executor.now() + 300 * base::kNsPerMs, std::move(then));
}

// How long an update takes, from its last byte to its effect on every worker.
class Effect {
 public:
  explicit Effect(dataplane::Server& server) : server_(server) {}
  void begin() {
    before_ = server_.tables().published_id();
    delivered_at_ = now_ns();
  }
  // Milliseconds, once it is in effect.
  std::optional<double> ms() const {
    const uint64_t published = server_.tables().published_id();
    if (published == before_ || !server_.tables().adopted_by_all(published)) return std::nullopt;
    base::MonoNs last = 0;
    for (const auto& p : server_.tables().progress()) last = std::max(last, p.adopted_at);
    return static_cast<double>(last - delivered_at_) / 1e6;
  }

 private:
  dataplane::Server& server_;
  uint64_t before_ = 0;
  base::MonoNs delivered_at_ = 0;
};

// Everything is asked of the one client.
class Asked final : public xds::Subscriptions {
 public:
  explicit Asked(xds::Client& client) : client_(client) {}
  void subscribe_all(xds::Type type, xds::SourceId) override { client_.subscribe_all(type); }
  void unsubscribe_all(xds::Type type, xds::SourceId) override { client_.unsubscribe_all(type); }
  void subscribe(xds::Type type, const xds::ResourceKey& key) override {
    client_.subscribe(type, key.name);
  }
  void unsubscribe(xds::Type type, const xds::ResourceKey& key) override {
    client_.unsubscribe(type, key.name);
  }
  void begin_batch() override { client_.begin_batch(); }
  void end_batch() override { client_.end_batch(); }

 private:
  xds::Client& client_;
};

// How long main does not turn: a timer of a millisecond notes the most processor time that main's
// thread had from one call to the next, which does not depend on what else the machine does.
class TurnWatch {
 public:
  explicit TurnWatch(xds::Executor& executor) : executor_(executor) {}
  void start() {
    cpu_at_ = ns_of(CLOCK_THREAD_CPUTIME_ID);
    if (!std::exchange(running_, true)) arm();
  }
  void stop() { running_ = false; }
  double longest_ms() const { return static_cast<double>(longest_ns_) / 1e6; }

 private:
  void arm() {
    executor_.call_at(executor_.now() + base::kNsPerMs, [this] {
      if (!running_) return;
      const int64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
      longest_ns_ = std::max(longest_ns_, cpu - cpu_at_);
      cpu_at_ = cpu;
      arm();
    });
  }
  xds::Executor& executor_;
  bool running_ = false;
  int64_t cpu_at_ = 0, longest_ns_ = 0;
};

}  // namespace sluice::bench
