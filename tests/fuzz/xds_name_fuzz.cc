// Any bytes as an xdstp:// name: the normal form is one, reads back as the same parts, and is the
// name of the collection that it says it is in.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "xds/resource_name.h"

namespace {

void check(bool ok) {
  if (!ok) abort();
}

void check_name(std::string_view text) {
  using namespace sluice::xds;  // NOLINT(google-build-using-namespace)
  const auto name = parse_resource_name(text);
  if (!name.ok()) {
    check(normal_name(text) == text);
    return;
  }
  const std::string normal = name->text();
  check(normal_name(text) == normal && normal_name(normal) == normal);
  const auto again = parse_resource_name(normal);
  check(again.ok() && again->authority == name->authority && again->type == name->type &&
        again->id == name->id && again->context == name->context);
  if (name->id.empty()) return;
  check(name->is_glob() == is_glob_name(normal));
  const std::string collection = collection_of(normal);
  check(is_glob_name(collection) && collection_of(collection) == collection);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_name(text);
  check_name(std::string("xdstp://").append(text));
  return 0;
}
