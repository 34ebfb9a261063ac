#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <utility>

#include "admin/json.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/stamps.h"
#include "base/text.h"
#include "dataplane/server.h"
#include "filters/catalogue.h"

namespace sluice::admin {
namespace {

using Census = dataplane::Worker::Census;

// "1.23 us", within the histogram's 3 %.
std::string duration_text(double ns) {
  constexpr std::string_view kUnits[] = {"ns", "us", "ms", "s"};
  size_t unit = 0;
  for (; ns >= 1000 && unit < 3; ++unit) ns /= 1000;
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g ", ns);
  return base::cat(text, kUnits[unit]);
}

std::string age_text(int64_t ns) { return duration_text(static_cast<double>(ns < 0 ? 0 : ns)); }

std::string pad(std::string text, size_t width) {
  text.insert(0, text.size() < width ? width - text.size() : 0, ' ');
  return text;
}

std::string cost_row(std::string name, std::string_view kind, const base::HistogramSnapshot& cost) {
  const uint64_t count = cost.count();
  const double mean =
      count == 0 ? 0 : static_cast<double>(cost.sum_ns) / static_cast<double>(count);
  name.resize(std::max<size_t>(name.size() + 1, 18), ' ');
  return base::cat(
      "  ", name, kind, pad(std::to_string(count), 11), pad(duration_text(cost.quantile(0.5)), 10),
      pad(duration_text(cost.quantile(0.99)), 10), pad(duration_text(cost.quantile(0.999)), 10),
      pad(duration_text(mean), 10), "\n");
}

std::string_view direction(size_t index) { return index % 2 == 0 ? "request" : "response"; }

// Those that have hooks: a filter without one is never timed.
std::string filters_text(const std::vector<base::HistogramSnapshot>& costs) {
  std::string out;
  for (size_t i = 0; i < costs.size(); ++i) {
    if (costs[i].count() == 0) continue;
    const auto name = filters::catalogue_name(static_cast<uint8_t>(i / 2));
    out +=
        cost_row(base::cat(name.substr(name.rfind('.') + 1), " ", direction(i)), "work", costs[i]);
  }
  return out.empty() ? out : base::cat("\nFilters, of one request in 64:\n\n", out);
}

std::string cost_text(const std::vector<base::HistogramSnapshot>& costs, uint32_t workers) {
  std::string out = base::cat("Cost per request, all ", workers,
                              " workers since start. work: this thread was busy; wait: it was not."
                              "\n\n  span              kind      count       p50       p99     "
                              "p99.9      mean\n");
  for (size_t i = 0; i < costs.size(); ++i) {
    const base::CostSpan& span = base::kCostSpans[i];
    out += cost_row(span.name, span.cpu ? "work" : "wait", costs[i]);
  }
  return out;
}

void add_figures(const base::HistogramSnapshot& cost, Json* json) {
  json->key("count").number(cost.count());
  json->key("sum_ns").number(cost.sum_ns);
  json->key("p50_ns").number(cost.quantile(0.5));
  json->key("p99_ns").number(cost.quantile(0.99));
  json->key("p99_9_ns").number(cost.quantile(0.999));
}

std::string cost_json(const std::vector<base::HistogramSnapshot>& costs,
                      const std::vector<base::HistogramSnapshot>& filter_costs) {
  Json json;
  json.open_object().key("spans").open_list();
  for (size_t i = 0; i < costs.size(); ++i) {
    json.open_object().key("name").text(base::kCostSpans[i].name);
    json.key("kind").text(base::kCostSpans[i].cpu ? "work" : "wait");
    add_figures(costs[i], &json);
    json.close_object();
  }
  json.close_list().key("filters").open_list();
  for (size_t i = 0; i < filter_costs.size(); ++i) {
    if (filter_costs[i].count() == 0) continue;
    json.open_object().key("name").text(filters::catalogue_name(static_cast<uint8_t>(i / 2)));
    json.key("direction").text(direction(i));
    add_figures(filter_costs[i], &json);
    json.close_object();
  }
  return json.close_list().close_object().take();
}

// What all workers say of themselves; nothing while they do not run.
void with_census(dataplane::Server& server, std::function<void(std::vector<Census>)> done) {
  if (!server.started()) return done({});
  server.take_census(std::move(done));
}

std::string tables_text(dataplane::Server& server, const std::vector<Census>& workers) {
  const base::MonoNs now = server.main().now();
  const int64_t effect = server.publish_to_effect_ns();
  std::string out = base::cat("published: version ", server.tables().published_id(),
                              "\npublish to effect: ", effect < 0 ? "under way" : age_text(effect),
                              "\nlive versions:\n");
  for (const auto& live : server.tables().live()) {
    base::cat_to(out, "  ", live.id, ": published ", age_text(now - live.published_at), " ago");
    if (live.superseded_at != 0) {
      base::cat_to(out, ", superseded ", age_text(now - live.superseded_at), " ago");
    }
    for (const auto& reader : live.readers) {
      base::cat_to(out, "; worker ", reader.index, reader.is_current ? " current, " : " ",
                   reader.num_pins, " pins");
    }
    out += "\n";
  }
  for (size_t i = 0; i < workers.size(); ++i) {
    base::cat_to(out, "worker ", i, ": version ", workers[i].tables_version, ", ",
                 workers[i].sessions, " sessions, ", workers[i].exchanges, " exchanges\n");
  }
  return out;
}

std::string tables_json(dataplane::Server& server, const std::vector<Census>& workers) {
  const base::MonoNs now = server.main().now();
  Json json;
  json.open_object().key("published").number(server.tables().published_id());
  json.key("publish_to_effect_ns").number(server.publish_to_effect_ns());
  json.key("versions").open_list();
  for (const auto& live : server.tables().live()) {
    json.open_object().key("id").number(live.id);
    json.key("age_ns").number(now - live.published_at);
    if (live.superseded_at != 0) json.key("superseded_ns").number(now - live.superseded_at);
    json.key("readers").open_list();
    for (const auto& reader : live.readers) {
      json.open_object().key("worker").number(reader.index);
      json.key("pins").number(reader.num_pins);
      json.key("current").boolean(reader.is_current).close_object();
    }
    json.close_list().close_object();
  }
  json.close_list().key("workers").open_list();
  for (const Census& worker : workers) {
    json.open_object().key("tables_version").number(worker.tables_version);
    json.key("sessions").number(worker.sessions);
    json.key("exchanges").number(worker.exchanges).close_object();
  }
  return json.close_list().close_object().take();
}

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Envoy's fields, numbers as texts as protobuf's JSON has them, and what our own pools hold.
std::string memory_json(const std::vector<Census>& workers) {
  const struct mallinfo2 heap = mallinfo2();
  uint64_t out = 0, free = 0;
  for (const Census& worker : workers) {
    out += worker.block_bytes_out;
    free += worker.block_bytes_free;
  }
  Json json;
  const auto field = [&](std::string_view name, uint64_t bytes) {
    json.key(name).text(std::to_string(bytes));
  };
  json.open_object();
  field("allocated", heap.uordblks + heap.hblkhd);
  field("heap_size", heap.arena + heap.hblkhd);
  field("pageheap_unmapped", 0);
  field("pageheap_free", heap.fordblks);
  field("total_thread_cache", 0);
  field("total_physical_bytes", resident_bytes());
  field("worker_blocks_in_use", out);
  field("worker_blocks_free", free);
  return json.close_object().take();
}

}  // namespace

void show_cost(Site& site, const Request& request, const Reply& reply) {
  const auto costs = site.server.costs();
  if (request.value("format") == "json") {
    return reply({.type = kJsonType, .text = cost_json(costs, site.server.filter_costs())});
  }
  reply({.text = cost_text(costs, site.server.num_workers()) +
                 filters_text(site.server.filter_costs())});
}

void show_tables(Site& site, const Request& request, const Reply& reply) {
  const bool as_json = request.value("format") == "json";
  with_census(
      site.server, [&server = site.server, as_json, reply](const std::vector<Census>& workers) {
        reply({.type = as_json ? kJsonType : kTextType,
               .text = as_json ? tables_json(server, workers) : tables_text(server, workers)});
      });
}

void show_memory(Site& site, const Request&, const Reply& reply) {
  with_census(site.server, [reply](const std::vector<Census>& workers) {
    reply({.type = kJsonType, .text = memory_json(workers)});
  });
}

}  // namespace sluice::admin
