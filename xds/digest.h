// digest128() tells whether two byte strings are the same without keeping either: MurmurHash3 (x64,
// 128 bits). For resources of a control plane that is trusted not to search for collisions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::xds {

std::array<uint64_t, 2> digest128(std::string_view bytes) noexcept;

}  // namespace sluice::xds
