#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/address.h"

namespace sluice::net {

// What is asked of DNS and what comes back, as plain values; who asks is in cares_resolver.h.

// Envoy's families. Auto asks for IPv6 addresses and, where there are none, for IPv4 ones; kV4First
// the other way round; kAll takes what both have.
enum class LookupFamily : uint8_t { kAuto, kV4Only, kV6Only, kV4First, kAll };

// Which servers are asked, and how. The system's (/etc/resolv.conf) where `servers` is empty.
struct ResolverConfig {
  std::vector<base::Address> servers;  // IP; port 0: 53
  bool servers_as_fallback = false;    // only where the system names none
  bool use_tcp = false;
  bool no_search_domains = false;
  bool filter_unroutable = false;  // no addresses of a family that no interface has
  uint32_t timeout_ms = 5000;      // of the first try; later ones wait longer
  uint32_t num_tries = 4;          // per server
  friend bool operator==(const ResolverConfig&, const ResolverConfig&) = default;
};

// The order in which addresses are listed where any would do: IPv4 first, then by value.
bool listed_before(const base::IpAddress& a, const base::IpAddress& b) noexcept;

struct DnsAnswer {
  enum class Status : uint8_t {
    kOk,         // at least one address
    kNoAddress,  // the name does not exist, or has no address of the family
    kTimeout,    // no server answered
    kFailed,     // a server refused or could not say, or none can be asked
  };
  Status status = Status::kFailed;
  std::vector<base::IpAddress> addresses;  // in the order received, each once
  uint32_t ttl_s = 0;                      // the smallest; 0: none, or not to be kept
  std::string problem;                     // unless kOk
};

// NameResolver finds the addresses of names. Main only; tests put a scripted one here.
class NameResolver {
 public:
  using LookupId = uint64_t;  // never 0
  using Done = std::function<void(DnsAnswer)>;
  // More than this of one name are left out (the largest ones, so that the rest is stable).
  static constexpr size_t kMaxAddresses = 4096;

  virtual ~NameResolver() = default;
  // `done` is called once, from the loop, never before resolve() has returned.
  virtual LookupId resolve(const ResolverConfig& config, const std::string& name,
                           LookupFamily family, Done done) = 0;
  // `done` will not be called; an id that is over does nothing.
  virtual void cancel(LookupId id) = 0;
};

}  // namespace sluice::net
