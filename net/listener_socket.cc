#include "net/listener_socket.h"

#include <fcntl.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice::net {

namespace {

constexpr int64_t kRestNs = 100 * base::kNsPerMs;

std::string_view remedy(int error, const base::Address& address) {
  switch (error) {
    case EACCES:
      if (address.is_unix()) return "make its directory writable for this user";
      return "use a port from 1024 up or give the process CAP_NET_BIND_SERVICE";
    case EADDRINUSE:
      if (address.is_unix()) return "stop who listens there or choose another path";
      return "stop who listens there or choose another port";
    case EADDRNOTAVAIL:
      return "use an address of this machine, or freebind if it will come later";
    case EAFNOSUPPORT:
      return "IPv6 is off on this machine: use an IPv4 address";
    case EEXIST:
      return "a file that is not a socket is there: remove it or choose another path";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case ENOENT:
    case ENOTDIR:
      return "create its directory first";
    case EPERM:
      return "give the process CAP_NET_ADMIN";
    case EROFS:
      return "choose a path on a writable file system";
    default:
      return "";
  }
}

absl::Status refusal(int error, const base::Address& address) {
  std::string message = absl::StrCat("cannot bind ", address.to_string(), ": ",
                                     std::generic_category().message(error));
  if (const std::string_view what_helps = remedy(error, address); !what_helps.empty()) {
    message.append("; ").append(what_helps);
  }
  return absl::Status(absl::ErrnoToStatusCode(error), message);
}

// Sets options until one fails.
class OptionSetter {
 public:
  explicit OptionSetter(int fd) noexcept : fd_(fd) {}
  void set(bool wanted, int level, int name, int value = 1) noexcept {
    if (ok_ && wanted) ok_ = setsockopt(fd_, level, name, &value, sizeof(value)) == 0;
  }
  bool ok() const noexcept { return ok_; }

 private:
  int fd_;
  bool ok_ = true;
};

bool set_options(int fd, const base::Address& address, const ListenOptions& options) noexcept {
  if (address.is_unix()) return true;
  const bool v6 = !address.ip().v4;
  OptionSetter setter(fd);
  setter.set(true, SOL_SOCKET, SO_REUSEADDR);
  setter.set(options.reuse_port, SOL_SOCKET, SO_REUSEPORT);
  setter.set(true, IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it
  setter.set(v6, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only ? 1 : 0);
  setter.set(options.freebind && !v6, SOL_IP, IP_FREEBIND);
  setter.set(options.freebind && v6, IPPROTO_IPV6, IPV6_FREEBIND);
  setter.set(options.transparent && !v6, SOL_IP, IP_TRANSPARENT);
  setter.set(options.transparent && v6, IPPROTO_IPV6, IPV6_TRANSPARENT);
  return setter.ok();
}

int open_socket(const base::Address& address) noexcept {
  return ::socket(address.socket_domain(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

// Binds without listening. 0, or errno.
int bind_socket(int fd, const base::Address& address, const ListenOptions& options) noexcept {
  if (!set_options(fd, address, options)) return errno;
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(&storage);
  return ::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

// A socket without SO_REUSEPORT cannot be bound where another one listens.
int probe_exclusive(const base::Address& address, const ListenOptions& options) noexcept {
  ListenSocket probe(open_socket(address));
  if (probe.fd() < 0) return errno;
  ListenOptions alone = options;
  alone.reuse_port = false;
  return bind_socket(probe.fd(), address, alone);
}

// Removes the file of a socket on which nobody listens any more. 0, or errno.
int remove_stale_file(const base::Address& address) noexcept {
  if (!address.is_unix() || address.path().starts_with('@')) return 0;
  const char* path = address.path().c_str();
  struct stat status;
  if (::lstat(path, &status) != 0) return errno == ENOENT ? 0 : errno;
  if (!S_ISSOCK(status.st_mode)) return EEXIST;
  const ListenSocket probe(open_socket(address));
  if (probe.fd() < 0) return errno;
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(&storage);
  if (::connect(probe.fd(), reinterpret_cast<sockaddr*>(&storage), length) == 0 ||
      errno != ECONNREFUSED) {
    return EADDRINUSE;
  }
  return ::unlink(path) == 0 ? 0 : errno;
}

// 0, or errno. Nobody can connect between bind() and listen(), so the mode is in force from the
// start.
int make_listening(ListenSocket* out, const base::Address& address,
                   const ListenOptions& options) noexcept {
  ListenSocket socket(open_socket(address));
  if (socket.fd() < 0) return errno;
  if (const int error = bind_socket(socket.fd(), address, options); error != 0) return error;
  const bool has_file = address.is_unix() && !address.path().starts_with('@');
  if (has_file && options.unix_mode != 0 &&
      ::chmod(address.path().c_str(), options.unix_mode) != 0) {
    return errno;
  }
  if (::listen(socket.fd(), options.backlog > 0 ? options.backlog : SOMAXCONN) != 0) return errno;
  *out = std::move(socket);
  return 0;
}

int make_next(ListenSocket* out, const ListenSocket& first, const base::Address& address,
              const ListenOptions& options) noexcept {
  if (options.reuse_port && address.is_ip()) return make_listening(out, address, options);
  ListenSocket copy(::fcntl(first.fd(), F_DUPFD_CLOEXEC, 0));
  if (copy.fd() < 0) return errno;
  *out = std::move(copy);
  return 0;
}

}  // namespace

ListenSocket::~ListenSocket() {
  if (fd_ >= 0) ::close(fd_);
}

base::Address ListenSocket::local() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  if (fd_ < 0 || getsockname(fd_, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return base::Address::from_sockaddr(storage, length);
}

absl::StatusOr<std::vector<ListenSocket>> listen_for_workers(const base::Address& address,
                                                             int num_workers,
                                                             const ListenOptions& options) {
  std::vector<ListenSocket> sockets(static_cast<size_t>(num_workers));
  if (const int error = remove_stale_file(address); error != 0) return refusal(error, address);
  if (options.exclusive && address.is_ip() && address.port() != 0) {
    if (const int error = probe_exclusive(address, options); error != 0) {
      return refusal(error, address);
    }
  }
  base::Address where = address;
  for (size_t i = 0; i < sockets.size(); ++i) {
    const int error = i == 0 ? make_listening(&sockets[0], where, options)
                             : make_next(&sockets[i], sockets[0], where, options);
    if (error != 0) return refusal(error, address);
    if (i == 0 && where.is_ip()) where = sockets[0].local();
  }
  return sockets;
}

// --- Acceptor ---

Acceptor::Acceptor(Loop& loop, ListenSocket socket, OnAccept on_accept, void* owner) noexcept
    : EventTarget(&Acceptor::on_ready),
      loop_(loop),
      socket_(std::move(socket)),
      on_accept_(on_accept),
      owner_(owner) {
  int& reserve = loop_.reserve_fd();
  if (reserve < 0) reserve = eventfd(0, EFD_CLOEXEC);
  ok_ = loop_.add(socket_.fd(), EPOLLIN | EPOLLET, this);
}

Acceptor::~Acceptor() {
  if (socket_.fd() >= 0) loop_.remove(this, socket_.fd());
}

ListenSocket Acceptor::release() noexcept {
  loop_.remove(this, socket_.fd());
  again_.unlink();
  rest_.cancel();
  ok_ = false;
  return std::move(socket_);
}

void Acceptor::resume() noexcept {
  if (!std::exchange(paused_, false)) return;
  loop_.again(again_);
}

void Acceptor::on_ready(EventTarget* self, uint32_t) noexcept {
  static_cast<Acceptor*>(self)->accept_some();
}

void Acceptor::accept_some() noexcept {
  for (int i = 0; i < kPerTurn; ++i) {
    if (paused_ || !ok_) return;
    sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    const int fd = ::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&peer), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (!on_accept_error(errno)) return;
      continue;
    }
    ++counters_.accepted;
    ++loop_.counters().accepts;
    on_accept_(owner_, fd, peer, length);
  }
  loop_.again(again_);
}

// True: try the next one.
bool Acceptor::on_accept_error(int error) noexcept {
  switch (error) {
    case EAGAIN:
      return false;
    case EMFILE:
    case ENFILE:
      switch (close_one_with_reserve()) {
        case Excess::kClosed:
          return true;
        case Excess::kNone:
          return false;
        case Excess::kStuck:
          break;
      }
      [[fallthrough]];
    case ENOBUFS:
    case ENOMEM:
      ++counters_.rests;
      loop_.arm_in(rest_, kRestNs);
      return false;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EFAULT:
      ok_ = false;
      return false;
    default:  // this connection is gone (accept(2)): the next may be well
      ++counters_.aborted;
      return true;
  }
}

// Without a free descriptor accept4() says EMFILE even where nobody waits: only this tells the two
// apart.
Acceptor::Excess Acceptor::close_one_with_reserve() noexcept {
  int& reserve = loop_.reserve_fd();
  if (reserve >= 0) ::close(reserve);
  const int fd = ::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  const Excess result = fd >= 0           ? Excess::kClosed
                        : errno == EAGAIN ? Excess::kNone
                                          : Excess::kStuck;
  if (fd >= 0) {
    ::close(fd);
    ++counters_.refused_no_fd;
    if (refused_ != nullptr) refused_->add();
  }
  reserve = eventfd(0, EFD_CLOEXEC);
  return result;
}

}  // namespace sluice::net
