#include "admin/page.h"

#include <algorithm>

#include "admin/sources.h"
#include "base/text.h"

namespace sluice::admin {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// What is no escape stays as it is.
std::string decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

std::vector<Page> make_pages() {
  constexpr Param kFilter{"filter", "Regular expression (Google re2) for filtering by name"};
  constexpr Param kUsed{"usedonly", "Only statistics that have been written since start"};
  constexpr Param kInvert{"invert_filter", "Only what the filter does not match"};
  constexpr Param kFormat{"format", "One of (text, json)"};
  return {
      {"/", "Admin home page", show_home},
      {"/certs", "print certs on machine", show_certs},
      {"/clusters", "upstream cluster status", show_clusters, false, {kFilter, kFormat}},
      {"/config_dump",
       "dump current configuration",
       show_config_dump,
       false,
       {{"resource", "Only this list, such as dynamic_listeners"},
        {"mask", "Only these fields, of each element of the list if resource is given"},
        {"name_regex", "Only resources whose names match"},
        {"include_eds", "Endpoints as well"}}},
      {"/cost",
       "where time goes per request: p50, p99, p99.9 of each step, work and waiting told apart",
       show_cost,
       false,
       {kFormat}},
      {"/drain_listeners",
       "drain listeners",
       drain_listeners,
       true,
       {{"graceful", "Connections may finish within --drain-time-s"},
        {"skip_exit", "Drain connections, keep listeners"},
        {"inboundonly", "Only listeners with traffic_direction INBOUND"}}},
      {"/healthcheck/fail", "cause the server to fail health checks", fail_healthcheck, true},
      {"/healthcheck/ok", "cause the server to pass health checks", pass_healthcheck, true},
      {"/help", "print out list of admin commands", show_help},
      {"/hot_restart_version", "print the hot restart compatibility version",
       show_hot_restart_version},
      {"/init_dump",
       "what the start waits for, in Envoy's JSON",
       show_init_dump,
       false,
       {{"mask", "Accepted, of no consequence"}}},
      {"/listeners", "print listener info", show_listeners, false, {kFormat}},
      {"/logging",
       "query/change logging levels",
       set_logging,
       true,
       {{"level",
         "level of all loggers; One of (trace, debug, info, warning, error, critical, off)"},
        {"paths", "levels of several: name1:level1,name2:level2"}}},
      {"/memory", "print current allocation/heap usage", show_memory},
      {"/quitquitquit", "exit the server", quit, true},
      {"/ready", "print server state, return 200 if LIVE, otherwise return 503", show_ready},
      {"/reopen_logs", "reopen access logs", reopen_logs, true},
      {"/runtime", "print runtime values", show_runtime},
      {"/runtime_modify",
       "modify runtime: sets each key that is given in the admin layer; an empty value takes it "
       "out",
       modify_runtime, true},
      {"/server_info", "print server version/status information", show_server_info},
      {"/stats",
       "print server stats",
       show_stats,
       false,
       {kUsed,
        kFilter,
        kInvert,
        {"format", "One of (text, json, prometheus)"},
        {"type", "One of (All, Counters, Histograms, Gauges, TextReadouts)"}}},
      {"/stats/prometheus",
       "print server stats in prometheus format",
       show_prometheus,
       false,
       {kUsed, kFilter, kInvert}},
      {"/tables",
       "versions of the tables that live, who pins them, and how fast the last one took effect",
       show_tables,
       false,
       {kFormat}},
      {"/why-not-ready", "what waits for what, since when", show_why_not_ready},
  };
}

// No profiler and no tracing of locks is built in; -g1 and frame pointers are.
constexpr std::string_view kProfile =
    "no profiler is built in; use perf, heaptrack or bpftrace on the process from outside";
constexpr std::string_view kLookups = "names of statistics are not looked up while traffic flows";

std::vector<Page> make_refused_pages() {
  return {
      {"/allocprofiler", kProfile, refuse_page, true},
      {"/contention",
       "workers take no locks, so there is no contention to trace; see /cost for where time goes",
       refuse_page},
      {"/cpuprofiler", kProfile, refuse_page, true},
      {"/heap_dump", kProfile, refuse_page},
      {"/heapprofiler", kProfile, refuse_page, true},
      {"/memory/tcmalloc", "the allocator is the C library's; see /memory", refuse_page},
      {"/peak_heap_dump", kProfile, refuse_page},
      {"/reset_counters",
       "each counter is written by one worker alone and never goes back; take the difference of "
       "two "
       "readings",
       refuse_page, true},
      {"/stats/recentlookups", kLookups, refuse_page},
      {"/stats/recentlookups/clear", kLookups, refuse_page, true},
      {"/stats/recentlookups/disable", kLookups, refuse_page, true},
      {"/stats/recentlookups/enable", kLookups, refuse_page, true},
  };
}

}  // namespace

const std::string* Request::find(std::string_view name) const noexcept {
  for (size_t i = params.size(); i-- > 0;) {
    if (params[i].first == name) return &params[i].second;
  }
  return nullptr;
}

std::string_view Request::value(std::string_view name) const noexcept {
  const std::string* found = find(name);
  return found == nullptr ? std::string_view() : *found;
}

void parse_params(std::string_view text, Request* request) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    request->params.emplace_back(
        decode(pair.substr(0, equals)),
        equals == std::string_view::npos ? "" : decode(pair.substr(equals + 1)));
  }
}

std::string_view Site::state() const {
  const std::string_view state = sources.state ? sources.state() : "LIVE";
  return failing && state == "LIVE" ? "DRAINING" : state;
}

const std::vector<Page>& pages() {
  static const std::vector<Page> all = make_pages();
  return all;
}

const std::vector<Page>& refused_pages() {
  static const std::vector<Page> all = make_refused_pages();
  return all;
}

std::string help_text() {
  std::string out;
  for (const Page& page : pages()) {
    base::cat_to(out, "  ", page.path, page.changes ? " (POST)" : "", ": ", page.help, "\n");
    for (const Param& param : page.params) {
      base::cat_to(out, "      ", param.name, ": ", param.help, "\n");
    }
  }
  return out;
}

}  // namespace sluice::admin
