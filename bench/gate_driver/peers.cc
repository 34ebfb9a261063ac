#include "bench/gate_driver/peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sluice::gate {

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  in.sin_port = htons(port);
  return in;
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// Size of the message at the front of `in`, 0 while it is not whole. Field names in any case of
// the first letter, as the two ends here write them.
size_t message_size(std::string_view in) {
  const size_t head = in.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  size_t length_at = in.find("ontent-");
  while (length_at < head && in.substr(length_at + 8, 6) != "ength:") {
    length_at = in.find("ontent-", length_at + 1);
  }
  if (length_at < head) {
    const size_t body = std::strtoul(in.data() + length_at + 14, nullptr, 10);
    return in.size() >= head + 4 + body ? head + 4 + body : 0;
  }
  if (in.find("chunked") >= head) return head + 4;
  const size_t end = in.find("\r\n0\r\n\r\n", head);
  return end == std::string_view::npos ? 0 : end + 7;
}

}  // namespace

void die(const char* what) {
  std::fprintf(stderr, "gate_driver: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

Peers::Peers(const Scenario& scenario, uint32_t num_clients)
    : scenario_(scenario), response_(response_of(scenario)) {
  for (uint32_t i = 0; i < num_clients; ++i) requests_.push_back(request_of(scenario, i));
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof(at);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::listen(listener_, 1024) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    die("origin");
  }
  origin_port_ = ntohs(at.sin_port);
}

Peers::~Peers() {
  for (const auto* peers : {&clients_, &origins_}) {
    for (const Peer& peer : *peers) ::close(peer.fd);
  }
  ::close(listener_);
}

void Peers::connect(uint16_t proxy_port) {
  for (const std::string& request : requests_) {
    Peer& peer = clients_.emplace_back();
    peer.sends = request;
    if (scenario_.h2_clients) {
      const auto nth = static_cast<uint32_t>(clients_.size()) - 1;
      peer.h2 = std::make_unique<H2End>(true, scenario_, service_path_of(nth));
    }
    peer.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in to = loopback(proxy_port);
    if (::connect(peer.fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
      die("connect");
    }
    no_delay(peer.fd);
  }
}

bool Peers::accept_origins() {
  bool any = false;
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return any;
    no_delay(fd);
    Peer& peer = origins_.emplace_back();
    peer.fd = fd;
    peer.sends = response_;
    if (scenario_.h2_origin) peer.h2 = std::make_unique<H2End>(false, scenario_, "");
    any = true;
  }
}

void Peers::send(Peer& peer) {
  if (peer.h2 == nullptr) return write(peer, peer.sends);
  peer.h2->send_message();
  write(peer, peer.h2->take_output());
}

void Peers::write(Peer& peer, std::string_view bytes) {
  bytes_sent_ += bytes.size();
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t n = ::send(peer.fd, left.data(), left.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) die("send");
    if (n < 0) {
      pollfd p{peer.fd, POLLOUT, 0};
      ::poll(&p, 1, 1000);
      continue;
    }
    left.remove_prefix(static_cast<size_t>(n));
  }
}

uint64_t Peers::receive(Peer& peer) {
  static char buffer[256 * 1024];
  const ssize_t n = ::recv(peer.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
  if (n == 0) die("the proxy closed a connection");
  if (n < 0 && errno != EAGAIN) die("recv");
  if (n < 0) return 0;
  if (peer.h2 != nullptr) {
    peer.h2->receive({buffer, static_cast<size_t>(n)});
    write(peer, peer.h2->take_output());
  } else {
    peer.received.append(buffer, static_cast<size_t>(n));
  }
  return static_cast<uint64_t>(n);
}

bool Peers::take_message(Peer& peer) const {
  if (peer.h2 != nullptr) {
    if (!peer.h2->take_message()) return false;
    ++peer.num_done;
    return true;
  }
  const size_t size = message_size(peer.received);
  if (size == 0) return false;
  const bool fine = peer.received.starts_with("HTTP/1.1 200") ||
                    peer.received.starts_with("GET /") || peer.received.starts_with("POST /");
  if (!fine) {
    std::fprintf(stderr, "gate_driver: unexpected: %.400s\n", peer.received.c_str());
    std::exit(1);
  }
  peer.received.erase(0, size);
  ++peer.num_done;
  return true;
}

}  // namespace sluice::gate
