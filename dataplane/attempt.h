#pragma once

#include <cstddef>

#include "base/arena.h"
#include "base/buffer.h"
#include "http/facts.h"
#include "http/h1_writer.h"
#include "http/message.h"
#include "upstream/cluster_state.h"

namespace sluice::dataplane {

class Exchange;

using UpstreamCluster = upstream::ClusterState<Exchange>;
using UpstreamHost = upstream::Host<Exchange>;
using UpstreamConnection = upstream::H1Connection<Exchange>;
using UpstreamH2Connection = upstream::H2Connection<Exchange>;
using UpstreamCall = upstream::H2Call<Exchange>;

// Attempt is the endpoint's side of one exchange: the connection that the pool gave, whatever it
// speaks, and how the request is written there. The answer comes to the exchange from the
// connection itself (Exchange::on_upstream_*). A closed set of codecs behind one test of a pointer.
//
// Part of the exchange. Worker-local; queues views, copies nothing, allocates nothing but from the
// exchange's arena and the worker's blocks.
class Attempt {
 public:
  // The pool gave a connection.
  void attach(UpstreamConnection& connection, Exchange* exchange) noexcept;
  // False: no memory.
  bool attach(UpstreamH2Connection& connection, Exchange* exchange, base::Arena& arena) noexcept;
  bool attached() const noexcept { return h1_ != nullptr || h2_ != nullptr; }
  // The connection, or the stream, told its end.
  void forget() noexcept;
  http::Protocol protocol() const noexcept {
    return h2_ != nullptr ? http::Protocol::kHttp2 : http::Protocol::kHttp11;
  }
  // The connection served requests before this one.
  bool used_before() const noexcept {
    return h2_ != nullptr ? h2_->connection().used_before() : h1_->used_before();
  }

  uint64_t connection_id() const noexcept {
    return h2_ != nullptr ? h2_->connection().id() : h1_->id();
  }
  void set_connection_id(uint64_t id) noexcept {
    h2_ != nullptr ? h2_->connection().set_id(id) : h1_->set_id(id);
  }
  // Our end of the connection; a system call for the first one who asks.
  const base::Address& local() const {
    return h2_ != nullptr ? h2_->connection().local() : h1_->local();
  }
  // Of the answer's head, interim ones included.
  uint64_t response_head_bytes() const noexcept {
    return h2_ != nullptr ? h2_->stream().head_bytes_received() : h1_->response_head_bytes();
  }

  // ---- The request, in this order.
  // False: it cannot be written. `no_body`: nothing follows. The answer is decoded into `response`
  // where the codec does not ask for it later.
  bool send_head(http::RequestHead* head, bool no_body, http::ResponseHead* response,
                 const base::BlockRef& block, base::Arena& arena) noexcept;
  // Of the head, on the wire; HTTP/2 knows it when it has left.
  uint64_t head_bytes() const noexcept {
    return h2_ != nullptr ? h2_->stream().head_bytes_sent() : head_bytes_;
  }
  void send_data(base::Chain&& data, base::BlockPool& blocks) noexcept;
  void send_end(const http::FieldList* trailers, base::Arena& arena) noexcept;
  // No more of the body is wanted now; Exchange::on_upstream_drained() says when.
  bool congested() const noexcept {
    return h2_ != nullptr ? h2_->stream().congested() : h1_->stream().congested();
  }

  // ---- The response.
  void pause() noexcept { h2_ != nullptr ? h2_->pause() : h1_->pause(); }
  void resume() noexcept { h2_ != nullptr ? h2_->resume() : h1_->resume(); }

  // Bytes go both ways as they are from now on; send_end() then ends our half.
  void become_tunnel(base::Arena* arena) noexcept;

  // The exchange is done with it: back to the pool if the response is over and the request was sent
  // whole, else ended so that the endpoint cannot take what it got for a whole request. True: it
  // was cut short.
  bool end(bool request_sent) noexcept;

 private:
  UpstreamConnection* h1_ = nullptr;
  UpstreamCall* h2_ = nullptr;  // at most one of the two
  uint64_t head_bytes_ = 0;
  bool chunked_ = false;
  bool tunnel_ = false;
  bool ended_ = false;  // HTTP/2: nothing more is to be sent
  http::ChunkWriter chunks_;
};

}  // namespace sluice::dataplane
