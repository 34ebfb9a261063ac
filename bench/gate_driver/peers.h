#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/gate_driver/h2_end.h"
#include "bench/gate_driver/proxy.h"

namespace sluice::gate {

// Peer is one end of a connection whose other end is the proxy: what was received of the message
// that is coming in.
struct Peer {
  int fd = -1;
  std::string_view sends;     // its next message
  std::unique_ptr<H2End> h2;  // instead, where it speaks HTTP/2
  std::string received;
  uint64_t num_done = 0;
};

// Clients and an origin, non-blocking, on loopback. They know of HTTP only where a message ends.
class Peers {
 public:
  Peers(const Scenario& scenario, uint32_t num_clients);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  uint16_t origin_port() const noexcept { return origin_port_; }
  void connect(uint16_t proxy_port);
  std::vector<Peer>& clients() noexcept { return clients_; }
  std::vector<Peer>& origins() noexcept { return origins_; }
  int listener() const noexcept { return listener_; }
  // Takes what the proxy opened. True: there was something.
  bool accept_origins();
  // Sends the peer's whole message; waits for room.
  void send(Peer& peer);
  // All that the peers sent so far.
  uint64_t bytes_sent() const noexcept { return bytes_sent_; }
  // Requests that a client has under way at once.
  uint32_t streams() const noexcept {
    return scenario_.h2_clients && scenario_.request_body_bytes == 0 ? kStreams : 1;
  }
  // Reads what is there. Returns how many bytes.
  uint64_t receive(Peer& peer);
  // Takes a whole message out of what was received, if there is one.
  bool take_message(Peer& peer) const;

  static constexpr uint32_t kStreams = 4;

 private:
  void write(Peer& peer, std::string_view bytes);

  const Scenario& scenario_;
  uint64_t bytes_sent_ = 0;
  std::vector<std::string> requests_;
  std::string response_;
  int listener_ = -1;
  uint16_t origin_port_ = 0;
  std::vector<Peer> clients_;
  std::vector<Peer> origins_;
};

[[noreturn]] void die(const char* what);

}  // namespace sluice::gate
