#include "xds/flags.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

using Text = std::string_view;

struct Flag {
  Text name;
  Text argument;  // what help calls the value; empty: a switch
  Text help;
  // Stores the value; false: it is not one of `wanted`. None: the flag means nothing here.
  bool (*set)(Flags&, Text value) = nullptr;
  Text wanted = {};  // for the error
  Text remark = {};  // why it means nothing
  char letter = 0;   // -c
  bool repeats = false;
};

template <auto Member>
bool set_text(Flags& flags, Text value) {
  flags.*Member = std::string(value);
  return true;
}

template <auto Member>
bool set_switch(Flags& flags, Text value) {
  if (value != "true" && value != "false") return false;
  flags.*Member = value == "true";
  return true;
}

template <typename N>
bool parse_number(Text value, N* out) {
  const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), *out);
  return error == std::errc() && at == value.data() + value.size();
}

template <auto Member>
bool set_time(Flags& flags, Text value) {
  uint32_t count = 0;
  if (!parse_number(value, &count)) return false;
  using Time = std::remove_reference_t<decltype(flags.*Member)>;
  flags.*Member = Time(count);
  return true;
}

bool set_concurrency(Flags& flags, Text value) {
  uint32_t count = 0;
  if (!parse_number(value, &count) || count > 1024) return false;
  flags.concurrency = std::max(count, 1U);
  return true;
}

bool set_flush_size(Flags& flags, Text value) {
  return parse_number(value, &flags.file_flush_min_size_kb);
}

template <uint32_t Flags::* member>
bool set_limit(Flags& flags, Text value) {
  return parse_number(value, &(flags.*member)) && flags.*member > 0;
}

bool set_log_level(Flags& flags, Text value) {
  if (value == "warn") value = "warning";
  constexpr std::array<Text, 7> kLevels = {"trace", "debug",    "info", "warning",
                                           "error", "critical", "off"};
  flags.log_level = std::string(value);
  return std::find(kLevels.begin(), kLevels.end(), value) != kLevels.end();
}

bool set_drain_strategy(Flags& flags, Text value) {
  using Strategy = Flags::DrainStrategy;
  flags.drain_strategy = value == "immediate" ? Strategy::kImmediate : Strategy::kGradual;
  return value == "immediate" || value == "gradual";
}

bool set_mode(Flags& flags, Text value) {
  using Mode = Flags::Mode;
  flags.mode = value == "validate"    ? Mode::kValidate
               : value == "init_only" ? Mode::kInitOnly
                                      : Mode::kServe;
  return value == "serve" || value == "validate" || value == "init_only";
}

bool set_ip_version(Flags& flags, Text value) {
  flags.local_address_ip_version = value == "v6" ? Flags::IpVersion::kV6 : Flags::IpVersion::kV4;
  return value == "v4" || value == "v6";
}

bool set_bootstrap_version(Flags&, Text value) { return value == "3"; }

constexpr Text kNumber = "a whole number";
constexpr Text kYesNo = "true or false";
constexpr Text kNoHotRestart = "there is no hot restart";

const Flag kFlags[] = {
    {"config-path",
     "FILE",
     "bootstrap, YAML or JSON: a file, a pipe or /dev/fd/N",
     set_text<&Flags::config_path>,
     {},
     {},
     'c'},
    {"config-yaml", "TEXT", "bootstrap as text, merged over the file",
     set_text<&Flags::config_yaml>},
    {"mode", "MODE", "serve (default), validate or init_only", set_mode,
     "serve, validate or init_only"},
    {"concurrency", "N", "worker threads (default: one per CPU)", set_concurrency,
     "a number up to 1024"},
    {"cpuset-threads",
     {},
     "one worker per CPU of the process's CPU set",
     set_switch<&Flags::cpuset_threads>,
     kYesNo},
    {"service-node", "ID", "node.id", set_text<&Flags::service_node>},
    {"service-cluster", "NAME", "node.cluster", set_text<&Flags::service_cluster>},
    {"service-zone", "NAME", "node.locality.zone", set_text<&Flags::service_zone>},
    {"log-level",
     "LEVEL",
     "trace, debug, info (default), warning, error, critical or off",
     set_log_level,
     "trace, debug, info, warning, error, critical or off",
     {},
     'l'},
    {"component-log-level", "LIST", "levels of components: name:level,...",
     set_text<&Flags::component_log_level>},
    {"log-format", "FORMAT", "spdlog's pattern of a log line", set_text<&Flags::log_format>},
    {"log-path", "FILE", "where the log goes (default: standard error)",
     set_text<&Flags::log_path>},
    {"drain-time-s", "SECONDS", "how long connections may finish (default: 600)",
     set_time<&Flags::drain_time>, kNumber},
    {"drain-strategy", "NAME", "gradual (default) or immediate", set_drain_strategy,
     "gradual or immediate"},
    {"last-good-config-path", "FILE",
     "where to keep what control planes sent, to start with while they are away",
     set_text<&Flags::last_good_config_path>},
    {"max-dynamic-resources", "N",
     "clusters, and listeners, that a control plane may make (default: 250000)",
     set_limit<&Flags::max_dynamic_resources>, "a whole number above 0"},
    {"max-dynamic-config-mib", "MIB",
     "bytes of the resources of a type that a control plane may send (default: 1024)",
     set_limit<&Flags::max_dynamic_config_mib>, "a whole number above 0"},
    {"admin-address-path", "FILE", "where to write admin's address once it listens",
     set_text<&Flags::admin_address_path>},
    {"allow-unknown-static-fields",
     {},
     "warn of unknown fields in the bootstrap",
     set_switch<&Flags::allow_unknown_static_fields>,
     kYesNo},
    {"reject-unknown-dynamic-fields",
     {},
     "refuse resources with unknown fields",
     set_switch<&Flags::reject_unknown_dynamic_fields>,
     kYesNo},
    {"ignore-unknown-dynamic-fields",
     {},
     "do not even warn of unknown fields in resources",
     set_switch<&Flags::ignore_unknown_dynamic_fields>,
     kYesNo},
    {"skip-deprecated-logs",
     {},
     "do not warn of deprecated fields",
     set_switch<&Flags::skip_deprecated_logs>,
     kYesNo},
    {"file-flush-interval-msec", "MS", "how often access logs are written (default: 10000)",
     set_time<&Flags::file_flush_interval>, kNumber},
    {"file-flush-min-size-kb", "KIB", "... or when this much is waiting (default: 64)",
     set_flush_size, kNumber},
    {"local-address-ip-version", "V", "v4 (default) or v6", set_ip_version, "v4 or v6"},
    {"enable-core-dump",
     {},
     "leave core dumps possible",
     set_switch<&Flags::enable_core_dump>,
     kYesNo},
    {"bootstrap-version", "V", "3, the only one", set_bootstrap_version,
     "3; version 2 of the API is gone, convert the bootstrap"},
    {"help", {}, "print this", set_switch<&Flags::help>, kYesNo, {}, 'h'},
    {"version", {}, "print the version and what is linked", set_switch<&Flags::version>, kYesNo},

    {"parent-shutdown-time-s", "SECONDS", {}, nullptr, {}, kNoHotRestart},
    {"disable-hot-restart", {}, {}, nullptr, {}, kNoHotRestart},
    {"base-id", "N", {}, nullptr, {}, kNoHotRestart},
    {"base-id-path", "FILE", {}, nullptr, {}, kNoHotRestart},
    {"use-dynamic-base-id", {}, {}, nullptr, {}, kNoHotRestart},
    {"restart-epoch", "N", {}, nullptr, {}, kNoHotRestart},
    {"socket-path", "PATH", {}, nullptr, {}, kNoHotRestart},
    {"socket-mode", "MODE", {}, nullptr, {}, kNoHotRestart},
    {"skip-hot-restart-on-no-parent", {}, {}, nullptr, {}, kNoHotRestart},
    {"skip-hot-restart-parent-stats", {}, {}, nullptr, {}, kNoHotRestart},
    {"enable-fine-grain-logging", {}, {}, nullptr, {}, "log levels are per component"},
    {"log-format-escaped", {}, {}, nullptr, {}, "log lines are always escaped"},
    {"enable-mutex-tracing", {}, {}, nullptr, {}, "workers have no mutexes"},
    {"disable-extensions", "LIST", {}, nullptr, {}, "what is not configured is not loaded"},
    {"stats-tag", "TAG", {}, nullptr, {}, "fixed statistics tags are not supported yet", 0, true},
    {"max-stats", "N", {}, nullptr, {}, "statistics have no such limit"},
    {"max-obj-name-len", "N", {}, nullptr, {}, "names have no such limit"},
};

const Flag* find(Text name) {
  const auto* found = std::find_if(std::begin(kFlags), std::end(kFlags),
                                   [&](const Flag& f) { return f.name == name; });
  return found == std::end(kFlags) ? nullptr : found;
}

const Flag* find(char letter) {
  const auto* found = std::find_if(std::begin(kFlags), std::end(kFlags), [&](const Flag& f) {
    return f.letter != 0 && f.letter == letter;
  });
  return found == std::end(kFlags) ? nullptr : found;
}

// One argument cut into its flag and, where it holds one, its value.
struct Cut {
  const Flag* flag = nullptr;
  Text shown;  // as written, with dashes
  std::optional<Text> value;
};

Text trim(Text text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

Cut cut(Text arg) {
  const size_t end = arg.find_first_of("= ");
  Cut out;
  out.shown = arg.substr(0, end);
  if (end != arg.npos) out.value = arg[end] == ' ' ? trim(arg.substr(end)) : arg.substr(end + 1);
  if (arg.starts_with("--")) {
    out.flag = find(out.shown.substr(2));
  } else if (out.shown.size() == 2) {
    out.flag = find(out.shown[1]);
  }
  return out;
}

absl::Status take(Flags& flags, const Flag& flag, Text shown, Text value) {
  const bool again = std::any_of(flags.given.begin(), flags.given.end(),
                                 [&](const auto& given) { return given.first == flag.name; });
  if (again && !flag.repeats) {
    return base::config_error(shown, ": given twice; keep one");
  }
  flags.given.emplace_back(flag.name, value);
  if (flag.set == nullptr) {
    flags.notes.push_back(flag.argument.empty()
                              ? base::cat(shown, ": ignored: ", flag.remark)
                              : base::cat(shown, " ", value, ": ignored: ", flag.remark));
    return absl::OkStatus();
  }
  if (flag.set(flags, value)) return absl::OkStatus();
  return base::config_error(shown, ": expected ", flag.wanted, ": \"", value, "\"");
}

absl::Status unknown(const Cut& at, Text arg) {
  if (arg.starts_with('-')) {
    return base::config_error(at.shown, ": no such flag; --help lists them");
  }
  return base::config_error("unexpected argument \"", arg,
                            "\"; flags start with --, the bootstrap is given by -c FILE");
}

}  // namespace

absl::StatusOr<Flags> parse_flags(std::span<const std::string_view> args) {
  Flags flags;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") break;
    if (trim(args[i]).empty()) continue;
    Cut at = cut(args[i]);
    if (at.flag == nullptr) return unknown(at, args[i]);
    if (!at.value && at.flag->argument.empty()) at.value = "true";
    if (!at.value) {
      if (i + 1 == args.size()) {
        return base::config_error(at.shown, ": its value is missing; write ", at.shown, " ",
                                  at.flag->argument);
      }
      at.value = args[++i];
    }
    if (absl::Status s = take(flags, *at.flag, at.shown, *at.value); !s.ok()) return s;
  }
  if (flags.reject_unknown_dynamic_fields && flags.ignore_unknown_dynamic_fields) {
    return base::config_error(
        "--reject-unknown-dynamic-fields and --ignore-unknown-dynamic-fields exclude each other; "
        "keep one");
  }
  return flags;
}

absl::StatusOr<Flags> parse_flags(int argc, const char* const* argv) {
  std::vector<std::string_view> args;
  for (int i = 1; i < argc; ++i) args.emplace_back(argv[i]);
  return parse_flags(args);
}

std::string help_text() {
  std::string out = "usage: sluice -c FILE [flags]\n\n";
  std::string ignored;
  for (const Flag& flag : kFlags) {
    if (flag.set == nullptr) {
      base::cat_to(ignored, ignored.empty() ? "" : ", ", "--", flag.name);
      continue;
    }
    std::string left = flag.letter == 0 ? "    " : base::cat("-", flag.letter, ", ");
    base::cat_to(left, "--", flag.name, flag.argument.empty() ? "" : " ", flag.argument);
    left.resize(std::max<size_t>(left.size() + 1, 40), ' ');
    base::cat_to(out, "  ", left, flag.help, "\n");
  }
  base::cat_to(out, "\nAccepted for compatibility, without effect:\n  ", ignored,
               "\n\nA lone -- ends the flags; what follows is ignored.\n");
  return out;
}

}  // namespace sluice::xds
