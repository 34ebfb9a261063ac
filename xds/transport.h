#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/clock.h"

namespace sluice::xds {

// The edges of the protocol state machine: the thread it lives on and the bytes it exchanges.
// client.h knows no channel and no clock but these; tests put a scripted transport and a manual
// clock here.

// The thread called main: its time, its queue and its timers. Implemented by app/ over main's loop
// and by tests.
class Executor {
 public:
  using TimerId = uint64_t;  // never 0

  virtual ~Executor() = default;
  // Runs `task` on main, later, in order. From any thread.
  virtual void post(std::function<void()> task) = 0;
  // The rest from main only.
  virtual base::MonoNs now() const = 0;
  virtual base::WallNs wall() const = 0;
  virtual TimerId call_at(base::MonoNs at, std::function<void()> task) = 0;  // once
  virtual void cancel(TimerId timer) = 0;  // also of a timer that has fired: does nothing
};

// What a stream tells its owner, on main. After on_closed() comes nothing more.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  // The last send() was handed to the connection: the server is reachable, and the next send() may
  // follow.
  virtual void on_sent() = 0;
  // One message, whole. The next one comes only after read().
  virtual void on_message(std::string bytes) = 0;
  // Something could not be had (a file that cannot be read, a poll that failed); the stream goes
  // on.
  virtual void on_trouble(const absl::Status& status) = 0;
  // The stream is over, whatever the reason; OK: the server ended it in good order.
  virtual void on_closed(const absl::Status& status) = 0;
};

// One bidirectional stream of whole messages. Main only. Destroying it cancels it; no event comes
// after that.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void send(std::string bytes) = 0;  // at most one until on_sent()
  virtual void read() = 0;                   // asks for one message, at most one at a time
};

// Opens streams to one control plane. A stream that cannot connect yet waits, and reports nothing,
// until it can: the transport looks for the server at a pace of its own. (Unless it was told to
// fail fast, because there are other servers to try.)
class Transport {
 public:
  virtual ~Transport() = default;
  // `method` is the full path, "/package.Service/Method". `events` must outlive the stream.
  virtual std::unique_ptr<Stream> open(std::string_view method, StreamEvents& events) = 0;
};

}  // namespace sluice::xds
