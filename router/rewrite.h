#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "http/message.h"
#include "router/host_index.h"
#include "router/route.h"

namespace sluice::router {

// What a route does to path, host and, for redirects, the whole URL. The result is the request's
// own view where nothing changes, static or table text, or lies in the arena. Nothing is
// percent-decoded or normalised here. A result is bounded by kMaxRewritten; a longer one, and an
// arena that is exhausted, give a null view (data() == nullptr): the caller answers 500
// (Reason::kInternal). Worker-local; a regular expression costs RE2's lock on the worker's own
// object (see Regex).
inline constexpr size_t kMaxRewritten = 60 * 1024;

// Path and query to send upstream. The query is kept as it is.
std::string_view rewrite_path(const Route& route, std::string_view path, base::Arena& arena,
                              uint32_t worker) noexcept;

// Authority to send upstream; `authority` itself when nothing changes. For
// HostRewrite::Kind::kUpstreamHost that too: the caller knows the host name of the endpoint it
// picks (see HostRewriteRule::kind).
std::string_view rewrite_host(const Route& route, const Target& target,
                              const http::RequestHead& head, base::Arena& arena,
                              uint32_t worker) noexcept;

// The `location` of a redirect route. `is_tls` says how the client came.
std::string_view redirect_location(const Route& route, const http::RequestHead& head, bool is_tls,
                                   base::Arena& arena, uint32_t worker) noexcept;

// The `location` for Reason::kHttpsRequired: the same URL with https; the port goes if it is 80.
std::string_view https_location(const http::RequestHead& head, base::Arena& arena) noexcept;

// `path` without query and fragment: what routes are matched on.
std::string_view routed_path(std::string_view path) noexcept;

}  // namespace sluice::router
