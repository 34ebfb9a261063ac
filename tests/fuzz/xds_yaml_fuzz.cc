// Any text as a bootstrap: it is read or refused with a message, never a crash, and what was read
// can be serialised. A second reading of the same text gives the same bytes.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "xds/yaml.h"

namespace {

using google::protobuf::Message;

std::unique_ptr<Message> new_bootstrap() {
  static const auto* const kType =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
          "envoy.config.bootstrap.v3.Bootstrap");
  return std::unique_ptr<Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(kType)->New());
}

bool read(std::string_view text, bool lenient, std::string* out) {
  const auto document = sluice::xds::YamlDocument::parse(text, "f");
  if (!document.ok()) return false;
  sluice::xds::YamlDocument::Options options;
  options.allow_unknown_fields = options.allow_unknown_types = lenient;
  sluice::xds::Warnings warnings;
  const auto message = new_bootstrap();
  const absl::Status status = document->to_message(options, message.get(), &warnings);
  if (!status.ok() && status.message().empty()) __builtin_trap();
  const sluice::xds::YamlDocument* const documents[] = {&*document};
  sluice::xds::position_of(documents, text.substr(0, text.find('\n')));
  *out = message->DebugString();
  return status.ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool lenient : {false, true}) {
    std::string first, second;
    if (read(text, lenient, &first) != read(text, lenient, &second) || first != second) {
      __builtin_trap();
    }
  }
  return 0;
}
