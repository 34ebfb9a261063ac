#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tools/mock-cp/stream.h"

namespace sluice::mock_cp {

// Journal is what clients did: a record of each stream, also of the last kMostClosed that ended,
// with what it subscribed to, its ACKs and NACKs, and what it must not have done.
//
// Any thread; one mutex, under which nothing else is called but the conditions of wait(). Bounded:
// kMostEvents a stream, kMostProblems in all; counts go on.
class Journal {
 public:
  static constexpr size_t kMostClosed = 100;
  static constexpr size_t kMostEvents = 2000;
  static constexpr size_t kMostProblems = 1000;

  struct Event {
    std::chrono::system_clock::time_point at;
    std::string_view kind;  // "push", "ack", "nack", "subscribe", "dropped", "garbage"
    std::string type_url;
    std::string version;
    std::string nonce;
    std::string error;
    size_t num = 0;  // resources of a push, names of a subscription
  };
  struct TypeRecord {
    Names names;
    uint64_t num_requests = 0;
    uint64_t num_pushes = 0;
    uint64_t num_acks = 0;
    uint64_t num_nacks = 0;
    std::string pushed;  // versions
    std::string acked;
    std::string nacked;
    std::string error;  // of the last NACK
  };
  struct StreamRecord {
    std::string peer;
    std::string method;
    std::string node_id;
    std::string node;  // serialised
    bool open = true;
    std::map<std::string, TypeRecord, std::less<>> types;
    std::deque<Event> events;
    std::vector<std::string> problems;
  };
  using Streams = std::map<uint64_t, StreamRecord>;

  uint64_t opened(std::string_view peer, std::string_view method);
  void closed(uint64_t id);
  void heard(uint64_t id, const Heard& heard);
  void pushed(uint64_t id, const Push& push);
  // Forgets closed streams, events, counts and problems.
  void reset();

  // Waits until `condition` holds; false: it did not before the deadline, or stop() came.
  bool wait(std::chrono::steady_clock::time_point deadline,
            const std::function<bool(const Streams&)>& condition);
  void read(const std::function<void(const Streams&)>& reader) const;
  void stop();

 private:
  void add_event(StreamRecord& record, Event event);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Streams streams_;
  uint64_t last_id_ = 0;
  size_t num_problems_ = 0;
  bool stopped_ = false;
};

}  // namespace sluice::mock_cp
