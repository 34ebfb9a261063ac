// Any bytes as a resource: the first byte picks the type, the rest is what a control plane sent. It
// is decoded or refused with a message that names the resource's kind, never a crash.
#include <cstdint>
#include <string_view>

#include "xds/decode.h"

namespace {

void check(const absl::Status& status) {
  if (!status.ok() && status.message().empty()) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  sluice::xds::Warnings warnings;
  sluice::xds::DecodeOptions options;
  options.reject_unknown_fields = (data[0] & 4) != 0;
  switch (data[0] & 3) {
    case 0:
      check(sluice::xds::decode_listener(bytes, "1", options, &warnings).status());
      break;
    case 1:
      check(sluice::xds::decode_cluster(bytes, "1", options, &warnings).status());
      break;
    case 2:
      check(sluice::xds::decode_endpoints(bytes, "1", options, &warnings).status());
      break;
    case 3:
      check(sluice::xds::decode_routes(bytes, "1", options, &warnings).status());
      break;
  }
  warnings.texts();
  return 0;
}
