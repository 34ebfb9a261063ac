#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/random.h"
#include "dataplane/values.h"
#include "http/message.h"

namespace sluice::dataplane {

// What a proxy does to heads on their way through, in Envoy's order: which fields of the client are
// believed, which are removed, which say who asked and how. Pure functions over a head; what they
// add goes to the exchange's arena. Worker-local; no allocation elsewhere.
//
// Rules: RFC 9110 7.6; Envoy's connection manager (use_remote_address, xff_num_trusted_hops,
// x-request-id, internal headers). Nobody is trusted by default: no address is internal.
// One difference: a peer on loopback is appended to x-forwarded-for as itself (Envoy writes the
// address of the node).

struct ClientAddress {
  // Who we take for the client: peer or, through trusted hops, a member of x-forwarded-for.
  base::IpAddress ip;
  bool from_header = false;
};

struct RequestContext {
  const HttpValue* http = nullptr;
  const base::Address* peer = nullptr;
  std::string_view peer_ip_text;  // of peer, formatted once per connection
  bool is_tls = false;
  base::Random* random = nullptr;
};

// Hop-by-hop fields, forwarded headers, request id, internal headers. Call after the head was
// parsed and before it is matched. Sets head->scheme. False: arena exhausted (answer 431).
bool prepare_request(http::RequestHead* head, const RequestContext& context,
                     ClientAddress* client) noexcept;

// strip_matching_host_port, strip_any_host_port, strip_trailing_host_dot.
void normalise_authority(http::RequestHead* head, const HttpValue& http, uint16_t listener_port);

// What the terminal filter adds: x-envoy-expected-rq-timeout-ms.
void add_expected_timeout(http::RequestHead* head, int64_t timeout_ns) noexcept;

struct ResponseContext {
  const HttpValue* http = nullptr;
  std::string_view date;        // the worker's, of this second
  std::string_view request_id;  // for always_set_request_id_in_response
};

// x-envoy-upstream-service-time, before the route's edits of the response, which may remove it.
bool add_service_time(http::ResponseHead* head, int64_t upstream_ms) noexcept;

// Hop-by-hop fields, server, date, via.
bool prepare_response(http::ResponseHead* head, const ResponseContext& context) noexcept;

// Text of a number without allocating: into `out` (20 bytes), returns the view.
std::string_view decimal(uint64_t value, char* out) noexcept;

// The n-th address from the end of x-forwarded-for, 0 the last; false: there is none or it is no
// address. "1.2.3.4", "::1", "[::1]:80" and "1.2.3.4:80" are understood.
bool nth_forwarded_for(std::string_view header, uint32_t n, base::IpAddress* out) noexcept;

}  // namespace sluice::dataplane
