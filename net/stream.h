#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/address.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "net/loop.h"

namespace sluice::net {

// What a stream tells its owner, or-ed together in one call.
enum StreamEvents : uint8_t {
  kConnected = 1,  // connect() succeeded; never from inside connect()
  kReadable = 2,   // bytes, end of stream or an error wait: call read_some() until it says drained
  kDrained = 4,    // buffered() fell to the low mark after it had been at the high one
  kFlushed = 8,    // everything is written, once after want_flushed()
  kPeerClosed = 16,  // the peer closed its sending half, or both; unread bytes come first
  kBroken = 32,      // connecting or writing failed: fault(). What came before can still be read
  kWritten = 64,     // after each write of a stream with a filler: what was filled in is on its way
};

struct ConnectOptions {
  const base::Address* bind = nullptr;  // source address; port 0 lets the kernel choose late
  bool freebind = false;                // IP_FREEBIND on it
  uint32_t mark = 0;                    // SO_MARK, 0: none
  bool keepalive = false;               // SO_KEEPALIVE, with the times below where they are not 0
  int keepalive_idle_s = 0;
  int keepalive_interval_s = 0;
  int keepalive_probes = 0;
};

enum class Linger : uint8_t {
  kNo,   // the request was read to its end: close after the last byte is written
  kYes,  // more may arrive: send FIN, read and discard for a while, so that no RST eats the
         // response
};

// Stream is a connected byte stream: a TCP (v4, v6) or Unix-domain socket in a loop, and what waits
// to be written to it. (TLS will be an optional member here, not another class.)
//
// Member of its owner, a session or an upstream connection, that outlives it by being it. One
// function pointer tells the owner what happened; the call is the last thing that the stream does,
// so the owner may close or destroy it inside. Worker-local; no allocation; holds no block but for
// what waits to be written.
//
// Reading is pulled: the stream remembers that the socket is readable until a short read says that
// it is not, so an owner that is full simply does not read, and asks for read_again() when it is
// ready. Writing is pushed: write() only queues; the loop writes at the end of the turn, once per
// stream. An owner whose source should stop looks at congested() after write() and gets kDrained
// later. Errors are base::Fault (side: client if attached, backend if connected) with errno kept as
// evidence.
class Stream : private EventTarget {
 public:
  using Notify = void (*)(void* owner, uint8_t events) noexcept;

  struct Read {
    uint32_t bytes = 0;
    bool eof = false;      // the peer's last byte was read before; bytes is 0
    bool drained = false;  // nothing more now: kReadable will tell
    base::Fault fault;     // bytes is 0; the stream is broken
  };

  Stream() noexcept : EventTarget(nullptr) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { close_now(); }

  void set_owner(Notify notify, void* owner) noexcept {
    notify_ = notify;
    owner_ = owner;
  }
  // set_owner<&Session::on_stream>(this): void on_stream(uint8_t events) noexcept.
  template <auto Method, typename Owner>
  void set_owner(Owner* owner) noexcept {
    set_owner(
        [](void* self, uint8_t events) noexcept { (static_cast<Owner*>(self)->*Method)(events); },
        owner);
  }

  // For an owner that makes its bytes late (HTTP/2 serialises frames once per turn): called before
  // each gathered write to append to out(). It must not close or destroy anything; kWritten comes
  // after the write. mark_dirty() asks for it.
  using Fill = void (*)(void* owner) noexcept;
  template <auto Method, typename Owner>
  void set_filler() noexcept {
    fill_ = [](void* self) noexcept { (static_cast<Owner*>(self)->*Method)(); };
  }

  // Takes over a connected non-blocking socket: from an Acceptor (TCP_NODELAY is inherited from the
  // listening socket), or from socketpair() in tests. False: errno; the descriptor is closed.
  bool attach(Loop& loop, int fd, base::Fault::Side side = base::Fault::Side::kClient) noexcept;
  // Begins to connect. What is written before it is done waits. False: it failed at once (fault(),
  // error()); otherwise kConnected or kBroken comes later.
  bool connect(Loop& loop, const base::Address& to, const ConnectOptions& options = {}) noexcept;

  bool is_open() const noexcept { return fd_ >= 0; }
  bool connected() const noexcept { return fd_ >= 0 && !connecting_; }
  int fd() const noexcept { return fd_; }
  Loop& loop() const noexcept { return *loop_; }

  // Receives at most `max` bytes behind what `into` holds; both must have room. Makes no system
  // call when the socket is known to be empty.
  Read read_some(base::Block& into, uint32_t max) noexcept;
  Read read_some(base::Block& into) noexcept { return read_some(into, into.room()); }
  // Bytes, end of stream or an error may wait.
  bool readable() const noexcept { return readable_; }
  // The peer closed or reset and said so; bytes may still wait before it.
  bool peer_closed() const noexcept { return peer_closed_; }
  // Both halves are gone (mostly a reset): nothing that is written will arrive. Bytes may still
  // wait.
  bool hung_up() const noexcept { return hung_up_; }
  bool saw_eof() const noexcept { return eof_; }
  // kReadable in the next turn if readable(): after a pause, or to yield to others.
  void read_again() noexcept {
    if (readable_) loop_->again(again_);
  }

  // Queues; written at the end of the turn. Bytes without a block must live until they are written,
  // see own_waiting_bytes(), or until the stream is closed.
  void write(base::Chain&& bytes) {
    out_.append(std::move(bytes));
    mark_dirty();
  }
  void write(base::View bytes) {
    out_.append(std::move(bytes));
    mark_dirty();
  }
  void write(std::string_view text) { write(base::View(text)); }
  // To append piecewise; mark_dirty() after it.
  base::Chain& out() noexcept { return out_; }
  void mark_dirty() noexcept {
    if (!dirty_.linked() && writable_) loop_->dirty_.push_back(dirty_);
    if (out_.bytes() >= high_) congested_ = true;
  }
  size_t buffered() const noexcept { return out_.bytes(); }
  // At or above the high mark, and not yet down to the low one.
  bool congested() const noexcept { return congested_; }
  void set_marks(uint32_t low, uint32_t high) noexcept {
    low_ = low;
    high_ = high;
  }
  // Copies what waits without a block into blocks of `pool`, for an owner whose arena ends while a
  // slow peer keeps it waiting. Costs a walk of what waits, which is mostly nothing: the arena may
  // go as soon as buffered() is 0.
  void own_waiting_bytes(base::BlockPool& pool);
  // kFlushed when nothing waits any more (in the next turn if nothing does now).
  void want_flushed() noexcept;
  uint64_t bytes_received() const noexcept { return bytes_received_; }
  uint64_t bytes_sent() const noexcept { return bytes_sent_; }

  // Writes now what can be written, instead of at the end of the turn. The owner hears nothing from
  // within; kDrained and kFlushed, if due, come at the end of the turn. False: broken.
  // For what is big, 8 KiB and more: waiting gains it nothing and it would leave the caches
  // meanwhile; 16 KiB bodies cost 5 % less so.
  bool flush() noexcept;

  // FIN after what waits; reading goes on.
  void shutdown_write() noexcept;
  // Closes now and drops what waits. The owner hears nothing more.
  void close_now() noexcept {
    if (fd_ >= 0) close_fd();
  }
  // The same with RST in place of FIN (SO_LINGER 0): the peer must not take it for a whole message.
  void reset() noexcept;
  // Gives socket and waiting bytes to the loop, which writes and closes them. The owner hears
  // nothing more and may be destroyed; the stream may be attached anew. `patience_ns` ends a peer
  // that takes no byte, or after the last byte does not close (Envoy's delayed_close_timeout);
  // thirty times of it ends any.
  void close_after_flush(Linger linger = Linger::kYes,
                         int64_t patience_ns = base::kNsPerSec) noexcept;
  // Takes the socket out of the loop. -1: closed. What waits is dropped.
  int release_fd() noexcept;

  const base::Fault& fault() const noexcept { return fault_; }
  // errno of the fault.
  int error() const noexcept { return error_; }
  // Ask the kernel, each time.
  base::Address peer() const;
  base::Address local() const;

 private:
  friend class Loop;
  friend class LingerSet;

  class DirtyLink : public Link {
   public:
    explicit DirtyLink(Stream* s) noexcept : stream(s) {}
    Stream* stream;
  };

  void on_events(uint32_t events) noexcept;
  void on_flush_turn() noexcept;
  void on_again() noexcept;
  bool write_out() noexcept;
  uint8_t news_after_write(bool ok) noexcept;
  uint8_t finish_connect(uint32_t events) noexcept;
  bool start(Loop& loop, int fd, uint32_t events, base::Fault::Side side) noexcept;
  void break_with(int error, bool replay_safe) noexcept;
  void wait_for_room() noexcept;
  void on_writable() noexcept;
  Read receive(char* to, size_t max, int flags) noexcept;
  Read discard_some() noexcept;
  bool take_over(Stream& from) noexcept;
  int open_socket(const base::Address& to, const ConnectOptions& options) noexcept;
  bool connect_failed(int error) noexcept;
  ssize_t send_front(size_t* offered) noexcept;
  void close_fd() noexcept;
  int forget_fd() noexcept;
  void clear() noexcept;
  void tell(uint8_t events) noexcept {
    if (events != 0 && notify_ != nullptr) notify_(owner_, events);
  }

  int fd_ = -1;
  bool readable_ : 1 = false;
  bool writable_ : 1 = false;  // connected, and the last write was not cut short
  bool connecting_ : 1 = false;
  bool peer_closed_ : 1 = false;
  bool hung_up_ : 1 = false;
  bool eof_ : 1 = false;
  bool congested_ : 1 = false;
  bool want_flushed_ : 1 = false;
  bool fin_wanted_ : 1 = false;
  bool fin_sent_ : 1 = false;
  bool watches_room_ : 1 = false;  // EPOLLOUT is in the set
  bool unix_ : 1 = false;
  base::Fault::Side side_ = base::Fault::Side::kNone;
  Loop* loop_ = nullptr;
  Notify notify_ = nullptr;
  Fill fill_ = nullptr;
  void* owner_ = nullptr;
  base::Chain out_;
  uint32_t low_ = 16 * 1024;
  uint32_t high_ = 64 * 1024;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  DirtyLink dirty_{this};
  Call again_ = Call::of<&Stream::on_again>(this);
  int error_ = 0;
  base::Fault fault_;
};

}  // namespace sluice::net
