#pragma once

#include <cstddef>

// Does the gate notice what the contract forbids? plant() is called once per request with the block
// that the head came in, and is empty in every build but those of `bench/gate --planted`: these
// name a header with a regression of one kind, and the gate must fail them.
#if defined(SLUICE_PLANT_HEADER)
#include SLUICE_PLANT_HEADER
#else
namespace sluice::base {
inline void plant(const char* /*head*/, size_t /*bytes*/) noexcept {}
}  // namespace sluice::base
#endif
