#include "http/header_names.h"

namespace sluice::http {

std::string_view line_begin_of(HeaderId id) noexcept {
  return internal::kHeaderLines[static_cast<size_t>(id)];
}

std::string_view name_of(HeaderId id) noexcept {
  return internal::kHeaderNames[static_cast<size_t>(id)];
}

HeaderId header_id_of(std::string_view name) noexcept { return internal::find_header_id(name); }

}  // namespace sluice::http
