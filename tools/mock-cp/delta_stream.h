#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tools/mock-cp/stream.h"

namespace envoy::service::discovery::v3 {
class DeltaDiscoveryRequest;
}

namespace sluice::mock_cp {

// DeltaStream is the server's side of one incremental stream, ADS or of one type.
//
// Sends the resources whose version the client does not have, the names of those that are gone,
// and once the names of those that it asked for and that do not exist. Order as in sotw_stream.h;
// clusters and endpoints are removed when listeners and routes have changed. A virtual host may be
// asked for as ROUTES/AUTHORITY (VHDS on demand) and is then sent with that alias. No I/O and no
// threads; cost of next(): the resources of the types that changed.
class DeltaStream final : public Stream {
 public:
  using Stream::Stream;

  Heard hear(std::string_view request) override;
  bool next(const std::shared_ptr<const Snapshot>& snapshot, Push* out) override;
  void forget(std::string_view type_url) override;

 private:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  struct State {
    Names names;
    bool any_request = false;
    Nonces nonces;
    bool sent = false;
    bool new_names = false;
    bool removals_wait = false;
    std::string seen;
    // By name, the version that the client has or was sent; "" of one that does not exist.
    std::map<std::string, std::string, std::less<>> known;
  };

  Nonces& nonces_of(std::string_view type_url) override { return state_of(type_url).nonces; }
  State& state_of(std::string_view type_url);
  static void take_first(const Request& request, State& state);
  static void take_names(const Request& request, State& state, Heard& heard);
  bool changed(const State& state, const Snapshot::TypeState& held) const;
  static void add_changed(const Snapshot::TypeState& held, State& state, Push* out);
  static void add_missing(const Snapshot::TypeState& held, State& state, Push* out);
  static void add_removed(const Snapshot::TypeState& held, State& state, Push* out);

  std::map<std::string, State, std::less<>> states_;
};

}  // namespace sluice::mock_cp
