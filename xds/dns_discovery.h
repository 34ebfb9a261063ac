#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/stat_groups.h"
#include "net/resolver.h"
#include "upstream/values.h"
#include "xds/backoff.h"
#include "xds/transport.h"

namespace sluice::xds {

// DnsDiscovery keeps the endpoints of DNS clusters up to date: it asks for their names when it is
// time and says what each cluster's endpoints are, when they are others than before.
//
// A name that is asked in the same way by several clusters (one per port of a service, two versions
// of one cluster) is asked once, and who comes later has its answer at once. Next time: after
// dns_refresh_rate, or the TTL where it counts; after a failure dns_failure_refresh_rate, backing
// off. A failure, and a name that has no address any more, leave the last addresses in force.
// Main only; executor and resolver outlive it. Never calls back from inside follow(). An answer
// costs the clusters that have the name; memory some 300 bytes per name beside its addresses.
class DnsDiscovery {
 public:
  static constexpr int64_t kShortestWaitNs = 10 * base::kNsPerMs;
  static constexpr int64_t kLongestWaitNs = 365 * 86'400 * base::kNsPerSec;
  static constexpr uint32_t kMaxTtlS = 604'800;  // RFC 8767, 4: seven days

  struct State {
    std::shared_ptr<const upstream::EndpointsValue> endpoints;  // null: no name has answered yet
    bool complete = false;  // each name has answered, or failed for the first time
  };
  struct Options {
    net::NameResolver* resolver = nullptr;  // null: nothing is ever answered
    net::ResolverConfig config;             // of clusters that bring none
    std::function<uint64_t()> random;
    // A follower's state is another one.
    std::function<void(const std::string& key, State)> changed;
    // Where a cluster's attempts are counted; null: nowhere.
    std::function<base::MembershipCells*(std::string_view cluster)> cells;
  };
  DnsDiscovery(Executor& executor, Options options);
  ~DnsDiscovery();
  DnsDiscovery(const DnsDiscovery&) = delete;
  DnsDiscovery& operator=(const DnsDiscovery&) = delete;

  // `key` is the follower's own name for itself, `cluster` whose endpoints they are.
  State follow(const std::string& key, std::string_view cluster,
               std::shared_ptr<const upstream::DnsValue> value);
  void unfollow(const std::string& key);
  // For messages: "a.b and 2 more".
  static std::string names_of(const upstream::DnsValue& value);

  size_t num_names() const noexcept { return names_.size(); }

 private:
  struct Follower;
  // One name that is asked in one way.
  struct Name {
    std::string name;
    std::shared_ptr<const upstream::DnsValue> how;  // a follower's: resolver, family, times
    Backoff backoff;
    std::vector<base::IpAddress> addresses;  // of the last good answer, as received
    bool ended_once = false;                 // answered, or failed
    bool failing = false;
    net::NameResolver::LookupId lookup = 0;
    base::MonoNs due = 0;
    std::vector<Follower*> followers;
  };
  struct Follower {
    std::string key, cluster;
    std::shared_ptr<const upstream::DnsValue> value;
    std::vector<Name*> names;  // parallel to value->names; one may stand there twice
    State state;
  };
  using Names = std::map<std::string, std::unique_ptr<Name>>;

  std::string question(const upstream::DnsValue& value, const std::string& name) const;
  Name& name_for(const std::shared_ptr<const upstream::DnsValue>& value, const std::string& name);
  void drop(Follower& follower);
  static State state_of(const Follower& follower);
  void ask(Name& name);
  void take(Name& name, net::DnsAnswer answer);
  int64_t next_wait(Name& name, const net::DnsAnswer& answer);
  void count(const Name& name, base::Cell base::MembershipCells::* cell) const;
  void tell(Name& name, bool good);
  void log_change(Name& name, const net::DnsAnswer& answer);
  void plan(Name& name, base::MonoNs due);
  void arm();
  void fire();

  Executor& executor_;
  const Options options_;
  Names names_;  // by question
  std::map<std::string, Follower, std::less<>> followers_;
  std::set<std::pair<base::MonoNs, Name*>> due_;
  Executor::TimerId timer_ = 0;
  base::MonoNs timer_at_ = 0;
  base::MonoNs logged_at_ = 0;
  uint64_t not_logged_ = 0;
};

}  // namespace sluice::xds
