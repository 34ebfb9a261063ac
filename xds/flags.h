// Flags is Sluice's command line, which is Envoy's, so that what launches Envoy launches Sluice.
//
// Forms: `--name value`, `--name=value`, `-c value`, and one argument that holds "--name value"
// (some launchers quote so). A lone `--` ends the flags: what follows belongs to the launcher.
// Values; main only, before anything else runs. Errors name the flag, the value and a remedy.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::xds {

struct Flags {
  enum class Mode : uint8_t { kServe, kValidate, kInitOnly };
  enum class DrainStrategy : uint8_t { kGradual, kImmediate };
  enum class IpVersion : uint8_t { kV4, kV6 };

  std::string config_path;
  std::string config_yaml;  // merged over the file
  std::string service_node, service_cluster, service_zone;
  std::optional<uint32_t> concurrency;  // none: one worker per CPU
  bool cpuset_threads = false;
  std::string log_level = "info";  // trace debug info warning error critical off
  std::string component_log_level;
  std::string log_format;
  std::string log_path;  // empty: stderr
  std::chrono::seconds drain_time{600};
  DrainStrategy drain_strategy = DrainStrategy::kGradual;
  std::string admin_address_path;
  std::string last_good_config_path;  // empty: nothing is kept
  // Of what each control plane sends of a type: clusters or listeners, and bytes of any type.
  uint32_t max_dynamic_resources = 250'000;
  uint32_t max_dynamic_config_mib = 1024;
  Mode mode = Mode::kServe;
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool ignore_unknown_dynamic_fields = false;
  bool skip_deprecated_logs = false;
  std::chrono::milliseconds file_flush_interval{10'000};
  uint32_t file_flush_min_size_kb = 64;
  IpVersion local_address_ip_version = IpVersion::kV4;
  bool enable_core_dump = false;
  bool help = false;
  bool version = false;

  // Accepted flags that mean nothing here, ready to log: "--base-id 0: there is no hot restart".
  std::vector<std::string> notes;
  // As given, for /server_info's command_line_options: name without dashes, value ("true" for
  // switches), in order.
  std::vector<std::pair<std::string, std::string>> given;
};

// `args` without the program's name.
absl::StatusOr<Flags> parse_flags(std::span<const std::string_view> args);
absl::StatusOr<Flags> parse_flags(int argc, const char* const* argv);

// What --help prints, made from the same table that parses.
std::string help_text();

}  // namespace sluice::xds
