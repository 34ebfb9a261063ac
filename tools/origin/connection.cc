#include "tools/origin/connection.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace sluice::origin {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// Value of a field in a lower-case head; empty: none.
std::string field(const std::string& head, std::string_view name) {
  const size_t at = head.find("\r\n" + std::string(name) + ":");
  if (at == head.npos) return {};
  size_t begin = at + name.size() + 3;
  while (head[begin] == ' ') ++begin;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

// The number after `prefix`; -1: the path does not begin so.
int64_t number_after(const std::string& path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return -1;
  return std::atoll(path.c_str() + prefix.size());
}

}  // namespace

int64_t Connection::answer() {
  while (!closes_) {
    if (at_ == At::kHead && !take_request()) return 0;
    if (!take_body()) return 0;
    const int64_t slow_ms = number_after(path_, "/slow/");
    if (slow_ms > 0 && !waited_) {
      waited_ = true;
      return slow_ms;
    }
    respond();
    at_ = At::kHead;
    waited_ = false;
  }
  return 0;
}

bool Connection::take_request() {
  const size_t end = in_.find("\r\n\r\n");
  if (end == in_.npos) return false;
  head_ = in_.substr(0, end + 4);
  in_.erase(0, end + 4);
  const size_t first = head_.find(' ');
  const size_t second = head_.find(' ', first + 1);
  path_ = head_.substr(first + 1, second - first - 1);
  is_head_ = head_.starts_with("HEAD ");
  const std::string fields = lower(head_);
  closes_ = field(fields, "connection") == "close";
  body_bytes_ = 0;
  left_ = 0;
  at_ = At::kLength;
  if (field(fields, "transfer-encoding") == "chunked") {
    at_ = At::kChunk;
  } else if (const std::string length = field(fields, "content-length"); !length.empty()) {
    left_ = std::strtoull(length.c_str(), nullptr, 10);
  }
  if (field(fields, "expect") == "100-continue") out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  return true;
}

bool Connection::take_body() {
  while (at_ == At::kChunk || at_ == At::kTrailer) {
    if (!take_chunk()) return false;
  }
  if (at_ == At::kDone) return true;
  const uint64_t n = std::min<uint64_t>(left_, in_.size());
  in_.erase(0, n);
  left_ -= n;
  body_bytes_ += n;
  if (left_ > 0) return false;
  at_ = At::kDone;
  return true;
}

// One chunk, or one line of the trailer section.
bool Connection::take_chunk() {
  const size_t line = in_.find("\r\n");
  if (line == in_.npos) return false;
  if (at_ == At::kTrailer) {
    if (line == 0) at_ = At::kDone;
    in_.erase(0, line + 2);
    return true;
  }
  const uint64_t size = std::strtoull(in_.c_str(), nullptr, 16);
  if (size == 0) {
    at_ = At::kTrailer;
    in_.erase(0, line + 2);
    return true;
  }
  if (in_.size() < line + 2 + size + 2) return false;
  in_.erase(0, line + 2 + size + 2);
  body_bytes_ += size;
  return true;
}

void Connection::respond() {
  if (const int64_t size = number_after(path_, "/bytes/"); size >= 0) {
    write(200, "", std::string(static_cast<size_t>(std::min<int64_t>(size, 1 << 30)), 'x'));
  } else if (const int64_t status = number_after(path_, "/status/"); status >= 200) {
    write(static_cast<int>(status), "", status == 204 || status == 304 ? "" : name_ + "\n");
  } else if (path_.starts_with("/chunked")) {
    write(200, "transfer-encoding: chunked\r\ntrailer: x-sum\r\n",
          "5\r\nhello\r\n6\r\n world\r\n0\r\nx-sum: 11\r\n\r\n");
  } else if (path_.starts_with("/echo")) {
    write(200, "content-type: text/plain\r\n", head_);
  } else {
    write(200, "content-type: text/plain\r\n", name_ + " " + path_ + "\n");
  }
}

void Connection::write(int status, std::string_view fields, std::string_view body) {
  const bool chunked = fields.find("chunked") != fields.npos;
  const bool bodiless = status == 204 || status == 304;
  out_ += "HTTP/1.1 " + std::to_string(status) + " X\r\nx-origin: " + name_ +
          "\r\nx-request-body: " + std::to_string(body_bytes_) + "\r\n";
  out_ += fields;
  if (!chunked && !bodiless) out_ += "content-length: " + std::to_string(body.size()) + "\r\n";
  if (closes_) out_ += "connection: close\r\n";
  out_ += "\r\n";
  if (!is_head_ && !bodiless) out_ += body;
}

}  // namespace sluice::origin
