#include <algorithm>
#include <cstring>

#include "dataplane/exchange.h"
#include "dataplane/worker.h"
#include "http/grpc.h"

// The way back: the endpoint's answer or our own, its last byte, and what is written down of it.
namespace sluice::dataplane {

using base::Reason;
using base::Stamp;
using http::HeaderId;

namespace {

bool is_empty(const http::Framing& framing) noexcept {
  return framing.kind == http::Framing::Kind::kNone ||
         (framing.kind == http::Framing::Kind::kLength && framing.length == 0);
}

bool has_no_body(uint16_t status) noexcept { return status == 204 || status == 304; }

}  // namespace

http::ResponseHead* Exchange::response_head() noexcept {
  response_ = http::ResponseHead();
  response_.fields.bind(&arena_);
  return &response_;
}

const http::H1Options& Exchange::response_options() const noexcept {
  return host_->transport->response_options;
}

// 103 and the like go on; 100 only where the client's Expect did (RFC 9110 15.2).
uint32_t Exchange::upstream_mark_bytes() const noexcept {
  constexpr uint32_t kMost = 64 * 1024;
  return std::min(host_->transport->value.buffer_limit_bytes, kMost);
}

void Exchange::on_upstream_informational(const base::BlockRef& block) noexcept {
  active_at_ = worker_.loop().now();
  if (request_.version_minor == 0) return;
  if (response_.status == 100 && !config_->value.proxy_100_continue) return;
  http::strip_hop_by_hop(&response_);
  down_.send_interim(&response_, block, arena_);
}

void Exchange::on_upstream_head(const base::BlockRef& block) noexcept {
  active_at_ = worker_.loop().now();
  stamps_.mark(Stamp::kResponseHead);
  stamps_.set(Stamp::kResponseFirst, stamps_.get(Stamp::kResponseHead));
  response_block_ = block;
  base::ClusterCells& cells = cluster_->cells();
  if (!accept_upgrade()) {
    cells.upstream_cx_protocol_error.add();
    return reply(Reason::kUpstreamProtocolError);
  }
  facts_.response = &response_;
  facts_.response_code = response_.status;
  facts_.upstream_head_received = up_.response_head_bytes();
  charge(response_.status);
  if (facts_.attempts > 1) [[unlikely]]
    cells.upstream_rq_retry_success.add();
  const int64_t waited_ns = worker_.loop().now() - started_at_;
  cells.upstream_rq_time.add(static_cast<uint64_t>(waited_ns));
  if (!chain_->router().suppress_envoy_headers && pool_ != upstream::PoolKind::kTcp &&
      !add_service_time(&response_, waited_ns / base::kNsPerMs)) {
    return abort(Reason::kInternal);
  }
  if (!run_response_filters()) return;
  const ResponseContext context{&config_->value, worker_.date(), facts_.request_id};
  http::ResponseWrite how;
  how.framing = http::framing_for(response_, request_.method, request_.version_minor);
  // A 2xx to CONNECT has neither length nor coding (RFC 9110 9.3.6).
  if (tunnel_ && connect_) how.framing.kind = http::Framing::Kind::kUntilClose;
  if (!prepare_response(&response_, context) || !write_head(how, block)) {
    return abort(Reason::kInternal);
  }
  if (tunnel_) begin_tunnel();
}

void Exchange::apply(const http::HeaderEditList& edits, http::FieldList& fields) noexcept {
  const uint32_t refused = http::apply_edits(edits, fields, facts_, arena_);
  if (refused != 0) [[unlikely]]
    worker_.cells().header_edits_refused.add(refused);
}

// False: the exchange was answered otherwise, or ended.
bool Exchange::run_response_filters() noexcept {
  stamps_.mark(Stamp::kResponseIn);
  context_.response = &response_;
  if (target_ != nullptr && !target_->response_edits.empty()) {
    apply(target_->response_edits, response_.fields);
  }
  if (run_.begun) {
    const auto verdict = filters::visit_chain(
        chain_->index(), [&]<typename Chain>() { return Chain::response(run_, context_); });
    if (verdict != filters::Verdict::kNext) {
      // No filter of the catalogue answers or waits here yet.
      abort(Reason::kInternal);
      return false;
    }
  }
  stamps_.mark(Stamp::kResponseOut);
  return true;
}

bool Exchange::write_head(http::ResponseWrite how, const base::BlockRef& block) noexcept {
  const bool until_close = how.framing.kind == http::Framing::Kind::kUntilClose;
  how.downstream_minor = request_.version_minor;
  how.to_head = request_.method == http::Method::kHead;
  if (!down_.is_http2()) {
    if (session().draining()) {
      close_after_ = true;
      session().count_drain();
    }
    close_after_ = close_after_ || !request_.keep_alive || (until_close && !how.to_head);
    how.close = close_after_ && !tunnel_;
  }
  discard_response_body_ = !tunnel_ && (how.to_head || has_no_body(response_.status));
  const bool no_body = !tunnel_ && (discard_response_body_ || is_empty(response_.framing));
  if (!down_.send_head(&response_, how, no_body, block, arena_)) return false;
  response_began_ = true;
  stamps_.mark(Stamp::kResponseBegun);
  session().count_response(response_.status);
  if (!request_complete_ && !tunnel_) {
    session().cells().downstream_rq_response_before_rq_complete.add();
  }
  return true;
}

void Exchange::on_upstream_data(base::View&& data) noexcept {
  active_at_ = worker_.loop().now();
  facts_.upstream_wire_received += data.size;
  if (discard_response_body_) return;
  facts_.bytes_sent += data.size;
  down_.send_data(std::move(data));
  if (!up_.attached() || !down_.congested()) return;
  up_.pause();
  session().cells().downstream_flow_control_paused_reading_total.add();
}

void Exchange::on_downstream_drained() noexcept {
  active_at_ = worker_.loop().now();
  if (up_.attached()) up_.resume();
}

void Exchange::on_upstream_end(http::FieldList* trailers) noexcept {
  facts_.response_trailers = trailers;
  stamps_.mark(Stamp::kResponseEnd);
  if (!discard_response_body_) down_.send_end(trailers, arena_);
  response_finished();
}

// All of the response is queued: the endpoint's part is over.
void Exchange::response_finished() noexcept {
  response_done_ = true;
  if (!request_complete_ || tunnel_) close_after_ = true;
  drop_upstream();
  route_deadline_ = 0;
  down_.finish(arena_);
}

void Exchange::charge(uint16_t status) noexcept {
  base::count_upstream(cluster_->cells(), status);
  if (host_ != nullptr) host_->counts.answered(status);
}

// ---- Answers of our own.

void Exchange::reply(Reason reason) noexcept {
  const base::ReasonText& text = base::text_of(reason);
  reply(reason, text.status, text.body);
}

void Exchange::reply(Reason reason, uint16_t status, std::string_view body,
                     const http::FieldList* extra) noexcept {
  if (response_began_ || !down_.is_open()) return abort(reason);
  // As Envoy does, the cluster is charged for what we say in its place.
  if (cluster_ != nullptr && reason >= Reason::kNoHealthyUpstream &&
      reason <= Reason::kOverflowRetries) {
    charge(status);
  }
  drop_upstream();
  facts_.reason = reason;
  if (!request_complete_) close_after_ = true;
  upgrade_asked_ = false;
  const bool grpc = request_.is_grpc;
  const bool ok =
      grpc ? fill_grpc_reply(reason, status, body, extra) : fill_reply(reason, status, body, extra);
  if (grpc) body = {};
  http::ResponseHead& head = response_;
  facts_.response = &head;
  facts_.response_code = head.status;
  // HTTP/2 says by END_STREAM that nothing follows.
  const bool none = body.empty() && down_.is_http2();
  head.framing = {none ? http::Framing::Kind::kNone : http::Framing::Kind::kLength, body.size()};
  if (!run_response_filters()) return;
  const ResponseContext context{&config_->value, worker_.date(), facts_.request_id};
  http::ResponseWrite how;
  how.framing = head.framing;
  if (!ok || !prepare_response(&head, context) || !write_head(how, {})) {
    return abort(Reason::kInternal);
  }
  if (!discard_response_body_ && !body.empty()) {
    down_.send_data(base::View(body));
    facts_.bytes_sent += body.size();
    facts_.local_reply_body = body;
  }
  base::HttpCells& cells = session().cells();
  if (reason == Reason::kDirectResponse) cells.rq_direct_response.add();
  if (reason == Reason::kRedirect) cells.rq_redirect.add();
  stamps_.mark(Stamp::kResponseEnd);
  down_.deadline_changed();
  response_finished();
}

bool Exchange::fill_reply(Reason reason, uint16_t status, std::string_view body,
                          const http::FieldList* extra) noexcept {
  http::ResponseHead& head = *response_head();
  head.status = status;
  char length[20];
  bool ok =
      body.empty() || (head.fields.add(HeaderId::kContentLength, decimal(body.size(), length)) &&
                       head.fields.add(HeaderId::kContentType, "text/plain"));
  if (base::text_of(reason).flag == base::ResponseFlag::kUO) {
    ok = ok && head.fields.add(HeaderId::kXEnvoyOverloaded, "true");
  }
  if (extra != nullptr) {
    for (const http::Field& f : *extra) ok = ok && head.fields.add(f.name(), f.value());
  }
  return ok;
}

// To a gRPC client a failure is a status in trailers alone, with HTTP 200 (gRPC over HTTP/2,
// "Trailers-Only"; Envoy's mapping of status codes).
bool Exchange::fill_grpc_reply(Reason reason, uint16_t status, std::string_view body,
                               const http::FieldList* extra) noexcept {
  http::ResponseHead& head = *response_head();
  head.status = 200;
  bool ok = head.fields.add(HeaderId::kContentType, "application/grpc") &&
            head.fields.add(HeaderId::kGrpcStatus, reason == Reason::kMaxStreamDuration
                                                       ? http::kGrpcDeadlineExceeded
                                                       : http::grpc_status_of(status));
  if (!body.empty()) {
    ok = ok && head.fields.add(HeaderId::kGrpcMessage, http::grpc_message(body, arena_));
  }
  if (base::text_of(reason).flag == base::ResponseFlag::kUO) {
    ok = ok && head.fields.add(HeaderId::kXEnvoyOverloaded, "true");
  }
  if (extra != nullptr) {
    for (const http::Field& f : *extra) ok = ok && head.fields.add(f.name(), f.value());
  }
  return ok;
}

// ---- The end.

void Exchange::on_flushed() noexcept {
  if (!response_done_) return;
  stamps_.mark(Stamp::kFlushed);
  complete();
}

void Exchange::on_downstream_gone(Reason reason) noexcept {
  drop_upstream();
  if (!response_done_) {
    if (facts_.reason == Reason::kNone) facts_.reason = reason;
    session().cells().downstream_rq_rx_reset.add();
  }
  close_after_ = true;
  complete();
}

// The response cannot be completed; the client must notice (RFC 9112 8).
void Exchange::abort(Reason reason) noexcept {
  break_off(reason);
  down_.cut();
  complete();
}

// The endpoint's connection ended inside of its answer: what came of it is the client's.
void Exchange::truncate(Reason reason) noexcept {
  break_off(reason);
  response_done_ = true;
  route_deadline_ = 0;
  if (!down_.cut_behind_body()) complete();
}

void Exchange::break_off(Reason reason) noexcept {
  drop_upstream();
  facts_.reason = reason;
  if (reason == Reason::kInternal) worker_.cells().internal_errors.add();
  base::HttpCells& cells = session().cells();
  cells.downstream_rq_tx_reset.add();
  if (response_began_) cells.rq_reset_after_downstream_response_started.add();
  close_after_ = true;
}

void Exchange::account() noexcept {
  worker_.record_costs(stamps_);
  base::HttpCells& cells = session().cells();
  cells.downstream_rq_active.sub();
  if (tunnel_) cells.downstream_cx_upgrades_active.sub();
  const int64_t took = stamps_.has(Stamp::kFlushed)
                           ? stamps_.between_ns(Stamp::kReceived, Stamp::kFlushed)
                           : worker_.loop().now() - started_at_;
  cells.downstream_rq_time.add(static_cast<uint64_t>(std::max<int64_t>(0, took)));
}

void Exchange::log() noexcept {
  if (config_->access_logs.empty() || worker_.access_log() == nullptr) return;
  facts_.filter_chain_name = config_->value.filter_chain_name;
  facts_.response_head_bytes = down_.head_bytes();
  facts_.downstream_wire_sent = facts_.response_head_bytes + facts_.bytes_sent;
  facts_.downstream_wire_received = facts_.request_head_bytes + facts_.bytes_received;
  facts_.upstream_wire_received += facts_.upstream_head_received;
  // Another number than routing had: what is logged says nothing of what was picked.
  const LogChance chance{&worker_.tables()->runtime, random_ * 0x9e3779b97f4a7c15 >> 32,
                         worker_.index()};
  for (const auto& logger : config_->access_logs) {
    worker_.access_log()->log(*logger, facts_, chance);
  }
  if (worker_.access_log()->pending()) worker_.note_log_line();
}

void Exchange::complete() noexcept {
  if (run_.begun) {
    filters::visit_chain(chain_->index(), [&]<typename Chain>() { Chain::done(run_, context_); });
  }
  account();
  log();
  if (cluster_ != nullptr) cluster_->drop_user();
  // Behind a CONNECT that was refused may be what was meant for its tunnel.
  down_.exchange_done(close_after_, !request_complete_ || (connect_ && !tunnel_));
  worker_.give_exchange(this);  // ends *this
}

void Exchange::hand_over() noexcept {
  if (!pin_ || waiting_for_filter_) return;
  facts_.cluster_name = arena_.dup(facts_.cluster_name);
  if (match_.virtual_host != nullptr) {
    const auto& routes = pin_->routes.at(route_slot_);
    kept_routes_ = worker_.leases().take(routes->share(match_));
  }
  if (config_->chain_slot != HttpConfig::kNoSlot) {
    kept_chain_ = worker_.leases().take(pin_->chains.at(config_->chain_slot));
  }
  pin_.reset();
  worker_.cells().exchanges_handed_over.add();
}

std::string_view Exchange::describe_errno(int error) noexcept {
  if (error == 0) return {};
  char text[128];
  const char* words = strerror_r(error, text, sizeof(text));
  return arena_.dup(words);
}

}  // namespace sluice::dataplane
