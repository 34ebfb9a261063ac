#include "tests/xds/messages.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include "xds/yaml.h"

namespace sluice::xds {

std::unique_ptr<google::protobuf::Message> new_message(std::string_view type) {
  const auto* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type));
  EXPECT_NE(descriptor, nullptr) << type;
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
}

std::unique_ptr<google::protobuf::Message> message_of_yaml(std::string_view type,
                                                           std::string_view yaml) {
  auto message = new_message(type);
  const auto document = YamlDocument::parse(yaml, "test");
  EXPECT_TRUE(document.ok()) << document.status();
  if (!document.ok()) return message;
  const absl::Status status = document->to_message({}, message.get(), nullptr);
  EXPECT_TRUE(status.ok()) << status;
  return message;
}

std::string bytes_of(std::string_view type, std::string_view yaml) {
  return message_of_yaml(type, yaml)->SerializeAsString();
}

std::string text_of(const google::protobuf::Message& message) { return message.ShortDebugString(); }

}  // namespace sluice::xds
