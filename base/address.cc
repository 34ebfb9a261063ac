#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstddef>
#include <cstring>

#include "base/text.h"

namespace sluice::base {

namespace {
constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}

bool IpAddress::parse(std::string_view text, IpAddress* out) noexcept {
  char buffer[kMaxText];
  if (text.empty() || text.size() >= sizeof(buffer)) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  if (std::memchr(buffer, '\0', text.size()) != nullptr) return false;
  IpAddress parsed;
  if (inet_pton(AF_INET, buffer, parsed.bytes + 12) == 1) {
    std::memcpy(parsed.bytes, kMappedPrefix, 12);
    parsed.v4 = true;
  } else if (inet_pton(AF_INET6, buffer, parsed.bytes) != 1) {
    return false;
  }
  *out = parsed;
  return true;
}

size_t IpAddress::format(char* out) const noexcept {
  if (v4) {  // inet_ntop() goes through sprintf(); this is on the way of every log line
    char* next = out;
    for (int i = 12; i < 16; ++i) {
      if (i != 12) *next++ = '.';
      next = std::to_chars(next, next + 3, static_cast<unsigned>(bytes[i])).ptr;
    }
    return static_cast<size_t>(next - out);
  }
  char buffer[kMaxText + 1];
  if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? bytes + 12 : bytes, buffer, sizeof(buffer)) ==
      nullptr) {
    return 0;
  }
  const size_t size = std::strlen(buffer);
  std::memcpy(out, buffer, size);
  return size;
}

std::string IpAddress::to_string() const {
  char buffer[kMaxText];
  return std::string(buffer, format(buffer));
}

bool IpAddress::is_loopback() const noexcept {
  if (v4) return bytes[12] == 127;
  for (int i = 0; i < 15; ++i) {
    if (bytes[i] != 0) return false;
  }
  return bytes[15] == 1;
}

bool IpAddress::is_private() const noexcept {
  if (is_loopback()) return true;
  if (!v4) return (bytes[0] & 0xfe) == 0xfc;
  const uint8_t* b = bytes + 12;
  return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
}

absl::StatusOr<Address> Address::ip(std::string_view host, uint16_t port) {
  IpAddress parsed;
  if (!IpAddress::parse(host, &parsed)) {
    return config_error("malformed IP address: ", host);
  }
  return ip(parsed, port);
}

absl::StatusOr<Address> Address::unix_path(std::string_view path) {
  if (path.empty()) return config_error("pipe path is empty");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return config_error("pipe path \"", path, "\" exceeds ", sizeof(sockaddr_un::sun_path) - 1,
                        " bytes");
  }
  Address a;
  a.family_ = Family::kUnix;
  a.path_ = std::string(path);
  return a;
}

Address Address::from_sockaddr(const sockaddr_storage& storage, socklen_t length) {
  Address a;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &storage, sizeof(in));
    IpAddress ip;
    std::memcpy(ip.bytes, kMappedPrefix, 12);
    std::memcpy(ip.bytes + 12, &in.sin_addr, 4);
    ip.v4 = true;
    return Address::ip(ip, ntohs(in.sin_port));
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &storage, sizeof(in));
    IpAddress ip;
    std::memcpy(ip.bytes, &in.sin6_addr, 16);
    ip.v4 = std::memcmp(ip.bytes, kMappedPrefix, 12) == 0;
    return Address::ip(ip, ntohs(in.sin6_port));
  }
  if (storage.ss_family == AF_UNIX) {
    a.family_ = Family::kUnix;
    sockaddr_un un;
    std::memcpy(&un, &storage, sizeof(un));
    const size_t header = offsetof(sockaddr_un, sun_path);
    if (length > header) {
      a.path_.assign(un.sun_path, length - header);
      if (a.path_[0] == '\0') {
        a.path_[0] = '@';
      } else {
        a.path_.resize(std::strlen(a.path_.c_str()));
      }
    }
  }
  return a;
}

int Address::socket_domain() const noexcept {
  if (family_ == Family::kUnix) return AF_UNIX;
  return ip_.v4 ? AF_INET : AF_INET6;
}

socklen_t Address::to_sockaddr(sockaddr_storage* out) const noexcept {
  std::memset(out, 0, sizeof(*out));
  if (family_ == Family::kUnix) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, path_.data(), path_.size());
    size_t length = offsetof(sockaddr_un, sun_path) + path_.size() + 1;
    if (!path_.empty() && path_[0] == '@') {
      un.sun_path[0] = '\0';
      --length;
    }
    std::memcpy(out, &un, sizeof(un));
    return static_cast<socklen_t>(length);
  }
  if (ip_.v4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port_);
    std::memcpy(&in.sin_addr, ip_.bytes + 12, 4);
    std::memcpy(out, &in, sizeof(in));
    return sizeof(in);
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port_);
  std::memcpy(&in.sin6_addr, ip_.bytes, 16);
  std::memcpy(out, &in, sizeof(in));
  return sizeof(in);
}

std::string Address::to_string() const {
  switch (family_) {
    case Family::kNone:
      return "-";
    case Family::kUnix:
      return path_;
    case Family::kIp:
      break;
  }
  if (ip_.v4) return cat(ip_.to_string(), ":", port_);
  return cat("[", ip_.to_string(), "]:", port_);
}

}  // namespace sluice::base
