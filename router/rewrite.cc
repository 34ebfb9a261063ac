#include "router/rewrite.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <initializer_list>

#include "re2/re2.h"

namespace sluice::router {

namespace {

constexpr std::string_view kFailed;

std::string_view join(std::initializer_list<std::string_view> parts, base::Arena& arena) noexcept {
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  if (size > kMaxRewritten) return kFailed;
  char* const begin = arena.chars(std::max<size_t>(size, 1));
  if (begin == nullptr) return kFailed;
  char* to = begin;
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    to += part.size();
  }
  return {begin, size};
}

// Text of bounded size that grows in the arena.
class Output {
 public:
  explicit Output(base::Arena& arena) noexcept : arena_(arena) {}
  bool append(std::string_view text) noexcept {
    if (text.size() > capacity_ - size_ && !grow(text.size())) return false;
    if (!text.empty()) std::memcpy(data_ + size_, text.data(), text.size());
    size_ += text.size();
    return true;
  }
  std::string_view text() const noexcept { return {data_, size_}; }

 private:
  bool grow(size_t more) noexcept {
    if (more > kMaxRewritten - size_) return false;
    const size_t capacity = std::min(kMaxRewritten, std::max(2 * capacity_, size_ + more + 64));
    char* const data = arena_.chars(capacity);
    if (data == nullptr) return false;
    if (size_ != 0) std::memcpy(data, data_, size_);
    data_ = data;
    capacity_ = capacity;
    return true;
  }

  base::Arena& arena_;
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

constexpr int kGroups = 10;  // \0 to \9
using Groups = std::array<re2::StringPiece, kGroups>;

// `substitution` was checked when it was compiled.
bool append_substitution(std::string_view substitution, const Groups& groups,
                         Output* out) noexcept {
  for (size_t i = 0; i < substitution.size(); ++i) {
    if (substitution[i] != '\\' || i + 1 == substitution.size()) {
      if (!out->append(substitution.substr(i, 1))) return false;
      continue;
    }
    const char c = substitution[++i];
    if (c < '0' || c > '9') {
      if (!out->append(substitution.substr(i, 1))) return false;
      continue;
    }
    const re2::StringPiece& group = groups[static_cast<size_t>(c - '0')];
    if (!group.empty() && !out->append({group.data(), group.size()})) return false;
  }
  return true;
}

size_t utf8_size(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t size = first < 0xc0 ? 1u : first < 0xe0 ? 2u : first < 0xf0 ? 3u : 4u;
  for (size_t i = 1; i < std::min(size, text.size()); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 1;
  }
  return std::min(size, text.size());
}

// RE2::GlobalReplace, which Envoy uses, into an arena. The number of groups that RE2 must find is
// that of the substitution.
std::string_view replace_all(const Regex& regex, std::string_view substitution,
                             std::string_view text, base::Arena& arena, uint32_t worker) noexcept {
  const re2::RE2& re = regex.on(worker);
  const int wanted = std::min(1 + re2::RE2::MaxSubmatch(re2::StringPiece(substitution)), kGroups);
  const re2::StringPiece whole(text);
  Output out(arena);
  Groups groups{};
  size_t at = 0;
  const char* last_end = nullptr;
  bool any = false;
  while (at <= text.size()) {
    if (!re.Match(whole, at, text.size(), re2::RE2::UNANCHORED, groups.data(), wanted)) break;
    const std::string_view match(groups[0].data(), groups[0].size());
    const auto begin = static_cast<size_t>(match.data() - text.data());
    if (!out.append(text.substr(at, begin - at))) return kFailed;
    at = begin;
    if (match.empty() && match.data() == last_end) {
      // An empty match right behind the last one: step over one character.
      if (at == text.size()) break;
      const size_t step = utf8_size(text.substr(at));
      if (!out.append(text.substr(at, step))) return kFailed;
      at += step;
      continue;
    }
    any = true;
    if (!append_substitution(substitution, groups, &out)) return kFailed;
    at = begin + match.size();
    last_end = match.data() + match.size();
  }
  if (!any) return text;
  if (at < text.size() && !out.append(text.substr(at))) return kFailed;
  return out.text().empty() ? std::string_view("") : out.text();
}

// How much of the path the route's match covers: what a prefix rewrite replaces.
size_t matched_size(const Route& route, std::string_view path_only) noexcept {
  switch (route.path_kind) {
    case PathMatch::Kind::kPrefix:
    case PathMatch::Kind::kSeparatedPrefix:
      return std::min(route.path().size(), path_only.size());
    default:
      return path_only.size();
  }
}

std::string_view apply(const PathRewriteRule& rule, const Route& route, std::string_view path,
                       base::Arena& arena, uint32_t worker) noexcept {
  if (rule.kind == PathRewrite::Kind::kNone) return path;
  const std::string_view path_only = routed_path(path);
  if (rule.kind == PathRewrite::Kind::kPrefix) {
    return join({rule.text, path.substr(matched_size(route, path_only))}, arena);
  }
  const std::string_view replaced = replace_all(*rule.regex, rule.text, path_only, arena, worker);
  if (replaced.data() == nullptr) return kFailed;
  // Envoy: a rewrite that leaves nothing is none.
  if (replaced.empty() || replaced.data() == path_only.data()) return path;
  if (path_only.size() == path.size()) return replaced;
  return join({replaced, path.substr(path_only.size())}, arena);
}

// The request's host for a redirect: its port goes when the redirect has one of its own, or when it
// was the default of the other scheme (Envoy's processRequestHost).
std::string_view redirect_host(std::string_view host, std::string_view scheme, bool new_port,
                               bool is_tls) noexcept {
  const std::string_view bare = without_port(host);
  if (bare.size() == host.size()) return host;
  const std::string_view port = host.substr(bare.size());
  const std::string_view came_by = is_tls ? "https" : "http";
  const bool was_default = scheme != came_by && port == (is_tls ? ":443" : ":80");
  return new_port || was_default ? bare : host;
}

std::string_view request_scheme(const http::RequestHead& head, bool is_tls) noexcept {
  if (!head.scheme.empty()) return head.scheme;
  return is_tls ? "https" : "http";
}

struct RedirectPath {
  std::string_view path;
  std::string_view query;  // with its '?'
};

RedirectPath redirect_path(const RedirectRule& rule, std::string_view path) noexcept {
  const size_t question = std::min(path.find('?'), path.size());
  const std::string_view query = path.substr(question);
  if (rule.path.empty()) return {path.substr(0, question), rule.strip_query ? "" : query};
  // A path with a query of its own keeps just that, whatever strip_query says.
  const bool own_query = rule.path.find('?') != std::string::npos;
  return {rule.path, own_query || rule.strip_query ? "" : query};
}

}  // namespace

std::string_view routed_path(std::string_view path) noexcept {
  if (path.empty()) return path;
  const void* question = std::memchr(path.data(), '?', path.size());
  if (question != nullptr) {
    path = path.substr(0, static_cast<size_t>(static_cast<const char*>(question) - path.data()));
    if (path.empty()) return path;
  }
  const void* hash = std::memchr(path.data(), '#', path.size());
  if (hash == nullptr) return path;
  return path.substr(0, static_cast<size_t>(static_cast<const char*>(hash) - path.data()));
}

std::string_view rewrite_path(const Route& route, std::string_view path, base::Arena& arena,
                              uint32_t worker) noexcept {
  return apply(route.policy().path_rewrite, route, path, arena, worker);
}

std::string_view rewrite_host(const Route& route, const Target& target,
                              const http::RequestHead& head, base::Arena& arena,
                              uint32_t worker) noexcept {
  // A route's own rewrite comes after the weighted cluster's (Envoy) and so wins.
  const HostRewriteRule& rule = route.policy().host_rewrite;
  const std::string_view own =
      target.host_rewrite.empty() ? head.authority : std::string_view(target.host_rewrite);
  std::string_view host;
  switch (rule.kind) {
    case HostRewrite::Kind::kNone:
    case HostRewrite::Kind::kUpstreamHost:
      return own;
    case HostRewrite::Kind::kLiteral:
      host = rule.text;
      break;
    case HostRewrite::Kind::kHeader: {
      const http::Field* field = rule.header == http::HeaderId::kOther
                                     ? head.fields.find(std::string_view(rule.text))
                                     : head.fields.find(rule.header);
      if (field != nullptr) host = field->value();
      break;
    }
    case HostRewrite::Kind::kPathRegex:
      host = replace_all(*rule.regex, rule.text, routed_path(head.path), arena, worker);
      if (host.data() == nullptr) return kFailed;
      break;
  }
  return host.empty() ? own : host;
}

std::string_view redirect_location(const Route& route, const http::RequestHead& head, bool is_tls,
                                   base::Arena& arena, uint32_t worker) noexcept {
  const RedirectRule& rule = *route.policy().redirect;
  const std::string_view rewritten = apply(rule.rewrite, route, head.path, arena, worker);
  if (rewritten.data() == nullptr && !head.path.empty()) return kFailed;
  const std::string_view scheme =
      rule.scheme.empty() ? request_scheme(head, is_tls) : std::string_view(rule.scheme);
  const std::string_view host = rule.host.empty()
                                    ? redirect_host(head.authority, scheme, rule.port != 0, is_tls)
                                    : std::string_view(rule.host);
  std::array<char, 12> digits;
  std::string_view port;
  if (rule.port != 0) {
    digits[0] = ':';
    const auto end = std::to_chars(digits.data() + 1, digits.data() + digits.size(), rule.port);
    port = {digits.data(), static_cast<size_t>(end.ptr - digits.data())};
  }
  const RedirectPath path = redirect_path(rule, rewritten);
  // Envoy writes a path that lacks its slash straight behind the host, which names another host.
  const std::string_view slash = path.path.starts_with('/') ? "" : "/";
  return join({scheme, "://", host, port, slash, path.path, path.query}, arena);
}

std::string_view https_location(const http::RequestHead& head, base::Arena& arena) noexcept {
  const std::string_view host = redirect_host(head.authority, "https", false, false);
  return join({"https://", host, head.path.starts_with('/') ? "" : "/", head.path}, arena);
}

}  // namespace sluice::router
