#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/h2_peer.h"
#include "tests/support/test_proxy.h"

namespace sluice::testing {

// One body of a test for all four pairs: requests and responses as plain values, asked and answered
// in HTTP/1.1 or HTTP/2.
enum class Http : uint8_t { k1, k2 };

// "h1_to_h2", for tests with a parameter.
std::string pair_name(Http down, Http up);

struct HttpMessage {
  std::string method = "GET", path = "/";  // of a request
  int status = 200;                        // of a response
  std::vector<int> interims;
  Fields fields;
  std::optional<std::string> body;
  bool with_length = true;  // else chunked, or what HTTP/2 has instead
  Fields trailers;
  bool complete = true;  // received to its end
  // A received field or trailer; "" when missing.
  std::string field(std::string_view name) const;
};

// Sends `request` on a connection of its own and reads the answer.
HttpMessage ask(Http http, uint16_t port, const HttpMessage& request);

// Answers every request, when it is complete, as `answer` says, and remembers it.
class AnyOrigin {
 public:
  using Answer = std::function<HttpMessage(const HttpMessage&)>;
  AnyOrigin(Http http, Answer answer);
  uint16_t port() const { return origin_->port(); }
  int connections() const { return origin_->connections(); }
  HttpMessage last_request();
  size_t num_requests();

 private:
  void serve_h1(Socket& socket);
  void serve_h2(Socket& socket);
  HttpMessage take(HttpMessage request);
  Answer answer_;
  std::mutex mutex_;
  std::vector<HttpMessage> requests_;
  std::unique_ptr<ScriptedOrigin> origin_;
};

// The origin's side of a tunnel: each piece comes back as "<piece>", and "bye" when the other side
// has ended. Over HTTP/2 all streams of a connection are tunnels, answered with 200 and `greeting`;
// `check` looks at what asked for each.
void echo_tunnel(Socket& socket);
void echo_tunnels(H2Peer& peer, std::string_view greeting,
                  const std::function<void(const Fields&)>& check);

// A listener that takes both, and one cluster whose endpoint speaks `upstream`.
TestProxy::Config pair_config(Http upstream, uint16_t port);

}  // namespace sluice::testing
