#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>

#include "dataplane/tcp_session.h"
#include "dataplane/worker.h"

// How connections come to a worker, from its listening sockets and from other workers.
namespace sluice::dataplane {

void Worker::on_accept(WorkerListener& listener, int fd, const sockaddr_storage& peer,
                       socklen_t length) noexcept {
  const base::Address from = base::Address::from_sockaddr(peer, length);
  const bool counted = listener.exact_balance || (listener.config && listener.config->value.codec ==
                                                                         HttpValue::Codec::kHttp2);
  Worker& to = counted ? choose(listener) : *this;
  if (&to != this) {
    auto connection = std::make_unique<HandOver>(&Worker::on_hand_over, to);
    connection->fd = fd;
    connection->peer = from;
    connection->sockets = listener.sockets;
    if (hand_over(to, std::move(connection))) return;
  }
  open_session(listener, fd, from, counted);
}

void Worker::open_session(WorkerListener& listener, int fd, const base::Address& peer,
                          bool counted) noexcept {
  if (!listener.tcp && !listener.config) [[unlikely]] {  // its filter is missing
    listener.cells->network_extension_config_missing.add();
    ::close(fd);
    if (counted) listener.sockets->balance.leave(options_.index);
    return;
  }
  listener.cells->downstream_cx_total.add();
  listener.own_cells->downstream_cx_total.add();
  const bool open = listener.tcp ? start_tcp(listener, fd, peer, counted)
                                 : start_session(listener, fd, peer, counted);
  if (!open && counted) listener.sockets->balance.leave(options_.index);
}

// False: the descriptor could not be attached, and is closed.
bool Worker::start_session(WorkerListener& listener, int fd, const base::Address& peer,
                           bool counted) noexcept {
  HttpSession* session = nullptr;
  if (listener.config->value.codec == HttpValue::Codec::kHttp2) {
    auto h2 = std::make_unique<H2Session>(*this, listener, peer, next_id());
    if (!h2->start(fd, {}, 0)) return false;
    session = h2.release();
  } else {
    auto h1 = std::make_unique<H1Session>(*this, listener, peer, next_id());
    if (!h1->start(fd)) return false;
    session = h1.release();
  }
  session_opened(*session, counted);
  session->cells().downstream_cx_total.add();
  session->cells().downstream_cx_active.add();
  if (!listener.accepts()) session->drain();
  return true;
}

bool Worker::start_tcp(WorkerListener& listener, int fd, const base::Address& peer,
                       bool counted) noexcept {
  auto session = std::make_unique<TcpSession>(*this, listener, peer, next_id());
  if (!session->start(fd)) return false;
  session_opened(*session, counted);
  session.release()->connect();
  return true;
}

void Worker::become_http2(H1Session& old, int fd, base::BlockRef block, uint32_t at) noexcept {
  WorkerListener& listener = old.listener();
  const bool was_counted = old.counted();
  Worker& to = was_counted ? *this : choose(listener);
  if (&to != this) {
    const std::string_view received(block->data() + at, block->filled() - at);
    if (hand_over_http2(old, to, fd, received)) return;
  }
  H2Session* const session =
      std::make_unique<H2Session>(*this, listener, old.peer(), old.id()).release();
  session->set_accepted_at(old.accepted_at());
  session->set_counted(true);
  listener.sessions.push_back(*session);
  old.unlink();
  loop_.defer_destroy(&old);
  if (!session->start(fd, std::move(block), at)) return session->leave();
  if (!listener.accepts()) session->drain();
}

void Worker::session_opened(Session& session, bool counted) noexcept {
  WorkerListener& listener = session.listener();
  session.set_counted(counted);
  listener.sessions.push_back(session);
  ++listener.num_sessions;
  ++num_sessions_;
  listener.cells->downstream_cx_active.add();
  listener.own_cells->downstream_cx_active.add();
}

// It ended, or goes on elsewhere.
void Worker::session_left(Session& session) noexcept {
  WorkerListener& listener = session.listener();
  session.unlink();
  --listener.num_sessions;
  --num_sessions_;
  listener.cells->downstream_cx_active.sub();
  listener.own_cells->downstream_cx_active.sub();
  if (session.counted()) listener.sockets->balance.leave(options_.index);
  if (listener.num_sessions == 0 && !listener.accepts() && !second_.armed()) {
    loop_.arm_in(second_, base::kNsPerMs);
  }
}

void Worker::session_closed(Session& session) noexcept {
  session.listener().cells->downstream_cx_destroy.add();
  session.listener().cells->downstream_cx_length_ms.add(session.length_ns());
  session_left(session);
}

// ---- Connections that one worker accepts and another serves.

// Who serves a connection that begins here; it is counted there.
Worker& Worker::choose(WorkerListener& listener) noexcept {
  Balance& balance = listener.sockets->balance;
  if (listener.accepts()) return balance.choose(options_.index, *this);
  balance.stay(options_.index);  // while draining nobody else is troubled
  return *this;
}

// False: that worker has ended; the connection stays here, and `connection` is gone without it.
bool Worker::hand_over(Worker& to, std::unique_ptr<HandOver> connection) noexcept {
  HandOver* const letter = connection.release();
  if (to.loop().post(letter)) {  // from here on it is the other worker's
    cells_->connections_handed_over.add();
    return true;
  }
  connection.reset(letter);
  connection->fd = -1;
  connection->sockets->balance.leave(to.index());
  connection->sockets->balance.stay(options_.index);
  return false;
}

bool Worker::hand_over_http2(H1Session& old, Worker& to, int fd,
                             std::string_view received) noexcept {
  auto connection = std::make_unique<HandOver>(&Worker::on_hand_over, to);
  connection->fd = fd;
  connection->peer = old.peer();
  connection->sockets = old.listener().sockets;
  connection->http2 = true;
  connection->id = old.id();
  connection->accepted_at = old.accepted_at();
  connection->received = received;
  if (!hand_over(to, std::move(connection))) return false;
  old.cells().downstream_cx_active.sub();
  session_left(old);
  loop_.defer_destroy(&old);
  return true;
}

void Worker::on_hand_over(base::Post* post) noexcept {
  const std::unique_ptr<HandOver> connection(static_cast<HandOver*>(post));
  connection->to.take_over(*connection);
}

WorkerListener* Worker::listener_of(const SocketSet& sockets) noexcept {
  for (auto* list : {&listeners_, &draining_listeners_}) {
    for (auto& listener : *list) {
      if (listener->sockets.get() == &sockets) return listener.get();
    }
  }
  return nullptr;
}

void Worker::take_over(HandOver& connection) noexcept {
  WorkerListener* const listener = listener_of(*connection.sockets);
  if (listener == nullptr) {  // gone meanwhile: closed, as what waits to be accepted was
    connection.sockets->balance.leave(options_.index);
  } else if (!connection.http2) {
    open_session(*listener, std::exchange(connection.fd, -1), connection.peer, true);
  } else if (!take_over_http2(*listener, connection)) {
    listener->cells->downstream_cx_destroy.add();
    connection.sockets->balance.leave(options_.index);
  }
}

bool Worker::take_over_http2(WorkerListener& listener, HandOver& connection) noexcept {
  if (!listener.config) return false;  // it became a TCP relay meanwhile
  const auto size = static_cast<uint32_t>(connection.received.size());
  auto block = base::BlockRef::adopt(blocks_.get_small());
  if (size > block->room()) block = base::BlockRef::adopt(blocks_.get_large());
  if (size > block->room()) return false;  // cannot be: it came out of such a block
  std::memcpy(block->tail(), connection.received.data(), size);
  block->fill(size);
  auto session = std::make_unique<H2Session>(*this, listener, connection.peer, connection.id);
  session->set_accepted_at(connection.accepted_at);
  if (!session->start(std::exchange(connection.fd, -1), std::move(block), 0)) return false;
  H2Session& open = *session.release();
  session_opened(open, true);
  open.cells().downstream_cx_active.add();
  if (!listener.accepts()) open.drain();
  return true;
}

}  // namespace sluice::dataplane
