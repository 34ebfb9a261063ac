#include "app/process.h"

#include <csignal>
#include <thread>
#include <utility>

#include "app/admin_sources.h"
#include "base/text.h"
#include "dataplane/log.h"
#include "xds/cluster_loads.h"
#include "xds/connect.h"

namespace sluice::app {
namespace {

dataplane::Server::Options server_options(const xds::Flags& flags) {
  dataplane::Server::Options options;
  options.concurrency =
      flags.concurrency.value_or(std::max(1U, std::thread::hardware_concurrency()));
  options.drain_ns = std::chrono::nanoseconds(flags.drain_time).count();
  options.access_log.interval_ns = std::chrono::nanoseconds(flags.file_flush_interval).count();
  options.access_log.min_bytes = size_t{flags.file_flush_min_size_kb} * 1024;
  return options;
}

void log_client(xds::Severity severity, std::string_view text) {
  using xds::Severity;
  log::write("config",
             severity == Severity::kWarning ? log::Level::kWarn
             : severity == Severity::kInfo  ? log::Level::kInfo
                                            : log::Level::kDebug,
             text);
}

// The waits for endpoints and routes are each resource's own: the assembler keeps them.
xds::ClientOptions client_options(const xds::Flags& flags, const xds::Bootstrap& bootstrap) {
  xds::ClientOptions out;
  out.node = bootstrap.node.bytes;
  for (xds::TypeOptions& type : out.types) {
    type.initial_fetch_timeout_ns = 0;
    type.max_resources = flags.max_dynamic_resources;
    type.max_bytes = uint64_t{flags.max_dynamic_config_mib} << 20;
  }
  const auto wait = [&](xds::Type type) -> int64_t& {
    return out.types[static_cast<size_t>(type)].initial_fetch_timeout_ns;
  };
  if (bootstrap.cds) wait(xds::Type::kCluster) = bootstrap.cds->initial_fetch_timeout.count();
  if (bootstrap.lds) wait(xds::Type::kListener) = bootstrap.lds->initial_fetch_timeout.count();
  out.log = log_client;
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::make(xds::Flags flags, xds::Bootstrap bootstrap) {
  std::unique_ptr<Process> process(new Process(std::move(flags), std::move(bootstrap)));
  if (absl::Status status = process->wire(); !status.ok()) return status;
  return process;
}

Process::Process(xds::Flags flags, xds::Bootstrap bootstrap)
    : flags_(std::move(flags)), bootstrap_(std::move(bootstrap)) {}

Process::~Process() {
  admin_.reset();
  load_reporter_.reset();
  load_servers_.clear();
  if (sources_) sources_->stop();
  assembler_.reset();
  sources_.reset();
  last_good_.reset();
  resolver_.reset();
  signals_.reset();
  executor_.detach();
  server_.reset();
}

absl::Status Process::wire() {
  server_ = std::make_unique<dataplane::Server>(server_options(flags_));
  executor_.attach(server_->main());
  signals_ = std::make_unique<Signals>(server_->main(), [this](int signal) { on_signal(signal); });
  xds::Assembler::Options options;
  options.decode.reject_unknown_fields = flags_.reject_unknown_dynamic_fields;
  options.decode.ignore_unknown_fields = flags_.ignore_unknown_dynamic_fields;
  options.decode.sources = bootstrap_.sources;
  options.has_cds = bootstrap_.cds.has_value();
  options.has_lds = bootstrap_.lds.has_value();
  resolver_ = std::make_unique<net::CaresResolver>(
      server_->main(), base::WorkerCells<base::ResolverCells>(
                           server_->stats().scope<base::ResolverCells>("dns.cares.")));
  options.resolver = resolver_.get();
  options.resolver_config = bootstrap_.resolver;
  if (bootstrap_.cds) options.cds_source = bootstrap_.cds->source;
  if (bootstrap_.lds) options.lds_source = bootstrap_.lds->source;
  options.cds_name = bootstrap_.cds_name;
  options.lds_name = bootstrap_.lds_name;
  options.on_live = [this] { on_live(); };
  options.on_failure = [this](const absl::Status& status) { on_failure(status); };
  assembler_ = std::make_unique<xds::Assembler>(std::move(options), *server_, executor_);
  if (absl::Status status = assembler_->add_static(bootstrap_); !status.ok()) return status;
  if (absl::Status status = make_sources(); !status.ok()) return status;
  if (absl::Status status = make_load_reporter(); !status.ok()) return status;
  return start_admin();
}

absl::Status Process::make_load_reporter() {
  if (!bootstrap_.load_stats) return absl::OkStatus();
  const auto& servers = bootstrap_.load_stats->servers;
  std::vector<xds::Transport*> pointers;
  for (const xds::ControlPlane& server : servers) {
    auto transport = xds::connect_grpc(server, servers.size() > 1, executor_);
    if (!transport.ok()) return transport.status();
    pointers.push_back(transport->get());
    load_servers_.push_back(*std::move(transport));
  }
  xds::LoadReporter::Options options;
  options.node = bootstrap_.node.bytes;
  options.collect = [this](auto done) { xds::collect_loads(*server_, std::move(done)); };
  options.log = log_client;
  load_reporter_ =
      std::make_unique<xds::LoadReporter>(std::move(options), std::move(pointers), executor_);
  return absl::OkStatus();
}

absl::Status Process::start_admin() {
  if (!bootstrap_.admin) return absl::OkStatus();
  if (!bootstrap_.admin->access_logs.empty()) {
    log::warn("admin", "admin.access_log: requests to admin are not logged yet");
  }
  auto admin = admin::AdminServer::start(
      {.address = bootstrap_.admin->address, .address_path = flags_.admin_address_path}, *server_,
      admin_sources(*this));
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  return absl::OkStatus();
}

absl::Status Process::make_sources() {
  xds::Sources::Options options;
  options.client = client_options(flags_, bootstrap_);
  options.allow_unknown_fields = !flags_.reject_unknown_dynamic_fields;
  if (!flags_.last_good_config_path.empty()) use_last_good(&options);
  sources_ = std::make_unique<xds::Sources>(std::move(options), bootstrap_.sources, *assembler_,
                                            executor_);
  absl::Status status = bootstrap_.has_ads ? sources_->check(xds::kAds) : absl::OkStatus();
  if (status.ok() && bootstrap_.cds) status = sources_->check(bootstrap_.cds->source);
  if (status.ok() && bootstrap_.lds) status = sources_->check(bootstrap_.lds->source);
  return status;
}

void Process::use_last_good(xds::Sources::Options* options) {
  const std::string& path = flags_.last_good_config_path;
  auto restored = xds::read_last_good(path, bootstrap_.node.bytes);
  if (restored.ok()) {
    options->client.restored = *std::move(restored);
  } else if (restored.status().code() != absl::StatusCode::kNotFound) {
    log::warn("config", base::cat("last good configuration: not used: ",
                                  base::message_of(restored.status())));
  }
  last_good_ = std::make_unique<xds::LastGood>(
      xds::LastGood::Options{
          .path = path,
          .node = bootstrap_.node.bytes,
          .collect = [this] { return sources_->in_force(); },
          .run_in_pool =
              [this](std::function<void()> task) { server_->pool().run(std::move(task)); },
          .log = log_client},
      executor_);
  options->client.on_accepted = [this] { last_good_->changed(); };
}

int Process::run() {
  const absl::Status started = assembler_->start(sources_.get());
  if (started.ok() && load_reporter_) load_reporter_->start();
  if (started.ok()) server_->run();  // else on_failure() has said why
  log::info("main", "exiting");
  log::flush();
  return exit_code_;
}

void Process::on_live() {
  log::info("main", base::cat("all dependencies initialized; live with ", server_->num_workers(),
                              " worker(s)"));
  if (flags_.mode == xds::Flags::Mode::kInitOnly) server_->stop();
}

void Process::on_failure(const absl::Status& status) {
  log::critical("main", base::message_of(status));
  exit_code_ = 1;
  server_->stop();
}

void Process::on_signal(int signal) {
  if (signal == SIGUSR1) {
    log::info("main", "SIGUSR1: opening logs again");
    log::reopen();
    server_->access_log().reopen();
    return;
  }
  log::info("main", base::cat(signal == SIGTERM ? "SIGTERM" : "SIGINT", ": ",
                              shutting_down_ ? "the second signal, ending at once" : "draining"));
  shut_down();
}

void Process::shut_down() {
  if (std::exchange(shutting_down_, true) || !server_->started()) return server_->stop();
  server_->drain(server_->options().drain_ns, [this] { server_->stop(); });
}

}  // namespace sluice::app
