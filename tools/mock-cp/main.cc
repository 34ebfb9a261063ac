// mock-cp: a control plane for development and tests. It serves the Envoy resources of a folder of
// YAML files, pushes what changes when files change, and on demand does what control planes must
// not do (docs/mock_cp.md).

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "tools/mock-cp/control.h"
#include "tools/mock-cp/flags.h"
#include "tools/mock-cp/folder.h"
#include "tools/mock-cp/server.h"
#include "tools/mock-cp/store.h"
#include "tools/mock-cp/types.h"

namespace sluice::mock_cp {
namespace {

void say(std::string_view line) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::printf("mock-cp: %.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(stdout);
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

int fail(const absl::Status& status) {
  say(base::cat("error: ", base::message_of(status)));
  return 1;
}

// Follows the folder until a signal comes.
void follow(const Flags& flags, FolderWatch& watch, int stop_fd, Store& store) {
  while (watch.wait(stop_fd)) {
    if (flags.resources.empty()) continue;
    ResourceSet resources;
    if (!load(flags, resources)) {
      say("the last good resources stay in service");
      continue;
    }
    const auto before = store.current();
    const auto next = store.set_files(std::move(resources));
    say(base::cat("files changed: ", describe(*next, before.get())));
  }
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
  auto server = Server::start({.listen = flags.listen,
                               .superset = flags.superset,
                               .verbose = flags.verbose,
                               .log = say,
                               .load_interval_ms = flags.load_interval_ms});
  if (!server.ok()) return fail(server.status());
  for (const Fault& fault : flags.faults) (*server)->faults().add(fault);

  Store store([&server](Store::Snapshots snapshot) { (*server)->set(std::move(snapshot)); });
  store.set_files(std::move(resources));
  if (absl::Status status = apply_changes(flags, store); !status.ok()) return fail(status);
  Control control(**server, store);
  std::unique_ptr<HttpServer> http;
  if (!flags.admin.empty()) {
    auto started = HttpServer::start(
        flags.admin, [&control](const HttpServer::Request& r) { return control.handle(r); });
    if (!started.ok()) return fail(started.status());
    http = *std::move(started);
    say(base::cat("admin on port ", http->port()));
  }
  say(base::cat("serving on port ", (*server)->port(), ": ", describe(*store.current(), nullptr)));
  follow(flags, *watch, stop_fd, store);
  (*server)->journal().stop();
  http.reset();
  say("stopped");
  return 0;
}

int run(const std::vector<std::string_view>& args) {
  const auto flags = parse_flags(args);
  const std::string_view text = usage();
  if (!flags.ok()) {
    const std::string_view problem = base::message_of(flags.status());
    std::fprintf(stderr, "mock-cp: %.*s\n\n%.*s", static_cast<int>(problem.size()), problem.data(),
                 static_cast<int>(text.size()), text.data());
    return 2;
  }
  if (flags->help) {
    std::printf("%.*s", static_cast<int>(text.size()), text.data());
    return 0;
  }
  return serve(*flags);
}

}  // namespace
}  // namespace sluice::mock_cp

int main(int argc, char** argv) {
  return sluice::mock_cp::run(std::vector<std::string_view>(argv + 1, argv + argc));
}
