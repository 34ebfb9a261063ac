#include "xds/decode_http2.h"

namespace sluice::xds {
namespace {

using Options = core::Http2ProtocolOptions;

absl::Status decode_keepalive(const Context& context, const Path& at,
                              const core::KeepaliveSettings& in, upstream::H2Value* out) {
  if (in.has_interval()) {
    absl::Status s =
        decode_duration(context, Path(at, "interval"), in.interval(), &out->keepalive_interval);
    if (!s.ok()) return s;
  }
  if (in.has_interval_jitter()) {
    // Validated: between 0 and 100.
    out->keepalive_jitter_ppm = static_cast<uint32_t>(in.interval_jitter().value() * 10'000);
  }
  if (in.has_connection_idle_interval()) {
    absl::Status s = decode_duration(context, Path(at, "connection_idle_interval"),
                                     in.connection_idle_interval(), &out->keepalive_idle_interval);
    if (!s.ok()) return s;
  }
  return decode_duration(context, Path(at, "timeout"), in.timeout(), &out->keepalive_timeout);
}

}  // namespace

absl::Status decode_http2_options(const Context& context, const Path& at, const Options& in,
                                  upstream::H2Value* out) {
  http::H2Options& codec = out->codec;
  const auto read = [](bool set, const google::protobuf::UInt32Value& value, uint32_t* to) {
    if (set) *to = value.value();
  };
  read(in.has_hpack_table_size(), in.hpack_table_size(), &codec.hpack_table_size);
  read(in.has_max_concurrent_streams(), in.max_concurrent_streams(), &codec.max_concurrent_streams);
  read(in.has_initial_stream_window_size(), in.initial_stream_window_size(),
       &codec.initial_stream_window);
  read(in.has_initial_connection_window_size(), in.initial_connection_window_size(),
       &codec.initial_connection_window);
  read(in.has_max_outbound_frames(), in.max_outbound_frames(), &codec.max_outbound_frames);
  read(in.has_max_outbound_control_frames(), in.max_outbound_control_frames(),
       &codec.max_outbound_control_frames);
  read(in.has_max_consecutive_inbound_frames_with_empty_payload(),
       in.max_consecutive_inbound_frames_with_empty_payload(), &codec.max_consecutive_empty_frames);
  read(in.has_max_inbound_priority_frames_per_stream(), in.max_inbound_priority_frames_per_stream(),
       &codec.max_priority_frames_per_stream);
  read(in.has_max_inbound_window_update_frames_per_data_frame_sent(),
       in.max_inbound_window_update_frames_per_data_frame_sent(),
       &codec.max_window_updates_per_data_frame);
  codec.allow_connect = in.allow_connect();
  if (in.allow_metadata()) {
    return context.error(Path(at, "allow_metadata"),
                         "METADATA frames are not supported; remove it");
  }
  if (!in.has_connection_keepalive()) return absl::OkStatus();
  return decode_keepalive(context, Path(at, "connection_keepalive"), in.connection_keepalive(),
                          out);
}

}  // namespace sluice::xds
