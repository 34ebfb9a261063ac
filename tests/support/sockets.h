#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::testing {

// Blocking sockets for tests: the plainest client and server that there can be, so that what they
// see on the wire is not what our own code thinks. Every wait has a deadline.
constexpr auto kPatience = std::chrono::seconds(20);

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd);
  Socket(Socket&& o) noexcept : fd_(o.fd_) { o.fd_ = -1; }
  Socket& operator=(Socket&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~Socket() { close(); }

  static Socket connect(uint16_t port);
  static Socket listen(uint16_t* port);  // loopback, a free port
  Socket accept();

  bool ok() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // False: the peer is gone.
  bool send(std::string_view bytes);
  // What came next, at most `max`; empty: closed, reset, or nothing within the deadline.
  std::string receive(size_t max = 65536);
  // Reads until `text` has been seen or the end; returns all.
  std::string receive_until(std::string_view text);
  std::string receive_all();
  // True: orderly close or reset within the deadline, without a byte.
  bool closed_by_peer();
  void half_close();
  void reset();
  void close();

 private:
  int fd_ = -1;
};

// One HTTP/1 message read from a socket: head text up to and with the empty line, and the body as
// its framing says (decoded), read by a plain loop that shares nothing with the product.
struct Message {
  std::string head;
  std::string body;
  std::string raw;  // all of it as it was received
  bool complete = false;
  int status() const;
  // Value of a field, "" when missing; `name` in lower case.
  std::string field(std::string_view name) const;
  std::string first_line() const { return head.substr(0, head.find("\r\n")); }
};
// `rest` holds bytes that were received behind the message, for the next call.
Message read_message(Socket& socket, std::string* rest, bool answers_head = false);

}  // namespace sluice::testing
