#include "dataplane/downstream.h"

#include "dataplane/h1_session.h"
#include "dataplane/worker.h"

namespace sluice::dataplane {

void Downstream::attach(H1Session& session) noexcept {
  session_ = &session;
  h1_ = &session;
}

bool Downstream::is_open() const noexcept {
  return session_ != nullptr && session_->stream().is_open();
}

void Downstream::send_continue() noexcept {
  h1_->stream().write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
}

void Downstream::send_interim(http::ResponseHead* head, const base::BlockRef& block,
                              base::Arena& arena) noexcept {
  base::Chain lines;
  if (http::write_response_head(head, {}, block, arena, &lines)) {
    h1_->stream().write(std::move(lines));
  }
}

size_t Downstream::send_head(http::ResponseHead* head, const http::ResponseWrite& how, bool no_body,
                             const base::BlockRef& block, base::Arena& arena) noexcept {
  net::Stream& stream = h1_->stream();
  const size_t before = stream.buffered();
  if (!http::write_response_head(head, how, block, arena, &stream.out())) return 0;
  chunked_ = !no_body && how.framing.kind == http::Framing::Kind::kChunked;
  stream.mark_dirty();
  return stream.buffered() - before;
}

void Downstream::send_data(base::View&& data) noexcept {
  net::Stream& stream = h1_->stream();
  if (chunked_) {
    base::Chain chunk;
    chunk.append(std::move(data));
    chunks_.append_chunk(std::move(chunk), session_->worker().blocks(), &stream.out());
  } else {
    stream.out().append(std::move(data));
  }
  write_or_queue(stream);
}

void Downstream::send_end(const http::FieldList* trailers, base::Arena& arena) noexcept {
  if (!chunked_) return;
  net::Stream& stream = h1_->stream();
  if (!chunks_.append_last(trailers, arena, &stream.out())) {
    chunks_.append_last(nullptr, arena, &stream.out());
  }
  stream.mark_dirty();
}

void Downstream::finish() noexcept { h1_->finish_response(); }

bool Downstream::congested() const noexcept { return h1_->stream().congested(); }

void Downstream::resume_body() noexcept { h1_->resume_body(); }

void Downstream::become_tunnel() noexcept { h1_->become_tunnel(); }

void Downstream::deadline_changed() noexcept { h1_->deadline_changed(); }

void Downstream::cut() noexcept { h1_->cut(); }

void Downstream::exchange_done(bool close, bool unread_request) noexcept {
  h1_->exchange_done(close, unread_request);
}

}  // namespace sluice::dataplane
