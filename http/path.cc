#include "http/path.h"

#include <algorithm>
#include <cstring>

#include "http/scan.h"

namespace sluice::http {

namespace {

using base::Reason;
using Escaped = PathOptions::EscapedSlashes;

constexpr char kHex[] = "0123456789ABCDEF";

// The byte that %XX at `text[0]` stands for, or -1.
int escaped_byte(std::string_view text) noexcept {
  if (text.size() < 3) return -1;
  const int high = hex_value(text[1]);
  const int low = hex_value(text[2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

constexpr bool is_unreserved(int c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Replaces %2F and %5C by what they stand for. False: nothing to replace.
bool unescape_slashes(std::string_view path, char* out, size_t* size) noexcept {
  bool found = false;
  char* to = out;
  for (size_t i = 0; i < path.size(); ++i) {
    const int byte = path[i] == '%' ? escaped_byte(path.substr(i)) : -1;
    if (byte == '/' || byte == '\\') {
      found = true;
      *to++ = static_cast<char>(byte);
      i += 2;
    } else {
      *to++ = path[i];
    }
  }
  *size = static_cast<size_t>(to - out);
  return found;
}

bool has_escaped_slash(std::string_view path) noexcept {
  for (size_t i = path.find('%'); i != std::string_view::npos; i = path.find('%', i + 1)) {
    const int byte = escaped_byte(path.substr(i));
    if (byte == '/' || byte == '\\') return true;
  }
  return false;
}

// Rewrites a path that begins with '/' segment by segment. `out_` has room for three times the
// path.
class Canonical {
 public:
  explicit Canonical(char* out) noexcept : out_(out), to_(out) {}

  // False: an escaped NUL, which no path may hold.
  bool run(std::string_view path) noexcept {
    for (size_t i = 0; i < path.size();) {
      const char c = path[i];
      if (c == '/' || c == '\\') {
        end_segment(true);
        ++i;
      } else if (c != '%') {
        put_byte(c);
        ++i;
      } else if (!put_escape(path, &i)) {
        return false;
      }
    }
    end_segment(false);
    return true;
  }
  size_t size() const noexcept { return static_cast<size_t>(to_ - out_); }

 private:
  // The segment from segment_ on is complete: resolves it if it is '.' or '..', and begins another
  // if a slash follows.
  void end_segment(bool slash) noexcept {
    const std::string_view segment(out_ + segment_, size() - segment_);
    if (segment_ == 0) {
      // Before the first slash there is nothing.
    } else if (segment == ".") {
      to_ = out_ + segment_;
      slash = false;
    } else if (segment == "..") {
      to_ = out_ + parent();
      slash = false;
    }
    if (slash) *to_++ = '/';
    segment_ = size();
    bare_ = kNoBare;
  }
  // Where the segment before the current one begins.
  size_t parent() const noexcept {
    size_t at = segment_ - 1;  // its slash
    while (at > 0 && out_[at - 1] != '/') --at;
    return std::max<size_t>(at, 1);
  }
  void put_byte(char c) noexcept {
    if (is_class(c, kPlainByte)) {
      *to_++ = c;
      return;
    }
    *to_++ = '%';
    *to_++ = kHex[static_cast<unsigned char>(c) >> 4];
    *to_++ = kHex[static_cast<unsigned char>(c) & 15];
  }
  bool put_escape(std::string_view path, size_t* i) noexcept {
    const int byte = escaped_byte(path.substr(*i));
    if (byte == 0) return false;
    if (byte < 0) {
      bare_ = size();
      *to_++ = '%';
      ++*i;
      return true;
    }
    // Behind a bare '%' nothing is decoded that would make an escape of it.
    const bool behind_bare = bare_ != kNoBare && size() - bare_ <= 2;
    if (is_unreserved(byte) && !behind_bare) {
      *to_++ = static_cast<char>(byte);
    } else {
      std::memcpy(to_, path.data() + *i, 3);
      to_ += 3;
    }
    *i += 3;
    return true;
  }

  static constexpr size_t kNoBare = ~size_t{0};
  char* const out_;
  char* to_;
  size_t segment_ = 0;
  size_t bare_ = kNoBare;
};

size_t merge_slashes(char* path, size_t size) noexcept {
  char* to = path;
  for (size_t i = 0; i < size; ++i) {
    if (path[i] == '/' && to != path && to[-1] == '/') continue;
    *to++ = path[i];
  }
  return static_cast<size_t>(to - path);
}

PathResult rejected(Reason reason) noexcept { return {PathResult::Kind::kReject, reason}; }

// `bare` is the path without its query.
PathResult rewrite(std::string_view bare, std::string_view query, const PathOptions& options,
                   base::Arena& arena, std::string_view* path) noexcept {
  const bool unescape = options.escaped_slashes == Escaped::kUnescapeRedirect ||
                        options.escaped_slashes == Escaped::kUnescapeForward;
  bool unescaped = false;
  if (unescape) {
    char* const copy = arena.chars(bare.size());
    size_t size = 0;
    if (copy == nullptr) return rejected(Reason::kPathRejected);
    unescaped = unescape_slashes(bare, copy, &size);
    if (unescaped) bare = {copy, size};
  }
  char* const out = arena.chars(bare.size() * (options.normalize ? 3 : 1) + query.size());
  if (out == nullptr) return rejected(Reason::kPathRejected);
  size_t size = bare.size();
  if (options.normalize) {
    Canonical canonical(out);
    if (!canonical.run(bare)) return rejected(Reason::kPathRejected);
    size = canonical.size();
  } else {
    std::memcpy(out, bare.data(), bare.size());
  }
  if (options.merge_slashes) size = merge_slashes(out, size);
  if (!query.empty()) std::memcpy(out + size, query.data(), query.size());
  const std::string_view result(out, size + query.size());
  if (result == *path) return {};
  *path = result;
  const bool redirect = unescaped && options.escaped_slashes == Escaped::kUnescapeRedirect;
  return {redirect ? PathResult::Kind::kRedirect : PathResult::Kind::kChanged,
          redirect ? Reason::kPathEscapedSlash : Reason::kNone};
}

PathResult normalise_within(Window window, const PathOptions& options, base::Arena& arena,
                            std::string_view* path) noexcept {
  if (path->empty() || path->front() != '/') return {};
  const char* const stop = Scan::path(path->data(), window, options.merge_slashes);
  if (stop >= path->data() + path->size() || *stop == '?') [[likely]]
    return {};
  const std::string_view bare = path->substr(0, path->find('?'));
  if (options.escaped_slashes == Escaped::kReject && has_escaped_slash(bare)) {
    return rejected(Reason::kPathEscapedSlash);
  }
  return rewrite(bare, path->substr(bare.size()), options, arena, path);
}

}  // namespace

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char folded = static_cast<char>(c | 0x20);
  return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

size_t percent_decode(std::string_view text, char* out) noexcept {
  char* to = out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int byte = text[i] == '%' ? escaped_byte(text.substr(i)) : -1;
    *to++ = byte < 0 ? text[i] : static_cast<char>(byte);
    if (byte >= 0) i += 2;
  }
  return static_cast<size_t>(to - out);
}

PathResult normalise_path(std::string_view* path, const PathOptions& options,
                          base::Arena& arena) noexcept {
  const char* const start = path->data();
  return normalise_within({start, start + path->size()}, options, arena, path);
}

PathResult normalise_path(RequestHead* head, const PathOptions& options) noexcept {
  const std::string_view path = head->path;
  const std::string_view line = head->line;
  Window window{path.data(), path.data() + path.size()};
  // In its request line the path ends with a space, where every scan stops: whole loads may be
  // used.
  if (path.data() >= line.data() && window.end < line.data() + line.size()) {
    window = {line.data(), line.data() + line.size()};
  }
  return normalise_within(window, options, *head->fields.arena(), &head->path);
}

}  // namespace sluice::http
