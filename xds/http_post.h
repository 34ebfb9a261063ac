#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace sluice::xds {

// http_post() is one HTTP/1.1 POST on a connection of its own, for who polls now and then: it
// blocks the thread that calls, for `timeout` at most (and for a name's resolution). Any thread but
// main. The response may be delimited by its length, by chunks or by its end, and have kMaxAnswer
// bytes.
constexpr size_t kMaxAnswer = size_t{64} << 20;

struct HttpAnswer {
  int status = 0;
  std::string body;
};

struct HttpPost {
  // As gRPC writes targets: "ipv4:1.2.3.4:5", "ipv6:[::1]:5", "unix:/path", "unix-abstract:name",
  // "dns:///host:5".
  std::string target;
  std::string host;  // the Host header
  std::string path;
  std::string body;  // JSON
  std::chrono::nanoseconds timeout{1'000'000'000};
};

// An error: no answer, and why.
absl::StatusOr<HttpAnswer> http_post(const HttpPost& post);

}  // namespace sluice::xds
