#pragma once

#include <cstdint>

#include "http/message.h"
#include "router/route.h"

namespace sluice::dataplane {

// How long a request may take: what its route says and, where the route lets it, what its client
// says in grpc-timeout. Pure functions over head and policy, no allocation but the header's new
// value in the head's arena; a field is looked for only on routes that read it.
//
// Rules: Envoy's max_stream_duration with grpc_timeout_header_max and _offset, and its older
// max_grpc_timeout with grpc_timeout_offset (connection manager's and router's order, and both
// write grpc-timeout anew for gRPC backends). All times in ns, 0: off, none above a century.

// From the request's first byte on; at least 1 when the client's time is up already.
int64_t stream_duration_ns(http::RequestHead* head, const router::RoutePolicy& policy) noexcept;

// The route's timeout, which begins when the request is complete.
int64_t route_timeout_ns(http::RequestHead* head, const router::RoutePolicy& policy) noexcept;

}  // namespace sluice::dataplane
