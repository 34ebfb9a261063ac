#pragma once

#include <string_view>

#include "xds/resources.h"

namespace sluice::xds {

// Paths of the discovery services' streams (xds.md rule 2). The names are not quite regular.
std::string_view ads_method(bool delta) noexcept;
// Of a stream that carries this type only.
std::string_view method_of(Type type, bool delta) noexcept;

}  // namespace sluice::xds
