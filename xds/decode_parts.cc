#include "xds/decode_parts.h"

#include <cstdlib>

#include "xds/yaml.h"

namespace sluice::xds {
namespace {

using ::envoy::type::matcher::v3::StringMatcher;
using Action = core::HeaderValueOption;

// What Envoy refuses to edit, because routing was decided on it.
bool is_protected_header(std::string_view name) { return name.starts_with(':') || name == "host"; }

http::HeaderMutation::Action action_of(const core::HeaderValueOption& in) {
  using To = http::HeaderMutation::Action;
  if (in.has_append()) return in.append().value() ? To::kAppend : To::kOverwrite;
  switch (in.append_action()) {
    case Action::ADD_IF_ABSENT:
      return To::kAddIfAbsent;
    case Action::OVERWRITE_IF_EXISTS_OR_ADD:
      return To::kOverwrite;
    case Action::OVERWRITE_IF_EXISTS:
      return To::kOverwriteIfExists;
    default:
      return To::kAppend;
  }
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

absl::Status decode_duration(const Context& context, const Path& at,
                             const google::protobuf::Duration& in, std::chrono::nanoseconds* out) {
  constexpr int64_t kMaxSeconds = 9'000'000'000;  // of an int64 in nanoseconds
  if (in.seconds() < 0 || in.nanos() < 0 || in.nanos() > 999'999'999) {
    return context.error(at, "must be zero or more: ", in.seconds(), "s ", in.nanos(), "ns");
  }
  if (in.seconds() > kMaxSeconds) {
    return context.error(at, "too long: ", in.seconds(), "s; the limit is 285 years");
  }
  *out = std::chrono::seconds(in.seconds()) + std::chrono::nanoseconds(in.nanos());
  return absl::OkStatus();
}

absl::StatusOr<base::Address> decode_socket_address(const Context& context, const Path& at,
                                                    const core::SocketAddress& in) {
  if (in.protocol() != core::SocketAddress::TCP) {
    return context.error(Path(at, "protocol"), "UDP is not supported yet; use TCP");
  }
  if (in.port_specifier_case() == core::SocketAddress::kNamedPort) {
    return context.error(Path(at, "named_port"), "ports have no names here; use port_value");
  }
  auto address = base::Address::ip(in.address(), static_cast<uint16_t>(in.port_value()));
  if (address.ok()) return address;
  return context.error(Path(at, "address"), "not an IP address: \"", in.address(),
                       "\"; write an IPv4 or IPv6 address; only clusters of type STRICT_DNS and "
                       "LOGICAL_DNS may have host names");
}

absl::StatusOr<base::Address> decode_address(const Context& context, const Path& at,
                                             const core::Address& in) {
  switch (in.address_case()) {
    case core::Address::kSocketAddress:
      return decode_socket_address(context, Path(at, "socket_address"), in.socket_address());
    case core::Address::kPipe: {
      auto address = base::Address::unix_path(in.pipe().path());
      if (address.ok()) return address;
      const Path pipe(at, "pipe");
      return context.error(Path(pipe, "path"), base::message_of(address.status()));
    }
    default:
      return context.error(at, "one of socket_address, pipe is required");
  }
}

absl::StatusOr<http::HeaderMutation> decode_header(const Context& context, const Path& at,
                                                   const core::HeaderValueOption& in) {
  http::HeaderMutation out;
  out.name = lower_case(in.header().key());
  if (is_protected_header(out.name)) {
    const Path header(at, "header");
    return context.error(Path(header, "key"), "this header cannot be edited: \"", out.name,
                         "\"; use the route's rewrites");
  }
  if (in.has_append() && in.append_action() != Action::APPEND_IF_EXISTS_OR_ADD) {
    return context.error(Path(at, "append"), "excludes append_action; keep append_action");
  }
  out.value = in.header().value();
  if (!in.header().raw_value().empty()) out.value = in.header().raw_value();
  out.action = action_of(in);
  out.keep_empty = in.keep_empty_value();
  return out;
}

absl::Status decode_header_edits(const Context& context, const Path& at, std::string_view add_name,
                                 const Repeated<core::HeaderValueOption>& add,
                                 std::string_view remove_name, const Repeated<std::string>& remove,
                                 router::HeaderEdits* out) {
  out->add.reserve(static_cast<size_t>(add.size()));
  for (int i = 0; i < add.size(); ++i) {
    auto header = decode_header(context, Path(at, add_name, i), add[i]);
    if (!header.ok()) return header.status();
    out->add.push_back(*std::move(header));
  }
  for (int i = 0; i < remove.size(); ++i) {
    std::string name = lower_case(remove[i]);
    if (name.empty()) return context.error(Path(at, remove_name, i), "the name is empty");
    if (is_protected_header(name)) {
      return context.error(Path(at, remove_name, i), "this header cannot be removed: \"", name,
                           "\"");
    }
    out->remove.push_back(std::move(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<router::StringMatch> decode_string_match(const Context& context, const Path& at,
                                                        const StringMatcher& in) {
  using Kind = router::StringMatch::Kind;
  router::StringMatch out;
  out.ignore_case = in.ignore_case();
  switch (in.match_pattern_case()) {
    case StringMatcher::kExact:
      out.kind = Kind::kExact, out.text = in.exact();
      break;
    case StringMatcher::kPrefix:
      out.kind = Kind::kPrefix, out.text = in.prefix();
      break;
    case StringMatcher::kSuffix:
      out.kind = Kind::kSuffix, out.text = in.suffix();
      break;
    case StringMatcher::kContains:
      out.kind = Kind::kContains, out.text = in.contains();
      break;
    case StringMatcher::kSafeRegex:
      out.kind = Kind::kRegex, out.text = in.safe_regex().regex();
      out.ignore_case = false;  // as the API says
      break;
    default:
      return context.error(at, "one of exact, prefix, suffix, contains, safe_regex is required");
  }
  return out;
}

absl::StatusOr<std::string> decode_data_source(const Context& context, const Path& at,
                                               const core::DataSource& in) {
  switch (in.specifier_case()) {
    case core::DataSource::kInlineString:
      return in.inline_string();
    case core::DataSource::kInlineBytes:
      return in.inline_bytes();
    case core::DataSource::kFilename: {
      auto text = read_file(in.filename());
      if (text.ok()) return text;
      return context.error(Path(at, "filename"), base::message_of(text.status()));
    }
    case core::DataSource::kEnvironmentVariable: {
      const char* value = getenv(in.environment_variable().c_str());
      if (value != nullptr) return std::string(value);
      return context.error(Path(at, "environment_variable"), "not set: \"",
                           in.environment_variable(), "\"");
    }
    default:
      return context.error(at,
                           "one of inline_string, inline_bytes, filename, "
                           "environment_variable is required");
  }
}

absl::Status require_plaintext(const Context& context, const Path& at,
                               const core::TransportSocket& in) {
  const Path config(at, "typed_config");
  const std::string type = context.type_of(in.typed_config());
  if (type == "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") {
    return absl::OkStatus();
  }
  const bool tls = type.starts_with("envoy.extensions.transport_sockets.tls.");
  return context.error(config, tls ? "TLS is not supported yet" : "unknown transport socket",
                       ": \"", in.has_typed_config() ? type : in.name(),
                       "\"; without transport_socket connections are plaintext");
}

uint64_t denominator_of(const ::envoy::type::v3::FractionalPercent& in) {
  switch (in.denominator()) {
    case ::envoy::type::v3::FractionalPercent::TEN_THOUSAND:
      return 10'000;
    case ::envoy::type::v3::FractionalPercent::MILLION:
      return 1'000'000;
    default:
      return 100;
  }
}

}  // namespace sluice::xds
