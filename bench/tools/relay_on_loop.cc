// relay_on_loop PORT UPSTREAM_PORT [direct|asio]: what Loop and Stream add to the floor.
//
// The same relay as bench/floor.cc, written on net/: the ratio of the two is the price of the loop,
// its timers, its hooks and its gathered writes. `asio` makes the loop sleep in the io_context, as
// it does once somebody uses that. Ends on SIGTERM and SIGINT, and then prints the loop's counters.

#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "net/listener_socket.h"
#include "net/loop.h"
#include "net/stream.h"

namespace {

using sluice::base::Address;
using sluice::base::Block;
using sluice::base::BlockPool;
using sluice::base::BlockRef;
using sluice::base::View;
using sluice::net::Loop;
using sluice::net::Stream;

constexpr size_t kFlushAtOnceBytes = 8 * 1024;

struct Relay;

class Pair : public sluice::net::Deferred {
 public:
  Pair(Relay& relay, int fd);

 private:
  static void destroy_pair(Deferred* self) noexcept { delete static_cast<Pair*>(self); }
  void on_client(uint8_t events) noexcept { on_stream(client_, upstream_, events); }
  void on_upstream(uint8_t events) noexcept { on_stream(upstream_, client_, events); }
  void on_stream(Stream& from, Stream& to, uint8_t events) noexcept;
  void move(Stream& from, Stream& to) noexcept;
  void end() noexcept;

  Relay& relay_;
  Stream client_;
  Stream upstream_;
};

struct Relay {
  static void on_accept(void* self, int fd, const sockaddr_storage&, socklen_t) noexcept {
    new Pair(*static_cast<Relay*>(self), fd);
  }

  explicit Relay(Loop::Options options) : loop(options) {}

  BlockPool pool;
  Loop loop;
  Address upstream;
};

Relay* relay_to_stop = nullptr;

Pair::Pair(Relay& relay, int fd) : Deferred(&Pair::destroy_pair), relay_(relay) {
  client_.set_owner<&Pair::on_client>(this);
  upstream_.set_owner<&Pair::on_upstream>(this);
  const bool ok = client_.attach(relay.loop, fd) && upstream_.connect(relay.loop, relay.upstream);
  if (!ok) end();
}

void Pair::end() noexcept {
  client_.close_now();
  upstream_.close_now();
  relay_.loop.defer_destroy(this);
}

void Pair::on_stream(Stream& from, Stream& to, uint8_t events) noexcept {
  if ((events & sluice::net::kBroken) != 0) return end();
  if ((events & sluice::net::kDrained) != 0) to.read_again();
  if ((events & sluice::net::kReadable) != 0) move(from, to);
}

void Pair::move(Stream& from, Stream& to) noexcept {
  while (from.readable() && !to.congested()) {
    BlockRef block = BlockRef::adopt(relay_.pool.get_large());
    const Stream::Read read = from.read_some(*block.get());
    if (read.eof || read.fault) return end();
    if (read.bytes == 0) return;
    const char* data = block->data();
    to.write(View(data, read.bytes, std::move(block)));
    // What is big gains nothing by waiting for the end of the turn, and leaves the caches
    // meanwhile.
    if (to.buffered() >= kFlushAtOnceBytes && !to.flush()) return end();
  }
}

void on_signal(int) { relay_to_stop->loop.stop(); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: relay_on_loop PORT UPSTREAM_PORT [direct|asio]\n");
    return 2;
  }
  const auto loopback = [](const char* port) {
    return *Address::ip("127.0.0.1", static_cast<uint16_t>(std::atoi(port)));
  };
  Loop::Options options;
  options.sleep_in_asio = argc > 3 && std::strcmp(argv[3], "asio") == 0;
  Relay relay(options);
  relay.upstream = loopback(argv[2]);
  relay_to_stop = &relay;
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);

  auto sockets = sluice::net::listen_for_workers(loopback(argv[1]), 1);
  if (!sockets.ok()) {
    std::fprintf(stderr, "%s\n", sockets.status().ToString().c_str());
    return 1;
  }
  sluice::net::Acceptor acceptor(relay.loop, std::move((*sockets)[0]), &Relay::on_accept, &relay);
  relay.loop.run();

  const sluice::net::LoopCounters& c = relay.loop.counters();
  std::printf(
      "recv=%ju empty=%ju send=%ju full=%ju epoll_wait=%ju epoll_ctl=%ju accept=%ju turns=%ju\n",
      static_cast<uintmax_t>(c.receives), static_cast<uintmax_t>(c.empty_receives),
      static_cast<uintmax_t>(c.sends), static_cast<uintmax_t>(c.full_sends),
      static_cast<uintmax_t>(c.waits), static_cast<uintmax_t>(c.controls),
      static_cast<uintmax_t>(c.accepts), static_cast<uintmax_t>(c.turns));
  std::fflush(stdout);
  std::_Exit(0);  // pairs that are still open belong to nobody
}
