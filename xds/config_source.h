// ConfigSources answers "where do these resources come from?": it numbers the configuration sources
// that bootstrap and resources name (ConfigSource in the API), so that plain values carry a number
// and clients are made once per source.
//
// Source 0 is the aggregated stream. Two sources that are written the same are the same, but for
// initial_fetch_timeout, which is each subscriber's own, and for authorities. A source is checked
// when it is first seen: its servers must be clusters of the bootstrap, its file must be there. Any
// thread (decoding runs in the pool): a lock, which only configuration takes. What it returns lives
// as long as it does. Memory: one entry per source ever seen, kMaxSources at most.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "xds/authorities.h"
#include "xds/resources.h"

namespace envoy::config::core::v3 {
class ApiConfigSource;
class ConfigSource;
}  // namespace envoy::config::core::v3

namespace sluice::xds {

class Context;
class Path;

// One server that speaks xDS.
struct ControlPlane {
  std::string name;       // the cluster's name, or the target
  std::string target;     // gRPC's: "ipv4:127.0.0.1:18000", "unix:/run/xds.sock", "dns:///cp:18000"
  std::string authority;  // empty: the cluster's name
  std::vector<std::pair<std::string, std::string>> metadata;  // initial_metadata
  std::chrono::nanoseconds connect_timeout{5'000'000'000};
  std::chrono::nanoseconds backoff_base{500'000'000};
  std::chrono::nanoseconds backoff_max{30'000'000'000};
  // HTTP/2 pings; 0: none, the default (servers police them).
  std::chrono::nanoseconds keepalive_interval{0};
  std::chrono::nanoseconds keepalive_timeout{20'000'000'000};
  uint64_t max_receive_bytes = 0;  // 0: our own limit
};

struct RateLimit {
  uint32_t max_tokens = 100;
  double tokens_per_second = 10;
};

struct GrpcSource {
  std::vector<ControlPlane> servers;  // the first, then those to fall back to
  bool delta = false;
  bool aggregated = false;  // all types on one stream: of an authority
  bool set_node_on_first_message_only = false;
  std::optional<RateLimit> rate_limit;  // none: no limit
};

struct FileSource {
  std::string path;
  std::string watched_directory;  // empty: the file itself is watched
};

struct RestSource {
  std::vector<ControlPlane> servers;
  std::chrono::nanoseconds refresh_delay{0};
  std::chrono::nanoseconds request_timeout{1'000'000'000};
};

struct SourceValue {
  enum class Kind : uint8_t { kNone, kGrpc, kFile, kRest };
  Kind kind = Kind::kNone;
  GrpcSource grpc;
  FileSource file;
  RestSource rest;
  std::string text;      // for messages: `cluster "xds"`, `file /etc/lds.yaml`
  uint64_t lasting = 0;  // the same for the same source in another process; 0: aggregated stream
};

class ConfigSources {
 public:
  static constexpr size_t kMaxSources = 4096;

  // Static clusters, which lead to servers; as serialised envoy.config.cluster.v3.Cluster, in the
  // order of static_resources.clusters.
  explicit ConfigSources(std::vector<std::string> clusters);
  ~ConfigSources();
  ConfigSources(const ConfigSources&) = delete;
  ConfigSources& operator=(const ConfigSources&) = delete;

  // dynamic_resources.ads_config, once, before anything else.
  absl::Status set_ads(const Context& context, const Path& at,
                       const ::envoy::config::core::v3::ApiConfigSource& in);

  // The number of a source. `self` is the number of where the resource came from that names it. One
  // with authorities may be an aggregated stream of its own.
  absl::StatusOr<SourceId> number_of(const Context& context, const Path& at,
                                     const ::envoy::config::core::v3::ConfigSource& in,
                                     SourceId self);
  // Of one of the bootstrap's config_sources or its default_config_source.
  absl::StatusOr<SourceId> number_of_authority(const Context& context, const Path& at,
                                               const ::envoy::config::core::v3::ConfigSource& in);
  const SourceValue& value(SourceId source) const;

  // Where xdstp:// names lead; set before any resource is decoded, constant from then on.
  Authorities& authorities() noexcept { return authorities_; }
  const Authorities& authorities() const noexcept { return authorities_; }

 private:
  absl::StatusOr<SourceId> number(const Context& context, const Path& at,
                                  const ::envoy::config::core::v3::ConfigSource& in, SourceId self,
                                  bool of_authority);
  struct State;
  std::unique_ptr<State> state_;
  Authorities authorities_;
};

}  // namespace sluice::xds
