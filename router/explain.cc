#include <algorithm>

#include "base/text.h"
#include "router/rewrite.h"
#include "router/table.h"

// RouteTable::explain(): the same structure, walked route by route and told in words.

namespace sluice::router {

namespace {

using base::cat;

std::string_view kind_text(PathMatch::Kind kind) {
  switch (kind) {
    case PathMatch::Kind::kPrefix:
      return "prefix";
    case PathMatch::Kind::kExact:
      return "path";
    case PathMatch::Kind::kSeparatedPrefix:
      return "path separated prefix";
    case PathMatch::Kind::kRegex:
      return "regular expression";
    case PathMatch::Kind::kConnect:
      return "CONNECT";
  }
  return "";
}

std::string_view kind_text(HostIndex::Kind kind) {
  switch (kind) {
    case HostIndex::Kind::kNone:
      return "nothing";
    case HostIndex::Kind::kExact:
      return "its exact domain";
    case HostIndex::Kind::kSuffix:
      return "the longest \"*suffix\" domain";
    case HostIndex::Kind::kPrefix:
      return "the longest \"prefix*\" domain";
    case HostIndex::Kind::kAny:
      return "\"*\"";
  }
  return "";
}

std::string title(const Route& route) {
  std::string out = cat("route ", route.index);
  if (!route.name().empty()) base::cat_to(out, " \"", route.name(), "\"");
  return cat(out, " (", kind_text(route.path_kind), " \"", route.path(), "\")");
}

// How many bytes of the path a route agrees with, and the first thing that does not hold.
struct Miss {
  size_t agreed = 0;
  bool path_holds = false;
  std::string failing;
};

size_t agreed_bytes(const Route& route, std::string_view path) {
  const auto same = [&route](char a, char b) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return a == b || (route.path_ignore_case && low(a) == low(b));
  };
  const std::string_view text = route.path_kind == PathMatch::Kind::kRegex
                                    ? route.predicates_->path->literal_prefix()
                                    : route.path();
  const size_t n = std::min(text.size(), path.size());
  size_t i = 0;
  while (i < n && same(text[i], path[i])) ++i;
  return i;
}

bool path_holds(const Route& route, EvalContext& context, size_t agreed) {
  const std::string_view path = context.path;
  const size_t size = route.path().size();
  switch (route.path_kind) {
    case PathMatch::Kind::kPrefix:
      return agreed == size;
    case PathMatch::Kind::kExact:
      return agreed == size && path.size() == size;
    case PathMatch::Kind::kSeparatedPrefix:
      return agreed == size && (path.size() == size || path[size] == '/');
    case PathMatch::Kind::kRegex:
      return route.predicates_->path->full_match(path, context.worker);
    case PathMatch::Kind::kConnect:
      return context.head.method == http::Method::kConnect;
  }
  return false;
}

Miss miss_of(const Route& route, EvalContext& context) {
  Miss out;
  const bool by_path = route.path_kind != PathMatch::Kind::kConnect;
  if (by_path && context.head.path.empty()) {
    out.failing = "the request has no path";
    return out;
  }
  if (by_path) out.agreed = agreed_bytes(route, context.path);
  out.path_holds = path_holds(route, context, out.agreed);
  if (!out.path_holds) {
    out.failing = by_path ? cat(kind_text(route.path_kind), " \"", route.path(),
                                "\"; the request has \"", context.path, "\"")
                          : cat("only CONNECT; the request is ", context.head.method_text);
  } else if (route.predicates_ != nullptr) {
    out.failing = route.predicates_->first_failing(context);
  }
  return out;
}

std::string explain_routes(const VirtualHost& host, EvalContext& context) {
  const Route* nearest = nullptr;
  Miss best;
  uint32_t passed_over = 0;
  for (const Route& route : host.routes()) {
    Miss miss = miss_of(route, context);
    if (miss.failing.empty()) {
      std::string out = cat(title(route), ": serves the request; ", route.source(), "\n");
      if (passed_over != 0) base::cat_to(out, passed_over, " earlier routes do not match\n");
      if (nearest != nullptr && best.path_holds) {
        base::cat_to(out, "nearest earlier miss: ", title(*nearest), ": ", best.failing, "\n");
      }
      return out;
    }
    ++passed_over;
    if (nearest == nullptr ||
        std::pair(miss.path_holds, miss.agreed) > std::pair(best.path_holds, best.agreed)) {
      nearest = &route;
      best = std::move(miss);
    }
  }
  std::string out = cat("none of its ", host.routes().size(), " routes matches\n");
  if (nearest != nullptr) {
    base::cat_to(out, "nearest miss: ", title(*nearest), ": ", best.failing, "; ",
                 nearest->source(), "\n");
  }
  return out;
}

}  // namespace

std::string RouteTable::explain(const http::RequestHead& head, const MatchInput& input) const {
  HostIndex::Kind kind = HostIndex::Kind::kNone;
  const std::string_view host_text = ignore_port_ ? without_port(head.authority) : head.authority;
  const uint32_t index = hosts_.find(host_text, kind);
  if (index == HostIndex::kNone) {
    return cat("no virtual host of \"", name_, "\" has a domain for \"", host_text, "\"\n");
  }
  const VirtualHost& host = *virtual_hosts_[index];
  std::string out = cat("virtual host ", index, " \"", host.name(), "\": found by ",
                        kind_text(kind), " for \"", host_text, "\"\n");
  if (match(head, input).reason == base::Reason::kHttpsRequired) {
    return cat(out, "it requires TLS: the request is redirected to https\n");
  }
  char scratch[256];
  EvalContext context{head,    routed_path(head.path), input.random, input.worker,
                      scratch, sizeof(scratch),        input.runtime};
  return cat(out, explain_routes(host, context));
}

}  // namespace sluice::router
