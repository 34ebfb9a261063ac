#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::base {

// Slab answers "where does a library that wants malloc get memory on a worker?" (nghttp2 today). It
// is one worker's general allocator: size classes cut from chunks, freed pieces go to their class's
// free list and are used again, so steady state asks nobody. Pieces of kPageBytes and more come
// from pages of their own, which cost nothing until touched; a few that were freed are kept with
// their content dropped (MADV_DONTNEED), the rest is unmapped.
//
// Worker-local; no locks. Chunks go back to the system with the slab, which must outlive whatever
// was allocated from it. allocate() answers nullptr only when the system has no memory, or beyond
// `limit` bytes held (0: none), so that a library's own error path is what bounds it.
// Cost: a shift, a load and a store each way. Every piece is aligned to 16 bytes and has a header
// of 16 bytes that knows its class. Freed pieces are poisoned under AddressSanitizer.
class Slab {
 public:
  static constexpr size_t kPageBytes = 16 * 1024;

  explicit Slab(size_t limit = 0) noexcept : limit_(limit) {}
  ~Slab();
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  void* allocate(size_t bytes) noexcept;
  void* allocate_zeroed(size_t count, size_t bytes) noexcept;  // calloc: overflow checked
  void* reallocate(void* piece, size_t bytes) noexcept;
  void free(void* piece) noexcept;

  size_t bytes_out() const noexcept { return bytes_out_; }  // not freed, rounded up to their class
  size_t bytes_held() const noexcept { return bytes_held_; }      // taken from the system
  uint64_t num_refills() const noexcept { return num_refills_; }  // times that it had to ask

  // Which class serves `bytes` < kPageBytes, and how much its pieces hold.
  static size_t class_of(size_t bytes) noexcept;
  static size_t bytes_of_class(size_t nth) noexcept;

 private:
  struct Piece;  // the header
  struct Chunk;
  struct Spare {
    void* at;
    size_t bytes;
  };
  // 16 bytes apart up to 256, then four to a doubling.
  static constexpr size_t kSmallClasses = 16;
  static constexpr size_t kClasses = 40;
  static constexpr size_t kChunkBytes = 64 * 1024;
  static constexpr size_t kMaxSpares = 16;

  bool may_take(size_t bytes) const noexcept {
    return limit_ == 0 || bytes_held_ + bytes <= limit_;
  }
  Piece* carve(size_t nth) noexcept;
  void* allocate_pages(size_t bytes) noexcept;
  void free_pages(Piece* piece) noexcept;

  Piece* free_[kClasses] = {};
  Chunk* chunks_ = nullptr;
  char* at_ = nullptr;  // what is left of the newest chunk
  char* end_ = nullptr;
  Spare spares_[kMaxSpares] = {};
  size_t num_spares_ = 0;
  size_t limit_;
  size_t bytes_out_ = 0;
  size_t bytes_held_ = 0;
  uint64_t num_refills_ = 0;
};

}  // namespace sluice::base
