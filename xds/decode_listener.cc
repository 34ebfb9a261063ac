#include "envoy/config/listener/v3/listener.pb.h"
#include "xds/decode_network.h"
#include "xds/decode_parts.h"

namespace sluice::xds {
namespace {

namespace listener = ::envoy::config::listener::v3;
using dataplane::ListenerValue;

absl::Status decode_addresses(const Context& context, const Path& at, const listener::Listener& in,
                              ListenerValue* out) {
  if (!in.has_address()) return context.error(Path(at, "address"), "is required");
  auto address = decode_address(context, Path(at, "address"), in.address());
  if (!address.ok()) return address.status();
  out->addresses.push_back(*std::move(address));
  out->ipv4_compat = in.address().socket_address().ipv4_compat();
  out->unix_mode = in.address().pipe().mode();
  for (int i = 0; i < in.additional_addresses_size(); ++i) {
    const Path here(at, "additional_addresses", i);
    auto more =
        decode_address(context, Path(here, "address"), in.additional_addresses(i).address());
    if (!more.ok()) return more.status();
    out->addresses.push_back(*std::move(more));
  }
  return absl::OkStatus();
}

void decode_socket(const listener::Listener& in, ListenerValue* out) {
  out->stat_name = in.stat_prefix();
  out->bind_to_port = in.has_bind_to_port() ? in.bind_to_port().value()
                      : in.deprecated_v1().has_bind_to_port()
                          ? in.deprecated_v1().bind_to_port().value()
                          : true;
  if (in.has_enable_reuse_port()) out->reuse_port = in.enable_reuse_port().value();
  if (in.has_tcp_backlog_size()) out->tcp_backlog = in.tcp_backlog_size().value();
  if (in.has_per_connection_buffer_limit_bytes()) {
    out->buffer_limit_bytes = in.per_connection_buffer_limit_bytes().value();
  }
  out->exact_balance = in.connection_balance_config().has_exact_balance();
}

absl::Status decode_chain(const Context& context, const Path& at, const listener::FilterChain& in,
                          ListenerValue* out) {
  if (in.has_transport_socket()) {
    absl::Status s =
        require_plaintext(context, Path(at, "transport_socket"), in.transport_socket());
    if (!s.ok()) return s;
  }
  if (in.filters_size() != 1) {
    return context.error(Path(at, "filters"),
                         "exactly one filter, the HTTP connection manager or the TCP proxy, is "
                         "supported yet; there are ",
                         in.filters_size());
  }
  absl::Status s = decode_network_filter(context, Path(at, "filters", 0), in.filters(0), out);
  out->http.filter_chain_name = in.name();
  return s;
}

absl::Status decode_chains(const Context& context, const Path& at, const listener::Listener& in,
                           ListenerValue* out) {
  if (in.filter_chains_size() + (in.has_default_filter_chain() ? 1 : 0) > 1) {
    return context.error(
        Path(at, in.filter_chains_size() > 1 ? "filter_chains" : "default_filter_chain"),
        "choosing between filter chains is not supported yet; keep one");
  }
  if (in.has_default_filter_chain()) {
    return decode_chain(context, Path(at, "default_filter_chain"), in.default_filter_chain(), out);
  }
  if (in.filter_chains_size() == 0) {
    return context.error(Path(at, "filter_chains"), "one filter chain is required");
  }
  return decode_chain(context, Path(at, "filter_chains", 0), in.filter_chains(0), out);
}

}  // namespace

absl::StatusOr<ListenerValue> decode_listener(std::string_view bytes, std::string_view version,
                                              const DecodeOptions& options, Warnings* warnings) {
  Context context(options, warnings, "listener");
  const Path root;
  listener::Listener in;
  if (!parse_message(bytes, &in)) {
    return context.error(root, "not a serialised Listener");
  }
  const std::string label = base::cat("listener \"", in.name(), "\"");
  context.set_label(label);
  if (absl::Status s = context.check(in, root); !s.ok()) return s;
  ListenerValue out;
  out.name = in.name();
  out.version = std::string(version);
  out.source = label;
  decode_socket(in, &out);
  if (absl::Status s = decode_addresses(context, root, in, &out); !s.ok()) return s;
  if (out.name.empty()) out.name = out.addresses.front().to_string();
  if (absl::Status s = decode_chains(context, root, in, &out); !s.ok()) return s;
  return out;
}

}  // namespace sluice::xds
