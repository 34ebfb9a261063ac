#include "xds/http_post.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "base/text.h"

namespace sluice::xds {
namespace {

using Clock = std::chrono::steady_clock;
using Text = std::string_view;

constexpr size_t kMaxHead = 64 * 1024;

absl::Status failed(Text what) {
  return absl::UnavailableError(base::cat(what, ": ", std::strerror(errno)));
}

// A socket whose every operation ends with the deadline.
class Connection {
 public:
  explicit Connection(Clock::time_point deadline) : deadline_(deadline) {}
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status open(const sockaddr* address, socklen_t size) {
    fd_ = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return failed("socket");
    if (connect(fd_, address, size) == 0) return absl::OkStatus();
    if (errno != EINPROGRESS) return failed("connect");
    if (absl::Status s = wait(POLLOUT); !s.ok()) return s;
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    return error == 0 ? absl::OkStatus() : failed("connect");
  }

  absl::Status write(Text bytes) {
    while (!bytes.empty()) {
      const ssize_t size = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size > 0) {
        bytes.remove_prefix(static_cast<size_t>(size));
      } else if (errno != EAGAIN && errno != EINTR) {
        return failed("send");
      } else if (absl::Status s = wait(POLLOUT); !s.ok()) {
        return s;
      }
    }
    return absl::OkStatus();
  }

  // Appends what is there; false: the end.
  absl::StatusOr<bool> read(std::string* out) {
    char buffer[16 * 1024];
    while (true) {
      const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
      if (size > 0) out->append(buffer, static_cast<size_t>(size));
      if (size >= 0) return size > 0;
      if (errno != EAGAIN && errno != EINTR) return failed("recv");
      if (absl::Status s = wait(POLLIN); !s.ok()) return s;
    }
  }

 private:
  absl::Status wait(short events) const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    pollfd fd{fd_, events, 0};
    if (left.count() > 0 && poll(&fd, 1, static_cast<int>(left.count())) != 0) {
      return absl::OkStatus();  // an error shows in the next operation
    }
    return absl::DeadlineExceededError("no answer within request_timeout");
  }

  Clock::time_point deadline_;
  int fd_ = -1;
};

absl::Status open_unix(Connection& connection, Text path, bool abstract) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t offset = abstract ? 1 : 0;
  if (path.size() + offset >= sizeof(address.sun_path)) {
    return base::config_error("socket path too long: ", path);
  }
  std::copy(path.begin(), path.end(), address.sun_path + offset);
  const size_t size = offsetof(sockaddr_un, sun_path) + offset + path.size() + (abstract ? 0 : 1);
  return connection.open(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
}

absl::Status open_host(Connection& connection, Text host_port) {
  const size_t colon = host_port.rfind(':');
  if (colon == Text::npos) return base::config_error("no port: ", host_port);
  std::string host(host_port.substr(0, colon));
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  const std::string port(host_port.substr(colon + 1));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &list); error != 0) {
    return absl::UnavailableError(base::cat(host, ": ", gai_strerror(error)));
  }
  const absl::Status status = connection.open(list->ai_addr, list->ai_addrlen);
  freeaddrinfo(list);
  return status;
}

absl::Status open(Connection& connection, Text target) {
  const auto take = [&](Text scheme) {
    if (!target.starts_with(scheme)) return false;
    target.remove_prefix(scheme.size());
    return true;
  };
  if (take("unix-abstract:")) return open_unix(connection, target, true);
  if (take("unix:")) return open_unix(connection, target, false);
  if (!take("dns:///") && !take("ipv4:")) take("ipv6:");
  return open_host(connection, target.substr(0, target.find(',')));
}

// What the head says of the answer.
struct Head {
  int status = 0;
  std::optional<size_t> length;
  bool chunked = false;
};

bool same(Text a, Text b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

Text trimmed(Text text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

template <typename N>
bool number(Text text, N* out, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

absl::StatusOr<Head> parse_head(Text text) {
  Head head;
  if (!text.starts_with("HTTP/1.") || text.size() < 12 ||
      !number(text.substr(9, 3), &head.status)) {
    return base::config_error("not an HTTP/1 response");
  }
  while (!text.empty()) {
    const Text line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t colon = line.find(':');
    if (colon == Text::npos) continue;
    const Text name = line.substr(0, colon);
    const Text value = trimmed(line.substr(colon + 1));
    if (same(name, "transfer-encoding")) head.chunked = same(value, "chunked");
    if (!same(name, "content-length")) continue;
    head.length.emplace();
    if (!number(value, &*head.length) || *head.length > kMaxAnswer) {
      return base::config_error("content-length: ", value);
    }
  }
  return head;
}

// The body of a chunked response; none: there must be more to come.
absl::StatusOr<std::optional<std::string>> unchunk(Text rest) {
  std::string body;
  while (true) {
    const size_t end = rest.find('\n');
    if (end == Text::npos) return std::nullopt;
    const Text line = trimmed(rest.substr(0, end));
    size_t size = 0;
    if (!number(trimmed(line.substr(0, line.find(';'))), &size, 16) || size > kMaxAnswer) {
      return base::config_error("not a chunk");
    }
    rest.remove_prefix(end + 1);
    if (size == 0) return body;  // trailers are not looked at
    if (rest.size() < size + 2) return std::nullopt;
    body.append(rest.substr(0, size));
    rest.remove_prefix(size);
    if (!rest.starts_with("\r\n")) return base::config_error("not a chunk's end");
    rest.remove_prefix(2);
  }
}

absl::StatusOr<HttpAnswer> receive(Connection& connection) {
  std::string in;
  std::optional<Head> head;
  size_t body_at = 0;
  while (true) {
    auto more = connection.read(&in);
    if (!more.ok()) return more.status();
    if (!head) {
      const size_t end = in.find("\r\n\r\n");
      if (end != std::string::npos) {
        auto parsed = parse_head(Text(in).substr(0, end));
        if (!parsed.ok()) return parsed.status();
        head = *parsed;
        body_at = end + 4;
      } else if (!*more || in.size() > kMaxHead) {
        return base::config_error("not an HTTP/1 response");
      }
    }
    if (head) {
      const Text body = Text(in).substr(body_at);
      if (head->status == 304 || head->status == 204) return HttpAnswer{head->status, ""};
      if (head->chunked) {
        auto whole = unchunk(body);
        if (!whole.ok()) return whole.status();
        if (*whole) return HttpAnswer{head->status, **std::move(whole)};
      } else if (head->length && body.size() >= *head->length) {
        return HttpAnswer{head->status, std::string(body.substr(0, *head->length))};
      } else if (!head->length && !*more) {
        return HttpAnswer{head->status, std::string(body)};
      }
    }
    if (!*more) return base::config_error("the response is cut");
    if (in.size() > kMaxAnswer + kMaxHead) return base::config_error("the response is too large");
  }
}

}  // namespace

absl::StatusOr<HttpAnswer> http_post(const HttpPost& post) {
  Connection connection(Clock::now() + post.timeout);
  absl::Status s = open(connection, post.target);
  if (!s.ok()) return s;
  s = connection.write(base::cat("POST ", post.path, " HTTP/1.1\r\nhost: ", post.host,
                                 "\r\ncontent-type: application/json\r\naccept: application/json"
                                 "\r\nconnection: close\r\ncontent-length: ",
                                 post.body.size(), "\r\n\r\n", post.body));
  if (!s.ok()) return s;
  return receive(connection);
}

}  // namespace sluice::xds
