#pragma once

#include <cstdint>

#include "base/arena.h"
#include "base/credit.h"
#include "base/hazard.h"
#include "base/lease.h"
#include "base/stamps.h"
#include "dataplane/attempt.h"
#include "dataplane/downstream.h"
#include "dataplane/forwarding.h"
#include "dataplane/on_demand.h"
#include "dataplane/tables.h"
#include "filters/catalogue.h"
#include "http/facts.h"
#include "http/message.h"

namespace sluice::dataplane {

class H1Session;
class H2Request;
class Worker;

// Exchange is one request and its response: the file to read first. Its steps, in order:
//
//   start()            the head is there: pin the tables, make the head fit to be sent on, match
//   run_filters()      request hooks of the listener's chain
//   dispatch()         what the route says: answer, redirect, or pick a host and ask for a
//   connection on_pool_ready()    write the request head, then the body as it comes
//   on_upstream_head() make the response fit, response hooks in reverse, write it downstream
//   on_upstream_data() on_upstream_end()
//   on_flushed()       the last byte left: log, count, unpin
//
// and reply() at any step before a response began: the one way in which the proxy answers by
// itself.
//
// Worker-local, recycled by its worker; all its memory is one arena, given back as a whole when the
// last byte has left. No step locks, allocates (in steady state), or copies head or body. The
// downstream codec feeds it and is written to through down_, the upstream codec answers it and is
// written to through up_; neither knows the other, and the exchange knows neither. It keeps its
// version of the tables pinned, for a second at most after a newer one came: then hand_over()
// trades the pin for a lease on the one part that it still needs.
class Exchange : public upstream::PoolWaiter {
 public:
  explicit Exchange(Worker& worker) noexcept;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  // ---- From the downstream codec.

  // A new request begins on `session`; its first byte came now. request() is then parsed into.
  void begin(H1Session& session) noexcept;
  void begin(H2Request& request) noexcept;
  http::RequestHead& request() noexcept { return request_; }
  base::Arena& arena() noexcept { return arena_; }
  // The head is complete; it lies in `block` and took `head_bytes`. `has_body`: data and end
  // follow.
  void start(const base::BlockRef& block, bool has_body, uint64_t head_bytes) noexcept;
  // The head was refused by the codec.
  void refuse(base::Reason reason) noexcept;
  void on_request_data(base::View&& data) noexcept;
  void on_request_end(const http::FieldList* trailers) noexcept;
  void on_downstream_gone(base::Reason reason) noexcept;
  void on_downstream_drained() noexcept;
  void on_flushed() noexcept;
  // When on_deadline() wants to be called at the latest.
  base::MonoNs deadline() const noexcept;
  void on_deadline(base::MonoNs now) noexcept;
  // More of the request is wanted now.
  bool wants_body() const noexcept { return !body_congested_; }
  bool response_began() const noexcept { return response_began_; }
  bool response_done() const noexcept { return response_done_; }
  bool request_complete() const noexcept { return request_complete_; }
  // Bytes from the client are a tunnel's since the upstream agreed to one.
  bool is_tunnel() const noexcept { return tunnel_; }
  bool awaits_tunnel() const noexcept { return upgrade_asked_ && !tunnel_; }

  // ---- From pools and upstream codec (see cluster_state.h and h1_connection.h).

  void on_pool_ready(UpstreamConnection& connection) noexcept;
  void on_pool_ready(UpstreamH2Connection& connection) noexcept;
  void on_pool_failed(base::Reason reason, base::Fault fault, int error) noexcept;
  void set_pending_credit(base::Credit credit) noexcept { pending_credit_ = std::move(credit); }
  http::ResponseHead* response_head() noexcept;
  http::Method request_method() const noexcept { return request_.method; }
  const http::H1Options& response_options() const noexcept;
  // What the response's head points to lives until the exchange is logged.
  http::H2Held* response_held() noexcept { return &response_held_; }
  // How much of the request's body may wait on a shared connection.
  uint32_t upstream_mark_bytes() const noexcept;
  void on_upstream_informational(const base::BlockRef& block) noexcept;
  void on_upstream_head(const base::BlockRef& block) noexcept;
  void on_upstream_data(base::View&& data) noexcept;
  void on_upstream_end(http::FieldList* trailers) noexcept;
  void on_upstream_drained() noexcept;
  void on_upstream_broken(base::Reason reason, base::Fault fault, int error) noexcept;

  // ---- From the worker.

  // What it waited for (on_demand.h) is published, or will not be.
  void on_demand_answered(OnDemand::Answer answer) noexcept;
  // The pinned version was superseded a second ago.
  void hand_over() noexcept;
  base::MonoNs pin_superseded_at() const noexcept { return pin_ ? pin_.superseded_at() : 0; }
  net::Link& worker_link() noexcept { return worker_link_; }
  static Exchange& of_worker_link(net::Link& link) noexcept;
  const http::Facts& facts() const noexcept { return facts_; }

 private:
  // Request side.
  bool prepare_head() noexcept;
  bool take_connect() noexcept;
  bool upgrade_from_connect() noexcept;
  bool may_connect() const noexcept;
  void match_route() noexcept;
  void find_route() noexcept;
  uint32_t find_scope() noexcept;
  const Scopes::Target* scope_target() const noexcept;
  void look_on_demand(const filters::FilterOnDemand& config) noexcept;
  bool find_lack(const filters::FilterOnDemand& config, OnDemand::Demand* demand) noexcept;
  bool find_missing_routes(OnDemand::Demand* demand) noexcept;
  void admit() noexcept;
  void run_filters() noexcept;
  void after_filters(filters::Verdict verdict) noexcept;
  void dispatch() noexcept;
  void forward() noexcept;
  void redirect() noexcept;
  void direct_response() noexcept;
  const upstream::ClusterEntry* find_cluster() noexcept;
  bool finish_request_head() noexcept;
  void ask_for_connection() noexcept;
  void begin(http::Protocol protocol) noexcept;
  HttpSession& session() noexcept { return down_.session(); }
  void on_attached() noexcept;
  void on_detached() noexcept;
  void note_connection() noexcept;
  void charge(uint16_t status) noexcept;
  void send_body(base::Chain&& data) noexcept;
  void send_request_end() noexcept;
  void update_body_flow() noexcept;
  void arm_route_timeout() noexcept;
  // As the client sees it: told by a trusted x-forwarded-proto where TLS ended before us.
  bool came_by_tls() const noexcept { return request_.scheme == "https"; }
  bool may_try_again(base::Reason reason, const base::Fault& fault,
                     bool used_before) const noexcept;

  // Response side.
  void reply(base::Reason reason) noexcept;
  void reply(base::Reason reason, uint16_t status, std::string_view body,
             const http::FieldList* extra = nullptr) noexcept;
  bool run_response_filters() noexcept;
  void apply(const http::HeaderEditList& edits, http::FieldList& fields) noexcept;
  bool accept_upgrade() noexcept;
  bool accept_connect() noexcept;
  void begin_tunnel() noexcept;
  void answer_connect() noexcept;
  bool fill_reply(base::Reason reason, uint16_t status, std::string_view body,
                  const http::FieldList* extra) noexcept;
  bool fill_grpc_reply(base::Reason reason, uint16_t status, std::string_view body,
                       const http::FieldList* extra) noexcept;
  bool write_head(http::ResponseWrite how, const base::BlockRef& block) noexcept;
  std::string_view describe_errno(int error) noexcept;
  void response_finished() noexcept;
  void drop_upstream() noexcept;
  void abort(base::Reason reason) noexcept;
  void truncate(base::Reason reason) noexcept;
  void break_off(base::Reason reason) noexcept;
  void complete() noexcept;
  void log() noexcept;
  void account() noexcept;

  // Read or written for every request, roughly in this order.
  Worker& worker_;
  Downstream down_;
  const HttpConfig* config_ = nullptr;  // the session's lease keeps it
  base::Arena arena_;
  base::BlockRef request_block_;
  http::RequestHead request_;
  base::Pin<Tables> pin_;
  uint32_t route_slot_ = 0;                      // in Tables::routes
  const filters::FilterChain* chain_ = nullptr;  // the tables', or config_'s
  router::Match match_;
  const router::Target* target_ = nullptr;
  uint64_t random_ = 0;
  UpstreamCluster* cluster_ = nullptr;
  UpstreamHost* host_ = nullptr;
  Attempt up_;
  http::ResponseHead response_;
  http::H2Held response_held_;  // behind arena_, where its list is
  base::BlockRef response_block_;
  base::Stamps stamps_;
  http::Facts facts_;
  ClientAddress client_;
  filters::FilterContext context_;
  filters::LocalReply local_reply_;
  filters::ChainRun run_;

  base::MonoNs started_at_ = 0;
  base::MonoNs active_at_ = 0;       // something moved
  base::MonoNs route_deadline_ = 0;  // 0: none
  int64_t timeout_ns_ = 0;
  int64_t idle_timeout_ns_ = 0;
  int64_t max_duration_ns_ = 0;
  bool has_body_ = false;
  bool request_complete_ = false;
  bool head_sent_ = false;
  bool end_sent_ = false;
  bool response_began_ = false;
  bool response_done_ = false;
  bool body_congested_ = false;
  bool close_after_ = false;
  bool upgrade_asked_ = false;  // a tunnel: an upgrade, or CONNECT
  bool connect_ = false;        // of them a CONNECT without a protocol (RFC 9110 9.3.6)
  bool tunnel_ = false;
  bool in_request_ = false;  // counted as active
  bool waiting_for_filter_ = false;
  bool waiting_for_pool_ = false;
  uint8_t asked_for_ = 0;  // bits of OnDemand::Lack: what this request has waited for
  bool lacks_cluster_ = false;
  upstream::PoolKind pool_ = upstream::PoolKind::kHttp1;
  bool discard_response_body_ = false;
  base::Chain early_body_;  // came before there was a connection
  const http::FieldList* request_trailers_ = nullptr;
  base::Credit request_credit_;
  base::Credit pending_credit_;
  base::Lease<router::VirtualHost> kept_routes_;
  base::Lease<filters::FilterChain> kept_chain_;
  base::Address kept_address_;  // of a host that was removed meanwhile
  net::Link worker_link_;
};

}  // namespace sluice::dataplane
