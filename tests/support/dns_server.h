#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::testing {

// A DNS server on loopback, UDP and TCP on one free port, that answers as a test says. It writes
// its messages itself, so that nothing is shared with the resolver. One thread; counts questions.
class DnsServer {
 public:
  struct Record {
    std::vector<std::string> v4 = {};
    std::vector<std::string> v6 = {};
    uint32_t ttl_s = 60;
    int rcode = 0;           // 2: SERVFAIL, 3: NXDOMAIN, 5: REFUSED
    bool silent = false;     // never answers
    bool over_tcp = false;   // over UDP it only says "cut"
    std::string alias = {};  // a CNAME in front, of this name; the addresses are the alias'
  };

  DnsServer() {
    for (int i = 0; i < 100 && !open(); ++i) {
    }
    EXPECT_TRUE(udp_ >= 0 && tcp_ >= 0) << "no port for a DNS server";
    thread_ = std::thread([this] { run(); });
  }
  ~DnsServer() {
    stop_ = true;
    thread_.join();
    ::close(udp_);
    ::close(tcp_);
  }
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  uint16_t port() const { return port_; }
  // Names that nobody put do not exist.
  void put(const std::string& name, Record record) {
    const std::lock_guard lock(mutex_);
    records_[name] = std::move(record);
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    records_.erase(name);
  }
  // "A a.test", "AAAA a.test", "tcp A a.test", in order.
  std::vector<std::string> questions() {
    const std::lock_guard lock(mutex_);
    return questions_;
  }

 private:
  static constexpr uint16_t kA = 1, kCname = 5, kAaaa = 28;

  bool open() {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (udp_ >= 0) ::close(udp_);
    if (tcp_ >= 0) ::close(tcp_);
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(any);
    auto* address = reinterpret_cast<sockaddr*>(&any);
    if (::bind(udp_, address, length) != 0 || ::getsockname(udp_, address, &length) != 0) {
      return false;
    }
    port_ = ntohs(any.sin_port);
    return ::bind(tcp_, address, length) == 0 && ::listen(tcp_, 16) == 0;
  }

  void run() {
    while (!stop_) {
      pollfd fds[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
      if (::poll(fds, 2, 20) <= 0) continue;
      if (fds[0].revents != 0) serve_udp();
      if (fds[1].revents != 0) serve_tcp();
    }
  }

  void serve_udp() {
    char buffer[2048];
    sockaddr_storage from{};
    socklen_t length = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    const ssize_t n = ::recvfrom(udp_, buffer, sizeof(buffer), MSG_DONTWAIT, address, &length);
    if (n <= 0) return;
    const std::string out = answer({buffer, static_cast<size_t>(n)}, false);
    if (!out.empty()) ::sendto(udp_, out.data(), out.size(), 0, address, length);
  }

  void serve_tcp() {
    const int fd = ::accept(tcp_, nullptr, nullptr);
    if (fd < 0) return;
    timeval patience{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    unsigned char head[2];
    while (::recv(fd, head, 2, MSG_WAITALL) == 2) {
      std::string in(static_cast<size_t>(head[0] << 8 | head[1]), '\0');
      if (::recv(fd, in.data(), in.size(), MSG_WAITALL) != static_cast<ssize_t>(in.size())) break;
      std::string out = answer(in, true);
      out = number(static_cast<uint16_t>(out.size())) + out;
      if (::send(fd, out.data(), out.size(), MSG_NOSIGNAL) < 0) break;
    }
    ::close(fd);
  }

  static std::string number(uint16_t n) {
    return {static_cast<char>(n >> 8), static_cast<char>(n & 255)};
  }
  static std::string number32(uint32_t n) {
    return number(static_cast<uint16_t>(n >> 16)) + number(static_cast<uint16_t>(n & 0xffff));
  }
  static std::string labels(std::string_view name) {
    std::string out;
    while (!name.empty()) {
      const size_t dot = std::min(name.find('.'), name.size());
      out += static_cast<char>(dot);
      out += name.substr(0, dot);
      name.remove_prefix(std::min(dot + 1, name.size()));
    }
    return out + '\0';
  }
  static std::string bytes_of(int family, const std::string& address) {
    char buffer[16];
    EXPECT_EQ(::inet_pton(family, address.c_str(), buffer), 1) << address;
    return {buffer, family == AF_INET ? size_t{4} : size_t{16}};
  }

  // Empty: no answer.
  std::string answer(std::string_view in, bool tcp) {
    size_t at = 12;
    std::string name;
    while (at < in.size() && in[at] != 0) {
      if (!name.empty()) name += '.';
      name += in.substr(at + 1, static_cast<unsigned char>(in[at]));
      at += 1 + static_cast<unsigned char>(in[at]);
    }
    if (at + 5 > in.size()) return {};
    const uint16_t type = static_cast<uint16_t>(static_cast<unsigned char>(in[at + 1]) << 8 |
                                                static_cast<unsigned char>(in[at + 2]));
    const std::string question(in.substr(12, at + 5 - 12));

    const std::lock_guard lock(mutex_);
    questions_.push_back(std::string(tcp ? "tcp " : "") + (type == kA ? "A " : "AAAA ") + name);
    const auto it = records_.find(name);
    Record record;
    record.rcode = 3;
    if (it != records_.end()) record = it->second;
    if (record.silent) return {};
    const bool cut = record.over_tcp && !tcp;
    std::vector<std::string> out;
    std::string owner = "\xc0\x0c";  // the question's name
    if (!record.alias.empty()) {
      const std::string alias = labels(record.alias);
      out.push_back(owner + number(kCname) + number(1) + number32(record.ttl_s) +
                    number(static_cast<uint16_t>(alias.size())) + alias);
      owner = alias;
    }
    for (const std::string& a : type == kA ? record.v4 : record.v6) {
      const std::string bytes = bytes_of(type == kA ? AF_INET : AF_INET6, a);
      out.push_back(owner + number(type) + number(1) + number32(record.ttl_s) +
                    number(static_cast<uint16_t>(bytes.size())) + bytes);
    }
    if (cut || record.rcode != 0) out.clear();
    std::string message(in.substr(0, 2));
    message += number(static_cast<uint16_t>(0x8180 | (cut ? 0x0200 : 0) | record.rcode));
    message += number(1) + number(static_cast<uint16_t>(out.size())) + number(0) + number(0);
    message += question;
    for (const std::string& text : out) message += text;
    return message;
  }

  int udp_ = -1, tcp_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;
  std::map<std::string, Record> records_;
  std::vector<std::string> questions_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace sluice::testing
