#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <utility>

#include "admin/page.h"
#include "admin/stats_walk.h"
#include "base/stamps.h"
#include "base/stat_groups.h"
#include "base/text.h"
#include "dataplane/server.h"

namespace sluice::admin {
namespace {

constexpr size_t kPiece = 16 * 1024;

// Envoy's, in milliseconds.
constexpr double kMsBounds[] = {0.5,  1,    5,   10,  25,  50,  100, 250,   500,  1000,
                                2500, 5000, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6, 3.6e6};
// From 50 ns up, in nanoseconds: what happens inside one request.
constexpr double kNsBounds[] = {50,  100, 200, 300, 500, 750, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4,
                                1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 5e7, 1e8, 5e8, 1e9, 1e10};

std::string number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return {text, end};
}

// Bounds are round numbers.
std::string bound_text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

// One row of a group as a metric. Envoy's tag extraction: the variable part of a scope's prefix,
// and the class of a status, become labels.
struct Metric {
  std::string name;
  std::string fixed_labels;  // `envoy_response_code_class="2"`
};

void append_name(std::string* out, std::string_view text) {
  for (const char c : text) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == ':';
    out->push_back(ok ? c : '_');
  }
}

void append_label(std::string* out, std::string_view name, std::string_view value) {
  if (!out->empty()) out->push_back(',');
  base::cat_to(*out, name, "=\"");
  for (const char c : value) {
    if (c == '\n') {
      *out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out->push_back('\\');
    out->push_back(c);
  }
  out->push_back('"');
}

Metric metric_of(std::string_view group, std::string_view row) {
  Metric metric{base::cat("envoy_", group, group.empty() ? "" : "_"), {}};
  const size_t n = row.size();
  if (n > 4 && row.ends_with("xx") && row[n - 4] == '_') {
    append_label(&metric.fixed_labels, "envoy_response_code_class", row.substr(n - 3, 1));
    append_name(&metric.name, base::cat(row.substr(0, n - 3), "xx"));
  } else {
    append_name(&metric.name, row);
  }
  return metric;
}

// How the scopes of a group are called, and their prefix's labels.
std::string_view group_word(const base::StatGroup& group) {
  if (&group == &base::ClusterCells::kGroup) return "cluster";
  if (&group == &base::HttpCells::kGroup) return "http";
  if (&group == &base::TcpCells::kGroup) return "tcp";
  if (&group == &base::ListenerCells::kGroup) return "listener";
  if (&group == &base::ListenerHttpCells::kGroup) return "listener_http";
  if (&group == &base::ListenerWorkerCells::kGroup) return "listener_worker";
  return "";
}

std::string_view between(std::string_view text, std::string_view front) {
  text.remove_prefix(std::min(text.size(), front.size()));
  if (text.ends_with('.')) text.remove_suffix(1);
  return text;
}

void append_scope_labels(const base::StatScope& scope, std::string* out) {
  const std::string_view word = group_word(scope.group());
  const std::string_view prefix = scope.prefix();
  if (word == "cluster") append_label(out, "envoy_cluster_name", between(prefix, "cluster."));
  if (word == "http") {
    append_label(out, "envoy_http_conn_manager_prefix", between(prefix, "http."));
  }
  if (word == "tcp") append_label(out, "envoy_tcp_prefix", between(prefix, "tcp."));
  if (word == "listener") append_label(out, "envoy_listener_address", between(prefix, "listener."));
  if (word == "listener_worker") {
    constexpr std::string_view kWorker = ".worker_";
    const size_t at = prefix.rfind(kWorker);
    append_label(out, "envoy_listener_address", between(prefix.substr(0, at), "listener."));
    append_label(out, "envoy_worker_id", between(prefix.substr(at), kWorker));
  }
  if (word != "listener_http") return;
  constexpr std::string_view kHttp = ".http.";
  const size_t at = prefix.rfind(kHttp);
  if (at == std::string_view::npos) return;
  append_label(out, "envoy_http_conn_manager_prefix", between(prefix.substr(at), kHttp));
  append_label(out, "envoy_listener_address", between(prefix.substr(0, at), "listener."));
}

void append_sample(std::string* out, std::string_view name, std::string_view suffix,
                   std::string_view labels, std::string_view more, std::string_view value) {
  base::cat_to(*out, name, suffix, "{", labels, labels.empty() || more.empty() ? "" : ",", more,
               "} ", value, "\n");
}

// A bound is `ns_per_bound` nanoseconds each and shown as `shown_per_bound` each.
void append_histogram(std::string* out, std::string_view name, std::string_view labels,
                      const base::HistogramSnapshot& values, std::span<const double> bounds,
                      double ns_per_bound, double shown_per_bound) {
  for (const double bound : bounds) {
    const auto ns = static_cast<uint64_t>(bound * ns_per_bound);
    append_sample(out, name, "_bucket", labels,
                  base::cat("le=\"", bound_text(bound * shown_per_bound), "\""),
                  std::to_string(values.count_at_most(ns)));
  }
  const std::string count = std::to_string(values.count());
  append_sample(out, name, "_bucket", labels, "le=\"+Inf\"", count);
  const double sum = static_cast<double>(values.sum_ns) / ns_per_bound * shown_per_bound;
  append_sample(out, name, "_sum", labels, {}, number(sum));
  append_sample(out, name, "_count", labels, {}, count);
}

std::string_view type_word(Stat::Kind kind) {
  switch (kind) {
    case Stat::Kind::kGauge:
    case Stat::Kind::kText:
      return "gauge";
    case Stat::Kind::kHistogram:
      return "histogram";
    default:
      return "counter";
  }
}

// The body of an answer: metric by metric, because a metric's samples must stand together; first
// those of scopes, by group and row, then those of none.
class PrometheusBody {
 public:
  PrometheusBody(StatsWalk walk, StatsWish wish) : walk_(std::move(walk)), wish_(std::move(wish)) {
    for (const auto& scope : walk_.scopes()) {
      const base::StatGroup* group = &scope->group();
      auto found = std::find_if(groups_.begin(), groups_.end(),
                                [&](const auto& g) { return g.first == group; });
      if (found == groups_.end()) found = groups_.insert(found, {group, {}});
      found->second.push_back(scope.get());
    }
  }

  bool operator()(std::string* out) {
    const size_t enough = out->size() + kPiece;
    while (out->size() < enough) {
      if (group_ < groups_.size()) {
        add_scope(out);
      } else if (stat_ < walk_.outside().size()) {
        add_outside(walk_.outside()[stat_++], out);
      } else {
        return false;
      }
    }
    return true;
  }

 private:
  void add_scope(std::string* out) {
    const auto& [group, scopes] = groups_[group_];
    if (row_ == group->rows.size()) {
      ++group_;
      row_ = scope_ = 0;
      return;
    }
    if (scope_ == scopes.size()) {
      ++row_;
      scope_ = 0;
      return;
    }
    const base::StatScope& scope = *scopes[scope_++];
    const base::StatRow& row = group->rows[row_];
    std::vector<StatPlace> places;
    append_places(scope, row, &places);
    for (const StatPlace& place : places) {
      if (!wish_.wants(place)) continue;
      const Metric metric = metric_of(group_word(*group), metric_row(scope, row));
      std::string labels = metric.fixed_labels;
      if (place.status != 0) {
        append_label(&labels, "envoy_response_code", std::to_string(place.status));
      }
      append_scope_labels(scope, &labels);
      add(place, metric.name, labels, out);
    }
  }
  // Scopes without a word of their own keep their prefix in the name.
  static std::string metric_row(const base::StatScope& scope, const base::StatRow& row) {
    std::string_view name = row.name;
    if (row.kind == base::StatKind::kStatuses) name.remove_suffix(1);  // "upstream_rq_"
    return group_word(scope.group()).empty() ? base::cat(scope.prefix(), name) : std::string(name);
  }

  void add_outside(const Stat& stat, std::string* out) {
    const StatPlace place{.name = stat.name, .stat = &stat};
    if (stat.kind == Stat::Kind::kText || !wish_.wants(place)) return;
    constexpr std::string_view kCost = "cost.";
    if (stat.name.starts_with(kCost)) return add_cost(place, stat.name.substr(kCost.size()), out);
    add(place, metric_of("", stat.name).name, "", out);
  }
  void add_cost(const StatPlace& place, std::string_view span, std::string* out) {
    constexpr std::string_view kName = "sluice_cost_seconds";
    bool cpu = false;
    for (const base::CostSpan& known : base::kCostSpans) cpu |= known.name == span && known.cpu;
    std::string labels;
    append_label(&labels, "span", span);
    append_label(&labels, "kind", cpu ? "work" : "wait");
    announce(kName, Stat::Kind::kHistogram, out);
    append_histogram(out, kName, labels, place.histogram(), kNsBounds, 1, 1e-9);
  }

  void add(const StatPlace& place, std::string_view name, std::string_view labels,
           std::string* out) {
    announce(name, place.kind(), out);
    if (place.kind() != Stat::Kind::kHistogram) {
      return append_sample(out, name, "", labels, {}, std::to_string(place.value()));
    }
    const base::HistogramSnapshot values = place.histogram();
    if (is_in_ms(place.name)) {
      append_histogram(out, name, labels, values, kMsBounds, 1e6, 1);
    } else {
      append_histogram(out, name, labels, values, kNsBounds, 1, 1);
    }
  }
  void announce(std::string_view name, Stat::Kind kind, std::string* out) {
    if (announced_ == name) return;
    announced_ = name;
    base::cat_to(*out, "# TYPE ", name, " ", type_word(kind), "\n");
  }

  StatsWalk walk_;
  StatsWish wish_;
  std::vector<std::pair<const base::StatGroup*, std::vector<const base::StatScope*>>> groups_;
  size_t group_ = 0, row_ = 0, scope_ = 0, stat_ = 0;
  std::string announced_;
};

}  // namespace

void show_prometheus(Site& site, const Request& request, const Reply& reply) {
  auto filter = NameFilter::from(request);
  if (!filter.ok()) {
    return reply({.status = 400, .text = base::cat(base::message_of(filter.status()), "\n")});
  }
  StatsWish wish{.filter = *std::move(filter), .used_only = request.has("usedonly")};
  const auto body = std::make_shared<PrometheusBody>(walk_stats(site), std::move(wish));
  reply({.more = [body](std::string* out) { return (*body)(out); }});
}

}  // namespace sluice::admin
