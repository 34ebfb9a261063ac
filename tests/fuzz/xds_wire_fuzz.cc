// Any bytes as a DiscoveryResponse: split by wire tag, compared with protobuf's own parser.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tests/support/xds/wire_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::test::compare_with_protobuf({reinterpret_cast<const char*>(data), size});
  return 0;
}
