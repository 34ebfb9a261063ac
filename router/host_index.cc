#include "router/host_index.h"

#include "absl/container/flat_hash_map.h"
#include "base/text.h"

namespace sluice::router {

std::string_view without_port(std::string_view authority) noexcept {
  const size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return authority;
  const size_t bracket = authority.rfind(']');
  if (bracket != std::string_view::npos && bracket > colon) return authority;
  return authority.substr(0, colon);
}

absl::Status HostIndex::build(const std::vector<Domain>& domains) {
  std::vector<std::pair<std::string, uint32_t>> exact;
  std::vector<std::pair<std::string, Wildcard>> suffixes;
  std::vector<std::pair<std::string, Wildcard>> prefixes;
  absl::flat_hash_map<std::string, const Domain*> seen;
  seen.reserve(domains.size());
  for (const Domain& domain : domains) {
    std::string text = internal::as_read<Reading::kFolded>(domain.text);
    const auto [known, fresh] = seen.emplace(text, &domain);
    if (!fresh) {
      const std::string at =
          base::cat("virtual_hosts[", domain.virtual_host, "].domains[", domain.position, "]: ");
      const std::string other =
          base::cat("virtual_hosts[", known->second->virtual_host, "].domains[",
                    known->second->position, "] has it already; keep one of them: ");
      return text == "*" ? base::config_error(at, "only a single wildcard domain is permitted, ",
                                              other, "\"*\"")
                         : base::config_error(at, "only unique values for domains are permitted, ",
                                              other, "\"", domain.text, "\"");
    }
    const Wildcard value{domain.virtual_host};
    if (text == "*") {
      any_ = domain.virtual_host;
    } else if (text.starts_with('*')) {
      suffixes.emplace_back(std::string(text.rbegin(), text.rend() - 1), value);
    } else if (text.ends_with('*')) {
      text.pop_back();
      prefixes.emplace_back(std::move(text), value);
    } else {
      exact.emplace_back(std::move(text), domain.virtual_host);
    }
  }
  exact_.build(exact);
  suffixes_.build(suffixes);
  prefixes_.build(prefixes);
  return absl::OkStatus();
}

uint32_t HostIndex::find(std::string_view host, Kind& kind) const noexcept {
  if (!exact_.empty()) {
    if (const uint32_t* found = exact_.find(host)) {
      kind = Kind::kExact;
      return *found;
    }
  }
  if (!host.empty()) {
    const size_t limit = host.size() - 1;  // a wildcard stands for one character or more
    if (!suffixes_.empty()) {
      const uint32_t found = suffixes_.find(host, limit).value.virtual_host;
      if (found != kNone) {
        kind = Kind::kSuffix;
        return found;
      }
    }
    if (!prefixes_.empty()) {
      const uint32_t found = prefixes_.find(host, limit).value.virtual_host;
      if (found != kNone) {
        kind = Kind::kPrefix;
        return found;
      }
    }
  }
  kind = any_ == kNone ? Kind::kNone : Kind::kAny;
  return any_;
}

}  // namespace sluice::router
