#pragma once

#include <string_view>

#include "xds/resources.h"

namespace sluice::xds {

// Paths of the discovery services (xds.md rules 2, 170). The names are not quite regular.
std::string_view ads_method(bool delta) noexcept;
// Of a stream that carries this type only; empty: there is none (VHDS and LEDS are delta only).
std::string_view method_of(Type type, bool delta) noexcept;
// Of a poll; empty: there is none.
std::string_view rest_path_of(Type type) noexcept;

}  // namespace sluice::xds
