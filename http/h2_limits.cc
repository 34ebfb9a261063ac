#include "http/h2_limits.h"

#include <algorithm>

#include "http/h2_codec.h"
#include "http/h2_frame.h"

namespace sluice::http {

H2Limits::H2Limits(const H2Options& options) noexcept
    : options_(options), tokens_(options.max_resets) {}

H2Limits::Breach H2Limits::on_frame(uint8_t type) noexcept {
  switch (static_cast<H2Frame::Type>(type)) {
    case H2Frame::Type::kHeaders:
      num_continuations_ = 0;
      return Breach::kNone;
    case H2Frame::Type::kContinuation:
      return ++num_continuations_ > kMaxContinuations ? Breach::kContinuations : Breach::kNone;
    case H2Frame::Type::kPriority:
    case H2Frame::Type::kPriorityUpdate:
      return ++num_priorities_ > options_.max_priority_frames_per_stream * (1 + num_opened_)
                 ? Breach::kPriorities
                 : Breach::kNone;
    case H2Frame::Type::kWindowUpdate: {
      const uint64_t per_data = options_.max_window_updates_per_data_frame;
      return ++num_window_updates_ > 5 + 2 * (num_opened_ + per_data * num_data_sent_)
                 ? Breach::kWindowUpdates
                 : Breach::kNone;
    }
    case H2Frame::Type::kData:
    case H2Frame::Type::kReset:
    case H2Frame::Type::kSettings:
    case H2Frame::Type::kPushPromise:
    case H2Frame::Type::kPing:
    case H2Frame::Type::kGoaway:
      return Breach::kNone;
  }
  return ++num_unknown_ > options_.max_unknown_frames + num_opened_ ? Breach::kUnknownFrames
                                                                    : Breach::kNone;
}

H2Limits::Breach H2Limits::on_content(bool empty, bool end_stream) noexcept {
  if (!empty || end_stream) {
    num_empty_ = 0;
    return Breach::kNone;
  }
  return ++num_empty_ > options_.max_consecutive_empty_frames ? Breach::kEmptyFrames
                                                              : Breach::kNone;
}

H2Limits::Breach H2Limits::on_reset(base::MonoNs now) noexcept {
  const uint64_t rate = options_.resets_per_second;
  if (tokens_ == options_.max_resets) refilled_at_ = now;  // a full bucket gains nothing
  if (rate != 0 && now > refilled_at_) {
    // No bucket takes longer than a day to fill; it keeps the product small.
    constexpr int64_t kDay = 86'400 * base::kNsPerSec;
    const auto waited = static_cast<uint64_t>(std::min(now - refilled_at_, kDay));
    const uint64_t gained = waited / 1000 * rate / (base::kNsPerSec / 1000);
    if (tokens_ + gained >= options_.max_resets) {
      tokens_ = options_.max_resets;
      refilled_at_ = now;
    } else if (gained != 0) {
      tokens_ += static_cast<uint32_t>(gained);
      refilled_at_ += static_cast<int64_t>(gained * base::kNsPerSec / rate);
    }
  }
  if (tokens_ == 0) return Breach::kResets;
  --tokens_;
  return Breach::kNone;
}

H2Limits::Breach H2Limits::on_waiting(uint64_t frames, uint64_t control_frames) const noexcept {
  if (control_frames > options_.max_outbound_control_frames) return Breach::kControlFrames;
  return frames > options_.max_outbound_frames ? Breach::kOutboundFrames : Breach::kNone;
}

const char* H2Limits::count(Breach breach, base::H2Cells& cells) noexcept {
  switch (breach) {
    case Breach::kNone:
      return "";
    case Breach::kContinuations:
      cells.continuation_flood.add();
      return "too many CONTINUATION frames for one head";
    case Breach::kEmptyFrames:
      cells.inbound_empty_frames_flood.add();
      return "too many consecutive frames with empty payload";
    case Breach::kPriorities:
      cells.inbound_priority_frames_flood.add();
      return "too many PRIORITY frames";
    case Breach::kWindowUpdates:
      cells.inbound_window_update_frames_flood.add();
      return "too many WINDOW_UPDATE frames";
    case Breach::kUnknownFrames:
      cells.unknown_frames_flood.add();
      return "too many frames of unknown types";
    case Breach::kResets:
      cells.too_many_resets.add();
      return "too many streams were reset";
    case Breach::kControlFrames:
      cells.outbound_control_flood.add();
      return "too many control frames wait to be sent";
    case Breach::kOutboundFrames:
      cells.outbound_flood.add();
      return "too many frames wait to be sent";
  }
  return "";
}

}  // namespace sluice::http
