#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tests/support/xds/messages.h"
#include "xds/transport.h"

namespace sluice::test {

// The server's end of streams without a network: a test takes the requests, sends responses and
// ends streams. Everything on the test's thread.
class ScriptedTransport final : public xds::Transport {
 public:
  explicit ScriptedTransport(xds::Executor& executor) : executor_(executor) {}

  std::unique_ptr<xds::Stream> open(std::string_view method, xds::StreamEvents& events) override {
    methods.emplace_back(method);
    opened_at.push_back(executor_.now());
    auto stream = std::make_unique<End>(*this, events);
    end_ = stream.get();
    inbox_.clear();
    return stream;
  }

  bool is_open() const { return end_ != nullptr; }
  bool has_request() const { return !requests.empty() || !delta_requests.empty(); }
  std::string first_request() const {
    if (!requests.empty()) return requests.front().ShortDebugString();
    return delta_requests.empty() ? "none" : delta_requests.front().ShortDebugString();
  }
  DiscoveryRequest take_request() {
    if (requests.empty()) {
      ADD_FAILURE() << "no request";
      return {};
    }
    DiscoveryRequest request = std::move(requests.front());
    requests.pop_front();
    return request;
  }
  DeltaDiscoveryRequest take_delta_request() {
    if (delta_requests.empty()) {
      ADD_FAILURE() << "no request";
      return {};
    }
    DeltaDiscoveryRequest request = std::move(delta_requests.front());
    delta_requests.pop_front();
    return request;
  }
  void send(const google::protobuf::Message& response) { send_bytes(response.SerializeAsString()); }
  void send_bytes(std::string bytes) {
    inbox_.push_back(std::move(bytes));
    deliver();
  }
  void close(absl::Status status = absl::OkStatus()) {
    if (end_) end_->events.on_closed(status);
  }
  // The write that was held back by hold_writes.
  void finish_write() {
    if (end_) end_->sent();
  }
  size_t unread() const { return inbox_.size(); }

  bool delta = false;  // requests are those of incremental streams
  std::deque<DiscoveryRequest> requests;
  std::deque<DeltaDiscoveryRequest> delta_requests;
  std::vector<std::string> methods;
  std::vector<base::MonoNs> opened_at;
  bool hold_writes = false;

 private:
  struct End final : xds::Stream {
    End(ScriptedTransport& o, xds::StreamEvents& e) : owner(o), events(e) {}
    ~End() override {
      if (owner.end_ == this) owner.end_ = nullptr;
    }
    void send(std::string bytes) override {
      EXPECT_FALSE(writing) << "two writes at once";
      writing = true;
      if (owner.delta) {
        EXPECT_TRUE(owner.delta_requests.emplace_back().ParseFromString(bytes));
      } else {
        EXPECT_TRUE(owner.requests.emplace_back().ParseFromString(bytes));
      }
      if (!owner.hold_writes) {
        owner.executor_.post([o = &owner, me = this] {
          if (o->end_ == me) me->sent();
        });
      }
    }
    void sent() {
      writing = false;
      events.on_sent();
    }
    void read() override {
      EXPECT_FALSE(reading) << "two reads at once";
      reading = true;
      owner.executor_.post([o = &owner] { o->deliver(); });
    }
    ScriptedTransport& owner;
    xds::StreamEvents& events;
    bool writing = false;
    bool reading = false;
  };

  void deliver() {
    if (!end_ || !end_->reading || inbox_.empty()) return;
    end_->reading = false;
    std::string bytes = std::move(inbox_.front());
    inbox_.pop_front();
    end_->events.on_message(std::move(bytes));
  }

  xds::Executor& executor_;
  End* end_ = nullptr;
  std::deque<std::string> inbox_;
};

// Takes updates as the assembler would, and notes them. A resource is rejected if its name is in
// `bad`. With `later` set the test calls finish() itself.
class RecordingSink final : public xds::ResourceSink {
 public:
  void apply(xds::Update update, std::function<void(std::vector<xds::Rejected>)> done) override {
    EXPECT_EQ(0, in_work_[update.type]++) << "two updates of one type at once";
    const xds::Type type = update.type;
    std::vector<xds::Rejected> rejected;
    for (const xds::Resource& r : update.changed) {
      if (bad.contains(r.name)) {
        rejected.push_back({r.name, base::config_error("field: ", bad.at(r.name))});
      } else {
        held[type][r.name] = r.bytes;
      }
    }
    for (const std::string& name : update.removed) held[type].erase(name);
    updates.push_back(update);
    auto finish = [this, type, rejected, done = std::move(done)] {
      --in_work_[type];
      done(rejected);
    };
    if (on_apply) on_apply(updates.back());
    if (later) {
      pending.push_back(std::move(finish));
    } else {
      finish();
    }
  }
  void on_fetch_timeout(xds::Type type, xds::SourceId, std::string_view name) override {
    timeouts.emplace_back(type, std::string(name));
  }
  void finish() {
    ASSERT_FALSE(pending.empty());
    auto first = std::move(pending.front());
    pending.pop_front();
    first();
  }

  std::map<std::string, std::string> bad;  // name, problem
  bool later = false;
  std::function<void(const xds::Update&)> on_apply;
  std::deque<xds::Update> updates;
  std::deque<std::function<void()>> pending;
  std::map<xds::Type, std::map<std::string, std::string>> held;
  std::vector<std::pair<xds::Type, std::string>> timeouts;

 private:
  std::map<xds::Type, int> in_work_;
};

}  // namespace sluice::test
