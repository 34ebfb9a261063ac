#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/text.h"
#include "http/header_edit.h"
#include "router/virtual_host.h"

namespace sluice::router {

namespace {

using base::cat;
using base::config_error;

// Values of a route written one after the other, so that equal ones can be found by a hash.
class Key {
 public:
  template <typename... Parts>
  void add(const Parts&... parts) {
    (one(parts), ...);
  }
  std::string take() { return std::move(text_); }

 private:
  void one(const std::string& text) {
    one(text.size());
    text_ += text;
  }
  void one(std::chrono::nanoseconds time) { one(time.count()); }
  template <typename T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void one(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  template <typename T>
  void one(const std::optional<T>& value) {
    one(value.has_value());
    if (value.has_value()) one(*value);
  }
  template <typename T>
  void one(const std::vector<T>& values) {
    one(values.size());
    for (const T& value : values) one(value);
  }
  void one(const HeaderMutation& m) { add(m.name, m.value, m.action, m.keep_empty); }
  void one(const HeaderEdits& edits) { add(edits.add, edits.remove); }
  void one(const PathRewrite& r) { add(r.kind, r.prefix, r.regex, r.substitution); }
  void one(const HostRewrite& r) { add(r.kind, r.text, r.substitution, r.append_x_forwarded_host); }
  void one(const RetryPolicy& r) {
    add(r.retry_on, r.num_retries, r.per_try_timeout, r.retriable_status_codes);
  }
  void one(const WeightedCluster& w) {
    add(w.cluster, w.weight, w.runtime_key, w.request_headers, w.response_headers, w.host_rewrite,
        w.filters);
  }
  void one(const StringMatch& s) { add(s.kind, s.text, s.ignore_case); }
  void one(const HeaderMatch& h) {
    add(h.name, h.kind, h.string, h.range_from, h.range_to, h.present, h.invert,
        h.treat_missing_as_empty);
  }
  void one(const QueryMatch& q) { add(q.name, q.value, q.present); }
  void one(const RuntimeFraction& f) { add(f.ppm, f.runtime_key); }
  void one(const filters::RouteFilterValue& f) {
    add(f.name, f.disabled, f.config.index());
    if (const auto* m = std::get_if<filters::RouteHeaderMutation>(&f.config)) {
      add(m->request_add, m->request_remove, m->response_add, m->response_remove);
    }
    if (const auto* d = std::get_if<filters::FilterOnDemand>(&f.config)) {
      add(d->odcds, d->source, d->timeout_ns);
    }
  }

  std::string text_;
};

std::string key_of_policy(const RouteValue& route) {
  Key key;
  key.add(route.action, route.request_headers, route.response_headers, route.filters);
  if (route.action == RouteValue::Action::kForward) {
    const ForwardAction& f = route.forward;
    key.add(f.cluster_header, f.weighted, f.total_weight, f.cluster_not_found_status,
            f.path_rewrite, f.host_rewrite, f.timeout, f.idle_timeout, f.max_stream_duration,
            f.grpc_timeout.sets, f.grpc_timeout.max, f.grpc_timeout.offset, f.grpc_timeout.rewrites,
            f.retry, f.upgrades, f.upgrades_disabled, f.connect_terminates, f.priority);
  } else if (route.action == RouteValue::Action::kRedirect) {
    const RedirectAction& r = route.redirect;
    key.add(r.scheme, r.https, r.host, r.port, r.path, r.rewrite, r.status, r.strip_query);
  } else {
    key.add(route.direct.status, route.direct.body);
  }
  return key.take();
}

std::string key_of_match(const RouteMatch& match) {
  Key key;
  key.add(match.headers, match.query, match.fraction, match.grpc_only);
  if (match.path.kind == PathMatch::Kind::kRegex) key.add(match.path.text);
  return key.take();
}

// What a virtual host adds to the policies of its routes.
std::string key_of_host(const VirtualHostValue& host) {
  Key key;
  key.add(host.request_headers, host.response_headers, host.retry, host.filters);
  return key.take();
}

bool has_predicates(const RouteMatch& match) {
  return !match.headers.empty() || !match.query.empty() || match.fraction.has_value() ||
         match.grpc_only || match.path.kind == PathMatch::Kind::kRegex;
}

int64_t ns_or(const std::optional<std::chrono::nanoseconds>& time, int64_t otherwise) {
  return time.has_value() ? time->count() : otherwise;
}

}  // namespace

// Turns one VirtualHostValue into a VirtualHost.
class VirtualHostCompiler {
 public:
  VirtualHostCompiler(const VirtualHostValue& value, const Inherited& inherited,
                      ClusterIds& clusters, const std::string& at)
      : value_(value),
        inherited_(inherited),
        clusters_(clusters),
        at_(at),
        own_key_(key_of_host(value)),
        host_(new VirtualHost) {}

  absl::StatusOr<std::shared_ptr<VirtualHost>> run() {
    host_->name_ = value_.name;
    host_->source_ = at_;
    host_->digest_ = value_.digest;
    host_->require_tls_ = value_.require_tls;
    for (const std::string& domain : value_.domains) {
      host_->domains_.push_back(internal::as_read<Reading::kFolded>(domain));
    }
    if (absl::Status s = lay_out_text(); !s.ok()) return s;
    host_->routes_.reserve(value_.routes.size());
    size_t text_at = 0;
    for (size_t i = 0; i < value_.routes.size(); ++i) {
      Route& route = host_->routes_.emplace_back();
      route.index = static_cast<uint32_t>(i);
      route.virtual_host_ = host_.get();
      route.text_ = host_->text_.data() + text_at;
      if (absl::Status s = compile_route(value_.routes[i], cat(at_, ".routes[", i, "]"), &route);
          !s.ok()) {
        return s;
      }
      text_at += route.path_size_ + route.name_size_ + route.stat_prefix_size_;
    }
    host_->policies_.shrink_to_fit();
    host_->predicates_.shrink_to_fit();
    host_->clusters_.shrink_to_fit();
    host_->paths_.build(host_->routes_);
    return std::move(host_);
  }

 private:
  absl::Status lay_out_text() {
    size_t size = 0;
    for (const RouteValue& route : value_.routes) {
      size += route.match.path.text.size() + route.name.size() + route.stat_prefix.size();
    }
    if (size > std::numeric_limits<uint32_t>::max()) {
      return config_error(at_, ": paths and names of its routes exceed 4 GiB");
    }
    host_->text_.reserve(size);
    for (const RouteValue& route : value_.routes) {
      host_->text_ += route.match.path.text;
      host_->text_ += route.name;
      host_->text_ += route.stat_prefix;
    }
    return absl::OkStatus();
  }

  absl::Status compile_route(const RouteValue& value, const std::string& at, Route* route) {
    route->path_kind = value.match.path.kind;
    route->path_ignore_case =
        value.match.path.ignore_case && value.match.path.kind != PathMatch::Kind::kRegex;
    route->path_size_ = static_cast<uint32_t>(value.match.path.text.size());
    route->name_size_ = static_cast<uint32_t>(value.name.size());
    route->stat_prefix_size_ = static_cast<uint32_t>(value.stat_prefix.size());
    if (has_predicates(value.match)) {
      absl::StatusOr<const Predicates*> predicates = predicates_of(value.match, at + ".match");
      if (!predicates.ok()) return predicates.status();
      route->predicates_ = *predicates;
    }
    if (absl::Status s = set_action(value, at, route); !s.ok()) return s;
    absl::StatusOr<const RoutePolicy*> policy = policy_of(value, at);
    if (!policy.ok()) return policy.status();
    route->policy_ = *policy;
    return absl::OkStatus();
  }

  absl::Status set_action(const RouteValue& value, const std::string& at, Route* route) {
    if (value.action == RouteValue::Action::kRedirect) {
      route->action = Route::Action::kRedirect;
      return absl::OkStatus();
    }
    if (value.action == RouteValue::Action::kDirect) {
      route->action = Route::Action::kDirect;
      return absl::OkStatus();
    }
    const ForwardAction& forward = value.forward;
    const int given = (forward.cluster.empty() ? 0 : 1) + (forward.cluster_header.empty() ? 0 : 1) +
                      (forward.weighted.empty() ? 0 : 1);
    if (given != 1) {
      return config_error(at, ".route: ", given == 0 ? "none" : "more than one",
                          " of cluster, cluster_header and weighted_clusters: give exactly one");
    }
    if (!forward.cluster.empty()) {
      route->action = Route::Action::kCluster;
      route->cluster = cluster_id(forward.cluster);
    } else {
      route->action =
          forward.weighted.empty() ? Route::Action::kClusterHeader : Route::Action::kWeighted;
    }
    return absl::OkStatus();
  }

  ClusterId cluster_id(const std::string& name) {
    const auto [known, fresh] = cluster_ids_.emplace(name, kNoCluster);
    if (fresh) known->second = host_->clusters_.emplace_back(clusters_.acquire(name)).id();
    return known->second;
  }

  absl::StatusOr<const Predicates*> predicates_of(const RouteMatch& match, const std::string& at) {
    const auto [known, fresh] = known_predicates_.emplace(key_of_match(match), nullptr);
    if (!fresh) return known->second;
    auto compiled = Predicates::compile(match, inherited_.num_workers, at, inherited_.runtime);
    if (!compiled.ok()) return compiled.status();
    known->second = compiled->get();
    if (*compiled != nullptr) host_->predicates_.push_back(std::move(*compiled));
    return known->second;
  }

  absl::StatusOr<const RoutePolicy*> policy_of(const RouteValue& value, const std::string& at) {
    std::string key = key_of_policy(value);
    const auto [known, fresh] = known_policies_.emplace(key, nullptr);
    if (!fresh) return known->second;
    const bool weighted =
        value.action == RouteValue::Action::kForward && !value.forward.weighted.empty();
    SharedPolicies* const pool = weighted ? nullptr : inherited_.policies;
    key += own_key_;
    std::shared_ptr<const RoutePolicy> policy;
    if (pool != nullptr) {
      if (const auto shared = pool->find(key); shared != pool->end()) policy = shared->second;
    }
    if (policy == nullptr) {
      auto compiled = std::make_shared<RoutePolicy>();
      if (absl::Status s = compile_policy(value, at, compiled.get()); !s.ok()) return s;
      policy = std::move(compiled);
      if (pool != nullptr) pool->emplace(std::move(key), policy);
    }
    known->second = policy.get();
    host_->policies_.push_back(std::move(policy));
    return known->second;
  }

  absl::Status compile_policy(const RouteValue& value, const std::string& at, RoutePolicy* policy) {
    if (absl::Status s = edits(nullptr, value, at, at, &policy->target); !s.ok()) return s;
    auto route_filters = filters_of(nullptr, "", value, at);
    if (!route_filters.ok()) return route_filters.status();
    policy->filters = *std::move(route_filters);
    switch (value.action) {
      case RouteValue::Action::kForward:
        return compile_forward(value, at, policy);
      case RouteValue::Action::kRedirect:
        return compile_redirect(value.redirect, at + ".redirect", policy);
      case RouteValue::Action::kDirect:
        policy->direct =
            std::make_unique<DirectRule>(DirectRule{value.direct.status, value.direct.body});
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  using Filters = std::shared_ptr<const filters::RouteFilters>;
  absl::StatusOr<Filters> filters_of(const WeightedCluster* cluster, const std::string& cluster_at,
                                     const RouteValue& value, const std::string& at) {
    const filters::RouteFilters::Level levels[] = {
        {cluster != nullptr ? &cluster->filters : nullptr, cluster_at + "."},
        {&value.filters, at + "."},
        {&value_.filters, at_ + "."},
        {inherited_.filters, ""}};
    return filters::RouteFilters::compile(levels);
  }

  // Of each target, where one of them says something.
  absl::Status compile_target_filters(const RouteValue& value, const std::string& at,
                                      RoutePolicy* policy) {
    const auto says = [](const WeightedCluster& w) { return !w.filters.empty(); };
    policy->filters_by_target =
        std::any_of(value.forward.weighted.begin(), value.forward.weighted.end(), says);
    if (!policy->filters_by_target) return absl::OkStatus();
    const auto nothing = std::make_shared<const filters::RouteFilters>();
    if (policy->filters == nullptr) policy->filters = nothing;
    for (WeightedTarget& target : policy->weighted) {
      const WeightedCluster& from = value.forward.weighted[target.index];
      auto merged = filters_of(
          &from, cat(at, ".route.weighted_clusters.clusters[", target.index, "]"), value, at);
      if (!merged.ok()) return merged.status();
      target.filters = *merged != nullptr ? *std::move(merged) : nothing;
    }
    return absl::OkStatus();
  }

  absl::Status compile_forward(const RouteValue& value, const std::string& at,
                               RoutePolicy* policy) {
    const ForwardAction& forward = value.forward;
    policy->timeout_ns = ns_or(forward.timeout, RoutePolicy::kDefaultTimeoutNs);
    policy->idle_timeout_ns = ns_or(forward.idle_timeout, RoutePolicy::kInherit);
    policy->max_stream_duration_ns = ns_or(forward.max_stream_duration, RoutePolicy::kInherit);
    policy->grpc_timeout = forward.grpc_timeout.sets;
    policy->grpc_timeout_rewrites = forward.grpc_timeout.rewrites;
    policy->grpc_timeout_max_ms = forward.grpc_timeout.max.count() / 1'000'000;
    policy->grpc_timeout_offset_ms = forward.grpc_timeout.offset.count() / 1'000'000;
    policy->cluster_not_found_status = forward.cluster_not_found_status;
    policy->priority = forward.priority;
    policy->cluster_header = internal::as_read<Reading::kFolded>(forward.cluster_header);
    policy->cluster_header_id = http::header_id_of(policy->cluster_header);
    policy->upgrades = forward.upgrades;
    policy->upgrades_disabled = forward.upgrades_disabled;
    policy->connect_terminates = forward.connect_terminates;
    compile_retry(forward.retry.has_value() ? forward.retry : value_.retry, policy);
    if (absl::Status s = compile_weighted(value, at, policy); !s.ok()) return s;
    if (absl::Status s = compile_target_filters(value, at, policy); !s.ok()) return s;
    if (absl::Status s = rewrite(forward.path_rewrite, at + ".route", &policy->path_rewrite);
        !s.ok()) {
      return s;
    }
    return compile_host_rewrite(forward.host_rewrite, at + ".route", &policy->host_rewrite);
  }

  static void compile_retry(const std::optional<RetryPolicy>& retry, RoutePolicy* policy) {
    if (!retry.has_value()) return;
    auto rule = std::make_unique<RetryRule>();
    rule->on = RetryRule::parse_on(retry->retry_on);
    rule->num_retries = retry->num_retries;
    rule->per_try_timeout_ns = retry->per_try_timeout.count();
    for (const uint32_t code : retry->retriable_status_codes) {
      if (code < 1000) rule->status_codes.push_back(static_cast<uint16_t>(code));
    }
    policy->retry = std::move(rule);
  }

  absl::Status compile_weighted(const RouteValue& value, const std::string& at,
                                RoutePolicy* policy) {
    const ForwardAction& forward = value.forward;
    if (forward.weighted.empty()) return absl::OkStatus();
    const std::string list_at = at + ".route.weighted_clusters";
    policy->weighted.reserve(forward.weighted.size());
    for (size_t i = 0; i < forward.weighted.size(); ++i) {
      const WeightedCluster& from = forward.weighted[i];
      const std::string item_at = cat(list_at, ".clusters[", i, "]");
      if (from.cluster.empty()) return config_error(item_at, ".name: missing");
      policy->total_weight += from.weight;
      base::RuntimeKey key;
      if (inherited_.runtime != nullptr) key = inherited_.runtime->acquire(from.runtime_key);
      if (from.weight == 0 && !key) continue;  // is never picked
      WeightedTarget& to = policy->weighted.emplace_back();
      policy->weights_by_runtime = policy->weights_by_runtime || key;
      to.index = static_cast<uint32_t>(i);
      to.weight = from.weight;
      to.key = std::move(key);
      to.cluster = cluster_id(from.cluster);
      to.upper = policy->total_weight;
      to.host_rewrite = from.host_rewrite;
      if (absl::Status s = edits(&from, value, at, item_at, &to); !s.ok()) return s;
    }
    if (policy->total_weight == 0) {
      return config_error(list_at, ": the weights add up to 0; give one cluster a weight");
    }
    if (policy->total_weight > std::numeric_limits<uint32_t>::max()) {
      return config_error(list_at,
                          ": the weights add up to more than 4294967295: ", policy->total_weight);
    }
    if (forward.total_weight != 0 && forward.total_weight != policy->total_weight) {
      return config_error(list_at, ".total_weight: the weights add up to ", policy->total_weight,
                          ", not to ", forward.total_weight);
    }
    return absl::OkStatus();
  }

  absl::Status compile_redirect(const RedirectAction& from, const std::string& at,
                                RoutePolicy* policy) {
    auto rule = std::make_unique<RedirectRule>();
    rule->scheme = from.scheme.empty() && from.https ? "https" : from.scheme;
    rule->host = from.host;
    rule->port = from.port;
    rule->path = from.path;
    rule->status = from.status;
    rule->strip_query = from.strip_query;
    if (absl::Status s = rewrite(from.rewrite, at, &rule->rewrite); !s.ok()) return s;
    policy->redirect = std::move(rule);
    return absl::OkStatus();
  }

  absl::Status rewrite(const PathRewrite& from, const std::string& at, PathRewriteRule* to) {
    if (from.kind == PathRewrite::Kind::kPrefix && !from.prefix.empty()) {
      to->kind = from.kind;
      to->text = from.prefix;
    } else if (from.kind == PathRewrite::Kind::kRegex) {
      to->kind = from.kind;
      to->text = from.substitution;
      return regex(from.regex, from.substitution, at + ".regex_rewrite", &to->regex);
    }
    return absl::OkStatus();
  }

  absl::Status compile_host_rewrite(const HostRewrite& from, const std::string& at,
                                    HostRewriteRule* to) {
    to->kind = from.kind;
    to->append_x_forwarded_host = from.append_x_forwarded_host;
    to->text = from.text;
    if (from.kind == HostRewrite::Kind::kHeader) {
      to->text = internal::as_read<Reading::kFolded>(from.text);
      to->header = http::header_id_of(to->text);
    } else if (from.kind == HostRewrite::Kind::kPathRegex) {
      to->text = from.substitution;
      return regex(from.text, from.substitution, at + ".host_rewrite_path_regex", &to->regex);
    }
    return absl::OkStatus();
  }

  absl::Status regex(const std::string& pattern, const std::string& substitution,
                     const std::string& at, std::unique_ptr<const Regex>* to) {
    auto compiled = std::make_unique<Regex>(pattern, inherited_.num_workers);
    if (!compiled->ok()) {
      return config_error(at, ".pattern: bad regular expression \"", pattern,
                          "\": ", compiled->error());
    }
    std::string problem;
    if (!compiled->check_substitution(substitution, &problem)) {
      return config_error(at, ".substitution: ", problem, ": \"", substitution, "\"");
    }
    *to = std::move(compiled);
    return absl::OkStatus();
  }

  // All levels of header edits in the order in which they are applied.
  absl::Status edits(const WeightedCluster* weighted, const RouteValue& route,
                     const std::string& route_at, const std::string& weighted_at, Target* to) {
    struct Level {
      const HeaderEdits* request;
      const HeaderEdits* response;
      const std::string* at;
    };
    static const HeaderEdits kNothing;
    static const std::string kRoot;
    const auto or_nothing = [](const HeaderEdits* e) { return e == nullptr ? &kNothing : e; };
    std::vector<Level> levels = {
        {&route.request_headers, &route.response_headers, &route_at},
        {&value_.request_headers, &value_.response_headers, &at_},
        {or_nothing(inherited_.request_headers), or_nothing(inherited_.response_headers), &kRoot}};
    if (inherited_.most_specific_wins) std::reverse(levels.begin(), levels.end());
    if (weighted != nullptr) {
      levels.insert(levels.begin(),
                    {&weighted->request_headers, &weighted->response_headers, &weighted_at});
    }
    for (const Level& level : levels) {
      const std::string dot = level.at->empty() ? "" : *level.at + ".";
      if (absl::Status s = add_level(*level.request, dot + "request_headers", &to->request_edits);
          !s.ok()) {
        return s;
      }
      if (absl::Status s =
              add_level(*level.response, dot + "response_headers", &to->response_edits);
          !s.ok()) {
        return s;
      }
    }
    to->request_edits.shrink_to_fit();
    to->response_edits.shrink_to_fit();
    return absl::OkStatus();
  }

  static absl::Status add_level(const HeaderEdits& values, const std::string& at,
                                http::HeaderEditList* out) {
    return values.empty() ? absl::OkStatus() : http::compile_edits(values, at, out);
  }

  const VirtualHostValue& value_;
  const Inherited& inherited_;
  ClusterIds& clusters_;
  const std::string& at_;
  const std::string own_key_;
  std::shared_ptr<VirtualHost> host_;
  absl::flat_hash_map<std::string, ClusterId> cluster_ids_;
  absl::flat_hash_map<std::string, const RoutePolicy*> known_policies_;
  absl::flat_hash_map<std::string, const Predicates*> known_predicates_;
};

absl::StatusOr<std::shared_ptr<const VirtualHost>> VirtualHost::compile(
    const std::shared_ptr<const VirtualHostValue>& value, const Inherited& inherited,
    ClusterIds& clusters, const std::string& at) {
  absl::StatusOr<std::shared_ptr<VirtualHost>> host =
      VirtualHostCompiler(*value, inherited, clusters, at).run();
  if (!host.ok()) return host.status();
  (*host)->identity_ = value;
  return std::shared_ptr<const VirtualHost>(std::move(*host));
}

}  // namespace sluice::router
