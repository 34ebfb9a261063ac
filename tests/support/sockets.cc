#include "tests/support/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sluice::testing {

namespace {

bool wait_for(int fd, short events) {
  pollfd p{fd, events, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
  return ::poll(&p, 1, static_cast<int>(ms)) == 1;
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return in;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

Socket::Socket(int fd) : fd_(fd) {}

Socket Socket::connect(uint16_t port) {
  Socket s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in to = loopback(port);
  if (::connect(s.fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) s.close();
  const int on = 1;
  ::setsockopt(s.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return s;
}

Socket Socket::listen(uint16_t* port) {
  Socket s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof(at);
  ::bind(s.fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at));
  ::listen(s.fd_, 1024);
  ::getsockname(s.fd_, reinterpret_cast<sockaddr*>(&at), &size);
  *port = ntohs(at.sin_port);
  return s;
}

Socket Socket::accept() {
  if (fd_ < 0 || !wait_for(fd_, POLLIN)) return Socket();
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return Socket(fd);
}

bool Socket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!wait_for(fd_, POLLOUT)) return false;
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

std::string Socket::receive(size_t max) {
  std::string out(max, '\0');
  if (fd_ < 0 || !wait_for(fd_, POLLIN)) return {};
  const ssize_t n = ::recv(fd_, out.data(), max, 0);
  out.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return out;
}

std::string Socket::receive_until(std::string_view text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    const std::string more = receive();
    if (more.empty()) break;
    all += more;
  }
  return all;
}

std::string Socket::receive_all() {
  std::string all;
  for (std::string more = receive(); !more.empty(); more = receive()) all += more;
  return all;
}

bool Socket::closed_by_peer() {
  if (fd_ < 0 || !wait_for(fd_, POLLIN)) return false;
  char c;
  return ::recv(fd_, &c, 1, 0) <= 0;
}

void Socket::half_close() { ::shutdown(fd_, SHUT_WR); }

void Socket::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int Message::status() const {
  const size_t space = head.find(' ');
  return space == std::string::npos ? 0 : std::atoi(head.c_str() + space + 1);
}

std::string Message::field(std::string_view name) const {
  size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    const size_t begin = at + 2;
    const size_t end = head.find("\r\n", begin);
    const std::string line = head.substr(begin, end - begin);
    const size_t colon = line.find(':');
    if (colon != std::string::npos && lower(line.substr(0, colon)) == name) {
      size_t value = colon + 1;
      while (value < line.size() && line[value] == ' ') ++value;
      return line.substr(value);
    }
    at = end;
  }
  return {};
}

namespace {

Message read_framed(Socket& socket, std::string* rest, bool answers_head, std::string* all) {
  Message m;
  std::string& in = *rest;
  const auto more = [&] {
    const std::string got = socket.receive();
    in += got;
    *all += got;
    return !got.empty();
  };
  size_t end;
  while ((end = in.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) {
      m.head = std::exchange(in, {});
      return m;
    }
  }
  m.head = in.substr(0, end + 4);
  in.erase(0, end + 4);
  const bool is_response = m.head.starts_with("HTTP/");
  const int status = is_response ? m.status() : 0;
  if (answers_head || (is_response && (status < 200 || status == 204 || status == 304))) {
    m.complete = true;
    return m;
  }
  if (lower(m.field("transfer-encoding")) == "chunked") {
    for (;;) {
      size_t line;
      while ((line = in.find("\r\n")) == std::string::npos) {
        if (!more()) return m;
      }
      const size_t size = std::strtoul(in.c_str(), nullptr, 16);
      in.erase(0, line + 2);
      if (size == 0) {
        while (in.find("\r\n") == std::string::npos) {
          if (!more()) return m;
        }
        if (in.starts_with("\r\n")) {
          in.erase(0, 2);
        } else {  // trailers: kept behind the head for field()
          while ((line = in.find("\r\n\r\n")) == std::string::npos) {
            if (!more()) return m;
          }
          m.head += in.substr(0, line + 4);
          in.erase(0, line + 4);
        }
        m.complete = true;
        return m;
      }
      while (in.size() < size + 2) {
        if (!more()) return m;
      }
      m.body += in.substr(0, size);
      in.erase(0, size + 2);
    }
  }
  const std::string length = m.field("content-length");
  if (length.empty() && is_response) {
    while (more()) {
    }
    m.body = std::exchange(in, {});
    m.complete = true;
    return m;
  }
  const size_t size = std::strtoul(length.c_str(), nullptr, 10);
  while (in.size() < size) {
    if (!more()) {
      m.body = std::exchange(in, {});
      return m;
    }
  }
  m.body = in.substr(0, size);
  in.erase(0, size);
  m.complete = true;
  return m;
}

}  // namespace

Message read_message(Socket& socket, std::string* rest, bool answers_head) {
  std::string all = *rest;
  Message m = read_framed(socket, rest, answers_head, &all);
  m.raw = all.substr(0, all.size() - rest->size());
  return m;
}

}  // namespace sluice::testing
