#include "dataplane/attempt.h"

#include "dataplane/downstream.h"
#include "dataplane/exchange.h"

namespace sluice::dataplane {

void Attempt::attach(UpstreamConnection& connection, Exchange* exchange) noexcept {
  h1_ = &connection;
  connection.begin(exchange);
}

size_t Attempt::send_head(http::RequestHead* head, bool no_body, const base::BlockRef& block,
                          base::Arena& arena) noexcept {
  net::Stream& stream = h1_->stream();
  const size_t before = stream.buffered();
  if (!http::write_request_head(head, block, arena, &stream.out())) return 0;
  chunked_ = !no_body && head->framing.kind == http::Framing::Kind::kChunked;
  stream.mark_dirty();
  return stream.buffered() - before;
}

void Attempt::send_data(base::Chain&& data, base::BlockPool& blocks) noexcept {
  net::Stream& stream = h1_->stream();
  if (chunked_) {
    chunks_.append_chunk(std::move(data), blocks, &stream.out());
  } else {
    stream.out().append(std::move(data));
  }
  write_or_queue(stream);
}

void Attempt::send_end(const http::FieldList* trailers, base::Arena& arena) noexcept {
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
  h1_->become_tunnel(arena);
}

bool Attempt::end(bool request_sent) noexcept {
  UpstreamConnection& connection = *std::exchange(h1_, nullptr);
  if (connection.response_done()) {
    connection.release(request_sent);
    return false;
  }
  connection.abort();
  return true;
}

}  // namespace sluice::dataplane
