#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "xds/transport.h"

namespace sluice::xds {

struct GrpcTarget {
  // "host:port", "dns:///host:port", "ipv4:1.2.3.4:5", "ipv6:[::1]:5", "unix:/path".
  std::string target;
  std::string authority;  // empty: gRPC's choice, the target's host
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata; lower-case names
  // "" or "insecure". Anything else is refused: nothing is left unverified in silence.
  std::string credentials;
  size_t max_message_bytes = size_t{256} << 20;
  // Rule 8: servers punish pings; none unless configured.
  std::chrono::milliseconds keepalive_interval{0};
  std::chrono::milliseconds keepalive_timeout{20'000};
  // The longest pause between two tries to connect to a server that is away.
  std::chrono::milliseconds reconnect_max{1'000};
  // A stream waits until the server can be reached; else it ends when a try to connect fails.
  bool wait_for_ready = true;
};

// GrpcTransport opens streams of raw bytes on one gRPC channel; nothing is decoded here.
//
// Main only. gRPC's own threads call back and only hand bytes to main through executor.post(); no
// thread is made here. One message at a time in each direction, so gRPC's flow control holds a
// server back that we do not read from; pings are answered all the same. gRPC's limit of 4 MiB
// on received messages is replaced by max_message_bytes; a bigger message ends the stream with
// RESOURCE_EXHAUSTED and both sizes, and one that is far bigger while it comes, so that memory is
// bounded. Compressed messages are refused. No proxy from the environment, no retries, no service
// config. Streams are destroyed before the transport, whose destructor waits for gRPC to let go of
// them, two seconds at most.
class GrpcTransport final : public Transport {
 public:
  // `executor` outlives the transport.
  static absl::StatusOr<std::unique_ptr<GrpcTransport>> make(GrpcTarget target, Executor& executor);
  ~GrpcTransport() override;

  std::unique_ptr<Stream> open(std::string_view method, StreamEvents& events) override;

 private:
  struct Channel;
  explicit GrpcTransport(std::unique_ptr<Channel> channel);

  std::unique_ptr<Channel> channel_;
};

}  // namespace sluice::xds
