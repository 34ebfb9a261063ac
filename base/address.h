#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice::base {

// IpAddress is a 16-byte value; IPv4 is kept as ::ffff:a.b.c.d with `v4` set. Trivially copyable,
// comparable, hashable; any thread. Never parsed with getaddrinfo.
struct IpAddress {
  uint8_t bytes[16] = {};
  bool v4 = false;

  // Accepts "1.2.3.4" and "::1" (no brackets, no zone). False: not an address.
  static bool parse(std::string_view text, IpAddress* out) noexcept;
  // Writes at most kMaxText characters, returns how many; no terminating zero.
  static constexpr size_t kMaxText = 46;
  size_t format(char* out) const noexcept;
  std::string to_string() const;
  bool is_loopback() const noexcept;
  // RFC 1918, RFC 4193 and loopback.
  bool is_private() const noexcept;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(H::combine_contiguous(std::move(h), a.bytes, 16), a.v4);
  }
};

// Address is where a socket listens or connects: IP and port, or the path of a Unix-domain socket
// (a leading '@' names the abstract space). A value; immutable by convention; any thread.
class Address {
 public:
  enum class Family : uint8_t { kNone, kIp, kUnix };

  Address() = default;
  static Address ip(const IpAddress& ip, uint16_t port) {
    Address a;
    a.family_ = Family::kIp;
    a.ip_ = ip;
    a.port_ = port;
    return a;
  }
  // From the fields of a SocketAddress: "0.0.0.0", "::", "::1"...; an error for a host name.
  static absl::StatusOr<Address> ip(std::string_view host, uint16_t port);
  // From a Pipe. An error when the path does not fit in sockaddr_un.
  static absl::StatusOr<Address> unix_path(std::string_view path);
  // From what accept() or getsockname() filled.
  static Address from_sockaddr(const sockaddr_storage& storage, socklen_t length);

  Family family() const noexcept { return family_; }
  bool is_ip() const noexcept { return family_ == Family::kIp; }
  bool is_unix() const noexcept { return family_ == Family::kUnix; }
  const IpAddress& ip() const noexcept { return ip_; }
  uint16_t port() const noexcept { return port_; }
  const std::string& path() const noexcept { return path_; }
  int socket_domain() const noexcept;
  socklen_t to_sockaddr(sockaddr_storage* out) const noexcept;

  // "1.2.3.4:80", "[::1]:80", "/run/x.sock": Envoy's way of writing addresses.
  std::string to_string() const;

  friend bool operator==(const Address&, const Address&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine(std::move(h), a.family_, a.ip_, a.port_, a.path_);
  }

 private:
  Family family_ = Family::kNone;
  uint16_t port_ = 0;
  IpAddress ip_;
  std::string path_;
};

}  // namespace sluice::base
