#include "app/command.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "app/process.h"
#include "app/signals.h"
#include "base/clock.h"
#include "base/text.h"
#include "dataplane/log.h"
#include "dataplane/tables_builder.h"
#include "filters/catalogue.h"
#include "xds/bootstrap.h"
#include "xds/flags.h"
#include "xds/version.h"

namespace sluice::app {
namespace {

constexpr int kBadConfiguration = 1;
constexpr int kBadCommandLine = 2;

void print(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  if (text.empty() || text.back() != '\n') std::fputc('\n', file);
}

int fail(int code, const absl::Status& status) {
  print(stderr, base::cat("sluice: error: ", base::message_of(status)));
  return code;
}

// As many descriptors as the hard limit allows: a connection is one.
void raise_descriptor_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

absl::Status begin_log(const xds::Flags& flags) {
  auto level = log::parse_level(flags.log_level);
  if (!level.ok()) {
    return base::config_error("--log-level: ", base::message_of(level.status()));
  }
  return log::init({.level = *level,
                    .format = flags.log_format,
                    .file = flags.log_path,
                    .component_levels = flags.component_log_level});
}

// Compiles everything that the bootstrap holds, binds and opens nothing.
absl::Status compile_static(const xds::Bootstrap& bootstrap, dataplane::TablesBuilder& builder) {
  for (const auto& cluster : bootstrap.clusters) {
    if (absl::Status status = builder.put_cluster(cluster.value); !status.ok()) return status;
  }
  for (size_t i = 0; i < bootstrap.listeners.size(); ++i) {
    dataplane::ListenerValue value = bootstrap.listeners[i].value;
    value.bind_to_port = false;
    const absl::Status status = builder.put_listener(value);
    if (status.ok()) continue;
    const std::string place = bootstrap.locate(base::cat("static_resources.listeners[", i, "]"));
    return base::config_error(place, place.empty() ? "" : ": ", base::message_of(status));
  }
  return absl::OkStatus();
}

int validate(const xds::Flags& flags, const xds::Bootstrap& bootstrap) {
  base::StatsStore stats;
  dataplane::TablesBuilder builder({}, stats, nullptr);
  const absl::Status status = compile_static(bootstrap, builder);
  if (!status.ok()) return fail(kBadConfiguration, status);
  for (const std::string& text : bootstrap.warnings.texts()) {
    print(stderr, base::cat("sluice: warning: ", text));
  }
  print(stdout, base::cat("configuration '", flags.config_path, "' OK"));
  return 0;
}

int chains(const xds::Flags& flags) {
  print(stdout, filters::describe_catalogue());
  if (flags.config_path.empty() && flags.config_yaml.empty()) return 0;
  const auto bootstrap = xds::load_bootstrap(flags);
  if (!bootstrap.ok()) return fail(kBadConfiguration, bootstrap.status());
  print(stdout, "\nlisteners of the bootstrap:");
  for (const auto& listener : bootstrap->listeners) {
    if (listener.value.tcp) {
      print(stdout, base::cat("  ", listener.value.name, ": tcp_proxy"));
      continue;
    }
    const auto chain = filters::FilterChain::compile(
        listener.value.http.filters, base::cat("listeners[\"", listener.value.name, "\"]"));
    if (!chain.ok()) return fail(kBadConfiguration, chain.status());
    print(stdout, base::cat("  ", listener.value.name, ": ", (*chain)->describe()));
  }
  return 0;
}

int serve(const xds::Flags& flags, xds::Bootstrap bootstrap) {
  block_signals();
  raise_descriptor_limit();
  base::calibrate_ticks();
  for (const std::string& note : flags.notes) log::info("main", note);
  auto process = Process::make(flags, std::move(bootstrap));
  if (!process.ok()) return fail(kBadConfiguration, process.status());
  return (*process)->run();
}

}  // namespace

int run_command(int argc, const char* const* argv) {
  std::vector<std::string_view> args(argv + 1, argv + argc);
  const bool list_chains = !args.empty() && args[0] == "chains";
  if (list_chains) args.erase(args.begin());
  const auto flags = xds::parse_flags(args);
  if (!flags.ok()) return fail(kBadCommandLine, flags.status());
  if (flags->help) {
    print(stdout, xds::help_text());
    return 0;
  }
  if (flags->version) {
    print(stdout, xds::version_text());
    return 0;
  }
  if (list_chains) return chains(*flags);
  if (absl::Status status = begin_log(*flags); !status.ok()) return fail(kBadCommandLine, status);
  auto bootstrap = xds::load_bootstrap(*flags);
  if (!bootstrap.ok()) return fail(kBadConfiguration, bootstrap.status());
  if (flags->mode == xds::Flags::Mode::kValidate) return validate(*flags, *bootstrap);
  return serve(*flags, *std::move(bootstrap));
}

}  // namespace sluice::app
