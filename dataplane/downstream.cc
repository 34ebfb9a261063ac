#include "dataplane/downstream.h"

#include "dataplane/h1_session.h"
#include "dataplane/h2_session.h"
#include "dataplane/worker.h"

namespace sluice::dataplane {

void Downstream::attach(H1Session& session) noexcept {
  session_ = &session;
  h1_ = &session;
}

void Downstream::attach(H2Request& request) noexcept {
  session_ = &request.session();
  h2_ = &request;
}

bool Downstream::is_open() const noexcept {
  if (session_ == nullptr || !session_->stream().is_open()) return false;
  return h2_ == nullptr || h2_->stream().codec() != nullptr;
}

void Downstream::send_continue(base::Arena& arena) noexcept {
  if (h2_ != nullptr) {
    http::ResponseHead head;
    head.status = 100;
    return send_interim(&head, {}, arena);
  }
  h1_->stream().write(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
}

void Downstream::send_interim(http::ResponseHead* head, const base::BlockRef& block,
                              base::Arena& arena) noexcept {
  if (h2_ != nullptr) {
    h2_->session().codec().send_interim(h2_->stream(), head, arena);
    return h2_->session().mark_dirty();
  }
  base::Chain lines;
  if (http::write_response_head(head, {}, block, arena, &lines)) {
    h1_->stream().write(std::move(lines));
  }
}

bool Downstream::send_head(http::ResponseHead* head, const http::ResponseWrite& how, bool no_body,
                           const base::BlockRef& block, base::Arena& arena) noexcept {
  if (h2_ != nullptr) {
    const uint16_t status = head->status;
    if (status == 101) head->status = 200;  // a tunnel begins (RFC 8441 5)
    const bool sent = h2_->session().codec().send_response(h2_->stream(), head, no_body, arena);
    head->status = status;
    if (!sent) return false;
    ended_ = no_body;
    h2_->session().mark_dirty();
    return true;
  }
  net::Stream& stream = h1_->stream();
  const size_t before = stream.buffered();
  if (!http::write_response_head(head, how, block, arena, &stream.out())) return false;
  chunked_ = !no_body && how.framing.kind == http::Framing::Kind::kChunked;
  stream.mark_dirty();
  head_bytes_ = stream.buffered() - before;
  return true;
}

uint64_t Downstream::head_bytes() const noexcept {
  return h2_ != nullptr ? h2_->stream().head_bytes_sent() : head_bytes_;
}

void Downstream::send_data(base::View&& data) noexcept {
  if (h2_ != nullptr) {
    h2_->session().codec().send_data(h2_->stream(), std::move(data));
    return h2_->session().mark_dirty();
  }
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
  if (h2_ != nullptr) {
    if (ended_) return;
    ended_ = true;
    h2_->session().codec().send_end(h2_->stream(), trailers);
    return h2_->session().mark_dirty();
  }
  if (!chunked_) return;
  net::Stream& stream = h1_->stream();
  if (!chunks_.append_last(trailers, arena, &stream.out())) {
    chunks_.append_last(nullptr, arena, &stream.out());
  }
  stream.mark_dirty();
}

// Of HTTP/2 the codec's news tell when the end has left. They did already where the head ended the
// stream and the endpoint said only later that nothing follows.
void Downstream::finish(base::Arena& arena) noexcept {
  if (h2_ == nullptr) return h1_->finish_response();
  if (h2_->stream().sent_end()) return h2_->exchange().on_flushed();  // ends *this
  send_end(nullptr, arena);
}

bool Downstream::congested() const noexcept {
  return h2_ != nullptr ? h2_->stream().congested() : h1_->stream().congested();
}

void Downstream::resume_body() noexcept {
  if (h2_ != nullptr) return h2_->session().resume_body(*h2_);
  h1_->resume_body();
}

bool Downstream::request_ended() const noexcept {
  return h2_ != nullptr && h2_->stream().received_end();
}

void Downstream::become_tunnel() noexcept {
  if (h2_ == nullptr) h1_->become_tunnel();
}

void Downstream::deadline_changed() noexcept {
  if (h2_ != nullptr) return h2_->session().deadline_changed(*h2_);
  h1_->deadline_changed();
}

void Downstream::cut() noexcept {
  if (h2_ != nullptr) return h2_->session().reset(*h2_, http::H2Error::kInternal);
  h1_->cut();
}

bool Downstream::cut_behind_body() noexcept {
  // HTTP/1: what is queued leaves before the connection ends.
  if (h2_ != nullptr && h2_->session().reset_behind_body(*h2_)) return true;
  cut();
  return false;
}

void Downstream::exchange_done(bool close, bool unread_request) noexcept {
  if (h2_ != nullptr) return h2_->session().exchange_done(*h2_);
  h1_->exchange_done(close, unread_request);
}

}  // namespace sluice::dataplane
