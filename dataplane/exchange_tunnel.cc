#include <utility>

#include "dataplane/exchange.h"
#include "dataplane/worker.h"

// Requests that become tunnels: upgrades (RFC 9110 7.8), extended CONNECT (RFC 8441) and CONNECT
// (RFC 9110 9.3.6), which either goes on as a CONNECT or ends here as plain TCP to an endpoint.
namespace sluice::dataplane {

using base::Stamp;
using http::HeaderId;

bool HttpValue::allows_upgrade(std::string_view protocol) const noexcept {
  for (const std::string& name : upgrades) {
    if (http::equals_folded(protocol, name)) return true;
  }
  return false;
}

// ---- Asking for one.

// What follows a CONNECT is the tunnel's, not a body. False: refused.
bool Exchange::take_connect() noexcept {
  if (!request_.protocol.empty()) return upgrade_from_connect();
  connect_ = upgrade_asked_ = true;
  // Refused, it may be followed by what was meant for the tunnel: never by another request.
  close_after_ = true;
  request_.upgrade = has_body_ = false;
  request_.framing = {};
  if (!std::exchange(request_complete_, true)) stamps_.mark(Stamp::kRequestReceived);
  return true;
}

// As in Envoy: the route may allow what the listener does not list, and without a route the answer
// is 404, whoever allows what.
bool Exchange::may_connect() const noexcept {
  using Upgrade = router::RoutePolicy::Upgrade;
  constexpr std::string_view kName = "connect";
  if (match_.route == nullptr) return true;
  const Upgrade here = match_.route->policy().upgrade(kName);
  if (here == Upgrade::kListener) return config_->value.allows_upgrade(kName);
  return here == Upgrade::kAllowed;
}

// Extended CONNECT (RFC 8441) inside is what it is in HTTP/1.1: a GET that asks for an upgrade.
// What follows it are the tunnel's bytes, not a body.
bool Exchange::upgrade_from_connect() noexcept {
  if (request_.protocol.empty() || request_complete_) return false;
  if (!config_->value.allows_upgrade(request_.protocol)) return false;
  request_.method = http::Method::kGet;
  request_.method_text = http::text_of(http::Method::kGet);
  request_.upgrade = request_.nominates = true;
  has_body_ = false;
  request_complete_ = true;
  stamps_.mark(Stamp::kRequestReceived);
  request_.framing = {};
  return request_.fields.add(HeaderId::kConnection, "upgrade") &&
         request_.fields.add(HeaderId::kUpgrade, request_.protocol);
}

// ---- The answer.

// A tunnel that ends here: its connection is there, and the answer is ours.
void Exchange::answer_connect() noexcept {
  stamps_.mark(Stamp::kHeadSent);
  head_sent_ = end_sent_ = true;
  response_head()->status = 200;
  on_upstream_head({});
}

// 2xx to a CONNECT is the beginning of its tunnel. False: the endpoint switched to another
// protocol, which nobody asked for.
bool Exchange::accept_connect() noexcept {
  tunnel_ = response_.status / 100 == 2;
  if (!tunnel_) return response_.status != 101;
  session().cells().downstream_cx_upgrades_active.add();
  response_.fields.remove(HeaderId::kContentLength);
  response_.fields.remove(HeaderId::kTransferEncoding);
  return true;
}

// False: the endpoint switched to what nobody asked for. 2xx to an extended CONNECT is a 101
// inside.
bool Exchange::accept_upgrade() noexcept {
  if (connect_) return accept_connect();
  if (upgrade_asked_ && up_.protocol() == http::Protocol::kHttp2 && response_.status / 100 == 2) {
    response_.status = 101;
    response_.upgrade = true;
    response_.reason_phrase = response_.line = {};
    const std::string_view to = request_.fields.value(HeaderId::kUpgrade);
    if (!response_.fields.add(HeaderId::kConnection, "upgrade")) return false;
    if (!response_.fields.add(HeaderId::kUpgrade, to)) return false;
  }
  if (response_.status != 101) return true;
  tunnel_ = upgrade_asked_ && response_.upgrade;
  if (tunnel_) session().cells().downstream_cx_upgrades_active.add();
  return tunnel_;
}

void Exchange::begin_tunnel() noexcept {
  up_.become_tunnel(&arena_);
  session().cells().downstream_cx_upgrades_total.add();
  down_.become_tunnel();
  if (!early_body_.empty()) send_body(std::exchange(early_body_, {}));
  if (down_.request_ended()) up_.send_end(nullptr, arena_);
  update_body_flow();
  if (!body_congested_) down_.resume_body();
}

}  // namespace sluice::dataplane
