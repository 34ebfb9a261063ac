#include "dataplane/exchange.h"

#include <algorithm>

#include "base/plant.h"
#include "dataplane/h1_session.h"
#include "dataplane/h2_session.h"
#include "dataplane/stream_times.h"
#include "dataplane/worker.h"
#include "http/path.h"
#include "router/rewrite.h"

// The request's way: from the parsed head to the endpoint. exchange_upstream.cc has the connection
// to it, exchange_response.cc the way back, exchange_deadlines.cc what happens when it takes too
// long.
namespace sluice::dataplane {

namespace {

using base::Reason;
using base::Stamp;
using http::HeaderId;

upstream::PoolKind pool_kind(upstream::TransportValue::Http kind,
                             http::Protocol downstream) noexcept {
  using Http = upstream::TransportValue::Http;
  const bool as_client = kind == Http::kUseDownstream && downstream == http::Protocol::kHttp2;
  // kAuto: by ALPN, and without TLS that is HTTP/1.1.
  return kind == Http::kHttp2 || as_client ? upstream::PoolKind::kHttp2
                                           : upstream::PoolKind::kHttp1;
}

}  // namespace

Exchange::Exchange(Worker& worker) noexcept : worker_(worker), arena_(worker.blocks()) {}

Exchange::~Exchange() = default;

Exchange& Exchange::of_worker_link(net::Link& link) noexcept {
  // worker_link_ is a member of a type that is not standard-layout; the compilers we use lay it out
  // at a fixed place all the same.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
  return *reinterpret_cast<Exchange*>(reinterpret_cast<char*>(&link) -
                                      offsetof(Exchange, worker_link_));
#pragma GCC diagnostic pop
}

void Exchange::begin(H1Session& session) noexcept {
  down_.attach(session);
  begin(http::Protocol::kHttp11);
}

void Exchange::begin(H2Request& request) noexcept {
  down_.attach(request);
  begin(http::Protocol::kHttp2);
}

void Exchange::begin(http::Protocol protocol) noexcept {
  HttpSession& session = down_.session();
  config_ = &session.config();
  stamps_.mark(Stamp::kReceived);
  if (session.first_exchange()) stamps_.set(Stamp::kAccepted, session.accepted_ticks());
  started_at_ = active_at_ = worker_.loop().now();
  request_.fields.bind(&arena_);
  idle_timeout_ns_ = config_->stream_idle_timeout_ns;
  facts_.request = &request_;
  facts_.stamps = &stamps_;
  facts_.start_wall = worker_.loop().clock().wall();
  facts_.connection_id = session.id();
  facts_.protocol = protocol;
  facts_.downstream_remote = facts_.downstream_direct_remote = &session.peer();
  facts_.downstream_local = &session.local();
  in_request_ = true;
  auto& cells = session.cells();
  cells.downstream_rq_total.add();
  (down_.is_http2() ? cells.downstream_rq_http2_total : cells.downstream_rq_http1_total).add();
  cells.downstream_rq_active.add();
  worker_.exchanges().push_back(worker_link_);
}

void Exchange::start(const base::BlockRef& block, bool has_body, uint64_t head_bytes) noexcept {
  if (block) base::plant(block->data(), block->filled());
  request_block_ = block;
  has_body_ = has_body;
  facts_.request_head_bytes = head_bytes;
  request_complete_ = !has_body;
  stamps_.mark(Stamp::kHeadParsed);
  if (!has_body) stamps_.set(Stamp::kRequestReceived, stamps_.get(Stamp::kHeadParsed));
  if (request_.version_minor == 0) facts_.protocol = http::Protocol::kHttp10;
  if (!prepare_head()) return;
  match_route();
  admit();
}

// The route is known, or that there is none.
void Exchange::admit() noexcept {
  // A CONNECT without its tunnel is no request: what follows belongs to nothing.
  const bool is_connect = connect_ || !request_.protocol.empty();
  if (is_connect && !(connect_ ? may_connect() : upgrade_asked_)) {
    session().cells().downstream_rq_ws_on_non_ws_route.add();
    return reply(Reason::kUpgradeRefused);
  }
  run_filters();
}

void Exchange::refuse(Reason reason) noexcept {
  close_after_ = true;
  if (!down_.is_http2()) session().cells().downstream_cx_protocol_error.add();
  if (response_began_) {
    abort(reason);
  } else {
    reply(reason);
  }
}

bool Exchange::prepare_head() noexcept {
  if (request_.method == http::Method::kTrace) return reply(Reason::kMethodNotAllowed), false;
  if (request_.method == http::Method::kConnect && !take_connect()) {
    return reply(Reason::kUpgradeRefused), false;
  }
  if (request_.upgrade && !request_.protocol.empty()) {
    upgrade_asked_ = true;
  } else if (request_.upgrade) {
    const bool allowed = config_->value.allows_upgrade(request_.fields.value(HeaderId::kUpgrade));
    request_.upgrade = upgrade_asked_ = allowed && !has_body_;
  }
  if (const http::Field* expect = request_.fields.find(HeaderId::kExpect)) {
    if (!http::equals_folded(expect->value(), "100-continue")) {
      return reply(Reason::kExpectationFailed), false;
    }
    if (!config_->value.proxy_100_continue) {
      request_.fields.remove(HeaderId::kExpect);
      if (has_body_ && request_.version_minor >= 1) {
        down_.send_continue(arena_);
      }
    }
  }
  if (request_.authority.empty()) {  // only HTTP/1.0 comes so far without a Host
    if (config_->value.default_host_for_http_10.empty()) return reply(Reason::kMissingHost), false;
    request_.authority = config_->value.default_host_for_http_10;
  }
  const RequestContext context{&config_->value, &session().peer(), session().peer_ip_text(), false,
                               &worker_.random()};
  // What a CONNECT names has its port (RFC 9110 9.3.6).
  if (!connect_) normalise_authority(&request_, config_->value, config_->listener_port);
  if (!prepare_request(&request_, context, &client_)) return reply(Reason::kHeadTooLarge), false;
  facts_.request_id = request_.fields.value(HeaderId::kXRequestId);
  if (client_.from_header) {  // without a path an Address holds nothing that must be freed
    void* const room = arena_.alloc(sizeof(base::Address), alignof(base::Address));
    if (room == nullptr) return reply(Reason::kHeadTooLarge), false;
    facts_.downstream_remote = new (room) base::Address(base::Address::ip(client_.ip, 0));
  }
  if (!config_->normalises_path) return true;
  const http::PathResult path = http::normalise_path(&request_, config_->path);
  switch (path.kind) {
    case http::PathResult::Kind::kSame:
    case http::PathResult::Kind::kChanged:
      return true;
    case http::PathResult::Kind::kReject:
      session().cells().downstream_rq_failed_path_normalization.add();
      return reply(path.reason), false;
    case http::PathResult::Kind::kRedirect:
      break;
  }
  session().cells().downstream_rq_redirected_with_normalized_path.add();
  http::FieldList extra(&arena_);
  extra.add(HeaderId::kLocation, request_.path);
  reply(Reason::kPathEscapedSlash, 307, {}, &extra);
  return false;
}

void Exchange::match_route() noexcept {
  pin_ = worker_.pin();
  stamps_.mark(Stamp::kPinned);
  random_ = worker_.random().next();
  find_route();
}

void Exchange::find_route() noexcept {
  chain_ = config_->chain_slot == HttpConfig::kNoSlot ? config_->chain.get()
                                                      : pin_->chains.at(config_->chain_slot).get();
  route_slot_ = config_->route_slot;
  if (route_slot_ == HttpConfig::kScoped) [[unlikely]] {
    route_slot_ = find_scope();
    if (route_slot_ == HttpConfig::kNoRoutes) return stamps_.mark(Stamp::kRouted);
  }
  const auto& routes = pin_->routes.at(route_slot_);
  if (routes == nullptr) {
    match_.reason = Reason::kNoRouteConfig;
  } else {
    match_ =
        routes->match(request_, {random_, worker_.index(), false, came_by_tls(), &pin_->runtime});
  }
  stamps_.mark(Stamp::kRouted);
  if (match_.virtual_host != nullptr) facts_.virtual_host_name = match_.virtual_host->name();
  if (match_.route == nullptr) return;
  const router::RoutePolicy& policy = match_.route->policy();
  facts_.route_name = match_.route->name();
  if (policy.idle_timeout_ns != router::RoutePolicy::kInherit) {
    idle_timeout_ns_ = policy.idle_timeout_ns;
    down_.deadline_changed();
  }
  // Before a wait for a cluster it was told to the backend.
  if (!lacks_cluster_) max_duration_ns_ = stream_duration_ns(&request_, policy);
  if (max_duration_ns_ != 0) down_.deadline_changed();
  if (!upgrade_asked_ || connect_) return;
  const auto upgrade = policy.upgrade(request_.fields.value(HeaderId::kUpgrade));
  if (upgrade != router::RoutePolicy::Upgrade::kRefused) return;
  request_.upgrade = upgrade_asked_ = false;
  request_.fields.remove(HeaderId::kUpgrade);
}

void Exchange::run_filters() noexcept {
  context_ = {&request_, nullptr, &facts_, &arena_, &local_reply_, {}, nullptr};
  context_.resume = {[](void* self) noexcept {
                       auto* exchange = static_cast<Exchange*>(self);
                       exchange->waiting_for_filter_ = false;
                       exchange->after_filters(
                           filters::visit_chain(exchange->chain_->index(), [&]<typename Chain>() {
                             return Chain::request(exchange->run_, exchange->context_);
                           }));
                     },
                     this};
  stamps_.set(Stamp::kChainIn, stamps_.get(Stamp::kRouted));
  const filters::FilterChain& chain = *chain_;
  const filters::ChainConfigs* configs = &chain.configs();
  filters::ChainConfigs of_route;
  if (match_.route != nullptr && match_.route->policy().filters != nullptr) [[unlikely]] {
    if (!chain.for_route(match_.route->filters(random_, &pin_->runtime), arena_, &of_route)) {
      return reply(Reason::kInternal);
    }
    configs = &of_route;
  }
  const auto verdict = filters::visit_chain(chain.index(), [&]<typename Chain>() {
    if (!Chain::begin(run_, *configs, arena_)) return filters::Verdict::kRespond;
    if constexpr (Chain::kHasHooks) run_.costs = worker_.sample_filters();
    return Chain::request(run_, context_);
  });
  stamps_.mark(Stamp::kChainOut);
  after_filters(verdict);
}

void Exchange::after_filters(filters::Verdict verdict) noexcept {
  switch (verdict) {
    case filters::Verdict::kNext:
      dispatch();
      return;
    case filters::Verdict::kWait:
      waiting_for_filter_ = true;
      if (const auto* config = filters::stopped_on_demand(run_)) {
        return look_on_demand(*config);
      }
      down_.deadline_changed();
      return;
    case filters::Verdict::kRespond:
      if (!run_.begun) return reply(Reason::kInternal);
      facts_.response_code_details = local_reply_.details;
      reply(local_reply_.reason, local_reply_.status, local_reply_.body, local_reply_.fields);
      return;
  }
}

void Exchange::dispatch() noexcept {
  if (match_.route == nullptr) {
    if (match_.reason == Reason::kHttpsRequired) {
      http::FieldList extra(&arena_);
      extra.add(HeaderId::kLocation, router::https_location(request_, arena_));
      reply(Reason::kHttpsRequired, 301, {}, &extra);
      return;
    }
    session().cells().no_route.add();
    reply(match_.reason);
    return;
  }
  switch (match_.route->action) {
    case router::Route::Action::kRedirect:
      redirect();
      return;
    case router::Route::Action::kDirect:
      direct_response();
      return;
    default:
      forward();
      return;
  }
}

void Exchange::redirect() noexcept {
  http::FieldList extra(&arena_);
  const std::string_view location =
      router::redirect_location(*match_.route, request_, came_by_tls(), arena_, worker_.index());
  if (location.data() == nullptr || !extra.add(HeaderId::kLocation, location)) {
    return reply(Reason::kInternal);
  }
  target_ = &match_.route->target(random_, &pin_->runtime);
  reply(Reason::kRedirect, match_.route->policy().redirect->status, {}, &extra);
}

void Exchange::direct_response() noexcept {
  const router::DirectRule& direct = *match_.route->policy().direct;
  target_ = &match_.route->target(random_, &pin_->runtime);
  reply(Reason::kDirectResponse, direct.status, direct.body);
}

const upstream::ClusterEntry* Exchange::find_cluster() noexcept {
  const router::Route& route = *match_.route;
  target_ = &route.target(random_, &pin_->runtime);
  router::ClusterId id = route.cluster_of(*target_);
  if (route.action == router::Route::Action::kClusterHeader) {
    const router::RoutePolicy& policy = route.policy();
    const http::Field* field = policy.cluster_header_id != HeaderId::kOther
                                   ? request_.fields.find(policy.cluster_header_id)
                                   : request_.fields.find(policy.cluster_header);
    if (field == nullptr) return nullptr;
    id = pin_->cluster_of({field->value_data, field->value_size});
    if (id == router::kNoCluster) return nullptr;
  }
  const upstream::ClusterEntry& entry = pin_->clusters.at(id);
  return entry.cluster == nullptr ? nullptr : &entry;
}

void Exchange::forward() noexcept {
  const upstream::ClusterEntry* entry = find_cluster();
  const router::RoutePolicy& policy = match_.route->policy();
  if (entry == nullptr) {
    session().cells().no_cluster.add();
    reply(Reason::kClusterNotFound, policy.cluster_not_found_status, {});
    return;
  }
  facts_.cluster_name = entry->cluster->name;
  if (entry->endpoints == nullptr) return reply(Reason::kClusterWarming);
  UpstreamCluster& cluster = worker_.cluster(*entry);
  cluster_ = &cluster;
  cluster.add_user();
  request_credit_ = base::Credit(cluster.accounts(policy.priority).requests);
  if (!request_credit_) {
    cluster_->cells().upstream_rq_pending_overflow.add();
    return reply(Reason::kOverflowRequests);
  }
  cluster.bind(*entry);
  host_ = cluster.pick(*entry);
  if (host_ == nullptr) {
    cluster_->cells().upstream_cx_none_healthy.add();
    return reply(Reason::kNoHealthyUpstream);
  }
  cluster.hold(*host_);
  stamps_.mark(Stamp::kPicked);
  pool_ = connect_ && policy.connect_terminates
              ? upstream::PoolKind::kTcp
              : pool_kind(host_->transport->value.http, facts_.protocol);
  timeout_ns_ = route_timeout_ns(&request_, policy);
  if (!finish_request_head()) return reply(Reason::kInternal);
  if (request_complete_ && timeout_ns_ != 0) {
    arm_route_timeout();
  } else {
    down_.deadline_changed();  // until now it was the head's
  }
  ask_for_connection();
}

// Envoy's order: the expected timeout, path and host as the route wants them, then its header
// edits.
bool Exchange::finish_request_head() noexcept {
  const router::Route& route = *match_.route;
  if (!chain_->router().suppress_envoy_headers) {
    add_expected_timeout(&request_, timeout_ns_);
  }
  const std::string_view before = request_.path;
  // CONNECT has none.
  const std::string_view path =
      connect_ ? before : router::rewrite_path(route, before, arena_, worker_.index());
  if (path.data() == nullptr && !connect_) return false;
  if (path.data() != before.data() || path.size() != before.size()) {
    request_.path = path;
    if (!chain_->router().suppress_envoy_headers &&
        !request_.fields.set(HeaderId::kXEnvoyOriginalPath, before)) {
      return false;
    }
  }
  const router::HostRewriteRule& rule = route.policy().host_rewrite;
  std::string_view host = router::rewrite_host(route, *target_, request_, arena_, worker_.index());
  if (rule.kind == router::HostRewrite::Kind::kUpstreamHost && !host_->hostname.empty()) {
    host = host_->hostname;
  }
  if (host.data() == nullptr) return false;
  if (host != request_.authority) {
    if (rule.append_x_forwarded_host &&
        !request_.fields.append_value(HeaderId::kXForwardedHost, ",", request_.authority)) {
      return false;
    }
    if (!chain_->router().suppress_envoy_headers &&
        !request_.fields.set(HeaderId::kXEnvoyOriginalHost, request_.authority)) {
      return false;
    }
    request_.authority = host;
  }
  facts_.upstream_remote = &host_->address;
  facts_.upstream_hostname = host_->hostname;
  if (!target_->request_edits.empty()) {
    apply(target_->request_edits, request_.fields);
  }
  return true;
}

// ---- The request's body.

void Exchange::on_request_data(base::View&& data) noexcept {
  active_at_ = worker_.loop().now();
  facts_.bytes_received += data.size;
  if (response_done_) return;  // answered early: the rest is read and dropped until we close
  if (!has_body_ && !tunnel_ && !upgrade_asked_) return;  // never behind a request that has none
  base::Chain chain;
  chain.append(std::move(data));
  if (awaits_tunnel()) {  // not a byte of a tunnel goes out before both sides agreed to it
    early_body_.append(std::move(chain));
    body_congested_ = true;
    return;
  }
  if (tunnel_ || head_sent_) {
    send_body(std::move(chain));
  } else {
    early_body_.append(std::move(chain));
  }
  update_body_flow();
}

void Exchange::send_body(base::Chain&& data) noexcept {
  if (!up_.attached()) return;
  facts_.upstream_wire_sent += data.bytes();
  up_.send_data(std::move(data), worker_.blocks());
}

// The source is read while there is room where the body goes.
void Exchange::update_body_flow() noexcept {
  constexpr size_t kMostEarlyBytes = 64 * 1024;
  body_congested_ =
      head_sent_ ? up_.attached() && up_.congested() : early_body_.bytes() >= kMostEarlyBytes;
}

void Exchange::on_request_end(const http::FieldList* trailers) noexcept {
  request_complete_ = true;
  request_trailers_ = facts_.request_trailers = trailers;
  active_at_ = worker_.loop().now();
  stamps_.mark(Stamp::kRequestReceived);
  if (tunnel_) {
    if (up_.attached()) up_.send_end(nullptr, arena_);
    return;
  }
  arm_route_timeout();
  if (head_sent_ && up_.attached()) send_request_end();
}

void Exchange::send_request_end() noexcept {
  if (end_sent_) return;
  end_sent_ = true;
  stamps_.mark(Stamp::kRequestSent);
  up_.send_end(request_trailers_, arena_);
}

void Exchange::on_upstream_drained() noexcept {
  if (!body_congested_) return;
  body_congested_ = false;
  down_.resume_body();
}

}  // namespace sluice::dataplane
