#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/mock-cp/resource_set.h"

namespace envoy::service::discovery::v3 {
class DiscoveryRequest;
class DiscoveryResponse;
}  // namespace envoy::service::discovery::v3

namespace sluice::mock_cp {

// AdsStream is what the server knows of one client's stream: what it asked for, what it was sent,
// what it said to it. No I/O and no threads: requests go in, responses come out of next().
class AdsStream {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  AdsStream(std::string id, bool superset) : id_(std::move(id)), superset_(superset) {}

  // Returns what to log, in plain words; empty: nothing.
  std::string on_request(const Request& request);
  // The next response that is due under this snapshot, if any.
  bool next(const Snapshot& snapshot, Response& out);

  const std::string& node() const noexcept { return node_; }

 private:
  struct TypeState {
    bool wildcard = false;
    bool named = false;  // named any resource so far
    std::set<std::string, std::less<>> names;
    std::set<std::string, std::less<>> sent_names;
    bool sent = false;
    bool waiting = false;  // for ACK or NACK
    uint64_t sent_hash = 0;
    std::string sent_version;
    std::string nonce;
    bool new_names = false;
  };

  std::string answer_line(const Request& request, const TypeState& state) const;
  static void take_names(const Request& request, TypeState& state);
  bool due(const Snapshot::TypeState& held, TypeState& state,
           std::vector<const ResourceSet::ByName::value_type*>& chosen) const;

  std::string id_;
  bool superset_;
  std::string node_ = "?";
  std::map<std::string, TypeState, std::less<>> types_;
  std::vector<std::string> order_;
  uint64_t last_nonce_ = 0;
};

}  // namespace sluice::mock_cp
