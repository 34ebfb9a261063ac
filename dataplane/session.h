#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/lease.h"
#include "base/reason.h"
#include "base/stamps.h"
#include "base/stat_groups.h"
#include "base/stats.h"
#include "dataplane/listener.h"
#include "net/loop.h"
#include "net/stream.h"

namespace sluice::dataplane {

class Worker;
struct WorkerListener;

// Session is one downstream connection, whatever it speaks: its stream, who is at the other end,
// and the listener that it came through. What is said on it is the business of the kinds below;
// the worker knows them as a closed set and calls them by a switch, not through a table.
//
// Worker-local; made at accept, destroyed by the loop after the turn in which it closed.
class Session : public net::Deferred, public net::Link {
 public:
  enum class Kind : uint8_t { kHttp1, kHttp2, kTcp };

  Kind kind() const noexcept { return kind_; }
  // Take no new work and end when what goes on has ended.
  void drain() noexcept;
  // The drain deadline, or the worker's end: closed whatever it does.
  void close(base::Reason reason) noexcept;

  net::Stream& stream() noexcept { return stream_; }
  Worker& worker() noexcept { return worker_; }
  WorkerListener& listener() noexcept { return listener_; }
  const base::Address& peer() const noexcept { return peer_; }
  const base::Address& local() const noexcept;
  std::string_view peer_ip_text() const noexcept { return {peer_ip_, peer_ip_size_}; }
  uint64_t id() const noexcept { return id_; }
  base::Ticks accepted_ticks() const noexcept { return accepted_ticks_; }
  base::MonoNs accepted_at() const noexcept { return accepted_at_; }
  uint64_t length_ns() const noexcept;  // since it was accepted
  // It was accepted earlier, by another session or worker: what counts from accept counts from
  // then.
  void set_accepted_at(base::MonoNs at) noexcept { accepted_at_ = at; }
  // It counts in its listener's Balance.
  bool counted() const noexcept { return counted_; }
  void set_counted(bool counted) noexcept { counted_ = counted; }

 protected:
  Session(Kind kind, void (*end)(net::Deferred*) noexcept, Worker& worker, WorkerListener& listener,
          const base::Address& peer, uint64_t id);
  ~Session();

  // Takes over the descriptor. False: it could not be attached and is closed.
  bool attach(int fd) noexcept;

  net::Stream stream_;
  Worker& worker_;
  WorkerListener& listener_;
  const Kind kind_;
  bool draining_ = false;
  bool counted_ = false;
  uint8_t peer_ip_size_ = 0;
  uint64_t id_;
  base::MonoNs accepted_at_ = 0;
  base::MonoNs drained_at_ = 0;
  base::Ticks accepted_ticks_ = 0;
  base::Address peer_;
  std::unique_ptr<base::Address> local_;  // only where the listener's address is a wildcard
  char peer_ip_[base::IpAddress::kMaxText];
};

// HttpSessionCells is what the sessions of one connection manager count into. Kept by the worker's
// listener and by each of its sessions, which outlive a change of the listener.
struct HttpSessionCells {
  explicit HttpSessionCells(const HttpConfig& config)
      : all(config.stats), here(config.listener_stats) {}
  base::WorkerCells<base::HttpCells> all;
  base::WorkerCells<base::ListenerHttpCells> here;  // on this listener
};

// HttpSession is a session with an HTTP connection manager: configuration that it leases from
// accept to end, so a change of the listener concerns new connections only, and its counters.
class HttpSession : public Session {
 public:
  const HttpConfig& config() const noexcept { return *config_; }
  base::HttpCells& cells() noexcept { return *cells_->all; }
  void count_response(uint16_t status) noexcept {
    base::count_downstream(*cells_->all, *cells_->here, status);
  }
  // It is draining() and says so to the client: why.
  void count_drain() noexcept;
  // This is the first request on the connection.
  bool first_exchange() const noexcept { return num_requests_ <= 1; }
  // No further request is wanted: the next response says so.
  bool draining() const noexcept;
  // Leaves the listener, and counts its end. Once, with the loop's defer_destroy().
  void leave() noexcept;

 protected:
  HttpSession(Kind kind, void (*end)(net::Deferred*) noexcept, Worker& worker,
              WorkerListener& listener, const base::Address& peer, uint64_t id);
  ~HttpSession() = default;

  // It is known what the connection speaks.
  void count_codec() noexcept;
  // Before the stream is closed, which forgets them.
  void count_bytes() noexcept;

  base::Lease<HttpConfig> config_;
  uint32_t num_requests_ = 0;
  bool codec_known_ = false;
  std::shared_ptr<HttpSessionCells> cells_;
  // How it ended, for leave(): the client closed or reset it; requests were under way.
  bool ended_by_peer_ = false;
  bool cut_ = false;
};

}  // namespace sluice::dataplane
