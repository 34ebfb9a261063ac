// Lock-step: sixteen clients send, the worker takes its turns, the origin answers all, the worker
// takes its turns, the clients read. One thread; nothing depends on how fast anyone is: before a
// turn, what was sent to the worker has arrived, and what it sent is waited for. So a request costs
// the same instructions in every run.

#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include <cstdio>

#include "base/buffer.h"
#include "bench/gate_driver/modes.h"
#include "bench/gate_driver/peers.h"

namespace sluice::gate {

namespace {

constexpr uint32_t kClients = 16;
constexpr int kMaxTurns = 1000;  // in one half of a round; more is a hang
constexpr int kHighestFd = 512;

class LockStep {
 public:
  LockStep(const Scenario& scenario, const Probe& probe)
      : probe_(probe),
        peers_(scenario, kClients),
        lone_(scenario, peers_.origin_port(),
              probe.available() ? base::Clock::Kind::kSystem : base::Clock::Kind::kManual) {
    peers_.connect(lone_.port());
  }

  void round() {
    for (Peer& client : peers_.clients()) {
      for (uint32_t i = 0; i < peers_.streams(); ++i) peers_.send(client);
    }
    half(peers_.origins(), true);
    half(peers_.clients(), false);
  }
  void measure(bool on) {
    measuring_ = on;
    turns_ = on ? 0 : turns_;
    if (on) worker_fds_ = find_worker_fds();
  }
  uint64_t turns() const { return turns_; }
  uint32_t requests_per_round() const { return kClients * peers_.streams(); }
  const SluiceGateCounts& sum() const { return sum_; }
  const base::CopyCount& copied() const { return copied_; }

 private:
  // Turns until every client's message has come out at the other end.
  void half(std::vector<Peer>& to, bool at_origin) {
    uint32_t num_done = 0;
    for (int i = 0; num_done < kClients * peers_.streams(); ++i) {
      if (i == kMaxTurns) die("no progress");
      await_arrival();
      turn();
      if (at_origin) peers_.accept_origins();
      collect();
      for (Peer& peer : to) {
        while (peers_.take_message(peer)) {
          ++num_done;
          if (at_origin) peers_.send(peer);
        }
      }
    }
  }

  void turn() {
    net::Loop& loop = lone_.worker().loop();
    loop.clock().advance(100'000);
    if (!measuring_) {
      loop.poll_once();
      return;
    }
    ++turns_;
    const SluiceGateCounts before = probe_.mine();
    const base::CopyCount copies_before = base::copies();
    CALLGRIND_TOGGLE_COLLECT;
    loop.poll_once();
    CALLGRIND_TOGGLE_COLLECT;
    add_difference(&sum_, before, probe_.mine());
    copied_.body_bytes += base::copies().body_bytes - copies_before.body_bytes;
    copied_.head_bytes += base::copies().head_bytes - copies_before.head_bytes;
  }

  // What the peers sent lies in the worker's sockets.
  void await_arrival() {
    if (!measuring_) return;
    for (int i = 0; i < 1'000'000; ++i) {
      uint64_t arrived = lone_.worker().loop().counters().bytes_received;
      for (const int fd : worker_fds_) {
        int waiting = 0;
        if (::ioctl(fd, FIONREAD, &waiting) == 0) arrived += static_cast<uint64_t>(waiting);
      }
      if (arrived >= peers_.bytes_sent()) return;
    }
    die("bytes did not arrive");
  }

  // What the worker sent has been received here.
  void collect() {
    for (int i = 0;; ++i) {
      for (auto* peers : {&peers_.clients(), &peers_.origins()}) {
        for (Peer& peer : *peers) received_ += peers_.receive(peer);
      }
      if (received_ >= lone_.worker().loop().counters().bytes_sent) return;
      if (i == 1'000'000) die("bytes were lost");
      peers_.accept_origins();
    }
  }

  // The worker's ends: sockets whose other end is one of the peers'.
  std::vector<int> find_worker_fds() {
    std::vector<in_port_t> ports;
    for (auto* peers : {&peers_.clients(), &peers_.origins()}) {
      for (const Peer& peer : *peers) ports.push_back(port_of(peer.fd, &::getsockname));
    }
    std::vector<int> found;
    for (int fd = 3; fd < kHighestFd; ++fd) {
      if (is_peer(fd)) continue;
      const in_port_t other = port_of(fd, &::getpeername);
      for (const in_port_t port : ports) {
        if (other != 0 && other == port) {
          found.push_back(fd);
          break;
        }
      }
    }
    return found;
  }
  static in_port_t port_of(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
    sockaddr_in in{};
    socklen_t size = sizeof(in);
    return ask(fd, reinterpret_cast<sockaddr*>(&in), &size) == 0 ? in.sin_port : in_port_t{0};
  }
  bool is_peer(int fd) {
    for (auto* peers : {&peers_.clients(), &peers_.origins()}) {
      for (const Peer& peer : *peers) {
        if (peer.fd == fd) return true;
      }
    }
    return false;
  }

  const Probe& probe_;
  Peers peers_;
  LoneWorker lone_;
  bool measuring_ = false;
  uint64_t received_ = 0;
  uint64_t turns_ = 0;
  std::vector<int> worker_fds_;
  SluiceGateCounts sum_{};
  base::CopyCount copied_{};
};

}  // namespace

int run_lock_step(const Scenario& scenario, uint32_t num_rounds, const Probe& probe) {
  LockStep step(scenario, probe);
  for (int i = 0; i < 200; ++i) step.round();
  step.measure(true);
  CALLGRIND_START_INSTRUMENTATION;
  for (uint32_t i = 0; i < num_rounds; ++i) step.round();
  CALLGRIND_STOP_INSTRUMENTATION;
  step.measure(false);
  const uint64_t requests = uint64_t{num_rounds} * step.requests_per_round();
  const uint64_t body = requests * (scenario.request_body_bytes + scenario.response_body_bytes);
  print_counts(step.sum(), requests, body, step.turns(), step.copied().body_bytes);
  return 0;
}

}  // namespace sluice::gate
