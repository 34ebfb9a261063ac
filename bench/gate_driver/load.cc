// Load: a server with one worker on a thread of its own, clients that always have a request under
// way, and their origin. The counts are taken while all is quiet, before and after, so they are
// exact; how many events a turn finds depends on the machine, as it does in life. Before, the
// worker is held while everyone sends, so that its free lists reach their peak in the warm-up and
// not somewhere in the measurement.

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "bench/gate_driver/modes.h"
#include "bench/gate_driver/peers.h"
#include "dataplane/server.h"

namespace sluice::gate {

namespace {

constexpr int kBatch = 256;

// Hold keeps one thread from running: a signal handler in it waits for a byte from a pipe.
class Hold {
 public:
  explicit Hold(int32_t tid) {
    if (::pipe(pipe_) != 0) die("pipe");
    std::signal(SIGUSR1, &Hold::on_signal);
    ::syscall(SYS_tgkill, ::getpid(), tid, SIGUSR1);
    while (!held_) std::this_thread::yield();
  }
  ~Hold() {
    [[maybe_unused]] const ssize_t n = ::write(pipe_[1], "x", 1);
    while (held_) std::this_thread::yield();
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  static void on_signal(int) {
    const int error = errno;
    held_ = true;
    char byte;
    [[maybe_unused]] const ssize_t n = ::read(pipe_[0], &byte, 1);
    held_ = false;
    errno = error;
  }
  static inline int pipe_[2];
  static inline std::atomic<bool> held_{false};
};

class Load {
 public:
  explicit Load(Peers& peers) : peers_(peers), set_(::epoll_create1(EPOLL_CLOEXEC)) {
    // Room for all origins: events name peers by address.
    peers_.origins().reserve(2 * peers_.clients().size());
    for (Peer& client : peers_.clients()) watch(client.fd, &client);
    watch(peers_.listener(), nullptr);
  }
  ~Load() { ::close(set_); }

  // Each client makes `each` requests, one after the other.
  void run(uint64_t each) {
    uint64_t left = each * peers_.clients().size();
    for (Peer& client : peers_.clients()) {
      client.num_done = 0;
      peers_.send(client);
    }
    while (left > 0) left -= serve_some(each);
  }

  // All requests in one turn of the worker `tid`, and then all responses.
  void burst(int32_t tid) {
    for (Peer& client : peers_.clients()) client.num_done = 0;
    {
      const Hold hold(tid);
      for (Peer& client : peers_.clients()) peers_.send(client);
    }
    answering_ = false;
    while (asked_.size() < peers_.clients().size()) serve_some(1);
    answering_ = true;
    {
      const Hold hold(tid);
      for (Peer* origin : asked_) peers_.send(*origin);
    }
    asked_.clear();
    for (uint64_t left = peers_.clients().size(); left > 0;) left -= serve_some(1);
  }

 private:
  uint64_t serve_some(uint64_t each) {
    epoll_event events[kBatch];
    const int n = ::epoll_wait(set_, events, kBatch, 10'000);
    if (n <= 0) die("no progress");
    uint64_t num_responses = 0;
    for (int i = 0; i < n; ++i) {
      auto* peer = static_cast<Peer*>(events[i].data.ptr);
      if (peer == nullptr) {
        accept();
      } else {
        num_responses += serve(*peer, each);
      }
    }
    return num_responses;
  }
  void watch(int fd, Peer* peer) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = peer;
    if (::epoll_ctl(set_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }
  void accept() {
    const size_t before = peers_.origins().size();
    peers_.accept_origins();
    if (peers_.origins().size() > 2 * peers_.clients().size()) die("too many connections");
    for (size_t i = before; i < peers_.origins().size(); ++i) {
      watch(peers_.origins()[i].fd, &peers_.origins()[i]);
    }
  }
  // Returns how many responses came in.
  uint64_t serve(Peer& peer, uint64_t each) {
    peers_.receive(peer);
    if (!peers_.take_message(peer)) return 0;
    const bool is_client = &peer >= peers_.clients().data() &&
                           &peer < peers_.clients().data() + peers_.clients().size();
    if (is_client) {
      if (peer.num_done < each) peers_.send(peer);
      return 1;
    }
    if (answering_) {
      peers_.send(peer);
    } else {
      asked_.push_back(&peer);
    }
    return 0;
  }

  Peers& peers_;
  int set_;
  bool answering_ = true;
  std::vector<Peer*> asked_;  // origins that have a request and were not told to answer
};

int32_t thread_named(const std::string& name) {
  int32_t found = 0;
  DIR* dir = ::opendir("/proc/self/task");
  while (const dirent* entry = ::readdir(dir)) {
    std::ifstream comm(std::string("/proc/self/task/") + entry->d_name + "/comm");
    std::string text;
    if (std::getline(comm, text) && text == name) found = std::atoi(entry->d_name);
  }
  ::closedir(dir);
  return found;
}

// Until the worker sleeps: its count of system calls stands still.
SluiceGateCounts quiet_counts(const Probe& probe, int32_t tid) {
  SluiceGateCounts counts = probe.of(tid);
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const SluiceGateCounts now = probe.of(tid);
    if (now.system_calls == counts.system_calls) return now;
    counts = now;
  }
}

}  // namespace

int run_load(const Scenario& scenario, uint32_t num_clients, uint32_t requests_each,
             const Probe& probe) {
  Peers peers(scenario, num_clients);
  dataplane::Server server{dataplane::Server::Options()};
  const uint16_t port = configure(server.builder(), scenario, peers.origin_port());
  server.publish();
  server.start();
  std::thread main([&server] { server.run(); });
  peers.connect(port);
  Load load(peers);
  const int32_t worker = thread_named("worker-0");
  if (worker == 0) die("no worker");
  load.run(100);
  for (int i = 0; i < 5; ++i) load.burst(worker);
  load.run(100);
  const SluiceGateCounts before = quiet_counts(probe, worker);
  load.run(requests_each);
  const SluiceGateCounts after = quiet_counts(probe, worker);
  SluiceGateCounts sum{};
  add_difference(&sum, before, after);
  const uint64_t requests = uint64_t{requests_each} * num_clients;
  print_counts(sum, requests,
               requests * (scenario.request_body_bytes + scenario.response_body_bytes), sum.waits,
               0);
  server.stop();
  main.join();
  return 0;
}

}  // namespace sluice::gate
