#include "base/slab.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_POISON 1
#endif
#endif
#if defined(SLUICE_POISON)
#include <sanitizer/asan_interface.h>
#endif

namespace sluice::base {

namespace {

constexpr size_t kHeaderBytes = 16;
constexpr size_t kSystemPage = 4096;
constexpr uint32_t kOwnPages = ~uint32_t{0};

size_t rounded(size_t bytes, size_t to) noexcept { return (bytes + (to - 1)) & ~(to - 1); }

void* map(size_t bytes) noexcept {
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

void poison([[maybe_unused]] void* at, [[maybe_unused]] size_t bytes) noexcept {
#if defined(SLUICE_POISON)
  ASAN_POISON_MEMORY_REGION(at, bytes);
#endif
}

void unpoison([[maybe_unused]] void* at, [[maybe_unused]] size_t bytes) noexcept {
#if defined(SLUICE_POISON)
  ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#endif
}

}  // namespace

// In front of every piece; `next` only while it is free.
struct Slab::Piece {
  union {
    Piece* next;
    size_t mapped;  // kOwnPages: bytes with the header
  };
  uint32_t nth;  // class, or kOwnPages

  void* body() noexcept { return reinterpret_cast<char*>(this) + kHeaderBytes; }
  static Piece* of(void* body) noexcept {
    return reinterpret_cast<Piece*>(static_cast<char*>(body) - kHeaderBytes);
  }
};

struct Slab::Chunk {
  Chunk* next;
};

size_t Slab::class_of(size_t bytes) noexcept {
  if (bytes <= 256) return bytes == 0 ? 0 : (bytes - 1) / 16;
  const auto power = static_cast<size_t>(std::bit_width(bytes - 1)) - 1;  // 2^power < bytes
  const size_t quarter = (bytes - 1) >> (power - 2) & 3;
  return kSmallClasses + (power - 8) * 4 + quarter;
}

size_t Slab::bytes_of_class(size_t nth) noexcept {
  if (nth < kSmallClasses) return (nth + 1) * 16;
  const size_t power = (nth - kSmallClasses) / 4 + 8;
  const size_t quarter = (nth - kSmallClasses) % 4 + 1;
  return (size_t{1} << power) + (quarter << (power - 2));
}

Slab::~Slab() {
  while (chunks_ != nullptr) {
    Chunk* const chunk = chunks_;
    unpoison(chunk, kChunkBytes);
    chunks_ = chunk->next;
    munmap(chunk, kChunkBytes);
  }
  for (size_t i = 0; i < num_spares_; ++i) munmap(spares_[i].at, spares_[i].bytes);
}

Slab::Piece* Slab::carve(size_t nth) noexcept {
  const size_t bytes = kHeaderBytes + bytes_of_class(nth);
  if (static_cast<size_t>(end_ - at_) < bytes) {
    if (!may_take(kChunkBytes)) return nullptr;
    void* const memory = map(kChunkBytes);
    if (memory == nullptr) return nullptr;
    ++num_refills_;
    bytes_held_ += kChunkBytes;
    chunks_ = new (memory) Chunk{chunks_};
    at_ = static_cast<char*>(memory) + rounded(sizeof(Chunk), 16);
    end_ = static_cast<char*>(memory) + kChunkBytes;
  }
  Piece* const piece = new (at_) Piece();
  piece->nth = static_cast<uint32_t>(nth);
  at_ += bytes;
  return piece;
}

void* Slab::allocate(size_t bytes) noexcept {
  if (bytes >= kPageBytes) return allocate_pages(bytes);
  const size_t nth = class_of(bytes);
  Piece* piece = free_[nth];
  if (piece != nullptr) [[likely]] {
    free_[nth] = piece->next;
    unpoison(piece->body(), bytes_of_class(nth));
  } else {
    piece = carve(nth);
    if (piece == nullptr) return nullptr;
  }
  bytes_out_ += bytes_of_class(nth);
  return piece->body();
}

void* Slab::allocate_zeroed(size_t count, size_t bytes) noexcept {
  if (bytes != 0 && count > std::numeric_limits<size_t>::max() / bytes) return nullptr;
  const size_t total = count * bytes;
  void* const piece = allocate(total);
  // Own pages come from the system, or were given back to it: zero already, and not touched yet.
  if (piece != nullptr && total < kPageBytes) std::memset(piece, 0, total);
  return piece;
}

void* Slab::reallocate(void* body, size_t bytes) noexcept {
  if (body == nullptr) return allocate(bytes);
  const Piece* const piece = Piece::of(body);
  const bool paged = piece->nth == kOwnPages;
  const size_t holds = paged ? piece->mapped - kHeaderBytes : bytes_of_class(piece->nth);
  const bool stays_paged = bytes >= kPageBytes;
  if (bytes <= holds && paged == stays_paged && (paged || class_of(bytes) == piece->nth)) {
    return body;
  }
  void* const to = allocate(bytes);
  if (to == nullptr) return nullptr;
  std::memcpy(to, body, std::min(bytes, holds));
  free(body);
  return to;
}

void Slab::free(void* body) noexcept {
  if (body == nullptr) return;
  Piece* const piece = Piece::of(body);
  if (piece->nth == kOwnPages) return free_pages(piece);
  const size_t bytes = bytes_of_class(piece->nth);
  bytes_out_ -= bytes;
  poison(body, bytes);
  piece->next = free_[piece->nth];
  free_[piece->nth] = piece;
}

void* Slab::allocate_pages(size_t bytes) noexcept {
  if (bytes > std::numeric_limits<size_t>::max() / 2) return nullptr;
  const size_t mapped = rounded(bytes + kHeaderBytes, kSystemPage);
  void* memory = nullptr;
  for (size_t i = 0; i < num_spares_; ++i) {
    if (spares_[i].bytes != mapped) continue;
    memory = spares_[i].at;
    spares_[i] = spares_[--num_spares_];
    break;
  }
  if (memory == nullptr) {
    if (!may_take(mapped)) return nullptr;
    memory = map(mapped);
    if (memory == nullptr) return nullptr;
    ++num_refills_;
    bytes_held_ += mapped;
  }
  Piece* const piece = new (memory) Piece();
  piece->mapped = mapped;
  piece->nth = kOwnPages;
  bytes_out_ += mapped - kHeaderBytes;
  return piece->body();
}

void Slab::free_pages(Piece* piece) noexcept {
  const size_t mapped = piece->mapped;
  bytes_out_ -= mapped - kHeaderBytes;
  if (num_spares_ < kMaxSpares && madvise(piece, mapped, MADV_DONTNEED) == 0) {
    spares_[num_spares_++] = {piece, mapped};
    return;
  }
  munmap(piece, mapped);
  bytes_held_ -= mapped;
}

}  // namespace sluice::base
