#include "tools/mock-cp/expected_names.h"

#include <envoy/config/cluster/v3/cluster.pb.h>
#include <envoy/config/listener/v3/listener.pb.h>
#include <envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h>

#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::listener::v3::FilterChain;
using envoy::config::listener::v3::Listener;

void add_of_cluster(const std::string& bytes, std::set<std::string>* out) {
  Cluster cluster;
  if (!cluster.ParseFromString(bytes) || cluster.type() != Cluster::EDS) return;
  const std::string& service = cluster.eds_cluster_config().service_name();
  out->insert(service.empty() ? cluster.name() : service);
}

void add_of_chain(const FilterChain& chain, std::set<std::string>* out) {
  for (const auto& filter : chain.filters()) {
    hcm::HttpConnectionManager manager;
    if (filter.typed_config().UnpackTo(&manager) && manager.has_rds()) {
      out->insert(manager.rds().route_config_name());
    }
  }
}

void add_of_listener(const std::string& bytes, std::set<std::string>* out) {
  Listener listener;
  if (!listener.ParseFromString(bytes)) return;
  for (const FilterChain& chain : listener.filter_chains()) add_of_chain(chain, out);
  add_of_chain(listener.default_filter_chain(), out);
}

}  // namespace

std::set<std::string> expected_names(const Snapshot& snapshot, std::string_view type_url) {
  std::set<std::string> names;
  const std::string type = short_name(type_url);
  if (type != "EDS" && type != "RDS") return names;
  const Snapshot::TypeState* held = snapshot.find(url_of(type == "EDS" ? "CDS" : "LDS"));
  if (!held) return names;
  for (const auto& [name, entry] : held->resources) {
    type == "EDS" ? add_of_cluster(entry.bytes, &names) : add_of_listener(entry.bytes, &names);
  }
  return names;
}

}  // namespace sluice::mock_cp
