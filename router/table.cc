#include "router/table.h"

#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "base/text.h"
#include "router/rewrite.h"

namespace sluice::router {

namespace {

void write_edits(const HeaderEdits& edits, std::string* out) {
  for (const HeaderMutation& m : edits.add) {
    base::cat_to(*out, m.name.size(), ':', m.name, m.value.size(), ':', m.value,
                 static_cast<int>(m.action), m.keep_empty);
  }
  out->push_back('-');
  for (const std::string& name : edits.remove) base::cat_to(*out, name.size(), ':', name);
  out->push_back(';');
}

// All that a virtual host takes over from its route configuration, as text.
std::string inherited_text(const RouteConfigValue& config, const CompileOptions& options) {
  std::string out = base::cat(config.most_specific_header_mutations_wins, options.num_workers);
  write_edits(config.request_headers, &out);
  write_edits(config.response_headers, &out);
  for (const filters::RouteFilterValue& f : config.filters) {
    base::cat_to(out, f.name.size(), ':', f.name, f.disabled, f.config.index());
    if (const auto* m = std::get_if<filters::RouteHeaderMutation>(&f.config)) {
      write_edits({m->request_add, m->request_remove}, &out);
      write_edits({m->response_add, m->response_remove}, &out);
    }
    if (const auto* d = std::get_if<filters::FilterOnDemand>(&f.config)) {
      base::cat_to(out, d->odcds, ' ', d->source, ' ', d->timeout_ns, ';');
    }
  }
  return out;
}

using Digest = std::array<uint64_t, 2>;

// Finds what the previous table has of the virtual hosts of the next.
class Reuse {
 public:
  explicit Reuse(const RouteTable* previous) {
    if (previous == nullptr) return;
    by_name_.reserve(previous->virtual_hosts().size());
    for (const auto& host : previous->virtual_hosts()) {
      if (host->digest() != Digest{}) by_digest_.emplace(host->digest(), host);
      by_name_.emplace(host->name(), host);
    }
  }
  std::shared_ptr<const VirtualHost> find(
      const std::shared_ptr<const VirtualHostValue>& value) const {
    if (value->digest != Digest{}) {
      const auto same = by_digest_.find(value->digest);
      if (same != by_digest_.end()) return same->second;
    }
    if (value->left_out) return nullptr;
    const auto namesake = by_name_.find(value->name);
    if (namesake != by_name_.end() && namesake->second->compiled_from(value)) {
      return namesake->second;
    }
    return nullptr;
  }

 private:
  absl::flat_hash_map<Digest, std::shared_ptr<const VirtualHost>> by_digest_;
  absl::flat_hash_map<std::string, std::shared_ptr<const VirtualHost>> by_name_;
};

// Replaces the message of `status` by one that begins with what it is about.
absl::Status about(const RouteConfigValue& config, const absl::Status& status) {
  return config.name.empty()
             ? status
             : absl::Status(status.code(), base::cat("route configuration \"", config.name,
                                                     "\": ", base::message_of(status)));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RouteTable>> RouteTable::compile(
    const RouteConfigValue& config, ClusterIds& clusters, const RouteTable* previous,
    const CompileOptions& options) {
  const std::shared_ptr<RouteTable> table(new RouteTable);
  table->name_ = config.name;
  table->version_ = config.version;
  table->has_vhds_ = config.vhds.has_value();
  table->ignore_port_ = config.ignore_port_in_host_matching;
  table->internal_only_headers_ = config.internal_only_headers;
  table->inherited_ = inherited_text(config, options);
  SharedPolicies policies;
  const Inherited inherited{&config.request_headers,
                            &config.response_headers,
                            config.most_specific_header_mutations_wins,
                            options.num_workers,
                            &policies,
                            options.runtime,
                            &config.filters};
  const bool may_reuse = previous != nullptr && previous->inherited_ == table->inherited_;
  const Reuse reuse(may_reuse ? previous : nullptr);

  std::vector<HostIndex::Domain> domains;
  table->virtual_hosts_.reserve(config.virtual_hosts.size());
  for (uint32_t i = 0; i < config.virtual_hosts.size(); ++i) {
    const auto& value = config.virtual_hosts[i];
    const std::string at = base::cat("virtual_hosts[", i, "]");
    std::shared_ptr<const VirtualHost> host = reuse.find(value);
    if (host != nullptr) {
      ++table->num_reused_;
    } else if (value->left_out) {
      return about(config, base::config_error(at, ": left out, but no compiled form is known"));
    } else {
      auto compiled = VirtualHost::compile(value, inherited, clusters, at);
      if (!compiled.ok()) return about(config, compiled.status());
      host = std::move(*compiled);
    }
    for (uint32_t d = 0; d < host->domains().size(); ++d) {
      domains.push_back({host->domains()[d], i, d});
    }
    if (host->digest() != Digest{}) table->by_digest_.emplace_back(host->digest(), i);
    table->virtual_hosts_.push_back(std::move(host));
  }
  std::sort(table->by_digest_.begin(), table->by_digest_.end());
  if (absl::Status s = table->hosts_.build(domains); !s.ok()) return about(config, s);
  return std::shared_ptr<const RouteTable>(table);
}

bool RouteTable::inherits_like(const RouteConfigValue& config,
                               const CompileOptions& options) const {
  return inherited_ == inherited_text(config, options);
}

bool RouteTable::knows(const std::array<uint64_t, 2>& digest) const noexcept {
  const auto at = std::lower_bound(by_digest_.begin(), by_digest_.end(), std::pair(digest, 0u));
  return at != by_digest_.end() && at->first == digest;
}

uint32_t RouteTable::match_host(std::string_view authority) const noexcept {
  return hosts_.find(ignore_port_ ? without_port(authority) : authority);
}

Match RouteTable::match(const http::RequestHead& head, const MatchInput& input) const noexcept {
  Match out;
  const uint32_t host = match_host(head.authority);
  if (host == HostIndex::kNone) {
    out.reason = base::Reason::kVirtualHostNotFound;
    return out;
  }
  const VirtualHost& virtual_host = *virtual_hosts_[host];
  out.virtual_host = &virtual_host;
  out.virtual_host_index = host;
  if (!input.is_tls && virtual_host.require_tls() != VirtualHostValue::RequireTls::kNone &&
      (virtual_host.require_tls() == VirtualHostValue::RequireTls::kAll || !input.is_internal)) {
    out.reason = base::Reason::kHttpsRequired;
    return out;
  }
  char scratch[256];
  EvalContext context{head,    routed_path(head.path), input.random, input.worker,
                      scratch, sizeof(scratch),        input.runtime};
  out.route = virtual_host.match(context);
  if (out.route == nullptr) out.reason = base::Reason::kRouteNotFound;
  return out;
}

size_t RouteTable::num_routes() const noexcept {
  size_t n = 0;
  for (const auto& host : virtual_hosts_) n += host->routes().size();
  return n;
}

size_t RouteTable::memory_bytes() const noexcept {
  size_t bytes = sizeof(*this) + hosts_.memory_bytes() +
                 virtual_hosts_.capacity() * sizeof(virtual_hosts_[0]) +
                 by_digest_.capacity() * sizeof(by_digest_[0]);
  for (const auto& host : virtual_hosts_) bytes += host->memory_bytes();
  return bytes;
}

}  // namespace sluice::router
