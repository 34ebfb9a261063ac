#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xds/type_state.h"

namespace sluice::xds {

// DeltaState is TypeState for incremental streams: a request says which names came and went, a
// response which resources changed and which are gone, each with a version of its own.
//
// The first request of a stream has all names, and the versions of what this server has sent before
// (rule 115). A name that left and came back is asked for again, and the server sends it again
// (rule 66). A name that is removed stays subscribed and may come later (rules 81, 82). A response
// that names a resource twice is refused as a whole (rule 47); else the bad resources are named in
// the NACK, the good ones are applied, and their versions count (rules 41, 44).
class DeltaState final : public TypeState {
 public:
  DeltaState(Type type, TypeOptions options) : TypeState(type, options, true) {}

  std::string next_request(std::string_view node) override;

 private:
  void interest_changed(std::string_view name, bool wanted) override;
  bool names_due() const noexcept override;
  void forget_stream() override;
  bool sort_out(InFlight& flight, base::MonoNs now) override;
  bool sort_names(InFlight& flight, size_t index, base::MonoNs now);
  bool sort_virtual_host(InFlight& flight, size_t index, base::MonoNs now);
  void sort_removed(InFlight& flight, std::string_view name);
  void sort_removed_collection(InFlight& flight, std::string_view name);
  void add_first(WireDeltaRequest* request) const;

  // Since the last request; before the first one of a stream they do not matter.
  std::set<std::string, std::less<>> came_;
  std::set<std::string, std::less<>> went_;
};

}  // namespace sluice::xds
