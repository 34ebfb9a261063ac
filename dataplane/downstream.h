#pragma once

#include <cstddef>

#include "base/arena.h"
#include "base/buffer.h"
#include "dataplane/session.h"
#include "http/h1_writer.h"
#include "http/message.h"

namespace sluice::dataplane {

class Exchange;
class H1Session;
class H2Request;

// Downstream is the client's side of one exchange, whatever the client speaks: how a response is
// written, how the request's body is asked for, when to hurry, how to end. A closed set of codecs
// behind one test of a pointer; the exchange knows none of them.
//
// Part of the exchange. Worker-local; queues views, copies nothing, allocates nothing but from the
// exchange's arena and the worker's blocks. What is written goes out in the turn's gathered write.
class Downstream {
 public:
  void attach(H1Session& session) noexcept;
  void attach(H2Request& request) noexcept;
  bool attached() const noexcept { return session_ != nullptr; }
  HttpSession& session() const noexcept { return *session_; }
  bool is_http2() const noexcept { return h2_ != nullptr; }
  // A response can still reach the client.
  bool is_open() const noexcept;

  // ---- The response, in this order.
  void send_continue(base::Arena& arena) noexcept;
  void send_interim(http::ResponseHead* head, const base::BlockRef& block,
                    base::Arena& arena) noexcept;
  // False: it cannot be written. `how.framing` is as framing_for() says; `no_body`: nothing
  // follows, send_end() may still be called.
  bool send_head(http::ResponseHead* head, const http::ResponseWrite& how, bool no_body,
                 const base::BlockRef& block, base::Arena& arena) noexcept;
  // Of the head, on the wire; HTTP/2 knows it when it has left.
  uint64_t head_bytes() const noexcept;
  void send_data(base::View&& data) noexcept;
  void send_end(const http::FieldList* trailers, base::Arena& arena) noexcept;
  // The response is queued to its end: Exchange::on_flushed() when it has left.
  void finish(base::Arena& arena) noexcept;
  // No more of the response is wanted now; Exchange::on_downstream_drained() says when.
  bool congested() const noexcept;

  // ---- The request.
  // There is room again for its body.
  void resume_body() noexcept;
  // HTTP/2: the client sent END_STREAM, which may be before its tunnel began.
  bool request_ended() const noexcept;
  // Bytes go both ways as they are from now on.
  void become_tunnel() noexcept;

  void deadline_changed() noexcept;
  // The response cannot be completed: the client must notice.
  void cut() noexcept;
  // The same behind what waits of its body: Exchange::on_downstream_gone() when that has left.
  // False: cut at once.
  bool cut_behind_body() noexcept;
  // The exchange is over and about to be recycled; see H1Session::exchange_done().
  void exchange_done(bool close, bool unread_request) noexcept;

 private:
  HttpSession* session_ = nullptr;
  H1Session* h1_ = nullptr;
  H2Request* h2_ = nullptr;  // one of the two
  uint64_t head_bytes_ = 0;
  bool chunked_ = false;
  bool ended_ = false;  // HTTP/2: nothing more is to be sent
  http::ChunkWriter chunks_;
};

// Big pieces are written while they are in the cache (16 KiB bodies cost 4 % less so); small ones
// wait for the one gathered write at the end of the turn.
inline void write_or_queue(net::Stream& stream) noexcept {
  constexpr size_t kBigBytes = 8 * 1024;
  stream.mark_dirty();
  if (stream.buffered() >= kBigBytes) stream.flush();
}

}  // namespace sluice::dataplane
