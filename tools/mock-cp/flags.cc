#include "tools/mock-cp/flags.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "tools/mock-cp/folder.h"
#include "tools/mock-cp/types.h"
#include "xds/yaml.h"

namespace sluice::mock_cp {
namespace {

constexpr std::string_view kUsage =
    "mock-cp --listen ADDR:PORT [--resources DIR] [--generate SPEC] [--admin ADDR:PORT] ...\n"
    "\n"
    "  --listen ADDR:PORT  where to serve xDS: state of the world and incremental, over ADS and\n"
    "                      over each type's own service; port 0 takes any\n"
    "  --resources DIR     *.yaml and *.json with Envoy resources; watched for changes\n"
    "  --generate SPEC     listeners=N,vhosts=N,routes=N,clusters=N,endpoints=N\n"
    "                      [,port=N,endpoint_port=N]: resources for scale tests\n"
    "  --admin ADDR:PORT   HTTP interface: resources, faults, what clients did; PORT alone is on\n"
    "                      127.0.0.1. GET / tells more\n"
    "  --set FILE          resources over those of the folder, as PUT /resources; may be repeated\n"
    "  --patch TYPE/NAME=YAML, --delete TYPE/NAME\n"
    "                      as PATCH and DELETE /resources/TYPE/NAME; may be repeated\n"
    "  --fault SPEC        action=delay,type=EDS,ms=500,count=3, as POST /faults; may be repeated\n"
    "  --load-interval-ms N\n"
    "                      be a load reporting server, too (LRS): ask clients for their load\n"
    "                      this often\n"
    "  --superset          hold a response back until the request names all resources of its\n"
    "                      type, as go-control-plane does in ADS mode\n"
    "  --verbose           log requests, pushes and streams too\n";

constexpr std::array<std::string_view, 9> kWithValue = {
    "--listen", "--resources", "--generate", "--admin",           "--set",
    "--patch",  "--delete",    "--fault",    "--load-interval-ms"};

absl::Status take(std::string_view name, std::string_view value, Flags* flags) {
  if (name == "--listen") flags->listen = value;
  if (name == "--resources") flags->resources = value;
  if (name == "--admin") flags->admin = value;
  if (name == "--set" || name == "--patch" || name == "--delete") {
    flags->changes.emplace_back(name, value);
  }
  if (name == "--load-interval-ms") {
    const auto end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, flags->load_interval_ms);
    if (read.ec != std::errc() || read.ptr != end || flags->load_interval_ms == 0) {
      return base::config_error(name, ": not a number of milliseconds: ", value);
    }
  }
  if (name == "--generate") {
    auto what = parse_generate(value);
    if (!what.ok()) return what.status();
    flags->generate = *what;
  }
  if (name == "--fault") {
    auto fault = parse_fault(value);
    if (!fault.ok()) return base::config_error(name, ": ", base::message_of(fault.status()));
    flags->faults.push_back(*std::move(fault));
  }
  return absl::OkStatus();
}

absl::Status check(const Flags& flags) {
  if (flags.listen.empty()) return base::config_error("--listen: is missing");
  if (flags.resources.empty() && !flags.generate && flags.admin.empty() && flags.changes.empty()) {
    return base::config_error("--resources, --generate, --set or --admin: one of them is needed");
  }
  return absl::OkStatus();
}

absl::Status apply(std::string_view flag, std::string_view value, Store& store) {
  if (flag == "--set") {
    const auto text = xds::read_file(std::string(value));
    if (!text.ok()) return text.status();
    auto resources = read_resources(*text, value);
    if (!resources.ok()) return resources.status();
    store.set(*resources);
    return absl::OkStatus();
  }
  const size_t slash = std::min(value.find('/'), value.size());
  const std::string url = url_of(value.substr(0, slash));
  if (url.empty() || slash == value.size()) {
    return base::config_error("expected TYPE/NAME: ", value);
  }
  const std::string_view rest = value.substr(slash + 1);
  if (flag == "--delete") return store.erase(url, rest).status();
  const size_t equals = rest.find('=');
  if (equals == rest.npos) return base::config_error("expected TYPE/NAME=YAML: ", value);
  return store.patch(url, rest.substr(0, equals), rest.substr(equals + 1)).status();
}

}  // namespace

std::string_view usage() noexcept { return kUsage; }

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
    } else if (std::find(kWithValue.begin(), kWithValue.end(), name) != kWithValue.end()) {
      if (equals == arg.npos && ++i == args.size()) {
        return base::config_error(name, ": a value is missing");
      }
      const std::string_view value = equals == arg.npos ? args[i] : arg.substr(equals + 1);
      if (absl::Status status = take(name, value, &flags); !status.ok()) return status;
    } else {
      return base::config_error(arg, ": unknown flag");
    }
  }
  if (!flags.help) {
    if (absl::Status status = check(flags); !status.ok()) return status;
  }
  return flags;
}

absl::Status apply_changes(const Flags& flags, Store& store) {
  for (const auto& [flag, value] : flags.changes) {
    const absl::Status status = apply(flag, value, store);
    if (!status.ok()) return base::config_error(flag, ": ", base::message_of(status));
  }
  return absl::OkStatus();
}

}  // namespace sluice::mock_cp
