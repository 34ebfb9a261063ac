// mock-cp: a control plane for development and tests. It serves the Envoy resources of a folder of
// YAML files over ADS and pushes what changes when files change.

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "tools/mock-cp/folder.h"
#include "tools/mock-cp/generate.h"
#include "tools/mock-cp/server.h"

namespace sluice::mock_cp {
namespace {

constexpr char kUsage[] =
    "mock-cp --listen ADDR:PORT --resources DIR [--generate SPEC] [--superset] [--verbose]\n"
    "\n"
    "  --listen ADDR:PORT  where to serve xDS (ADS, state of the world); port 0 takes any\n"
    "  --resources DIR     *.yaml and *.json with Envoy resources; watched for changes\n"
    "  --generate SPEC     listeners=N,vhosts=N,routes=N,clusters=N,endpoints=N\n"
    "                      [,port=N,endpoint_port=N]: resources for scale tests\n"
    "  --superset          hold a response back until the request names all resources of its\n"
    "                      type, as go-control-plane does in ADS mode\n"
    "  --verbose           log requests, pushes and streams too\n";

struct Flags {
  std::string listen;
  std::string resources;
  std::optional<Generate> generate;
  bool superset = false;
  bool verbose = false;
  bool help = false;
};

void say(std::string_view line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::printf("mock-cp: %.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(stdout);
}

absl::StatusOr<Flags> parse_flags(const std::vector<std::string_view>& args) {
  Flags flags;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    const size_t equals = arg.find('=');
    const std::string_view name = arg.substr(0, equals);
    if (name == "--superset") {
      flags.superset = true;
    } else if (name == "--verbose") {
      flags.verbose = true;
    } else if (name == "--help" || name == "-h") {
      flags.help = true;
    } else if (name == "--listen" || name == "--resources" || name == "--generate") {
      if (equals == arg.npos && ++i == args.size()) {
        return base::config_error(name, ": a value is missing");
      }
      const std::string_view value = equals == arg.npos ? args[i] : arg.substr(equals + 1);
      if (name == "--listen") flags.listen = value;
      if (name == "--resources") flags.resources = value;
      if (name == "--generate") {
        auto what = parse_generate(value);
        if (!what.ok()) return what.status();
        flags.generate = *what;
      }
    } else {
      return base::config_error(arg, ": unknown flag");
    }
  }
  if (!flags.help && flags.listen.empty()) return base::config_error("--listen: is missing");
  if (!flags.help && flags.resources.empty() && !flags.generate) {
    return base::config_error("--resources or --generate: one of them is needed");
  }
  return flags;
}

// Reads everything; says what is wrong and returns false if anything is.
bool load(const Flags& flags, ResourceSet& resources) {
  FolderContent content;
  if (!flags.resources.empty()) content = read_folder(flags.resources);
  if (flags.generate) {
    const absl::Status status = content.resources.add_all(generate(*flags.generate));
    if (!status.ok()) content.errors.emplace_back(base::message_of(status));
  }
  for (const std::string& error : content.errors) say(base::cat("error: ", error));
  resources = std::move(content.resources);
  return content.errors.empty();
}

std::string describe(const Snapshot& snapshot, const Snapshot* before) {
  std::string text;
  for (const auto& [url, state] : snapshot.types) {
    const Snapshot::TypeState* old = before ? before->find(url) : nullptr;
    if (old && old->version == state.version) continue;
    base::cat_to(text, text.empty() ? "" : ", ", state.resources.size(), " ", short_name(url),
                 " (version ", state.version, ")");
  }
  return text.empty() ? "nothing changed" : text;
}

// SIGINT and SIGTERM as a readable descriptor, blocked for all threads.
int stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

int serve(const Flags& flags) {
  const int stop_fd = stop_signals();
  // Watched before it is read, so that no change falls between.
  const std::string folder = flags.resources.empty() ? "/" : flags.resources;
  auto watch = FolderWatch::open(folder);
  ResourceSet resources;
  if (!watch.ok() || !load(flags, resources)) {
    if (!watch.ok()) say(base::cat("error: ", base::message_of(watch.status())));
    say("nothing to serve yet: mend the files and start again");
    return 1;
  }
  ServerOptions options{flags.listen, flags.superset, flags.verbose, say};
  auto server = Server::start(std::move(options));
  if (!server.ok()) {
    say(base::cat("error: ", base::message_of(server.status())));
    return 1;
  }
  uint64_t version = 0;
  auto snapshot = next_snapshot(nullptr, std::move(resources), version);
  (*server)->set(snapshot);
  say(base::cat("serving on port ", (*server)->port(), ": ", describe(*snapshot, nullptr)));

  while (watch->wait(stop_fd)) {
    if (flags.resources.empty()) continue;
    if (!load(flags, resources)) {
      say("the last good resources stay in service");
      continue;
    }
    auto next = next_snapshot(snapshot.get(), std::move(resources), version);
    say(base::cat("files changed: ", describe(*next, snapshot.get())));
    snapshot = std::move(next);
    (*server)->set(snapshot);
  }
  say("stopped");
  return 0;
}

int run(const std::vector<std::string_view>& args) {
  const auto flags = parse_flags(args);
  if (!flags.ok()) {
    const std::string_view problem = base::message_of(flags.status());
    std::fprintf(stderr, "mock-cp: %.*s\n\n%s", static_cast<int>(problem.size()), problem.data(),
                 kUsage);
    return 2;
  }
  if (flags->help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  return serve(*flags);
}

}  // namespace
}  // namespace sluice::mock_cp

int main(int argc, char** argv) {
  return sluice::mock_cp::run(std::vector<std::string_view>(argv + 1, argv + argc));
}
