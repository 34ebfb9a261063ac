#include "tools/mock-cp/http_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/address.h"
#include "base/arena.h"
#include "base/text.h"
#include "http/h1_body.h"
#include "http/h1_parser.h"

namespace sluice::mock_cp {
namespace {

constexpr size_t kMostHead = 32 * 1024;
constexpr int kPatienceMs = 30'000;  // for the rest of a request, and for a client that takes

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    default:
      return "Error";
  }
}

// One client, on a thread of its own.
class Connection {
 public:
  Connection(int fd, const HttpServer::Handler& handler) : fd_(fd), handler_(handler) {}

  void serve() {
    while (const auto request = read()) {
      if (!write(handler_(*request)) || !keep_alive_) return;
    }
  }

 private:
  // nullopt: the connection is over, or the request was refused.
  std::optional<HttpServer::Request> read() {
    base::BlockPool pool;
    base::Arena arena(pool);
    http::RequestHead head;
    head.fields.bind(&arena);
    HttpServer::Request out;
    if (!read_head(head, &out) || !read_body(head, arena, &out.body)) return std::nullopt;
    return out;
  }

  bool read_head(http::RequestHead& head, HttpServer::Request* out) {
    constexpr http::H1Options kOptions = {.max_head_bytes = kMostHead, .accept_http_10 = true};
    using Status = http::HeadResult::Status;
    for (size_t scanned = 0;;) {
      // The head's views are into this copy, which stays; what follows it is still in in_.
      head_bytes_.assign(in_, 0, std::min(in_.size(), kMostHead));
      const auto result = http::parse_request_head(head_bytes_.data(), head_bytes_.size(), scanned,
                                                   kOptions, &head);
      if (result.status == Status::kDone) {
        in_.erase(0, result.consumed);
        take_head(head, out);
        return true;
      }
      scanned = head_bytes_.size();
      if (result.status == Status::kBad || scanned >= kMostHead) {
        return refuse(400, base::text_of(result.reason).sentence);
      }
      if (!receive(in_.empty() ? -1 : kPatienceMs)) return false;
    }
  }

  void take_head(const http::RequestHead& head, HttpServer::Request* out) {
    keep_alive_ = head.keep_alive;
    out->head.method = head.method;
    out->content_type = head.fields.value(http::HeaderId::kContentType);
    out->head.path = std::string(head.path_only());
    if (const size_t mark = head.path.find('?'); mark != std::string_view::npos) {
      admin::parse_params(head.path.substr(mark + 1), &out->head);
    }
  }

  bool read_body(const http::RequestHead& head, base::Arena& arena, std::string* body) {
    if (head.framing.kind == http::Framing::Kind::kNone) return true;
    if (head.expect_continue) send_all("HTTP/1.1 100 Continue\r\n\r\n");
    http::H1BodyDecoder decoder;
    decoder.start(head.framing, &arena);
    using Kind = http::H1BodyDecoder::Step::Kind;
    while (true) {
      const auto step = decoder.next(in_.data(), in_.size());
      body->append(in_, step.skip, step.size);
      in_.erase(0, step.skip + step.size);
      if (step.kind == Kind::kEnd) return true;
      if (step.kind == Kind::kBad) return refuse(400, base::text_of(step.reason).sentence);
      if (body->size() > HttpServer::kMostBody) return refuse(413, "the body is too large");
      if (step.kind == Kind::kMore && !receive(kPatienceMs)) return false;
    }
  }

  bool receive(int patience_ms) {
    pollfd waits = {fd_, POLLIN, 0};
    if (poll(&waits, 1, patience_ms) <= 0) return false;
    char buffer[16 * 1024];
    const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    in_.append(buffer, static_cast<size_t>(got));
    return true;
  }

  bool refuse(int status, std::string_view why) {
    keep_alive_ = false;
    write({status, base::cat("{\"error\": \"", why, "\"}\n")});
    return false;
  }

  bool write(const HttpServer::Response& response) {
    return send_all(
        base::cat("HTTP/1.1 ", response.status, " ", reason_of(response.status),
                  "\r\ncontent-type: ", response.type, "\r\ncontent-length: ", response.body.size(),
                  keep_alive_ ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n", response.body));
  }

  bool send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  const int fd_;
  const HttpServer::Handler& handler_;
  std::string in_;
  std::string head_bytes_;
  bool keep_alive_ = true;
};

absl::StatusOr<base::Address> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  std::string_view host = colon == text.npos ? "127.0.0.1" : text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string_view digits = colon == text.npos ? text : text.substr(colon + 1);
  uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
    return base::config_error("--admin: expected ADDR:PORT or PORT: ", text);
  }
  return base::Address::ip(host, port);
}

class ThreadedServer final : public HttpServer {
 public:
  explicit ThreadedServer(Handler handler)
      : handler_(std::move(handler)), stop_fd_(eventfd(0, EFD_CLOEXEC)) {}

  ~ThreadedServer() override {
    const uint64_t one = 1;
    if (::write(stop_fd_, &one, sizeof(one)) < 0) std::abort();
    if (acceptor_.joinable()) acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const Client& client : clients_) shutdown(client.fd, SHUT_RDWR);
    }
    reap(true);
    if (listen_fd_ >= 0) close(listen_fd_);
    close(stop_fd_);
  }

  absl::Status listen(const base::Address& address) {
    sockaddr_storage storage = {};
    const socklen_t length = address.to_sockaddr(&storage);
    listen_fd_ = socket(address.socket_domain(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(listen_fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (listen_fd_ < 0 || bind(listen_fd_, reinterpret_cast<sockaddr*>(&storage), length) != 0 ||
        ::listen(listen_fd_, 64) != 0) {
      return base::config_error("--admin: cannot listen on ", address.to_string(),
                                " (is it in use?)");
    }
    socklen_t size = sizeof(storage);
    getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&storage), &size);
    port_ = base::Address::from_sockaddr(storage, size).port();
    acceptor_ = std::thread([this] { accept_all(); });
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  struct Client {
    int fd;
    bool done = false;
    std::thread thread;
  };

  void accept_all() {
    while (true) {
      pollfd waits[2] = {{listen_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
      if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
      if (waits[1].revents != 0) return;
      if (waits[0].revents == 0) continue;
      const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      reap(false);
      const std::lock_guard lock(mutex_);
      if (clients_.size() >= kMostConnections) {
        close(fd);
        continue;
      }
      Client& client = clients_.emplace_back(Client{fd, false, {}});
      client.thread = std::thread([this, &client] { serve(client); });
    }
  }

  void serve(Client& client) {
    const timeval patience = {kPatienceMs / 1000, 0};
    setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    Connection(client.fd, handler_).serve();
    shutdown(client.fd, SHUT_RDWR);
    const std::lock_guard lock(mutex_);
    client.done = true;
  }

  void reap(bool all) {
    std::list<Client> over;
    {
      const std::lock_guard lock(mutex_);
      for (auto it = clients_.begin(); it != clients_.end();) {
        const auto next = std::next(it);
        if (all || it->done) over.splice(over.end(), clients_, it);
        it = next;
      }
    }
    for (Client& client : over) {
      client.thread.join();
      close(client.fd);
    }
  }

  const Handler handler_;
  const int stop_fd_;
  int listen_fd_ = -1;
  int port_ = 0;
  std::thread acceptor_;
  std::mutex mutex_;
  std::list<Client> clients_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(std::string_view address,
                                                              Handler handler) {
  const auto parsed = parse_address(address);
  if (!parsed.ok()) return parsed.status();
  auto server = std::make_unique<ThreadedServer>(std::move(handler));
  if (absl::Status status = server->listen(*parsed); !status.ok()) return status;
  return server;
}

}  // namespace sluice::mock_cp
