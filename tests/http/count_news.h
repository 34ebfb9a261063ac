#pragma once

#include <cstdint>

namespace sluice::http::test {

// How often the calling thread asked the global allocator for memory through operator new, which
// count_news.cc replaces for the whole test program; not under a sanitizer, which has its own.
uint64_t num_news() noexcept;
bool counts_news() noexcept;

}  // namespace sluice::http::test
