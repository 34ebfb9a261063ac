#pragma once

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "admin/server.h"
#include "app/loop_executor.h"
#include "app/signals.h"
#include "dataplane/server.h"
#include "net/cares_resolver.h"
#include "xds/assemble.h"
#include "xds/bootstrap.h"
#include "xds/flags.h"
#include "xds/last_good.h"
#include "xds/load_reporter.h"
#include "xds/sources.h"

namespace sluice::app {

// Process is Sluice as it runs: the data plane, what configures it, and who answers signals.
//
// Made on main after block_signals(); run() is main's thread until the end. SIGTERM and SIGINT stop
// accepting and let exchanges finish within --drain-time-s; a second one ends at once. SIGUSR1
// opens the logs again. gRPC is touched only where the bootstrap names a control plane.
class Process {
 public:
  static absl::StatusOr<std::unique_ptr<Process>> make(xds::Flags flags, xds::Bootstrap bootstrap);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // The exit code. A start that fails says why on the log.
  int run();

  // As SIGTERM does.
  void shut_down();

  // ---- For admin.
  dataplane::Server& server() noexcept { return *server_; }
  xds::Assembler& assembler() noexcept { return *assembler_; }
  const xds::Sources& sources() const noexcept { return *sources_; }
  const xds::LastGood* last_good() const noexcept { return last_good_.get(); }  // null: off
  const xds::LoadReporter* load_reporter() const noexcept { return load_reporter_.get(); }
  const xds::Bootstrap& bootstrap() const noexcept { return bootstrap_; }
  const xds::Flags& flags() const noexcept { return flags_; }

 private:
  Process(xds::Flags flags, xds::Bootstrap bootstrap);
  absl::Status wire();
  absl::Status make_sources();
  void use_last_good(xds::Sources::Options* options);
  absl::Status make_load_reporter();
  absl::Status start_admin();
  void on_signal(int signal);
  void on_live();
  void on_failure(const absl::Status& status);

  const xds::Flags flags_;
  const xds::Bootstrap bootstrap_;
  LoopExecutor executor_;  // outlives the server, whose pool may still post
  std::unique_ptr<dataplane::Server> server_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<net::CaresResolver> resolver_;
  std::unique_ptr<xds::Assembler> assembler_;
  std::unique_ptr<xds::LastGood> last_good_;  // null: off
  std::unique_ptr<xds::Sources> sources_;
  std::vector<std::unique_ptr<xds::Transport>> load_servers_;
  std::unique_ptr<xds::LoadReporter> load_reporter_;  // null: the bootstrap has none
  std::unique_ptr<admin::AdminServer> admin_;         // null: the bootstrap has none
  bool shutting_down_ = false;                        // by a signal; admin may drain before
  int exit_code_ = 0;
};

}  // namespace sluice::app
