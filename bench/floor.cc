// floor PORT UPSTREAM_PORT: what moving the bytes costs, and nothing else.
//
// A relay on loopback without any parsing: edge-triggered epoll, one recv and one send per
// direction and message, one upstream connection per client connection, 64 KiB buffer, TCP_NODELAY,
// one thread, no dependency. It is the denominator of every ratio in bench/: keep it minimal and
// honest. What a short write leaves over is kept per connection and its source is not read until it
// is written, so large bodies work too. Ends on SIGTERM and SIGINT, and then prints its system
// calls.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kBatch = 256;
constexpr uint32_t kWatch = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct Pair;

struct Side {
  int fd = -1;
  bool readable = false;
  std::unique_ptr<char[]> left;  // what the other side sent and this one could not yet take
  size_t left_begin = 0;
  size_t left_end = 0;
  Side* other = nullptr;
  Pair* pair = nullptr;
};

struct Pair {
  Side client;
  Side upstream;
  bool dead = false;
};

struct Counts {
  uint64_t receives = 0;
  uint64_t empty_receives = 0;
  uint64_t sends = 0;
  uint64_t waits = 0;
  uint64_t accepts = 0;
};

Counts counts;
int epoll_fd = -1;
char buffer[kBufferBytes];
std::vector<Pair*> dead_pairs;
volatile sig_atomic_t ended = 0;

void on_signal(int) { ended = 1; }

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void set_nodelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int listen_on(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = loopback(port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
  if (listen(fd, 4096) != 0) fail("listen");
  return fd;
}

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return -1;
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  set_nodelay(fd);
  return fd;
}

void watch(int fd, void* what, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = what;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

void end(Pair* pair) {
  if (pair->dead) return;
  pair->dead = true;
  close(pair->client.fd);
  close(pair->upstream.fd);
  dead_pairs.push_back(pair);  // freed after the batch, which may still name it
}

void accept_all(int listener, int upstream_port) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (fd < 0) return;
    ++counts.accepts;
    const int up = connect_to(upstream_port);
    if (up < 0) {
      close(fd);
      continue;
    }
    set_nodelay(fd);
    Pair* pair = new Pair;
    pair->client.fd = fd;
    pair->upstream.fd = up;
    pair->client.other = &pair->upstream;
    pair->upstream.other = &pair->client;
    pair->client.pair = pair->upstream.pair = pair;
    watch(fd, &pair->client, kWatch);
    watch(up, &pair->upstream, kWatch);
  }
}

// Bytes sent, or -1: broken.
ssize_t send_some(Side& to, const char* data, size_t size) {
  ++counts.sends;
  const ssize_t n = send(to.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  return n;
}

bool keep_rest(Side& to, const char* data, size_t size) {
  if (to.left == nullptr) to.left = std::make_unique<char[]>(kBufferBytes);
  std::memcpy(to.left.get(), data, size);
  to.left_begin = 0;
  to.left_end = size;
  return true;
}

// Moves what `from` has to its other side. False: the connection is over.
bool relay(Side& from) {
  Side& to = *from.other;
  while (from.readable && to.left_begin == to.left_end) {
    ++counts.receives;
    const ssize_t n = recv(from.fd, buffer, kBufferBytes, MSG_DONTWAIT);
    if (n == 0) return false;
    if (n < 0) {
      ++counts.empty_receives;
      from.readable = false;
      return errno == EAGAIN || errno == EINTR;
    }
    if (static_cast<size_t>(n) < kBufferBytes) from.readable = false;
    const ssize_t sent = send_some(to, buffer, static_cast<size_t>(n));
    if (sent < 0) return false;
    if (sent < n) keep_rest(to, buffer + sent, static_cast<size_t>(n - sent));
  }
  return true;
}

bool write_left(Side& to) {
  if (to.left_begin == to.left_end) return true;
  const ssize_t n = send_some(to, to.left.get() + to.left_begin, to.left_end - to.left_begin);
  if (n < 0) return false;
  to.left_begin += static_cast<size_t>(n);
  return relay(*to.other);
}

void on_side(Side& side, uint32_t events) {
  if (side.pair->dead) return;
  bool going_on = true;
  if ((events & EPOLLOUT) != 0) going_on = write_left(side);
  if (going_on && (events & EPOLLIN) != 0) {
    side.readable = true;
    going_on = relay(side);
  }
  if (!going_on || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) end(side.pair);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: floor PORT UPSTREAM_PORT\n");
    return 2;
  }
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  epoll_fd = epoll_create1(0);
  const int listener = listen_on(std::atoi(argv[1]));
  watch(listener, nullptr, EPOLLIN | EPOLLET);

  epoll_event events[kBatch];
  while (ended == 0) {
    ++counts.waits;
    const int n = epoll_wait(epoll_fd, events, kBatch, -1);
    for (int i = 0; i < n; ++i) {
      auto* side = static_cast<Side*>(events[i].data.ptr);
      if (side == nullptr) {
        accept_all(listener, std::atoi(argv[2]));
      } else {
        on_side(*side, events[i].events);
      }
    }
    for (Pair* pair : dead_pairs) delete pair;
    dead_pairs.clear();
  }
  std::printf("recv=%ju empty=%ju send=%ju epoll_wait=%ju accept=%ju\n",
              static_cast<uintmax_t>(counts.receives),
              static_cast<uintmax_t>(counts.empty_receives), static_cast<uintmax_t>(counts.sends),
              static_cast<uintmax_t>(counts.waits), static_cast<uintmax_t>(counts.accepts));
  return 0;
}
