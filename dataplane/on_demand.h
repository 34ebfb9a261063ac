#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "net/loop.h"
#include "router/cluster_ids.h"

namespace sluice::dataplane {

class Exchange;
class Worker;

// OnDemand holds the requests of one worker that wait for configuration which nobody has asked for
// before (xDS on demand): a virtual host of a route configuration (VHDS), the routes of a scope
// (SRDS), a cluster (ODCDS).
//
// However many requests lack one thing, main is asked once, by a post; it asks the control plane,
// publishes what comes, and answers with a post, which adopts what was published and lets all of
// them go on. Main keeps the deadline, so each question is answered. Worker-local; no lock. Costs
// nothing to a request that lacks nothing. Memory is bounded: kMaxQuestions at a time, names of
// kMaxNameBytes at most; what is beyond is refused at once. A request that waits is taken out of
// Worker::exchanges() by its link, and out of here when it ends.
class OnDemand {
 public:
  static constexpr size_t kMaxQuestions = 1024;
  static constexpr size_t kMaxNameBytes = 1024;

  enum class Lack : uint8_t { kVirtualHost, kRoutes, kCluster };
  enum class Answer : uint8_t {
    kFound,     // published
    kNone,      // there is none
    kTimedOut,  // nobody said
    kRefused,   // too many are asked for
  };
  // What a request lacks.
  struct Demand {
    Lack lack = Lack::kVirtualHost;
    std::string_view name;    // kVirtualHost: the authority; kCluster: its name, if it is known
    std::string_view routes;  // else: the route configuration, as RouteSlot spells it
    router::ClusterId cluster = router::kNoCluster;  // kCluster without a name
    uint32_t source = 0;                             // kCluster: where clusters are asked for
    int64_t timeout_ns = 0;                          // kCluster
  };
  // The same for main; whoever takes it answers with Server::answer(worker, id, ...), once.
  struct Question {
    uint32_t worker = 0;
    uint64_t id = 0;
    Lack lack = Lack::kVirtualHost;
    std::string name;
    std::string routes;
    router::ClusterId cluster = router::kNoCluster;
    uint32_t source = 0;
    int64_t timeout_ns = 0;
  };

  explicit OnDemand(Worker& worker) noexcept : worker_(worker) {}

  // False: refused. Else `exchange` waits, and its on_demand_answered() is called if it still does.
  bool wait(Exchange& exchange, const Demand& demand);
  // From main.
  void answered(uint64_t id, Answer answer) noexcept;

 private:
  struct Room {
    uint64_t id = 0;
    net::List waiting;
  };
  Worker& worker_;
  absl::flat_hash_map<std::string, std::unique_ptr<Room>> rooms_;  // by what is lacked
  absl::flat_hash_map<uint64_t, std::string> keys_;                // by id
  uint64_t last_id_ = 0;
};

}  // namespace sluice::dataplane
