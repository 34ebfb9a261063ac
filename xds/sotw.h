#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xds/type_state.h"

namespace sluice::xds {

// SotwState is TypeState for state-of-the-world streams: each request names everything that is
// wanted, each response has one version, and one of CDS or LDS lists everything that there is, so
// that what is missing is gone. Of a name that is given twice the first counts and the second is
// rejected (rule 47).
class SotwState final : public TypeState {
 public:
  SotwState(Type type, TypeOptions options) : TypeState(type, options, false) {}

  std::string next_request(std::string_view node) override;

 private:
  void interest_changed(std::string_view name, bool wanted) override;
  bool names_due() const noexcept override;
  void forget_stream() override;
  bool sort_out(InFlight& flight, base::MonoNs now) override;
  void take_removed(InFlight& flight, const Names& present);
  std::vector<std::string_view> request_names() const;

  bool named_ = false;                        // sent any name on this stream (rule 61)
  std::set<std::string, std::less<>> moved_;  // names that came or went since the last request
};

}  // namespace sluice::xds
