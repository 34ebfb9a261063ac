#pragma once

#include <cstdint>

#include "base/buffer.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/timer.h"

namespace sluice::net {

// LingerSet answers "who writes the last bytes when the session is gone?" for one loop: it owns
// sockets after Stream::close_after_flush(), writes what waits, sends FIN if asked to, reads and
// discards what still comes, and closes when the peer does or when patience ends. Without it,
// closing with unread bytes would send RST, and RST may destroy the response in the peer's receive
// buffer (RFC 9112 9.6). Private to net/. Worker-local. Recycles its nodes: allocates only beyond
// the greatest number so far.
class LingerSet {
 public:
  explicit LingerSet(Loop& loop) noexcept : loop_(loop) {}
  ~LingerSet();
  LingerSet(const LingerSet&) = delete;
  LingerSet& operator=(const LingerSet&) = delete;

  // Takes over socket and waiting bytes of `from`, which is closed afterwards.
  void adopt(Stream& from, Linger mode, int64_t patience_ns) noexcept;
  uint64_t num_open() const noexcept { return num_open_; }

 private:
  static constexpr uint64_t kMaxFree = 1024;
  static constexpr int kPatiences = 30;

  struct Node : Deferred, Link {
    explicit Node(LingerSet& s) noexcept : Deferred(&Node::destroy_node), set(s) {
      stream.set_owner<&Node::on_stream>(this);
    }
    static void destroy_node(Deferred* self) noexcept { delete static_cast<Node*>(self); }
    void on_stream(uint8_t events) noexcept;
    void on_timer() noexcept;
    bool discard() noexcept;
    void finish() noexcept { set.finish(*this); }

    LingerSet& set;
    Linger mode = Linger::kNo;
    int64_t patience_ns = 0;
    base::MonoNs give_up_at = 0;
    uint64_t sent_before = 0;
    Timer timer = Timer::of<&Node::on_timer>(this);
    Stream stream;
  };

  void finish(Node& node) noexcept;

  Loop& loop_;
  base::BlockPool
      pool_;  // for waiting bytes that were borrowed from the owner; outlives the streams
  List open_;
  List free_;
  uint64_t num_open_ = 0;
  uint64_t num_free_ = 0;
};

}  // namespace sluice::net
