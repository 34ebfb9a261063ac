#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "base/address.h"
#include "base/buffer.h"
#include "net/listener_socket.h"
#include "net/loop.h"
#include "net/stream.h"

namespace sluice::net {

// Turns until `done` says so; false after ten seconds of real time.
template <typename Done>
bool run_until(Loop& loop, Done done) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    loop.wait_once(10 * base::kNsPerMs);
  }
  return true;
}

// A stream whose owner keeps all that it hears. With `reading` off it leaves the bytes where they
// are.
struct Peer {
  explicit Peer(base::BlockPool& p) : pool(p) { stream.set_owner<&Peer::on_stream>(this); }

  void on_stream(uint8_t what) noexcept {
    seen |= what;
    ++num_calls;
    for (uint8_t bit = 0; bit < 8; ++bit) num_seen[bit] += (what >> bit) & 1;
    if ((what & kReadable) != 0 && reading) read_all();
  }

  void read_all() {
    while (stream.readable()) {
      base::BlockRef block = base::BlockRef::adopt(pool.get_large());
      const Stream::Read read = stream.read_some(*block.get(), max_read);
      received.append(block->data(), read.bytes);
      eof |= read.eof;
      if (read.fault) fault = read.fault;
      if (read.drained) return;
    }
  }
  bool saw(uint8_t what) const { return (seen & what) == what; }

  base::BlockPool& pool;
  Stream stream;
  std::string received;
  base::Fault fault;
  uint8_t seen = 0;
  int num_calls = 0;
  int num_seen[8] = {};
  uint32_t max_read = base::Block::kLargeBytes - base::Block::kHeaderBytes;
  bool reading = true;
  bool eof = false;
};

// How two peers may be connected.
enum class Path { kSocketPair, kTcp4, kTcp6, kUnix };

inline std::string path_name(Path path) {
  switch (path) {
    case Path::kSocketPair:
      return "SocketPair";
    case Path::kTcp4:
      return "Tcp4";
    case Path::kTcp6:
      return "Tcp6";
    case Path::kUnix:
      return "Unix";
  }
  return "";
}

// Where a test may listen; a Unix-domain socket in the abstract space, so that nothing stays
// behind.
inline base::Address listen_address(Path path) {
  static int next = 0;
  switch (path) {
    case Path::kTcp4:
      return *base::Address::ip("127.0.0.1", 0);
    case Path::kTcp6:
      return *base::Address::ip("::1", 0);
    default:
      return *base::Address::unix_path("@sluice-test-" + std::to_string(::getpid()) + "-" +
                                       std::to_string(next++));
  }
}

// Two peers that talk to each other in one loop: `left` connected, `right` accepted. ok is false
// where the machine has no such sockets (IPv6).
struct Pair {
  explicit Pair(Path path = Path::kSocketPair, Loop::Options options = {})
      : loop(options), left(pool), right(pool) {
    if (path == Path::kSocketPair) {
      int fds[2];
      ok = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0 &&
           left.stream.attach(loop, fds[0]) && right.stream.attach(loop, fds[1]);
      return;
    }
    auto sockets = listen_for_workers(listen_address(path), 1);
    if (!sockets.ok()) return;
    Acceptor acceptor(loop, std::move((*sockets)[0]), &Pair::on_accept, this);
    ok = left.stream.connect(loop, acceptor.local()) &&
         run_until(loop, [&] { return left.saw(kConnected) && right.stream.is_open(); });
  }
  static void on_accept(void* self, int fd, const sockaddr_storage&, socklen_t) noexcept {
    Pair* pair = static_cast<Pair*>(self);
    pair->right.stream.attach(pair->loop, fd);
  }

  base::BlockPool pool;
  Loop loop;
  Peer left;
  Peer right;
  bool ok = false;
};

// Bytes in which every position can be told from its neighbours.
inline std::string pattern(size_t size) {
  std::string s(size, '\0');
  for (size_t i = 0; i < size; ++i) s[i] = static_cast<char>((i * 2654435761u) >> 13);
  return s;
}

}  // namespace sluice::net
