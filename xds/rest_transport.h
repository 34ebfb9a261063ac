#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "xds/config_source.h"
#include "xds/transport.h"

namespace sluice::xds {

// RestTransport makes of a server that is polled one that sends: the request that the client made
// last is posted as JSON, now and then every refresh_delay and a bit (xds.md 1.11), and what comes
// back is given to the client. One request at a time, to the next server after a failure; a request
// with new names does not wait for its time and says no version, because a server that compares
// only versions (go-control-plane's) would answer 304 and never send them. 304 is no news; anything
// but 200 and 304 is reported and changes nothing.
//
// Main only; polls run on a thread of their own, and what they bring is read there. Nonces and
// error details are not sent: version_info says what was accepted (rules 170, 173). One stream at a
// time. `executor` outlives it; the destructor waits for a poll that is out, request_timeout at
// most.
class RestTransport final : public Transport {
 public:
  RestTransport(RestSource source, Type type, Executor& executor);
  ~RestTransport() override;

  std::unique_ptr<Stream> open(std::string_view method, StreamEvents& events) override;

 private:
  class Poller;
  class RestStream;
  std::shared_ptr<Poller> poller_;
  Executor& executor_;
};

}  // namespace sluice::xds
