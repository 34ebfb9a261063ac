#include "http/h1_parser.h"
#include "http/h1_writer.h"

namespace sluice::http {

namespace {

// What Connection may not take away: framing, routing, and what the proxies on the way added or the
// next one relies on (http-security: a client must not make us drop these).
bool is_protected(const Field& field) noexcept {
  switch (field.id) {
    case HeaderId::kHost:
    case HeaderId::kContentLength:
    case HeaderId::kTransferEncoding:
    case HeaderId::kTe:
    case HeaderId::kUpgrade:
    case HeaderId::kVia:
    case HeaderId::kForwarded:
    case HeaderId::kXRequestId:
    case HeaderId::kXClientTraceId:
    case HeaderId::kTraceparent:
    case HeaderId::kTracestate:
      return true;
    default:
      break;
  }
  const std::string_view name = field.name();
  return name.starts_with("x-forwarded-") || name.starts_with("x-envoy-") ||
         name.starts_with("x-b3-") || name == "x-real-ip";
}

// Removes the unprotected fields of this name, which may be in any case.
void remove_nominated(FieldList* fields, std::string_view token) noexcept {
  for (Field& field : *fields) {
    if (field.name_size == token.size() && equals_folded(token, field.name()) &&
        !is_protected(field)) {
      FieldList::remove(&field);
    }
  }
}

void strip_connection(FieldList* fields) noexcept {
  for (Field& field : *fields) {
    if (field.id != HeaderId::kConnection || field.removed()) continue;
    FieldList::remove(&field);
    for_each_member(field.value(),
                    [fields](std::string_view token) { remove_nominated(fields, token); });
  }
}

// Connection and Upgrade of a head that upgrades: `connection: upgrade` in the place of the first.
void keep_upgrade(FieldList* fields, bool nominates) noexcept {
  Field* const first = fields->find(HeaderId::kConnection);
  if (nominates) {
    strip_connection(fields);
  } else {
    fields->remove(HeaderId::kConnection);
  }
  if (first == nullptr) return;
  if (equals_folded(first->value(), "upgrade")) {
    first->flags &= static_cast<uint8_t>(~Field::kRemoved);
    return;
  }
  Field composed = *first;
  composed.value_data = "upgrade";
  composed.value_size = 7;
  composed.flags = 0;
  *first = composed;
}

constexpr uint64_t bit(HeaderId id) noexcept { return uint64_t{1} << static_cast<unsigned>(id); }
// All ids of hops are below 64.
constexpr uint64_t kAlways = bit(HeaderId::kKeepAlive) | bit(HeaderId::kProxyConnection);
constexpr uint64_t kUnlessUpgrade = kAlways | bit(HeaderId::kConnection) | bit(HeaderId::kUpgrade);
constexpr uint64_t kHops[2] = {kUnlessUpgrade | bit(HeaderId::kTe), 0};

void strip(FieldList* fields, bool upgrade, bool nominates) noexcept {
  if (upgrade) {
    keep_upgrade(fields, nominates);
  } else {
    if (nominates) strip_connection(fields);
    if (fields->has(HeaderId::kUpgrade)) fields->remove("http2-settings");
  }
  const uint64_t gone = upgrade ? kAlways : kUnlessUpgrade;
  for (Field& field : *fields) {
    const auto id = static_cast<unsigned>(field.id);
    if (id < 64 && (gone >> id & 1) != 0) FieldList::remove(&field);
  }
}

}  // namespace

void strip_hop_by_hop(RequestHead* head) noexcept {
  if (!head->fields.may_have_any(kHops)) return;
  strip(&head->fields, head->upgrade, head->nominates);
  Field* const te = head->fields.find(HeaderId::kTe);
  if (te != nullptr && !(te->value() == "trailers" && te->line())) {
    head->fields.remove(HeaderId::kTe);
    if (head->te_trailers) {
      te->value_data = "trailers";
      te->value_size = 8;
      te->flags = 0;
    }
  }
}

void strip_hop_by_hop(ResponseHead* head) noexcept {
  if (!head->fields.may_have_any(kHops)) return;
  strip(&head->fields, head->upgrade, head->nominates);
}

}  // namespace sluice::http
