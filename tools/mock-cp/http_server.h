#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "admin/page.h"

namespace sluice::mock_cp {

// HttpServer is mock-cp's HTTP interface: plain HTTP/1.1 with keep-alive on http/'s strict parser.
//
// A thread for each connection, at most kMostConnections, so that a handler may simply wait; bodies
// up to kMostBody. The handler is called from these threads. Destroying the server closes all
// connections and joins their threads: whatever a handler waits for must have ended by then.
// Errors of start(): the address.
class HttpServer {
 public:
  static constexpr size_t kMostConnections = 64;
  static constexpr size_t kMostBody = size_t{64} << 20;

  struct Request {
    admin::Request head;  // method, decoded path, parameters of the query
    std::string content_type;
    std::string body;
  };
  struct Response {
    int status = 200;
    std::string body;
    std::string_view type = "application/json";
  };
  using Handler = std::function<Response(const Request&)>;

  // "ADDR:PORT" or "PORT", which is on 127.0.0.1; port 0: any.
  static absl::StatusOr<std::unique_ptr<HttpServer>> start(std::string_view address,
                                                           Handler handler);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
};

}  // namespace sluice::mock_cp
