#include "xds/decode_network.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "xds/decode_extension.h"
#include "xds/decode_http.h"
#include "xds/decode_tcp.h"

namespace sluice::xds {
namespace {

namespace listener = ::envoy::config::listener::v3;
using Hcm = hcm::HttpConnectionManager;
using Tcp = tcp_proxy::TcpProxy;
using dataplane::ListenerValue;

void set_filter(NetworkFilter filter, ListenerValue* out) {
  out->http = std::move(filter.http);
  out->tcp = std::move(filter.tcp);
}

absl::Status refuse_type(const Context& context, const Path& at, std::string_view type,
                         std::string_view name) {
  return context.error(at, "this network filter is not supported yet: \"",
                       type.empty() ? name : type, "\"; use ", Hcm::descriptor()->full_name(),
                       " or ", Tcp::descriptor()->full_name());
}

absl::Status decode_default(const Context& context, const Path& at,
                            const google::protobuf::Any& any, std::string_view name,
                            const filters::FilterDiscovery& discovery, ListenerValue* out) {
  const std::string type = context.type_of(any);
  const auto& types = discovery.types;
  if (std::find(types.begin(), types.end(), type) == types.end()) {
    return context.error(at, "its type is not among type_urls: \"", type, "\"; add it there");
  }
  auto filter = decode_network_config(context, at, any, name);
  if (!filter.ok()) return filter.status();
  set_filter(*std::move(filter), out);
  out->filter_missing = false;
  return absl::OkStatus();
}

absl::Status decode_discovery(const Context& context, const Path& at, const listener::Filter& in,
                              ListenerValue* out) {
  const core::ExtensionConfigSource& source = in.config_discovery();
  auto discovery = std::make_shared<filters::FilterDiscovery>();
  for (int i = 0; i < source.type_urls_size(); ++i) {
    const std::string& url = source.type_urls(i);
    std::string type = url.substr(url.rfind('/') + 1);
    if (!is_network_filter(type)) {
      return refuse_type(context, Path(at, "type_urls", i), type, in.name());
    }
    discovery->types.push_back(std::move(type));
  }
  absl::Status s = decode_discovery_source(context, at, source, discovery.get());
  if (!s.ok()) return s;
  out->filter_missing = true;
  if (source.has_default_config()) {
    s = decode_default(context, Path(at, "default_config"), source.default_config(), in.name(),
                       *discovery, out);
    if (!s.ok()) return s;
  }
  out->filter_name = in.name();
  out->discovery = std::move(discovery);
  return absl::OkStatus();
}

}  // namespace

bool is_network_filter(std::string_view type) {
  return type == std::string_view(Hcm::descriptor()->full_name()) ||
         type == std::string_view(Tcp::descriptor()->full_name());
}

absl::StatusOr<NetworkFilter> decode_network_config(const Context& context, const Path& at,
                                                    const google::protobuf::Any& any,
                                                    std::string_view name) {
  const std::string type = context.type_of(any);
  NetworkFilter out;
  if (type == Tcp::descriptor()->full_name()) {
    auto relay = context.unpack_as<Tcp>(any, at);
    if (!relay.ok()) return relay.status();
    absl::Status s = decode_tcp(context, Context::inside(any, at), *relay, &out.tcp.emplace());
    if (!s.ok()) return s;
    return out;
  }
  if (type != Hcm::descriptor()->full_name()) return refuse_type(context, at, type, name);
  auto manager = context.unpack_as<Hcm>(any, at);
  if (!manager.ok()) return manager.status();
  absl::Status s = decode_http(context, Context::inside(any, at), *manager, &out.http);
  if (!s.ok()) return s;
  return out;
}

absl::Status decode_network_filter(const Context& context, const Path& at,
                                   const listener::Filter& in, ListenerValue* out) {
  if (in.has_config_discovery()) {
    return decode_discovery(context, Path(at, "config_discovery"), in, out);
  }
  auto filter =
      decode_network_config(context, Path(at, "typed_config"), in.typed_config(), in.name());
  if (!filter.ok()) return filter.status();
  set_filter(*std::move(filter), out);
  return absl::OkStatus();
}

}  // namespace sluice::xds
