#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/stat_groups.h"

namespace sluice::http {

struct H2Options;

// H2Limits counts what a peer may do too often on one HTTP/2 connection: frames that cost us more
// than they cost it, and resets. The rules are Envoy's (its ProtocolConstraints), of which nghttp2
// 1.52 knows only few; each is asked before nghttp2 sees the frame. Plain counters, worker-local,
// no clock of its own, no allocation.
class H2Limits {
 public:
  enum class Breach : uint8_t {
    kNone,
    kContinuations,   // more than kMaxContinuations for one head
    kEmptyFrames,     // in a row, without END_STREAM
    kPriorities,      // more than max_priority_frames_per_stream * (1 + streams)
    kWindowUpdates,   // more than 5 + 2 * (streams + max_window_updates_per_data_frame * DATA sent)
    kUnknownFrames,   // more than max_unknown_frames + streams
    kResets,          // bucket of max_resets, refilled by resets_per_second
    kControlFrames,   // answers that wait to be sent: PING, SETTINGS, RST_STREAM
    kOutboundFrames,  // all frames that wait
  };
  static constexpr uint32_t kMaxContinuations = 8;

  explicit H2Limits(const H2Options& options) noexcept;

  // The header of a frame was read. `type` as on the wire.
  Breach on_frame(uint8_t type) noexcept;
  // HEADERS, CONTINUATION or DATA without padding: is it empty, and does it end its stream?
  Breach on_content(bool empty, bool end_stream) noexcept;
  // A RST_STREAM of the peer, or one of ours that its mistake caused.
  Breach on_reset(base::MonoNs now) noexcept;
  Breach on_waiting(uint64_t frames, uint64_t control_frames) const noexcept;
  void opened_stream() noexcept { ++num_opened_; }
  void sent_data_frame() noexcept { ++num_data_sent_; }

  // Counts a breach under its name, and says it in words for the log.
  static const char* count(Breach breach, base::H2Cells& cells) noexcept;

 private:
  const H2Options& options_;
  uint64_t num_opened_ = 0;
  uint64_t num_data_sent_ = 0;
  uint64_t num_priorities_ = 0;
  uint64_t num_window_updates_ = 0;
  uint64_t num_unknown_ = 0;
  uint32_t num_continuations_ = 0;
  uint32_t num_empty_ = 0;
  uint32_t tokens_;
  base::MonoNs refilled_at_ = 0;
};

}  // namespace sluice::http
