#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::origin {

// Connection is the HTTP/1.1 side of the demo origin, without sockets: bytes in, bytes out. It
// serves well-formed requests, pipelined ones too, and is meant to stand behind a proxy, not on a
// network.
//
//   /bytes/N    N bytes
//   /slow/MS    answers after MS milliseconds
//   /status/N   answers with that status
//   /chunked    a chunked body with a trailer
//   /echo       the request head as it arrived, as body
//   others      the origin's name and the path
// Every response has x-origin: NAME and x-request-body: how many body bytes came.
class Connection {
 public:
  explicit Connection(std::string_view name) : name_(name) {}

  void receive(std::string_view bytes) { in_ += bytes; }
  // Answers what is complete. Returns 0, or for how many milliseconds to wait before calling again.
  int64_t answer();
  std::string& out() noexcept { return out_; }
  bool closes() const noexcept { return closes_; }

 private:
  bool take_request();
  bool take_body();
  bool take_chunk();
  void respond();
  void write(int status, std::string_view fields, std::string_view body);

  std::string name_;
  std::string in_;
  std::string out_;
  // The request being read.
  enum class At : uint8_t { kHead, kLength, kChunk, kTrailer, kDone } at_ = At::kHead;
  std::string head_;
  std::string path_;
  bool is_head_ = false;
  bool closes_ = false;
  bool waited_ = false;
  uint64_t left_ = 0;
  uint64_t body_bytes_ = 0;
};

}  // namespace sluice::origin
