#include "base/buffer.h"

#include <algorithm>
#include <new>

namespace sluice::base {

BlockPool::~BlockPool() {
  for (Shelf* shelf : {&small_, &large_}) {
    while (shelf->free != nullptr) {
      Block* block = shelf->free;
      shelf->free = block->next_free_;
      ::operator delete(static_cast<void*>(block), std::align_val_t{64});
    }
  }
}

Block* BlockPool::grow(Shelf& shelf) {
  void* memory = ::operator new(shelf.bytes, std::align_val_t{64});
  Block* block = new (memory) Block();
  block->home_ = this;
  block->capacity_ = shelf.bytes - Block::kHeaderBytes;
  block->large_ = shelf.bytes == Block::kLargeBytes;
  block->refs_ = 1;
  ++shelf.num_out;
  return block;
}

void BlockPool::drop(Block* block) noexcept {
  ::operator delete(static_cast<void*>(block), std::align_val_t{64});
}

struct SegmentShelf {
  Chain::Segment* free = nullptr;
  uint32_t num_free = 0;
  void release() noexcept {
    while (free != nullptr) delete std::exchange(free, free->next);
    num_free = 0;
  }
};

namespace {
constexpr uint32_t kMaxFreeSegments = 8192;
constinit thread_local SegmentShelf segment_shelf;
constinit thread_local CopyCount copy_count;
}  // namespace

void release_thread_segments() noexcept { segment_shelf.release(); }

CopyCount& copies() noexcept { return copy_count; }

Chain::Segment* Chain::new_segment() {
  SegmentShelf& shelf = segment_shelf;
  if (shelf.free == nullptr) [[unlikely]]
    return new Segment();
  Segment* segment = shelf.free;
  shelf.free = segment->next;
  --shelf.num_free;
  segment->next = nullptr;
  segment->first = segment->last = 0;
  return segment;
}

void Chain::free_segment(Segment* segment) noexcept {
  SegmentShelf& shelf = segment_shelf;
  if (shelf.num_free >= kMaxFreeSegments) [[unlikely]] {
    delete segment;
    return;
  }
  segment->next = shelf.free;
  shelf.free = segment;
  ++shelf.num_free;
}

inline bool Chain::needs_view(const char* data, uint32_t size, const Block* block) noexcept {
  if (size == 0) return false;
  bytes_ += size;
  if (tail_ != nullptr && tail_->last > tail_->first) {
    View& last = tail_->views[tail_->last - 1];
    if (last.data + last.size == data && last.block.get() == block) {
      last.size += size;
      return false;
    }
  }
  return true;
}

inline View& Chain::next_view() {
  if (tail_ == nullptr || tail_->last == kViewsPerSegment) {
    Segment* segment = new_segment();
    (tail_ == nullptr ? head_ : tail_->next) = segment;
    tail_ = segment;
  }
  return tail_->views[tail_->last++];
}

void Chain::append(View view) {
  if (needs_view(view.data, view.size, view.block.get())) next_view() = std::move(view);
}

void Chain::append(const char* data, uint32_t size, Block* block) {
  if (!needs_view(data, size, block)) return;
  View& view = next_view();  // its block is null, as those of all unused views
  view.data = data;
  view.size = size;
  view.block = BlockRef::share(block);
}

void Chain::append(Chain&& other) {
  if (other.head_ == nullptr) return;
  if (head_ == nullptr) {
    *this = std::move(other);
    return;
  }
  tail_->next = std::exchange(other.head_, nullptr);
  tail_ = std::exchange(other.tail_, nullptr);
  bytes_ += std::exchange(other.bytes_, 0);
}

void Chain::take(size_t bytes, Chain& to) {
  bytes = std::min(bytes, bytes_);
  while (bytes > 0) {
    View& view = head_->views[head_->first];
    if (view.size > bytes) {
      to.append(View(view.data, static_cast<uint32_t>(bytes), view.block));
      drain(bytes);
      return;
    }
    const uint32_t size = view.size;
    bytes -= size;
    bytes_ -= size;
    to.append(std::move(view));
    if (++head_->first == head_->last) {
      Segment* done = head_;
      head_ = done->next;
      if (head_ == nullptr) tail_ = nullptr;
      free_segment(done);
    }
  }
}

void Chain::drain(size_t bytes) noexcept {
  bytes = std::min(bytes, bytes_);
  bytes_ -= bytes;
  while (head_ != nullptr) {
    View& view = head_->views[head_->first];
    if (view.size > bytes) {
      view.data += bytes;
      view.size -= static_cast<uint32_t>(bytes);
      return;
    }
    bytes -= view.size;
    view.block.reset();
    if (++head_->first == head_->last) {
      Segment* done = head_;
      head_ = done->next;
      if (head_ == nullptr) tail_ = nullptr;
      free_segment(done);
    }
  }
}

void Chain::clear() noexcept {
  for (Segment* s = head_; s != nullptr;) {
    for (uint32_t i = s->first; i < s->last; ++i) s->views[i].block.reset();
    free_segment(std::exchange(s, s->next));
  }
  head_ = tail_ = nullptr;
  bytes_ = 0;
}

int Chain::to_iovec(iovec* out, int max, size_t* total) const noexcept {
  int n = 0;
  size_t sum = 0;
  for (const Segment* s = head_; s != nullptr; s = s->next) {
    for (uint32_t i = s->first; i < s->last; ++i) {
      if (n == max) {
        *total = sum;
        return n;
      }
      out[n].iov_base = const_cast<char*>(s->views[i].data);
      out[n].iov_len = s->views[i].size;
      sum += s->views[i].size;
      ++n;
    }
  }
  *total = sum;
  return n;
}

}  // namespace sluice::base
