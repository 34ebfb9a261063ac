#include "dataplane/log.h"

#include <spdlog/details/file_helper.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "http/format.h"

namespace sluice::log {

namespace {

constexpr std::string_view kComponents[] = {
    "main",   "access_log", "admin", "client",  "config",   "conn_handler", "connection",
    "dns",    "filter",     "grpc",  "health",  "hc",       "http",         "http2",
    "lua",    "matcher",    "misc",  "pool",    "rbac",     "router",       "runtime",
    "secret", "stats",      "tls",   "tracing", "upstream", "worker",       "xds",
};
constexpr size_t kNumComponents = std::size(kComponents);

constexpr std::string_view kLevels[] = {"trace", "debug",    "info", "warning",
                                        "error", "critical", "off"};

constexpr std::string_view kDefaultPattern = "[%Y-%m-%d %T.%e][%t][%l][%n] %v";

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  return static_cast<spdlog::level::level_enum>(level);
}
static_assert(static_cast<int>(Level::kOff) == SPDLOG_LEVEL_OFF);

// A file that can be opened again under its name.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(const std::string& path) { file_.open(path); }
  void reopen() {
    const std::lock_guard<std::mutex> lock(mutex_);
    file_.reopen(false);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    file_.write(line);
  }
  void flush_() override { file_.flush(); }

 private:
  spdlog::details::file_helper file_;
};

// Envoy's %_ (message in one line, which ours always is) and %j (for the inside of a JSON string).
class TextFlag final : public spdlog::custom_flag_formatter {
 public:
  explicit TextFlag(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    if (!json_) {
      out.append(text.data(), text.data() + text.size());
      return;
    }
    std::string escaped(text.size() * 6, '\0');
    http::Sink sink(escaped.data(), escaped.size());
    http::append_json_escaped(text, sink);
    out.append(escaped.data(), escaped.data() + sink.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<TextFlag>(json_);
  }

 private:
  bool json_;
};

class Loggers {
 public:
  Loggers() { attach(std::make_shared<spdlog::sinks::stderr_sink_mt>(), kDefaultPattern); }

  void attach(spdlog::sink_ptr sink, std::string_view pattern) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<TextFlag>('_', false).add_flag<TextFlag>('j', true);
    formatter->set_pattern(std::string(pattern));
    sink->set_formatter(std::move(formatter));
    for (size_t i = 0; i < kNumComponents; ++i) {
      loggers_[i] = std::make_unique<spdlog::logger>(std::string(kComponents[i]), sink);
      loggers_[i]->flush_on(spdlog::level::err);
    }
  }
  void attach_file(const std::string& path, std::string_view pattern) {
    file_ = std::make_shared<FileSink>(path);
    attach(file_, pattern);
  }
  spdlog::logger* find(std::string_view component) const noexcept {
    for (size_t i = 0; i < kNumComponents; ++i) {
      if (kComponents[i] == component) return loggers_[i].get();
    }
    return nullptr;
  }
  spdlog::logger& of(std::string_view component) const noexcept {
    spdlog::logger* logger = find(component);
    return logger == nullptr ? *loggers_[0] : *logger;
  }
  std::array<std::unique_ptr<spdlog::logger>, kNumComponents>& all() { return loggers_; }
  FileSink* file() const noexcept { return file_.get(); }

 private:
  std::array<std::unique_ptr<spdlog::logger>, kNumComponents> loggers_;
  std::shared_ptr<FileSink> file_;
};

// Never destroyed: threads may log while the process ends.
Loggers& loggers() noexcept {
  static Loggers* const all = new Loggers;
  return *all;
}

std::string one_line(std::string_view text) {
  std::string out(text.size() * 4, '\0');
  http::Sink sink(out.data(), out.size());
  http::append_log_escaped(text, sink);
  out.resize(sink.size());
  return out;
}

absl::Status set_component_levels(std::string_view list) {
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(item.size() + 1, list.size()));
    const size_t colon = item.find(':');
    if (colon == std::string_view::npos) {
      return base::config_error("component-log-level: not of the form component:level: ", item);
    }
    const auto level = parse_level(item.substr(colon + 1));
    if (!level.ok()) return level.status();
    if (auto status = set_component_level(item.substr(0, colon), *level); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::span<const std::string_view> components() noexcept { return kComponents; }

absl::Status init(const Options& options) {
  const std::string_view pattern =
      options.format.empty() ? kDefaultPattern : std::string_view(options.format);
  try {
    if (options.file.empty()) {
      loggers().attach(std::make_shared<spdlog::sinks::stderr_sink_mt>(), pattern);
    } else {
      loggers().attach_file(options.file, pattern);
    }
  } catch (const std::exception& e) {  // spdlog's way to say that a file cannot be opened
    return base::config_error("log-path: ", e.what());
  }
  set_level(options.level);
  return set_component_levels(options.component_levels);
}

absl::StatusOr<Level> parse_level(std::string_view text) {
  if (text == "warn") return Level::kWarn;
  if (text == "err") return Level::kError;
  for (size_t i = 0; i < std::size(kLevels); ++i) {
    if (kLevels[i] == text) return static_cast<Level>(i);
  }
  return base::config_error(
      "log level: must be trace, debug, info, warning, error, critical or off: ", text);
}

std::string_view text_of(Level level) noexcept { return kLevels[static_cast<size_t>(level)]; }

void set_level(Level level) noexcept {
  for (auto& logger : loggers().all()) logger->set_level(to_spdlog(level));
}

absl::Status set_component_level(std::string_view component, Level level) {
  spdlog::logger* logger = loggers().find(component);
  if (logger == nullptr) {
    return base::config_error("component-log-level: no such component: ", component);
  }
  logger->set_level(to_spdlog(level));
  return absl::OkStatus();
}

Level level_of(std::string_view component) noexcept {
  return static_cast<Level>(loggers().of(component).level());
}

bool enabled(std::string_view component, Level level) noexcept {
  return loggers().of(component).should_log(to_spdlog(level));
}

void write(std::string_view component, Level level, std::string_view text) noexcept {
  spdlog::logger& logger = loggers().of(component);
  if (!logger.should_log(to_spdlog(level))) return;
  const std::string line = one_line(text);
  logger.log(spdlog::source_loc{}, to_spdlog(level),
             spdlog::string_view_t(line.data(), line.size()));
}

void reopen() noexcept {
  if (FileSink* file = loggers().file(); file != nullptr) {
    try {
      file->reopen();
    } catch (const std::exception&) {  // the old file is gone; what is logged meanwhile is lost
    }
  }
}

void flush() noexcept {
  for (auto& logger : loggers().all()) logger->flush();
}

}  // namespace sluice::log
