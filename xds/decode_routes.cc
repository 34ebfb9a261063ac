#include "xds/decode_routes.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <vector>

#include "router/table.h"
#include "xds/digest.h"

namespace sluice::xds {
namespace {

using google::protobuf::io::CodedInputStream;
using WireFormat = google::protobuf::internal::WireFormatLite;

// A route configuration cut at its virtual hosts, which are most of it, without decoding them.
struct Pieces {
  std::string rest;  // the other fields, serialised
  std::vector<std::string_view> virtual_hosts;
};

const uint8_t* data_of(std::string_view bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

bool cut_virtual_hosts(std::string_view bytes, Pieces* out) {
  if (bytes.size() > INT32_MAX) return false;
  CodedInputStream in(data_of(bytes), static_cast<int>(bytes.size()));
  constexpr uint32_t kTag = route::RouteConfiguration::kVirtualHostsFieldNumber << 3 | 2;
  while (true) {
    const auto start = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return in.ConsumedEntireMessage();
    if (tag != kTag) {
      if (!WireFormat::SkipField(&in, tag)) return false;
      out->rest += bytes.substr(start, static_cast<size_t>(in.CurrentPosition()) - start);
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return false;
    const auto at = static_cast<size_t>(in.CurrentPosition());
    if (size > bytes.size() - at || !in.Skip(static_cast<int>(size))) return false;
    out->virtual_hosts.push_back(bytes.substr(at, size));
  }
}

absl::StatusOr<std::shared_ptr<const router::VirtualHostValue>> read_virtual_host(
    const Context& context, const Path& at, std::string_view bytes, const RouteLimits& limits,
    std::array<uint64_t, 2> digest) {
  route::VirtualHost in;
  if (!parse_message(bytes, &in)) return context.error(at, "not a serialised VirtualHost");
  if (absl::Status s = context.check(in, at); !s.ok()) return s;
  auto value = std::make_shared<router::VirtualHostValue>();
  if (absl::Status s = decode_virtual_host(context, at, in, limits, value.get()); !s.ok()) return s;
  value->digest = digest;
  return value;
}

std::shared_ptr<const router::VirtualHostValue> left_out(const Path& at,
                                                         std::array<uint64_t, 2> digest) {
  auto value = std::make_shared<router::VirtualHostValue>();
  value->digest = digest;
  value->left_out = true;
  value->source = at.str();
  return value;
}

absl::Status decode_vhds(const Context& context, const Path& at,
                         const route::RouteConfiguration& in, router::RouteConfigValue* out) {
  if (!in.has_vhds()) return absl::OkStatus();
  const Path source(Path(at, "vhds"), "config_source");
  router::RouteConfigValue::Vhds vhds;
  std::chrono::nanoseconds timeout{vhds.initial_fetch_timeout_ns};
  absl::Status s =
      decode_config_source(context, source, in.vhds().config_source(), &vhds.source, &timeout);
  if (!s.ok()) return s;
  if (s = require_delta(context, source, vhds.source); !s.ok()) return s;
  vhds.initial_fetch_timeout_ns = timeout.count();
  out->vhds = vhds;
  return absl::OkStatus();
}

}  // namespace

absl::Status decode_route_config(const Context& context, const Path& at,
                                 const route::RouteConfiguration& in, RouteLimits* limits,
                                 router::RouteConfigValue* out) {
  out->name = in.name();
  out->most_specific_header_mutations_wins = in.most_specific_header_mutations_wins();
  out->ignore_port_in_host_matching = in.ignore_port_in_host_matching();
  if (in.has_max_direct_response_body_size_bytes()) {
    limits->max_direct_body_bytes = in.max_direct_response_body_size_bytes().value();
  }
  if (in.has_validate_clusters()) out->validate_clusters = in.validate_clusters().value();
  absl::Status s = decode_vhds(context, at, in, out);
  if (!s.ok()) return s;
  s = decode_filter_settings(context, at, in.typed_per_filter_config(), &out->filters);
  if (!s.ok()) return s;
  s = decode_header_edits(context, at, "request_headers_to_add", in.request_headers_to_add(),
                          "request_headers_to_remove", in.request_headers_to_remove(),
                          &out->request_headers);
  if (!s.ok()) return s;
  return decode_header_edits(context, at, "response_headers_to_add", in.response_headers_to_add(),
                             "response_headers_to_remove", in.response_headers_to_remove(),
                             &out->response_headers);
}

absl::Status decode_virtual_host(const Context& context, const Path& at,
                                 const route::VirtualHost& in, const RouteLimits& limits,
                                 router::VirtualHostValue* out) {
  using Tls = router::VirtualHostValue::RequireTls;
  out->name = in.name();
  out->source = at.str();
  out->domains.assign(in.domains().begin(), in.domains().end());
  out->require_tls = in.require_tls() == route::VirtualHost::ALL             ? Tls::kAll
                     : in.require_tls() == route::VirtualHost::EXTERNAL_ONLY ? Tls::kExternalOnly
                                                                             : Tls::kNone;
  absl::Status s = decode_filter_settings(context, at, in.typed_per_filter_config(), &out->filters);
  if (!s.ok()) return s;
  s = decode_header_edits(context, at, "request_headers_to_add", in.request_headers_to_add(),
                          "request_headers_to_remove", in.request_headers_to_remove(),
                          &out->request_headers);
  if (!s.ok()) return s;
  s = decode_header_edits(context, at, "response_headers_to_add", in.response_headers_to_add(),
                          "response_headers_to_remove", in.response_headers_to_remove(),
                          &out->response_headers);
  if (!s.ok()) return s;
  if (in.has_retry_policy()) {
    s = decode_retry(context, Path(at, "retry_policy"), in.retry_policy(), &out->retry);
    if (!s.ok()) return s;
  }
  out->routes.resize(static_cast<size_t>(in.routes_size()));
  for (int i = 0; i < in.routes_size(); ++i) {
    s = decode_route(context, Path(at, "routes", i), in.routes(i), limits,
                     &out->routes[static_cast<size_t>(i)]);
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<router::RouteConfigValue> decode_inline_routes(const Context& context,
                                                              const Path& at,
                                                              const route::RouteConfiguration& in) {
  router::RouteConfigValue out;
  RouteLimits limits;
  if (in.has_vhds()) {
    return context.error(Path(at, "vhds"),
                         "needs a route configuration that comes over RDS; use rds");
  }
  if (absl::Status s = decode_route_config(context, at, in, &limits, &out); !s.ok()) return s;
  for (int i = 0; i < in.virtual_hosts_size(); ++i) {
    const std::string bytes = in.virtual_hosts(i).SerializeAsString();
    auto value = std::make_shared<router::VirtualHostValue>();
    value->digest = digest128(bytes);
    absl::Status s = decode_virtual_host(context, Path(at, "virtual_hosts", i), in.virtual_hosts(i),
                                         limits, value.get());
    if (!s.ok()) return s;
    out.virtual_hosts.push_back(std::move(value));
  }
  return out;
}

// The name of the resource is "ROUTE CONFIGURATION/VIRTUAL HOST"; errors begin with it.
absl::StatusOr<std::shared_ptr<const router::VirtualHostValue>> decode_virtual_host(
    std::string_view bytes, std::string_view name, const DecodeOptions& options,
    Warnings* warnings) {
  const Context context(options, warnings, base::cat("virtual host \"", name, "\""));
  auto value = read_virtual_host(context, Path(), bytes, RouteLimits(), digest128(bytes));
  if (!value.ok()) return value.status();
  auto out = std::make_shared<router::VirtualHostValue>(**value);
  out->source = base::cat("vhds[\"", name, "\"]");
  return std::shared_ptr<const router::VirtualHostValue>(std::move(out));
}

absl::StatusOr<router::RouteConfigValue> decode_routes(
    std::string_view bytes, std::string_view version, const DecodeOptions& options,
    Warnings* warnings, const router::RouteTable* previous, uint32_t num_workers) {
  Context context(options, warnings, "route configuration");
  const Path root;
  Pieces pieces;
  route::RouteConfiguration rest;
  if (!cut_virtual_hosts(bytes, &pieces) || !parse_message(pieces.rest, &rest)) {
    return context.error(root, "not a serialised RouteConfiguration");
  }
  context.set_label(base::cat("route configuration \"", rest.name(), "\""));
  if (absl::Status s = context.check(rest, root); !s.ok()) return s;
  router::RouteConfigValue out;
  RouteLimits limits;
  if (absl::Status s = decode_route_config(context, root, rest, &limits, &out); !s.ok()) return s;
  out.version = std::string(version);
  if (previous != nullptr && !previous->inherits_like(out, {.num_workers = num_workers}))
    previous = nullptr;
  for (size_t i = 0; i < pieces.virtual_hosts.size(); ++i) {
    const Path at(root, "virtual_hosts", static_cast<int>(i));
    const auto digest = digest128(pieces.virtual_hosts[i]);
    if (previous != nullptr && previous->knows(digest)) {
      out.virtual_hosts.push_back(left_out(at, digest));
      continue;
    }
    auto value = read_virtual_host(context, at, pieces.virtual_hosts[i], limits, digest);
    if (!value.ok()) return value.status();
    out.virtual_hosts.push_back(*std::move(value));
  }
  return out;
}

}  // namespace sluice::xds
