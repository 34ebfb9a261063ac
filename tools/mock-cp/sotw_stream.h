#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tools/mock-cp/stream.h"

namespace envoy::service::discovery::v3 {
class DiscoveryRequest;
}

namespace sluice::mock_cp {

// SotwStream is the server's side of one state-of-the-world stream, ADS or of one type.
//
// A type is sent when its version changed and what the client asked for is different from what it
// was sent. Chained types (types.h) wait for the answers of those before them, and clusters that
// are gone are sent along until listeners and routes have changed: make before break. No I/O and
// no threads; cost of next(): the resources of the types that changed.
class SotwStream final : public Stream {
 public:
  SotwStream(std::string id, std::string type_url, bool superset)
      : Stream(std::move(id), std::move(type_url)), superset_(superset) {}

  Heard hear(std::string_view request) override;
  bool next(const std::shared_ptr<const Snapshot>& snapshot, Push* out) override;
  void forget(std::string_view type_url) override;

 private:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  struct State {
    Names names;
    bool any_name = false;  // named any resource so far: an empty list is none from then on
    bool any_request = false;
    Nonces nonces;
    std::string accepted;  // the client's version
    bool sent = false;
    bool new_names = false;
    uint64_t sent_hash = 0;
    std::string seen;  // version that needs nothing more
    std::set<std::string, std::less<>> sent_names;
    std::map<std::string, Push::Item, std::less<>> items;  // of clusters: as they were sent
    bool kept = false;                                     // some of them are gone by now
  };

  Nonces& nonces_of(std::string_view type_url) override { return state_of(type_url).nonces; }
  State& state_of(std::string_view type_url);
  static void check_version(const Request& request, State& state, Heard& heard);
  static void take_names(const Request& request, State& state, Heard& heard);
  bool changed(const State& state, const Snapshot::TypeState& held) const;
  bool fill(const Snapshot::TypeState& held, State& state, bool settled, Push* out) const;

  const bool superset_;
  std::map<std::string, State, std::less<>> states_;
};

}  // namespace sluice::mock_cp
