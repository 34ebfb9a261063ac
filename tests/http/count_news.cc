#include "tests/http/count_news.h"

#include <cstdlib>
#include <new>

namespace sluice::http::test {

namespace {
thread_local uint64_t news = 0;

[[maybe_unused]] void* counted(void* at) {
  ++news;
  if (at == nullptr) throw std::bad_alloc();
  return at;
}
}  // namespace

uint64_t num_news() noexcept { return news; }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
bool counts_news() noexcept { return false; }
#else
bool counts_news() noexcept { return true; }
#endif

}  // namespace sluice::http::test

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

using sluice::http::test::counted;

void* operator new(size_t bytes) { return counted(std::malloc(bytes)); }
void* operator new(size_t bytes, std::align_val_t align) {
  const auto to = static_cast<size_t>(align);
  return counted(std::aligned_alloc(to, (bytes + to - 1) / to * to));
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, size_t, std::align_val_t) noexcept { std::free(at); }

#endif
