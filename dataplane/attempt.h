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
  bool attached() const noexcept { return h1_ != nullptr; }
  // The connection told its end, and is not to be touched again.
  void forget() noexcept { h1_ = nullptr; }
  http::Protocol protocol() const noexcept { return http::Protocol::kHttp11; }
  // The connection served requests before this one.
  bool used_before() const noexcept { return h1_->used_before(); }

  // ---- The request, in this order.
  // Bytes of the head on the wire; 0: it cannot be written. `no_body`: nothing follows.
  size_t send_head(http::RequestHead* head, bool no_body, const base::BlockRef& block,
                   base::Arena& arena) noexcept;
  void send_data(base::Chain&& data, base::BlockPool& blocks) noexcept;
  void send_end(const http::FieldList* trailers, base::Arena& arena) noexcept;
  // No more of the body is wanted now; Exchange::on_upstream_drained() says when.
  bool congested() const noexcept { return h1_->stream().congested(); }

  // ---- The response.
  void pause() noexcept { h1_->pause(); }
  void resume() noexcept { h1_->resume(); }
  bool response_done() const noexcept { return h1_->response_done(); }

  // Bytes go both ways as they are from now on; send_end() then ends our half.
  void become_tunnel(base::Arena* arena) noexcept;

  // The exchange is done with it: back to the pool if the response is over and the request was sent
  // whole, else ended so that the endpoint cannot take what it got for a whole request. True: it
  // was cut short.
  bool end(bool request_sent) noexcept;

 private:
  UpstreamConnection* h1_ = nullptr;
  bool chunked_ = false;
  bool tunnel_ = false;
  http::ChunkWriter chunks_;
};

}  // namespace sluice::dataplane
