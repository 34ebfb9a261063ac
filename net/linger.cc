#include "net/linger.h"

#include <sys/socket.h>

#include <cerrno>

namespace sluice::net {

LingerSet::~LingerSet() {
  for (List* list : {&open_, &free_}) {
    while (Link* link = list->pop()) delete static_cast<Node*>(link);
  }
}

void LingerSet::adopt(Stream& from, Linger mode, int64_t patience_ns) noexcept {
  Node* node = static_cast<Node*>(free_.pop());
  if (node == nullptr) {
    node = new Node(*this);
  } else {
    --num_free_;
  }
  if (!node->stream.take_over(from)) {
    free_.push_back(*node);
    ++num_free_;
    return;
  }
  node->stream.own_waiting_bytes(pool_);
  open_.push_back(*node);
  ++num_open_;
  node->mode = mode;
  node->patience_ns = patience_ns;
  node->give_up_at = loop_.now() + patience_ns * kPatiences;
  node->sent_before = 0;
  if (mode == Linger::kYes) node->stream.shutdown_write();
  node->stream.want_flushed();
  loop_.arm_in(node->timer, patience_ns);
}

void LingerSet::finish(Node& node) noexcept {
  node.timer.cancel();
  node.stream.close_now();
  node.unlink();
  --num_open_;
  if (num_free_ >= kMaxFree) return loop_.defer_destroy(&node);
  free_.push_back(node);
  ++num_free_;
}

void LingerSet::Node::on_stream(uint8_t events) noexcept {
  if ((events & kBroken) != 0) return finish();
  if ((events & kFlushed) != 0) {
    if (mode == Linger::kNo) return finish();
    set.loop_.arm_in(timer, patience_ns);
  }
  if ((events & kReadable) != 0 && !discard()) return finish();
  if (stream.saw_eof() && stream.buffered() == 0) finish();
}

// False: the peer reset. A few reads per turn; a peer that sends without end is cut off by the
// timer.
bool LingerSet::Node::discard() noexcept {
  constexpr int kReadsPerTurn = 4;
  for (int i = 0; i < kReadsPerTurn && stream.readable(); ++i) {
    if (stream.discard_some().fault) return false;
  }
  stream.read_again();
  return true;
}

void LingerSet::Node::on_timer() noexcept {
  const bool progress = stream.bytes_sent() != sent_before && stream.buffered() > 0;
  if (!progress || set.loop_.now() >= give_up_at) return finish();
  sent_before = stream.bytes_sent();
  set.loop_.arm_in(timer, patience_ns);
}

}  // namespace sluice::net
