#include <algorithm>
#include <memory>
#include <utility>

#include "admin/json.h"
#include "admin/name_filter.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/text.h"
#include "dataplane/server.h"

namespace sluice::admin {
namespace {

using Row = dataplane::TablesBuilder::ClusterRow;
using upstream::BreakerLimits;
using upstream::Health;

constexpr size_t kPiece = 16 * 1024;

std::string_view health_flags(Health health) {
  switch (health) {
    case Health::kUnhealthy:
    case Health::kTimeout:
      return "/failed_eds_health";
    case Health::kDraining:
      return "/eds_status_draining";
    case Health::kDegraded:
      return "/degraded_eds_health";
    default:
      return "healthy";
  }
}

std::string_view health_word(Health health) {
  switch (health) {
    case Health::kUnhealthy:
      return "UNHEALTHY";
    case Health::kTimeout:
      return "TIMEOUT";
    case Health::kDraining:
      return "DRAINING";
    case Health::kDegraded:
      return "DEGRADED";
    default:
      return "HEALTHY";
  }
}

void add_limits_text(std::string_view name, std::string_view priority, const BreakerLimits& limits,
                     std::string* out) {
  const auto line = [&](std::string_view what, uint32_t value) {
    base::cat_to(*out, name, "::", priority, "_priority::", what, "::", value, "\n");
  };
  line("max_connections", limits.max_connections);
  line("max_pending_requests", limits.max_pending_requests);
  line("max_requests", limits.max_requests);
  line("max_retries", limits.max_retries);
}

struct Count {
  std::string_view name;
  uint64_t upstream::HostCounts::* value;
};
constexpr Count kCounters[] = {{"cx_connect_fail", &upstream::HostCounts::cx_connect_fail},
                               {"cx_total", &upstream::HostCounts::cx_total},
                               {"rq_error", &upstream::HostCounts::rq_error},
                               {"rq_success", &upstream::HostCounts::rq_success},
                               {"rq_timeout", &upstream::HostCounts::rq_timeout},
                               {"rq_total", &upstream::HostCounts::rq_total}};
constexpr Count kGauges[] = {{"cx_active", &upstream::HostCounts::cx_active},
                             {"rq_active", &upstream::HostCounts::rq_active},
                             {"rq_pending_active", &upstream::HostCounts::rq_pending_active}};

// All of them, by name.
std::vector<Count> all_counts() {
  std::vector<Count> all(std::begin(kCounters), std::end(kCounters));
  all.insert(all.end(), std::begin(kGauges), std::end(kGauges));
  std::sort(all.begin(), all.end(), [](const Count& a, const Count& b) { return a.name < b.name; });
  return all;
}

upstream::HostCounts counts_of(const Row& row, const upstream::Endpoint& endpoint,
                               const dataplane::Server::HostSums& sums) {
  const auto it = sums.find({row.cluster->id, row.cluster->stats.get(), endpoint.address});
  return it == sums.end() ? upstream::HostCounts() : it->second;
}

void add_endpoint_text(std::string_view name, const upstream::Endpoint& endpoint,
                       const upstream::EndpointSet::Locality& locality,
                       const upstream::HostCounts& counts, std::string* out) {
  const std::string address = endpoint.address.to_string();
  const auto line = [&](std::string_view what, const auto& value) {
    base::cat_to(*out, name, "::", address, "::", what, "::", value, "\n");
  };
  static const std::vector<Count> kCounts = all_counts();
  for (const Count& count : kCounts) line(count.name, counts.*count.value);
  line("hostname", endpoint.hostname);
  line("health_flags", health_flags(endpoint.health));
  line("weight", endpoint.weight);
  line("region", locality.region);
  line("zone", locality.zone);
  line("sub_zone", locality.sub_zone);
  line("canary", false);
  line("priority", endpoint.priority);
  line("success_rate", -1);
  line("local_origin_success_rate", -1);
}

void add_cluster_text(const Row& row, bool via_api, const dataplane::Server::HostSums& sums,
                      std::string* out) {
  const upstream::ClusterValue& policy = *row.cluster->policy;
  const std::string_view name = row.cluster->name;
  base::cat_to(*out, name, "::observability_name::", row.cluster->stat_name(), "\n");
  add_limits_text(name, "default", policy.breakers_default, out);
  add_limits_text(name, "high", policy.breakers_high, out);
  base::cat_to(*out, name, "::added_via_api::", via_api, "\n");
  if (const std::string_view eds = row.cluster->eds_service_name(); !eds.empty()) {
    base::cat_to(*out, name, "::eds_service_name::", eds, "\n");
  }
  if (row.endpoints == nullptr) {
    base::cat_to(*out, name, "::warming::true\n");
    return;
  }
  for (const auto& endpoint : row.endpoints->endpoints()) {
    add_endpoint_text(name, endpoint, row.endpoints->locality(endpoint.locality),
                      counts_of(row, endpoint, sums), out);
  }
}

void add_address(const base::Address& address, Json* json) {
  json->open_object();
  if (address.is_unix()) {
    json->key("pipe").open_object().key("path").text(address.path()).close_object();
  } else {
    json->key("socket_address").open_object();
    json->key("address").text(address.ip().to_string());
    json->key("port_value").number(address.port()).close_object();
  }
  json->close_object();
}

void add_limits(const BreakerLimits& limits, bool high, Json* json) {
  json->open_object();
  if (high) json->key("priority").text("HIGH");
  json->key("max_connections").number(limits.max_connections);
  json->key("max_pending_requests").number(limits.max_pending_requests);
  json->key("max_requests").number(limits.max_requests);
  json->key("max_retries").number(limits.max_retries);
  json->close_object();
}

// As protobuf's JSON: 64-bit numbers are texts, zeros are left out.
void add_count(const Count& count, bool gauge, const upstream::HostCounts& counts, Json* json) {
  json->open_object();
  if (gauge) json->key("type").text("GAUGE");
  const uint64_t value = counts.*count.value;
  if (value != 0) json->key("value").text(std::to_string(value));
  json->key("name").text(count.name).close_object();
}

void add_locality(const upstream::EndpointSet::Locality& locality, Json* json) {
  json->key("locality").open_object();
  if (!locality.region.empty()) json->key("region").text(locality.region);
  if (!locality.zone.empty()) json->key("zone").text(locality.zone);
  if (!locality.sub_zone.empty()) json->key("sub_zone").text(locality.sub_zone);
  json->close_object();
}

void add_endpoint(const upstream::Endpoint& endpoint,
                  const upstream::EndpointSet::Locality& locality,
                  const upstream::HostCounts& counts, Json* json) {
  json->open_object().key("address");
  add_address(endpoint.address, json);
  json->key("stats").open_list();
  for (const Count& count : kCounters) add_count(count, false, counts, json);
  for (const Count& count : kGauges) add_count(count, true, counts, json);
  json->close_list();
  json->key("health_status").open_object();
  json->key("eds_health_status").text(health_word(endpoint.health)).close_object();
  json->key("weight").number(endpoint.weight);
  if (!endpoint.hostname.empty()) json->key("hostname").text(endpoint.hostname);
  if (endpoint.priority != 0) json->key("priority").number(endpoint.priority);
  add_locality(locality, json);
  json->close_object();
}

void add_cluster(const Row& row, bool via_api, const dataplane::Server::HostSums& sums,
                 Json* json) {
  const upstream::ClusterValue& policy = *row.cluster->policy;
  json->open_object().key("name").text(row.cluster->name);
  if (via_api) json->key("added_via_api").boolean(true);
  if (row.endpoints != nullptr && !row.endpoints->endpoints().empty()) {
    json->key("host_statuses").open_list();
    for (const auto& endpoint : row.endpoints->endpoints()) {
      add_endpoint(endpoint, row.endpoints->locality(endpoint.locality),
                   counts_of(row, endpoint, sums), json);
    }
    json->close_list();
  }
  json->key("circuit_breakers").open_object().key("thresholds").open_list();
  add_limits(policy.breakers_default, false, json);
  add_limits(policy.breakers_high, true, json);
  json->close_list().close_object();
  json->key("observability_name").text(row.cluster->stat_name());
  if (const std::string_view eds = row.cluster->eds_service_name(); !eds.empty()) {
    json->key("eds_service_name").text(eds);
  }
  json->close_object();
}

// The body of an answer: cluster by cluster.
struct ClustersBody {
  std::vector<Row> rows;
  std::vector<bool> via_api;
  bool as_json = false;
  dataplane::Server::HostSums sums = {};
  size_t at = 0;
  Json json = {};

  bool operator()(std::string* out) {
    if (as_json && at == 0) json.open_object().key("cluster_statuses").open_list();
    const size_t enough = out->size() + kPiece;
    for (; at < rows.size() && out->size() < enough; ++at) {
      if (as_json) {
        add_cluster(rows[at], via_api[at], sums, &json);
        *out += json.take();
      } else {
        add_cluster_text(rows[at], via_api[at], sums, out);
      }
    }
    if (at < rows.size()) return true;
    if (as_json) *out += json.close_list().close_object().take();
    return false;
  }
};

}  // namespace

void show_clusters(Site& site, const Request& request, const Reply& reply) {
  const auto filter = NameFilter::from(request);
  if (!filter.ok()) {
    return reply({.status = 400, .text = base::cat(base::message_of(filter.status()), "\n")});
  }
  const auto body = std::make_shared<ClustersBody>();
  for (Row& row : site.server.builder().clusters()) {
    const std::string_view name = row.cluster->name;
    if (!filter->wants(name)) continue;
    body->via_api.push_back(site.sources.added_via_api && site.sources.added_via_api(name));
    body->rows.push_back(std::move(row));
  }
  body->as_json = request.value("format") == "json";
  const auto show = [body, reply](dataplane::Server::HostSums sums) {
    body->sums = std::move(sums);
    reply({.type = body->as_json ? kJsonType : kTextType,
           .more = [body](std::string* out) { return (*body)(out); }});
  };
  if (!site.server.started()) return show({});
  site.server.count_hosts(show);
}

void show_listeners(Site& site, const Request& request, const Reply& reply) {
  const auto listeners = site.server.builder().listeners();
  std::string text;
  Json json;
  json.open_object();
  if (!listeners.empty()) json.key("listener_statuses").open_list();
  for (const auto& listener : listeners) {
    json.open_object().key("name").text(listener->name);
    for (size_t i = 0; i < listener->sockets.size(); ++i) {
      const base::Address& address = listener->sockets[i]->address;
      base::cat_to(text, listener->name, "::", address.to_string(), "\n");
      if (i == 0) {
        json.key("local_address");
      } else if (i == 1) {
        json.key("additional_local_addresses").open_list();
      }
      add_address(address, &json);
    }
    if (listener->sockets.size() > 1) json.close_list();
    json.close_object();
  }
  if (!listeners.empty()) json.close_list();
  json.close_object();
  if (request.value("format") != "json") return reply({.text = std::move(text)});
  reply({.type = kJsonType, .text = json.take()});
}

}  // namespace sluice::admin
