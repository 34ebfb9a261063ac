#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/address.h"
#include "base/status_cells.h"
#include "net/loop.h"

namespace sluice::net {

struct ListenOptions {
  int backlog = 0;           // 0: what the kernel allows (net.core.somaxconn)
  bool reuse_port = true;    // a socket per worker; off: one that all workers share. IP only
  bool exclusive = false;    // refuse where anybody, also another Sluice, listens already
  bool ipv6_only = true;     // off: "::" takes IPv4 too (Envoy's ipv4_compat)
  bool freebind = false;     // addresses that are not there yet
  bool transparent = false;  // IP_TRANSPARENT, for redirected traffic
  uint32_t unix_mode = 0;    // permissions of a Unix-domain socket's file; 0: as umask says
};

// ListenSocket owns one listening descriptor. Made on main, so that all sockets of a new
// configuration exist before anything is published and a port that cannot be had is refused by
// name; then moved to its worker.
class ListenSocket {
 public:
  ListenSocket() noexcept = default;
  explicit ListenSocket(int fd) noexcept : fd_(fd) {}
  ListenSocket(ListenSocket&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  ListenSocket& operator=(ListenSocket&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ListenSocket(const ListenSocket&) = delete;
  ListenSocket& operator=(const ListenSocket&) = delete;
  ~ListenSocket();

  int fd() const noexcept { return fd_; }
  // What it listens on; with the port that the kernel chose for port 0.
  base::Address local() const;

 private:
  int fd_ = -1;
};

// Binds and listens: one descriptor per worker. Port 0 gives all of them the same free port.
// Unix-domain sockets and reuse_port=false share one socket through duplicated descriptors; a stale
// file of a Unix-domain socket (nobody listens on it) is removed first, anything else at its path
// is an error. The error names address, problem and remedy:
//   cannot bind 0.0.0.0:80: Permission denied; use a port from 1024 up or give the process
//   CAP_NET_BIND_SERVICE
absl::StatusOr<std::vector<ListenSocket>> listen_for_workers(const base::Address& address,
                                                             int num_workers,
                                                             const ListenOptions& options = {});

// Acceptor takes connections from one listening socket of one loop and hands them on.
//
// Accepts until there is none left, at most kPerTurn at a time, then yields to the others. Where
// descriptors have run out it closes the waiting connections with the loop's reserve descriptor, so
// that clients hear a close and the loop does not spin; if not even that helps it rests for 100 ms.
// Owned by the worker's listener; destroy it to stop accepting, but not inside on_accept: pause()
// there. Worker-local.
class Acceptor : private EventTarget {
 public:
  static constexpr int kPerTurn = 64;
  // Takes over `fd`: non-blocking, close-on-exec. The socket address is the peer's, as accept4()
  // gave it.
  using OnAccept = void (*)(void* owner, int fd, const sockaddr_storage& peer,
                            socklen_t length) noexcept;

  struct Counters {
    uint64_t accepted = 0;
    uint64_t refused_no_fd = 0;  // closed because descriptors had run out
    uint64_t aborted = 0;        // gone before they were accepted
    uint64_t rests = 0;
  };

  // Starts at once. False from ok(): errno could not be helped, nothing will come.
  Acceptor(Loop& loop, ListenSocket socket, OnAccept on_accept, void* owner) noexcept;
  ~Acceptor();

  bool ok() const noexcept { return ok_; }
  // Connections stay in the kernel's queue; for overload and connection limits.
  void pause() noexcept { paused_ = true; }
  void resume() noexcept;
  base::Address local() const { return socket_.local(); }
  const Counters& counters() const noexcept { return counters_; }
  // Counts connections that were closed for want of a descriptor into `cell`, too.
  void count_refused_into(base::Cell& cell) noexcept { refused_ = &cell; }
  // Takes the socket out, to hand it to a successor.
  ListenSocket release() noexcept;

 private:
  enum class Excess : uint8_t { kClosed, kNone, kStuck };

  static void on_ready(EventTarget* self, uint32_t events) noexcept;
  void accept_some() noexcept;
  bool on_accept_error(int error) noexcept;
  Excess close_one_with_reserve() noexcept;

  Loop& loop_;
  ListenSocket socket_;
  OnAccept on_accept_;
  void* owner_;
  bool ok_ = false;
  bool paused_ = false;
  Counters counters_;
  base::Cell* refused_ = nullptr;
  Call again_ = Call::of<&Acceptor::accept_some>(this);
  Timer rest_ = Timer::of<&Acceptor::accept_some>(this);
};

}  // namespace sluice::net
