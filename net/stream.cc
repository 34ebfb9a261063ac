#include "net/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "net/linger.h"

namespace sluice::net {

namespace {

constexpr uint32_t kWatchRead = EPOLLIN | EPOLLRDHUP | EPOLLET;
constexpr uint32_t kWatchBoth = kWatchRead | EPOLLOUT;
constexpr int kMaxViews = 64;

bool set_option(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

void set_keepalive(int fd, const ConnectOptions& options) noexcept {
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (options.keepalive_idle_s > 0) {
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, options.keepalive_idle_s);
  }
  if (options.keepalive_interval_s > 0) {
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, options.keepalive_interval_s);
  }
  if (options.keepalive_probes > 0) {
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keepalive_probes);
  }
}

bool bind_source(int fd, const base::Address& to, const ConnectOptions& options) noexcept {
  if (options.freebind && !set_option(fd, SOL_IP, IP_FREEBIND, 1)) return false;
  // The kernel picks the port in connect(), when it knows the whole four-tuple.
  if (to.is_ip() && options.bind->port() == 0) set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  sockaddr_storage storage;
  const socklen_t length = options.bind->to_sockaddr(&storage);
  return ::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0;
}

base::Address address_of(int fd, int (*get)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (fd < 0 || get(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return base::Address::from_sockaddr(storage, length);
}

}  // namespace

// --- opening ---

void Stream::clear() noexcept {
  readable_ = writable_ = connecting_ = peer_closed_ = hung_up_ = eof_ = false;
  congested_ = want_flushed_ = fin_wanted_ = fin_sent_ = watches_room_ = unix_ = false;
  dirty_.unlink();
  again_.unlink();
  out_.clear();
}

bool Stream::start(Loop& loop, int fd, uint32_t events, base::Fault::Side side) noexcept {
  close_now();
  clear();
  side_ = side;
  loop_ = &loop;
  fault_ = {};
  error_ = 0;
  bytes_received_ = bytes_sent_ = 0;
  if (!loop.add(fd, events, this)) {
    error_ = errno;
    ::close(fd);
    return false;
  }
  fd_ = fd;
  watches_room_ = (events & EPOLLOUT) != 0;
  return true;
}

bool Stream::attach(Loop& loop, int fd, base::Fault::Side side) noexcept {
  if (!start(loop, fd, kWatchRead, side)) {
    errno = error_;
    return false;
  }
  writable_ = true;
  return true;
}

int Stream::open_socket(const base::Address& to, const ConnectOptions& options) noexcept {
  const int fd = ::socket(to.socket_domain(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (to.is_ip()) set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.keepalive && to.is_ip()) set_keepalive(fd, options);
  bool ok =
      options.mark == 0 || set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.mark));
  ok = ok && (options.bind == nullptr || bind_source(fd, to, options));
  sockaddr_storage storage;
  const socklen_t length = to.to_sockaddr(&storage);
  ok = ok &&
       (::connect(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0 || errno == EINPROGRESS);
  if (ok) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

bool Stream::connect_failed(int error) noexcept {
  // A Unix-domain socket whose queue is full says EAGAIN.
  error_ = error == EAGAIN ? ECONNREFUSED : error;
  fault_ = {base::fault_kind_of_errno(error_), base::Fault::Side::kBackend, true};
  return false;
}

bool Stream::connect(Loop& loop, const base::Address& to, const ConnectOptions& options) noexcept {
  close_now();
  ++loop.counters().connects;
  const int fd = open_socket(to, options);
  if (fd < 0) return connect_failed(errno);
  // Done or not, the first EPOLLOUT tells.
  if (!start(loop, fd, kWatchBoth, base::Fault::Side::kBackend)) return connect_failed(error_);
  connecting_ = true;
  unix_ = to.is_unix();
  return true;
}

uint8_t Stream::finish_connect(uint32_t events) noexcept {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      break_with(error, true);
      return kBroken;
    }
  } else if ((events & EPOLLOUT) == 0) {
    return 0;
  }
  connecting_ = false;
  if (unix_) {  // these report room again each time the peer reads
    loop_->modify(fd_, kWatchRead, this);
    watches_room_ = false;
  }
  on_writable();
  return kConnected;
}

// --- events ---

void Stream::on_events(uint32_t events) noexcept {
  uint8_t what = 0;
  if (connecting_) [[unlikely]] {
    what = finish_connect(events);
    if (connecting_ || fault_) return tell(what);
  }
  if (!writable_ && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) on_writable();
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
    readable_ = true;
    what |= kReadable;
  }
  if ((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) {
    if (!peer_closed_) what |= kPeerClosed;
    peer_closed_ = true;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) hung_up_ = true;
  }
  tell(what);
}

void Stream::on_writable() noexcept {
  if (fault_) return;
  writable_ = true;
  if (!out_.empty() || fill_ != nullptr || want_flushed_ || (fin_wanted_ && !fin_sent_)) {
    mark_dirty();
  }
}

void Stream::on_again() noexcept {
  if (readable_) tell(kReadable);
}

void Stream::break_with(int error, bool replay_safe) noexcept {
  error_ = error;
  fault_ = {base::fault_kind_of_errno(error), side_, replay_safe};
  connecting_ = writable_ = false;
  dirty_.unlink();
  out_.clear();
}

// --- reading ---

Stream::Read Stream::read_some(base::Block& into, uint32_t max) noexcept {
  const Read read = receive(into.tail(), std::min(max, into.room()), 0);
  into.fill(read.bytes);
  return read;
}

Stream::Read Stream::discard_some() noexcept {
  char scratch[4096];
  return receive(scratch, sizeof(scratch), 0);
}

Stream::Read Stream::receive(char* to, size_t max, int flags) noexcept {
  assert(max > 0);
  Read read;
  if (!readable_) {
    read.drained = true;
    read.eof = eof_;
    return read;
  }
  ssize_t n;
  LoopCounters& counters = loop_->counters();
  do {
    ++counters.receives;
    n = ::recv(fd_, to, max, flags);
  } while (n < 0 && errno == EINTR);
  if (n > 0) [[likely]] {
    read.bytes = static_cast<uint32_t>(n);
    counters.bytes_received += read.bytes;
    bytes_received_ += read.bytes;
    // A short read emptied the socket (epoll(7)), but behind the last bytes an end may wait.
    read.drained = read.bytes < max && !peer_closed_;
    readable_ = !read.drained;
    return read;
  }
  readable_ = false;
  read.drained = true;
  if (n == 0 && !fault_) {
    read.eof = eof_ = peer_closed_ = true;
  } else if (n < 0 && errno == EAGAIN) {
    ++counters.empty_receives;
  } else {  // an end behind a write that broke is that break: the reset was told to the write
    if (!fault_) break_with(errno, false);
    read.fault = fault_;
  }
  return read;
}

// --- writing ---

ssize_t Stream::send_front(size_t* offered) noexcept {
  ++loop_->counters().sends;
  const base::View& front = out_.front();
  if (front.size == out_.bytes()) {
    *offered = front.size;
    return ::send(fd_, front.data, front.size, MSG_NOSIGNAL);
  }
  iovec views[kMaxViews];
  msghdr message{};
  message.msg_iov = views;
  message.msg_iovlen = static_cast<size_t>(out_.to_iovec(views, kMaxViews, offered));
  return ::sendmsg(fd_, &message, MSG_NOSIGNAL);
}

bool Stream::write_out() noexcept {
  if (fault_) return false;
  if (!writable_) return true;
  while (!out_.empty()) {
    size_t offered;
    const ssize_t n = send_front(&offered);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) {
      break_with(errno, false);
      readable_ = true;  // bytes that came before may wait without epoll having said so
      return false;
    }
    const size_t sent = n < 0 ? 0 : static_cast<size_t>(n);
    loop_->counters().bytes_sent += sent;
    bytes_sent_ += sent;
    out_.drain(sent);
    if (sent < offered) {
      wait_for_room();
      return true;
    }
  }
  if (fin_wanted_ && !fin_sent_) {
    fin_sent_ = true;
    ::shutdown(fd_, SHUT_WR);
  }
  return true;
}

// The kernel says EPOLLOUT once there is room; modify() looks again, so that no edge is lost.
void Stream::wait_for_room() noexcept {
  ++loop_->counters().full_sends;
  writable_ = false;
  if (watches_room_) return;
  watches_room_ = true;
  loop_->modify(fd_, kWatchBoth, this);
}

uint8_t Stream::news_after_write(bool ok) noexcept {
  if (!ok) return kBroken;
  uint8_t what = 0;
  if (congested_ && out_.bytes() <= low_) {
    congested_ = false;
    what |= kDrained;
  }
  if (want_flushed_ && out_.empty() && writable_) {
    want_flushed_ = false;
    what |= kFlushed;
  }
  return what;
}

void Stream::on_flush_turn() noexcept {
  if (fill_ == nullptr) return tell(news_after_write(write_out()));
  if (writable_ && !fault_) fill_(owner_);
  tell(static_cast<uint8_t>(news_after_write(write_out()) | kWritten));
}

bool Stream::flush() noexcept {
  if (!write_out()) return false;
  const bool news = (congested_ && out_.bytes() <= low_) || (want_flushed_ && out_.empty());
  if (!news) {
    dirty_.unlink();
  } else if (writable_) {
    mark_dirty();
  }
  return true;
}

void Stream::own_waiting_bytes(base::BlockPool& pool) {
  bool borrows = false;
  out_.for_each([&](const base::View& view) { borrows |= !view.block; });
  if (!borrows) return;
  base::Chain owned;
  base::BlockRef block;
  while (!out_.empty()) {
    base::View view = out_.front();
    if (view.block) {
      out_.drain(view.size);
      owned.append(std::move(view));
      continue;
    }
    if (!block || block->room() == 0) block = base::BlockRef::adopt(pool.get_small());
    const uint32_t size = std::min(view.size, block->room());
    std::memcpy(block->tail(), view.data, size);
    owned.append(base::View(block->tail(), size, block));
    block->fill(size);
    base::copies().head_bytes += size;
    out_.drain(size);
  }
  out_ = std::move(owned);
}

void Stream::want_flushed() noexcept {
  want_flushed_ = true;
  mark_dirty();
}

void Stream::shutdown_write() noexcept {
  fin_wanted_ = true;
  mark_dirty();
}

// --- closing ---

int Stream::forget_fd() noexcept {
  clear();
  return std::exchange(fd_, -1);
}

void Stream::close_fd() noexcept {
  loop_->remove(this);
  ++loop_->counters().closes;
  ::close(forget_fd());
}

void Stream::reset() noexcept {
  if (fd_ < 0) return;
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close_fd();
}

void Stream::close_after_flush(Linger mode, int64_t patience_ns) noexcept {
  if (fd_ < 0) return;
  if (connecting_ || !write_out()) return close_now();
  if (out_.empty() && (mode == Linger::kNo || eof_ || hung_up_)) return close_now();
  loop_->linger().adopt(*this, mode, patience_ns);
}

bool Stream::take_over(Stream& from) noexcept {
  Loop& loop = *from.loop_;
  loop.remove(&from);
  if (!loop.modify(from.fd_, kWatchBoth, this)) {
    from.close_now();
    return false;
  }
  clear();
  loop_ = &loop;
  side_ = from.side_;
  fault_ = {};
  error_ = 0;
  bytes_received_ = bytes_sent_ = 0;
  peer_closed_ = from.peer_closed_;
  eof_ = from.eof_;
  fin_sent_ = from.fin_sent_;
  watches_room_ = true;  // the first events tell what can be done
  out_ = std::move(from.out_);
  fd_ = from.forget_fd();
  return true;
}

int Stream::release_fd() noexcept {
  if (fd_ < 0) return -1;
  loop_->remove(this, fd_);
  return forget_fd();
}

base::Address Stream::peer() const { return address_of(fd_, &getpeername); }

base::Address Stream::local() const { return address_of(fd_, &getsockname); }

}  // namespace sluice::net
