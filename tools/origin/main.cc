// origin PORT [NAME [ADDRESS]]: a small HTTP/1.1 server for demonstrations and tests (connection.h
// has its paths), on 127.0.0.1 or another IPv4 address, one thread. Port 0 takes any; "listening on
// PORT" is printed once it is ready.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "tools/origin/connection.h"

namespace sluice::origin {
namespace {

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

struct Client {
  explicit Client(std::string_view name) : http(name) {}
  Connection http;
  bool writable = true;
  bool waits = false;
};

class Server {
 public:
  Server(int listen_fd, std::string name) : listen_fd_(listen_fd), name_(std::move(name)) {
    set_ = epoll_create1(EPOLL_CLOEXEC);
    watch(listen_fd_, EPOLLIN);
  }

  [[noreturn]] void run() {
    epoll_event events[256];
    for (;;) {
      const int n = epoll_wait(set_, events, 256, wait_ms());
      for (int i = 0; i < n; ++i) {
        if (events[i].data.fd == listen_fd_) {
          accept_all();
        } else {
          on_event(events[i].data.fd, events[i].events);
        }
      }
      answer_slow_ones();
    }
  }

 private:
  void watch(int fd, uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event);
  }
  int wait_ms() const {
    if (slow_.empty()) return -1;
    return static_cast<int>(std::max<int64_t>(0, slow_.begin()->first - now_ms()));
  }
  void accept_all() {
    for (;;) {
      const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      clients_[fd] = std::make_unique<Client>(name_);
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
  }
  void on_event(int fd, uint32_t events) {
    const auto it = clients_.find(fd);
    if (it == clients_.end()) return;
    Client& client = *it->second;
    if (events & EPOLLOUT) client.writable = true;
    bool open = true;
    char buffer[65536];
    while (open) {
      const ssize_t n = read(fd, buffer, sizeof(buffer));
      if (n > 0) {
        client.http.receive({buffer, static_cast<size_t>(n)});
        if (!client.waits) answer(fd, client);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      open = n < 0 && errno == EAGAIN;
      break;
    }
    if (!open || !flush(fd, client)) drop(fd);
  }
  void answer(int fd, Client& client) {
    const int64_t wait_ms = client.http.answer();
    client.waits = wait_ms > 0;
    if (client.waits) slow_.emplace(now_ms() + wait_ms, fd);
  }
  // False: the connection is over.
  bool flush(int fd, Client& client) {
    std::string& out = client.http.out();
    while (!out.empty() && client.writable) {
      const ssize_t n = send(fd, out.data(), out.size(), MSG_NOSIGNAL);
      if (n < 0) {
        if (errno != EAGAIN) return false;
        client.writable = false;
        break;
      }
      out.erase(0, static_cast<size_t>(n));
    }
    return !(out.empty() && client.http.closes() && !client.waits);
  }
  void answer_slow_ones() {
    while (!slow_.empty() && slow_.begin()->first <= now_ms()) {
      const int fd = slow_.extract(slow_.begin()).mapped();
      const auto it = clients_.find(fd);
      if (it == clients_.end()) continue;
      answer(fd, *it->second);
      if (!flush(fd, *it->second)) drop(fd);
    }
  }
  void drop(int fd) {
    clients_.erase(fd);
    std::erase_if(slow_, [fd](const auto& entry) { return entry.second == fd; });
    close(fd);
  }

  const int listen_fd_;
  const std::string name_;
  int set_ = -1;
  std::map<int, std::unique_ptr<Client>> clients_;
  std::multimap<int64_t, int> slow_;
};

int listen_on(const char* host, uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 4096) != 0) {
    std::perror("origin: bind");
    std::exit(1);
  }
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  std::printf("listening on %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

}  // namespace
}  // namespace sluice::origin

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: origin PORT [NAME [ADDRESS]]\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const int fd = sluice::origin::listen_on(argc > 3 ? argv[3] : "127.0.0.1",
                                           static_cast<uint16_t>(std::atoi(argv[1])));
  sluice::origin::Server(fd, argc > 2 ? argv[2] : "origin").run();
}
