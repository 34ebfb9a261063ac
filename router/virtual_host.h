#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "router/path_index.h"
#include "router/predicates.h"
#include "router/route.h"
#include "router/values.h"

namespace sluice::router {

// Policies of the virtual hosts that are compiled together, by what they say: thousands of virtual
// hosts with one plain route each share one. Not for weighted clusters, whose slots a virtual host
// holds itself.
using SharedPolicies = std::unordered_map<std::string, std::shared_ptr<const RoutePolicy>>;

// What a virtual host takes over from its route configuration.
struct Inherited {
  const HeaderEdits* request_headers = nullptr;
  const HeaderEdits* response_headers = nullptr;
  bool most_specific_wins = false;
  uint32_t num_workers = 1;
  SharedPolicies* policies = nullptr;    // null: shares with nobody
  base::RuntimeKeys* runtime = nullptr;  // null: keys have no values
  const std::vector<filters::RouteFilterValue>* filters = nullptr;
};

// VirtualHost is the compiled routes of one virtual host and their index. Immutable; shared by the
// table versions in which its value did not change; owns its routes, policies, predicates and the
// slots of its clusters.
class VirtualHost {
 public:
  // `at` is its field path, for errors.
  static absl::StatusOr<std::shared_ptr<const VirtualHost>> compile(
      const std::shared_ptr<const VirtualHostValue>& value, const Inherited& inherited,
      ClusterIds& clusters, const std::string& at);

  VirtualHost(const VirtualHost&) = delete;
  VirtualHost& operator=(const VirtualHost&) = delete;

  // First route in list order whose match holds, or null.
  const Route* match(EvalContext& context) const noexcept;

  const std::string& name() const noexcept { return name_; }
  const std::vector<std::string>& domains() const noexcept { return domains_; }  // lower case
  // Field path in the resource when it was compiled.
  const std::string& source() const noexcept { return source_; }
  const std::array<uint64_t, 2>& digest() const noexcept { return digest_; }
  // Whether this was compiled from that very object (which need not be alive any more).
  bool compiled_from(const std::shared_ptr<const VirtualHostValue>& value) const noexcept {
    return !identity_.owner_before(value) && !value.owner_before(identity_);
  }
  VirtualHostValue::RequireTls require_tls() const noexcept { return require_tls_; }
  const std::vector<Route>& routes() const noexcept { return routes_; }
  size_t memory_bytes() const noexcept;

 private:
  friend class VirtualHostCompiler;
  VirtualHost() = default;

  PathIndex paths_;
  VirtualHostValue::RequireTls require_tls_ = VirtualHostValue::RequireTls::kNone;
  std::vector<Route> routes_;
  std::string text_;  // of all routes
  std::vector<std::shared_ptr<const RoutePolicy>> policies_;
  std::vector<std::unique_ptr<const Predicates>> predicates_;
  std::vector<ClusterRef> clusters_;
  std::string name_;
  std::vector<std::string> domains_;
  std::string source_;
  std::array<uint64_t, 2> digest_{};
  std::weak_ptr<const VirtualHostValue>
      identity_;  // values are not kept: they are ten times as big
};

}  // namespace sluice::router
