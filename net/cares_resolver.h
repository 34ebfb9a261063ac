#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/stat_groups.h"
#include "net/loop.h"
#include "net/resolver.h"

struct ares_addrinfo;

namespace sluice::net {

// CaresResolver asks DNS servers through c-ares, on one loop and without threads: its sockets are
// targets of the loop, its time-outs a timer.
//
// Main only; the loop outlives it, destroying it forgets all lookups. /etc/hosts, /etc/resolv.conf
// and nsswitch.conf count as c-ares reads them; answers that were cut come over TCP; "localhost"
// needs no server. At most kMaxInFlight lookups are under way, the rest wait in order, so that ten
// thousand names do not overflow a server's socket buffer (with 512 one question in eight was lost
// on loopback, each for a time-out of five seconds). One c-ares channel (some 100 KB) per
// configuration that is in use; it is made anew after kMaxAge, which is when a changed
// /etc/resolv.conf is seen, and goes when there is nothing to ask. Counts "dns.cares." as Envoy
// does.
class CaresResolver final : public NameResolver {
 public:
  static constexpr size_t kMaxInFlight = 128;
  static constexpr int64_t kMaxAgeNs = 30 * base::kNsPerSec;

  CaresResolver(Loop& loop, base::WorkerCells<base::ResolverCells> cells);
  ~CaresResolver() override;
  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;

  LookupId resolve(const ResolverConfig& config, const std::string& name, LookupFamily family,
                   Done done) override;
  void cancel(LookupId id) override;

  size_t num_channels() const noexcept { return channels_.size(); }

 private:
  class Channel;
  struct Lookup;

  static void on_addresses(void* lookup, int status, int timeouts, ares_addrinfo* found);
  void take(Lookup& lookup, int status, const ares_addrinfo* found);
  void turn() noexcept;
  void finish(LookupId id);
  void start(Lookup& lookup);
  Channel& channel_of(const ResolverConfig& config);
  void sweep() noexcept;

  Loop& loop_;
  base::WorkerCells<base::ResolverCells> cells_;
  LookupId last_id_ = 0;
  std::unordered_map<LookupId, std::unique_ptr<Lookup>> lookups_;
  std::deque<LookupId> waiting_;    // not begun; what was cancelled is not in lookups_
  std::vector<LookupId> answered_;  // by c-ares; to be told in the next turn
  size_t num_asking_ = 0;           // c-ares has them
  std::vector<std::unique_ptr<Channel>> channels_;
  bool ending_ = false;
  Call turn_ = Call::of<&CaresResolver::turn>(this);
};

}  // namespace sluice::net
