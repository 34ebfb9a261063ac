#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/xds/messages.h"

namespace sluice::test {

// A control plane over real gRPC that does what a test says: requests queue up, responses go to
// the newest stream. Any method. Callable from the test's thread; gRPC's threads fill the queues.
class ScriptedControlPlane final : private grpc::CallbackGenericService {
 private:
  template <typename Fn>
  auto locked(Fn fn) const {
    const std::lock_guard lock(mutex_);
    return fn();
  }

 public:
  struct Script {
    bool reads = true;  // false: a server that hangs
    bool compresses = false;
  };

  explicit ScriptedControlPlane(int port = 0) : ScriptedControlPlane(port, Script()) {}
  ScriptedControlPlane(int port, Script script) : script_(script) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
    EXPECT_TRUE(server_ && port_ != 0) << "cannot listen on " << port;
  }
  ~ScriptedControlPlane() override {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

  int port() const { return port_; }
  std::string target() const { return "ipv4:127.0.0.1:" + std::to_string(port_); }

  size_t num_opened() const {
    return locked([&] { return opened_; });
  }
  size_t num_requests() const {
    return locked([&] { return requests_.size(); });
  }
  bool has_request() const { return num_requests() > 0; }
  bool has_stream() const {
    return locked([&] { return stream_ != nullptr; });
  }
  std::string method() const {
    return locked([&] { return method_; });
  }
  std::string host() const {
    return locked([&] { return host_; });
  }
  std::multimap<std::string, std::string> metadata() const {
    return locked([&] { return metadata_; });
  }
  DiscoveryRequest take_request() {
    return locked([&] {
      DiscoveryRequest request;
      if (!requests_.empty()) {
        request = std::move(requests_.front());
        requests_.pop_front();
      } else {
        ADD_FAILURE() << "no request";
      }
      return request;
    });
  }
  void send(const DiscoveryResponse& response) {
    const std::lock_guard lock(mutex_);
    out_.push_back(response.SerializeAsString());
    if (stream_) stream_->write_next();
  }
  void close(grpc::Status status = grpc::Status::OK) {
    const std::lock_guard lock(mutex_);
    if (stream_) stream_->finish(std::move(status));
  }

 private:
  class End final : public grpc::ServerGenericBidiReactor {
   public:
    explicit End(ScriptedControlPlane& owner) : owner_(owner) {
      if (owner_.script_.reads) StartRead(&in_);
    }
    void OnReadDone(bool ok) override {
      const std::lock_guard lock(owner_.mutex_);
      if (!ok) return finish(grpc::Status::OK);
      std::vector<grpc::Slice> slices;
      std::string bytes;
      EXPECT_TRUE(in_.Dump(&slices).ok());
      for (const auto& s : slices) {
        bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
      }
      DiscoveryRequest request;
      EXPECT_TRUE(request.ParseFromString(bytes));
      owner_.requests_.push_back(std::move(request));
      StartRead(&in_);
    }
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(owner_.mutex_);
      writing_ = false;
      if (ok) write_next();
    }
    void OnCancel() override {
      const std::lock_guard lock(owner_.mutex_);
      finish(grpc::Status::CANCELLED);
    }
    void OnDone() override {
      {
        const std::lock_guard lock(owner_.mutex_);
        if (owner_.stream_ == this) owner_.stream_ = nullptr;
      }
      delete this;
    }
    // With the mutex held.
    void write_next() {
      if (writing_ || finished_ || owner_.out_.empty()) return;
      const grpc::Slice slice(owner_.out_.front());
      owner_.out_.pop_front();
      write_ = grpc::ByteBuffer(&slice, 1);
      writing_ = true;
      StartWrite(&write_);
    }
    void finish(grpc::Status status) {
      if (std::exchange(finished_, true)) return;
      if (owner_.stream_ == this) owner_.stream_ = nullptr;
      Finish(std::move(status));
    }

   private:
    ScriptedControlPlane& owner_;
    grpc::ByteBuffer in_;
    grpc::ByteBuffer write_;
    bool writing_ = false;
    bool finished_ = false;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const std::lock_guard lock(mutex_);
    method_ = context->method();
    host_ = context->host();
    for (const auto& [name, value] : context->client_metadata()) {
      metadata_.emplace(std::string(name.data(), name.size()),
                        std::string(value.data(), value.size()));
    }
    if (script_.compresses) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    ++opened_;
    return stream_ = new End(*this);
  }

  const Script script_;
  mutable std::mutex mutex_;
  std::deque<DiscoveryRequest> requests_;
  std::deque<std::string> out_;
  End* stream_ = nullptr;
  size_t opened_ = 0;
  std::string method_;
  std::string host_;
  std::multimap<std::string, std::string> metadata_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace sluice::test
