#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The process log: what operators read on stderr or in --log-path. Not the access log.
//
// Any thread. A call below the component's level costs two loads; make costly texts behind
// enabled(). One that is written takes spdlog's lock: never call it on the request path, and from
// workers only for rare events or behind a RateLimit.
// In namespace sluice::log, because every folder after dataplane/ writes log::warn("xds", ...).
namespace sluice::log {

enum class Level : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kCritical, kOff };

// Components have levels of their own (--component-log-level, /logging). The names are Envoy's
// where Envoy has them; an unknown one logs as "main".
std::span<const std::string_view> components() noexcept;

struct Options {
  Level level = Level::kInfo;
  std::string format;            // Envoy's --log-format, which is spdlog's pattern; empty: Envoy's
  std::string file;              // --log-path; empty: stderr
  std::string component_levels;  // "upstream:debug,xds:trace"
};
// Once, from main, before other threads begin; without it everything from info on goes to stderr.
absl::Status init(const Options& options);

absl::StatusOr<Level> parse_level(std::string_view text);  // "warn" and "warning"...
std::string_view text_of(Level level) noexcept;
void set_level(Level level) noexcept;  // of all components
absl::Status set_component_level(std::string_view component, Level level);
Level level_of(std::string_view component) noexcept;

bool enabled(std::string_view component, Level level) noexcept;
void write(std::string_view component, Level level, std::string_view text) noexcept;
// Reopens --log-path (SIGUSR1), writes out what is buffered (before exit).
void reopen() noexcept;
void flush() noexcept;

inline void trace(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kTrace, text);
}
inline void debug(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kDebug, text);
}
inline void info(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kInfo, text);
}
inline void warn(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kWarn, text);
}
inline void error(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kError, text);
}
inline void critical(std::string_view component, std::string_view text) noexcept {
  write(component, Level::kCritical, text);
}

// RateLimit lets a line through at most once per interval. Worker-local; one per kind of line.
//   if (limit.pass(clock.now())) log::warn("upstream", base::cat(..., limit.suppressed()));
class RateLimit {
 public:
  explicit RateLimit(int64_t interval_ns = 1'000'000'000) noexcept : interval_ns_(interval_ns) {}
  bool pass(int64_t now_ns) noexcept {
    if (now_ns < next_ns_) {
      ++suppressed_;
      return false;
    }
    next_ns_ = now_ns + interval_ns_;
    last_suppressed_ = suppressed_;
    suppressed_ = 0;
    return true;
  }
  // How many were held back before the last one that passed.
  uint64_t suppressed() const noexcept { return last_suppressed_; }

 private:
  int64_t interval_ns_;
  int64_t next_ns_ = INT64_MIN;
  uint64_t suppressed_ = 0;
  uint64_t last_suppressed_ = 0;
};

}  // namespace sluice::log
