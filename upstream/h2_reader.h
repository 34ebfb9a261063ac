#pragma once

#include <cstdint>
#include <utility>

#include "base/buffer.h"
#include "http/h2_codec.h"
#include "net/loop.h"
#include "net/stream.h"

namespace sluice::upstream {

// H2Reader takes an HTTP/2 connection's bytes from its stream to its codec, the same for clients
// and endpoints: blocks, when to stop, when to go on. Member of its owner, which has stream and
// codec beside it and offers:
//   void on_event(http::H2Codec::Event&)   one frame said this
//   void take_news()                       streams may have news; after every frame
//   void on_end(const net::Stream::Read&)  end of stream, or a fault; the reader is not used again
//   void on_read()                         what was there is taken; may close
// Each may end the owner, which calls stop() then; it is destroyed by the loop, so later.
//
// Worker-local. At most kFramesPerTurn frames per turn, so that a connection that always has work
// keeps no other waiting. While what waits to be sent is at the codec's limit nothing is read;
// go_on() when there is room again. A block is held only while bytes of it wait; a read that filled
// its block makes the next one large.
template <class Owner>
class H2Reader {
 public:
  static constexpr int kReadsPerTurn = 4;
  static constexpr int kFramesPerTurn = 256;

  H2Reader(Owner& owner, net::Stream& stream, http::H2Codec& codec, net::Loop& loop,
           base::BlockPool& blocks) noexcept
      : owner_(owner), stream_(stream), codec_(codec), loop_(loop), blocks_(blocks) {}

  // Bytes that came before it was known that they are for us: `block` from `at` on.
  void start(base::BlockRef block, uint32_t at) noexcept {
    block_ = std::move(block);
    at_ = at;
    if (unread() > 0) loop_.again(again_);
  }
  // The stream is readable, or its peer closed.
  void read() noexcept;
  // Something was sent.
  void go_on() noexcept {
    if (!wants_room_ || !codec_.wants_input()) return;
    wants_room_ = false;
    loop_.again(again_);
  }
  // What is still to come is of no interest.
  void stop() noexcept {
    stopped_ = true;
    again_.unlink();
    block_.reset();
    at_ = 0;
  }

 private:
  void on_again() noexcept { read(); }
  void make_room() noexcept;
  bool feed(int* frames) noexcept;
  size_t unread() const noexcept { return block_ ? block_->filled() - at_ : 0; }

  Owner& owner_;
  net::Stream& stream_;
  http::H2Codec& codec_;
  net::Loop& loop_;
  base::BlockPool& blocks_;
  base::BlockRef block_;
  uint32_t at_ = 0;  // bytes of block_ that were taken
  bool stopped_ = false;
  bool reading_ = false;
  bool wants_room_ = false;
  bool large_reads_ = false;
  net::Call again_ = net::Call::of<&H2Reader::on_again>(this);
};

template <class Owner>
void H2Reader<Owner>::make_room() noexcept {
  constexpr uint32_t kLeast = 512;
  if (block_) {
    if (unread() == 0 && block_->sole_owner()) {
      block_->clear();
      at_ = 0;
    }
    if (block_->room() >= kLeast) return;
  }
  // Everything that was received is taken: frames are fed in parts.
  block_ = base::BlockRef::adopt(large_reads_ ? blocks_.get_large() : blocks_.get_small());
  at_ = 0;
}

template <class Owner>
void H2Reader<Owner>::read() noexcept {
  if (reading_ || stopped_) return;
  reading_ = true;
  int frames = kFramesPerTurn;
  bool more = true;
  for (int i = 0; more && i < kReadsPerTurn; ++i) {
    if (unread() > 0 && !feed(&frames)) break;
    if (!stream_.readable()) {
      more = false;
      break;
    }
    make_room();
    const uint32_t room = block_->room();
    const net::Stream::Read r = stream_.read_some(*block_.get());
    if (r.bytes > 0) {
      large_reads_ = r.bytes == room;
      if (!feed(&frames)) break;
    } else if (r.fault || r.eof) {
      stop();
      return owner_.on_end(r);
    }
    if (r.drained) more = false;
  }
  reading_ = false;
  if (stopped_) return;
  if (unread() == 0 && !more) {
    block_.reset();
    at_ = 0;
  }
  if (codec_.wants_output()) stream_.mark_dirty();
  owner_.on_read();
  if (stopped_ || wants_room_) return;
  if (unread() > 0) {
    loop_.again(again_);
  } else if (more) {
    stream_.read_again();
  }
}

// False: no more of what was received can be taken now.
template <class Owner>
bool H2Reader<Owner>::feed(int* frames) noexcept {
  while (unread() > 0) {
    if (!codec_.wants_input()) {
      wants_room_ = true;
      stream_.mark_dirty();
      return false;
    }
    if (--*frames < 0) return false;
    http::H2Codec::Event event =
        codec_.feed(block_->data() + at_, static_cast<uint32_t>(unread()), block_, loop_.now());
    at_ += event.consumed;
    if (event.kind != http::H2Codec::Event::Kind::kNone) owner_.on_event(event);
    if (stopped_) return false;
    owner_.take_news();
    if (stopped_) return false;
  }
  return true;
}

}  // namespace sluice::upstream
