#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "filters/values.h"
#include "http/format.h"
#include "router/scope.h"
#include "router/values.h"
#include "upstream/values.h"

namespace sluice::dataplane {

// Listeners as plain values: what xds/decode makes of Envoy's Listener and HttpConnectionManager.
// Defaults are Envoy's where they are safe, and the edge guide's where Envoy's are not (header and
// request timeouts); docs/operations.md lists the differences.

// Which exchanges and relayed connections a log gets: Envoy's AccessLogFilter. Of the fields those
// that the kind needs.
struct LogFilterValue {
  enum class Kind : uint8_t {
    kAll,
    kNone,
    kStatus,      // compare the response code with number
    kDuration,    // compare milliseconds with number
    kSample,      // number out of denominator
    kHeader,      // a header of the request
    kFlags,       // one of the response flags in number, a mask as http::Facts::flags()
    kGrpcStatus,  // a status whose bit is set in number
    kLogType,     // a type whose bit is set in number
    kAnd,         // all of the parts
    kOr,          // one of them
  };
  static constexpr size_t kMaxDepth = 16;   // of kAnd and kOr inside each other
  static constexpr uint32_t kOddGrpc = 63;  // stands for every status that gRPC does not know
  enum class Compare : uint8_t { kEqual, kAtLeast, kAtMost };

  Kind kind = Kind::kAll;
  Compare compare = Compare::kEqual;
  // By random, even where the request has an id. By id all proxies that it passes decide alike.
  bool independent = false;
  uint32_t denominator = 100;
  uint64_t number = 0;
  std::string runtime_key;  // its value counts in place of number
  router::HeaderMatch header;
  std::vector<LogFilterValue> parts;
};

// One access logger.
struct AccessLogValue {
  enum class Sink : uint8_t { kFile, kStdout, kStderr };
  Sink sink = Sink::kFile;
  std::string path;
  // Text with %OPERATORS%; empty: Envoy's default format.
  std::string text_format;
  // JSON: members in order. Used when set.
  http::JsonFormat::Members json_format;
  bool json = false;
  bool omit_empty_values = false;
  LogFilterValue filter;
};

// The values of http_filters live with the filters.
using filters::FilterConfig;
using filters::FilterHeaderMutation;
using filters::FilterRouter;
using filters::FilterValue;

enum class EscapedSlashes : uint8_t { kKeep, kReject, kRedirect, kForward };
enum class ServerHeader : uint8_t { kOverwrite, kAppendIfAbsent, kPassThrough };
enum class Underscores : uint8_t { kAllow, kReject, kDrop };

// Which of several route configurations serves a request (Envoy's scoped_routes).
struct ScopedRoutesValue {
  std::string name;
  std::vector<router::ScopeFragmentValue> key;
  // Where the scopes' route configurations come from.
  uint32_t rds_source = 0;
  std::chrono::nanoseconds rds_initial_fetch_timeout{15'000'000'000};
  // The scopes themselves, or where they come from (SRDS).
  bool subscribed = false;
  uint32_t source = 0;
  std::chrono::nanoseconds initial_fetch_timeout{15'000'000'000};
  std::vector<router::ScopeValue> scopes;
};

struct HttpValue {
  upstream::H2Value h2;
  enum class Codec : uint8_t { kAuto, kHttp1, kHttp2 };
  Codec codec = Codec::kAuto;
  std::string stat_prefix;
  std::string filter_chain_name;
  // Exactly one: a subscription's name, the routes themselves, or scopes of them.
  std::string rds_name;
  uint32_t rds_source = 0;  // the configuration source, by number; 0: the aggregated stream
  std::chrono::nanoseconds rds_initial_fetch_timeout{15'000'000'000};
  std::shared_ptr<const router::RouteConfigValue> inline_routes;
  std::shared_ptr<const ScopedRoutesValue> scoped_routes;
  std::string scopes_name;  // with scoped_routes: what put_scopes() calls them
  std::vector<FilterValue> filters;
  std::vector<AccessLogValue> access_logs;

  std::chrono::nanoseconds idle_timeout{3'600'000'000'000};
  std::chrono::nanoseconds stream_idle_timeout{300'000'000'000};
  std::chrono::nanoseconds request_timeout{0};
  std::chrono::nanoseconds request_headers_timeout{10'000'000'000};  // Envoy: off
  std::chrono::nanoseconds max_connection_duration{0};
  std::chrono::nanoseconds drain_timeout{5'000'000'000};
  std::chrono::nanoseconds delayed_close_timeout{1'000'000'000};
  uint32_t max_requests_per_connection = 0;

  uint32_t max_request_head_bytes = 60 * 1024;
  uint16_t max_request_headers = 100;
  Underscores underscores = Underscores::kAllow;
  bool accept_http_10 = false;
  std::string default_host_for_http_10;
  bool allow_chunked_length = false;

  bool normalize_path = false;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
  enum class StripPort : uint8_t { kNone, kMatching, kAny } strip_port = StripPort::kNone;
  bool strip_trailing_host_dot = false;

  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  bool skip_xff_append = false;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  bool proxy_100_continue = false;
  std::string via;
  std::string server_name = "sluice";
  ServerHeader server_header = ServerHeader::kOverwrite;
  bool append_x_forwarded_port = false;

  // upgrade_configs that are enabled, lower case ("websocket", "connect").
  std::vector<std::string> upgrades;
  // `protocol` in any case.
  bool allows_upgrade(std::string_view protocol) const noexcept;
};

// A TCP relay: Envoy's tcp_proxy. Defaults are Envoy's.
struct TcpValue {
  struct Target {
    std::string cluster;
    uint32_t weight = 1;
  };
  std::string stat_prefix;
  std::vector<Target> clusters;  // at least one; several share connections by weight
  std::chrono::nanoseconds idle_timeout{3'600'000'000'000};  // 0: off
  std::chrono::nanoseconds max_connection_duration{0};       // 0: off
  uint32_t max_connect_attempts = 1;
  std::vector<AccessLogValue> access_logs;
};

struct ListenerValue {
  std::string name;
  std::string version;
  std::vector<base::Address> addresses;  // the first is the listener's, then additional ones
  std::string stat_name;                 // address as statistics spell it; empty: derived
  bool bind_to_port = true;
  bool reuse_port = true;
  bool ipv4_compat = false;
  uint32_t tcp_backlog = 128;
  uint32_t unix_mode = 0;
  uint32_t buffer_limit_bytes = 1024 * 1024;  // per_connection_buffer_limit_bytes
  // Every new connection goes to the worker that has the fewest; else those of HTTP/2 alone.
  bool exact_balance = false;
  // One default chain with one filter; filter-chain matching is TLS' issue. The filter is the HTTP
  // connection manager, or where `tcp` is set the TCP relay, and `http` is not read.
  HttpValue http;
  std::optional<TcpValue> tcp;
  // Where the filter's configuration comes from, if not with the listener (ECDS), and the filter's
  // name. Read by xds/ alone, which replaces `http` and `tcp` when it has come.
  std::shared_ptr<const filters::FilterDiscovery> discovery;
  std::string filter_name;
  // None has come and there is no default: connections are closed at once.
  bool filter_missing = false;
  std::string source;
};

}  // namespace sluice::dataplane
