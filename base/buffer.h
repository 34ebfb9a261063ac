#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace sluice::base {

class BlockPool;

// Block is a slab of fixed size that bytes are received into and stay in until they are written.
// Owned by one worker's BlockPool through a plain reference count: never touched by two threads.
// Two sizes: kSmall (4 KiB with its header) for heads and arenas, kLarge (64 KiB) for bodies.
// `filled` is how many bytes from data() on have been received; consecutive receives append.
class Block {
 public:
  static constexpr uint32_t kSmallBytes = 4096;
  static constexpr uint32_t kLargeBytes = 64 * 1024;

  char* data() noexcept { return reinterpret_cast<char*>(this) + kHeaderBytes; }
  uint32_t capacity() const noexcept { return capacity_; }
  uint32_t filled() const noexcept { return filled_; }
  uint32_t room() const noexcept { return capacity_ - filled_; }
  char* tail() noexcept { return data() + filled_; }
  void fill(uint32_t bytes) noexcept { filled_ += bytes; }
  // Only for the sole owner: forget the content and start anew.
  void clear() noexcept { filled_ = 0; }
  bool sole_owner() const noexcept { return refs_ == 1; }

  void ref() noexcept { ++refs_; }
  inline void unref() noexcept;

  static constexpr uint32_t kHeaderBytes = 32;

 private:
  friend class BlockPool;
  Block() = default;
  BlockPool* home_ = nullptr;
  Block* next_free_ = nullptr;
  uint32_t refs_ = 0;
  uint32_t capacity_ = 0;
  uint32_t filled_ = 0;
  bool large_ = false;
};
static_assert(sizeof(Block) == Block::kHeaderBytes);

// BlockPool recycles the blocks of one worker. Worker-local. get_*() takes from a free list and
// asks the global allocator only when it is empty; at most kMaxFree blocks of a size are kept, the
// rest is given back. Counters let tests and /memory see what is out.
class BlockPool {
 public:
  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  // With one reference, which the caller owns. Never null: a worker without memory ends the process
  // as operator new would.
  Block* get_small() { return get(small_); }
  Block* get_large() { return get(large_); }

  uint64_t num_out() const noexcept { return small_.num_out + large_.num_out; }
  uint64_t bytes_out() const noexcept {
    return small_.num_out * Block::kSmallBytes + large_.num_out * Block::kLargeBytes;
  }
  uint64_t bytes_free() const noexcept {
    return small_.num_free * Block::kSmallBytes + large_.num_free * Block::kLargeBytes;
  }

 private:
  friend class Block;
  struct Shelf {
    Block* free = nullptr;
    uint64_t num_free = 0;
    uint64_t num_out = 0;
    uint64_t max_free = 0;
    uint32_t bytes = 0;
  };
  Block* get(Shelf& shelf) {
    Block* block = shelf.free;
    if (block == nullptr) [[unlikely]]
      return grow(shelf);
    shelf.free = block->next_free_;
    --shelf.num_free;
    ++shelf.num_out;
    block->refs_ = 1;
    block->filled_ = 0;
    return block;
  }
  void put(Block* block) noexcept {
    Shelf& shelf = block->large_ ? large_ : small_;
    --shelf.num_out;
    if (shelf.num_free >= shelf.max_free) [[unlikely]]
      return drop(block);
    block->next_free_ = shelf.free;
    shelf.free = block;
    ++shelf.num_free;
  }
  Block* grow(Shelf& shelf);
  void drop(Block* block) noexcept;

  Shelf small_{.max_free = 4096, .bytes = Block::kSmallBytes};
  Shelf large_{.max_free = 256, .bytes = Block::kLargeBytes};
};

inline void Block::unref() noexcept {
  if (--refs_ == 0) home_->put(this);
}

// BlockRef owns one reference to a block. Move is free, copy is a plain increment.
class BlockRef {
 public:
  BlockRef() noexcept = default;
  // Takes over a reference that the caller owns (as get_small() returns it).
  static BlockRef adopt(Block* block) noexcept {
    BlockRef r;
    r.block_ = block;
    return r;
  }
  static BlockRef share(Block* block) noexcept {
    if (block != nullptr) block->ref();
    return adopt(block);
  }
  BlockRef(const BlockRef& o) noexcept : block_(o.block_) {
    if (block_ != nullptr) block_->ref();
  }
  BlockRef(BlockRef&& o) noexcept : block_(std::exchange(o.block_, nullptr)) {}
  BlockRef& operator=(BlockRef o) noexcept {
    std::swap(block_, o.block_);
    return *this;
  }
  ~BlockRef() { reset(); }
  void reset() noexcept {
    if (block_ != nullptr) std::exchange(block_, nullptr)->unref();
  }
  Block* get() const noexcept { return block_; }
  Block* operator->() const noexcept { return block_; }
  explicit operator bool() const noexcept { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

// View is a run of bytes and the block that keeps them alive. A view without a block refers to
// memory that outlives it by contract: static text, or the arena of the exchange that writes it.
struct View {
  const char* data = nullptr;
  uint32_t size = 0;
  BlockRef block;

  View() noexcept = default;
  View(const char* d, uint32_t n, BlockRef b = {}) noexcept
      : data(d), size(n), block(std::move(b)) {}
  explicit View(std::string_view s, BlockRef b = {}) noexcept
      : View(s.data(), static_cast<uint32_t>(s.size()), std::move(b)) {}
  std::string_view text() const noexcept { return {data, size}; }
};

// Chain is a queue of views: what waits to be written to a socket, or a piece of a body. Nothing is
// ever copied: append and take move views, drain() drops bytes from the front after a write. Worker
// local. Segments of eight views come from a per-thread free list, so an empty chain owns nothing
// and an idle connection pays 24 bytes. Neighbouring views that touch in memory and share a block
// (or have none) become one.
class Chain {
 public:
  Chain() noexcept = default;
  Chain(Chain&& o) noexcept
      : head_(std::exchange(o.head_, nullptr)),
        tail_(std::exchange(o.tail_, nullptr)),
        bytes_(std::exchange(o.bytes_, 0)) {}
  Chain& operator=(Chain&& o) noexcept {
    if (this != &o) {
      clear();
      std::swap(head_, o.head_);
      std::swap(tail_, o.tail_);
      std::swap(bytes_, o.bytes_);
    }
    return *this;
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  ~Chain() {
    if (head_ != nullptr) clear();
  }

  bool empty() const noexcept { return bytes_ == 0; }
  size_t bytes() const noexcept { return bytes_; }

  void append(View view);
  // The same for a view of `block`, which may be null, without making one.
  void append(const char* data, uint32_t size, Block* block);
  void append(std::string_view text) { append(View(text)); }  // text must outlive the write
  // Moves everything of `other` behind what is here.
  void append(Chain&& other);
  // Moves the first `bytes` (at most bytes()) into `to`.
  void take(size_t bytes, Chain& to);
  // Drops the first `bytes` (at most bytes()).
  void drain(size_t bytes) noexcept;
  void clear() noexcept;
  // First view, which exists unless empty().
  const View& front() const noexcept { return head_->views[head_->first]; }

  // Fills at most `max` entries, returns how many; total bytes of them in *total.
  int to_iovec(iovec* out, int max, size_t* total) const noexcept;

  template <typename Fn>
  void for_each(Fn&& fn) const {
    for (const Segment* s = head_; s != nullptr; s = s->next) {
      for (uint32_t i = s->first; i < s->last; ++i) fn(s->views[i]);
    }
  }

 private:
  static constexpr uint32_t kViewsPerSegment = 8;
  struct Segment {
    Segment* next = nullptr;
    uint32_t first = 0;
    uint32_t last = 0;
    View views[kViewsPerSegment];
  };
  friend struct SegmentShelf;
  static Segment* new_segment();
  // False: the bytes became part of the last view.
  bool needs_view(const char* data, uint32_t size, const Block* block) noexcept;
  View& next_view();
  static void free_segment(Segment* segment) noexcept;

  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
  size_t bytes_ = 0;
};

// Bytes that our own code copied that belonged to a message body (contract M7, T10). One counter
// per thread; a plain increment where a copy is unavoidable.
struct CopyCount {
  uint64_t body_bytes = 0;
  uint64_t head_bytes = 0;
};
CopyCount& copies() noexcept;

// Gives the calling thread's spare chain segments back; a worker calls it when it ends.
void release_thread_segments() noexcept;

}  // namespace sluice::base
