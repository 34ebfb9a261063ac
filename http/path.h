#pragma once

#include <cstdint>
#include <string_view>

#include "base/arena.h"
#include "base/reason.h"
#include "http/message.h"

namespace sluice::http {

// The one canonical path of a request, which routing, authorisation, rewriting and the upstream
// request line all use. Options and order are Envoy's (normalize_path, merge_slashes,
// path_with_escaped_slashes_action); the rules are RFC 3986 6.2.2: dot segments, encoded or not,
// are resolved, unreserved characters are decoded, characters that may not stand in a URI are
// encoded, '\' is '/'. Other escapes keep the case they came in. The query is never touched.
//
// Pure functions, worker-local through the arena. A path with nothing to change costs one scan and
// stays the view it was; otherwise the result is written into the arena once. Idempotent.
struct PathOptions {
  // Envoy's order of values. %2F, %2f, %5C, %5c in the path are looked at.
  enum class EscapedSlashes : uint8_t { kKeep, kReject, kUnescapeRedirect, kUnescapeForward };
  bool normalize = true;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeep;
};

struct PathResult {
  enum class Kind : uint8_t {
    kSame,      // nothing to do
    kChanged,   // head->path is the new one
    kRedirect,  // head->path is the new one; answer 307 to it (Reason::kPathEscapedSlash)
    kReject,    // answer with `reason`
  };
  Kind kind = Kind::kSame;
  base::Reason reason = base::Reason::kNone;
};

// Paths that do not begin with '/' (`*`, CONNECT) are left alone.
PathResult normalise_path(RequestHead* head, const PathOptions& options) noexcept;
// The same on a bare path and query; `*path` is replaced.
PathResult normalise_path(std::string_view* path, const PathOptions& options,
                          base::Arena& arena) noexcept;

// Value of a hexadecimal digit, -1 for others.
int hex_value(char c) noexcept;
// Decodes %XX into `out`, which has room for text.size() bytes; returns the number written. Invalid
// escapes are kept as they are.
size_t percent_decode(std::string_view text, char* out) noexcept;

}  // namespace sluice::http
