#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"
#include "xds/backoff.h"
#include "xds/transport.h"

namespace sluice::xds {

// ServerChoice answers "which of the servers next, and how long from now?" (rules 10, 12).
//
// A server that has sent a message is kept: a stream of it that ends is opened again, there. Two
// streams in a row that end without a message, or one that stays without for patience(), lead to
// the next server, in the order of the configuration and round. The wait grows only for servers
// that take streams and say nothing; one that cannot be reached is tried again within a second. A
// plain value; main only.
class ServerChoice {
 public:
  ServerChoice(size_t num_servers, Backoff backoff)
      : num_servers_(num_servers), backoff_(std::move(backoff)) {}

  size_t current() const noexcept { return current_; }
  bool at_first() const noexcept { return current_ == 0; }
  void on_message() {
    failures_ = 0;
    silences_ = 0;
    backoff_.reset();
  }
  // A stream ended. `connected`: something was sent on it. Returns the wait.
  int64_t on_end(bool connected, bool got_message, bool silent = false) {
    if (silent) ++silences_;
    const bool move_on = !got_message && (++failures_ >= kTries || silent) && num_servers_ > 1;
    if (move_on) {
      current_ = (current_ + 1) % num_servers_;
      failures_ = 0;
    }
    if (connected || num_servers_ == 1) return backoff_.next();
    return std::min(Backoff(backoff_).next(), base::kNsPerSec);
  }
  // How long a stream may stay without its first message: for ever (0) if there is no other server;
  // twice as long after each round of servers that all said nothing.
  int64_t patience(int64_t base_ns) const noexcept {
    if (num_servers_ == 1) return 0;
    return base_ns << std::min<size_t>(silences_ / num_servers_, 4);
  }
  void back_to_first() noexcept {
    current_ = 0;
    failures_ = 0;
    silences_ = 0;
  }

 private:
  static constexpr int kTries = 2;

  size_t num_servers_;
  Backoff backoff_;
  size_t current_ = 0;
  int failures_ = 0;     // in a row, at current_
  size_t silences_ = 0;  // streams in a row that were given up, of any server
};

// Probe finds out, while another server is used, whether the first one works again: it opens a
// stream there every few seconds, asks what any client asks first, and calls `works` when a message
// comes back. Main only; transport and executor outlive it. `works` may destroy it.
class Probe final : private StreamEvents {
 public:
  static constexpr int64_t kPauseNs = 5 * base::kNsPerSec;

  // `ask` makes the request.
  Probe(Transport& transport, std::string_view method, Executor& executor,
        std::function<std::string()> ask, std::function<void()> works)
      : transport_(transport),
        method_(method),
        executor_(executor),
        ask_(std::move(ask)),
        works_(std::move(works)) {
    pause();
  }
  ~Probe() override {
    if (timer_ != 0) executor_.cancel(timer_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

 private:
  void pause() {
    timer_ = executor_.call_at(executor_.now() + kPauseNs, [this] {
      timer_ = 0;
      stream_ = transport_.open(method_, *this);
      stream_->send(ask_());
    });
  }
  void on_sent() override { stream_->read(); }
  void on_message(std::string) override {
    const std::function<void()> works = works_;
    works();
  }
  void on_trouble(const absl::Status&) override {}
  void on_closed(const absl::Status&) override {
    stream_.reset();
    pause();
  }

  Transport& transport_;
  std::string method_;
  Executor& executor_;
  std::function<std::string()> ask_;
  std::function<void()> works_;
  std::unique_ptr<Stream> stream_;
  Executor::TimerId timer_ = 0;
};

}  // namespace sluice::xds
