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

// Counters per endpoint are not kept: their lines are missing.
void add_endpoint_text(std::string_view name, const upstream::Endpoint& endpoint,
                       std::string* out) {
  const auto line = [&](std::string_view what, const auto& value) {
    base::cat_to(*out, name, "::", endpoint.address_text, "::", what, "::", value, "\n");
  };
  line("hostname", endpoint.hostname);
  line("health_flags", health_flags(endpoint.health));
  line("weight", endpoint.weight);
  line("canary", false);
  line("priority", endpoint.priority);
}

void add_cluster_text(const Row& row, bool via_api, std::string* out) {
  const upstream::ClusterValue& value = row.cluster->value;
  const std::string& name = value.name;
  base::cat_to(*out, name, "::observability_name::", row.cluster->stat_name(), "\n");
  add_limits_text(name, "default", value.breakers_default, out);
  add_limits_text(name, "high", value.breakers_high, out);
  base::cat_to(*out, name, "::added_via_api::", via_api, "\n");
  if (!value.eds_service_name.empty()) {
    base::cat_to(*out, name, "::eds_service_name::", value.eds_service_name, "\n");
  }
  if (row.endpoints == nullptr) {
    base::cat_to(*out, name, "::warming::true\n");
    return;
  }
  for (const auto& endpoint : row.endpoints->endpoints()) add_endpoint_text(name, endpoint, out);
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

void add_endpoint(const upstream::Endpoint& endpoint, Json* json) {
  json->open_object().key("address");
  add_address(endpoint.address, json);
  json->key("health_status").open_object();
  json->key("eds_health_status").text(health_word(endpoint.health)).close_object();
  json->key("weight").number(endpoint.weight);
  if (!endpoint.hostname.empty()) json->key("hostname").text(endpoint.hostname);
  if (endpoint.priority != 0) json->key("priority").number(endpoint.priority);
  json->close_object();
}

void add_cluster(const Row& row, bool via_api, Json* json) {
  const upstream::ClusterValue& value = row.cluster->value;
  json->open_object().key("name").text(value.name);
  if (via_api) json->key("added_via_api").boolean(true);
  if (row.endpoints != nullptr && !row.endpoints->endpoints().empty()) {
    json->key("host_statuses").open_list();
    for (const auto& endpoint : row.endpoints->endpoints()) add_endpoint(endpoint, json);
    json->close_list();
  }
  json->key("circuit_breakers").open_object().key("thresholds").open_list();
  add_limits(value.breakers_default, false, json);
  add_limits(value.breakers_high, true, json);
  json->close_list().close_object();
  json->key("observability_name").text(row.cluster->stat_name());
  if (!value.eds_service_name.empty()) json->key("eds_service_name").text(value.eds_service_name);
  json->close_object();
}

// The body of an answer: cluster by cluster.
struct ClustersBody {
  std::vector<Row> rows;
  std::vector<bool> via_api;
  bool as_json = false;
  size_t at = 0;
  Json json = {};

  bool operator()(std::string* out) {
    if (as_json && at == 0) json.open_object().key("cluster_statuses").open_list();
    const size_t enough = out->size() + kPiece;
    for (; at < rows.size() && out->size() < enough; ++at) {
      if (as_json) {
        add_cluster(rows[at], via_api[at], &json);
        *out += json.take();
      } else {
        add_cluster_text(rows[at], via_api[at], out);
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
    const std::string& name = row.cluster->value.name;
    if (!filter->wants(name)) continue;
    body->via_api.push_back(site.sources.added_via_api && site.sources.added_via_api(name));
    body->rows.push_back(std::move(row));
  }
  body->as_json = request.value("format") == "json";
  reply({.type = body->as_json ? kJsonType : kTextType,
         .more = [body](std::string* out) { return (*body)(out); }});
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
