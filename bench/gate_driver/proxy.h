#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/hazard.h"
#include "base/stats.h"
#include "dataplane/access_log.h"
#include "dataplane/tables_builder.h"
#include "dataplane/worker.h"
#include "net/loop.h"

namespace sluice::gate {

// What a scenario asks of the proxy and of its peers. Plain values.
struct Scenario {
  const char* name = "";
  bool edge = false;  // forwarded headers, request id, path normalisation
  uint32_t num_routes = 1;
  bool access_log = false;
  uint32_t request_body_bytes = 0;
  uint32_t response_body_bytes = 128;
  bool chunked_response = false;
  bool h2_clients = false;
  bool h2_origin = false;
};

// Null: there is none of that name.
const Scenario* find_scenario(const std::string& name);

// What the nth connection asks for.
std::string service_path_of(uint32_t nth);
// The request of the nth connection and the response of the origin, as on the wire.
std::string request_of(const Scenario& scenario, uint32_t nth);
std::string response_of(const Scenario& scenario);

// Fills the tables that `scenario` needs: one listener on a free loopback port, its routes, one
// cluster with the endpoint `origin_port`. Returns the listener's port. Ends the process on errors.
uint16_t configure(dataplane::TablesBuilder& builder, const Scenario& scenario,
                   uint16_t origin_port);

// LoneWorker is a dataplane::Worker and what it shares with main, all on the caller's thread: the
// caller runs its turns one by one. With a manual clock nothing in it depends on the time of day.
class LoneWorker {
 public:
  LoneWorker(const Scenario& scenario, uint16_t origin_port, base::Clock::Kind clock);
  ~LoneWorker();
  dataplane::Worker& worker() noexcept { return *worker_; }
  uint16_t port() const noexcept { return port_; }

 private:
  base::StatsStore stats_;
  dataplane::AccessLogFlusher flusher_;
  dataplane::TablesBuilder builder_;
  base::HazardDomain<dataplane::Tables> tables_;
  net::Loop main_;
  std::unique_ptr<dataplane::Worker> worker_;
  uint16_t port_ = 0;
};

}  // namespace sluice::gate
