#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/buffer.h"

namespace sluice::base {

// Arena is the memory of one exchange: bump allocation from a worker's recycled blocks, given back
// as a whole when the exchange ends. Worker-local. Nothing in it is destroyed one by one, so only
// trivially destructible types go in; what needs a destructor belongs to the exchange itself.
// Cost of an allocation: an addition and a compare. A request of more than a small block takes
// large blocks; one of more than a large block (64 KiB) fails with nullptr: heads are limited below
// that.
class Arena {
 public:
  explicit Arena(BlockPool& pool) noexcept : pool_(&pool) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { reset(); }

  void* alloc(size_t bytes, size_t align = alignof(std::max_align_t)) noexcept {
    auto at = (reinterpret_cast<uintptr_t>(next_) + (align - 1)) & ~(align - 1);
    if (at + bytes > reinterpret_cast<uintptr_t>(end_)) [[unlikely]] {
      if (!refill(bytes + align)) return nullptr;
      at = (reinterpret_cast<uintptr_t>(next_) + (align - 1)) & ~(align - 1);
    }
    next_ = reinterpret_cast<char*>(at + bytes);
    return reinterpret_cast<void*>(at);
  }

  template <typename T, typename... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    return new (alloc(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  // Uninitialised.
  template <typename T>
  T* array(size_t n) noexcept {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(alloc(n * sizeof(T), alignof(T)));
  }

  char* chars(size_t n) noexcept { return static_cast<char*>(alloc(n, 1)); }

  std::string_view dup(std::string_view text) noexcept {
    char* to = chars(text.size());
    if (to == nullptr) return {};
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }

  // Gives the blocks back. Everything that was allocated is gone.
  void reset() noexcept;

  // True if `p` lies in this arena's current block; lets a writer extend what it wrote last.
  bool at_end(const char* p) const noexcept { return p == next_; }

 private:
  bool refill(size_t bytes) noexcept;

  BlockPool* pool_;
  char* next_ = nullptr;
  char* end_ = nullptr;
  Block* blocks_ = nullptr;  // singly linked through the first word of each block's data
};

}  // namespace sluice::base
