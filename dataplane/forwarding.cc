#include "dataplane/forwarding.h"

#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace sluice::dataplane {

namespace {

using http::HeaderId;

constexpr HeaderId kNeverFromClients[] = {
    HeaderId::kXEnvoyRetryOn,
    HeaderId::kXEnvoyRetryGrpcOn,
    HeaderId::kXEnvoyRetriableStatusCodes,
    HeaderId::kXEnvoyRetriableHeaderNames,
    HeaderId::kXEnvoyMaxRetries,
    HeaderId::kXEnvoyUpstreamAltStatName,
    HeaderId::kXEnvoyUpstreamRqTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::kXEnvoyExpectedRqTimeoutMs,
    HeaderId::kXEnvoyForceTrace,
    HeaderId::kXEnvoyIpTags,
    HeaderId::kXEnvoyOriginalPath,
    HeaderId::kXEnvoyOriginalHost,
    HeaderId::kXEnvoyHedgeOnPerTryTimeout,
    HeaderId::kXEnvoyInternal,
    // forward_client_cert_details SANITIZE, and all other modes but one on a connection without
    // TLS.
    HeaderId::kXForwardedClientCert,
};

constexpr HeaderId kNotAtTheEdge[] = {
    HeaderId::kXEnvoyDecoratorOperation,
    HeaderId::kXEnvoyDownstreamServiceCluster,
    HeaderId::kXEnvoyDownstreamServiceNode,
};

// Bits by id, for FieldList::may_have_any().
struct IdMask {
  uint64_t bits[2] = {0, 0};
};
template <typename... Lists>
constexpr IdMask mask_of(const Lists&... lists) noexcept {
  IdMask mask;
  const auto add = [&mask](HeaderId id) {
    const auto n = static_cast<unsigned>(id);
    mask.bits[n / 64] |= uint64_t{1} << (n % 64);
  };
  (
      [&] {
        for (const HeaderId id : lists) add(id);
      }(),
      ...);
  return mask;
}
constexpr IdMask kUntrusted = mask_of(kNeverFromClients, kNotAtTheEdge);

void remove_untrusted(http::FieldList& fields, bool edge) noexcept {
  if (!fields.may_have_any(kUntrusted.bits)) [[likely]]
    return;
  for (const HeaderId id : kNeverFromClients) fields.remove(id);
  if (!edge) return;
  for (const HeaderId id : kNotAtTheEdge) fields.remove(id);
}

// Several lines are one list (RFC 9110 5.3): joined, so that what we append is the last of all.
bool join_forwarded_for(http::FieldList& fields) noexcept {
  const http::Field* const first = fields.find(HeaderId::kXForwardedFor);
  if (first == nullptr) return true;
  for (http::Field& f : fields) {
    if (&f == first || f.removed() || f.id != HeaderId::kXForwardedFor) continue;
    http::FieldList::remove(&f);
    if (!fields.append_value(HeaderId::kXForwardedFor, ",", f.value())) return false;
  }
  return true;
}

// At the edge the client's address is told in a field that no client can set.
bool tell_address(http::FieldList& fields, const RequestContext& c, const ClientAddress& client) {
  if (client.from_header) {
    char text[base::IpAddress::kMaxText];
    return fields.set_clean(HeaderId::kXEnvoyExternalAddress, {text, client.ip.format(text)});
  }
  if (!c.peer_ip_text.empty()) {
    return fields.move_clean(HeaderId::kXEnvoyExternalAddress, c.peer_ip_text);
  }
  fields.remove(HeaderId::kXEnvoyExternalAddress);
  return true;
}

bool forward_address(http::FieldList& fields, const RequestContext& c, ClientAddress* client) {
  if (c.peer->is_ip()) client->ip = c.peer->ip();
  const HttpValue& http = *c.http;
  if (!join_forwarded_for(fields)) return false;
  const std::string_view xff = fields.value(HeaderId::kXForwardedFor);
  if (!http.use_remote_address) {
    if (!xff.empty() && nth_forwarded_for(xff, http.xff_num_trusted_hops, &client->ip)) {
      client->from_header = true;
    }
    return true;
  }
  if (http.xff_num_trusted_hops > 0 &&
      nth_forwarded_for(xff, http.xff_num_trusted_hops - 1, &client->ip)) {
    client->from_header = true;
  }
  if (http.skip_xff_append || c.peer_ip_text.empty()) return true;
  return fields.append_value(HeaderId::kXForwardedFor, ",", c.peer_ip_text);
}

struct HexPairs {
  char text[256][2];
};
constexpr HexPairs make_hex_pairs() noexcept {
  HexPairs pairs{};
  constexpr char kHex[] = "0123456789abcdef";
  for (int i = 0; i < 256; ++i) {
    pairs.text[i][0] = kHex[i >> 4];
    pairs.text[i][1] = kHex[i & 15];
  }
  return pairs;
}
constexpr HexPairs kHexPairs = make_hex_pairs();

// RFC 9562 version 4, 36 characters.
constexpr size_t kUuidBytes = 36;
void put_uuid(base::Random& random, char* out) noexcept {
  uint64_t high = random.next();
  uint64_t low = random.next();
  high = (high & ~uint64_t{0xf000}) | 0x4000;
  low = (low & 0x3fffffffffffffff) | 0x8000000000000000;
  const auto put = [](char* to, uint64_t word, int from, int to_byte) {
    for (int byte = from; byte < to_byte; ++byte, to += 2) {
      std::memcpy(to, kHexPairs.text[(word >> (56 - 8 * byte)) & 0xff], 2);
    }
  };
  put(out, high, 0, 4);
  put(out + 9, high, 4, 6);
  put(out + 14, high, 6, 8);
  put(out + 19, low, 0, 2);
  put(out + 24, low, 2, 8);
  out[8] = out[13] = out[18] = out[23] = '-';
}

bool set_request_id(http::FieldList& fields, const RequestContext& c, bool edge) noexcept {
  const HttpValue& http = *c.http;
  if (!http.generate_request_id) return true;
  const bool force = edge && !http.preserve_external_request_id;
  if (!force && fields.has(HeaderId::kXRequestId)) return true;
  fields.remove(HeaderId::kXRequestId);
  char* const id = fields.add_blank(HeaderId::kXRequestId, kUuidBytes);
  if (id == nullptr) return false;
  put_uuid(*c.random, id);
  return true;
}

}  // namespace

std::string_view decimal(uint64_t value, char* out) noexcept {
  char* const end = out + 20;
  char* at = end;
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  return {at, static_cast<size_t>(end - at)};
}

bool nth_forwarded_for(std::string_view header, uint32_t n, base::IpAddress* out) noexcept {
  for (;;) {
    const size_t comma = header.rfind(',');
    std::string_view member = comma == header.npos ? header : header.substr(comma + 1);
    if (n-- == 0) {
      while (!member.empty() && (member.front() == ' ' || member.front() == '\t')) {
        member.remove_prefix(1);
      }
      while (!member.empty() && (member.back() == ' ' || member.back() == '\t')) {
        member.remove_suffix(1);
      }
      if (member.starts_with('[')) {
        const size_t end = member.find(']');
        return end != member.npos && base::IpAddress::parse(member.substr(1, end - 1), out);
      }
      if (base::IpAddress::parse(member, out)) return true;
      const size_t colon = member.find(':');
      return colon != member.npos && base::IpAddress::parse(member.substr(0, colon), out);
    }
    if (comma == header.npos) return false;
    header = header.substr(0, comma);
  }
}

bool prepare_request(http::RequestHead* head, const RequestContext& c,
                     ClientAddress* client) noexcept {
  http::FieldList& fields = head->fields;
  const HttpValue& http = *c.http;
  http::strip_hop_by_hop(head);
  const bool edge = http.use_remote_address;
  if (!forward_address(fields, c, client)) return false;
  const std::string_view scheme = c.is_tls ? "https" : "http";
  head->scheme = scheme;
  const bool believe_proto = edge && http.xff_num_trusted_hops > 0;
  const bool keep_proto = (!edge || believe_proto) && fields.has(HeaderId::kXForwardedProto);
  if (keep_proto) {
    const std::string_view told = fields.value(HeaderId::kXForwardedProto);
    if (http::equals_folded(told, "https")) head->scheme = "https";
    if (http::equals_folded(told, "http")) head->scheme = "http";
  } else if (!fields.move_clean(HeaderId::kXForwardedProto, scheme)) {
    return false;
  }
  if (edge && !tell_address(fields, c, *client)) return false;
  remove_untrusted(fields, edge);
  if (!set_request_id(fields, c, edge)) return false;
  if (!http.via.empty()) return fields.append_value(HeaderId::kVia, ", ", http.via);
  return true;
}

void normalise_authority(http::RequestHead* head, const HttpValue& http, uint16_t listener_port) {
  if (http.strip_port == HttpValue::StripPort::kNone && !http.strip_trailing_host_dot) return;
  std::string_view host = head->authority;
  std::string_view port;
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  if (colon != host.npos && (bracket == host.npos || colon > bracket)) {
    port = host.substr(colon);
    host = host.substr(0, colon);
  }
  char text[20];
  if (http.strip_port == HttpValue::StripPort::kAny ||
      (http.strip_port == HttpValue::StripPort::kMatching && !port.empty() &&
       port.substr(1) == decimal(listener_port, text))) {
    port = {};
  }
  const bool dot = http.strip_trailing_host_dot && host.ends_with('.');
  if (dot) host.remove_suffix(1);
  if (host.size() + port.size() == head->authority.size()) return;
  if (port.empty()) {
    head->authority = host;
    return;
  }
  char* out = head->fields.arena()->chars(host.size() + port.size());
  if (out == nullptr) return;
  std::memcpy(out, host.data(), host.size());
  std::memcpy(out + host.size(), port.data(), port.size());
  head->authority = {out, host.size() + port.size()};
}

namespace {

// The timeout that this worker wrote last, as text: mostly it is the next one's, too.
struct WrittenTimeout {
  int64_t ns = 0;
  std::string_view text;  // the end of `room`
  char room[20] = {};
};
constinit thread_local WrittenTimeout written;

}  // namespace

void add_expected_timeout(http::RequestHead* head, int64_t timeout_ns) noexcept {
  if (timeout_ns <= 0) return;
  if (timeout_ns != written.ns) {
    written.text = decimal(static_cast<uint64_t>(timeout_ns / 1'000'000), written.room);
    written.ns = timeout_ns;
  }
  head->fields.move_clean(HeaderId::kXEnvoyExpectedRqTimeoutMs, written.text);
}

bool add_service_time(http::ResponseHead* head, int64_t upstream_ms) noexcept {
  char text[20];
  return head->fields.move_clean(HeaderId::kXEnvoyUpstreamServiceTime,
                                 decimal(static_cast<uint64_t>(upstream_ms), text));
}

bool prepare_response(http::ResponseHead* head, const ResponseContext& c) noexcept {
  http::FieldList& fields = head->fields;
  const HttpValue& http = *c.http;
  http::strip_hop_by_hop(head);
  bool ok = true;
  if (!fields.has(HeaderId::kDate)) ok = fields.add_clean(HeaderId::kDate, c.date);
  switch (http.server_header) {
    case ServerHeader::kOverwrite:
      ok = ok && fields.move_clean(HeaderId::kServer, http.server_name);
      break;
    case ServerHeader::kAppendIfAbsent:
      if (!fields.has(HeaderId::kServer)) {
        ok = ok && fields.add_clean(HeaderId::kServer, http.server_name);
      }
      break;
    case ServerHeader::kPassThrough:
      break;
  }
  if (http.always_set_request_id_in_response && !c.request_id.empty()) {
    ok = ok && fields.set(HeaderId::kXRequestId, c.request_id);
  }
  if (!http.via.empty()) ok = ok && fields.append_value(HeaderId::kVia, ", ", http.via);
  return ok;
}

}  // namespace sluice::dataplane
