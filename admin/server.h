#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "admin/connection.h"
#include "admin/page.h"
#include "admin/sources.h"
#include "base/address.h"
#include "base/buffer.h"
#include "dataplane/server.h"
#include "net/listener_socket.h"

namespace sluice::admin {

// AdminServer answers operators, agents and scrapers over HTTP, with Envoy's endpoints and formats,
// and some of our own (/cost, /tables, /why-not-ready).
//
// On main's loop, never on a worker: it reads workers' statistics where they may be read, and asks
// for the rest by posts. Made on main and destroyed there before `server`, which runs the loop.
// Answers are made piece by piece as they are taken (connection.h). There is no authentication, as
// in Envoy: whoever reaches the address may stop the process, so one that is not a loopback's or a
// Unix-domain socket's is warned about.
class AdminServer {
 public:
  struct Options {
    base::Address address;
    std::string address_path;  // --admin-address-path; empty: none
    uint32_t max_connections = 256;
  };
  // Listens from now on; answers once main's loop runs. Errors: the address, the file.
  static absl::StatusOr<std::unique_ptr<AdminServer>> start(const Options& options,
                                                            dataplane::Server& server,
                                                            Sources sources);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // With the port that was bound.
  base::Address local() const { return acceptor_->local(); }
  size_t num_connections() const noexcept { return connections_.size(); }
  // Bytes of blocks in use, for tests: bounded however large the answers are.
  uint64_t block_bytes() const noexcept { return pool_.bytes_out(); }

  // ---- For connections.
  void on_request(uint64_t id, const Request& request);
  void on_closed(uint64_t id);

 private:
  AdminServer(const Options& options, dataplane::Server& server, Sources sources);
  absl::Status listen();
  static void on_accept(void* self, int fd, const sockaddr_storage& peer,
                        socklen_t length) noexcept;
  void sweep() noexcept;

  const Options options_;
  dataplane::Server& server_;
  const Sources sources_;
  Site site_;
  base::BlockPool pool_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<uint64_t> closed_;
  uint64_t last_id_ = 0;
  std::unique_ptr<net::Acceptor> acceptor_;
  net::Call sweep_ = net::Call::of<&AdminServer::sweep>(this);
  std::shared_ptr<AdminServer*> self_;  // for late answers: null once this is gone
};

}  // namespace sluice::admin
