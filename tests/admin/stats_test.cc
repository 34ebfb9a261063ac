#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "admin/json.h"
#include "admin/stats_walk.h"
#include "base/stat_groups.h"
#include "base/text.h"
#include "tests/admin/admin_site.h"
#include "tests/support/json.h"

namespace sluice::admin {
namespace {

using sluice::test::JsonReader;
using sluice::testing::AdminSite;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What an agent's readiness probe needs of a process.
Sources agent_sources() {
  Sources sources;
  sources.stats = [](std::vector<Stat>* out) {
    out->push_back({.name = "cluster_manager.cds.update_success", .value = 3});
    out->push_back({.name = "cluster_manager.cds.update_rejected", .value = 0, .used = false});
    out->push_back({.name = "listener_manager.lds.update_success", .value = 2});
    out->push_back(
        {.name = "listener_manager.workers_started", .kind = Stat::Kind::kGauge, .value = 1});
    out->push_back({.name = "control_plane.identifier", .kind = Stat::Kind::kText, .text = "cp"});
  };
  return sources;
}

// The queries as agents send them, byte for byte (Go leaves these characters as they are).
TEST(Stats, AgentsQueries) {
  AdminSite site(agent_sources());
  EXPECT_EQ(site.get("/stats?usedonly&filter=^(cluster_manager\\.cds|listener_manager\\.lds)\\."
                     "(update_success|update_rejected)$")
                .body,
            "cluster_manager.cds.update_success: 3\nlistener_manager.lds.update_success: 2\n");
  EXPECT_EQ(
      site.get("/stats?usedonly&filter=^(server\\.state|listener_manager\\.workers_started)").body,
      "listener_manager.workers_started: 1\nserver.state: 0\n");
  EXPECT_EQ(site.send_traffic(), 200);
  EXPECT_THAT(site.get("/stats?usedonly&filter=downstream_cx_active$").body,
              HasSubstr("downstream_cx_active: 0\n"));
}

TEST(Stats, TextsThenSortedNumbersThenSortedHistograms) {
  AdminSite site(agent_sources());
  const auto lines = lines_of(site.get("/stats").body);
  ASSERT_GT(lines.size(), 150u);
  EXPECT_EQ(lines[0], "control_plane.identifier: \"cp\"");
  const auto first_histogram = std::find_if(lines.begin(), lines.end(), [](const auto& line) {
    return line.ends_with("No recorded values");
  });
  ASSERT_NE(first_histogram, lines.end());
  const auto name_order = [](const std::string& a, const std::string& b) {
    return a.substr(0, a.find(": ")) < b.substr(0, b.find(": "));
  };
  EXPECT_TRUE(std::is_sorted(lines.begin() + 1, first_histogram, name_order));
  EXPECT_TRUE(std::is_sorted(first_histogram, lines.end(), name_order));
  for (auto line = lines.begin() + 1; line != first_histogram; ++line) {
    EXPECT_TRUE(std::regex_match(*line, std::regex("[^ ]+: [0-9]+"))) << *line;
  }
}

TEST(Stats, HistogramsHaveEnvoysQuantilesInMilliseconds) {
  AdminSite site;
  EXPECT_EQ(site.send_traffic(), 200);
  const std::string line = site.get("/stats?filter=upstream_cx_connect_ms").body;
  EXPECT_THAT(line, ::testing::MatchesRegex(
                        "cluster.c.upstream_cx_connect_ms: P0.nan,[^)]+. P25.* P50.* P75.* P90.* "
                        "P95.* P99.* P99.5.* P99.9.* P100.nan,[^)]+.\n"));
  const double ms = std::stod(line.substr(line.rfind(',') + 1));
  EXPECT_LT(ms, 10'000) << "milliseconds, not nanoseconds";
}

TEST(Stats, ParametersAreChecked) {
  AdminSite site;
  struct Row {
    const char* target;
    int status;
    const char* text;
  };
  for (const Row& row : {Row{"/stats?filter=[", 400, "Invalid re2 regex"},
                         Row{"/stats?filter=%5B", 400, "Invalid re2 regex"},
                         Row{"/stats?type=Foo", 400, "invalid &type= param"},
                         Row{"/stats?format=foo", 400, "usage: "},
                         Row{"/stats?type=Histograms&format=text", 200, "cost.route"},
                         Row{"/stats?format=prometheus", 200, "# TYPE"},
                         Row{"/stats?filter=&usedonly", 200, "server.state: 0"}}) {
    SCOPED_TRACE(row.target);
    const auto answer = site.get(row.target);
    EXPECT_EQ(answer.status(), row.status);
    EXPECT_THAT(answer.body, HasSubstr(row.text));
  }
  EXPECT_THAT(site.get("/stats?type=Gauges").body, Not(HasSubstr("upstream_rq_total")));
  EXPECT_THAT(site.get("/stats?filter=^cluster&invert_filter").body, Not(HasSubstr("cluster.c.")));
}

TEST(Stats, JsonHoldsWhatTextHolds) {
  AdminSite site(agent_sources());
  EXPECT_EQ(site.send_traffic(), 200);
  const auto json =
      JsonReader(site.get("/stats?format=json&filter=^(cluster|control)").body).read();
  std::map<std::string, std::string> values;
  for (const auto& stat : json["stats"].items) {
    if (stat.has("name")) {
      values[stat["name"].text] = stat["value"].text + std::to_string(stat["value"].number);
    } else {
      EXPECT_EQ(stat["histograms"]["supported_quantiles"].items.size(), 10u);
      EXPECT_EQ(stat["histograms"]["computed_quantiles"].items.size(), 4u);
    }
  }
  EXPECT_TRUE(values.contains("cluster.c.upstream_rq_total"));
  EXPECT_EQ(values["cluster_manager.cds.update_success"], "3.000000");
  EXPECT_TRUE(values["control_plane.identifier"].starts_with("cp"));
  for (const char* none : {"/stats?format=json&filter=nothing", "/stats?format=json"}) {
    EXPECT_NO_THROW(JsonReader(site.get(none).body).read()) << none;
  }
}

// The walk in runs against the plain way: all names, sorted.
TEST(StatsWalk, RunsGiveTheSortedNames) {
  base::StatsStore store;
  const auto keep = {store.scope<base::ListenerCells>("listener.0.0.0.0_80."),
                     store.scope<base::ListenerHttpCells>("listener.0.0.0.0_80.http.a."),
                     store.scope<base::ListenerCells>("listener.0.0.0.0_8080."),
                     store.scope<base::ClusterCells>("cluster.a."),
                     store.scope<base::ClusterCells>("cluster.a.b."),
                     store.scope<base::ClusterCells>("cluster.a-b."),
                     store.scope<base::HttpCells>("http.x.")};
  std::vector<Stat> outside;
  for (const char* name : {"zz", "aa", "cluster.a.version", "cluster.", "listener.0.0.0.0_80.zz",
                           "listener_manager.x", "http.x.downstream_rq_zzz"}) {
    outside.push_back({.name = name});
  }
  std::vector<std::string> expected;
  for (const Stat& stat : outside) expected.push_back(stat.name);
  for (const auto& scope : keep) {
    for (const auto& row : scope->group().rows) {
      if (row.kind == base::StatKind::kStatuses) continue;  // none came
      expected.push_back(base::cat(scope->prefix(), row.name));
    }
  }
  std::sort(expected.begin(), expected.end());
  StatsWalk walk(store.scopes(), outside);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::string> names;
    std::vector<StatPlace> run;
    while (walk.next(&run)) {
      for (const StatPlace& place : run) names.push_back(place.name);
    }
    EXPECT_EQ(names, expected);
    walk.restart();
  }
}

TEST(Prometheus, EverySampleHasItsTypeAndStandsWithItsMetric) {
  AdminSite site(agent_sources());
  EXPECT_EQ(site.send_traffic(), 200);
  const auto answer = site.get("/stats/prometheus");
  EXPECT_EQ(answer.field("content-type"), "text/plain; charset=UTF-8");
  const std::regex type("# TYPE ([a-zA-Z_][a-zA-Z0-9_]*) (counter|gauge|histogram)");
  const std::regex sample(
      "([a-zA-Z_][a-zA-Z0-9_]*)\\{([a-z_]+=\"[^\"]*\"(,[a-z_]+=\"[^\"]*\")*)?\\} [-+.e0-9]+");
  std::set<std::string> seen;
  std::string metric, kind;
  std::set<std::string> samples;
  std::smatch match;
  for (const std::string& line : lines_of(answer.body)) {
    if (std::regex_match(line, match, type)) {
      metric = match[1];
      kind = match[2];
      EXPECT_TRUE(seen.insert(metric).second) << metric << " in two places";
      continue;
    }
    ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
    const std::string name = match[1];
    if (kind == "histogram") {
      EXPECT_TRUE(name == metric + "_bucket" || name == metric + "_sum" ||
                  name == metric + "_count")
          << line;
    } else {
      EXPECT_EQ(name, metric);
    }
    EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << "twice: " << line;
  }
}

TEST(Prometheus, NamesAndLabelsAreEnvoys) {
  AdminSite site(agent_sources());
  EXPECT_EQ(site.send_traffic(), 200);
  const std::string text = site.get("/stats/prometheus").body;
  for (const std::string& line :
       {std::string("# TYPE envoy_cluster_upstream_rq_total counter\n"
                    "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"c\"} 1\n"),
        std::string("envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\","
                    "envoy_cluster_name=\"c\"} 1\n"),
        std::string("# TYPE envoy_cluster_upstream_rq counter\n"
                    "envoy_cluster_upstream_rq{envoy_response_code=\"200\","
                    "envoy_cluster_name=\"c\"} 1\n"),
        std::string("envoy_cluster_external_upstream_rq{envoy_response_code=\"200\","
                    "envoy_cluster_name=\"c\"} 1\n"),
        std::string("envoy_cluster_circuit_breakers_default_rq_open{"
                    "envoy_cluster_name=\"c\"} 0\n"),
        std::string("envoy_http_downstream_cx_length_ms_count{"
                    "envoy_http_conn_manager_prefix=\"in\"} 1\n"),
        std::string("envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\","
                    "envoy_http_conn_manager_prefix=\"in\"} 1\n"),
        std::string("envoy_cluster_membership_healthy{envoy_cluster_name=\"c\"} 1\n"),
        std::string("envoy_cluster_manager_cds_update_success{} 3\n"),
        std::string("envoy_server_live{} 1\n"),
        std::string("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"c\",le=\"0.5\"} "),
        std::string("sluice_cost_seconds_bucket{span=\"route\",kind=\"work\",le=\"5e-08\"} "),
        std::string("sluice_cost_seconds_count{span=\"route\",kind=\"work\"} 1\n")}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Prometheus, BucketsGrowAndEndAtTheCount) {
  AdminSite site;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(site.send_traffic(), 200);
  std::map<std::string, uint64_t> last;
  for (const std::string& line : lines_of(site.get("/stats/prometheus").body)) {
    const size_t bucket = line.find("_bucket{");
    const size_t le = line.find("le=");
    const auto value = [&] { return std::stoull(line.substr(line.rfind(' ') + 1)); };
    if (bucket != std::string::npos && le != std::string::npos) {
      uint64_t& before = last[line.substr(0, bucket) + line.substr(bucket + 7, le - bucket - 7)];
      EXPECT_GE(value(), before) << line;
      before = value();
    }
  }
  EXPECT_GT(last.size(), 10u);
}

TEST(Json, EscapesAndIndents) {
  Json json;
  json.open_object().key("a\"b").text("\x01\n\\ \xc3\xa9 \xff \x7f");
  json.key("empty").open_list().close_list();
  json.key("list").open_list().number(1).null().boolean(true).close_list().close_object();
  EXPECT_EQ(json.take(),
            "{\n \"a\\\"b\": \"\\u0001\\n\\\\ \xc3\xa9 \xef\xbf\xbd \\u007f\",\n \"empty\": [],\n "
            "\"list\": [\n  1,\n  null,\n  true\n ]\n}\n");
}

}  // namespace
}  // namespace sluice::admin
