#include "app/process.h"

#include <csignal>
#include <thread>
#include <utility>

#include "app/admin_sources.h"
#include "base/text.h"
#include "dataplane/log.h"

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

xds::GrpcTarget target_of(const xds::ControlPlane& in) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  xds::GrpcTarget out;
  out.target = in.target;
  out.authority = in.authority;
  out.metadata = in.metadata;
  if (in.max_receive_bytes != 0) out.max_message_bytes = in.max_receive_bytes;
  out.keepalive_interval = duration_cast<milliseconds>(in.keepalive_interval);
  out.keepalive_timeout = duration_cast<milliseconds>(in.keepalive_timeout);
  return out;
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
xds::ClientOptions client_options(const xds::Bootstrap& bootstrap) {
  const xds::AdsConfig& ads = *bootstrap.ads;
  const xds::ControlPlane& server = ads.servers.front();
  xds::ClientOptions out;
  out.node = bootstrap.node.bytes;
  out.node_on_first_message_only = ads.set_node_on_first_message_only;
  out.backoff_base_ns = server.backoff_base.count();
  out.backoff_max_ns = server.backoff_max.count();
  if (ads.rate_limit) {
    out.rate_limit = {ads.rate_limit->max_tokens, ads.rate_limit->tokens_per_second};
  }
  const auto wait = [&](xds::Type type) -> int64_t& {
    return out.types[static_cast<size_t>(type)].initial_fetch_timeout_ns;
  };
  if (bootstrap.cds) wait(xds::Type::kCluster) = bootstrap.cds->initial_fetch_timeout.count();
  if (bootstrap.lds) wait(xds::Type::kListener) = bootstrap.lds->initial_fetch_timeout.count();
  wait(xds::Type::kEndpoint) = wait(xds::Type::kRoute) = 0;
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
  client_.reset();
  assembler_.reset();
  resolver_.reset();
  transport_.reset();
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
  options.has_cds = bootstrap_.cds.has_value();
  options.has_lds = bootstrap_.lds.has_value();
  resolver_ = std::make_unique<net::CaresResolver>(
      server_->main(), base::WorkerCells<base::ResolverCells>(
                           server_->stats().scope<base::ResolverCells>("dns.cares.")));
  options.resolver = resolver_.get();
  options.resolver_config = bootstrap_.resolver;
  options.on_live = [this] { on_live(); };
  options.on_failure = [this](const absl::Status& status) { on_failure(status); };
  assembler_ = std::make_unique<xds::Assembler>(std::move(options), *server_, executor_);
  if (absl::Status status = assembler_->add_static(bootstrap_); !status.ok()) return status;
  if (absl::Status status = start_admin(); !status.ok()) return status;
  return bootstrap_.ads ? make_client() : absl::OkStatus();
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

absl::Status Process::make_client() {
  const xds::AdsConfig& ads = *bootstrap_.ads;
  auto transport = xds::GrpcTransport::make(target_of(ads.servers.front()), executor_);
  if (!transport.ok()) {
    return base::config_error("dynamic_resources.ads_config.grpc_services[0]: ",
                              base::message_of(transport.status()));
  }
  if (ads.servers.size() > 1) {
    log::warn("config",
              "dynamic_resources.ads_config.grpc_services: falling back to further servers is not "
              "supported yet; the first one is used");
  }
  transport_ = *std::move(transport);
  client_ = std::make_unique<xds::Client>(client_options(bootstrap_), *transport_, *assembler_,
                                          executor_);
  return absl::OkStatus();
}

int Process::run() {
  const absl::Status started = assembler_->start(client_.get());
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
