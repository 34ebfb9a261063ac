#include "dataplane/attempt.h"

#include "dataplane/downstream.h"
#include "dataplane/exchange.h"

namespace sluice::dataplane {

void Attempt::attach(UpstreamConnection& connection, Exchange* exchange) noexcept {
  h1_ = &connection;
  connection.begin(exchange);
}

bool Attempt::attach(UpstreamH2Connection& connection, Exchange* exchange,
                     base::Arena& arena) noexcept {
  void* const room = arena.alloc(sizeof(UpstreamCall), alignof(UpstreamCall));
  if (room == nullptr) return false;
  h2_ = new (room) UpstreamCall(connection, exchange);
  const uint32_t high = exchange->upstream_mark_bytes();
  h2_->stream().set_marks(high / 4, high);
  connection.add(*h2_);
  return true;
}

void Attempt::forget() noexcept {
  h1_ = nullptr;
  if (h2_ == nullptr) return;
  UpstreamCall& call = *std::exchange(h2_, nullptr);
  call.connection().end(call, false);
}

bool Attempt::send_head(http::RequestHead* head, bool no_body, http::ResponseHead* response,
                        const base::BlockRef& block, base::Arena& arena) noexcept {
  if (h2_ != nullptr) {
    UpstreamH2Connection& connection = h2_->connection();
    if (!connection.codec().send_request(&h2_->stream(), head, no_body, response, &arena)) {
      return false;
    }
    ended_ = no_body;
    connection.mark_dirty();
    return true;
  }
  net::Stream& stream = h1_->stream();
  const size_t before = stream.buffered();
  if (!http::write_request_head(head, block, arena, &stream.out())) return false;
  chunked_ = !no_body && head->framing.kind == http::Framing::Kind::kChunked;
  stream.mark_dirty();
  head_bytes_ = stream.buffered() - before;
  return true;
}

void Attempt::send_data(base::Chain&& data, base::BlockPool& blocks) noexcept {
  if (h2_ != nullptr) {
    h2_->connection().codec().send_data(h2_->stream(), std::move(data));
    return h2_->connection().mark_dirty();
  }
  net::Stream& stream = h1_->stream();
  if (chunked_) {
    chunks_.append_chunk(std::move(data), blocks, &stream.out());
  } else {
    stream.out().append(std::move(data));
  }
  write_or_queue(stream);
}

void Attempt::send_end(const http::FieldList* trailers, base::Arena& arena) noexcept {
  if (h2_ != nullptr) {
    if (std::exchange(ended_, true)) return;
    h2_->connection().codec().send_end(h2_->stream(), trailers);
    return h2_->connection().mark_dirty();
  }
  net::Stream& stream = h1_->stream();
  if (tunnel_) return stream.shutdown_write();
  if (!chunked_) return;
  if (!chunks_.append_last(trailers, arena, &stream.out())) {
    chunks_.append_last(nullptr, arena, &stream.out());
  }
  stream.mark_dirty();
}

void Attempt::become_tunnel(base::Arena* arena) noexcept {
  tunnel_ = true;
  if (h1_ != nullptr) h1_->become_tunnel(arena);
}

bool Attempt::end(bool request_sent) noexcept {
  if (h2_ != nullptr) {
    UpstreamCall& call = *std::exchange(h2_, nullptr);
    return call.connection().end(call, request_sent);
  }
  UpstreamConnection& connection = *std::exchange(h1_, nullptr);
  if (connection.response_done()) {
    connection.release(request_sent);
    return false;
  }
  connection.abort();
  return true;
}

}  // namespace sluice::dataplane
