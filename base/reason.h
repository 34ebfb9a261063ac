#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::base {

// Reason answers "why did Sluice answer by itself, or end an exchange early?". One value for every
// response or reset that we make; each has a stable code (in logs, statistics and the admin page),
// the HTTP status that goes with it, Envoy's response flag and response-code details for those who
// parse them, the body that Envoy would send, and a sentence in plain words for the person who is
// paged. The table in reason.cc is the only list. Values only: no allocation, any thread.
enum class Reason : uint8_t {
  kNone,  // the answer came from upstream
  // Downstream's message.
  kBadRequestLine,
  kBadTarget,
  kBadVersion,
  kBadHeaderName,
  kBadHeaderValue,
  kBadHeaderLine,
  kBadHost,
  kMissingHost,
  kBadFraming,
  kBadContentLength,
  kBadTransferEncoding,
  kBadChunk,
  kBadTrailer,
  kHeadTooLarge,
  kTooManyHeaders,
  kTargetTooLong,
  kH2HeadTooLarge,
  kH2TooManyHeaders,
  kUnderscoreHeader,
  kVersionNotSupported,
  kHttp10NotAccepted,
  kPathRejected,
  kPathEscapedSlash,
  kUpgradeRefused,
  kMethodNotAllowed,
  kExpectationFailed,
  kBodyTruncated,
  kProtocolMismatch,
  // Timeouts downstream.
  kRequestHeaderTimeout,
  kRequestTimeout,
  kStreamIdleTimeout,
  kMaxStreamDuration,
  kConnectionIdleTimeout,
  kMaxConnectionDuration,
  // Routing.
  kRouteNotFound,
  kVirtualHostNotFound,
  kClusterNotFound,
  kClusterWarming,
  kNoRouteConfig,
  kScopeNotFound,
  kOnDemandRouteTimeout,
  kOnDemandClusterTimeout,
  kOnDemandOverflow,
  kDirectResponse,
  kRedirect,
  kHttpsRequired,
  kFilterResponse,
  kFilterConfigMissing,
  // Upstream.
  kNoHealthyUpstream,
  kUpstreamConnectFailed,
  kUpstreamConnectTimeout,
  kUpstreamReset,
  kUpstreamRemoteReset,
  kUpstreamRefusedStream,
  kUpstreamClosed,
  kUpstreamProtocolError,
  kUpstreamHeadTooLarge,
  kUpstreamTruncated,
  kUpstreamTimeout,
  kPerTryTimeout,
  kUpstreamIdleTimeout,
  kRetryLimit,
  // Limits.
  kOverflowConnections,
  kOverflowPending,
  kOverflowRequests,
  kOverflowRetries,
  kOverload,
  kConnectionLimit,
  // Ends without an answer.
  kDownstreamGone,
  kDownstreamReset,
  kDownstreamProtocolError,
  kDownstreamWriteFailed,
  kRelayClientReset,
  kRelayUpstreamReset,
  kDraining,
  kInternal,
  kCount,
};

// Bits in the order in which Envoy prints them when there are several.
enum class ResponseFlag : uint8_t {
  kNone,
  kLH,     // FailedLocalHealthCheck
  kUH,     // NoHealthyUpstream
  kUT,     // UpstreamRequestTimeout
  kLR,     // LocalReset
  kUR,     // UpstreamRemoteReset
  kUF,     // UpstreamConnectionFailure
  kUC,     // UpstreamConnectionTermination
  kUO,     // UpstreamOverflow
  kNR,     // NoRouteFound
  kDI,     // DelayInjected
  kFI,     // FaultInjected
  kRL,     // RateLimited
  kUAEX,   // UnauthorizedExternalService
  kRLSE,   // RateLimitServiceError
  kDC,     // DownstreamConnectionTermination
  kURX,    // UpstreamRetryLimitExceeded
  kSI,     // StreamIdleTimeout
  kIH,     // InvalidEnvoyRequestHeaders
  kDPE,    // DownstreamProtocolError
  kUMSDR,  // UpstreamMaxStreamDurationReached
  kNFCF,   // NoFilterConfigFound
  kNC,     // NoClusterFound
  kDT,     // DurationTimeout
  kUPE,    // UpstreamProtocolError
  kOM,     // OverloadManagerTerminated
  kDF,     // DnsResolutionFailed
  kDR,     // DownstreamRemoteReset
  kCount,
};

struct ReasonText {
  std::string_view code;  // stable, snake_case
  uint16_t status;        // 0: no response is sent
  ResponseFlag flag;
  std::string_view details;   // Envoy's %RESPONSE_CODE_DETAILS%
  std::string_view body;      // Envoy's body
  std::string_view sentence;  // what happened and what to look at
};

const ReasonText& text_of(Reason reason) noexcept;
std::string_view short_name(ResponseFlag flag) noexcept;
std::string_view long_name(ResponseFlag flag) noexcept;

}  // namespace sluice::base
