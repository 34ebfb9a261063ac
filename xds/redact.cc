#include "xds/redact.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "udpa/annotations/sensitive.pb.h"

namespace sluice::xds {
namespace {

namespace pb = ::google::protobuf;
using Field = pb::FieldDescriptor;

constexpr char kRedacted[] = "[redacted]";

void walk(pb::Message* message, bool sensitive);

void walk_any(pb::Any* any, bool sensitive) {
  const std::string& url = any->type_url();
  const auto* type =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
  std::unique_ptr<pb::Message> inside;
  if (type != nullptr) {
    inside.reset(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  }
  if (inside != nullptr && inside->ParseFromString(any->value())) {
    walk(inside.get(), sensitive);
    any->set_value(inside->SerializePartialAsString());
  } else if (sensitive) {
    any->clear_value();  // what it holds cannot be told
  }
}

void walk_messages(pb::Message* message, const Field* field, bool sensitive) {
  const pb::Reflection& reflection = *message->GetReflection();
  if (!field->is_repeated()) return walk(reflection.MutableMessage(message, field), sensitive);
  for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
    walk(reflection.MutableRepeatedMessage(message, field, i), sensitive);
  }
}

void hide(pb::Message* message, const Field* field) {
  const pb::Reflection& reflection = *message->GetReflection();
  if (field->cpp_type() != Field::CPPTYPE_STRING) return reflection.ClearField(message, field);
  if (!field->is_repeated()) return reflection.SetString(message, field, kRedacted);
  for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
    reflection.SetRepeatedString(message, field, i, kRedacted);
  }
}

void walk(pb::Message* message, bool sensitive) {
  if (message->GetDescriptor() == pb::Any::descriptor()) {
    return walk_any(static_cast<pb::Any*>(message), sensitive);
  }
  std::vector<const Field*> fields;
  message->GetReflection()->ListFields(*message, &fields);
  for (const Field* field : fields) {
    const bool hidden = sensitive || field->options().GetExtension(udpa::annotations::sensitive);
    if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
      walk_messages(message, field, hidden);
    } else if (hidden) {
      hide(message, field);
    }
  }
}

}  // namespace

void redact(google::protobuf::Message* message) { walk(message, false); }

}  // namespace sluice::xds
