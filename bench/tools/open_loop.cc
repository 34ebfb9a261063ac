// open_loop PORT PATH CONNECTIONS RATE SECONDS: how long do requests take that arrive when they
// like? Arrivals are a Poisson process of RATE per second, whatever has been answered; a request
// that finds all connections busy waits, and its latency counts from its arrival (no coordinated
// omission). One thread, kept-alive HTTP/1.1 on 127.0.0.1. Prints one line of JSON, times in us.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

// Counts one response's bytes; chunked ones end with an empty chunk and no trailers.
class Response {
 public:
  // True: complete.
  bool add(std::string_view bytes) {
    if (in_body_) {
      if (chunked_) {
        tail_ += bytes;
        if (tail_.size() > 5) tail_.erase(0, tail_.size() - 5);
      } else {
        left_ -= std::min<uint64_t>(left_, bytes.size());
      }
      return done();
    }
    head_ += bytes;
    const size_t end = head_.find("\r\n\r\n");
    if (end == head_.npos) return false;
    in_body_ = true;
    ok_ = head_.starts_with("HTTP/1.1 200");
    const std::string body = head_.substr(end + 4);
    head_.resize(end + 2);
    for (char& c : head_) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    chunked_ = head_.find("\r\ntransfer-encoding: chunked\r\n") != head_.npos;
    const size_t length = head_.find("\r\ncontent-length:");
    if (length != head_.npos) left_ = std::strtoull(head_.c_str() + length + 17, nullptr, 10);
    return add(body);
  }
  bool ok() const { return ok_; }

 private:
  bool done() const { return chunked_ ? tail_ == "0\r\n\r\n" : left_ == 0; }

  std::string head_;
  std::string tail_;
  uint64_t left_ = 0;
  bool in_body_ = false;
  bool chunked_ = false;
  bool ok_ = false;
};

struct Connection {
  int fd = -1;
  int64_t arrived_at = 0;
  Response response;
};

class Load {
 public:
  Load(int port, std::string_view path, size_t num_connections)
      : port_(port), connections_(num_connections) {
    request_ = "GET " + std::string(path) + " HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    set_ = epoll_create1(EPOLL_CLOEXEC);
    for (Connection& c : connections_) open(c);
  }

  void run(double rate, double seconds) {
    std::mt19937_64 random(1);
    std::exponential_distribution<double> gap_s(rate);
    const int64_t begin = now_ns();
    const auto end = begin + static_cast<int64_t>(seconds * 1e9);
    int64_t next = begin;
    while (next < end || !waiting_.empty() || idle_.size() < connections_.size()) {
      const int64_t now = now_ns();
      if (now > end + 5'000'000'000) break;  // what is left by then is an error
      for (; next < end && next <= now; next += static_cast<int64_t>(gap_s(random) * 1e9)) {
        waiting_.push_back(next);
      }
      while (!waiting_.empty() && !idle_.empty()) send_one();
      wait(next < end ? next - now_ns() : 100'000'000);
    }
    late_ = waiting_.size() + connections_.size() - idle_.size();
    errors_ += late_;
  }

  void print() {
    std::sort(latencies_us_.begin(), latencies_us_.end());
    const auto at = [&](double q) {
      if (latencies_us_.empty()) return 0.0;
      const auto last = static_cast<double>(latencies_us_.size() - 1);
      return latencies_us_[static_cast<size_t>(std::lround(q * last))];
    };
    std::printf(
        "{\"answers\": %zu, \"errors\": %zu, \"late\": %zu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": "
        "%.1f, "
        "\"p999\": %.1f, \"max\": %.1f}\n",
        latencies_us_.size(), errors_, late_, at(0.5), at(0.9), at(0.99), at(0.999), at(1));
  }

 private:
  void open(Connection& c) {
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port_));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c.fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      std::perror("open_loop: connect");
      std::exit(1);
    }
    const int on = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &c;
    epoll_ctl(set_, EPOLL_CTL_ADD, c.fd, &event);
    idle_.push_back(&c);
  }

  void send_one() {
    Connection& c = *idle_.back();
    idle_.pop_back();
    c.arrived_at = waiting_.front();
    waiting_.pop_front();
    c.response = Response();
    if (send(c.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) lost(c);
  }

  void wait(int64_t longest_ns) {
    longest_ns = std::max<int64_t>(0, longest_ns);
    const timespec timeout{longest_ns / 1'000'000'000, longest_ns % 1'000'000'000};
    epoll_event events[64];
    const int n = epoll_pwait2(set_, events, 64, &timeout, nullptr);
    for (int i = 0; i < n; ++i) receive(*static_cast<Connection*>(events[i].data.ptr));
  }

  void receive(Connection& c) {
    const ssize_t n = recv(c.fd, buffer_, sizeof(buffer_), 0);
    if (n <= 0) return lost(c);
    if (!c.response.add({buffer_, static_cast<size_t>(n)})) return;
    if (c.response.ok()) {
      latencies_us_.push_back(static_cast<double>(now_ns() - c.arrived_at) / 1e3);
    } else {
      ++errors_;
    }
    idle_.push_back(&c);
  }

  void lost(Connection& c) {
    const bool was_idle = std::erase(idle_, &c) > 0;
    if (!was_idle) ++errors_;
    close(c.fd);
    open(c);
  }

  const int port_;
  std::string request_;
  int set_ = -1;
  std::vector<Connection> connections_;
  std::vector<Connection*> idle_;
  std::deque<int64_t> waiting_;  // arrivals without a connection
  std::vector<double> latencies_us_;
  size_t errors_ = 0;  // late_ is among them: not sent, or not answered, by the end
  size_t late_ = 0;
  char buffer_[65536];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: open_loop PORT PATH CONNECTIONS RATE SECONDS\n");
    return 2;
  }
  Load load(std::atoi(argv[1]), argv[2], static_cast<size_t>(std::atoi(argv[3])));
  load.run(std::atof(argv[4]), std::atof(argv[5]));
  load.print();
  return 0;
}
